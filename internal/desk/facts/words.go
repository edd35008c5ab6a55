package facts

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/picture"
)

const (
	soon     = 24 * time.Hour // what ends later is not worth a word
	steady   = 10             // samples that something must last to be told
	busy     = 0.95
	idle     = 0.3
	manyFew  = 10 // how many things of a kind are told
	lowMem   = 0.05
	lowDisk  = 0.05
	fullFile = 0.9
)

// words says what a person should be told, the gravest first. It is asked once of each sample.
func (a *analyst) words(s *sample, f *picture.Facts) []string {
	a.notes(s)
	var all []string
	all = append(all, a.memoryWords(f)...)
	all = append(all, a.diskWords(f)...)
	all = append(all, fileWords(f)...)
	all = append(all, a.processorWords(s, f)...)
	all = append(all, a.networkWords(f)...)
	return all
}

// lasting reports whether something was so in enough samples on end.
func (a *analyst) lasting(what string, so bool) bool {
	if !so {
		delete(a.lasts, what)
		return false
	}
	a.lasts[what]++
	return a.lasts[what] >= steady
}

// notes keeps what is needed to see where something leads.
func (a *analyst) notes(s *sample) {
	if s.at.Sub(a.noted) < trendEvery {
		return
	}
	a.noted = s.at
	seen := map[string]bool{"memory": true}
	a.trendOf("memory").note(s.at, float64(s.memory.available))
	for i := range s.disks {
		name := "disk " + s.disks[i].path
		seen[name] = true
		a.trendOf(name).note(s.at, float64(s.disks[i].free))
	}
	for name := range a.trends {
		if !seen[name] {
			delete(a.trends, name)
		}
	}
}

func (a *analyst) trendOf(name string) *trend {
	t := a.trends[name]
	if t == nil {
		t = &trend{}
		a.trends[name] = t
	}
	return t
}

func (a *analyst) memoryWords(f *picture.Facts) (all []string) {
	if f.MemTotal > 0 && float64(f.MemFree) < lowMem*float64(f.MemTotal) {
		all = append(all, fmt.Sprintf("only %s of %s memory are left", size(f.MemFree), size(f.MemTotal)))
	}
	if d, ok := a.trendOf("memory").ends(); ok && d < soon && float64(f.MemFree) < 0.7*float64(f.MemTotal) {
		all = append(all, "memory ends in about "+about(d)+" at this rate")
	}
	if f.SwapTotal > 0 && f.SwapUsed > f.SwapTotal/2 {
		all = append(all, fmt.Sprintf("%s of %s swap space are in use: memory is short", size(f.SwapUsed), size(f.SwapTotal)))
	}
	return all
}

func (a *analyst) diskWords(f *picture.Facts) (all []string) {
	for i := range f.Disks {
		d := &f.Disks[i]
		if d.Size > 0 && float64(d.Free) < lowDisk*float64(d.Size) {
			all = append(all, fmt.Sprintf("the disk %s is nearly full: %s of %s are left", d.Path, size(d.Free), size(d.Size)))
		} else if t, ok := a.trendOf("disk " + d.Path).ends(); ok && t < soon {
			all = append(all, "the disk "+d.Path+" is full in about "+about(t)+" at this rate")
		}
		if d.Inodes > 0 && float64(d.InodeFree) < lowDisk*float64(d.Inodes) {
			all = append(all, fmt.Sprintf("the disk %s has room for %s more files", d.Path, thousands(d.InodeFree)))
		}
		if a.lasting("disk "+d.Path, d.Busy >= busy) {
			all = append(all, "the disk "+d.Path+" is busy all the time")
		}
	}
	return all
}

func fileWords(f *picture.Facts) (all []string) {
	if f.FilesMax > 0 && float64(f.Files) >= fullFile*float64(f.FilesMax) {
		all = append(all, fmt.Sprintf("the machine has %s of %s descriptors open", thousands(f.Files), thousands(f.FilesMax)))
	}
	for i := range f.Processes {
		p := &f.Processes[i]
		if p.FileMax > 0 && float64(p.Files) >= fullFile*float64(p.FileMax) && len(all) < manyFew {
			all = append(all, fmt.Sprintf("%s has %s of %s descriptors open", called(p.What), thousands(int64(p.Files)), thousands(p.FileMax)))
		}
	}
	return all
}

