package facts

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// told is what is said after so many samples, a second apart, each made by change of the one before.
func told(n int, s *sample, change func(i int, s *sample)) []string {
	a := newAnalyst()
	var before *sample
	var words []string
	for i := range n {
		now := *s
		now.at = start.Add(time.Duration(i) * time.Second)
		now.cpus, now.trees = append([]cpuTime(nil), s.cpus...), append([]tree(nil), s.trees...)
		now.disks, now.networks = append([]diskRead(nil), s.disks...), append([]networkRead(nil), s.networks...)
		change(i, &now)
		f := a.look(before, &now)
		for j := range f.Processes {
			f.Processes[j].Files, f.Processes[j].FileMax = now.trees[j].files, now.trees[j].fileMax
		}
		words = a.words(&now, f)
		before, s = &now, &now
	}
	return words
}

func machine(cpus int, workers ...string) *sample {
	s := &sample{cpus: make([]cpuTime, cpus), memory: memory{total: 16 << 30, available: 8 << 30}, uptime: 1000}
	for i, name := range workers {
		app, _, _ := strings.Cut(name, "/")
		if app == name {
			app = ""
		}
		s.trees = append(s.trees, tree{of: Named{PID: i + 1, What: name, App: app}, start: 1})
	}
	return s
}

// run has processors and processes work, by shares of a second.
func run(s *sample, cpus []float64, trees []float64) {
	for i := range s.cpus {
		v := 0.02
		if i < len(cpus) {
			v = cpus[i]
		}
		s.cpus[i].busy += uint64(100 * v)
		s.cpus[i].idle += uint64(100 * (1 - v))
	}
	for i, v := range trees {
		s.trees[i].ticks += uint64(100 * v)
	}
}

