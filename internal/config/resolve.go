package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

var answers = []string{"pool", "files", "redirect", "respond", "cgi", "monitor"}

// finishRoute looks for exactly one answer.
func (d *decoder) finishRoute(at value, given map[string]value, r *Route) {
	r.Place = d.placeOf(at)
	var found []value
	for _, a := range answers {
		if v, ok := given[a]; ok {
			found = append(found, v)
		}
	}
	slices.SortFunc(found, func(a, b value) int {
		if d.placeOf(a).before(d.placeOf(b)) {
			return -1
		}
		return 1
	})
	switch {
	case len(found) == 0:
		d.failKey(at, "a route without an answer", "write one of "+oneOf(answers))
	case len(found) > 1:
		d.failKey(found[1], "a route with two answers, "+found[0].name()+" and "+found[1].name(), "take one out, or make two routes")
	}
	if r.CGI != nil && r.Pool == "" {
		d.takeCGI(r)
	} else if v, ok := given["pool"]; ok && r.Pool != "" {
		d.poolRefs = append(d.poolRefs, reference{r.Pool, v})
	}
	if v, ok := given["cache"]; ok && r.Cache != nil && !r.Cache.Off && r.Pool == "" && len(found) > 0 {
		d.failKey(v, "a cache for "+found[0].name(), "only what a pool answers is cached: take it out")
	}
	if v, ok := given["priority"]; ok && r.Pool == "" && len(found) > 0 {
		d.failKey(v, "a priority for "+found[0].name(), "only requests to a pool wait in a queue: take it out")
	}
	if v, ok := given["name"]; ok && r.Name != "" {
		if first, twice := d.routeNames[r.Name]; twice {
			d.fail(v, "two routes with the name "+r.Name, "the first is in line "+itoa(first.Line))
		} else {
			d.routeNames[r.Name] = r.Place
		}
	}
}

// finishSite gives routes their names and the site's headers, and looks for what cannot be reached.
func (d *decoder) finishSite(at value, given map[string]value, s *siteDraft) {
	s.Place = d.placeOf(at)
	for i, h := range s.Hosts {
		if first, twice := d.hosts[h]; twice {
			v := given["hosts"]
			if v.isList() && i < len(v.node.Content) && len(s.Hosts) == len(v.node.Content) {
				v = value{node: v.node.Content[i], path: v.path}
			}
			if first == s.Place {
				d.fail(v, "the host "+h+" is in the site twice", "take one out")
			} else {
				d.fail(v, "the host "+h+" is in two sites", "the other begins in line "+itoa(first.Line))
			}
			continue
		}
		d.hosts[h] = s.Place
		d.hostAt[h] = d.whereIs(given["hosts"], i, len(s.Hosts))
	}
	all := -1
	for i, r := range s.Routes {
		if r.Name == "" && len(s.Hosts) > 0 {
			r.Name = s.Hosts[0] + "#" + strconv.Itoa(i+1)
		}
		r.Headers = s.headers.with(r.Headers)
		if r.Cache == nil {
			r.Cache = s.cache
		}
		if r.Compress == nil {
			r.Compress = s.encode
		}
		if r.Pool == "" || r.Compress != nil && len(r.Compress.Codings) == 0 {
			r.Compress = nil
		}
		if r.ESI == nil {
			r.ESI = s.include
		}
		if r.Pool == "" || r.ESI != nil && r.ESI.Off {
			r.ESI = nil
		}
		if all >= 0 {
			d.warnAt(r.Place, 1, "no request reaches this route",
				"the one in line "+itoa(s.Routes[all].Place.Line)+" takes them all; put this one before it")
			continue
		}
		if r.Match.everything() {
			all = i
		}
	}
}

// whereIs is where one of n hosts is written.
func (d *decoder) whereIs(v value, i, n int) hostAt {
	if v.node == nil {
		return hostAt{}
	}
	node := elementOf(v, i, n).node
	return hostAt{d.place(node), widthOf(node)}
}

