package facts

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// The files of /proc are the kernel's own, but they have grown fields before: what is not there is 0, what is too much is passed over.

// number reads digits at the beginning, and returns what is behind them and the blanks after.
func number(b []byte) (n uint64, rest []byte) {
	i := 0
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		n = n*10 + uint64(b[i]-'0')
	}
	return n, bytes.TrimLeft(b[i:], " \t")
}

// word returns what is before the next blank, and what is behind it.
func word(b []byte) (w, rest []byte) {
	b = bytes.TrimLeft(b, " \t")
	if i := bytes.IndexAny(b, " \t"); i >= 0 {
		return b[:i], bytes.TrimLeft(b[i:], " \t")
	}
	return b, nil
}

func line(b []byte) (l, rest []byte) {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}

// manyCPUs bounds what is kept of each.
const manyCPUs = 4096

// parseStat reads /proc/stat.
func parseStat(b []byte, s *sample) {
	s.cpus, s.all = s.cpus[:0], cpuTime{}
	for len(b) > 0 {
		var l []byte
		l, b = line(b)
		if !bytes.HasPrefix(l, []byte("cpu")) {
			if len(s.cpus) > 0 {
				return // the processors come first
			}
			continue
		}
		name, rest := word(l)
		var v [8]uint64 // user nice system idle iowait irq softirq steal
		for i := range v {
			v[i], rest = number(rest)
		}
		t := cpuTime{busy: v[0] + v[1] + v[2] + v[5] + v[6], idle: v[3] + v[4], steal: v[7]}
		if len(name) == 3 {
			s.all = t
		} else if len(s.cpus) < manyCPUs {
			s.cpus = append(s.cpus, t)
		}
	}
}

// parseMeminfo reads /proc/meminfo.
func parseMeminfo(b []byte) (m memory) {
	for len(b) > 0 {
		var l []byte
		l, b = line(b)
		name, rest := word(l)
		kib, _ := number(rest)
		n := int64(min(kib, 1<<50)) << 10
		switch string(name) {
		case "MemTotal:":
			m.total = n
		case "MemAvailable:":
			m.available = n
		case "SwapTotal:":
			m.swapTotal = n
		case "SwapFree:":
			m.swapFree = n
		}
	}
	return m
}

// parseLoad reads /proc/loadavg.
func parseLoad(b []byte) (load [3]float64) {
	for i := range load {
		var w []byte
		w, b = word(b)
		load[i], _ = strconv.ParseFloat(string(w), 64) // 0 if it is none
	}
	return load
}

// parseFirst reads the numbers at the beginning of a file, such as /proc/sys/fs/file-nr.
func parseFirst(b []byte, n int) []uint64 {
	var all []uint64
	for range n {
		var v uint64
		v, b = number(b)
		all = append(all, v)
	}
	return all
}

// manyNetworks bounds the interfaces that are told of.
const manyNetworks = 32

// parseNetworks reads /proc/net/dev. What has but one end on this machine is left out.
func parseNetworks(b []byte, all []networkRead) []networkRead {
	for len(b) > 0 && len(all) < manyNetworks {
		var l []byte
		l, b = line(b)
		name, rest, ok := bytes.Cut(l, []byte(":"))
		if !ok {
			continue
		}
		n := networkRead{name: string(bytes.TrimSpace(name))}
		if n.name == "" || n.name == "lo" || strings.HasPrefix(n.name, "veth") {
			continue
		}
		rest = bytes.TrimLeft(rest, " \t")
		var v [12]uint64 // in: bytes packets errs drop fifo frame compressed multicast; out: bytes packets errs drop
		for i := range v {
			v[i], rest = number(rest)
		}
		n.in, n.errors, n.drops, n.out = v[0], v[2]+v[10], v[3]+v[11], v[8]
		all = append(all, n)
	}
	return all
}

// device is the number of a file system's device.
type device struct{ major, minor uint32 }

// parseDiskstats reads /proc/diskstats: of those devices that are asked for.
func parseDiskstats(b []byte, wanted map[device]int, put func(i int, t diskTotals)) {
	for len(b) > 0 {
		var l []byte
		l, b = line(b)
		major, rest := number(bytes.TrimLeft(l, " \t"))
		minor, rest := number(rest)
		i, ok := wanted[device{uint32(major), uint32(minor)}]
		if !ok {
			continue
		}
		_, rest = word(rest)
		var v [10]uint64 // reads merged sectors ms; writes merged sectors ms; under way, ms busy
		for i := range v {
			v[i], rest = number(rest)
		}
		const sector = 512
		put(i, diskTotals{read: v[2] * sector, written: v[6] * sector, busy: time.Duration(v[9]) * time.Millisecond})
	}
}

