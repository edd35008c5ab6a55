package edge

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/compress"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/esi"
	"github.com/weirhq/weir/internal/message"
)

// Edge Side Includes. A page is kept as its app sent it and assembled for each client anew:
//
//	a handler, as ever ──► spout ──► assembler ──► the client
//	                                     ▲
//	       a handler for each fragment ──┘ spout
//
// What a handler would write to its client goes into a spout where that is a page to be assembled; and all that the handler
// of a fragment writes, whose request has no client: it passes through routing, access rules and cache like any other, and
// reaches nothing but the routes of the configuration. The assembler, a task of its own, takes the page from its spout and
// asks for fragments where the page says so.

// routeESI is what a route says of pages with fragments, made ready.
type routeESI struct {
	hosts  *esi.Hosts
	types  *compress.Policy // for its list of media types alone
	limits esi.Limits
	said   atomic.Int64 // when it was last said that a fragment failed, in seconds
}

// newRouteESI makes it ready, nil when the route has none.
func newRouteESI(r *config.Route) (*routeESI, error) {
	c := r.ESI
	if c == nil {
		return nil, nil
	}
	types, err := compress.NewPolicy(nil, 0, c.Types)
	if err != nil {
		return nil, fmt.Errorf("route %s: esi: %w", r.Name, err)
	}
	return &routeESI{hosts: esi.NewHosts(c.Hosts), types: types, limits: esi.Limits{Depth: c.Depth, Includes: c.Includes}}, nil
}

// looksInto decides by a response's fields whether it is looked into for fragments. has says that it has a
// Surrogate-Control, asked that this asks for it.
func (e *routeESI) looksInto(status int, contentType, coding []byte, has, asked bool) bool {
	switch {
	case status < 200 || status == 204 || status == 205 || status == 206 || status == 304:
		return false
	case len(coding) > 0 && !message.EqualFold(coding, "gzip") && !message.EqualFold(coding, "x-gzip") && !message.EqualFold(coding, "identity"):
		return false // nobody here can read it
	case has:
		return asked
	}
	return e.types.Covers(contentType)
}

// assembleKept settles whether what was found in the cache is looked into for fragments.
func (h *handler) assembleKept() bool {
	e := h.route.esi
	if e == nil {
		return false
	}
	v := h.kept.view
	has, asked := h.kept.life.Flags&cache.Surrogate != 0, h.kept.life.Flags&cache.Assembled != 0
	return h.assemble(e.looksInto(v.Status(), v.ContentType(), v.ContentEncoding(), has, asked))
}

// assembleResponse settles the same for a response from a server.
func (h *handler) assembleResponse() bool {
	e, resp := h.route.esi, &h.x.Resp
	if e == nil {
		return false
	}
	f := &resp.Fields
	has, asked := surrogate(f)
	return h.assemble(e.looksInto(resp.Status, f.Get(message.ContentType), f.Get(message.ContentEncoding), has, asked))
}

// partOfPage reports whether the server sent a part of a page: a fragment's tag may be in it by half, and a range of what it sent is
// none of what the client gets.
func (h *handler) partOfPage() bool {
	e, resp := h.route.esi, &h.x.Resp
	if e == nil || resp.Status != 206 || h.unranged || h.kept.led != nil || h.x.Req.Method != message.GET {
		return false
	}
	const parts = "multipart/byteranges"
	f := &resp.Fields
	ct := f.Get(message.ContentType)
	has, asked := surrogate(f)
	return len(ct) >= len(parts) && message.EqualFold(ct[:len(parts)], parts) || e.looksInto(200, ct, nil, has, asked)
}

// assemble directs the response into a spout, or to the client if it is as it is.
func (h *handler) assemble(looks bool) bool {
	switch {
	case h.isPart:
		h.sink.esi = looks
	case looks:
		if h.page == nil {
			h.page = h.l.assembler(h)
		}
		h.sink = &h.page.feed
	default:
		h.sink = nil
	}
	return looks
}

// toClient directs a response of weir's own to the client: it is not looked into.
func (h *handler) toClient() {
	if h.isPart {
		h.sink.esi = false
	} else if h.page == nil || !h.page.running {
		h.sink = nil
	}
}

// noteSurrogate notes in a response's flags what Surrogate-Control says of it, which is not kept itself.
func noteSurrogate(resp *message.Response, life *cache.Life) {
	if has, asked := surrogate(&resp.Fields); asked {
		life.Flags |= cache.Surrogate | cache.Assembled
	} else if has {
		life.Flags |= cache.Surrogate
	}
}

// keepSurrogate takes over what was noted of a response that was found to hold still, unless it was said anew.
func keepSurrogate(life, old *cache.Life) {
	if life.Flags&cache.Surrogate == 0 {
		life.Flags |= old.Flags & (cache.Surrogate | cache.Assembled)
	}
}

// surrogate reports whether there is a Surrogate-Control, and whether it asks for ESI processing.
func surrogate(f *message.Fields) (has, asked bool) {
	if !f.Has(message.SurrogateControl) {
		return false, false
	}
	for i := range f.List {
		if l := &f.List[i]; l.ID == message.SurrogateControl && esi.Asked(l.Value) {
			return true, true
		}
	}
	return true, false
}

// plainHop, wholeHop and plainAskHop are requestHop and askHop for routes with pages to be assembled: weir has to read them, so it asks
// for them plain; and it says itself what it can do.
var (
	plainHop     = requestHop.and(message.AcceptEncoding)
	wholeHop     = plainHop.and(message.Range, message.IfRange)
	plainAskHop  = askHop.and(message.AcceptEncoding)
	assembledHop = responseHop.and(message.SurrogateControl) // it is for us
)

// and returns the hop with more fields that end there.
func (h hop) and(ids ...message.ID) hop {
	for _, id := range ids {
		h[id] = true
	}
	return h
}

// requestHop are the fields of the request that do not go on to the route's servers.
func (h *handler) requestHop() *hop {
	switch {
	case h.unranged:
		return &wholeHop
	case h.route.esi != nil:
		return &plainHop
	}
	return &requestHop
}

// askHop are those of the cache's requests.
func (r *routeTree) askHop() *hop {
	if r.esi != nil {
		return &plainAskHop
	}
	return &askHop
}

// responseHop are the fields of responses that do not go on to clients.
func (r *routeTree) responseHop() *hop {
	if r.esi != nil {
		return &assembledHop
	}
	return &responseHop
}

// appendCapability tells the server that weir puts fragments into pages.
func (h *handler) appendCapability(dst []byte) []byte {
	return append(append(append(dst, "Surrogate-Capability: "...), esi.Capability...), "\r\n"...)
}

const failedEvery = time.Minute

// sayFailed says in the log that a fragment failed, a route's at most once a minute.
func (e *routeESI) sayFailed(h *handler, what string, address []byte) {
	now := h.l.loop.Wall().Unix()
	last := e.said.Load()
	if now-last < int64(failedEvery/time.Second) || !e.said.CompareAndSwap(last, now) {
		slog.Debug("an include failed", "route", h.route.name, "page", string(h.x.Req.Path), "src", string(address), "why", what)
		return
	}
	slog.Warn("an include failed; further ones of the route are not told of for a minute", "route", h.route.name,
		"page", string(h.x.Req.Path), "src", string(address), "why", what)
}
