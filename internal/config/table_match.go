package config

import (
	"net/netip"
	"strconv"
	"strings"
)

func matchObject(t *table) *object[Match] {
	if t.match != nil {
		return t.match
	}
	o := newObject[Match](t, "match", "a match", "A condition: all of what is written must hold.")
	pattern := scalar("a path such as /about, /static/* or /**.jpg", stringShape(), parsePathPattern)
	add(o, "path", list(pattern, "a path, or a list of them", true, false), func(m *Match) *[]PathPattern { return &m.Path }, "",
		"Any of these: /a is that path alone, /a/* everything below /a/, and in any other pattern * and ? stand for "+
			"characters of one segment, [a-z] for one of a set, ** for anything.")
	method := scalar("a method such as POST", stringShape(), func(s string) (string, *complaint) {
		switch {
		case !tokenForm().MatchString(s):
			return "", &complaint{}
		case s != strings.ToUpper(s):
			return "", &complaint{"", "write " + strings.ToUpper(s)}
		}
		return s, nil
	})
	add(o, "method", list(method, "a method, or a list of them", true, false), func(m *Match) *[]string { return &m.Method }, "",
		"Any of these methods.")
	add(o, "header", pairsKind("field", tokenForm().MatchString), func(m *Match) *[]NameValue { return &m.Header }, "",
		"All of these fields. A name alone: it is there. A value may begin or end with * for anything.")
	add(o, "cookie", pairsKind("cookie", tokenForm().MatchString), func(m *Match) *[]NameValue { return &m.Cookie }, "",
		"All of these cookies, in the same way.")
	add(o, "query", pairsKind("query parameter", func(s string) bool { return s != "" }), func(m *Match) *[]NameValue { return &m.Query }, "",
		"All of these parameters of the query, in the same way.")
	add(o, "client", list(prefixKind(), "an address or a network, or a list of them", true, false),
		func(m *Match) *[]netip.Prefix { return &m.Client }, "", "Any of these addresses and networks has the client's address.")
	inner := pointer(kind[Match]{words: "a match", shape: o.kind().shape, read: o.nested})
	many := list(inner, "a list of matches", false, false)
	add(o, "any", many, func(m *Match) *[]*Match { return &m.Any }, "", "At least one of these holds.")
	add(o, "all", many, func(m *Match) *[]*Match { return &m.All }, "", "All of these hold.")
	add(o, "not", inner, func(m *Match) **Match { return &m.Not }, "", "This does not hold.")
	t.match = o
	return o
}

// maxNesting is how deep any, all and not may lie in one another.
const maxNesting = 16

// nested is read for a match in a match. An alias can make a match lie in itself.
func (o *object[T]) nested(d *decoder, v value) (T, bool) {
	if d.nesting >= maxNesting {
		d.fail(v, "any, all and not lie more than "+itoa(maxNesting)+" deep in one another", "split the route")
		return o.zero, false
	}
	d.nesting++
	defer func() { d.nesting-- }()
	return o.read(d, v)
}

// parsePathPattern reads a pattern for normalised paths, and refuses those that no normalised path can match.
func parsePathPattern(s string) (PathPattern, *complaint) {
	switch {
	case s == "*" || s == "**":
		return PathPattern{Kind: "prefix", Text: "/"}, nil
	case strings.HasPrefix(s, "*"):
		return PathPattern{}, &complaint{", and every path begins with /", `write "/**` + strings.TrimLeft(s, "*/") + `"`}
	case !strings.HasPrefix(s, "/"):
		return PathPattern{}, &complaint{", and every path begins with /", "write /" + s}
	case strings.Contains(s, "//"):
		return PathPattern{}, &complaint{", and // in a path is read as /", "write one /"}
	case strings.Contains(s+"/", "/./") || strings.Contains(s+"/", "/../"):
		return PathPattern{}, &complaint{", and . and .. are taken out of a path before it is matched", "write the path without them"}
	case strings.ContainsAny(s, "#\x00 "):
		return PathPattern{}, &complaint{", which has a character in it that no path has", "write it as %XX"}
	}
	body, trailing := strings.CutSuffix(s, "/*")
	if !trailing {
		body, trailing = strings.CutSuffix(s, "/**")
	}
	if trailing && !strings.ContainsAny(body, "*?[") {
		return PathPattern{Kind: "prefix", Text: body + "/"}, nil
	}
	if !strings.ContainsAny(s, "*?[") {
		return PathPattern{Kind: "exact", Text: s}, nil
	}
	if why := wrongGlob(s); why != "" {
		return PathPattern{}, &complaint{", where " + why, "write a set such as [a-z], or %5B for a [ itself"}
	}
	return PathPattern{Kind: "glob", Text: s}, nil
}

