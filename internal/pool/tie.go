package pool

// Sessions of TCP last, and their server may have to have nobody any more while they do. So each is tied to its server: in a
// list of its loop's, where it is found when that day comes.

// Tie is a session's place in the list of its server. It belongs to the session's loop and must not be copied.
type Tie struct {
	lane       *lane // nil: it is tied to nothing
	prev, next *Tie
	of         Tied
}

// Tied is told that its server must have nobody any more, on its loop, not in a task. The tie is undone by then.
type Tied interface{ Cut() }

// Tie ties a session that holds a place at the server by turn, until Untie or Cut. False: the server must have nobody already.
// On the turn's loop.
func (s *Server) Tie(turn *Turn, t *Tie, of Tied) bool {
	if t.lane != nil {
		panic("pool: Tie with a tie in force")
	}
	l := &s.lanes[turn.lane]
	t.lane, t.of, t.prev, t.next = l, of, nil, l.ties
	if l.ties != nil {
		l.ties.prev = t
	}
	l.ties = t
	// Tied first, and then looked: whoever closes the server does it the other way round.
	if s.cuts() {
		t.Untie()
		return false
	}
	return true
}

// Untie ends the tie, if there is one. On its loop.
func (t *Tie) Untie() {
	if t.lane == nil {
		return
	}
	if t.prev == nil {
		t.lane.ties = t.next
	} else {
		t.prev.next = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.lane, t.prev, t.next, t.of = nil, nil, nil, nil
}

// cuts says that the server must have no sessions.
func (s *Server) cuts() bool {
	why := s.reasons()
	return why&maint != 0 || why&(check|second) != 0 && s.core.view.Load().cfg.CloseOnDown
}

// cut ends the sessions at a server, on their loops, if that still holds there.
func (c *core) cut(s *Server) {
	for i, l := range c.loops {
		l.Post(func() { s.cutLane(&s.lanes[i]) })
	}
}

func (s *Server) cutLane(l *lane) {
	if !s.cuts() {
		return
	}
	for l.ties != nil {
		of := l.ties.of
		l.ties.Untie()
		of.Cut()
	}
}

// Passed counts bytes that a session passed on: in to the server, out from it. On the turn's loop.
func (s *Server) Passed(turn *Turn, in, out int64) {
	l := &s.lanes[turn.lane]
	l.in.Add(uint64(in))
	l.out.Add(uint64(out))
}
