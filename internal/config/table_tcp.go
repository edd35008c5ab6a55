package config

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// tcpDraft is an entry of tcp: before its addresses are among those that weir listens on.
type tcpDraft struct {
	TCP
	listen []Listen
	refs   []reference // to pools
}

func tcpObject(t *table) *object[tcpDraft] {
	rule := newObject[NameRule](t, "name_rule", "a rule of sni", "Which pool the sessions of some names go to.")
	name := scalar(`a name such as a.example.com, "*.example.com" or "*"`, stringShape(), func(s string) (string, *complaint) {
		if _, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
			return "", &complaint{", an address", "clients of TLS name hosts only: write a name, or else: for those that name none"}
		}
		return parseHost(s)
	})
	add(rule, "names", list(name, "a name, or a list of them", true, false), func(r *NameRule) *[]string { return &r.Names }, "",
		"Names of servers as clients ask for them; *.example.com is every name below. An exact name comes first, then the longest of the others.")
	rule.must()
	protocol := scalar("a protocol such as h2, http/1.1 or acme-tls/1", stringShape(), func(s string) (string, *complaint) {
		if s == "" || len(s) > 255 {
			return "", &complaint{}
		}
		return s, nil
	})
	add(rule, "alpn", list(protocol, "a protocol, or a list of them", true, false), func(r *NameRule) *[]string { return &r.ALPN }, "",
		"Only clients that offer one of these protocols.")
	add(rule, "pool", textKind("the name of a pool"), func(r *NameRule) *string { return &r.Pool }, "", "Where they go.")
	rule.must()

	o := newObject[tcpDraft](t, "tcp", "an entry of tcp", "An address at which weir passes bytes on, and where to.")
	add(o, "listen", list(listenKind(), "an address, or a list of them", true, false), func(e *tcpDraft) *[]Listen { return &e.listen }, "",
		"Where weir accepts such connections.")
	o.must()
	add(o, "pool", textKind("the name of a pool"), func(e *tcpDraft) *string { return &e.Pool }, "",
		"The pool, one with protocol: tcp.")
	rules := rule.kind()
	addTo(o, "sni", list(rules, "a list of rules such as {names: [a.example.com], pool: web}", false, false), func(e *tcpDraft, got []NameRule) { e.SNI = got }, "",
		"Instead of pool: by the name that a client of TLS asks for, which is read and passed on. Nothing is decrypted. The hello has to come within timeouts.head.")
	addTo(o, "else", textKind("the name of a pool, or close"), func(e *tcpDraft, s string) {
		if e.Else = s; s == "close" {
			e.Else = ""
		}
	}, "close", "With sni: the pool for other names and for clients that name none. close: they are told so, and closed; what is not TLS is closed in any case.")
	add(o, "from", list(prefixKind(), "a list of addresses and networks", true, false), func(e *tcpDraft) *[]netip.Prefix { return &e.From }, "(everybody)",
		"Who is let in; others are closed.")
	add(o, "proxy_protocol", pointer(mapped(proxyProtocolObject(t).kind(), "write {from: [10.0.0.7]}, with the addresses of the balancers that speak it")),
		func(e *tcpDraft) **ProxyProtocol { return &e.Proxy }, "", "Who tells here whose connections they pass on; what listen says of that is of HTTP. Without it: nobody.")
	o.done = (*decoder).finishTCP
	return o
}

