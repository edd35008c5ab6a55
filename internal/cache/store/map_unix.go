//go:build unix && !race

package store

import "golang.org/x/sys/unix"

// reserve takes size bytes of address space that hold no memory yet.
func reserve(size int) ([]byte, error) {
	return unix.Mmap(-1, 0, size, unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
}

// unreserve gives address space back.
func unreserve(mem []byte) error { return unix.Munmap(mem) }

// admit makes reserved pages usable. They read as zeros and take memory once they are written.
func admit(mem []byte) error { return unix.Mprotect(mem, unix.PROT_READ|unix.PROT_WRITE) }

// discard gives the memory of pages back. They stay readable, and read as zeros where the system is Linux.
func discard(mem []byte) error { return unix.Madvise(mem, unix.MADV_DONTNEED) }
