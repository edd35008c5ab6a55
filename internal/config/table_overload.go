package config

import "time"

// What a pool does when more is asked of it than it can do.

// maxConn is how many requests at a time are let through.
type maxConn struct{ server, pool int }

func addMaxConn(t *table, o *object[poolDraft]) {
	addTo(o, "max_conn", maxConnKind(t), func(p *poolDraft, m maxConn) { p.MaxConn, p.TotalConn = m.server, m.pool }, "0",
		"Requests at a time at one server; more wait in the queue. 0: no limit, because only you know how many threads a worker has.")
}

func maxConnKind(t *table) kind[maxConn] {
	o := newObject[maxConn](t, "max_conn", "max_conn", "How many requests at a time are let through; more wait in the queue. 0: no limit.")
	one := intKind(0, 1<<20)
	add(o, "server", one, func(m *maxConn) *int { return &m.server }, "0", "At one server.")
	add(o, "pool", one, func(m *maxConn) *int { return &m.pool }, "0",
		"At all servers of the pool together: for what they share, such as a database.")
	return short(o.kind(), one, false, func(_ *decoder, _ value, n int) maxConn { return maxConn{server: n} })
}

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
	addTo(o, "on", on, func(r *Retry, got Retry) { got.Attempts = r.Attempts; *r = got }, "[connect_error, empty_response]",
		"connect_error: no connection, so nothing was sent. empty_response: the server died before its first byte, and the "+
			"method is idempotent. 503: the server said so, and the method is idempotent.")
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
