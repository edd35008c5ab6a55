package edge

import (
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool"
)

// unanswered is a worker that a request has left without an answer: its client hung up, a hedge was quicker, or a shorter limit than
// request_timeout was reached. Were the connection just closed, nobody would ever learn that the worker hangs, and the next request
// would meet it. So a task of its own waits for the worker to show that it lives, until the time that the request would have had.
type unanswered struct {
	l          *local
	turn       pool.Turn
	s          *pool.Server
	c          *loop.Conn
	by         loop.Time // when the worker has had its time
	repeatable bool      // the request
	b          [512]byte
}

// enough is how many bytes show that a worker is not hanging. Fewer may have been on their way when it began to.
const enough = 64 << 10

// outlasts takes the connection to a worker over from a request that has no more use for it. If turn is not nil its place is taken over
// too: for as long as the worker is busy with what nobody waits for, it has no time for another request.
func (l *local) outlasts(s *pool.Server, turn *pool.Turn, c *loop.Conn, by loop.Time, repeatable bool) {
	u := &unanswered{l: l, s: s, c: c, by: by, repeatable: repeatable}
	if turn != nil {
		u.turn.TakeOver(turn)
	}
	l.loop.Go(u)
}

// Run implements loop.Runner.
func (u *unanswered) Run(*loop.Task) {
	fault := pool.Aborted
	defer func() { // deferred: the place is given back even if we panic
		_ = u.c.Close() // it is given up
		if u.turn.Server() != nil {
			u.s.Done(&u.turn, fault)
		}
	}()
	if u.c.CloseWrite() != nil {
		return // it is closed already: the worker has done so, or weir stops
	}
	for left := enough; left > 0; {
		u.c.ReadBy(u.by)
		n, err := u.c.Read(u.b[:])
		if n == 0 && err != nil {
			if isTimeout(err) {
				fault = pool.TimedOut
				u.l.edge.overruns.note(u.s.Name(), u.repeatable)
			}
			return
		}
		left -= n
	}
}
