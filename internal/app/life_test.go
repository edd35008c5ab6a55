package app

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/testkit"
)

var update = flag.Bool("update", false, "write the golden traces anew")

func testApp(workers int) *config.App {
	return &config.App{
		Name: "web", Argv: []string{"serve"}, Workers: workers,
		Ready:   config.Ready{Within: 30 * time.Second},
		Stop:    config.Stop{Signal: "TERM", Within: 10 * time.Second},
		Backoff: config.Backoff{Min: 100 * time.Millisecond, Max: 30 * time.Second, Reset: 10 * time.Second},
	}
}

// TestTraces replays testdata/*.trace. A line that is not indented is the time and an event, the indented lines
// after it are the actions that follow from it; "status" and "serving" show what Life says of itself. The first line
// is the number of workers, and what else the app has (see appOf). "live W…" stands for all that makes workers live.
func TestTraces(t *testing.T) {
	testkit.Traces(t, "testdata/*.trace", *update, replay)
}

func replay(t *testing.T, text string) string {
	t.Helper()
	var l *Life
	base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return testkit.PlayBlocks(text, func(line string) (out []string) {
		words := strings.Fields(line)
		if words[0] == "workers" {
			l = NewLife(appOf(t, words[1:]), nil)
			return nil
		}
		at, err := time.ParseDuration(words[0])
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		step := func(e Event) {
			for _, a := range l.Step(base.Add(at), e) {
				out = append(out, fmt.Sprint(a))
			}
		}
		switch words[1] {
		case "live":
			for _, w := range words[2:] {
				_, number, _ := strings.Cut(w, "/")
				port := 4000 + len(number)
				for _, e := range []Event{Started{w, fmt.Sprintf("127.0.0.1:%d", port), port}, ReadyOK{w}, Announced{w, Ready}} {
					step(e)
				}
			}
		case "status":
			for _, w := range l.Status().Workers {
				text := fmt.Sprintf("%s pid %d %s since %s restarts %d looping %v last %q", w.Name, w.PID, w.State, w.Since[11:], w.Restarts, w.Looping, w.Last)
				if w.Due != "" {
					text += fmt.Sprintf(" due %q", w.Due)
				}
				out = append(out, text)
			}
		case "serving":
			for _, w := range l.Serving() {
				out = append(out, fmt.Sprintf("%s %s %s", w.Name, w.Address, w.State))
			}
		default:
			step(parseEvent(t, words[1:]))
		}
		return out
	})
}

// appOf reads the number of workers, and max=N, at_once=N, requests=N, memory=MIB, age=TIME, overrun=TIME.
func appOf(t *testing.T, words []string) *config.App {
	t.Helper()
	a := testApp(number(t, words[0]))
	a.Alive.Timeout = 5 * time.Second
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		switch name {
		case "max":
			a.MaxWorkers = number(t, value)
		case "at_once":
			a.Reload.AtOnce = number(t, value)
		case "requests":
			a.Recycle.AfterRequests = int64(number(t, value))
		case "memory":
			a.Recycle.Memory = int64(number(t, value)) << 20
		case "age", "overrun":
			d, err := time.ParseDuration(value)
			if err != nil {
				t.Fatal(err)
			}
			if name == "age" {
				a.Recycle.Age = d
			} else {
				a.RequestTimeout = d
			}
		default:
			t.Fatalf("no %s", name)
		}
	}
	return a
}

func number(t *testing.T, s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func parseEvent(t *testing.T, w []string) Event {
	t.Helper()
	rest := ""
	if len(w) > 2 {
		rest = strings.Join(w[2:], " ")
	}
	switch w[0] {
	case "begin":
		return Begin{number(t, w[1])}
	case "started":
		return Started{w[1], "127.0.0.1:" + w[2], number(t, w[2])}
	case "startfailed":
		return StartFailed{Worker: w[1], Why: rest}
	case "ready":
		return ReadyOK{w[1]}
	case "notready":
		return ReadyFailed{w[1], rest}
	case "announced":
		s := Ready
		if w[2] == "leaving" {
			s = Leaving
		}
		return Announced{w[1], s}
	case "drained":
		return Drained{w[1], int64(number(t, w[2]))}
	case "exited":
		how, words, _ := strings.Cut(rest, "; ")
		lines := strings.Split(words, "|") // the last one are its last words
		return Exited{w[1], how, lines[len(lines)-1], lines}
	case "measured": // WORKER REQUESTS MIB
		return Measured{w[1], int64(number(t, w[2])), int64(number(t, w[3])) << 20}
	case "unwell":
		return AliveFailed{w[1], rest}
	case "well":
		return AliveOK{w[1]}
	case "overdue":
		return Overdue{w[1]}
	case "resize":
		return Resize{number(t, w[1]), rest}
	case "timer":
		return Timer{number(t, w[1])}
	case "replace":
		return Replace{number(t, w[1])}
	case "update": // update TICKET WORKERS [COMMAND]; update TICKET WORKERS and what else the app has
		if len(w) > 3 && strings.Contains(w[3], "=") {
			return Update{number(t, w[1]), appOf(t, w[2:])}
		}
		a := testApp(number(t, w[2]))
		if len(w) > 3 {
			a.Argv = w[3:]
		}
		return Update{number(t, w[1]), a}
	case "stop":
		return Stop{number(t, w[1])}
	case "kill":
		return Kill{}
	}
	t.Fatalf("no event %q", w[0])
	return nil
}

func TestBackoffDoublesToItsMaximum(t *testing.T) {
	b := config.Backoff{Min: 100 * time.Millisecond, Max: time.Second}
	for deaths, want := range map[int]time.Duration{1: 100, 2: 200, 3: 400, 4: 800, 5: 1000, 1 << 30: 1000} {
		if got := backoff(b, deaths); got != want*time.Millisecond {
			t.Errorf("after %d deaths %v, want %v", deaths, got, want*time.Millisecond)
		}
	}
	if got := backoff(config.Backoff{Min: time.Second}, 3); got != time.Second {
		t.Error(got)
	}
}
