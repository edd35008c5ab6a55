package app

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// TestScaleTraces replays testdata/scale/*.trace: a line is a number of seconds, the busy share and the queue in each of them;
// indented below it is what was decided. The first line has the workers at first, and the bounds. New workers are live five
// seconds later.
func TestScaleTraces(t *testing.T) {
	testkit.Traces(t, "testdata/scale/*.trace", *update, func(t *testing.T, text string) string {
		var s Scaler
		var size, least, most int
		now := time.Unix(0, 0)
		var born []time.Time
		return testkit.PlayBlocks(text, func(line string) (out []string) {
			if strings.HasPrefix(line, "workers") {
				if _, err := fmt.Sscanf(line, "workers %d of %d to %d", &size, &least, &most); err != nil {
					t.Fatal(line, err)
				}
				born = make([]time.Time, size)
				return nil
			}
			var seconds int
			var busy float64
			var queued int64
			if _, err := fmt.Sscanf(line, "%d s busy %f queued %d", &seconds, &busy, &queued); err != nil {
				t.Fatal(line, err)
			}
			for range seconds {
				now = now.Add(time.Second)
				live := 0
				for _, b := range born {
					if now.Sub(b) >= 5*time.Second {
						live++
					}
				}
				n, why := s.Want(now, size, least, most, Load{live, busy, queued})
				if n != size {
					out = append(out, fmt.Sprintf("%v: %d workers: %s", now.Sub(time.Unix(0, 0)), n, why))
				}
				for size = n; len(born) < size; {
					born = append(born, now)
				}
				born = born[:size]
			}
			return out
		})
	})
}

// Whatever the load, the number stays within its bounds, changes by one step at a time, and is at rest when the load is.
func TestScaleStaysInBounds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		least := 1 + r.IntN(5)
		most := least + r.IntN(20)
		size := least + r.IntN(most-least+1)
		var s Scaler
		now := time.Unix(0, 0)
		step := func(l Load) bool {
			now = now.Add(time.Second)
			n, why := s.Want(now, size, least, most, l)
			if n < least || n > most || n < size-1 || n > size+max(size/4, 1) || (n != size) != (why != "") {
				t.Fatalf("%d of %d to %d became %d: %q", size, least, most, n, why)
			}
			changed := n != size
			size = n
			return changed
		}
		for range 500 {
			step(Load{size - r.IntN(2), r.Float64(), int64(r.IntN(3) * r.IntN(100))})
		}
		// The same work for all: with size workers each is busy for work/size.
		work := r.Float64() * float64(most)
		last := 0
		for i := range 20_000 {
			if step(Load{size, min(work/float64(size), 1), 0}) {
				last = i
			}
		}
		if last > 10_000 {
			t.Errorf("work for %.1f workers, %d to %d: it does not come to rest at %d", work, least, most, size)
		}
	}
}
