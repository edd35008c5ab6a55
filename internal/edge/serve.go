package edge

import (
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/message"
)

// serve is a request's way, from its head to its answer.
func (h *handler) serve() {
	defer h.protect()

	// What the head says of the connection and the body.
	req := &h.x.Req
	h.keep = req.KeepAlive && !h.l.edge.stopping.Load()
	// Other protocols than WebSocket are not switched to: h2c on an HTTP/1 connection carries requests past every rule. Nor
	// is one behind a request with a body, which would have to be whole first (RFC 9110, section 7.8).
	req.Upgrade = req.Upgrade && req.Body == message.NoBody && message.EqualFold(req.Fields.Get(message.Upgrade), "websocket")
	h.dec.Reset(req.Body, req.Length, &h.tree.limits)

	// Who answers. OPTIONS * and TRACE speak to weir itself.
	switch {
	case req.Form == message.AsteriskForm:
		h.respondOptions()
		return
	case req.Method == message.TRACE:
		h.fail(405, journal.Refused, "TRACE is not answered")
		return
	}
	site, route := h.tree.find(&h.x)
	purges := string(req.MethodText) == "PURGE"
	if purges {
		site, route = h.purgeRoute()
	}
	if h.tree.traces != nil && (route == nil || route.config.Monitor == "") {
		h.trace()
	}
	if site == nil {
		h.fail(404, journal.NoSite, "no site has this host")
		return
	}
	if route == nil {
		h.site, h.x.Journal.Site = site, site.name
		h.fail(404, journal.NoRoute, "no route of the site matches")
		return
	}
	h.site, h.route = site, route
	h.x.Journal.Site, h.x.Journal.Route = site.name, route.name
	h.x.Journal.Mark(journal.Routed, h.l.loop.Now())

	// May it pass?
	if !h.admit() {
		return
	}
	if purges && route.cache != nil {
		h.respondPurge()
		return
	}

	// What the server or the files see is what was routed, rewritten.
	h.path = h.path[:0]
	if route.route.Rewrites() {
		if h.path = route.route.Rewrite(h.path, req.Path); len(h.path) == 0 {
			h.fail(414, journal.Refused, "the rewritten path is too long")
			return
		}
	}

	// The answer.
	switch cfg := route.config; {
	case route.pool != nil:
		h.takeTicket(route.pool)
		if route.cache == nil || !h.fromCache() {
			h.forward(route.pool)
		}
	case route.files != nil:
		h.respondFile()
	case cfg.Redirect != nil:
		h.respondRedirect()
	case cfg.Respond != nil:
		h.respondFixed()
	case cfg.Monitor != "":
		h.respondMonitor()
	}
}

// admit applies the access rules and the limits of the route.
func (h *handler) admit() bool {
	route, req := h.route, &h.x.Req
	if route.route.Refuses(req.Ambiguous) {
		h.keep = false
		h.fail(400, journal.Refused, "the path can be read in two ways")
		return false
	}
	if ok, status := route.route.Allows(h.x.Client); !ok {
		h.fail(status, journal.Refused, "the client's address is not allowed here")
		return false
	}
	if route.bodyLimit > 0 && req.Body == message.ByLength && req.Length > route.bodyLimit {
		h.keep = false
		h.fail(413, journal.BodyTooLarge, errBodyTooLarge.Error())
		return false
	}
	return true
}
