package edge

import (
	"bytes"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/pool"
	"github.com/weirhq/weir/internal/pool/balance"
)

// begins makes the turn ready for a pool.
func (h *handler) begins(p *pool.Pool) {
	h.rank(p.Config())
	if p.ByKey() {
		h.key(p.Config())
	}
	if st := p.Sticky(); st != nil {
		h.resume(p, st)
	}
}

// key gives the request the hash of what its pool balances by. A request that lacks that goes where the fewest are.
func (h *handler) key(cfg *config.Pool) {
	req := &h.x.Req
	switch cfg.Balance {
	case "source_hash":
		if a := h.x.Client; a.IsValid() {
			b := clientBytes(a)
			h.turn.Key(balance.Hash(0, b[:]))
		}
	case "uri_hash":
		// What was routed: paths that mean the same have one server, however they were written.
		hash := balance.Hash(0, req.Path)
		query, has := req.Query, req.HasQuery
		if h.kept.asks {
			query, has = h.kept.query, h.kept.hasQuery
		}
		if has && cfg.HashOf == "" {
			hash = balance.Hash(hash, query)
		}
		h.turn.Key(hash)
	case "header_hash":
		if v, ok := req.Fields.Named(cfg.HashOf); ok {
			h.turn.Key(balance.Hash(0, v))
		}
	case "cookie_hash":
		if v, ok := cookieValue(&req.Fields, cfg.HashOf); ok {
			h.turn.Key(balance.Hash(0, v))
		}
	}
}

// cookieValue returns the value of the first cookie of that name (RFC 6265, section 4.2.1), with its quotes if it has any.
func cookieValue(f *message.Fields, name string) (value []byte, ok bool) {
	if !f.Has(message.Cookie) {
		return nil, false
	}
	for i := range f.List {
		if f.List[i].ID != message.Cookie {
			continue
		}
		for rest := f.List[i].Value; len(rest) > 0; {
			var pair []byte
			pair, rest, _ = bytes.Cut(rest, []byte(";"))
			if n, v, has := bytes.Cut(pair, []byte("=")); has && string(trim(n)) == name {
				return trim(v), true
			}
		}
	}
	return nil, false
}
