package facts

import "time"

// Wanted is what is looked at besides the machine itself.
type Wanted struct {
	Processes []Named
	Paths     []string // whose file systems are of interest
}

// Named is a process with the name that it is told by, such as "edge" or "web/1.3", and the app that it is a worker of.
type Named struct {
	PID  int
	What string
	App  string
}

// sample is what was read at one time. Totals are since the start of the machine or of the process.
type sample struct {
	at       time.Time
	cpus     []cpuTime
	all      cpuTime
	load     [3]float64
	memory   memory
	disks    []diskRead
	networks []networkRead
	files    int64
	filesMax int64
	uptime   float64
	trees    []tree
	quota    float64 // processors that the control group may use; 0: no limit
}

// cpuTime is in ticks.
type cpuTime struct{ busy, idle, steal uint64 }

// memory is in bytes.
type memory struct{ total, available, swapTotal, swapFree int64 }

// diskRead is a file system and the totals of its device.
type diskRead struct {
	path              string // where it is mounted
	size, free        int64
	inodes, inodeFree int64
	io                diskTotals
	known             bool // io is
}

// diskTotals are bytes, and the time that requests were under way.
type diskTotals struct {
	read, written uint64
	busy          time.Duration
}

type networkRead struct {
	name                   string
	in, out, errors, drops uint64
}

// tree is a process with its children.
type tree struct {
	of      Named
	ticks   uint64 // processor time, of those that have ended too
	late    uint64 // of that, what was spent before it was known of
	memory  int64
	threads int
	start   uint64 // ticks after the machine's
	files   int
	fileMax int64
	size    int // how many processes
}