// called is a process as people call it: a worker by its place, whichever process is in it.
func called(what string) string {
	if i := strings.LastIndexByte(what, '/'); i >= 0 {
		if dot := strings.LastIndexByte(what, '.'); dot > i {
			what = what[:dot]
		}
		return "worker " + what
	}
	return "weir's " + what
}

func (a *analyst) processorWords(s *sample, f *picture.Facts) (all []string) {
	n, sum, hot := len(f.CPUs), 0.0, 0
	for i, v := range f.CPUs {
		sum += v
		if v > f.CPUs[hot] {
			hot = i
		}
	}
	if n == 0 {
		return nil
	}
	rest := 0.0
	if n > 1 {
		rest = (sum - f.CPUs[hot]) / float64(n-1)
	}
	alone := a.lasting("alone", n > 1 && f.CPUs[hot] >= busy && rest < idle)
	whole, who := a.wholeProcessor(s, f)
	spare := float64(n)-sum >= 0.5 && n > 1 // another worker would have something to run on
	switch {
	case alone:
		all = append(all, fmt.Sprintf("one of %d processors is at 100 %% while the others idle%s", n, whose(s, who, whole)))
	case whole && spare:
		all = append(all, fmt.Sprintf("%s uses one whole processor and could use no other, while %d %% of the machine idle%s", called(s.trees[who].of.What), int(100-100*sum/float64(n)), oneWorker(s, who)))
	}
	if a.lasting("all", sum >= busy*float64(n)) {
		if n == 1 {
			all = append(all, "the processor is busy all the time")
		} else {
			all = append(all, fmt.Sprintf("all %d processors are busy all the time", n))
		}
	}
	if a.lasting("steal", f.Steal >= 0.1) {
		all = append(all, fmt.Sprintf("other machines on this host take %d %% of the processors away", int(100*f.Steal+0.5)))
	}
	used := 0.0
	for i := range f.Processes {
		used += f.Processes[i].CPU
	}
	if a.lasting("quota", s.quota > 0 && s.quota < float64(n) && used >= 0.9*s.quota) {
		all = append(all, fmt.Sprintf("weir and its workers use all of the %s processors that their control group may use", strconv.FormatFloat(s.quota, 'f', -1, 64)))
	}
	return all
}

// wholeProcessor finds a worker that uses one processor, and has used it for a while: one that can use but one.
func (a *analyst) wholeProcessor(s *sample, f *picture.Facts) (found bool, at int) {
	for i := range f.Processes {
		p := &f.Processes[i]
		if a.lasting("whole "+p.What, s.trees[i].of.App != "" && p.CPU >= 0.9 && p.CPU <= 1.1) && !found {
			found, at = true, i
		}
	}
	// Workers that are gone last no longer.
	for what := range a.lasts {
		if name, ok := strings.CutPrefix(what, "whole "); ok && !is(f, name) {
			delete(a.lasts, what)
		}
	}
	return found, at
}

func is(f *picture.Facts, name string) bool {
	for i := range f.Processes {
		if f.Processes[i].What == name {
			return true
		}
	}
	return false
}

func whose(s *sample, who int, known bool) string {
	if !known {
		return ""
	}
	if one := oneWorker(s, who); one != "" {
		return one
	}
	return ": " + called(s.trees[who].of.What) + " uses it"
}

// oneWorker says that an app has but one worker, if it has.
func oneWorker(s *sample, who int) string {
	app, n := s.trees[who].of.App, 0
	for i := range s.trees {
		if s.trees[i].of.App == app {
			n++
		}
	}
	if n > 1 {
		return ""
	}
	return ": app " + app + " has one worker"
}

// networkWords tells of interfaces that lose packets all the time.
func (a *analyst) networkWords(f *picture.Facts) (all []string) {
	for i := range f.Networks {
		n := &f.Networks[i]
		lost := n.Errors + n.Drops
		before, known := a.lost[n.Name]
		a.lost[n.Name] = lost
		if a.lasting("network "+n.Name, known && lost > before) && len(all) < manyFew {
			all = append(all, "the network interface "+n.Name+" loses packets all the time")
		}
	}
	return all
}

// thousands is a number with a comma at each thousand.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// size is bytes for people.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	v, u := float64(n), 0
	for v >= 1024 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	if v < 10 && u > 0 {
		return fmt.Sprintf("%.1f %s", v, units[u])
	}
	return fmt.Sprintf("%.0f %s", v, units[u])
}

// about is a duration that is not known well.
func about(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return "a minute"
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.0f h", d.Hours())
}
