package facts

import (
	"time"

	"github.com/weirhq/weir/internal/picture"
)

// hertz is the number of ticks in a second, in which the kernel tells processor time: USER_HZ, the same on every machine that Go runs on.
const hertz = 100

// analyst makes facts of samples. Of what was before the last one it knows how long something lasts and where something leads.
type analyst struct {
	lasts  map[string]int    // in how many samples on end something was so
	trends map[string]*trend // of what may come to an end
	noted  time.Time
	lost   map[string]uint64 // packets, of each network
}

func newAnalyst() analyst {
	return analyst{lasts: map[string]int{}, trends: map[string]*trend{}, lost: map[string]uint64{}}
}

// look makes facts of a sample and the one before, which may be nil. Words come later.
func (a *analyst) look(before, now *sample) *picture.Facts {
	f := &picture.Facts{Load: now.load, MemTotal: now.memory.total, MemFree: now.memory.available, SwapTotal: now.memory.swapTotal,
		SwapUsed: now.memory.swapTotal - now.memory.swapFree, Files: now.files, FilesMax: now.filesMax, Uptime: now.uptime}
	if before == nil {
		before = &sample{at: now.at}
	}
	seconds := now.at.Sub(before.at).Seconds()
	f.CPUs = make([]float64, len(now.cpus))
	for i := range now.cpus {
		if i < len(before.cpus) {
			f.CPUs[i], _ = shares(before.cpus[i], now.cpus[i])
		}
	}
	if len(before.cpus) > 0 {
		_, f.Steal = shares(before.all, now.all)
	}
	disks := map[string]*diskRead{}
	for i := range before.disks {
		disks[before.disks[i].path] = &before.disks[i]
	}
	for i := range now.disks {
		f.Disks = append(f.Disks, diskOf(disks[now.disks[i].path], &now.disks[i], seconds))
	}
	for i := range now.networks {
		n := &now.networks[i]
		told := picture.Network{Name: n.name, In: n.in, Out: n.out, Errors: n.errors, Drops: n.drops}
		for j := range before.networks {
			if b := &before.networks[j]; b.name == n.name {
				told.InRate, told.OutRate = rate(n.in, b.in, seconds), rate(n.out, b.out, seconds)
			}
		}
		f.Networks = append(f.Networks, told)
	}
	f.Processes = processes(before, now, seconds)
	return f
}

// shares are those of the time between two samples that a processor was busy, and that it was taken away.
func shares(before, now cpuTime) (busy, steal float64) {
	b, i, s := grown(now.busy, before.busy), grown(now.idle, before.idle), grown(now.steal, before.steal)
	if all := b + i + s; all > 0 {
		return (b + s) / all, s / all
	}
	return 0, 0
}

// grown is how much a total has grown. One that has shrunk is another's.
func grown(now, before uint64) float64 {
	if now < before {
		return 0
	}
	return float64(now - before)
}

func rate(now, before uint64, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return grown(now, before) / seconds
}

func diskOf(before, now *diskRead, seconds float64) picture.Disk {
	d := picture.Disk{Path: now.path, Size: now.size, Free: now.free, Inodes: now.inodes, InodeFree: now.inodeFree}
	if before != nil && before.known && now.known && seconds > 0 {
		d.ReadRate, d.WriteRate = rate(now.io.read, before.io.read, seconds), rate(now.io.written, before.io.written, seconds)
		d.Busy = min(1, max(0, (now.io.busy-before.io.busy).Seconds()/seconds))
	}
	return d
}

func processes(before, now *sample, seconds float64) []picture.Process {
	was := map[int]*tree{}
	for i := range before.trees {
		was[before.trees[i].of.PID] = &before.trees[i]
	}
	var all []picture.Process
	started := now.at.Add(-time.Duration(now.uptime * float64(time.Second)))
	for i := range now.trees {
		t := &now.trees[i]
		p := picture.Process{PID: t.of.PID, What: t.of.What, Memory: t.memory, Threads: t.threads, Files: t.files, FileMax: t.fileMax,
			Since: started.Add(time.Duration(t.start) * (time.Second / hertz)).Unix()}
		if b := was[t.of.PID]; b != nil && b.start == t.start && seconds > 0 {
			// A child that ends leaves its time to its parent; one that was found late brings time along that is no news.
			p.CPU = grown(t.ticks, b.ticks+t.late) / hertz / seconds
		}
		all = append(all, p)
	}
	return all
}
