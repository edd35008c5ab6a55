package cli

import (
	"bytes"
	"fmt"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/message"
)

// method is a pool's method in words.
func method(p *config.Pool) string {
	switch {
	case p.ByLatency:
		return p.Balance + " and latency"
	case p.Balance == "uri_hash" && p.HashOf != "":
		return "uri_hash of the path"
	case p.HashOf != "":
		return p.Balance + " of " + p.HashOf
	}
	return p.Balance
}

// balancedBy says what of the request a pool with a hash method goes by.
func (e *explanation) balancedBy(p *config.Pool) {
	req := &e.x.Req
	switch p.Balance {
	case "source_hash":
		e.line("key", "the client's address %s", e.x.Client)
	case "uri_hash":
		if p.HashOf == "" && req.HasQuery {
			e.line("key", "the path and query %s?%s", req.Path, req.Query)
			return
		}
		e.line("key", "the path %s", req.Path)
	case "header_hash":
		v, ok := req.Fields.Named(p.HashOf)
		e.keyOr(ok, v, "the field", p.HashOf)
	case "cookie_hash":
		v, ok := cookie(&req.Fields, p.HashOf)
		e.keyOr(ok, v, "the cookie", p.HashOf)
	}
}

func (e *explanation) keyOr(ok bool, value []byte, what, name string) {
	if !ok {
		e.line("key", "%s %s, which the request does not have: the server with the fewest requests", what, name)
		return
	}
	e.line("key", "%s %s", what, fmt.Sprintf("%s: %s", name, value))
}

// cookie is the value of a request's cookie.
func cookie(f *message.Fields, name string) ([]byte, bool) {
	for i := range f.List {
		if f.List[i].ID != message.Cookie {
			continue
		}
		for pair := range bytes.SplitSeq(f.List[i].Value, []byte(";")) {
			if n, v, ok := bytes.Cut(pair, []byte("=")); ok && string(bytes.TrimSpace(n)) == name {
				return bytes.TrimSpace(v), true
			}
		}
	}
	return nil, false
}

// sticky says how the session of the request is known.
func (e *explanation) sticky(p *config.Pool) {
	st := p.Sticky
	if st == nil {
		return
	}
	what, ok := "", true
	switch {
	case st.Cookie != "":
		what = "weir's cookie " + st.Cookie
		_, ok = cookie(&e.x.Req.Fields, st.Cookie)
	case st.Learn != "":
		what = "the app's cookie " + st.Learn
		_, ok = cookie(&e.x.Req.Fields, st.Learn)
	default:
		what = fmt.Sprintf("the client's address %s", e.x.Client)
	}
	if !ok {
		what += ", which the request does not have: a session may begin"
	}
	e.line("session", "%s", what)
}
