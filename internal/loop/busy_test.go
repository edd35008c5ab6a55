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
			for end := time.Now().Add(30 * time.Millisecond); time.Now().Before(end); {
			}
		}
		if err := l.Call(func() { before = l.Busy(); work(); after = l.Busy() }); err != nil {
			t.Fatal(err)
		}
		if l.goroutines() {
			if after != 0 {
				t.Errorf("a loop of goroutines says that it used %v", after)
			}
			return
		}
		time.Sleep(100 * time.Millisecond) // it waits, and that is no work
		if err := l.Call(func() { later = l.Busy() }); err != nil {
			t.Fatal(err)
		}
		// The machine may have given it less than all of its time.
		if used := after - before; used <= 0 || used > 40*time.Millisecond || later < after || later-after > 50*time.Millisecond {
			t.Errorf("used %v, %v and %v", before, after, later)
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
