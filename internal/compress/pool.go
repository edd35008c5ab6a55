package compress

import (
	"errors"

	"github.com/weirhq/weir/internal/representation"
)

// ErrBusy says that as many encoders are lent as the pool may have. The response goes out plain then: that is always
// right, and better than making a client wait for another one's body.
var ErrBusy = errors.New("all encoders are in use")

// MemoryEach is how much memory an encoder has at the most, in bytes, whatever it encodes: what limits are computed
// with. TestMemory holds it.
const MemoryEach = 1 << 20

// A Pool lends encoders and keeps those that came back warm. It has at most its limit of them, lent and idle together. Each loop
// has one; it belongs to that loop's tasks, one at a time.
type Pool struct {
	limit int
	lent  int
	idle  [representation.NumCodings][]*Encoder
	kept  int
	// Refused counts the responses that went out plain because of the limit.
	Refused uint64
}

// NewPool returns a pool of at most so many encoders, each of at most MemoryEach bytes.
func NewPool(limit int) *Pool { return &Pool{limit: max(limit, 0)} }

// Get lends an encoder that is ready for a response. The caller gives it back by Put, whatever happens.
func (p *Pool) Get(c representation.Coding) (*Encoder, error) {
	if p.lent >= p.limit {
		p.Refused++
		return nil, ErrBusy
	}
	var e *Encoder
	if c < representation.NumCodings && len(p.idle[c]) > 0 {
		n := len(p.idle[c]) - 1
		e, p.idle[c][n] = p.idle[c][n], nil
		p.idle[c] = p.idle[c][:n]
		p.kept--
	} else {
		made, err := newEncoder(c)
		if err != nil {
			return nil, err
		}
		if p.lent+p.kept >= p.limit {
			p.drop()
		}
		e = made
	}
	p.lent++
	e.reset()
	return e, nil
}

// drop lets go of an idle encoder of the coding that has most of them.
func (p *Pool) drop() {
	most := representation.Identity
	for c := range p.idle {
		if len(p.idle[c]) > len(p.idle[most]) {
			most = representation.Coding(c)
		}
	}
	if n := len(p.idle[most]) - 1; n >= 0 {
		p.idle[most][n] = nil
		p.idle[most] = p.idle[most][:n]
		p.kept--
	}
}

// Put takes an encoder back, closed or in the middle of a response.
func (p *Pool) Put(e *Encoder) {
	e.open = false
	e.sink.b = nil
	p.lent--
	p.idle[e.coding] = append(p.idle[e.coding], e)
	p.kept++
}

// Lent returns how many encoders are out: 0 when no response is under way.
func (p *Pool) Lent() int { return p.lent }

// Trim lets all idle encoders go.
func (p *Pool) Trim() {
	for c := range p.idle {
		clear(p.idle[c])
		p.idle[c] = p.idle[c][:0]
	}
	p.kept = 0
}
