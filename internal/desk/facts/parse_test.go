package facts

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/proc/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(cpuTime{}, memory{}, networkRead{}, mount{}, device{}, processStat{}, diskTotals{})); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestParse(t *testing.T) {
	var s sample
	parseStat(fixture(t, "stat"), &s)
	equal(t, "all processors", s.all, cpuTime{4000, 28000, 400})
	if len(s.cpus) != 8 || s.cpus[7] != (cpuTime{500, 3500, 50}) {
		t.Errorf("processors: %v", s.cpus)
	}
	equal(t, "load", parseLoad(fixture(t, "loadavg")), [3]float64{1.25, 0.75, 0.5})
	equal(t, "memory", parseMeminfo(fixture(t, "meminfo")), memory{16384000 << 10, 8192000 << 10, 2048000 << 10, 1024000 << 10})
	equal(t, "networks", parseNetworks(fixture(t, "net/dev"), nil), []networkRead{{"eth0", 123456789, 987654321, 4, 6}})
	equal(t, "file-nr", parseFirst(fixture(t, "sys/fs/file-nr"), 3), []uint64{2112, 0, 100000})
	equal(t, "mounts", parseMounts(fixture(t, "self/mountinfo")), []mount{{device{8, 1}, "/"}, {device{8, 17}, "/var/my cache"}, {device{8, 17}, "/mnt"}})
	disks := map[int]diskTotals{}
	parseDiskstats(fixture(t, "diskstats"), map[device]int{{8, 1}: 0, {8, 17}: 1}, func(i int, d diskTotals) { disks[i] = d })
	equal(t, "disks", disks, map[int]diskTotals{0: {51200, 102400, 400 * time.Millisecond}, 1: {1024, 2048, 100 * time.Millisecond}})
	p, ok := parseProcess(fixture(t, "102/stat"))
	equal(t, "a process", p, processStat{parent: 100, ticks: 400, threads: 2, start: 1200, pages: 5000})
	if !ok {
		t.Error("it is none")
	}
	read, written := parseIO(fixture(t, "200/io"))
	equal(t, "io", []uint64{read, written}, []uint64{8192, 4096})
	equal(t, "limit", parseLimit(fixture(t, "200/limits")), int64(4))
	equal(t, "no limit", parseLimit([]byte("Max open files            unlimited            unlimited")), int64(0))
	equal(t, "group", parseGroup(fixture(t, "self/cgroup")), "/site")
	equal(t, "quota", parseQuota([]byte("150000 100000\n")), 1.5)
	equal(t, "no quota", parseQuota([]byte("max 100000\n")), 0.0)
	for path, want := range map[string]string{"/mnt/x": "/mnt", "/mntx": "/mntx", "/var/my cache": "/var/my cache"} {
		equal(t, path, mountOf(parseMounts(fixture(t, "self/mountinfo")), device{8, 17}, path), want)
	}
	equal(t, "on the root", mountOf(parseMounts(fixture(t, "self/mountinfo")), device{8, 1}, "/srv/x"), "/")
}

// FuzzParse: what a later kernel writes, or another program in a process's name, does not bring the desk down.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"stat", "loadavg", "meminfo", "net/dev", "self/mountinfo", "self/cgroup", "diskstats", "102/stat", "200/io", "200/limits"} {
		f.Add(fixture(f, name))
	}
	f.Add([]byte("1 (x) S -1 -1 -1"))
	f.Add([]byte("cpu"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s sample
		parseStat(b, &s)
		m := parseMeminfo(b)
		if m.total < 0 || m.available < 0 {
			t.Errorf("memory %v", m)
		}
		parseLoad(b)
		parseFirst(b, 3)
		if n := parseNetworks(b, nil); len(n) > manyNetworks {
			t.Errorf("%d networks", len(n))
		}
		parseMounts(b)
		parseDiskstats(b, map[device]int{{8, 1}: 0}, func(int, diskTotals) {})
		if p, ok := parseProcess(b); ok && (p.threads < 0 || p.pages < 0) {
			t.Errorf("a process %v", p)
		}
		parseIO(b)
		if parseLimit(b) < 0 {
			t.Error("a limit below 0")
		}
		parseGroup(b)
		parseQuota(b)
		statOf(b, "anon")
	})
}
