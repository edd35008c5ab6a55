package app

import (
	"runtime"
	"sync"
)

// Thread is the operating system thread from which processes are started: the kernel sends the parent-death signal when the
// *thread* that started a process ends, not when its program does, and Go ends threads as it likes. A program that others are
// to take the place of uses its main thread, which is the only one that is left then.
type Thread struct {
	work chan func()
	done chan struct{}
	once sync.Once
}

// NewThread returns a thread that Run has to be called for.
func NewThread() *Thread { return &Thread{work: make(chan func()), done: make(chan struct{})} }

// Run makes the caller's thread the one, until End. The main goroutine's is the main thread only if it was locked to it in an init
// function.
func (t *Thread) Run() {
	runtime.LockOSThread() // never unlocked: when this goroutine ends, so does the thread, and what is left of its children
	for {
		select {
		case f := <-t.work:
			f()
		case <-t.done:
			return
		}
	}
}

// End ends Run.
func (t *Thread) End() { t.once.Do(func() { close(t.done) }) }
