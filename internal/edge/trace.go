package edge

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/journal"
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

const (
	traceparent = "traceparent"
	tracestate  = "tracestate"
)

// trace finds the trace of a request whose route is known. Whoever asks may say which one it is; whether it is sampled only a trusted
// proxy says.
func (h *handler) trace() {
	t := h.tree.traces
	if h.isPart {
		h.dropTrace(true) // it is the page's
		return
	}
	parent, has := h.readTrace()
	w := &h.traced
	w.on, w.parent = true, parent.Span
	if w.ctx = parent; !has {
		w.ctx = trace.Context{Trace: trace.NewID(), Random: true}
	}
	w.ctx.Span = trace.NewSpanID()
	w.ctx.Sampled = h.samples(t, has && h.x.Trusted, parent.Sampled)
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

// readTrace takes traceparent out of the request, since servers get another, and tracestate too where it is of no use.
func (h *handler) readTrace() (c trace.Context, ok bool) {
	lines, states, state := 0, 0, true
	f := &h.x.Req.Fields
	for i := range f.List {
		switch l := &f.List[i]; {
		case l.ID != message.Other:
		case message.EqualFold(l.Name, traceparent):
			c, ok = trace.Parse(l.Value)
			lines++
		case message.EqualFold(l.Name, tracestate):
			state = state && trace.ValidState(l.Value)
			states++
		}
	}
	if ok = ok && lines == 1; !ok {
		c = trace.Context{}
	}
	if lines+states > 0 {
		h.dropTrace(!ok || !state)
	}
	return c, ok
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

// sampled is a request that was sampled, on its way from its loop.
type sampled struct {
	traced
	j      journal.Journal
	now    loopTime  // the loop's, of wall
	wall   time.Time // the end
	method string
	scheme string
	host   string
	path   string
	id     string
	state  string // tracestate
	client string
	minor  uint8
	why    string // of the cache
}

type loopTime = int64

// tellTrace hands the request that has ended over to who listens.
func (h *handler) tellTrace() {
	req := &h.x.Req
	s := sampled{traced: h.traced, j: h.x.Journal, now: h.l.loop.Now(), wall: h.l.loop.Wall(), scheme: h.x.Scheme, minor: req.Minor,
		method: methodName(req.Method), host: string(req.Host), path: string(req.Path), id: string(h.x.ID), client: h.x.Client.String()}
	f := &req.Fields
	for i := range f.List { // what is still there goes on
		if l := &f.List[i]; l.ID == message.Other && message.EqualFold(l.Name, tracestate) {
			if s.state != "" {
				s.state += ","
			}
			s.state += string(l.Value)
		}
	}
	if c := s.j.Cache; c == journal.Miss || c == journal.Pass {
		s.why = whyWord(h.whyAsked())
	}
	h.l.stories.put(&s)
}

// methodName is a method that everybody knows; whoever invents others does not make names of spans.
func methodName(m message.Method) string {
	if int(m) < len(methodNames) && methodNames[m] != "" {
		return methodNames[m]
	}
	return "HTTP"
}

var methodNames = [...]string{message.GET: "GET", message.HEAD: "HEAD", message.POST: "POST", message.PUT: "PUT", message.DELETE: "DELETE",
	message.OPTIONS: "OPTIONS", message.PATCH: "PATCH"}

// spans makes spans of it. Off the loop.
func (s *sampled) spans() []api.Span {
	j := &s.j
	at := func(stage journal.Stage) int64 { // Unix nanoseconds; 0: it was not reached
		if j.At[stage] == 0 {
			return 0
		}
		return s.wall.UnixNano() - (s.now - j.At[stage])
	}
	begun, end := at(journal.Begun), at(journal.Delivered)
	root := api.Span{Trace: s.ctx.Trace.String(), Span: s.root.String(), Parent: s.parent.String(), State: s.state, Kind: "server", Name: s.method + " " + j.Route,
		Start: begun, End: max(end, begun), Words: map[string]string{}, Numbers: map[string]int64{}}
	s.describe(&root)
	all := append(make([]api.Span, 0, 8), root)
	child := func(of, id trace.SpanID, kind, name string, from, to int64) *api.Span {
		if from == 0 || to < from {
			return nil
		}
		all = append(all, api.Span{Trace: root.Trace, Span: id.String(), Parent: of.String(), State: s.state, Kind: kind, Name: name, Start: from, End: to})
		return &all[len(all)-1]
	}
	first := func(of ...int64) int64 {
		for _, n := range of {
			if n != 0 {
				return n
			}
		}
		return end
	}
	routed, queued, picked, connected, sent, answered := at(journal.Routed), at(journal.Queued), at(journal.Picked), at(journal.Connected),
		at(journal.Sent), at(journal.FirstByte)
	if j.Cache != journal.NoCache {
		if c := child(s.root, trace.NewSpanID(), "", "cache", routed, first(queued, answered, end)); c != nil {
			c.Words = map[string]string{"weir.cache": j.Cache.String()}
		}
	}
	child(s.root, trace.NewSpanID(), "", "collect", routed, at(journal.BodyRead))
	if queued != 0 {
		child(s.root, trace.NewSpanID(), "", "queue", queued, first(picked, end))
	}
	if picked == 0 {
		return all
	}
	if c := child(s.root, s.ctx.Span, "client", "server "+j.Pool, picked, first(at(journal.Received), end)); c != nil {
		c.Words = map[string]string{"weir.server": j.Server}
		c.Error = j.Cause.String()
	}
	child(s.ctx.Span, trace.NewSpanID(), "", "connect", picked, first(connected, end))
	if connected != 0 {
		child(s.ctx.Span, trace.NewSpanID(), "", "wait", first(sent, connected), first(answered, end))
	}
	if answered != 0 {
		child(s.root, trace.NewSpanID(), "", "body", answered, end)
	}
	return all
}

// describe says of a request what is known of it, in OpenTelemetry's words where it has any.
func (s *sampled) describe(span *api.Span) {
	j := &s.j
	word := func(key, value string) {
		if value != "" {
			span.Words[key] = value
		}
	}
	number := func(key string, n int64) {
		if n != 0 {
			span.Numbers[key] = n
		}
	}
	word("http.request.method", s.method)
	word("url.scheme", s.scheme)
	word("url.path", s.path)
	word("server.address", s.host)
	word("client.address", s.client)
	word("network.protocol.version", "1."+string('0'+rune(s.minor%10)))
	word("weir.id", s.id)
	word("weir.site", j.Site)
	word("weir.route", j.Route)
	word("weir.pool", j.Pool)
	word("weir.server", j.Server)
	word("weir.cache", j.Cache.String())
	word("weir.cache.why", s.why)
	word("weir.session", j.Session.String())
	word("weir.hedge", j.Hedge.String())
	word("weir.cause", j.Cause.String())
	number("http.response.status_code", int64(j.Status))
	number("http.request.body.size", j.In)
	number("http.response.body.size", j.Out)
	number("weir.retries", int64(j.Retries))
	switch {
	case j.Status >= 500 || j.Status == 0:
		span.Error = j.Cause.String()
		if span.Error == "" {
			span.Error = "status " + string(appendInt(nil, int64(j.Status)))
		}
		word("error.type", span.Error)
	}
}
