package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/picture"
	"github.com/weirhq/weir/internal/testkit"
)

// TestTop: somebody looks around at a terminal, finds requests, drains a worker and leaves.
func TestTop(t *testing.T) {
	address := testkit.FreeAddress(t)
	w := testkit.Run(t, testkit.Setup{Config: withDesk(address)})
	awaitPicture(t, address, "the desk is there", func(p *picture.Picture) bool { return p.Edge.Up })
	c := w.Dial()
	s := w.Terminal(100, 30, "top")
	s.See("requests")
	s.See("QUEUE")
	s.Type("2")
	s.See("POOL/SERVER")
	s.See("up 2/2")
	s.Type("6")
	s.See("as they end")
	testkit.Eventually(t, testkit.Patience, "a request is on the screen", func() bool {
		if m := request(c, "/found?by=top"); m.Status >= 500 {
			t.Fatalf("status %d", m.Status)
		}
		return strings.Contains(s.Text(), "/found?by=top")
	})
	s.Type("\r")
	s.See("server works")
	s.Type("\x1b")
	s.SeeNo("server works")
	s.Type("2\x1b[B")
	s.See("d drain")
	s.Type("d")
	s.See("It gets no new sessions")
	s.Type("to try it\r")
	s.See("is drained")
	s.See("draining")
	if out := w.Do("interventions"); !strings.Contains(out, "drain") || !strings.Contains(out, "to try it") {
		t.Error(out)
	}
	s.Type("7")
	s.See("drain: to try it")
	s.Type("3R")
	s.See("Its workers are replaced one by one")
	s.Type("\r")
	s.See("is reloaded")
	s.Type("q")
	if err := s.Wait(testkit.Patience); err != nil {
		t.Errorf("%v\n%s", err, s.Text())
	}
}

// TestTopInAScript: without a terminal it is text, and by URL it wants a token.
func TestTopInAScript(t *testing.T) {
	address := testkit.FreeAddress(t)
	w := testkit.Run(t, testkit.Setup{Config: withDesk(address)})
	awaitPicture(t, address, "the desk is there", func(p *picture.Picture) bool { return p.Edge.Up })
	if out := w.Do("top"); !strings.Contains(out, "requests") || strings.Contains(out, "\x1b") {
		t.Error(out)
	}
	if out := w.Do("top", "-o", "json"); !strings.HasPrefix(out, "{\n  \"at\": ") {
		t.Error(out)
	}
	t.Setenv("WEIR_TOKEN", deskToken)
	if out := w.Do("top", "--url", "http://"+address, "--view", "workers"); !strings.Contains(out, "hello/2.1") {
		t.Error(out)
	}
	t.Setenv("WEIR_TOKEN", "wrong")
	if out, problem, code := w.Command("top", "--url", "http://"+address); code == 0 || strings.Count(problem, "\n") != 1 {
		t.Error(out, problem, code)
	}
	os.Unsetenv("WEIR_TOKEN")
}

// TestTopWithoutADesk: it says what to write.
func TestTopWithoutADesk(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: hello(1, "")})
	if out, problem, code := w.Command("top"); code == 0 || !strings.Contains(problem, "has no admin: write `admin: {}` into it") || strings.Count(problem, "\n") != 1 {
		t.Error(out, problem, code)
	}
}
