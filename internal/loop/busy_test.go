package loop

import (
	"testing"
	"time"
)

// TestBusy: what a loop works is told, and what it waits is not.
func TestBusy(t *testing.T) {
	bodies(t, Config{Loops: 1, SlowTurn: 10 * time.Second}, func(t *testing.T, e *Engine) {
		l := e.Loops()[0]
		var before, after, later time.Duration
		work := func() {
			for end := time.Now().Add(time.Millisecond); time.Now().Before(end); {
			}
		}
		call := func(f func()) {
			t.Helper()
			if err := l.Call(f); err != nil {
				t.Fatal(err)
			}
		}
		call(func() { before = l.Busy() })
		begun := time.Now()
		for range 100 {
			call(work)
		}
		call(func() { after = l.Busy() })
		took := time.Since(begun)
		if l.goroutines() {
			if after != 0 {
				t.Errorf("a loop of goroutines says that it used %v", after)
			}
			return
		}
		time.Sleep(100 * time.Millisecond) // it waits, and that is no work
		call(func() { later = l.Busy() })
		// The machine may have given it less than all of its time.
		if used := after - before; used <= 0 || used > took || later < after || later-after > 50*time.Millisecond {
			t.Errorf("used %v, %v and %v in %v", before, after, later, took)
		}
	})
}

// TestCallAfterTheEnd: it returns.
func TestCallAfterTheEnd(t *testing.T) {
	bodies(t, Config{Loops: 1}, func(t *testing.T, e *Engine) {
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if err := e.Loops()[0].Call(func() { t.Error("it ran") }); err == nil {
			t.Error("no error")
		}
	})
}
