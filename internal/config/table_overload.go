package config

import (
	"strconv"
	"time"
)

// What a pool does when more is asked of it than it can do.

// maxConn is how many requests at a time are let through.
type maxConn struct {
	server, pool int
	auto         bool
	AutoConn
}

func addMaxConn(t *table, o *object[poolDraft]) {
	addTo(o, "max_conn", maxConnKind(t), func(p *poolDraft, m maxConn) {
		p.MaxConn, p.TotalConn, p.AutoConn = m.server, m.pool, nil
		if m.auto {
			p.AutoConn = &m.AutoConn
		}
	}, "0", "Requests at a time at one server; more wait in the queue. 0: no limit, because only you know how many threads a worker has. "+
		"auto: weir finds it for each server by how long it takes to answer.")
}

// automatic stands for auto where a number may stand.
const automatic = -1

func maxConnKind(t *table) kind[maxConn] {
	o := newObject[maxConn](t, "max_conn", "max_conn", "How many requests at a time are let through; more wait in the queue. 0: no limit.")
	whole := intKind(0, 1<<20)
	one := scalar("a whole number from 0 to 1048576, or auto", intShape(0, 1<<20), func(s string) (int, *complaint) {
		if s == "auto" {
			return automatic, nil
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n > 1<<20 || len(s) > 1 && s[0] == '0' {
			return 0, &complaint{}
		}
		return n, nil
	})
	one.shape = &shape{AnyOf: []*shape{{Enum: []any{"auto"}}, whole.shape}}
	set := func(m *maxConn, n int) { m.server, m.auto = max(n, 0), n == automatic }
	addTo(o, "server", one, set, "0", "At one server. auto: as many as it can work on; latency tells, and it goes with the server's day.")
	add(o, "pool", whole, func(m *maxConn) *int { return &m.pool }, "0",
		"At all servers of the pool together: for what they share, such as a database.")
	bound := intKind(1, maxAuto)
	add(o, "min", bound, func(m *maxConn) *int { return &m.Min }, "1", "The least that auto may find.")
	add(o, "max", bound, func(m *maxConn) *int { return &m.Max }, "1000", "The most that auto may find.")
	o.done = func(d *decoder, at value, given map[string]value, m *maxConn) {
		for _, key := range []string{"min", "max"} {
			if v, ok := given[key]; ok && !m.auto {
				d.failKey(v, key+" without server: auto", "it bounds what auto finds: write server: auto, or take it out")
			}
		}
		if v, ok := given["min"]; ok && m.auto && m.Min > m.Max {
			d.fail(v, "min ("+itoa(m.Min)+") is more than max ("+itoa(m.Max)+")", "make it smaller")
		}
	}
	return short(o.kind(), one, false, func(_ *decoder, _ value, n int) maxConn {
		m := o.zero
		set(&m, n)
		return m
	})
}

// maxAuto is the highest limit that may be found.
const maxAuto = 100_000

func queueObject(t *table) *object[Queue] {
	o := newObject[Queue](t, "queue", "queue", "Requests that wait for a place at a server. Those of routes with "+
		"a higher priority are served first; when the queue is full, those with a lower one make room for them.")
	add(o, "size", intKind(0, 1<<20), func(q *Queue) *int { return &q.Size }, "1000", "How many may wait; further ones get 503.")
	add(o, "timeout", durationKind(time.Millisecond), func(q *Queue) *time.Duration { return &q.Timeout }, "10s",
		"How long one may wait; then 503.")
	add(o, "order", enumKind("fifo", AdaptiveLIFO), func(q *Queue) *string { return &q.Order }, "fifo",
		"fifo: first come, first served. adaptive_lifo: likewise, until the queue has not been empty for a tenth of its timeout (100ms "+
			"at least); from then on the newest come first, and nobody waits longer than that, for in the order of arrival all would be "+
			"served when they have gone.")
	fair := enumKind("none", "client_ip")
	add(o, "fair", convert(fair, func(s string) bool { return s == "client_ip" }), func(q *Queue) *bool { return &q.Fair }, "none",
		"client_ip: clients take turns, so that one that sends many requests waits for itself. IPv6 addresses of one /64 are one client.")
	return o
}

func retryObject(t *table) *object[Retry] {
	o := newObject[Retry](t, "retry", "retry", "When a request is tried again at another server. A request that may have had "+
		"an effect is never sent twice.")
	add(o, "attempts", intKind(0, 10), func(r *Retry) *int { return &r.Attempts }, "2", "Further tries after the first.")
	cases := []string{"connect_error", "empty_response", "503"}
	on := convert(list(enumKind(cases...), "a list of "+oneOf(cases), true, true), func(got []string) Retry {
		var r Retry
		for _, c := range got {
			r.ConnectError = r.ConnectError || c == "connect_error"
			r.EmptyResponse = r.EmptyResponse || c == "empty_response"
			r.Status503 = r.Status503 || c == "503"
		}
		return r
	})
	addTo(o, "on", on, func(r *Retry, got Retry) { got.Attempts, got.Budget = r.Attempts, r.Budget; *r = got }, "[connect_error, empty_response]",
		"connect_error: no connection, so nothing was sent. empty_response: the server died before the client got anything "+
			"of its response, and the method is idempotent. 503: the server said so, and the method is idempotent.")
	add(o, "budget", percentKind(0, 1000, 10), func(r *Retry) *int { return &r.Budget }, "40%",
		"Further tries that fail too, or are not answered yet, as a share of the pool's requests in the last 10s; 10 a second are "+
			"free. So a pool whose servers all fail does not get a multiple of its load. 1000%: no bound.")
	return o
}

func hedgeKind(t *table) kind[Hedge] {
	o := newObject[Hedge](t, "hedge", "hedge", "A GET or HEAD to which no answer comes in the usual time is sent to another server too, if "+
		"one has a place free, and the first answer counts. Against slow moments of single servers; never for a request with a body.")
	d := durationKind(time.Millisecond)
	after := scalar("p95, or a time such as 50ms", d.shape, func(s string) (time.Duration, *complaint) {
		if s == "p95" {
			return 0, nil
		}
		got, ok := ParseDuration(s)
		switch {
		case !ok:
			return 0, &complaint{}
		case got < time.Millisecond || got > time.Hour:
			return 0, &complaint{", which is no time to wait for a second server", "write p95, or 1ms to 1h"}
		}
		return got, nil
	})
	after.shape = &shape{AnyOf: []*shape{{Enum: []any{"p95"}}, d.shape}}
	add(o, "after", after, func(h *Hedge) *time.Duration { return &h.After }, "p95",
		"After so long without the first byte. p95: what 95 of 100 requests of late took no longer than.")
	add(o, "at_most", percentKind(0, 100, 10), func(h *Hedge) *int { return &h.AtMost }, "5%",
		"So many of the requests that could be; a server that is slow with all of them does not double the load.")
	return short(o.kind(), after, false, func(_ *decoder, _ value, d time.Duration) Hedge {
		h := o.zero
		h.After = d
		return h
	})
}

func breakerObject(t *table) *object[Breaker] {
	o := newObject[Breaker](t, "breaker", "breaker", "When most requests at a pool fail, it is asked nothing for a while: requests get "+
		"503 at once, or what the cache has. Then a few try it.")
	add(o, "errors", percentKind(1, 100, 10), func(b *Breaker) *int { return &b.Errors }, "50%",
		"So many of the requests of the last 5s to 10s failed: no connection, no whole response, a time limit, or a status of 5xx.")
	add(o, "of", intKind(1, 1<<20), func(b *Breaker) *int { return &b.Of }, "20", "Of so many requests at least.")
	add(o, "for", durationKind(100*time.Millisecond), func(b *Breaker) *time.Duration { return &b.For }, "10s",
		"How long nobody goes there. Then 3 requests at a time try, and when 3 in a row were well it is over.")
	return o
}

// priorityKind is a route's class in the queue.
func priorityKind() kind[int] {
	words := []string{"low", "normal", "high"}
	return convert(enumKind(words...), func(s string) int {
		for i, w := range words {
			if w == s {
				return i - 1
			}
		}
		return 0
	})
}
