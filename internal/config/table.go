package config

import (
	"math"
	"net/netip"
	"sync"
	"time"
)

// tables is the description of the whole file. It is built once and does not change.
var tables = sync.OnceValue(func() *wholeTable {
	t := &table{}
	w := &wholeTable{}
	w.top = topObject(t, w)
	w.objects = t.objects
	return w
})

type wholeTable struct {
	top      *object[raw]
	included *object[raw]
	objects  []*info
}

// raw is a configuration before its names are resolved.
type raw struct {
	Config
	pools []*poolDraft
	tcp   []*tcpDraft
	admin *adminDraft
	store Cache // what stands for the cache that nobody wrote down
}

const noLimit = math.MaxInt32

func topObject(t *table, w *wholeTable) *object[raw] {
	o := newObject[raw](t, "configuration", "a configuration", "The whole file.")
	listen, apps, pools, sites := listenObject(t), appObject(t), poolObject(t), siteObject(t)
	store, caching := cacheObject(t), cachePolicy(t)
	one := short(listen.kind(), list(listenKind(), "an address, or a list of them", true, false), true,
		func(_ *decoder, _ value, got []Listen) listening { return listening{http: got} })
	addTo(o, "listen", one, func(r *raw, l listening) { r.Listen, r.ProxyProtocol = l.http, l.proxy }, `":8080"`,
		"Where weir accepts plain HTTP.")
	add(o, "include", pointer(includeKind(t)), func(r *raw) **Include { return &r.Include }, "",
		"Files with more apps, pools and sites: one that is added starts a site, one that is changed reloads just that, one that is removed stops it.")
	appsKind := named(apps, "an app", func(a *App, name string, p Place) { a.Name, a.Place = name, p })
	add(o, "apps", appsKind, func(r *raw) *[]*App { return &r.Apps }, "", "Commands that weir runs as workers, by name.")
	poolsKind := named(pools, "a pool", func(p *poolDraft, name string, at Place) { p.Name, p.Place = name, at })
	add(o, "pools", poolsKind, func(r *raw) *[]*poolDraft { return &r.pools }, "(each app has a pool of its name)",
		"Servers among which requests are balanced, by name.")
	sitesKind := list(convert(sites.kind(), func(s siteDraft) *Site { return &s.Site }), "a list of sites, each with hosts: and routes:", false, true)
	add(o, "sites", sitesKind, func(r *raw) *[]*Site { return &r.Sites }, "(every host goes to the one app or pool there is, unless files are included)",
		"Host names and their routes.")
	add(o, "tcp", list(convert(tcpObject(t).kind(), func(e tcpDraft) *tcpDraft { return &e }), "a list of entries, each with listen: and pool:", false, true),
		func(r *raw) *[]*tcpDraft { return &r.tcp }, "", "Addresses at which weir passes bytes on without reading them, for databases and for TLS that servers end themselves.")
	add(o, "trusted_proxies", list(prefixKind(), "a list of addresses and networks", true, true),
		func(r *raw) *[]netip.Prefix { return &r.TrustedProxies }, "[]",
		"Whose X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Forwarded and X-Request-ID are believed, and whose word on whether a trace is sampled.")
	add(o, "zone", zoneKind(), func(r *raw) *string { return &r.Zone }, "",
		"Where this weir stands. Servers of the same zone are preferred, as long as at least half of them are open.")
	add(o, "cache", pointer(mapped(store.kind(), "write {memory: 512MiB}, or take it out for no cache")), func(r *raw) **Cache { return &r.Cache }, "", "The shared cache.")
	add(o, "log", mapped(logObject(t).kind(), "write {access: stdout}"), func(r *raw) *Log { return &r.Log }, "", "What is written where.")
	add(o, "admin", pointer(mapped(adminObject(t).kind(), "write {listen: 127.0.0.1:9190}, or {} for just that")), func(r *raw) **adminDraft { return &r.admin }, "",
		"The status page, its API and metrics. Without it there are none at an address; alerts, availability, metrics and traces work all the same.")
	add(o, "traces", pointer(mapped(tracesObject(t).kind(), "write {to: http://127.0.0.1:4318}")), func(r *raw) **Traces { return &r.Traces }, "",
		"Of which requests a collector of traces is told.")
	add(o, "alerts", pointer(mapped(alertsObject(t).kind(), "write {targets: {ops: {email: ops@example.com}}}")), func(r *raw) **Alerts { return &r.Alerts }, "",
		"Of what somebody is told, and how.")
	add(o, "availability", availabilityKind(t), func(r *raw) **Availability { return &r.Availability }, "",
		"How long sites may be down in a calendar month, by host: {www.example.com: 45m}. `weir downtime` and the status page hold what happened against it. errors: 50% "+
			"is the share of errors in a minute from which a site counts as down.")
	add(o, "limits", limitsObject(t).kind(), func(r *raw) *Limits { return &r.Limits }, "",
		"Bounds on what a client can make grow.")
	add(o, "timeouts", timeoutsObject(t).kind(), func(r *raw) *Timeouts { return &r.Timeouts }, "",
		"Time limits towards clients.")
	add(o, "run_dir", pathKind("the path of a directory"), func(r *raw) *string { return &r.RunDir },
		"(/run/weir for root, else $XDG_RUNTIME_DIR/weir, else weir-UID in the directory for temporary files)",
		"Where weir's and its workers' Unix sockets are. The flag --run-dir wins over it.")
	add(o, "chaos", convert(enumKind("forbid", "allow"), func(s string) bool { return s == "allow" }), func(r *raw) *bool { return &r.Chaos }, "forbid",
		"Whether `weir chaos` may make faults on purpose: kill workers and edges, slow answers down, answer with errors.")
	add(o, "metrics", pointer(mapped(metricsObject(t).kind(), `write {listen: "127.0.0.1:8125"}, or {graphite: "10.0.0.3:2003"}`)), func(r *raw) **Metrics { return &r.Metrics }, "",
		"Numbers beside those at /metrics of the status page: apps' own, and weir's for others.")
	o.zero.store = store.zero
	o.done = func(d *decoder, at value, given map[string]value, r *raw) {
		d.resolve(at, given, r, pools.zero, apps.zero, caching.zero)
	}
	f := newObject[raw](t, "included_file", "an included file", "A file that include: names. Relative paths in it begin at its own folder. It may name the apps and pools of the "+
		"configuration's own file, and not those of other included files; names are for all files together.")
	add(f, "apps", appsKind, func(r *raw) *[]*App { return &r.Apps }, "", "Commands that weir runs as workers, by name.")
	add(f, "pools", poolsKind, func(r *raw) *[]*poolDraft { return &r.pools }, "(each app has a pool of its name)",
		"Servers among which requests are balanced, by name.")
	add(f, "sites", sitesKind, func(r *raw) *[]*Site { return &r.Sites }, "", "Host names and their routes.")
	f.zero.store = store.zero
	f.done = func(d *decoder, at value, given map[string]value, r *raw) {
		d.finishIncluded(at, given, r, pools.zero, apps.zero, caching.zero)
	}
	w.included = f
	return o
}

