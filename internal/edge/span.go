package edge

import (
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/trace"
)

// tellTrace hands the request that has ended over to who listens.
func (h *handler) tellTrace() {
	l := h.l
	t := spanWriter{w: &h.traced, j: &h.x.Journal, since: l.loop.Wall().UnixNano() - l.loop.Now(), out: l.span[:0], state: l.state[:0]}
	f := &h.x.Req.Fields
	for i := range f.List { // what is still there goes on
		if m := &f.List[i]; m.ID == message.Other && message.EqualFold(m.Name, tracestate) && len(t.state)+1+len(m.Value) <= maxToldState {
			if len(t.state) > 0 {
				t.state = append(t.state, ',')
			}
			t.state = append(t.state, m.Value...)
		}
	}
	t.request(h)
	t.parts()
	l.spans.put(t.out, t.n)
	l.span, l.state = t.out, t.state
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

// Bounds of what is told of one request, which its client chooses.
const (
	maxToldState = 512 // bytes
	maxToldText  = 2 << 10
)

// spanWriter writes the spans of one request.
type spanWriter struct {
	w     *traced
	j     *journal.Journal
	since int64 // Unix nanoseconds when the loop's time was 0
	state []byte
	out   []byte
	n     int // spans in out
}

// at is when a stage was reached in Unix nanoseconds, 0 if it was not.
func (t *spanWriter) at(s journal.Stage) int64 {
	if t.j.At[s] == 0 {
		return 0
	}
	return t.since + t.j.At[s]
}

// begin begins a span, and returns its offset.
func (t *spanWriter) begin(of, id trace.SpanID, kind trace.Kind, name, more string, from, to int64) int {
	at := len(t.out)
	t.out = trace.AppendSpan(t.out, &trace.Span{Trace: t.w.ctx.Trace, ID: id, Parent: of, State: t.state, Kind: kind, Name: name, Of: more, Start: from, End: to})
	t.n++
	return at
}

// part tells of a part within weir that has come to be.
func (t *spanWriter) part(of trace.SpanID, name string, from, to int64) {
	if from != 0 && to >= from {
		t.out = trace.EndSpan(t.out, t.begin(of, trace.NewSpanID(), trace.Internal, name, "", from, to))
	}
}

// parts tells where the time went.
func (t *spanWriter) parts() {
	j, w := t.j, t.w
	end := t.at(journal.Delivered)
	first := func(of ...int64) int64 {
		for _, n := range of {
			if n != 0 {
				return n
			}
		}
		return end
	}
	routed, queued, picked, connected, sent, answered := t.at(journal.Routed), t.at(journal.Queued), t.at(journal.Picked), t.at(journal.Connected),
		t.at(journal.Sent), t.at(journal.FirstByte)
	if to := first(queued, answered); j.Cache != journal.NoCache && routed != 0 && to >= routed {
		at := t.begin(w.root, trace.NewSpanID(), trace.Internal, "cache", "", routed, to)
		t.out = trace.EndSpan(trace.AppendText(t.out, "weir.cache", j.Cache.String()), at)
	}
	if read := t.at(journal.BodyRead); read != 0 {
		t.part(w.root, "collect", routed, read)
	}
	t.part(w.root, "queue", queued, first(picked))
	if picked == 0 {
		return
	}
	if to := first(t.at(journal.Received)); to >= picked {
		at := t.begin(w.root, w.ctx.Span, trace.Client, "server", j.Pool, picked, to)
		t.out = trace.AppendText(t.out, "weir.server", j.Server)
		if why := j.Cause.String(); why != "" {
			t.out = trace.AppendFailure(t.out, why)
		}
		t.out = trace.EndSpan(t.out, at)
	}
	t.part(w.ctx.Span, "connect", picked, first(connected))
	if connected != 0 {
		t.part(w.ctx.Span, "wait", first(sent, connected), first(answered))
	}
	t.part(w.root, "body", answered, end)
}

// request tells of the request as a whole what is known of it, in OpenTelemetry's words where it has any.
func (t *spanWriter) request(h *handler) {
	j, x := t.j, &h.x
	method := methodName(x.Req.Method)
	begun := t.at(journal.Begun)
	kind := trace.Server
	if h.isPart {
		kind = trace.Internal
	}
	at := t.begin(t.w.parent, t.w.root, kind, method, j.Route, begun, t.at(journal.Delivered))
	var small [64]byte
	b := trace.AppendText(t.out, "http.request.method", method)
	b = trace.AppendText(b, "url.scheme", x.Scheme)
	b = trace.AppendText(b, "url.path", x.Req.Path[:min(len(x.Req.Path), maxToldText)])
	b = trace.AppendText(b, "server.address", x.Req.Host[:min(len(x.Req.Host), maxToldText)])
	b = trace.AppendText(b, "client.address", x.Client.AppendTo(small[:0]))
	b = trace.AppendText(b, "network.protocol.version", append(small[:0], '1', '.', '0'+x.Req.Minor%10))
	b = trace.AppendText(b, "weir.id", x.ID[:min(len(x.ID), maxToldText)])
	b = trace.AppendText(b, "weir.site", j.Site)
	b = trace.AppendText(b, "weir.route", j.Route)
	b = trace.AppendText(b, "weir.pool", j.Pool)
	b = trace.AppendText(b, "weir.server", j.Server)
	b = trace.AppendText(b, "weir.cache", j.Cache.String())
	if j.Cache == journal.Miss || j.Cache == journal.Pass {
		b = trace.AppendText(b, "weir.cache.why", whyWord(h.whyAsked()))
	}
	b = trace.AppendText(b, "weir.session", j.Session.String())
	b = trace.AppendText(b, "weir.hedge", j.Hedge.String())
	b = trace.AppendText(b, "weir.cause", j.Cause.String())
	for _, pair := range [...]struct {
		key string
		n   int64
	}{{"http.response.status_code", int64(j.Status)}, {"http.request.body.size", j.In}, {"http.response.body.size", j.Out}, {"weir.retries", int64(j.Retries)}} {
		if pair.n != 0 {
			b = trace.AppendNumber(b, pair.key, pair.n)
		}
	}
	if j.Status >= 500 || j.Status == 0 {
		why := j.Cause.String()
		if why == "" {
			why = "status " + string(appendInt(small[:0], int64(j.Status)))
		}
		b = trace.AppendFailure(trace.AppendText(b, "error.type", why), why)
	}
	t.out = trace.EndSpan(b, at)
}
