package config

import (
	"slices"
	"strconv"
	"strings"
)

// What a cache policy may name at most. Each name costs every request a little; more are a mistake.
const (
	maxGlobs = 64 // patterns in a list
	maxParts = 16 // parts of a key of one sort
)

// distinct is a list of names, none of them twice; same tells which are the same.
func distinct(k kind[[]string], most int, same func(a, b string) bool) kind[[]string] {
	read := k.read
	k.read = func(d *decoder, v value) ([]string, bool) {
		names, ok := read(d, v)
		if !ok {
			return nil, false
		}
		if len(names) > most {
			d.failKey(v, v.name()+" has "+itoa(len(names))+" names, and may have "+itoa(most), "take some out")
			return nil, false
		}
		for i, n := range names {
			if slices.ContainsFunc(names[:i], func(o string) bool { return same(o, n) }) {
				d.fail(elementOf(v, i, len(names)), strconv.Quote(n)+" stands twice in "+v.name(), "take one out")
			}
		}
		return names, true
	}
	return k
}

// elementOf is where the element of a list of n stands; where it cannot be told, the list.
func elementOf(v value, i, n int) value {
	if v.isList() && len(v.node.Content) == n {
		return value{node: v.node.Content[i], path: v.path}
	}
	return v
}

// equal is the same for names whose case counts.
func equal(a, b string) bool { return a == b }

// globOf is a name in which * may stand for anything.
func globOf() kind[string] {
	return scalar("a name in which * may stand for anything", stringShape(), func(s string) (string, *complaint) {
		return s, checkGlob(s)
	})
}

func checkGlob(s string) *complaint {
	if s == "" || len(s) > 200 || strings.ContainsAny(s, " \t;,=&\x00") {
		return &complaint{}
	}
	return nil
}

// cookieOf is the whole name of a cookie.
func cookieOf() kind[string] {
	return scalar("the name of a cookie", stringShape(), func(s string) (string, *complaint) {
		if strings.Contains(s, "*") {
			return "", &complaint{", and * stands for nothing here", "write the whole name of a cookie, and one for each"}
		}
		return s, checkGlob(s)
	})
}

// unkeyed are fields that are no part of a key, and why.
var unkeyed = map[string]string{
	"cookie": "with all cookies every visitor would have a cache of their own: name single ones in cookie:",
	"host":   "the host is part of every key: take it out",
}

// keyField is the name of a field that may be part of a key.
func keyField() kind[string] {
	return scalar("the name of a field", stringShape(), func(s string) (string, *complaint) {
		name, c := checkFieldName(s)
		if c != nil {
			return "", c
		}
		lower := strings.ToLower(s)
		if why, no := unkeyed[lower]; no {
			return "", &complaint{"", why}
		}
		switch lower {
		case "range", "if-range", "if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "x-forwarded-for", "x-request-id", "connection":
			return "", &complaint{", which cannot be part of a key", "take it out"}
		}
		return name, nil
	})
}

// checkCookies looks for cookies of which a policy says two things.
func (d *decoder) checkCookies(given map[string]value, p *CachePolicy) {
	passes := func(name string) bool {
		return slices.ContainsFunc(p.PassIfCookie, func(glob string) bool { return starMatch(glob, name) })
	}
	for i, name := range p.Private {
		v := elementOf(given["private"], i, len(p.Private))
		switch {
		case passes(name):
			d.fail(v, "the cookie "+name+" is in private and in pass_if_cookie", "take it out of one: who passes has nothing kept")
		case slices.Contains(p.Key.Cookies, name):
			d.fail(v, "the cookie "+name+" is in private and in key.cookie", "take it out of one: private makes it part of the key")
		}
	}
	for _, name := range p.Key.Cookies {
		if passes(name) {
			d.failKey(given["key"], "the cookie "+name+" is in key.cookie and in pass_if_cookie", "take it out of one: who passes has nothing kept")
		}
	}
}

// starMatch reports whether a pattern, in which * stands for any text, is the whole of s.
func starMatch(pattern, s string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return s == pattern
	}
	if !strings.HasPrefix(s, first) {
		return false
	}
	s = s[len(first):]
	for {
		piece, more, again := strings.Cut(rest, "*")
		if !again {
			return strings.HasSuffix(s, piece)
		}
		i := strings.Index(s, piece)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(piece):], more
	}
}