type listening struct {
	http  []Listen
	proxy *ProxyProtocol
}

func listenObject(t *table) *object[listening] {
	o := newObject[listening](t, "listen", "listen", "Where weir accepts connections.")
	add(o, "http", list(listenKind(), "an address, or a list of them", true, false),
		func(l *listening) *[]Listen { return &l.http }, `":8080"`, "Addresses for plain HTTP.")
	o.later("https", "TLS and certificates")
	add(o, "proxy_protocol", pointer(mapped(proxyProtocolObject(t).kind(), "write {from: [10.0.0.7]}, with the addresses of the balancers that speak it")),
		func(l *listening) **ProxyProtocol { return &l.proxy }, "", "Who tells whose connections they pass on. Without it: nobody.")
	return o
}

// MaxHead is how large limits.head may be in bytes: a head has to fit into one buffer.
const MaxHead = 96 << 10

func limitsObject(t *table) *object[Limits] {
	o := newObject[Limits](t, "limits", "limits", "Bounds on what a client can make grow.")
	add(o, "request_line", sizeKind[int](64, MaxHead), func(l *Limits) *int { return &l.RequestLine }, "8KiB",
		"The request line; a longer one gets 414.")
	add(o, "head", sizeKind[int](256, MaxHead), func(l *Limits) *int { return &l.Head }, "32KiB",
		"The request line and all fields; a larger head gets 431.")
	add(o, "fields", intKind(1, 10000), func(l *Limits) *int { return &l.Fields }, "100",
		"Field lines in a head; more get 431.")
	add(o, "body", sizeKind[int64](0, 1<<50), func(l *Limits) *int64 { return &l.Body }, "1GiB",
		"A request's body; a larger one gets 413. 0: no limit. A route can have its own.")
	add(o, "connections", intKind(0, noLimit), func(l *Limits) *int { return &l.Connections }, "0",
		"Clients' connections at a time, over all addresses. 0: no limit but that on open files.")
	o.done = func(d *decoder, at value, given map[string]value, l *Limits) {
		v, ok := given["request_line"]
		if !ok {
			v, ok = given["head"]
		}
		if ok && l.RequestLine > l.Head {
			d.fail(v, "request_line ("+showSize(int64(l.RequestLine))+") is larger than head ("+showSize(int64(l.Head))+")",
				"head counts the request line too: make it larger")
		}
	}
	return o
}

