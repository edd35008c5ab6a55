package edge

import (
	"bytes"
	"strconv"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/pool"
)

// session is what a request has to do with its session in a pool that keeps sessions at one server.
type session struct {
	pool   string       // whose cookie was looked for; empty: none was
	ticket [32]byte     // the value of weir's cookie
	has    bool         // there was one
	key    uint64       // what the session is called in the pool's table
	keyed  bool         // it is called something
	known  bool         // the request has a session, though its server may be gone
	at     *pool.Server // where that is
	set    []byte       // the value of the cookie that goes with the response; nil: none does
}

// forget makes it that of another request.
func (s *session) forget() {
	s.pool, s.has, s.known, s.keyed, s.at, s.set = "", false, false, false, nil, nil
}

// takeTicket takes weir's own cookie out of the request, before anybody looks at its cookies: it is no affair of the
// app's, and must make no difference to the cache. A value that weir could not have set is left to the app, whose it is then.
func (h *handler) takeTicket(p *pool.Pool) {
	st := p.Sticky()
	if st == nil || st.Cookie == "" || h.session.pool == p.Config().Name {
		return
	}
	h.session.pool, h.session.has = p.Config().Name, false
	f := &h.x.Req.Fields
	if !f.Has(message.Cookie) {
		return
	}
	gone := false
	for i := range f.List {
		if l := &f.List[i]; l.ID == message.Cookie {
			l.Value = h.withoutTicket(l.Value, st.Cookie, p)
			gone = gone || len(l.Value) == 0
		}
	}
	if gone {
		f.List = trimCookies(f.List)
		if !anyCookie(f.List) {
			f.Del(message.Cookie)
		}
	}
}

// trimCookies takes out Cookie lines with nothing in them.
func trimCookies(list []message.Field) []message.Field {
	kept := list[:0]
	for _, l := range list {
		if l.ID != message.Cookie || len(l.Value) > 0 {
			kept = append(kept, l)
		}
	}
	return kept
}

func anyCookie(list []message.Field) bool {
	for i := range list {
		if list[i].ID == message.Cookie {
			return true
		}
	}
	return false
}

// withoutTicket takes weir's cookie out of a Cookie line, in place, and keeps the first genuine value. The rest stays as it was
// written, blanks and all, so that nothing is ever written behind what has been read.
func (h *handler) withoutTicket(line []byte, name string, p *pool.Pool) []byte {
	out := line[:0]
	for rest := line; len(rest) > 0; {
		var pair []byte
		pair, rest, _ = bytes.Cut(rest, []byte(";"))
		n, v, _ := bytes.Cut(pair, []byte("="))
		if v = trim(v); string(trim(n)) == name && pool.IsTicket(v) {
			if _, genuine := p.At(v); genuine && !h.session.has {
				copy(h.session.ticket[:], v)
				h.session.has = true
			}
			continue
		}
		if len(out) > 0 {
			out = append(out, ';')
		} else {
			pair = trim(pair)
		}
		out = append(out, pair...)
	}
	return out
}

// resume finds out where the session of the request is.
func (h *handler) resume(p *pool.Pool, st *config.Sticky) {
	s := &h.session
	s.known, s.keyed, s.at, s.set = false, false, nil, nil
	switch {
	case st.Cookie != "":
		h.takeTicket(p)
		if s.has {
			s.at, s.known = p.At(s.ticket[:])
		}
	case st.Learn != "":
		if v, ok := cookieValue(&h.x.Req.Fields, st.Learn); ok && len(v) > 0 {
			s.key, s.keyed = p.SessionKey(v), true
		}
	case h.x.Client.IsValid():
		b := clientBytes(h.x.Client)
		s.key, s.keyed = p.SessionKey(b[:]), true
	}
	if s.keyed {
		s.at, s.known = p.Recall(s.key, h.l.loop.Wall())
	}
	if s.at != nil {
		h.turn.Stay(s.at)
	}
}

