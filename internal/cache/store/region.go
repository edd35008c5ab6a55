package store

import (
	"fmt"
	"unsafe"
)

// region is one mapped area: address space for as much as there may ever be, memory for as much as there is.
type region struct {
	mem  []byte
	base unsafe.Pointer // of mem: the area never moves
	size int            // bytes from the start that may be used
}

func (r *region) open(reserved int) error {
	mem, err := reserve(reserved)
	if err != nil {
		return fmt.Errorf("reserving %d MiB of address space: %w", reserved>>20, err)
	}
	r.mem, r.base = mem, unsafe.Pointer(unsafe.SliceData(mem))
	return nil
}

func (r *region) close() error {
	if r.mem == nil {
		return nil
	}
	err := unreserve(r.mem)
	*r = region{}
	return err
}

// grow makes n more bytes usable. n is a multiple of the page size.
func (r *region) grow(n int) error {
	if r.size+n > len(r.mem) {
		return fmt.Errorf("growing an area beyond the %d MiB reserved for it", len(r.mem)>>20)
	}
	if err := admit(r.mem[r.size : r.size+n]); err != nil {
		return fmt.Errorf("growing an area by %d KiB: %w", n>>10, err)
	}
	r.size += n
	return nil
}

// at returns the address of the i-th block of 64 bytes.
func (r *region) at(i uint32) unsafe.Pointer { return unsafe.Add(r.base, uintptr(i)<<granuleShift) }
