package testkit

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Leaks fails the test if, when it has ended and all of its clean-ups have run, goroutines or descriptors are left
// that were not there when Leaks was called. Call it first.
func Leaks(t testing.TB) {
	t.Helper()
	current := goleak.IgnoreCurrent()
	before := Descriptors(t)
	t.Cleanup(func() {
		if t.Failed() {
			return // what is left behind then says nothing new
		}
		if err := goleak.Find(current); err != nil {
			t.Errorf("goroutines are left behind: %v", err)
		}
		var left []string
		for range Until(Patience) {
			if left = opened(before, Descriptors(t)); len(left) == 0 {
				return
			}
		}
		t.Errorf("descriptors are left open: %s", strings.Join(left, ", "))
	})
}

// Descriptors returns what each open descriptor of this process leads to.
func Descriptors(t testing.TB) map[string]string {
	t.Helper()
	const dir = "/dev/fd" // on Linux a link to /proc/self/fd
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatalf("reading the open descriptors: %v", err)
	}
	all := map[string]string{}
	for _, e := range list {
		// The descriptor that the listing itself used is closed again: no link any more.
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			all[e.Name()] = to
		}
	}
	return all
}

func opened(before, after map[string]string) (left []string) {
	for _, fd := range slices.Sorted(maps.Keys(after)) {
		// The runtime opens its poller once, when it is first needed, and keeps it.
		if to := after[fd]; before[fd] != to && to != "anon_inode:[eventpoll]" && to != "anon_inode:[eventfd]" {
			left = append(left, fd+" → "+to)
		}
	}
	return left
}

// Until counts tries until the time is over, with a short pause between them: for polling.
//
//	for range testkit.Until(time.Second) {
//		if ready() { return }
//	}
//	t.Fatal("it did not get ready")
func Until(limit time.Duration) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		end := time.Now().Add(limit)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for n := 0; yield(n) && time.Now().Before(end); n++ {
			<-tick.C
		}
	}
}

// Eventually polls until the condition holds, and fails the test when it does not within the time.
func Eventually(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for range Until(limit) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %v: %s", limit, what)
}