// with is a site's headers and its route's; where both speak of a field, the route wins.
func (h Headers) with(r Headers) Headers {
	if len(h.Set)+len(h.Remove) == 0 {
		return r
	}
	if len(r.Set)+len(r.Remove) == 0 {
		return h
	}
	var out Headers
	for _, f := range h.Set {
		same := func(name string) bool { return strings.EqualFold(name, f.Name) }
		if !slices.ContainsFunc(r.Set, func(o NameValue) bool { return same(o.Name) }) && !slices.ContainsFunc(r.Remove, same) {
			out.Set = append(out.Set, f)
		}
	}
	out.Set = append(out.Set, r.Set...)
	out.Remove = append(slices.Clone(h.Remove), r.Remove...)
	return out
}

// resolve fills in what depends on the whole file and follows names. It is done last. own is a pool about which
// nothing is said, usual such an app.
func (d *decoder) resolve(at value, given map[string]value, r *raw, own poolDraft, usual App, caching CachePolicy) {
	if _, ok := given["listen"]; !ok {
		r.Listen = slices.Clone(r.Listen)
		for i := range r.Listen {
			r.Listen[i].Place = Place{File: d.src.name}
		}
	}
	d.gatherTCP(given, r)
	d.gatherAdmin(r)
	d.checkMetrics(given, r)
	d.checkAvailability(r)
	d.checkListen(r.Listen)
	d.finishTracks(r)
	d.gatherPools(r, own)
	d.checkSubjects(r)
	d.gatherCGI(r, own, usual)
	d.defaultSite(at, given, r)
	d.followPools(given, r)
	d.followTCP(r)
	d.followBackups(r)
	for _, p := range r.Pools {
		p.Zone = r.Zone
	}
	d.findRunDir(given, r)
	r.findCache(&caching)
	d.idleCache(given, r)
	d.hideCache(r)
}

// idleCache looks for a cache that no route uses.
func (d *decoder) idleCache(given map[string]value, r *raw) {
	v, ok := given["cache"]
	if !ok || r.Cache == nil || r.Include != nil {
		return
	}
	for _, s := range r.Sites {
		for _, route := range s.Routes {
			if route.Cache != nil {
				return
			}
		}
	}
	d.warn(v, "no route uses the cache", "take cache: off away where a pool answers, or take this out")
}

// hideCache sees to it that no route serves the files of the cache, which hold what others got.
func (d *decoder) hideCache(r *raw) {
	if r.Cache == nil || r.Cache.Disk == nil || r.Cache.Disk.Path == "" {
		return
	}
	dir := filepath.Clean(r.Cache.Disk.Path)
	for _, s := range r.Sites {
		for _, route := range s.Routes {
			if route.Files == nil || route.Files.Root == "" {
				continue
			}
			if rel, err := filepath.Rel(route.Files.Root, dir); err == nil && filepath.IsLocal(rel) {
				if d.outer != nil {
					d.failAt(route.Place, 1, "the route serves files of "+route.Files.Root+", where the cache's directory "+dir+" is", "write a folder that it is not in")
					return
				}
				d.failAt(d.places["cache.disk.path"], len("path"), "the cache's directory "+dir+" is in "+route.Files.Root+", whose files a route serves (line "+itoa(route.Place.Line)+")",
					"write one that nobody is served from")
				return
			}
		}
	}
}

// findCache gives routes without a cache policy the usual one when there is a cache, and a cache when some route has a
// policy.
func (r *raw) findCache(usual *CachePolicy) {
	keeps := false
	for _, s := range r.Sites {
		for _, route := range s.Routes {
			keeps = keeps || route.Cache != nil && !route.Cache.Off
		}
	}
	if r.Cache == nil && keeps {
		store := r.store
		store.MaxObject = store.Memory / 8
		r.Cache = &store
	}
	for _, s := range r.Sites {
		for _, route := range s.Routes {
			switch {
			case route.Pool == "" || r.Cache == nil || route.Cache != nil && route.Cache.Off:
				route.Cache = nil
			case route.Cache == nil:
				route.Cache = usual
			}
		}
	}
}

func (d *decoder) checkListen(listen []Listen) {
	seen := map[string]bool{}
	for _, l := range listen {
		key := l.socket()
		if l.Address != "" && seen[key] {
			d.failAt(l.Place, 1, "weir is told twice to listen on "+l.Address, "take one out")
		}
		seen[key] = true
		if b, taken := d.bound[key]; taken {
			d.fail(b.at, "the app "+b.app+" is told to listen on "+l.Address+", where weir listens",
				"write $PORT or $SOCKET instead: each worker has its own")
		}
	}
}

