package limit

import (
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	const second = int64(time.Second)
	for _, tt := range []struct {
		name    string
		rate    int // served a second
		seconds int
		waiting int
		random  uint32
		want    time.Duration
	}{
		{"nobody was served", 0, 0, 100, 0, 15 * time.Second},
		{"fast", 100, 5, 50, 0, time.Second},
		{"fast, spread", 100, 5, 50, 1<<32 - 1, 2 * time.Second},
		{"ten seconds' worth", 10, 5, 100, 0, 10 * time.Second},
		{"ten seconds' worth, spread", 10, 5, 100, 1<<32 - 1, 15 * time.Second},
		{"in the middle", 10, 5, 100, 1 << 31, 13 * time.Second},
		{"first second", 10, 1, 50, 0, 5 * time.Second},
		{"never longer than a minute", 1, 5, 1e6, 1<<32 - 1, time.Minute},
		{"an empty queue", 10, 5, 0, 0, time.Second},
	} {
		var d Drain
		now := second
		for range tt.seconds {
			for range tt.rate {
				d.Served(now)
				now += second / int64(tt.rate)
			}
		}
		if got := d.RetryAfter(tt.waiting, now, tt.random); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// What was long ago says nothing.
func TestDrainForgets(t *testing.T) {
	var d Drain
	now := int64(time.Second)
	for range 1000 {
		d.Served(now)
		now += int64(time.Millisecond)
	}
	if got := d.RetryAfter(1000, now, 0); got != time.Second {
		t.Errorf("at once: %v, want 1s", got)
	}
	now += int64(time.Minute)
	if got := d.RetryAfter(1000, now, 0); got != 15*time.Second {
		t.Errorf("a minute later: %v, want 15s", got)
	}
}