func TestWords(t *testing.T) {
	nothing := func(int, *sample) {}
	for _, c := range []struct {
		name string
		n    int
		s    *sample
		do   func(i int, s *sample)
		want string
	}{
		{"all is well", 50, machine(8, "edge", "web/1"), func(_ int, s *sample) { run(s, []float64{0.5}, []float64{0.2, 0.2}) }, ""},
		{"one worker alone", 15, machine(8, "edge", "photos/1"), func(_ int, s *sample) { run(s, []float64{0.1, 1}, []float64{0.1, 0.99}) },
			"one of 8 processors is at 100 % while the others idle: app photos has one worker"},
		{"one of two workers", 15, machine(8, "edge", "photos/1", "photos/2"), func(_ int, s *sample) { run(s, []float64{0.1, 1}, []float64{0.1, 0.99, 0}) },
			"one of 8 processors is at 100 % while the others idle: worker photos/1 uses it"},
		{"nobody of ours", 15, machine(2, "edge"), func(_ int, s *sample) { run(s, []float64{1}, nil) }, "one of 2 processors is at 100 % while the others idle"},
		{"not for long enough", steady - 1, machine(8, "photos/1"), func(_ int, s *sample) { run(s, []float64{1}, []float64{1}) }, ""},
		{"with a pause", 15, machine(8, "photos/1"), func(i int, s *sample) {
			run(s, []float64{map[bool]float64{true: 0.2, false: 1}[i == 9]}, []float64{0.5})
		}, ""},
		{"it moves between processors", 15, machine(4, "photos/1"), func(i int, s *sample) { run(s, []float64{0.5, 0.5}, []float64{1}) },
			"worker photos/1 uses one whole processor and could use no other, while 74 % of the machine idle: app photos has one worker"},
		{"one processor", 15, machine(1, "photos/1"), func(_ int, s *sample) { run(s, []float64{1}, []float64{0.99}) }, "the processor is busy all the time"},
		{"all of them", 15, machine(2, "photos/1", "photos/2"), func(_ int, s *sample) { run(s, []float64{1, 1}, []float64{0.99, 0.99}) }, "all 2 processors are busy all the time"},
		{"stolen", 15, machine(2), func(_ int, s *sample) { run(s, nil, nil); s.all.busy += 10; s.all.steal += 20; s.all.idle += 70 }, "other machines on this host take 20 % of the processors away"},
		{"the group's part", 15, func() *sample { s := machine(8, "web/1", "web/2"); s.quota = 1.5; return s }(), func(_ int, s *sample) { run(s, []float64{0.2}, []float64{0.75, 0.75}) },
			"weir and its workers use all of the 1.5 processors that their control group may use"},
		{"memory leads to an end", 301 + 10, machine(2), func(_ int, s *sample) { s.memory.available -= 700 << 10 }, "memory ends in about 3 h at this rate"},
		{"memory comes and goes", 400, machine(2), func(i int, s *sample) { s.memory.available = int64(8+i/10%2) << 30 }, ""},
		{"memory that was taken once", 400, machine(2), func(i int, s *sample) {
			if i == 200 {
				s.memory.available = 4 << 30
			}
		}, ""},
		{"hardly any memory", 1, machine(2), func(_ int, s *sample) { s.memory.available = 100 << 20 }, "only 100 MiB of 16 GiB memory are left"},
		{"swap", 1, func() *sample { s := machine(2); s.memory.swapTotal, s.memory.swapFree = 2<<30, 512<<20; return s }(), nothing, "1.5 GiB of 2.0 GiB swap space are in use: memory is short"},
		{"a full disk", 1, func() *sample {
			s := machine(2)
			s.disks = []diskRead{{path: "/var", size: 100 << 30, free: 3 << 30, inodes: 1e6, inodeFree: 1234}}
			return s
		}(), nothing,
			"the disk /var is nearly full: 3.0 GiB of 100 GiB are left; the disk /var has room for 1,234 more files"},
		{"a disk that fills up", 311, func() *sample {
			s := machine(2)
			s.disks = []diskRead{{path: "/var", size: 100 << 30, free: 36 << 30}}
			return s
		}(), func(_ int, s *sample) { s.disks[0].free -= 2 << 20 },
			"the disk /var is full in about 5 h at this rate"},
		{"a busy disk", 15, func() *sample { s := machine(2); s.disks = []diskRead{{path: "/var", known: true}}; return s }(), func(_ int, s *sample) { s.disks[0].io.busy += time.Second }, "the disk /var is busy all the time"},
		{"descriptors", 1, func() *sample {
			s := machine(2, "web/2", "edge")
			s.trees[0].files, s.trees[0].fileMax = 980, 1024
			s.trees[1].files, s.trees[1].fileMax = 95, 100
			return s
		}(), nothing,
			"worker web/2 has 980 of 1,024 descriptors open; weir's edge has 95 of 100 descriptors open"},
		{"the machine's descriptors", 1, func() *sample { s := machine(2); s.files, s.filesMax = 99_000, 100_000; return s }(), nothing, "the machine has 99,000 of 100,000 descriptors open"},
		{"lost packets", 15, func() *sample { s := machine(2); s.networks = []networkRead{{name: "eth0"}}; return s }(), func(_ int, s *sample) { s.networks[0].drops++ }, "the network interface eth0 loses packets all the time"},
		{"packets lost once", 15, func() *sample { s := machine(2); s.networks = []networkRead{{name: "eth0", drops: 7}}; return s }(), nothing, ""},
	} {
		if got := strings.Join(told(c.n, c.s, c.do), "; "); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 12345: "12,345", -100: "-100"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is written %s", n, got)
		}
	}
	for n, want := range map[int64]string{5: "5 B", 1536: "1.5 KiB", 100 << 20: "100 MiB", 1 << 62: "4096 PiB"} {
		if got := size(n); got != want {
			t.Errorf("%d is written %s", n, got)
		}
	}
	for d, want := range map[time.Duration]string{time.Second: "a minute", 7 * time.Minute: "7 min", 200 * time.Minute: "3 h"} {
		if got := about(d); got != want {
			t.Errorf("%v is written %s", d, got)
		}
	}
}

// TestForgets: what is no more, such as workers that were replaced, is not remembered.
func TestForgets(t *testing.T) {
	a := newAnalyst()
	for i := range 100 {
		s := machine(2, fmt.Sprintf("web/1.%d", i))
		s.at = start.Add(time.Duration(i) * time.Minute)
		s.disks = []diskRead{{path: fmt.Sprint("/mnt/", i)}}
		f := a.look(nil, s)
		f.Processes[0].CPU = 1
		a.words(s, f)
	}
	if len(a.lasts) > 4 || len(a.trends) > 2 {
		t.Errorf("%d conditions and %d trends are remembered", len(a.lasts), len(a.trends))
	}
}
