package edge

import (
	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/message"
)

// refresher asks a server anew for what is kept, while clients get what is there: a request without a client.
type refresher struct{ h *handler }

// refresh begins to ask for what the request in hand was answered with. The fetch is led by a handler of its own, with
// a copy of the request, because the client may be gone before the answer is there.
func (h *handler) refresh(f *fetch) {
	b := h.l.handler()
	b.alone = true
	b.tree, b.site, b.route = h.tree, h.site, h.route
	b.begin()
	b.tree, b.site, b.route = h.tree, h.site, h.route // of the request, not what has come into force since
	copyRequest(&b.x.Req, &h.x.Req)
	b.x.Req.Method, b.x.Req.MethodText = message.GET, getMethod
	b.x.Peer, b.x.Client, b.x.Trusted, b.x.Scheme = h.x.Peer, h.x.Client, h.x.Trusted, h.x.Scheme
	b.x.ID = append(b.x.ID[:0], h.x.ID...)
	b.path = append(b.path[:0], h.path...)
	b.parsed, b.continued = true, true
	b.dec.Reset(message.NoBody, 0, &b.tree.limits)
	h.kept.lend(&b.kept)
	b.leads(f)
	h.l.count.Refreshes++
	h.l.loop.Go(&b.refresher)
}

var getMethod = []byte("GET")

// Run implements loop.Runner.
func (r *refresher) Run(t *loop.Task) {
	h := r.h
	h.t = t
	defer h.leave()
	h.lead()
	if s := h.kept.led.now(); s == failed || s == cutShort {
		h.l.edge.caching.fetches.pause(h.kept.led.key, h.l.loop.Now())
	}
	h.up.drop(h)
	h.kept.release()
}

// lead gets what a fetch is for from a server.
func (h *handler) lead() {
	defer h.ledOff()
	defer h.protect()
	h.forward(h.route.pool)
}

// lend gives another request what this one has found, to go on with.
func (k *keeping) lend(to *keeping) {
	to.reset()
	to.primary, to.key, to.born, to.soft, to.life = k.primary, k.key, k.born, k.soft, k.life
	to.want = cache.RequestDirectives{MaxAge: -1, MinFresh: -1, MaxStale: -1, IfError: -1}
	to.keyed.CopyFrom(&k.keyed)
	to.query, to.hasQuery = to.keyed.Query()
	to.ref, to.has = k.ref.Retain(), true
	to.view = cache.NewView(to.ref.Head())
}

// copyRequest makes dst a request of its own memory like src.
func copyRequest(dst, src *message.Request) {
	fields := dst.Fields.List[:0]
	size := len(src.MethodText) + len(src.Target) + len(src.Host) + len(src.Port) + len(src.Path) + len(src.Query)
	for i := range src.Fields.List {
		size += len(src.Fields.List[i].Name) + len(src.Fields.List[i].Value)
	}
	room := make([]byte, 0, size)
	own := func(b []byte) []byte {
		at := len(room)
		room = append(room, b...)
		return room[at:len(room):len(room)]
	}
	lines := src.Fields.List
	*dst = *src
	dst.Fields.List = fields
	dst.Fields.Reset()
	for i := range lines {
		dst.Fields.Add(lines[i].ID, own(lines[i].Name), own(lines[i].Value))
	}
	dst.MethodText, dst.Target, dst.Host, dst.Port = own(src.MethodText), own(src.Target), own(src.Host), own(src.Port)
	dst.Path, dst.Query = own(src.Path), own(src.Query)
}
