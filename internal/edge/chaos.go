package edge

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/cache/glob"
	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
)

// Faults made on purpose (`weir chaos`) come in where a server's would: behind the place at a server and the connection to it, so that
// limits, retries, hedges, breakers and ejection take them for that server's. Without any, a request pays one load and
// one comparison with nil at each try. Active checks do not meet them.
//
//	errors   nothing is sent; the answer is read as if it had come from the server
//	latency  the request is sent; what comes back is there for nobody until the time has passed

// chaos are the faults in force. It does not change, but for the counts.
type chaos struct{ faults []*fault }

// fault is one of them.
type fault struct {
	api    api.Fault
	host   glob.Glob
	path   glob.Glob
	answer []byte       // to a request, in the form of HTTP/1
	made   atomic.Int64 // by all loops
}

// useFaults puts faults in force, with e.mu held. Those that stay go on counting.
func (e *Edge) useFaults(all []api.Fault) {
	old := e.chaos.Load()
	if len(all) == 0 {
		e.chaos.Store(nil)
		return
	}
	next := &chaos{}
	for _, f := range all {
		if was := old.find(f.ID); was != nil {
			next.faults = append(next.faults, was)
			continue
		}
		next.faults = append(next.faults, newFault(f))
	}
	e.chaos.Store(next)
}

func newFault(a api.Fault) *fault {
	f := &fault{api: a}
	host, path, _ := strings.Cut(a.Route, "/")
	f.host, f.path = glob.New(strings.ToLower(host)), glob.New("/"+path)
	if a.Do == "errors" {
		body := fmt.Sprintf("%d %s, made on purpose: weir chaos, fault %d of %s\n", a.Status, http.StatusText(a.Status), a.ID, a.By)
		// no-store: some errors are kept without being asked for (RFC 9111, section 3).
		f.answer = fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\nContent-Length: %d\r\n\r\n%s",
			a.Status, http.StatusText(a.Status), len(body), body)
	}
	return f
}

func (c *chaos) find(id int) *fault {
	if c == nil {
		return nil
	}
	for _, f := range c.faults {
		if f.api.ID == id {
			return f
		}
	}
	return nil
}

// status tells how often each fault was made.
func (c *chaos) status() (all []api.Fault) {
	if c == nil {
		return nil
	}
	for _, f := range c.faults {
		all = append(all, api.Fault{ID: f.api.ID, Made: f.made.Load()})
	}
	return all
}

// meets decides whether a request that has a place at a server meets the fault.
func (f *fault) meets(host, path []byte, pool, server string, now time.Time) bool {
	switch {
	case now.UnixMilli() >= f.api.Ends:
		return false
	case f.api.Route != "" && !(f.host.Match(host) && f.path.Match(path)):
		return false
	case f.api.Route == "" && (f.api.Pool != pool || f.api.Server != "*" && f.api.Server != server):
		return false
	}
	if f.api.Share < allShares && rand.IntN(allShares) >= f.api.Share {
		return false
	}
	f.made.Add(1)
	return true
}

// allShares is all requests, in hundredths of a percent.
const allShares = 10000

// delay is how long the fault withholds an answer.
func (f *fault) delay() time.Duration {
	ms := f.api.Add
	if f.api.Jitter > 0 {
		ms += rand.Int64N(2*f.api.Jitter+1) - f.api.Jitter
	}
	return time.Duration(max(ms, 0)) * time.Millisecond
}

// afflict draws what becomes of the try in hand: by how much its answer is late, and with which fault's answer it ends
// (nil: the server's own).
func (h *handler) afflict(c *chaos) (answer *fault) {
	h.up.late = lateness{}
	now := h.l.loop.Wall()
	for _, f := range c.faults {
		if !f.meets(h.x.Req.Host, h.x.Req.Path, h.x.Journal.Pool, h.up.s.Name(), now) {
			continue
		}
		if f.answer != nil {
			return f
		}
		h.up.late.by += f.delay()
	}
	return nil
}

// feign is the answer of a fault instead of the server's. Nothing is sent: the connection is as good as before.
func (h *handler) feign(f *fault) outcome {
	u := &h.up
	if u.in.b == nil {
		u.in.b = h.l.loop.Buffer()
	}
	u.in.r, u.in.w = 0, copy(u.in.b, f.answer)
	n, wrong := http1.ParseResponse(u.in.bytes(), h.x.Req.Method, &h.x.Resp, &h.tree.responseLimits)
	if wrong != nil {
		return h.breaks(wrong.Reason)
	}
	u.in.r += n
	u.sent = u.gate == nil // a gate's state is that of its last request
	u.dec.ResetResponse(h.x.Resp.Body, h.x.Resp.Length, &h.tree.responseLimits)
	now := h.l.loop.Now()
	h.x.Journal.Mark(journal.Sent, now)
	h.x.Journal.Mark(journal.FirstByte, now)
	h.answeredBy(h.x.Resp.Status)
	return done
}

// lateness is what withholds a server's answer.
type lateness struct {
	by    time.Duration // 0: nothing does
	until loop.Time     // 0: nothing has come yet
	bytes int           // that have come, and stand behind what counts as read
}

// receiveLate reads what the server sends, and gives it out when the time has come; the limit is the read's, so that whoever waits for an
// answer looks up as he would without this.
func (u *upstream) receiveLate(h *handler, p []byte, limit loop.Time) (int, error) {
	late := &u.late
	if late.until == 0 {
		n, err := u.receiveNow(h, p)
		if n == 0 {
			return n, err
		}
		late.bytes, late.until = n, h.l.loop.Now()+int64(late.by)
	}
	for {
		now := h.l.loop.Now()
		switch {
		case u.c == nil:
			return 0, io.EOF // it was closed meanwhile, since the client has gone
		case now >= late.until:
			n := late.bytes
			*late = lateness{}
			return n, nil
		case limit != 0 && now >= limit, h.hedge != nil && h.hedge.won && !h.hedge.runs:
			return 0, loop.ErrTimeout
		}
		at := late.until
		if limit != 0 && limit < at {
			at = limit
		}
		if err := h.t.Park(at); err != nil && !isTimeout(err) {
			return 0, err
		}
	}
}

// suffer lets a hedged request wait as its server's fault has it, for as long as it is wanted.
func (b *hedge) suffer(t *loop.Task, c *chaos) {
	const step = 20 * time.Millisecond
	now := b.l.loop.Wall()
	var by time.Duration
	for _, f := range c.faults {
		if f.answer == nil && f.meets(b.h.x.Req.Host, b.h.x.Req.Path, b.h.x.Journal.Pool, b.s.Name(), now) {
			by += f.delay()
		}
	}
	for end := b.l.loop.Now() + int64(by); b.h != nil && b.l.loop.Now() < end; {
		if t.Sleep(min(step, time.Duration(end-b.l.loop.Now()))) != nil {
			return
		}
	}
}
