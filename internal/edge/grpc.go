package edge

import (
	"time"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/pool"
)

// What is different for gRPC: a body is a stream of messages of which each must arrive as it is sent, the outcome stands in a
// trailer, and a call brings its own time limit.

var grpcType = []byte("application/grpc")

// isGRPC reports whether a message's content is of gRPC, in whatever encoding of its messages.
func isGRPC(f *message.Fields) bool {
	ct := f.Get(message.ContentType)
	return len(ct) >= len(grpcType) && message.EqualFold(ct[:len(grpcType)], grpcType) &&
		(len(ct) == len(grpcType) || ct[len(grpcType)] == '+' || ct[len(grpcType)] == ';' || ct[len(grpcType)] == '-')
}

// noteStatus looks for the outcome of a call.
func (st *stream) noteStatus(f *message.Fields) {
	v, ok := f.Named("grpc-status")
	if !ok || len(v) == 0 || len(v) > 4 {
		return
	}
	n := 0
	for _, c := range v {
		if c < '0' || c > '9' {
			return
		}
		n = 10*n + int(c-'0')
	}
	st.status = n
}

// The outcomes of calls that are a server's fault: what in HTTP would be 500 or 503. DEADLINE_EXCEEDED is not: how long
// a call may take is for its client to say. Nor are UNIMPLEMENTED and RESOURCE_EXHAUSTED, as 501 and 429 are not.
const (
	grpcUnknown     = 2
	grpcInternal    = 13
	grpcUnavailable = 14
	grpcDataLoss    = 15
)

// verdict is what a response that came whole says of its server.
func (u *upstream) verdict(status int) pool.Outcome {
	if u.gate != nil && u.gate.http2() && u.gate.stream.grpc {
		switch u.gate.stream.status {
		case grpcUnknown, grpcInternal, grpcUnavailable, grpcDataLoss:
			return pool.ServerError
		}
	}
	return verdict(status)
}

// grpcTimeout reads the field of that name: at most 8 digits and a unit. 0: none, or one that cannot be read.
func grpcTimeout(v []byte) time.Duration {
	if len(v) < 2 || len(v) > 9 {
		return 0
	}
	n := int64(0)
	for _, c := range v[:len(v)-1] {
		if c < '0' || c > '9' {
			return 0
		}
		n = 10*n + int64(c-'0')
	}
	var unit time.Duration
	switch v[len(v)-1] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	}
	return time.Duration(min(n, int64(1000*time.Hour)/max(int64(unit), 1))) * unit
}

// speakHTTP2 makes ready for a server that is spoken to in HTTP/2.
func (h *handler) speakHTTP2(g *gate) {
	st := &g.stream
	st.grpc = isGRPC(&h.x.Req.Fields)
	st.conn = nil
	if !st.grpc {
		return
	}
	if v, ok := h.x.Req.Fields.Named("grpc-timeout"); ok {
		if d := grpcTimeout(v); d > 0 {
			at := h.l.loop.Now() + loop.Time(d)
			if limit := g.cfg.Timeouts.Request; limit > 0 {
				at = min(at, h.l.loop.Now()+int64(limit))
			}
			h.whenOver = at
		}
	}
}

// streams reports whether the request's body must reach the server as it comes.
func (h *handler) streams() bool {
	return h.up.gate != nil && h.up.gate.http2() && h.up.gate.stream.grpc
}

// http2 reports whether that is spoken.
func (g *gate) http2() bool { return g.h2 }

var _ pool.Listener = (*h2conn)(nil)
