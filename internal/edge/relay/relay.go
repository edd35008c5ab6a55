// Package relay passes bytes of TCP on unread. With requests its sessions share the loops, the pools, what is counted and what is told, and
// nothing else: it knows no HTTP, neither accepts nor listens, and logs nothing by itself.
//
// A session is a task until it has its server; from then on its two connections rest, and a pump runs for as long as it takes to move what
// has come (see pump.go).
//
//	accepted ─► Begin ─► PROXY header? ─► hello of TLS? ─► pool ─► server ─► pumps ─► told of
package relay

import (
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/edge/tally"
	"github.com/weirhq/weir/internal/edge/telling"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
)

// Around is what the sessions of one loop have around them. It is the loop's own but for Reached; its functions are called on the loop.
type Around struct {
	Loop     *loop.Loop
	Told     *telling.Loop
	Sheet    *tally.Sheet
	Count    *api.Counts             // of it, Sessions, Strange and Panics
	Reached  *atomic.Int64           // sessions with a server, of all loops
	ID       func(dst []byte) []byte // appends another id
	Gone     func()                  // a session has ended, and its client's connection is closed
	Panicked func(v any, stack []byte)
}

// Loop is what one loop owns: its sessions. Only tasks and callbacks of that loop touch it.
type Loop struct {
	Around
	first *session
	n     int64
	line  journal.Line // of one that has ended
	id    []byte       // likewise
}

// New makes a loop's part, without a session.
func New(a Around) *Loop { return &Loop{Around: a} }

// Sessions is how many there are.
func (l *Loop) Sessions() int64 { return l.n }

// End ends all sessions of the loop, since the engine is to be closed.
func (l *Loop) End() {
	for l.first != nil {
		l.first.end(l.first.journal.Status, journal.Stopping, "")
	}
}

// after is the time so much from now, none when d is 0.
func (l *Loop) after(d time.Duration) loop.Time {
	if d <= 0 {
		return 0
	}
	return l.Loop.Now() + int64(d)
}
