package cache

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weirhq/weir/internal/cache/glob"
	"github.com/weirhq/weir/internal/message"
)

// KeyPolicy says which requests of a route are one to the cache. The zero value is RFC 9111's: the whole URL, nothing
// else. Globs have "*" for any text and match names; the case of cookie and query names counts, that of field names does
// not.
//
// Whatever is ignored is also kept from the app when the cache fetches (KeyedRequest.Query, Keyer.Withholds, AppendCookies):
// what the app cannot see it cannot let into a response that others will get. So the key is made of what the app gets,
// and two programs that read a query in two ways ("?utm_x=1;page=2") do not matter.
type KeyPolicy struct {
	// Scope tells apart the routes of one site that share URLs and answer differently, because a header, a cookie or
	// the client's address decides between them. Routes that differ by host and path alone need none.
	Scope string
	// AnyScheme makes http and https one. The app is told the scheme (X-Forwarded-Proto): one that redirects http to
	// https would have its redirect served to https too.
	AnyScheme bool

	KeepQuery   []string // globs: only these parameters are there for key and app; none: all of them
	IgnoreQuery []string // globs: these are not, even if kept
	SortQuery   bool     // the order of parameters of different names does not matter

	PassIfCookie  []string // globs: a request with such a cookie neither uses nor fills the cache
	PrivateBy     []string // names of session cookies: who has one gets objects of his own
	CookieParts   []string // names of cookies whose value is part of the key
	IgnoreCookies []string // globs: all others that match are not there for key and app

	HeaderParts  []string // names of fields whose value is part of the key
	PassIfHeader []string // names of fields: a request that has one neither uses nor fills the cache

	Devices []Device // the first that fits is part of the key; a client that fits none is a class too
}

// Device is a class of clients: those whose User-Agent holds one of the texts, in any case.
type Device struct {
	Class    string
	Contains []string
}

// Limits that keep the cost of a key small; configurations beyond them are mistakes.
const (
	maxPatterns = 64
	maxParts    = 16
)

// Keyer makes keys by a policy. It does not change and is safe for any number of goroutines.
type Keyer struct {
	seed      Seed
	scope     []byte
	anyScheme bool

	keep, ignore glob.Set
	filters      bool // the query is not taken as it is
	sort         bool

	passCookies   glob.Set
	ignoreCookies glob.Set
	private       []string
	cookieParts   []string
	readsCookies  bool

	headers []headerPart
	hazards hazardTable
	devices []Device
}

type headerPart struct {
	id   message.ID
	name string // lower-case
}

// Compile checks a policy and makes it ready. Its errors name what is wrong with the policy, not where it came from.
func (p *KeyPolicy) Compile(seed Seed) (*Keyer, error) {
	k := &Keyer{
		seed: seed, scope: []byte(p.Scope), anyScheme: p.AnyScheme,
		keep: glob.NewSet(p.KeepQuery), ignore: glob.NewSet(p.IgnoreQuery), sort: p.SortQuery,
		filters:     len(p.KeepQuery)+len(p.IgnoreQuery) > 0 || p.SortQuery,
		passCookies: glob.NewSet(p.PassIfCookie), ignoreCookies: glob.NewSet(p.IgnoreCookies),
		private: slices.Clone(p.PrivateBy), cookieParts: slices.Clone(p.CookieParts),
		readsCookies: len(p.PassIfCookie)+len(p.PrivateBy)+len(p.CookieParts)+len(p.IgnoreCookies) > 0,
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	for _, name := range p.HeaderParts {
		k.headers = append(k.headers, headerPart{message.Lookup(name), strings.ToLower(name)})
	}
	for _, d := range p.Devices {
		lower := Device{Class: d.Class}
		for _, text := range d.Contains {
			lower.Contains = append(lower.Contains, strings.ToLower(text))
		}
		k.devices = append(k.devices, lower)
	}
	k.hazards = newHazardTable(p)
	return k, nil
}

func (p *KeyPolicy) check() error {
	for _, l := range []struct {
		what string
		list []string
		most int
	}{
		{"kept query fields", p.KeepQuery, maxPatterns}, {"ignored query fields", p.IgnoreQuery, maxPatterns},
		{"cookies to pass", p.PassIfCookie, maxPatterns}, {"ignored cookies", p.IgnoreCookies, maxPatterns}, {"headers to pass", p.PassIfHeader, maxPatterns},
		{"private cookies", p.PrivateBy, maxParts}, {"cookie parts", p.CookieParts, maxParts}, {"header parts", p.HeaderParts, maxParts},
	} {
		if err := checkNames(l.what, l.list, l.most); err != nil {
			return err
		}
	}
	pass := glob.NewSet(p.PassIfCookie)
	for _, name := range slices.Concat(p.PrivateBy, p.CookieParts) {
		if pass.Match([]byte(name)) {
			return fmt.Errorf("cookie %q is part of the key and makes requests pass: choose one", name)
		}
	}
	for _, name := range p.PrivateBy {
		if slices.Contains(p.CookieParts, name) {
			return fmt.Errorf("cookie %q is named twice: private-by-cookie makes it part of the key already", name)
		}
	}
	for _, name := range p.HeaderParts {
		switch message.Lookup(name) {
		case message.Cookie:
			return errors.New("the whole Cookie field would be a key for each visitor: name single cookies")
		case message.Host, message.Range, message.IfRange, message.IfNoneMatch, message.IfModifiedSince, message.IfMatch,
			message.IfUnmodifiedSince, message.XForwardedFor, message.XRequestID, message.Connection:
			return fmt.Errorf("field %q cannot be a part of the key", name)
		}
	}
	if len(p.Devices) > maxParts {
		return fmt.Errorf("%d device classes: at most %d", len(p.Devices), maxParts)
	}
	for _, d := range p.Devices {
		if d.Class == "" || len(d.Contains) == 0 || len(d.Contains) > maxPatterns || slices.Contains(d.Contains, "") {
			return fmt.Errorf("device class %q needs a name and 1 to %d texts, none empty", d.Class, maxPatterns)
		}
	}
	return nil
}

func checkNames(what string, list []string, most int) error {
	if len(list) > most {
		return fmt.Errorf("%d %s: at most %d", len(list), what, most)
	}
	for i, name := range list {
		if name == "" {
			return fmt.Errorf("an empty name among the %s", what)
		}
		if slices.Contains(list[:i], name) {
			return fmt.Errorf("%q stands twice among the %s", name, what)
		}
	}
	return nil
}

// device returns the class of a User-Agent, "" when no rule fits.
func (k *Keyer) device(agent []byte) string {
	for i := range k.devices {
		for _, text := range k.devices[i].Contains {
			if containsFold(agent, text) {
				return k.devices[i].Class
			}
		}
	}
	return ""
}

// containsFold reports whether b holds text, which is in lower case and not empty, in any case.
func containsFold(b []byte, text string) bool {
	first := text[0] | 0x20 // brings letters together, and a few others that EqualFold tells apart
	for i := 0; i <= len(b)-len(text); i++ {
		if b[i]|0x20 == first && message.EqualFold(b[i:i+len(text)], text) {
			return true
		}
	}
	return false
}
