package facts

import (
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/picture"
)

const (
	// rarely is how often that is read which costs more, or changes little: descriptors, limits, what a process read and wrote, who its
	// children are. Each look takes its share of the processes.
	rarely = 5
	// manyProcesses bounds the processes of one tree that are looked at.
	manyProcesses = 200
	statSize      = 1 << 20 // of a file that is read
)

// Reader looks at the machine. One goroutine at a time may use it.
type Reader struct {
	proc, groups string // where they are mounted
	buf          []byte
	turn         int
	last         *sample
	analyst      analyst

	mounts   []mount
	children map[int][]int      // by parent
	members  map[int]uint64     // the ticks of processes that are known of
	seldom   map[int]seldomRead // by the first process of a tree
}

// seldomRead is what is not read at each look.
type seldomRead struct {
	start         uint64 // of that process: a number may be another's by now
	files         int
	fileMax       int64
	read, written uint64
	at            time.Time
	readRate      float64
	writeRate     float64
}

// New returns a Reader of this machine.
func New() *Reader { return newReader("/proc", "/sys/fs/cgroup") }

func newReader(proc, groups string) *Reader {
	return &Reader{proc: proc, groups: groups, buf: make([]byte, 16<<10), analyst: newAnalyst(), members: map[int]uint64{}, seldom: map[int]seldomRead{}}
}

// Look reads what is so now, nil where that cannot be told. Rates are told from the second look on.
func (r *Reader) Look(now time.Time, w Wanted) *picture.Facts {
	s := &sample{at: now}
	parseStat(r.file("stat"), s)
	if len(s.cpus) == 0 {
		return nil
	}
	s.load = parseLoad(r.file("loadavg"))
	s.memory = parseMeminfo(r.file("meminfo"))
	s.networks = parseNetworks(r.file("net/dev"), nil)
	nr := parseFirst(r.file("sys/fs/file-nr"), 3)
	s.files, s.filesMax = int64(min(nr[0], 1<<60)), int64(min(nr[2], 1<<60))
	s.uptime = parseLoad(r.file("uptime"))[0]
	r.limitByGroup(s)
	r.readDisks(s, w.Paths)
	r.readTrees(s, w.Processes)
	f := r.analyst.look(r.last, s)
	r.addSeldom(s, f)
	r.last = s
	r.turn++
	return f
}

// file reads a file below /proc. What is returned holds until the next call; it is empty when there is no such file.
func (r *Reader) file(name string) []byte { return r.read(r.proc + "/" + name) }

func (r *Reader) read(name string) []byte {
	fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer syscall.Close(fd) //nolint:errcheck // only read
	n := 0
	for {
		if n == len(r.buf) {
			if n >= statSize {
				return r.buf
			}
			r.buf = append(r.buf, make([]byte, n)...)
		}
		m, err := syscall.Read(fd, r.buf[n:])
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || m <= 0 {
			return r.buf[:n]
		}
		n += m
	}
}

// limitByGroup takes what the control group leaves, where that is less.
func (r *Reader) limitByGroup(s *sample) {
	group := parseGroup(r.file("self/cgroup"))
	if group == "" {
		return
	}
	for group = path.Clean("/" + group); ; group = path.Dir(group) {
		dir := filepath.Join(r.groups, group)
		if limit, _ := number(r.read(dir + "/memory.max")); limit > 0 && int64(limit) < s.memory.total {
			used, _ := number(r.read(dir + "/memory.current"))
			cached := statOf(r.read(dir+"/memory.stat"), "inactive_file")
			s.memory.total = int64(limit)
			s.memory.available = max(0, min(s.memory.available, int64(limit)-int64(used)+int64(cached)))
		}
		if q := parseQuota(r.read(dir + "/cpu.max")); q > 0 && (s.quota == 0 || q < s.quota) {
			s.quota = q
		}
		if group == "/" {
			return
		}
	}
}

// readDisks reads how full the file systems are, and what their devices did.
func (r *Reader) readDisks(s *sample, paths []string) {
	if r.turn%60 == 0 {
		r.mounts = parseMounts(r.file("self/mountinfo"))
	}
	wanted := map[device]int{}
	for _, p := range paths {
		var st syscall.Stat_t
		var room syscall.Statfs_t
		if syscall.Stat(p, &st) != nil || syscall.Statfs(p, &room) != nil {
			continue // it is not there yet, or no more
		}
		dev := device{majorOf(uint64(st.Dev)), minorOf(uint64(st.Dev))}
		if _, ok := wanted[dev]; ok {
			continue
		}
		wanted[dev] = len(s.disks)
		block := room.Frsize
		if block == 0 {
			block = room.Bsize
		}
		s.disks = append(s.disks, diskRead{path: mountOf(r.mounts, dev, p), size: int64(room.Blocks) * block, free: int64(room.Bavail) * block,
			inodes: int64(room.Files), inodeFree: int64(room.Ffree)})
	}
	parseDiskstats(r.file("diskstats"), wanted, func(i int, t diskTotals) { s.disks[i].io, s.disks[i].known = t, true })
}