// finishTCP looks whether an entry says one thing, and keeps the names of its pools for later.
func (d *decoder) finishTCP(at value, given map[string]value, e *tcpDraft) {
	e.Place = d.placeOf(at)
	pool, hasPool := given["pool"]
	rules, hasRules := given["sni"]
	other, hasElse := given["else"]
	switch {
	case hasPool && hasRules:
		d.failKey(rules, "tcp with both pool and sni", "write else: for what sni leads nowhere, and take pool: out")
	case !hasPool && !hasRules:
		d.failKey(at, "tcp without a pool", "write pool: with the name of a pool, or sni: with rules")
	case hasElse && !hasRules:
		d.failKey(other, "else without sni", "all go to the pool: take it out")
	}
	if hasPool && e.Pool != "" {
		e.refs = append(e.refs, reference{e.Pool, pool})
	}
	if hasElse && e.Else != "" {
		e.refs = append(e.refs, reference{e.Else, other})
	}
	if !hasRules || !rules.isList() || len(rules.node.Content) != len(e.SNI) {
		return
	}
	seen := map[string]bool{}
	for i, r := range e.SNI {
		one := elementOf(rules, i, len(e.SNI))
		if r.Pool != "" {
			e.refs = append(e.refs, reference{r.Pool, inner(one, "pool")})
		}
		for _, n := range r.Names {
			if seen[n] {
				d.fail(inner(one, "names"), "no session reaches this rule by the name "+n, "a rule before it takes them all: put this one first, or take the name out")
			}
			seen[n] = seen[n] || len(r.ALPN) == 0
		}
	}
}

// inner is the value of a key within a mapping, which stands for it where it has none.
func inner(v value, name string) value {
	if v.isMap() {
		for i := 0; i+1 < len(v.node.Content); i += 2 {
			if k := v.node.Content[i]; k.Value == name {
				return value{key: k, node: v.node.Content[i+1], path: join(v.path, name)}
			}
		}
	}
	return v
}

// has reports whether a mapping that was given has a key.
func has(given map[string]value, outer, name string) (value, bool) {
	v, ok := given[outer]
	if !ok || v.node.Kind != yaml.MappingNode {
		return v, false
	}
	in := inner(v, name)
	return in, in.node != v.node
}

// gatherTCP puts the addresses of tcp: among those that weir listens on.
func (d *decoder) gatherTCP(given map[string]value, r *raw) {
	if _, ok := given["listen"]; !ok && len(r.tcp) > 0 && onlyTCP(given, r) {
		r.Listen = nil // there is nothing for HTTP
	}
	for _, e := range r.tcp {
		for _, l := range e.listen {
			l.TCP = &e.TCP
			r.Listen = append(r.Listen, l)
		}
	}
}

func onlyTCP(given map[string]value, r *raw) bool {
	_, sites := given["sites"]
	return !sites && len(r.Apps) == 0 && !slices.ContainsFunc(r.pools, func(p *poolDraft) bool { return p.Protocol != RawTCP })
}

// followTCP finds the pools that tcp: names.
func (d *decoder) followTCP(r *raw) {
	names := make([]string, 0, len(r.Pools))
	by := make(map[string]*Pool, len(r.Pools))
	used := map[string]bool{}
	for _, p := range d.allPools(r) {
		by[p.Name] = p
		if p.Backup != "" {
			used[p.Backup] = true
		}
		if p.Protocol == RawTCP {
			names = append(names, p.Name)
		}
	}
	for _, e := range r.tcp {
		for _, ref := range e.refs {
			used[ref.name] = true
			switch p := by[ref.name]; {
			case p == nil:
				d.undefined(ref.at, "there is no pool "+ref.name, ref.name, names, "pool")
			case p.App != "":
				d.fail(ref.at, "the pool "+ref.name+" has an app's workers, which speak HTTP, and tcp passes bytes on", "lead to it by a route of a site")
			case p.Protocol != RawTCP:
				d.fail(ref.at, "the pool "+ref.name+" is for HTTP, and tcp passes bytes on", "write protocol: tcp in the pool, or lead to it by a route of a site")
			}
		}
	}
	for _, ref := range d.poolRefs {
		if p := by[ref.name]; p != nil && p.Protocol == RawTCP {
			used[ref.name] = true
			d.fail(ref.at, "the pool "+ref.name+" is for TCP, and a route is for HTTP", "lead to it from `tcp: [{listen: \":5432\", pool: "+ref.name+"}]`, or take protocol: tcp out of the pool")
		}
	}
	for _, p := range r.pools {
		if other := by[p.Backup]; other != nil && (other.Protocol == RawTCP) != (p.Protocol == RawTCP) {
			d.fail(p.backupAt, "of the pool "+p.Name+" and its backup "+p.Backup+" one is for TCP and the other for HTTP", "both have to be of one kind")
		}
		if p.Protocol == RawTCP && !used[p.Name] {
			d.warnAt(p.Place, len(p.Name), "nothing leads to the pool "+p.Name, "write `tcp: [{listen: \":5432\", pool: "+p.Name+"}]`, or take it out")
		}
	}
}

