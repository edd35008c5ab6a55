package e2e

import (
	"syscall"
	"testing"
)

// mountSmall mounts a disk of 24 MiB on a directory until the test ends; false when this user or machine may not.
func mountSmall(t *testing.T, dir string) bool { return mount(t, dir, "size=24m") }

// mountTiny mounts one that takes 64 files.
func mountTiny(t *testing.T, dir string) bool { return mount(t, dir, "size=256k,nr_inodes=64") }

func mount(t *testing.T, dir, options string) bool {
	t.Helper()
	if syscall.Mount("tmpfs", dir, "tmpfs", 0, options) != nil {
		return false
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return true
}
