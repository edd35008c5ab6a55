package config

import (
	"fmt"
	"hash/crc32"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// part is what one version of an included file adds to the configuration, or what is wrong with it. It never changes, so that
// configurations share it.
type part struct {
	version  Version
	strict   bool
	src      *source
	raw      raw
	errs     Errors
	passing  bool // what is wrong may pass without a change of the text: the machine lacks something
	warnings []Warning
	used     map[string]string
	places   map[string]Place
	claims   []claim
	names    []string // of the claims
}

// claim is a name that only one file can have.
type claim struct {
	kind, what string
	at         Place
	width      int
}

func (c claim) name() string { return c.kind + " " + c.what }

// claimed says for each kind what is said when a name is taken.
var claimed = map[string]struct{ message, hint string }{
	"app":     {"there is an app %s already", "it is in %s; names are for all files together: take another"},
	"pool":    {"there is a pool or an app %s already", "it is in %s; names are for all files together: take another"},
	"host":    {"the host %s is in two sites", "the other is in %s"},
	"route":   {"two routes with the name %s", "the other is in %s"},
	"address": {"two apps are told to listen on %s", "the other is in %s: write $PORT or $SOCKET instead: each worker has its own"},
}

// claims are the names that a file has for itself.
func (d *decoder) claims(r *raw) (all []claim) {
	for _, a := range r.Apps {
		all = append(all, claim{"app", a.Name, a.Place, len(a.Name)})
	}
	for _, p := range r.Pools {
		all = append(all, claim{"pool", p.Name, p.Place, len(p.Name)})
	}
	for _, s := range r.Sites {
		for _, h := range s.Hosts {
			at, ok := d.hostAt[h]
			if !ok {
				at = hostAt{s.Place, 1} // nobody wrote it down
			}
			all = append(all, claim{"host", h, at.place, at.width})
		}
	}
	for name, at := range d.routeNames {
		all = append(all, claim{"route", name, at, 1})
	}
	for address, b := range d.bound {
		all = append(all, claim{"address", address, d.place(b.at.node), widthOf(b.at.node)})
	}
	slices.SortFunc(all, func(a, b claim) int { // those of maps are in no order
		switch {
		case a.at.before(b.at):
			return -1
		case b.at.before(a.at):
			return 1
		}
		return strings.Compare(a.name(), b.name())
	})
	return all
}

// hostAt is where a host is written.
type hostAt struct {
	place Place
	width int
}

// part reads a version of an included file, or returns what came of that before. m.mu is held.
func (m *Main) part(path string, v Version, full bool) *part {
	if p := m.parts[path]; p != nil && p.version.Text == v.Text && p.version.Missing == v.Missing && p.version.Read == v.Read && !full &&
		(len(p.errs) == 0 || p.strict == (m.o.Strict && !v.Proven)) {
		return p
	}
	name := m.Call(path)
	p := &part{version: v, strict: m.o.Strict && !v.Proven, src: newSource(name, []byte(v.Text))}
	switch {
	case v.Missing != "":
		p.passing = true
		p.errs = Errors{{Place: Place{File: name}, Message: "the file cannot be read", Hint: v.Missing, Width: 1}}
		return p
	case full:
		p.passing = true
		p.errs = Errors{{Place: Place{File: name}, Message: "the included files have more than " + showSize(maxIncludedText) + " together", Width: 1}}
		return p
	}
	d := newDecoder(name, []byte(v.Text), m.o.Env, m.o.host)
	d.src, d.strict, d.base, d.outer, d.stem = p.src, p.strict, filepath.Dir(path), m, m.stemOf(path)
	r, err := readTop(d, []byte(v.Text), tables().included)
	p.raw, p.used, p.places, p.warnings = r, d.used, d.places, d.warnings
	maps.DeleteFunc(p.places, func(key string, _ Place) bool {
		return !strings.HasPrefix(key, "apps.") && !strings.HasPrefix(key, "pools.")
	})
	p.passing = d.lacks
	if err == nil && m.o.Also != nil {
		err, p.passing = m.o.Also(m.with(&r.Config)), true
	}
	if err != nil {
		p.errs = errorsOf(err, name)
		if e := p.errs[0]; e.Hint == emptyHint {
			e.Hint = "delete it to take its sites out"
		}
		return p
	}
	p.claims = d.claims(&p.raw)
	for _, c := range p.claims {
		p.names = append(p.names, c.name())
	}
	return p
}

// with is a file's own part as a configuration.
func (m *Main) with(r *Config) *Config {
	c := m.whole.Config
	c.Apps, c.Pools, c.Sites = r.Apps, r.Pools, r.Sites
	return &c
}

// errorsOf makes errors with places of what is wrong with a file.
func errorsOf(err error, name string) Errors {
	switch e := err.(type) {
	case Errors:
		return e
	case *Error:
		return Errors{e}
	case interface{ Unwrap() []error }:
		var all Errors
		for _, one := range e.Unwrap() {
			all = append(all, errorsOf(one, name)...)
		}
		return all
	}
	return Errors{{Place: Place{File: name}, Message: shorten(err.Error()), Width: 1}}
}

// stemOf is what names a file's own things that nobody gives a name: the same whatever other files there are.
func (m *Main) stemOf(path string) string {
	rel, err := filepath.Rel(filepath.Dir(m.file.Path), path)
	if err != nil {
		rel = path
	}
	stem := []byte(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
	for i, c := range stem {
		if !nameForm().Match([]byte{c | 0x20}) {
			stem[i] = '_'
		} else if c >= 'A' && c <= 'Z' {
			stem[i] = c | 0x20
		}
	}
	return fmt.Sprintf("%s-%04x.", stem[:min(len(stem), 24)], crc32.ChecksumIEEE([]byte(rel))&0xffff)
}

// finishIncluded is resolve for a file that is included: what it does not have itself, it may have from the configuration's
// own file, and from no other.
func (d *decoder) finishIncluded(at value, given map[string]value, r *raw, own poolDraft, usual App, caching CachePolicy) {
	outer := &d.outer.whole
	if len(given) == 0 || len(r.Apps)+len(r.pools)+len(r.Sites) == 0 && len(d.errs) == 0 {
		d.failKey(at, "there is nothing in this file", "write sites:, apps: or pools:, or delete the file to take its sites out")
		return
	}
	r.RunDir, r.Zone, r.Cache = outer.RunDir, outer.Zone, outer.Cache
	d.checkListen(outer.Listen)
	d.finishTracks(r)
	d.gatherPools(r, own)
	d.gatherCGI(r, own, usual)
	d.followPools(given, r)
	d.followTCP(r)
	d.followBackups(r)
	for _, p := range r.Pools {
		p.Zone = r.Zone
	}
	for _, a := range r.Apps {
		if longest := len("/" + a.Name + workerSocket); a.Socket && len(r.RunDir)+longest > maxSocketPath {
			d.failAt(a.Place, len(a.Name), "the name of the app is too long for sockets in "+r.RunDir, "use one of at most "+itoa(max(1, maxSocketPath-len(r.RunDir)-longest+len(a.Name)))+" letters")
		}
	}
	d.needCache(r)
	r.findCache(&caching)
	d.hideCache(r)
	if len(r.Sites) == 0 && len(r.Apps) > 0 {
		d.warnAt(r.Apps[0].Place, len(r.Apps[0].Name), "no site leads to the app "+r.Apps[0].Name, "write sites: in this file: others do not know the app")
	}
}

// needCache looks for cache policies where there is no cache: if a file could bring one, it would change all other sites.
func (d *decoder) needCache(r *raw) {
	if r.Cache != nil {
		return
	}
	for _, s := range r.Sites {
		for _, route := range s.Routes {
			if route.Cache != nil && !route.Cache.Off {
				d.failAt(route.Place, 1, "a cache policy, and there is no cache", "write cache: {} in "+d.outer.path+", or take the policy out")
				return
			}
		}
	}
}
