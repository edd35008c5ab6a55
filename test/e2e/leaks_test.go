package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// fewUpgrades is how many upgrades and reloads are made where nobody asks for more.
const fewUpgrades = 40

// TestUpgradesLeakNothing: after WEIR_UPGRADES upgrades and reloads under a light load no request is lost, and there is nothing more than
// before: descriptors, threads, processes, files, memory.
func TestUpgradesLeakNothing(t *testing.T) {
	turns := fewUpgrades
	if text := os.Getenv("WEIR_UPGRADES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("WEIR_UPGRADES=%s: write a number", text)
		}
		turns = n
	}
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(2, "    listen: handed\n")})
	waitWorkers(t, w, "hello", 2)
	f := testkit.Load{Address: w.Address, Conns: 2, Pause: 5 * time.Millisecond}.Start(t)
	posts := testkit.Load{Address: w.Address, Conns: 1, Pause: 10 * time.Millisecond, Method: "POST", Path: "/echo", Body: 2000}.Start(t)
	turn := func(n int) {
		switch {
		case n%4 == 1:
			w.Do("reload")
		case n%4 == 3:
			w.Do("reload", "hello")
		default:
			w.Do("upgrade")
		}
	}
	for n := range 8 { // what is made once is there then
		turn(n)
	}
	before := takeStock(t, w)
	began := time.Now()
	for n := range turns {
		turn(n)
		if (n+1)%100 == 0 {
			t.Logf("%d: %+v", n+1, takeStock(t, w))
		}
	}
	took := time.Since(began)
	after := takeStock(t, w)
	t.Logf("%d upgrades and reloads in %v; before %+v, after %+v", turns, took.Round(time.Millisecond), before, after)
	if after.descriptors > before.descriptors || after.edgeDescriptors > before.edgeDescriptors+2 || after.zombies > 0 {
		t.Errorf("descriptors or zombies are left")
	}
	if after.processes != before.processes || after.files != before.files {
		t.Errorf("there is something more than before")
	}
	// Threads come and go with the load; memory moves with the collector.
	if after.threads > before.threads+6 {
		t.Errorf("threads are left")
	}
	if after.memory > before.memory+before.memory/2+(8<<20) {
		t.Errorf("memory is left")
	}
	noneFailed(t, "GET", f.Stop(), 5*turns)
	noneFailed(t, "POST", posts.Stop(), turns)
}

// stock is what there is of weir.
type stock struct {
	descriptors, edgeDescriptors int // of the keeper and its edge
	threads                      int // of the keeper
	processes, zombies           int
	files                        int   // in the run directory
	memory                       int64 // of the keeper, resident
}

// takeStock waits until what was replaced has gone, and counts what is there.
func takeStock(t *testing.T, w *testkit.Weir) (s stock) {
	t.Helper()
	testkit.Eventually(t, testkit.Patience, "all that was replaced has gone", func() bool {
		s = stock{}
		guards := 0
		for _, p := range testkit.Tree(w.Keeper().PID) {
			s.processes++
			if p.State == 'Z' {
				s.zombies++
			}
			if strings.Contains(p.Command, " guard ") {
				guards++
			}
		}
		return edges(w) == 1 && guards == 1 && s.zombies == 0 && s.processes == 5
	})
	// A call of the status, or a request, may be under way.
	s.descriptors = least(func() int { return descriptors(t, w.Keeper().PID) })
	edge := w.Edge()
	s.edgeDescriptors = least(func() int { return descriptors(t, edge.PID) })
	keeper := w.Keeper()
	s.memory = keeper.RSS
	tasks, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(keeper.PID), "task"))
	if err != nil {
		t.Fatal(err)
	}
	s.threads = len(tasks)
	if err := filepath.WalkDir(w.RunDir, func(_ string, _ os.DirEntry, err error) error {
		if err == nil {
			s.files++
		}
		return nil // a worker's socket may just have gone
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

// least is the least of some looks.
func least(look func() int) int {
	n := look()
	for range 20 {
		time.Sleep(3 * time.Millisecond)
		n = min(n, look())
	}
	return n
}
