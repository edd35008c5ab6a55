package loop

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestParkAndWake(t *testing.T) {
	bodies(t, Config{Loops: 2}, func(t *testing.T, e *Engine) {
		l := e.Loops()[0]
		within(t, l, func(task *Task) {
			at := soon(l)
			if err := task.Park(at); err != ErrTimeout || l.Now() < at {
				t.Errorf("nobody wakes: %v", err)
			}
			if err := task.Park(1); err != ErrTimeout {
				t.Errorf("a past deadline: %v", err)
			}
			for _, wake := range []func(){task.Wake, task.WakeHere} {
				wake()
				wake() // one token, however often
				if err := task.Park(0); err != nil {
					t.Errorf("woken before: %v", err)
				}
				if err := task.Park(soon(l)); err != ErrTimeout {
					t.Errorf("woken twice before: %v", err)
				}
			}
			go task.Wake()
			if err := task.Park(l.Now() + Time(patience)); err != nil {
				t.Errorf("woken from a goroutine: %v", err)
			}
			e.Loops()[1].Post(task.Wake)
			if err := task.Park(0); err != nil {
				t.Errorf("woken from another loop: %v", err)
			}
			l.Post(task.WakeHere)
			if err := task.Park(0); err != nil {
				t.Errorf("woken from a callback of the loop: %v", err)
			}
		})
	})
}

// A wake-up during another wait is kept for the next Park, and ends nothing else.
func TestWakeDuringOtherWaits(t *testing.T) {
	bodies(t, Config{}, func(t *testing.T, e *Engine) {
		l := e.Loops()[0]
		within(t, l, func(task *Task) {
			time.AfterFunc(5*time.Millisecond, task.Wake)
			began := l.Now()
			if err := task.Sleep(50 * time.Millisecond); err != nil || l.Now()-began < Time(50*time.Millisecond) {
				t.Errorf("slept %v, %v", time.Duration(l.Now()-began), err)
			}
			if err := task.Park(l.Now() + Time(patience)); err != nil {
				t.Errorf("the wake-up was lost: %v", err)
			}
			task.Do(task.Wake)
			if err := task.Park(l.Now() + Time(patience)); err != nil {
				t.Errorf("the wake-up during Do was lost: %v", err)
			}
		})
	})
}

func TestNoWakeIsLost(t *testing.T) {
	const wakers, each = 4, 5000
	bodies(t, Config{Loops: 2}, func(t *testing.T, e *Engine) {
		for _, l := range e.Loops() {
			var work, done atomic.Int64
			var stop atomic.Bool
			task := make(chan *Task, 1)
			ended := make(chan struct{})
			begin(l, func(t0 *Task) {
				defer close(ended)
				task <- t0
				for {
					n := work.Swap(0)
					done.Add(n)
					if n == 0 && stop.Load() {
						return
					}
					if n == 0 {
						t0.Park(0) // without a deadline: a lost wake-up hangs
					}
				}
			})
			t0 := <-task
			var wg sync.WaitGroup
			for range wakers {
				wg.Go(func() {
					for i := range each {
						work.Add(1)
						t0.Wake()
						if i%64 == 0 {
							runtime.Gosched()
						}
					}
				})
			}
			wg.Wait()
			eventually(t, "all work is done", func() bool { return done.Load() == wakers*each })
			stop.Store(true)
			t0.Wake()
			await(t, ended, "the worker")
		}
	})
}

// What a waker wrote before Wake is seen by the woken, without other synchronisation (for the race detector).
func TestWakePublishes(t *testing.T) {
	bodies(t, Config{}, func(t *testing.T, e *Engine) {
		within(t, e.Loops()[0], func(task *Task) {
			for i := range 1000 {
				var v int
				go func() { v = i; task.Wake() }()
				if err := task.Park(0); err != nil || v != i {
					t.Errorf("%d, %v; want %d", v, err, i)
				}
			}
		})
	})
}

func TestSleep(t *testing.T) {
	bodies(t, Config{}, func(t *testing.T, e *Engine) {
		l := e.Loops()[0]
		within(t, l, func(task *Task) {
			for _, d := range []time.Duration{-1, 0, 1, time.Millisecond, 30 * time.Millisecond} {
				began := l.Now()
				if err := task.Sleep(d); err != nil || l.Now()-began < Time(d) {
					t.Errorf("Sleep(%v) took %v, %v", d, time.Duration(l.Now()-began), err)
				}
			}
		})
	})
}

func TestDo(t *testing.T) {
	bodies(t, Config{Loops: 2}, func(t *testing.T, e *Engine) {
		var now, most atomic.Int64
		var wg sync.WaitGroup
		for i := range 3 * offloadMax {
			wg.Add(1)
			begin(e.Loops()[i%2], func(task *Task) {
				defer wg.Done()
				ran := false
				task.Do(func() {
					n := now.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					time.Sleep(5 * time.Millisecond)
					now.Add(-1)
					ran = true
				})
				if !ran {
					t.Error("Do returned before its function did")
				}
			})
		}
		// Blocked functions do not hold up the loops.
		for range 10 {
			within(t, e.Loops()[0], func(*Task) {})
		}
		wg.Wait()
		if n := most.Load(); n > offloadMax || n < 2 {
			t.Errorf("%d functions at a time", n)
		}
	})
}

