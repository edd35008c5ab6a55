package edge

import (
	"bytes"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

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

const (
	surrogateControl    = "surrogate-control"
	surrogateCapability = "surrogate-capability"
)

// looksInto decides by a response's fields whether it is looked into for fragments. control are the values of its lines of Surrogate-Control.
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
	has, asked := surrogateLines(v.Lines())
	return h.assemble(e.looksInto(v.Status(), v.ContentType(), v.ContentEncoding(), has, asked))
}

// assembleResponse settles the same for a response from a server.
func (h *handler) assembleResponse() bool {
	e, resp := h.route.esi, &h.x.Resp
	if e == nil {
		return false
	}
	f := &resp.Fields
	has, asked := false, false
	for i := range f.List {
		if l := &f.List[i]; isSurrogateControl(l) {
			has, asked = true, asked || esi.Asked(l.Value)
		}
	}
	return h.assemble(e.looksInto(resp.Status, f.Get(message.ContentType), f.Get(message.ContentEncoding), has, asked))
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

func isSurrogateControl(l *message.Field) bool {
	return l.ID == message.SurrogateControl
}

// surrogateLines looks for Surrogate-Control in field lines.
func surrogateLines(lines []byte) (has, asked bool) {
	for len(lines) > 0 {
		var line []byte
		line, lines, _ = bytes.Cut(lines, []byte("\r\n"))
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && message.EqualFold(name, surrogateControl) {
			has, asked = true, asked || esi.Asked(trim(value))
		}
	}
	return has, asked
}

// strikeSurrogate takes Surrogate-Control out of a head with a status line: it is for us, not for clients.
func strikeSurrogate(head []byte) []byte {
	kept := bytes.IndexByte(head, '\n') + 1
	for rest := head[kept:]; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n') + 1
		if end == 0 {
			end = len(rest)
		}
		if name, _, _ := bytes.Cut(rest[:end], []byte(":")); !message.EqualFold(name, surrogateControl) {
			kept += copy(head[kept:], rest[:end])
		}
		rest = rest[end:]
	}
	return head[:kept]
}

// plainHop and plainAskHop are requestHop and askHop for routes with pages to be assembled: weir has to read them, so it asks
// for them plain; and it says itself what it can do.
var (
	plainHop    = plainly(requestHop)
	plainAskHop = plainly(askHop)
)

// requestHop are the fields of requests that do not go on to the route's servers.
func (r *routeTree) requestHop() *hop {
	if r.esi != nil {
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

// appendCapability tells the server that weir puts fragments into pages.
func (h *handler) appendCapability(dst []byte) []byte {
	return append(append(append(dst, "Surrogate-Capability: "...), esi.Capability...), "\r\n"...)
}

func plainly(h hop) hop {
	h[message.AcceptEncoding] = true
	return h
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
