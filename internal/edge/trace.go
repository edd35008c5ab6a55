package edge

import (
	"math/rand/v2"
	"slices"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/route"
	"github.com/weirhq/weir/internal/trace"
)

// Traces. Where they are configured, each request is part of one: of that which its client names, or of a new one. Servers are told
// which, and what is sampled is handed to the desk, which tells a collector. Where they are not, nothing here runs.

// tracing is what a configuration says of traces.
type tracing struct {
	sample int // thousandths
	rules  []traceRule
}

type traceRule struct {
	match  *route.Matcher // nil: every request
	sample int
}

func newTracing(cfg *config.Traces) (*tracing, error) {
	if cfg == nil {
		return nil, nil
	}
	t := &tracing{sample: cfg.Sample}
	for _, r := range cfg.Rules {
		rule := traceRule{sample: r.Sample}
		if r.Match != nil {
			var err error
			if rule.match, err = route.NewMatcher(r.Match); err != nil {
				return nil, err
			}
		}
		t.rules = append(t.rules, rule)
	}
	return t, nil
}

// traced is what a request has of its trace.
type traced struct {
	on     bool
	ctx    trace.Context // as servers are told: its span is that of asking them
	root   trace.SpanID  // the request's own
	parent trace.SpanID  // its client's; zero: none
}

// part is what a fragment of a page has of the page's trace.
func (w traced) part() traced {
	if !w.on {
		return traced{}
	}
	w.parent, w.ctx.Span = w.root, w.root
	if w.ctx.Sampled {
		w.root, w.ctx.Span = trace.NewSpanID(), trace.NewSpanID()
	}
	return w
}

const (
	traceparent = "traceparent"
	tracestate  = "tracestate"
)

// trace finds the trace of a request, before it is asked what its route wants. Whoever asks may say which one it is; whether it is sampled only a trusted
// proxy says.
func (h *handler) trace() {
	t := h.tree.traces
	if h.isPart {
		h.dropTrace(true) // it is the page's
		return
	}
	w := &h.traced
	w.on = true
	has := h.readTrace(&w.ctx)
	w.parent = w.ctx.Span
	if !has {
		w.ctx.Trace, w.ctx.Random = trace.NewID(), true
	}
	w.ctx.Span = trace.NewSpanID()
	w.ctx.Sampled = h.samples(t, has && h.x.Trusted, w.ctx.Sampled)
	if w.root = w.ctx.Span; w.ctx.Sampled {
		w.root = trace.NewSpanID()
	}
	h.x.Journal.Trace = w.ctx.Trace
}

// samples decides whether a request is told of. told: somebody who is believed says so, or not.
func (h *handler) samples(t *tracing, told, yes bool) bool {
	if told && yes {
		return true
	}
	for i := range t.rules {
		if r := &t.rules[i]; r.match == nil || r.match.Holds(&h.x) {
			return chance(r.sample)
		}
	}
	return !told && chance(t.sample)
}

func chance(thousandths int) bool {
	return thousandths >= 1000 || thousandths > 0 && rand.IntN(1000) < thousandths
}

// readTrace takes traceparent out of the request, since servers get another, and tracestate too where it is of no use. Without a
// traceparent c is the zero value.
func (h *handler) readTrace(c *trace.Context) (ok bool) {
	*c = trace.Context{}
	lines, states, state := 0, 0, true
	f := &h.x.Req.Fields
	for i := range f.List {
		switch l := &f.List[i]; {
		case l.ID != message.Other:
		case message.EqualFold(l.Name, traceparent):
			*c, ok = trace.Parse(l.Value)
			lines++
		case message.EqualFold(l.Name, tracestate):
			state = state && trace.ValidState(l.Value)
			states++
		}
	}
	if lines+states == 0 {
		return false
	}
	if ok = ok && lines == 1; !ok {
		*c = trace.Context{}
	}
	h.dropTrace(!ok || !state)
	return ok
}

func (h *handler) dropTrace(state bool) {
	f := &h.x.Req.Fields
	f.List = slices.DeleteFunc(f.List, func(l message.Field) bool {
		return l.ID == message.Other && (message.EqualFold(l.Name, traceparent) || state && message.EqualFold(l.Name, tracestate))
	})
}

// appendTrace appends what a server is told.
func (h *handler) appendTrace(dst []byte) []byte {
	return append(h.traced.ctx.Append(append(dst, traceparent+": "...)), "\r\n"...)
}