func TestPanicsEndTheirTaskOnly(t *testing.T) {
	var told box[string]
	cfg := Config{Panicked: func(l *Loop, v any, stack []byte) { told.put(fmt.Sprint(v, " ", string(stack))) }}
	bodies(t, cfg, func(t *testing.T, e *Engine) {
		told = box[string]{}
		l := e.Loops()[0]
		accepted := make(chan struct{}, 1)
		addr := listenTCP(t, l, acceptFunc(func(c *Conn) { accepted <- struct{}{}; panic("in Accept") }))
		causes := map[string]func(){
			"in a task": func() { begin(l, func(*Task) { panic("in a task") }) },
			"in Do":     func() { begin(l, func(task *Task) { task.Do(func() { panic("in Do") }) }) },
			"in a post": func() { l.Post(func() { panic("in a post") }) },
			"in Accept": func() { dial(t, addr); <-accepted },
			"that is not the one running": func() {
				begin(l, func(task *Task) {
					task.Loop().Go(runFunc(func(*Task) { task.Park(0) }))
					task.Sleep(20 * time.Millisecond)
				})
			},
		}
		for _, cause := range causes {
			cause()
		}
		eventually(t, "the panics are told", func() bool { return len(told.get()) == len(causes) })
		for want := range causes {
			found := false
			for _, got := range told.get() {
				found = found || strings.Contains(got, want) && strings.Contains(got, "task_test.go")
			}
			if !found {
				t.Errorf("not told, or without its stack: %s", want)
			}
		}
		within(t, l, func(*Task) {})
		eventually(t, "they are counted", func() bool { return l.Stats().Panics == uint64(len(causes)) })
		eventually(t, "tasks and connections are gone", func() bool { s := l.Stats(); return s.Tasks == 0 && s.Conns == 0 })
	})
}

// A task that calls runtime.Goexit (t.FailNow does) ends itself, not its loop.
func TestGoexit(t *testing.T) {
	bodies(t, Config{}, func(t *testing.T, e *Engine) {
		l := e.Loops()[0]
		for range 3 {
			begin(l, func(task *Task) { runtime.Goexit() })
			begin(l, func(task *Task) { task.Sleep(time.Millisecond); runtime.Goexit() })
			within(t, l, func(*Task) {})
		}
		eventually(t, "the tasks are gone", func() bool { return l.Stats().Tasks == 0 })
	})
}

func TestPostsRunInOrder(t *testing.T) {
	bodies(t, Config{}, func(t *testing.T, e *Engine) {
		l := e.Loops()[0]
		var got []int
		for i := range 1000 {
			l.Post(func() { got = append(got, i) })
		}
		within(t, l, func(*Task) {})
		for i, v := range got {
			if i != v {
				t.Fatalf("%d came in place %d", v, i)
			}
		}
		if len(got) != 1000 {
			t.Errorf("%d ran", len(got))
		}
	})
}

func TestTasksStartTasks(t *testing.T) {
	bodies(t, Config{}, func(t *testing.T, e *Engine) {
		l := e.Loops()[0]
		const n = 3000 // more than a turn runs, and than are kept
		count := 0
		within(t, l, func(task *Task) {
			for range n {
				l.Go(runFunc(func(other *Task) {
					if count++; count == n {
						task.Wake()
					}
				}))
			}
			for count < n {
				if err := task.Park(0); err != nil {
					t.Error(err)
				}
			}
		})
	})
}

func TestClocks(t *testing.T) {
	bodies(t, Config{Loops: 2}, func(t *testing.T, e *Engine) {
		l := e.Loops()[0]
		within(t, l, func(task *Task) {
			if l.Now() <= 0 {
				t.Errorf("Now: %d", l.Now())
			}
			if off := time.Since(l.Wall()).Abs(); off > 5*time.Second || l.Wall().Location() != time.UTC {
				t.Errorf("Wall: %v", l.Wall())
			}
			before, wall := l.Now(), l.Wall()
			task.Sleep(20 * time.Millisecond)
			if d := l.Now() - before; d < Time(20*time.Millisecond) || !l.Wall().After(wall) {
				t.Errorf("time went on by %v", time.Duration(d))
			}
		})
	})
}

func TestBuffers(t *testing.T) {
	e := startEngine(t, Config{})
	within(t, e.Loops()[0], func(task *Task) {
		l := task.Loop()
		b, big := l.Buffer(), l.LargeBuffer()
		if len(b) != BufferSize || len(big) != LargeBufferSize {
			t.Errorf("%d and %d bytes", len(b), len(big))
		}
		l.Release(b[:10])
		l.Release(big[:0])
		l.Release(make([]byte, 100)) // not ours: dropped
		l.Release(nil)
		b2, big2 := l.Buffer(), l.LargeBuffer()
		if &b[0] != &b2[0] || &big[0] != &big2[0] || len(b2) != BufferSize || len(big2) != LargeBufferSize {
			t.Error("released buffers do not come back whole")
		}
		for range keptBuffers + 100 {
			l.Release(make([]byte, BufferSize))
			l.Release(make([]byte, LargeBufferSize))
		}
		if len(l.small) != keptBuffers || len(l.large) != keptLargeBuffers {
			t.Errorf("%d and %d are kept", len(l.small), len(l.large))
		}
	})
}
