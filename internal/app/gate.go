package app

import (
	"sync"
	"time"
)

// gate keeps what must not be cut in two out of the moment in which another program takes this one's place: a process that is being
// started or collected, a line that is being read. Any goroutine may use it.
type gate struct {
	mu     sync.Mutex
	inside int
	shut   bool
	empty  chan struct{} // closed once nobody is inside and it is shut; nil: nobody waits for that
	opened chan struct{} // closed when it is open again
}

// enter waits while the gate is shut.
func (g *gate) enter() {
	g.mu.Lock()
	for g.shut {
		opened := g.opened
		g.mu.Unlock()
		<-opened
		g.mu.Lock()
	}
	g.inside++
	g.mu.Unlock()
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside--; g.inside == 0 && g.empty != nil {
		g.lock()
		close(g.empty)
		g.empty = nil
	}
}

// lock shuts it; with mu.
func (g *gate) lock() { g.shut, g.opened = true, make(chan struct{}) }

// close shuts the gate at the first moment at which nobody is inside, and says whether there was one within the time. Until
// then all come and go as they like. One goroutine at a time.
func (g *gate) close(within time.Duration) bool {
	g.mu.Lock()
	if g.inside == 0 {
		g.lock()
		g.mu.Unlock()
		return true
	}
	empty := make(chan struct{})
	g.empty = empty
	g.mu.Unlock()
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-empty:
		return true
	case <-late.C:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.empty = nil
	return g.shut // it was empty just now
}

// open lets those in that wait.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = false
	close(g.opened)
}
