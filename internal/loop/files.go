package loop

import (
	"math"
	"syscall"
)

// OpenFiles returns how many descriptors the process may have open, math.MaxInt32 when there is no limit to speak of.
func OpenFiles() int64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || uint64(limit.Cur) > math.MaxInt32 {
		return math.MaxInt32
	}
	return int64(limit.Cur)
}
