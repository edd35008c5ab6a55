package testkit

import (
	"sync"
	"time"
)

// Clock is a clock that stands still until the test moves it. The zero value shows 1 January 2026. From any goroutine.
type Clock struct {
	mu     sync.Mutex
	passed time.Duration
}

// Now returns the wall clock, in UTC.
func (c *Clock) Now() time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(c.elapsed())
}

// Mono returns monotonic nanoseconds as the engine has them, never 0.
func (c *Clock) Mono() int64 { return int64(c.elapsed()) + 1 }

func (c *Clock) elapsed() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.passed
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passed += d
}
