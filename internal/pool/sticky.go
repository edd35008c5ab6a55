package pool

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/pool/balance"
)

// Sticky sessions. A session is known by a cookie that weir sets, by one that the app sets, or by the client's address. The
// first says by itself where the session is, to those who know the key:
//
//	base64url( id of the server, 8 bytes | signature of the id, 16 bytes )
//
// both made with a key of the pool's own by HMAC-SHA-256: nobody learns from it how many servers there are, or makes one that
// leads to a server of his choice. It has no date: what it can be misused for is to ask a server that one was sent to before.
// The other two are looked up in a table (sessions).

// sticky is what a view knows of sessions. It is immutable.
type sticky struct {
	cfg     *config.Sticky
	key     [32]byte // of the pool
	seed    uint64   // of the hashes of what sessions are known by
	tickets map[uint64]*ticket
	of      map[*Server]*ticket
	byTag   map[uint32]*Server
}

// ticket is what the cookie of a server's sessions holds.
type ticket struct {
	server *Server
	mac    [16]byte
	text   [ticketSize]byte
}

const ticketSize = 32

// newSticky makes what a view needs; master is the machine's key, for pools that have no secret of their own.
func newSticky(cfg *config.Pool, master []byte, servers []*Server) *sticky {
	if cfg.Sticky == nil {
		return nil
	}
	if cfg.Sticky.Secret != "" {
		master = []byte(cfg.Sticky.Secret)
	}
	st := &sticky{cfg: cfg.Sticky, tickets: map[uint64]*ticket{}, of: map[*Server]*ticket{}, byTag: map[uint32]*Server{}}
	copy(st.key[:], sum(master, "pool ", cfg.Name))
	st.seed = binary.BigEndian.Uint64(sum(st.key[:], "sessions", ""))
	for _, s := range servers {
		id := binary.BigEndian.Uint64(sum(st.key[:], "server ", s.identity))
		if st.tickets[id] != nil {
			continue // of two workers in one place, for a moment: the first
		}
		t := &ticket{server: s, mac: st.sign(id)}
		var raw [24]byte
		binary.BigEndian.PutUint64(raw[:8], id)
		copy(raw[8:], t.mac[:])
		base64.RawURLEncoding.Encode(t.text[:], raw[:])
		st.tickets[id], st.of[s], st.byTag[s.tag()] = t, t, s
	}
	return st
}

func sum(key []byte, what, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(what))
	h.Write([]byte(text))
	return h.Sum(nil)
}

func (st *sticky) sign(id uint64) (mac [16]byte) {
	copy(mac[:], sum(st.key[:], "session ", string(binary.BigEndian.AppendUint64(nil, id))))
	return mac
}

// tag is what a server is called in a table of sessions.
func (s *Server) tag() uint32 { return uint32(balance.Hash(0, s.identity)>>32)&^begun | 1 }

// Sticky returns how sessions are known, nil when the pool keeps none together.
func (p *Pool) Sticky() *config.Sticky { return p.cfg.Sticky }

// IsTicket says whether a cookie's value has the form of those that weir sets, genuine or not.
func IsTicket(value []byte) bool {
	if len(value) != ticketSize {
		return false
	}
	for _, c := range value {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// Ticket returns the value of the cookie for sessions at s; nil when the pool does not know s or sets no cookie. It must not be changed.
func (p *Pool) Ticket(s *Server) []byte {
	st := p.c.view.Load().sticky
	if st == nil || st.of[s] == nil {
		return nil
	}
	return st.of[s].text[:]
}

// At returns the server to which a cookie's value leads. known without a server means that the value is genuine, and its
// server is gone. A value that was made or changed by somebody else is not known.
func (p *Pool) At(value []byte) (s *Server, known bool) {
	st := p.c.view.Load().sticky
	if st == nil || len(value) != ticketSize {
		return nil, false
	}
	var raw [24]byte
	if n, err := base64.RawURLEncoding.Decode(raw[:], value); err != nil || n != len(raw) {
		return nil, false
	}
	id := binary.BigEndian.Uint64(raw[:8])
	if t := st.tickets[id]; t != nil {
		if subtle.ConstantTimeCompare(raw[8:], t.mac[:]) == 1 {
			return t.server, true
		}
		return nil, false
	}
	mac := st.sign(id)
	return nil, subtle.ConstantTimeCompare(raw[8:], mac[:]) == 1
}

// SessionKey is what a session is called in the table that is known by these bytes: a cookie's value, or an address.
func (p *Pool) SessionKey(b []byte) uint64 {
	st := p.c.view.Load().sticky
	if st == nil {
		return 0
	}
	return balance.Hash(st.seed, b)
}

// Recall returns the server of a session in the table. known without a server means that it is gone.
func (p *Pool) Recall(key uint64, now time.Time) (s *Server, known bool) {
	st, t := p.c.view.Load().sticky, p.c.sessions.Load()
	if st == nil || t == nil {
		return nil, false
	}
	tag := t.recall(key, uint32(now.Unix()))
	if tag == 0 {
		return nil, false
	}
	return st.byTag[tag], true
}

// Remember puts a session into the table that a client has come with. It is safe on loops: what goes to the disk goes by itself.
func (p *Pool) Remember(key uint64, s *Server, now time.Time) { p.remember(key, s.tag(), now) }

// Begin puts a session into the table that the app has begun.
func (p *Pool) Begin(key uint64, s *Server, now time.Time) { p.remember(key, s.tag()|begun, now) }

func (p *Pool) remember(key uint64, tag uint32, now time.Time) {
	t := p.c.sessions.Load()
	if t == nil || !t.remember(key, tag, uint32(now.Unix())) {
		return
	}
	if o := p.c.owner.Load(); o != nil {
		o.saveSoon()
	}
}

// drains starts or ends the time for which a server that drains keeps its sessions. Under mu.
func (s *Server) drains(is bool) {
	if s.ending != nil {
		s.ending.Stop()
		s.ending = nil
	}
	st := s.core.view.Load().cfg.Sticky
	if !is || st == nil {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(st.Drain, func() {
		c := s.core
		c.mu.Lock()
		defer c.mu.Unlock()
		if s.ending == timer {
			c.bar(s, drained)
		}
	})
	s.ending = timer
}
