package edge

import (
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/pages"
)

// fail answers with an error page of the site or of weir's own. After a response has begun it can only be cut off.
func (h *handler) fail(status int, cause journal.Cause, detail string) {
	h.failWith(status, cause, detail, func(dst []byte) []byte {
		switch status {
		case 405:
			dst = append(dst, "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n"...)
		case 503:
			dst = append(dst, "Retry-After: 1\r\n"...)
		}
		return dst
	})
}

// failWith is fail with fields of the caller's.
func (h *handler) failWith(status int, cause journal.Cause, detail string, fields func([]byte) []byte) {
	h.x.Journal.Cause, h.x.Journal.Detail = cause, detail
	if h.alone {
		h.kept.led.fails(status, cause, detail)
		return
	}
	if h.answered {
		h.keep, h.cut = false, true
		h.resetClient() // the client must not take the part for the whole
		return
	}
	h.refuseBody()
	contentType := "text/html; charset=utf-8"
	var body []byte
	switch page := h.errorPage(status); {
	case h.parsed && pages.WantsJSON(h.x.Req.Fields.Get(message.Accept)):
		contentType = "application/json"
		body = pages.AppendJSON(nil, status, detail, h.x.ID)
	case page != nil:
		body = page
	default:
		body = pages.AppendHTML(nil, status, detail, h.x.ID)
	}
	h.respond(status, contentType, body, func(dst []byte) []byte {
		dst = append(fields(dst), "Cache-Control: no-store\r\n"...)
		if h.route != nil && h.route.cache != nil {
			dst = h.appendCacheStatus(dst)
		}
		return dst
	})
}

// refuseBody decides what becomes of a request body that will not be read: a client that waits for 100 (Continue)
// keeps it and may go on; from another it is passed over if it is small.
func (h *handler) refuseBody() {
	if h.parsed && h.waits100() && !h.dec.Done() {
		h.keep = false
	}
}

// errorPage returns the site's own page for a status, nil when it has none.
func (h *handler) errorPage(status int) []byte {
	if h.site == nil {
		return nil
	}
	for i := range h.site.config.Errors {
		if e := &h.site.config.Errors[i]; e.From <= status && status <= e.To {
			return pages.AppendOwn(nil, e.Body, status, h.x.ID)
		}
	}
	return nil
}

// respond sends a response of weir's own. fields appends what the response says beyond the usual.
func (h *handler) respond(status int, contentType string, body []byte, fields func([]byte) []byte) {
	h.toClient()
	dst := h.appendOwnHead(h.out[:0], status)
	bodyless := status == 204 || status == 304
	if contentType != "" && !bodyless {
		dst = appendField(dst, "Content-Type", contentType)
	}
	if !bodyless {
		dst = appendLength(dst, int64(len(body)))
	}
	if fields != nil {
		dst = fields(dst)
	}
	h.out = h.endOwnHead(dst)
	if bodyless || h.isHead() {
		body = nil
	}
	h.answered = true
	h.x.Journal.Status = status
	if h.write2(h.out, body) {
		h.x.Journal.Out += int64(len(body))
	}
}

// respondOptions answers OPTIONS * (RFC 9110, section 9.3.7): it asks weir, not a site.
func (h *handler) respondOptions() {
	h.respond(204, "", nil, func(dst []byte) []byte {
		return append(dst, "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n"...)
	})
}

// respondRedirect answers with the route's Location.
func (h *handler) respondRedirect() {
	h.scratch = h.route.route.Redirect(h.scratch[:0], &h.x)
	h.respond(h.route.config.Redirect.Status, "", nil, func(dst []byte) []byte {
		return appendField(dst, "Location", h.scratch)
	})
}

// respondFixed answers with the route's fixed response.
func (h *handler) respondFixed() {
	r, contentType := h.route.config.Respond, ""
	if len(h.route.fixed) > 0 {
		contentType = r.Type
	}
	h.respond(r.Status, contentType, h.route.fixed, nil)
}
