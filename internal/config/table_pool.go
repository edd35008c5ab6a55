package config

import (
	"strings"
	"time"
)

// poolDraft is a pool before it is known which switches of its buffer nobody touched.
type poolDraft struct {
	Pool
	buffer            bufferDraft
	appAt             value // where its app is named
	backupAt          value
	by                balancing
	health            *healthDraft
	keeps             bool // keep is given
	keepAt            value
	healthAt, hedgeAt value
	onDown            string // as it was written
}

// balancing is the method and what belongs to it.
type balancing struct {
	method, hashOf string
	byLatency      bool
}

type bufferDraft struct {
	Buffer
	requests, responses *bool
}

func poolObject(t *table) *object[poolDraft] {
	o := newObject[poolDraft](t, "pool", "a pool", "Servers among which requests are balanced: an app's workers, or fixed addresses.")
	add(o, "app", textKind("the name of an app"), func(p *poolDraft) *string { return &p.App }, "",
		"The app whose workers are the servers.")
	add(o, "servers", list(serverKind(t), "a list of addresses", false, false), func(p *poolDraft) *[]Server { return &p.Servers }, "",
		"The servers, when they are no app of this weir.")
	add(o, "balance", balanceKind(), func(p *poolDraft) *balancing { return &p.by },
		"least_conn", "Which server is next. round_robin: each in turn. least_conn: the one with the fewest requests under way. "+
			"random_two: of two drawn at random the one with fewer; {random_two: latency} takes the faster one of equals. The others keep what has "+
			"one key at one server, as long as that has not much more to do than the rest: source_hash the client's address, uri_hash the path and "+
			"the query ({uri_hash: path}: the path), {header_hash: NAME} a field, {cookie_hash: NAME} a cookie. Weights count in all.")
	add(o, "sticky", pointer(stickyObject(t).kind()), func(p *poolDraft) **Sticky { return &p.Sticky }, "",
		"Keeps the requests of one session at one server.")
	add(o, "backup", textKind("the name of a pool"), func(p *poolDraft) *string { return &p.Backup }, "",
		"The pool that requests go to while no server of this one is open.")
	addMaxConn(t, o)
	add(o, "queue", queueObject(t).kind(), func(p *poolDraft) *Queue { return &p.Queue }, "",
		"Requests that wait for a place at a server.")
	add(o, "retry", retryObject(t).kind(), func(p *poolDraft) *Retry { return &p.Retry }, "",
		"When a request is tried again at another server.")
	add(o, "breaker", pointer(breakerObject(t).kind()), func(p *poolDraft) **Breaker { return &p.Breaker }, "",
		"When the pool is asked nothing for a while. Without it: never.")
	add(o, "hedge", pointer(hedgeKind(t)), func(p *poolDraft) **Hedge { return &p.Hedge }, "",
		"When a request is sent to a second server too. Without it: never.")
	add(o, "buffer", bufferKind(t), func(p *poolDraft) *bufferDraft { return &p.buffer }, "",
		"What weir takes over from clients and servers, so that a slow client holds no worker. Only true or false for both ways.")
	add(o, "timeouts", poolTimeoutsObject(t).kind(), func(p *poolDraft) *PoolTimeouts { return &p.Timeouts }, "",
		"Time limits towards servers. 0s: none.")
	add(o, "keep", intKind(0, 1<<16), func(p *poolDraft) *int { return &p.Keep }, "64",
		"Idle connections that are kept, for each server and each of weir's loops. 0 when it is not said and the servers do not speak HTTP.")
	add(o, "protocol", protocolKind(protocolNames...), func(p *poolDraft) *Protocol { return &p.Protocol }, "http1",
		"What the servers speak: HTTP/1.1, FastCGI (as PHP-FPM does), uwsgi or SCGI; tcp: anything, and weir passes it on unread, from the "+
			"addresses in tcp. An app says it for its workers.")
	addTCPKeys(o)
	add(o, "fastcgi", pointer(scriptObject(t).kind()), func(p *poolDraft) **Script { return &p.Script }, "",
		"Which program FastCGI servers run for a path.")
	addHealth(t, o)
	o.done = (*decoder).finishPool
	return o
}

func serverKind(t *table) kind[Server] {
	o := newObject[Server](t, "server", "a server", "One server of a pool.")
	add(o, "address", serverAddressKind(), func(s *Server) *string { return &s.Address }, "",
		"Its host and port, or unix: and the path of its socket. A name is looked up again as it changes.")
	o.must()
	add(o, "weight", intKind(0, 1000), func(s *Server) *int { return &s.Weight }, "1",
		"Its share of the requests, against the others' weights. 0: only those whose session is there.")
	add(o, "backup", boolKind(), func(s *Server) *bool { return &s.Backup }, "false",
		"It is used while no other server of the pool is open.")
	add(o, "zone", zoneKind(), func(s *Server) *string { return &s.Zone }, "",
		"Where it stands. Servers in the zone that the file names for weir are preferred, as long as at least half of them are open.")
	return short(o.kind(), serverAddressKind(), false, func(_ *decoder, _ value, address string) Server {
		return Server{Address: address, Weight: 1}
	})
}