// readTrees reads the processes that are wanted, with their children.
func (r *Reader) readTrees(s *sample, named []Named) {
	if r.turn%rarely == 0 {
		r.findChildren()
	}
	members := make(map[int]uint64, len(r.members))
	page := int64(os.Getpagesize())
	stop := map[int]bool{} // a process that is told of by itself is no part of another
	for _, n := range named {
		stop[n.PID] = true
	}
	for i, n := range named {
		first, ok := parseProcess(r.file(strconv.Itoa(n.PID) + "/stat"))
		if n.PID <= 0 || !ok {
			continue
		}
		t := tree{of: n, start: first.start}
		todo := []int{n.PID}
		for len(todo) > 0 && t.size < manyProcesses {
			pid := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			p := first
			if pid != n.PID {
				if p, ok = parseProcess(r.file(strconv.Itoa(pid) + "/stat")); !ok {
					continue
				}
			}
			t.size++
			t.ticks += p.ticks
			t.threads += p.threads
			t.memory += p.pages * page
			members[pid] = p.ticks
			if _, known := r.members[pid]; !known && (r.last == nil || float64(p.start)/hertz < r.last.uptime) {
				t.late += p.ticks
			}
			for _, c := range r.children[pid] {
				if !stop[c] {
					todo = append(todo, c)
				}
			}
		}
		if seldom, ok := r.seldom[n.PID]; !ok || seldom.start != first.start || (i+r.turn)%rarely == 0 {
			r.readSeldom(s.at, n.PID, first.start)
		}
		s.trees = append(s.trees, t)
	}
	r.members = members
}

// readSeldom reads of a process itself what is not read at each look.
func (r *Reader) readSeldom(now time.Time, pid int, start uint64) {
	dir := strconv.Itoa(pid)
	before := r.seldom[pid]
	n := seldomRead{start: start, at: now, files: r.countFiles(dir), fileMax: parseLimit(r.file(dir + "/limits"))}
	n.read, n.written = parseIO(r.file(dir + "/io"))
	if d := now.Sub(before.at).Seconds(); before.start == start && d > 0 {
		n.readRate, n.writeRate = rate(n.read, before.read, d), rate(n.written, before.written, d)
	}
	r.seldom[pid] = n
}

// addSeldom tells it.
func (r *Reader) addSeldom(s *sample, f *picture.Facts) {
	kept := make(map[int]seldomRead, len(f.Processes))
	for i := range f.Processes {
		p := &f.Processes[i]
		n := r.seldom[p.PID]
		kept[p.PID] = n
		p.Files, p.FileMax, p.Read, p.Written = n.files, n.fileMax, n.readRate, n.writeRate
	}
	r.seldom = kept
	f.Words = r.analyst.words(s, f)
}

// countFiles counts the descriptors of a process. A kernel from 6.2 on tells their number as the size of the directory.
func (r *Reader) countFiles(dir string) int {
	name := r.proc + "/" + dir + "/fd"
	info, err := os.Stat(name)
	if err != nil {
		return 0
	}
	if info.Size() > 0 && r.proc == "/proc" {
		return int(info.Size())
	}
	d, err := os.Open(name)
	if err != nil {
		return 0
	}
	defer d.Close() //nolint:errcheck // only read
	total := 0
	for {
		names, err := d.Readdirnames(1000)
		total += len(names)
		if err != nil || len(names) == 0 {
			return total
		}
	}
}

// findChildren finds who is whose child, of all processes.
func (r *Reader) findChildren() {
	r.children = map[int][]int{}
	d, err := os.Open(r.proc)
	if err != nil {
		return
	}
	defer d.Close() //nolint:errcheck // only read
	for {
		names, err := d.Readdirnames(500)
		for _, name := range names {
			pid, aerr := strconv.Atoi(name)
			if aerr != nil {
				continue
			}
			if p, ok := parseProcess(r.file(name + "/stat")); ok {
				r.children[p.parent] = append(r.children[p.parent], pid)
			}
		}
		if errors.Is(err, io.EOF) || err != nil || len(names) == 0 {
			return
		}
	}
}

// A device's number holds its two parts as the C library has them.
func majorOf(dev uint64) uint32 { return uint32(dev>>8&0xfff | dev>>32&^0xfff) }
func minorOf(dev uint64) uint32 { return uint32(dev&0xff | dev>>12&^0xff) }