func timeoutsObject(t *table) *object[Timeouts] {
	o := newObject[Timeouts](t, "timeouts", "timeouts", "Time limits towards clients.")
	low := durationKind(time.Millisecond)
	add(o, "head", low, func(t *Timeouts) *time.Duration { return &t.Head }, "10s",
		"From the first byte of a request's head to its last; then 408.")
	add(o, "body", low, func(t *Timeouts) *time.Duration { return &t.Body }, "30s",
		"Without a byte while a request's body is received; then 408.")
	add(o, "send", low, func(t *Timeouts) *time.Duration { return &t.Send }, "30s",
		"Without a byte taken by the client while a response is sent.")
	add(o, "idle", low, func(t *Timeouts) *time.Duration { return &t.Idle }, "60s",
		"A kept connection between two requests.")
	add(o, "drain", durationKind(0), func(t *Timeouts) *time.Duration { return &t.Drain }, "30s",
		"For requests under way when weir stops.")
	add(o, "hard_stop", durationKind(0), func(t *Timeouts) *time.Duration { return &t.HardStop }, "10m",
		"For what a process that weir upgrade has replaced still has: long transfers, WebSockets, idle connections.")
	return o
}

// named is a mapping from names to objects, in the order of the file.
func named[T any](o *object[T], what string, name func(*T, string, Place)) kind[[]*T] {
	words := "a mapping from names to " + what[2:] + "s"
	if what[:2] == "an" {
		words = "a mapping from names to " + what[3:] + "s"
	}
	s := &shape{Type: "object", Additional: o.kind().shape, PropertyNames: &shape{Pattern: nameForm().String()}}
	return kind[[]*T]{words: words, shape: s, read: func(d *decoder, v value) ([]*T, bool) {
		write := words
		if o.such != "" {
			write += ", such as NAME: " + o.such
		}
		entries, ok := d.entries(v, write)
		var out []*T
		for _, e := range entries {
			if c := checkName(e.key.Value); c != nil {
				d.failKey(e, what+" cannot be called "+e.key.Value, c.hint)
			}
			t, _ := o.read(d, e)
			name(&t, e.key.Value, d.placeOf(e))
			out = append(out, &t) // with mistakes too: others may name it
		}
		return out, ok || v.isMap()
	}}
}