// onlyHTTP are the keys of a pool that make no sense where bytes are passed on unread, and what to write.
var onlyHTTP = []struct{ outer, name, hint string }{
	{"sticky", "", "balance: source_hash keeps a client's address at one server: write that, or take it out"},
	{"buffer", "", "bytes are passed on as they come: take it out"},
	{"keep", "", "each session has a connection of its own: take it out"},
	{"tls", "", "bytes are passed on as they are: let clients speak TLS to the servers, or take it out"},
	{"hedge", "", "only requests by HTTP are sent twice: take it out"},
	{"eject", "", "a server that takes no connection is left alone by itself, and health: finds the others: take it out"},
	{"breaker", "", "a server that takes no connection is left alone by itself: take it out"},
	{"agent", "header", "there are no fields: write port:, or take it out"},
	{"timeouts", "first_byte", "write connect: or idle:"},
	{"timeouts", "between_bytes", "write idle:"},
	{"timeouts", "request", "a session may last as long as it likes: write idle:"},
}

// finishTCPPool refuses what a pool for TCP cannot have, and what only such a one has.
func (d *decoder) finishTCPPool(given map[string]value, p *poolDraft) {
	if p.Protocol != RawTCP {
		d.refuseTCPKeys(given, p)
		return
	}
	for _, k := range onlyHTTP {
		v, ok := given[k.outer]
		name := k.outer
		if k.name != "" {
			v, ok = has(given, k.outer, k.name)
			name += "." + k.name
		}
		if k.outer == "agent" && !ok && given["agent"].node != nil && given["agent"].isScalar() {
			v, ok = given["agent"], true // its short form is the header
		}
		if ok {
			d.failKey(v, name+" in a pool for TCP", k.hint)
		}
	}
	if v, ok := has(given, "retry", "on"); ok && (p.Retry.EmptyResponse || p.Retry.Status503) {
		d.failKey(v, "retry.on in a pool for TCP has more than connect_error", "once bytes have been passed on nothing can be tried again: write [connect_error], or take it out")
	}
	p.Retry.EmptyResponse, p.Retry.Status503 = false, false
	if _, said := given["tls"]; !said && slices.ContainsFunc(p.Servers, func(s Server) bool { return s.TLS != nil }) {
		d.failKey(given["servers"], "TLS to a server of a pool for TCP", "bytes are passed on as they are: let clients speak TLS to the servers, or take it out")
	}
	if v, ok := given["balance"]; ok {
		switch p.by.method {
		case "uri_hash", "header_hash", "cookie_hash":
			d.failKey(v, p.by.method+" in a pool for TCP", "there are no requests to look into: write source_hash")
		}
		if p.by.byLatency {
			d.failKey(v, "random_two by latency in a pool for TCP", "no answers are timed: write random_two")
		}
	}
	if v, ok := given["max_conn"]; ok && p.AutoConn != nil {
		d.failKey(v, "max_conn: auto in a pool for TCP", "no answers are timed: write a number")
	}
	if h := p.health; h != nil && h.Type == "http" && h.Port == 0 && h.trackAt.node == nil {
		d.failKey(given["health"], "a check by HTTP of servers that speak TCP", "write type: tcp, tls, postgres, redis or command, or port: where something beside them answers HTTP")
	}
	p.CloseOnDown = p.health != nil && p.health.Role == Primary
	if v, ok := given["on_down"]; ok && !v.void {
		p.CloseOnDown = p.onDown == "close"
		if p.health == nil && p.CloseOnDown {
			d.failKey(v, "on_down: close without health", "only a check closes a server: write health:, or take it out")
		}
	}
	p.Keep = 0
}