// seat notes at which server the request has got a place, and makes that its session's where it has none or its own is gone.
func (h *handler) seat(p *pool.Pool, at *pool.Server) {
	s := &h.session
	word := journal.SessionNew
	s.set = nil
	switch {
	case s.known && s.at == at:
		h.x.Journal.Session = journal.SessionKept
		return
	case s.known && s.at != nil && !h.turn.Moved():
		h.x.Journal.Session = journal.SessionAway // for this once: there was no room to wait
		return
	case s.known:
		word = journal.SessionMoved
	}
	switch st := p.Sticky(); {
	case st.Cookie != "":
		s.set = p.Ticket(at)
		copy(s.ticket[:], s.set) // what the request asks for besides (fragments) goes there too
		s.has = s.set != nil
	case s.keyed:
		p.Remember(s.key, at, h.l.loop.Wall())
	default:
		return // nothing to know it by; the app may give it a cookie
	}
	h.x.Journal.Session = word
}

// learn notes the session that the app begins with its response.
func (h *handler) learn(p *pool.Pool) {
	st := p.Sticky()
	if st == nil || st.Learn == "" || !h.x.Resp.Fields.Has(message.SetCookie) {
		return
	}
	for i := range h.x.Resp.Fields.List {
		l := &h.x.Resp.Fields.List[i]
		if l.ID != message.SetCookie {
			continue
		}
		pair, _, _ := bytes.Cut(l.Value, []byte(";"))
		n, v, _ := bytes.Cut(pair, []byte("="))
		if v = trim(v); string(trim(n)) != st.Learn || len(v) == 0 {
			continue
		}
		p.Begin(p.SessionKey(v), h.up.s, h.l.loop.Wall())
		if h.x.Journal.Session == journal.NoSession {
			h.x.Journal.Session = journal.SessionNew
		}
	}
}

// appendTicket appends the cookie that says where the session is, unless others might get the response from some cache on
// the way, or the app sets a cookie of that name itself.
func (h *handler) appendTicket(dst []byte) []byte {
	st := h.tree.sticky(h.x.Journal.Pool)
	if st == nil || st.Cookie == "" || h.alone || h.isPart || isShared(&h.x.Resp.Fields) || setsCookie(&h.x.Resp.Fields, st.Cookie) {
		return dst
	}
	dst = append(dst, "Set-Cookie: "...)
	dst = append(dst, st.Cookie...)
	dst = append(dst, '=')
	dst = append(dst, h.session.set...)
	dst = append(dst, "; Path=/; HttpOnly"...)
	if st.MaxAge > 0 {
		dst = strconv.AppendInt(append(dst, "; Max-Age="...), int64(st.MaxAge.Seconds()), 10)
	}
	switch st.SameSite {
	case "strict":
		dst = append(dst, "; SameSite=Strict"...)
	case "none":
		dst = append(dst, "; SameSite=None"...)
	default:
		dst = append(dst, "; SameSite=Lax"...)
	}
	if st.Secure == "true" || st.Secure == "auto" && h.x.Scheme == "https" {
		dst = append(dst, "; Secure"...)
	}
	return append(dst, "\r\n"...)
}

// sticky is how a pool knows sessions.
func (t *tree) sticky(name string) *config.Sticky {
	if p := t.pools.Pool(name); p != nil {
		return p.Sticky()
	}
	return nil
}

// isShared reports whether a shared cache may keep a response by what it says (RFC 9111, section 3).
func isShared(f *message.Fields) bool {
	if hasToken(f, message.CacheControl, "private") || hasToken(f, message.CacheControl, "no-store") {
		return false
	}
	return hasToken(f, message.CacheControl, "public") || hasDirective(f, "s-maxage") || hasDirective(f, "max-age") ||
		f.Has(message.Expires) || f.Has(message.CDNCacheControl) || f.Has(message.SurrogateControl)
}

// hasDirective reports whether Cache-Control has a directive with an argument.
func hasDirective(f *message.Fields, name string) bool {
	for i := range f.List {
		if f.List[i].ID != message.CacheControl {
			continue
		}
		for rest := f.List[i].Value; len(rest) > 0; {
			var d []byte
			d, rest, _ = bytes.Cut(rest, []byte(","))
			n, v, has := bytes.Cut(d, []byte("="))
			if has && message.EqualFold(trim(n), name) && string(bytes.Trim(trim(v), `"`)) != "0" {
				return true
			}
		}
	}
	return false
}

// setsCookie reports whether a response sets a cookie of that name.
func setsCookie(f *message.Fields, name string) bool {
	for i := range f.List {
		if l := &f.List[i]; l.ID == message.SetCookie {
			if n, _, ok := bytes.Cut(l.Value, []byte("=")); ok && string(trim(n)) == name {
				return true
			}
		}
	}
	return false
}
