package loop

import (
	"os"
	"runtime"
	"testing"
)

func stackAll(b []byte) int { return runtime.Stack(b, true) }

// countFDs counts the process's open descriptors where that is to be had.
func countFDs(t testing.TB) int {
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(d)
}