// refuseTCPKeys refuses what only a pool for TCP can have.
func (d *decoder) refuseTCPKeys(given map[string]value, p *poolDraft) {
	const hint = "take it out, or write protocol: tcp in the pool"
	if v, ok := given["on_down"]; ok {
		d.failKey(v, "on_down in a pool for HTTP", hint)
	}
	if v, ok := has(given, "timeouts", "idle"); ok {
		d.failKey(v, "timeouts.idle in a pool for HTTP", "write between_bytes:, or protocol: tcp in the pool")
	}
	if h := p.health; h != nil && h.Role != "" {
		d.failKey(given["health"], "a check of type "+h.Type+" in a pool for HTTP", "write type: http, or protocol: tcp in the pool")
	}
}

// addTCPKeys gives a pool the keys that only one for TCP has.
func addTCPKeys(o *object[poolDraft]) {
	add(o, "on_down", enumKind("keep", "close"), func(p *poolDraft) *string { return &p.onDown }, "(close where health asks for the primary, else keep)",
		"For TCP: what becomes of the sessions at a server whose check fails, or which is not the primary any more. Those of one in maint are closed.")
}

// addDatabaseKeys gives checks their keys about databases.
func addDatabaseKeys(o *object[healthDraft]) {
	add(o, "role", enumKind(Primary, Replica, AnyRole), func(h *healthDraft) *string { return &h.role }, "primary",
		"Of postgres and redis checks: what the server has to be. primary: it takes writes, and of several that say so one is used. replica: it follows "+
			"another. any: it answers.")
	add(o, "user", textKind("the name of a role"), func(h *healthDraft) *string { return &h.User }, "",
		"Of postgres and redis checks: who asks. PostgreSQL tells its role only to those who log in; no rights are needed.")
	add(o, "password", textKind("text, as in ${CHECK_PASSWORD}"), func(h *healthDraft) *string { return &h.Password }, "",
		"Of postgres and redis checks: for servers that ask for one (PostgreSQL: scram-sha-256 or md5).")
	add(o, "database", textKind("the name of a database"), func(h *healthDraft) *string { return &h.Database }, "postgres",
		"Of a postgres check: where to log in.")
}

// finishDatabase looks whether a check of a database knows all it needs.
func (d *decoder) finishDatabase(given map[string]value, h *healthDraft) {
	if h.Type != "postgres" && h.Type != "redis" {
		h.User, h.Password, h.Database = "", "", ""
		return
	}
	h.Role = h.role
	_, user := given["user"]
	if v, ok := given["password"]; ok && h.Type == "postgres" && !user {
		d.failKey(v, "password without user", "write user: too")
		return
	}
	if h.Type == "redis" {
		h.Database = ""
		return
	}
	if !user && h.Role != AnyRole {
		at, ok := given["role"]
		if !ok {
			at = given["type"]
		}
		d.failKey(at, "a postgres check for the "+h.Role+" without user", "PostgreSQL tells its role only to those who log in: write user: (and password:, if it asks for one), or role: any")
	}
}

// sessionIdle is how long a session of TCP may be silent unless it is said.
func addSessionIdle(o *object[PoolTimeouts]) {
	add(o, "idle", durationKind(0), func(t *PoolTimeouts) *time.Duration { return &t.Idle }, "1h",
		"For TCP: without a byte in either direction.")
}

// onlyForTCP looks at a file without anything for HTTP.
func (d *decoder) onlyForTCP(at value, r *raw) {
	if len(r.tcp) == 0 {
		d.failKey(at, "there is nothing to serve", "write from where the pool is reached, as in `tcp: [{listen: \":5432\", pool: "+r.Pools[0].Name+"}]`")
	}
}