func bufferKind(t *table) kind[bufferDraft] {
	o := newObject[bufferDraft](t, "buffer", "buffer", "What weir takes over from clients and servers, so that a slow client holds "+
		"no worker. Event streams, upgrades and responses with X-Accel-Buffering: no go straight through.")
	add(o, "requests", pointer(boolKind()), func(b *bufferDraft) **bool { return &b.requests }, "(true for an app's pool)",
		"A request's body is collected before a server is picked.")
	add(o, "responses", pointer(boolKind()), func(b *bufferDraft) **bool { return &b.responses }, "(true for an app's pool)",
		"A response is taken as fast as the server gives it.")
	add(o, "memory", sizeKind[int64](0, 1<<40), func(b *bufferDraft) *int64 { return &b.Memory }, "1MiB", "Of one body in memory.")
	add(o, "file", sizeKind[int64](0, 1<<50), func(b *bufferDraft) *int64 { return &b.File }, "1GiB",
		"Of one body in an unlinked temporary file beyond that.")
	add(o, "dir", directoryKind(), func(b *bufferDraft) *string { return &b.Dir }, "(/var/tmp)", "Where those files are.")
	return short(o.kind(), boolKind(), false, func(_ *decoder, _ value, both bool) bufferDraft {
		b := o.zero
		b.requests, b.responses = &both, &both
		return b
	})
}

func poolTimeoutsObject(t *table) *object[PoolTimeouts] {
	o := newObject[PoolTimeouts](t, "pool_timeouts", "timeouts of a pool", "Time limits towards servers. 0s: none.")
	k := durationKind(0)
	add(o, "connect", k, func(t *PoolTimeouts) *time.Duration { return &t.Connect }, "2s", "Until a connection stands.")
	add(o, "first_byte", k, func(t *PoolTimeouts) *time.Duration { return &t.FirstByte }, "60s",
		"From the end of the request to the first byte of the response; then 504.")
	add(o, "between_bytes", k, func(t *PoolTimeouts) *time.Duration { return &t.BetweenBytes }, "30s",
		"Without a byte while a response is received.")
	add(o, "request", k, func(t *PoolTimeouts) *time.Duration { return &t.Request }, "0s",
		"The whole request at a server, from its first byte to the response's last.")
	addSessionIdle(o)
	return o
}

// finishPool fills in what depends on where the servers come from.
func (d *decoder) finishPool(at value, given map[string]value, p *poolDraft) {
	app, hasApp := given["app"]
	servers, hasServers := given["servers"]
	switch {
	case hasApp && hasServers:
		d.failKey(servers, "a pool with both app and servers", "its servers are the app's workers, or those in servers: take one out")
	case !hasApp && !hasServers:
		d.failKey(at, "a pool without servers", "write app: with the name of an app, or servers: with addresses")
	case hasApp && p.App == "" && app.isScalar():
		d.fail(app, "app is empty", "write the name of an app")
	}
	p.appAt, p.backupAt = app, given["backup"]
	p.Balance, p.HashOf, p.ByLatency = p.by.method, p.by.hashOf, p.by.byLatency
	p.Buffer = p.buffer.Buffer
	p.Buffer.Requests, p.Buffer.Responses = orElse(p.buffer.requests, hasApp), orElse(p.buffer.responses, hasApp)
	if p.Buffer.Dir == "" {
		p.Buffer.Dir = d.host.temp()
	}
	d.checkServers(servers, p.Servers)
	d.followProtocol(given, p)
	d.finishTCPPool(given, p)
}

func orElse(said *bool, other bool) bool {
	if said != nil {
		return *said
	}
	return other
}

func (d *decoder) checkServers(at value, servers []Server) {
	seen := map[string]bool{}
	backups, weight := 0, 0
	for _, s := range servers {
		if weight += s.Weight; s.Backup {
			backups++
		}
		key := strings.ToLower(s.Address)
		if s.Address != "" && seen[key] {
			d.failKey(at, "the server "+s.Address+" is in the pool twice", "give it a weight instead")
		}
		seen[key] = true
	}
	switch {
	case len(servers) > 0 && backups == len(servers):
		d.failKey(at, "all servers are backups", "a backup is used while no other server is open: let one be none")
	case len(servers) > 0 && weight == 0:
		d.failKey(at, "no server has a weight", "a server with weight: 0 gets no new requests: let one have more")
	}
}