// gatherPools makes one list of the pools that are named and, for apps without a pool of their name, their own.
func (d *decoder) gatherPools(r *raw, own poolDraft) {
	names, known := make([]string, len(r.Apps)), map[string]bool{}
	for i, a := range r.Apps {
		names[i], known[a.Name] = a.Name, true
	}
	apps := r.Apps
	if d.outer != nil {
		for _, a := range d.outer.whole.Apps {
			names, known[a.Name] = append(names, a.Name), true
		}
		apps = slices.Concat(apps, d.outer.whole.Apps)
	}
	named := map[string]bool{}
	for _, p := range r.pools {
		named[p.Name] = true
		if i := slices.Index(names, p.App); i >= 0 && p.App != "" {
			d.takeProtocol(p, apps[i])
		}
		r.Pools = append(r.Pools, &p.Pool)
		if p.App != "" && !known[p.App] {
			d.undefined(p.appAt, "there is no app "+p.App, p.App, names, "app")
		}
	}
	for _, a := range r.Apps {
		if named[a.Name] {
			continue
		}
		p := own.Pool
		p.Balance = own.by.method
		p.Name, p.App, p.Own, p.Place = a.Name, a.Name, true, a.Place
		p.Buffer = own.buffer.Buffer
		p.Buffer.Requests, p.Buffer.Responses, p.Buffer.Dir = true, true, d.host.temp()
		p.Protocol, p.Script = a.Protocol, a.Script
		if !p.Protocol.HTTP() {
			p.Keep = 0
		}
		r.Pools = append(r.Pools, &p)
	}
	limits := make(map[string]time.Duration, len(apps))
	for _, a := range apps {
		limits[a.Name] = a.RequestTimeout
	}
	for _, p := range r.Pools {
		p.Timeouts.Worker = limits[p.App]
	}
}

// undefined reports a name that nothing defines.
func (d *decoder) undefined(v value, message, name string, names []string, what string) {
	hint := ""
	if !d.full() {
		hint = definedHint(name, names, what)
	}
	d.fail(v, message, hint)
}

func definedHint(name string, names []string, what string) string {
	if n := Nearest(name, names); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	if len(names) == 0 {
		return "define it under " + what + "s:"
	}
	if len(names) > 20 {
		return "there are " + itoa(len(names)) + " of them, none with a name like it"
	}
	return "there is " + strings.Join(names, ", ")
}

// defaultSite sends every host to the one app or pool there is, when the file says nothing of sites.
func (d *decoder) defaultSite(at value, given map[string]value, r *raw) {
	if v, ok := given["sites"]; ok && !v.isNull() {
		if !v.void && v.isList() && len(v.node.Content) == 0 && r.Include == nil {
			d.fail(v, "sites is empty", "write a site, or take sites out")
		}
		return
	}
	pools := slices.DeleteFunc(slices.Clone(r.Pools), func(p *Pool) bool { return p.Protocol == RawTCP })
	if len(pools) == 0 && len(r.Pools)+len(r.tcp) > 0 && r.Include == nil {
		d.onlyForTCP(at, r)
		return
	}
	if len(r.pools) > 0 {
		// An app that a named pool already serves is not a second thing to choose from.
		served := map[string]bool{}
		for _, p := range r.pools {
			served[p.App] = true
		}
		pools = slices.DeleteFunc(pools, func(p *Pool) bool { return p.Own && served[p.App] })
	}
	switch {
	case r.Include != nil && len(pools) == 1 && pools[0].Own:
		// The sites are in other files, and lead to this one. That it should answer every host besides, nobody has said.
		d.warnAt(pools[0].Place, len(pools[0].Name), "no site of this file leads to "+pools[0].Name+", as one does by itself without include",
			"write sites:, or sites: [] if only those of included files are to")
	case r.Include != nil:
	case len(pools) == 1:
		place := pools[0].Place
		route := Route{Name: "*#1", Place: place, Body: -1, Pool: pools[0].Name}
		r.Sites = []*Site{{Hosts: []string{"*"}, Routes: []*Route{&route}, Place: place}}
	case len(pools) == 0 && len(given) == 0:
		d.failKey(at, "there is nothing to serve", emptyHint)
	case len(pools) == 0:
		if _, apps := given["apps"]; !apps {
			d.failKey(at, "there is nothing to serve", "write apps:, or sites: with what answers")
		} else if given["apps"].isNull() || given["apps"].isMap() && len(given["apps"].node.Content) == 0 {
			d.failKey(given["apps"], "apps is empty", emptyHint)
		}
	case d.full():
		d.left++
	default:
		names := make([]string, len(pools))
		for i, p := range pools {
			names[i] = p.Name
		}
		d.failKey(at, "there are "+itoa(len(pools))+" apps and pools ("+strings.Join(names, ", ")+") and no sites",
			"write which host goes where, as in `sites: [{hosts: [example.com], routes: [{pool: "+names[0]+"}]}]`")
	}
}

