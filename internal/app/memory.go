package app

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// maxTree bounds the processes of one worker that are looked at: a worker that forks without end is not to keep weir busy.
const maxTree = 1000

// Memory returns how many bytes the process and all that it has started take, and whether that can be told. To ask what is
// resident costs next to nothing, but counts what forked processes share once for each; so only when that reaches limit are
// their shares (PSS) added up, where the kernel lets us see them: it walks through all of a process's pages for it.
func Memory(pid int, limit int64) (int64, bool) {
	tree := descendants(pid)
	var resident, shares int64
	for _, p := range tree {
		resident += residentOf(p)
	}
	if resident < limit || len(tree) == 0 {
		return resident, resident > 0
	}
	for _, p := range tree {
		share, ok := shareOf(p)
		if !ok {
			share = residentOf(p)
		}
		shares += share
	}
	return shares, true
}

// descendants returns a process and all those that it, or one of them, has started.
func descendants(pid int) []int {
	tree := []int{pid}
	for i := 0; i < len(tree) && len(tree) < maxTree; i++ {
		tree = append(tree, children(tree[i])...)
	}
	return tree
}

// residentOf is the second number in /proc/PID/statm, in bytes; 0 when there is no such process.
func residentOf(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	words := bytes.Fields(text)
	if len(words) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(words[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// shareOf is the proportional set size, which /proc/PID/smaps_rollup tells to those who may trace the process.
func shareOf(pid int) (int64, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, false
	}
	return parseShare(text)
}

// parseShare reads the line "Pss:    1234 kB".
func parseShare(text []byte) (int64, bool) {
	for line := range bytes.Lines(text) {
		words := bytes.Fields(line)
		if len(words) == 3 && string(words[0]) == "Pss:" && string(words[2]) == "kB" {
			n, err := strconv.ParseInt(string(words[1]), 10, 64)
			return n << 10, err == nil && n >= 0 && n < 1<<50
		}
	}
	return 0, false
}
