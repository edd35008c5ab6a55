package health

import (
	"flag"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

var update = flag.Bool("update", false, "write the traces anew")

// TestTraces plays testdata/*.trace: lines of events, each followed by what came of it behind "→".
func TestTraces(t *testing.T) {
	testkit.Traces(t, "testdata/*.trace", *update, func(t *testing.T, text string) string {
		p := player{t: t, now: time.Unix(0, 0)}
		return testkit.PlayLines(text, 24, p.play)
	})
}

// player is one server's health as the events of a trace make it.
type player struct {
	t     *testing.T
	now   time.Time
	pace  Pace
	rules Rules
	check Check
	out   Ejection
	total Sample
	win   Window
}

func (p *player) play(words []string) string {
	switch words[0] {
	case "pace":
		p.pace = Pace{Every: p.time(words[1]), Fast: p.time(words[2]), Rise: p.int(words[3]), Fall: p.int(words[4])}
	case "rules":
		p.rules = Rules{InARow: p.int(words[1]), Rate: p.int(words[2]), Of: p.int(words[3]), For: p.time(words[4])}
	case "presumed":
		p.check = Presumed(p.now)
		return p.showCheck(false)
	case "awaited":
		p.check = Awaited(p.now)
		return p.showCheck(false)
	case "ok", "bad":
		r := Result{OK: words[0] == "ok", At: p.now, Message: words[0]}
		out := p.showCheck(p.check.Take(r, p.pace))
		p.now = p.now.Add(p.check.Next(p.pace, 0.5))
		return out
	case "wait":
		p.now = p.now.Add(p.time(words[1]))
	case "out":
		d := p.out.Out(p.now, "why", p.rules)
		return fmt.Sprintf("%v: ejected for %v, time %d", p.clock(), d, p.out.Times)
	case "in":
		p.out.In(p.now)
		return fmt.Sprintf("%v: back", p.clock())
	case "step": // requests, errors
		p.total.Requests += uint64(p.int(words[1]))
		p.total.Errors += uint64(p.int(words[2]))
		p.win.Advance(p.total)
		p.now = p.now.Add(Step)
		why := p.rules.Failing(p.win.Sum())
		if why == "" {
			return "well"
		}
		return why
	case "forget":
		p.win.Forget(p.total)
	default:
		p.t.Fatalf("no such event: %q", words)
	}
	return ""
}

func (p *player) clock() time.Duration { return p.now.Sub(time.Unix(0, 0)) }

func (p *player) showCheck(turned bool) string {
	c := &p.check
	state, need := "ill", c.need(p.pace)
	if c.Well {
		state = "well"
	}
	out := fmt.Sprintf("%v: %s", p.clock(), state)
	if turned {
		out += " NOW"
	}
	if !c.Proved {
		out += ", assumed"
	}
	if c.Against > 0 {
		out += fmt.Sprintf(", %d of %d against", c.Against, need)
	}
	return out + fmt.Sprintf("; next in %v", c.Next(p.pace, 0.5))
}

func (p *player) time(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

func (p *player) int(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}