// maxGlob is how many characters a glob has from its first to its last wildcard: they are matched all at once, as
// bits.
const maxGlob = 120

// wrongGlob says what is wrong with a glob.
func wrongGlob(s string) string {
	if first, last := strings.IndexAny(s, "*?["), strings.LastIndexAny(s, "*?]"); last-first > maxGlob {
		return "the first and the last wildcard are over " + itoa(maxGlob) + " characters apart"
	}
	for {
		i := strings.IndexByte(s, '[')
		if i < 0 {
			return ""
		}
		s = strings.TrimLeft(s[i+1:], "!^")
		end := -1
		if len(s) > 1 {
			end = strings.IndexByte(s[1:], ']') // a ] right at the beginning is one of the set
		}
		if end < 0 {
			return "a [ has no ]"
		}
		set := s[:end+1]
		for j := 1; j+1 < len(set); j++ {
			if set[j] == '-' && set[j-1] > set[j+1] {
				return set[j-1:j+2] + " ends before it begins"
			}
		}
		s = s[end+2:]
	}
}

// pairsKind is conditions on fields, cookies or parameters: a name, a list of names, or a mapping from names to values.
func pairsKind(what string, good func(string) bool) kind[[]NameValue] {
	words := "the name of a " + what + ", a list of names, or a mapping from names to values"
	text := textKind("text or *")
	name := scalar("the name of a "+what, &shape{Type: "string"}, func(s string) (string, *complaint) {
		if !good(s) {
			return "", &complaint{", which is no name of a " + what, ""}
		}
		return s, nil
	})
	one := &shape{AnyOf: []*shape{name.shape, {Type: "object", Additional: text.shape}}}
	s := &shape{AnyOf: []*shape{name.shape, {Type: "object", Additional: text.shape}, {Type: "array", Items: one, MinItems: 1}}}
	k := kind[[]NameValue]{words: words, shape: s}
	single := func(d *decoder, v value) ([]NameValue, bool) {
		if !v.isMap() {
			got, ok := name.read(d, v)
			return []NameValue{{got, "*"}}, ok
		}
		entries, ok := d.entries(v, words)
		var out []NameValue
		for _, e := range entries {
			if !good(e.key.Value) {
				d.failKey(e, strconv.Quote(e.key.Value)+" is no name of a "+what, "write letters, digits and -")
				continue
			}
			if e.isNull() {
				out = append(out, NameValue{e.key.Value, "*"})
			} else if got, good := text.read(d, e); good {
				out = append(out, NameValue{e.key.Value, got})
			}
		}
		return out, ok
	}
	k.read = func(d *decoder, v value) ([]NameValue, bool) {
		elements, ok := d.elements(v, true, words)
		var out []NameValue
		for _, e := range elements {
			if got, good := single(d, e); good {
				out = append(out, got...)
			}
		}
		if ok && (len(elements) == 0 || v.isMap() && len(v.node.Content) == 0) {
			d.fail(v, v.name()+" is empty", "write "+words)
			return nil, false
		}
		return out, ok
	}
	return k
}

// everything says that a match holds for every request.
func (m *Match) everything() bool {
	if m == nil {
		return true
	}
	for _, p := range m.Path {
		if p.Kind == "prefix" && p.Text == "/" {
			bare := *m
			bare.Path = nil
			return bare.everything()
		}
	}
	if len(m.Path)+len(m.Method)+len(m.Header)+len(m.Cookie)+len(m.Query)+len(m.Client) > 0 || m.Not != nil {
		return false
	}
	for _, a := range m.All {
		if !a.everything() {
			return false
		}
	}
	for _, a := range m.Any {
		if a.everything() {
			return true
		}
	}
	return len(m.Any) == 0
}
