package testkit

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// asked says what TestOddly is to do, in a process that TestDivide has started.
const asked = "TESTKIT_ODDLY"

func TestMain(m *testing.M) { Main(m, "TestPlaces") }

// TestOddly does nothing by itself.
func TestOddly(t *testing.T) {
	switch os.Getenv(asked) {
	case "fail":
		t.Error("failed on purpose")
	case "panic":
		panic("on purpose")
	case "exit":
		os.Exit(0) // the testing package makes a panic of it
	case "hang":
		time.Sleep(time.Hour)
	}
}

// TestDivide: what becomes of a test in its process is what becomes of it in the whole, and each has a network of its own
// where that may be.
func TestDivide(t *testing.T) {
	run := func(do string, args ...string) (string, error) {
		cmd := exec.Command(os.Args[0], append([]string{"-test.run=^(TestOddly|TestClock)$", "-test.paniconexit0"}, args...)...)
		cmd.Env = append(os.Environ(), partVariable+"=", asked+"="+do, timesVariable+"="+filepath.Join(t.TempDir(), "times"),
			"WEIR_TEST_PLACES=2", "TMPDIR="+t.TempDir()) // places of its own: this test has one
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, row := range []struct {
		do   string
		args []string
		ok   bool
		has  []string
	}{
		{"", nil, true, []string{"PASS\n"}},
		{"", []string{"-test.v"}, true, []string{"--- PASS: TestOddly", "--- PASS: TestClock", "\nPASS\n"}},
		{"", []string{"-test.v=test2json"}, true, []string{"\x16--- PASS: TestOddly", "\x16--- PASS: TestClock", "\x16PASS\n"}},
		{"fail", nil, false, []string{"failed on purpose", "TestOddly: exit status 1", "\nFAIL\n"}},
		{"panic", nil, false, []string{"panic: on purpose", "TestOddly: exit status 2"}},
		{"exit", nil, false, []string{"TestOddly: exit status"}},
		{"hang", []string{"-test.timeout=7s"}, false, []string{"test timed out", "TestOddly: exit status"}},
		{"", []string{"-test.run=^TestNone$"}, true, []string{"no tests to run"}},
	} {
		t.Run(row.do+strings.Join(row.args, " "), func(t *testing.T) {
			out, err := run(row.do, row.args...)
			if (err == nil) != row.ok {
				t.Errorf("it ended with %v", err)
			}
			for _, h := range row.has {
				if !strings.Contains(out, h) {
					t.Errorf("it did not write %q", h)
				}
			}
			if n := strings.Count("\n"+strings.ReplaceAll(out, "\x16", ""), "\nPASS\n") + strings.Count("\n"+strings.ReplaceAll(out, "\x16", ""), "\nFAIL\n"); n != 1 {
				t.Errorf("it said %d times how it ended", n)
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}

// TestPlaces: no more at a time than there are places, and who wants to be alone is.
func TestPlaces(t *testing.T) {
	p := &places{t.TempDir()}
	var in, most atomic.Int64
	done := make(chan error)
	const all = 12
	for n := range all {
		go func() {
			enter, weight := p.enter, int64(1)
			if n%4 == 3 {
				enter, weight = p.enterAlone, int64(placeCount)
			}
			leave, err := enter()
			if err == nil {
				now := in.Add(weight)
				for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
				}
				time.Sleep(2 * time.Millisecond) // for others to come in, if they could
				in.Add(-weight)
				leave()
			}
			done <- err
		}()
	}
	for range all {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if most.Load() != int64(placeCount) {
		t.Errorf("%d of %d places were taken at a time", most.Load(), placeCount)
	}
}

// TestFreeAddress: nobody gets one twice, and each can be listened on, more than once.
func TestFreeAddress(t *testing.T) {
	seen := map[string]bool{}
	for range 300 {
		a := FreeAddress(t)
		if seen[a] {
			t.Fatalf("%s twice", a)
		}
		seen[a] = true
		for range 2 {
			l, err := net.Listen("tcp", a)
			if err != nil {
				t.Fatal(err)
			}
			l.Close()
		}
	}
}
