package e2e

import (
	"syscall"
	"testing"
)

// mountSmall mounts a disk of 24 MiB on a directory until the test ends; false when this user or machine may not.
func mountSmall(t *testing.T, dir string) bool {
	t.Helper()
	if syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m") != nil {
		return false
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return true
}