// followPools finds the pools that routes name, and those that none names.
func (d *decoder) followPools(given map[string]value, r *raw) {
	pools := d.allPools(r)
	names := make([]string, len(pools))
	known := make(map[string]bool, len(pools))
	for i, p := range pools {
		names[i] = p.Name
		known[p.Name] = true
	}
	used := map[string]bool{}
	for _, p := range r.Pools {
		used[p.Backup] = true
	}
	for _, ref := range d.poolRefs {
		used[ref.name] = true
		if !known[ref.name] {
			d.undefined(ref.at, "there is no pool or app "+ref.name, ref.name, names, "pool")
		}
	}
	if _, ok := given["sites"]; !ok || r.Include != nil {
		return // those of included files may lead there
	}
	for _, p := range r.Pools {
		if !p.Own && !used[p.Name] && p.Protocol != RawTCP {
			d.warnAt(p.Place, len(p.Name), "no route leads to the pool "+p.Name, "write pool: "+p.Name+" in a route, or take it out")
		}
	}
}

// allPools are those of the file and, of an included one, those of the file that includes it.
func (d *decoder) allPools(r *raw) []*Pool {
	if d.outer == nil {
		return r.Pools
	}
	return slices.Concat(r.Pools, d.outer.whole.Pools)
}

// workerSocket is the longest that a worker's number can be in the name of its socket.
const workerSocket = "-1000.1234567890.sock"

// maxRunDir is the longest path of a run directory in bytes, for the sockets in it: weir's own, such as "/weir.sock",
// and those of workers, such as "/web-1000.1234567890.sock".
func (c *Config) maxRunDir() int {
	longest := len("/weir.sock")
	for _, a := range c.Apps {
		if a.Socket {
			longest = max(longest, len("/"+a.Name+workerSocket))
		}
	}
	return maxSocketPath - longest
}

func (d *decoder) findRunDir(given map[string]value, r *raw) {
	if r.RunDir == "" {
		r.RunDir = d.defaultRunDir()
	}
	if v, ok := given["run_dir"]; ok && len(r.RunDir) > r.maxRunDir() {
		d.fail(v, "the path of the run directory has "+itoa(len(r.RunDir))+" bytes, which is too long for sockets in it",
			"use at most "+itoa(r.maxRunDir()))
	}
}

func (d *decoder) defaultRunDir() string {
	if d.host.uid() == 0 {
		return "/run/weir"
	}
	if dir, ok := d.env("XDG_RUNTIME_DIR"); ok && filepath.IsAbs(dir) {
		d.used["XDG_RUNTIME_DIR"] = dir
		return filepath.Join(dir, "weir")
	}
	return filepath.Join("/tmp", "weir-"+strconv.Itoa(d.host.uid()))
}

// checkFolderOf looks for the directory that a file is to be in.
func (d *decoder) checkFolderOf(v value, file string) {
	dir := filepath.Dir(file)
	if info, err := d.host.stat(dir); err != nil {
		d.lacking(v, "the directory "+dir+" cannot be used: "+reason(err), "make it, or write another")
	} else if !info.IsDir() {
		d.lacking(v, dir+" is no directory", "write another")
	}
	if info, err := d.host.stat(file); err == nil && info.IsDir() {
		d.lacking(v, file+" is a directory", "write the path of a file")
	}
}
