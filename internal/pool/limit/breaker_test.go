package limit

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

var update = flag.Bool("update", false, "write the traces that are wanted anew")

// traces runs the scripts of a directory: a line is an input, and what it makes of the machine is written behind it.
func traces(t *testing.T, pattern string, run func(words []string) string) {
	testkit.Traces(t, pattern, *update, func(_ *testing.T, text string) string { return testkit.PlayLines(text, 34, run) })
}

// TestBreakerTraces: "at 12s" sets the time; "ok 10" and "fail 10" are requests that ended; "ask" is a request that wants to go;
// "good", "bad" and "gone" are how the latest
// trial, or one of the round that is named, ended.
func TestBreakerTraces(t *testing.T) {
	p := BreakerPolicy{Errors: 500, Of: 20, For: 10 * time.Second}
	var b Breaker
	var done, failed uint64
	var round Round
	now := int64(time.Second)
	traces(t, "testdata/breaker*.txt", func(w []string) string {
		var n int
		if len(w) > 1 {
			fmt.Sscan(w[1], &n)
		}
		said := ""
		switch w[0] {
		case "new":
			b, done, failed, round, now = Breaker{}, 0, 0, 0, int64(time.Second)
		case "at":
			d, err := time.ParseDuration(w[1])
			if err != nil {
				return err.Error()
			}
			now = int64(time.Second + d)
		case "ok":
			done += uint64(n)
		case "fail":
			for i := range n {
				done++
				failed++
				if b.Failed(&p, done, failed, now) {
					said = fmt.Sprintf("opens at the %d. ", i+1)
				}
			}
		case "ask":
			ok, trial := b.Allow(&p, now)
			said = map[bool]string{true: "yes ", false: "no "}[ok]
			if trial > 0 {
				round = trial
				said = fmt.Sprintf("trial in round %d ", trial)
			}
		case "good", "bad", "gone":
			v := map[string]Verdict{"good": Good, "bad": Bad, "gone": Unknown}[w[0]]
			if n > 0 {
				round = Round(n)
			}
			if b.Tried(&p, round, v, now) {
				said = "changed "
			}
		default:
			return "what is " + w[0] + "?"
		}
		if wait := b.Wait(now); wait > 0 {
			return fmt.Sprintf("%s%s, %v left", said, b.State(), wait)
		}
		return said + b.State().String()
	})
}
