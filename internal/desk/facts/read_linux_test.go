package facts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// copied is the fixture in a place where it can be changed.
func copied(t *testing.T) (proc string, change func(file, old, new string)) {
	t.Helper()
	proc = filepath.Join(t.TempDir(), "proc")
	if err := os.CopyFS(proc, os.DirFS("testdata/proc")); err != nil {
		t.Fatal(err)
	}
	return proc, func(file, old, new string) {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(proc, file))
		if err != nil || !strings.Contains(string(b), old) {
			t.Fatalf("%s has no %q: %v", file, old, err)
		}
		if err := os.WriteFile(filepath.Join(proc, file), []byte(strings.ReplaceAll(string(b), old, new)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

var three = Wanted{Processes: []Named{{100, "keeper", ""}, {101, "edge", ""}, {102, "web/1", "web"}, {200, "web/2", "web"}, {999, "web/3", "web"}, {0, "web/4", "web"}}}

// TestTwoLooks: what is told of two states of a machine, with the children of workers, within a control group.
func TestTwoLooks(t *testing.T) {
	proc, change := copied(t)
	r := newReader(proc, "testdata/groups")
	first := r.Look(noon, three)
	if len(first.CPUs) != 8 || first.CPUs[0] != 0 || first.MemTotal != 1<<30 || first.MemFree != 1<<29+100<<20 {
		t.Errorf("first: %+v", first)
	}
	change("stat", "cpu0 500 0 0 3500 0 0 0 50", "cpu0 575 0 0 3500 0 0 0 75")
	change("stat", "cpu  4000 0 0 28000 0 0 0 400", "cpu  4075 0 0 28700 0 0 0 425")
	change("net/dev", "123456789", "123556789")
	// The worker's child has ended and left its 600 and 40 more to its parent, which has a new one; another was there before, but nobody knew.
	change("102/stat", " 300 0 70 30 ", " 310 0 690 50 ")
	if err := os.RemoveAll(filepath.Join(proc, "103")); err != nil {
		t.Fatal(err)
	}
	for pid, stat := range map[string]string{"104": "104 (old) S 102 0 0 0 -1 0 0 0 0 0 777 0 0 0 20 0 1 0 1400 0 10 0", "105": "105 (new) S 102 0 0 0 -1 0 0 0 0 0 20 0 0 0 20 0 1 0 4000060 0 10 0"} {
		if err := os.Mkdir(filepath.Join(proc, pid), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, pid, "stat"), []byte(stat), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.turn = rarely // when children are looked for
	f := r.Look(noon.Add(2*time.Second), three)
	if f.CPUs[0] != 1 || f.CPUs[1] != 0 || f.Steal != 25.0/800 || f.Load[0] != 1.25 || f.Uptime != 40000.5 || f.Files != 2112 || f.FilesMax != 100000 || f.SwapUsed != 1000<<20 {
		t.Errorf("the machine: %+v", f)
	}
	if len(f.Networks) != 1 || f.Networks[0].InRate != 50000 || f.Networks[0].Errors != 4 {
		t.Errorf("networks: %+v", f.Networks)
	}
	if len(f.Processes) != 4 {
		t.Fatalf("processes: %+v", f.Processes)
	}
	w := f.Processes[2]
	// 310+0+690+50 and 20 of the new one, less 300+0+70+30 and 600: 70 ticks in two seconds.
	if w.What != "web/1" || w.CPU != 0.35 || w.Threads != 4 || w.Memory != 5020*int64(os.Getpagesize()) || w.Since != noon.Add(2*time.Second-40000500*time.Millisecond+12*time.Second).Unix() {
		t.Errorf("the worker: %+v", w)
	}
	if k := f.Processes[0]; k.CPU != 0 || k.Threads != 8 {
		t.Errorf("the keeper has its children's: %+v", k)
	}
	if d := f.Processes[3]; d.Files != 4 || d.FileMax != 4 {
		t.Errorf("descriptors: %+v", d)
	}
	if len(f.Words) != 1 || f.Words[0] != "worker web/2 has 4 of 4 descriptors open" {
		t.Errorf("words: %q", f.Words)
	}
	// A number that is another process's by now is no process that worked much.
	change("101/stat", " 1100 ", " 3999000 ")
	change("101/stat", " 2000 1000 ", " 9000 1000 ")
	if f := r.Look(noon.Add(3*time.Second), three); f.Processes[1].CPU != 0 {
		t.Errorf("another edge: %+v", f.Processes[1])
	}
}

// TestNoProc: where there is nothing to read, nothing is told.
func TestNoProc(t *testing.T) {
	if f := newReader(t.TempDir(), t.TempDir()).Look(noon, three); f != nil {
		t.Errorf("%+v", f)
	}
}

// TestThisMachine: the machine that the test runs on has a processor, memory and this process in it; and looking leaves no descriptor open.
func TestThisMachine(t *testing.T) {
	r := New()
	w := Wanted{Processes: []Named{{os.Getpid(), "desk", ""}}, Paths: []string{t.TempDir(), "/", "/there/is/none"}}
	var open [2]int
	for i := range 3 * rarely {
		f := r.Look(time.Now(), w)
		if f == nil || len(f.CPUs) == 0 || f.MemTotal == 0 || f.MemFree == 0 || f.Uptime == 0 || len(f.Disks) == 0 || f.Disks[0].Size == 0 {
			t.Fatalf("%+v", f)
		}
		p := f.Processes[0]
		if p.Memory < 1<<20 || p.Threads == 0 || p.Files < 3 || p.FileMax == 0 || time.Since(time.Unix(p.Since, 0)) > 24*time.Hour || time.Since(time.Unix(p.Since, 0)) < -time.Minute {
			t.Fatalf("%+v", p)
		}
		open[min(i, 1)] = p.Files
	}
	if open[1] > open[0]+2 {
		t.Errorf("%d descriptors were open, now %d", open[0], open[1])
	}
}

// BenchmarkLook is a second's worth with 50 workers: what must not be more than a few milliseconds.
func BenchmarkLook(b *testing.B) {
	b.ReportAllocs()
	r := New()
	var w Wanted
	for i := range 53 {
		w.Processes = append(w.Processes, Named{PID: os.Getpid(), What: "web/" + string(rune('a'+i)), App: "web"})
	}
	w.Paths = []string{"/", "/tmp"}
	for b.Loop() {
		r.Look(time.Now(), w)
	}
}