// mount is a line of /proc/self/mountinfo.
type mount struct {
	dev   device
	point string
}

// manyMounts bounds what is kept of them.
const manyMounts = 10_000

// parseMounts reads /proc/self/mountinfo.
func parseMounts(b []byte) (all []mount) {
	for len(b) > 0 && len(all) < manyMounts {
		var l, w []byte
		l, b = line(b)
		_, l = word(l) // its own number
		_, l = word(l) // its parent's
		w, l = word(l)
		major, rest := number(w)
		if len(rest) < 2 || rest[0] != ':' {
			continue
		}
		minor, _ := number(rest[1:])
		_, l = word(l) // what of the file system is mounted
		w, _ = word(l)
		all = append(all, mount{device{uint32(major), uint32(minor)}, unescape(string(w))})
	}
	return all
}

// unescape undoes \040 for a blank and the like.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// mountOf is where the file system is mounted that a path is on, by its device. Of several places the one that is nearest above counts.
func mountOf(mounts []mount, dev device, path string) string {
	best := ""
	for _, m := range mounts {
		above := m.point == "/" || path == m.point || strings.HasPrefix(path, m.point+"/")
		if m.dev == dev && above && len(m.point) >= len(best) {
			best = m.point
		}
	}
	if best == "" {
		return path
	}
	return best
}

// processStat is what of /proc/PID/stat is of interest.
type processStat struct {
	parent  int
	ticks   uint64 // of its own, and of its children that have ended and were waited for
	threads int
	start   uint64
	pages   int64
}

// parseProcess reads /proc/PID/stat. The name in it may have anything in it, so it is looked for from behind.
func parseProcess(b []byte) (p processStat, ok bool) {
	i := bytes.LastIndexByte(b, ')')
	if i < 0 || len(b) < i+4 {
		return p, false
	}
	rest := bytes.TrimLeft(b[i+1:], " ")
	_, rest = word(rest) // its state
	var v [22]uint64     // from the parent on: fields 4 to 25 of proc(5)
	for i := range v {
		if len(rest) > 0 && rest[0] == '-' {
			_, rest = word(rest) // a negative number is none that is asked for
			continue
		}
		v[i], rest = number(rest)
	}
	p = processStat{parent: int(v[0]), ticks: v[10] + v[11] + v[12] + v[13], threads: int(min(v[16], 1<<30)), start: v[18], pages: int64(min(v[20], 1<<50))}
	return p, true
}

// parseIO reads /proc/PID/io.
func parseIO(b []byte) (read, written uint64) {
	for len(b) > 0 {
		var l []byte
		l, b = line(b)
		name, rest := word(l)
		switch string(name) {
		case "read_bytes:":
			read, _ = number(rest)
		case "write_bytes:":
			written, _ = number(rest)
		}
	}
	return read, written
}

// parseLimit reads how many descriptors a process may have, of /proc/PID/limits; 0: there is no limit.
func parseLimit(b []byte) int64 {
	const name = "Max open files"
	i := bytes.Index(b, []byte(name))
	if i < 0 {
		return 0
	}
	n, _ := number(bytes.TrimLeft(b[i+len(name):], " \t"))
	return int64(min(n, 1<<50))
}

// parseGroup returns the control group of version 2, of /proc/self/cgroup; empty: there is none.
func parseGroup(b []byte) string {
	for len(b) > 0 {
		var l []byte
		l, b = line(b)
		if path, ok := bytes.CutPrefix(l, []byte("0::")); ok {
			return string(path)
		}
	}
	return ""
}

// parseQuota reads cpu.max: so much time of a period, as processors; 0: no limit.
func parseQuota(b []byte) float64 {
	quota, rest := number(b)
	period, _ := number(rest)
	if quota == 0 || period == 0 {
		return 0 // "max"
	}
	return float64(quota) / float64(period)
}

// statOf returns one number of a file of names and numbers, such as memory.stat.
func statOf(b []byte, name string) uint64 {
	for len(b) > 0 {
		var l []byte
		l, b = line(b)
		if w, rest := word(l); string(w) == name {
			n, _ := number(rest)
			return n
		}
	}
	return 0
}
