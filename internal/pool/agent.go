package pool

import (
	"bytes"
	"context"
	"math/rand/v2"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/pool/health"
	"github.com/weirhq/weir/internal/pool/probe"
)

const (
	// wishLasts is how long the field of a response counts. It ends by itself, for who gets hardly any requests can hardly say
	// that it would have more.
	wishLasts = 10 * time.Second
	// wishLeast is the least share that a field can ask for, in thousandths, for the same reason.
	wishLeast = 10
	// An equal word is taken again, and another one, no sooner than this after the last: a field is in every response.
	heedAgain = int64(time.Second)
	heedOther = int64(100 * time.Millisecond)
)

// heard is what a server's responses asked for last, and when by the clock of a loop.
type heard struct {
	text []byte
	at   int64
}

// Heed takes what a response says in the field of its pool's agent: a share such as 50%. now is the loop's time. It copies what
// it keeps. On a loop, or anywhere else.
func (s *Server) Heed(value []byte, now int64) {
	if h := s.heard.Load(); h != nil {
		if d := now - h.at; d >= 0 && (d < heedOther || d < heedAgain && bytes.Equal(value, h.text)) {
			return
		}
	}
	if len(value) > 64 {
		return // nothing that could be meant is as long
	}
	s.heard.Store(&heard{bytes.Clone(value), now})
	w, err := health.ParseWish(value)
	if err != nil || w.Share < 0 {
		return // a field of an app's is no reason to fill a log with
	}
	c := s.core
	c.mu.Lock()
	s.vitals.wished = max(w.Share, wishLeast)
	s.vitals.wishEnds = time.Now().Add(wishLasts)
	c.mu.Unlock()
	c.stir()
}

// lookAgent asks an app's endpoint if that is due. Under mu.
func (k *checker) lookAgent(c *core, s *Server, cfg *config.Pool, r *round) {
	t, a := &s.vitals, cfg.Agent
	if a == nil || a.Path == "" && a.Port == 0 || t.asking {
		return
	}
	if r.now.Before(t.askDue) {
		r.again(t.askDue)
		return
	}
	at := c.targetOf(s)
	r.tasks = append(r.tasks, duty{t.askDue, func() {
		c.mu.Lock()
		t.asking = true
		c.mu.Unlock()
		k.begin(func(ctx context.Context) {
			w, err := probe.Ask(ctx, at, a)
			c.answered(s, a, w, err, ctx.Err() != nil)
		})
	}})
}

// answered takes what an endpoint said. One that says nothing changes nothing: whether it lives is for checks to find out.
func (c *core) answered(s *Server, a *config.Agent, w health.Wish, err error, cut bool) {
	c.mu.Lock()
	t := &s.vitals
	t.asking = false
	t.askDue = time.Now().Add(health.Jitter(a.Every, rand.Float64()))
	var e event
	switch {
	case cut || c.view.Load().cfg.Agent == nil:
	case err != nil:
		if t.asked != err.Error() {
			e = event{server: s.name, what: agentFails, text: err.Error()}
		}
		t.asked = err.Error()
	default:
		text := t.wish(c, s, w)
		if t.asked != text && (t.asked != "" || text != "everything") {
			e = event{server: s.name, what: agentAsks, text: text}
		}
		t.asked = text
	}
	c.mu.Unlock()
	c.report(e)
	c.settle()
}

// wish does what an endpoint asks for, and says it in words. Under mu.
func (t *vitals) wish(c *core, s *Server, w health.Wish) (text string) {
	state := w.State
	if w.Share == 0 && state != "down" && state != "maint" {
		state = "drain"
	}
	switch state {
	case "drain":
		c.unbar(s, askedDown)
		c.bar(s, askedDrain)
		return "no new sessions"
	case "down", "maint":
		c.unbar(s, askedDrain)
		c.bar(s, askedDown)
		return "nothing"
	case "up":
		c.unbar(s, askedDown|askedDrain)
	default: // a share alone takes back a share of nothing, and no word
		if w.Share > 0 {
			c.unbar(s, askedDrain)
		}
	}
	if w.Share >= 0 {
		t.wished, t.wishEnds = w.Share, time.Time{}
		c.stir()
	}
	if t.wished == 0 || t.wished == 1000 {
		return "everything"
	}
	return percent(t.wished)
}
