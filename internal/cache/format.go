package cache

// HeadFormat numbers the layout of stored heads, and what their bytes mean. Whoever changes either raises it: what is kept
// on disk in another format is not used.
const HeadFormat = 1

// Flags are those of the head.
func (v View) Flags() Flags { return Flags(v.b[1]) | Flags(v.u16(2)&^statusBits)>>2 }

// SetOnDisk sets or clears OnDisk in a head that is a response's.
func SetOnDisk(head []byte, on bool) {
	head[1] &^= byte(OnDisk)
	if on {
		head[1] |= byte(OnDisk)
	}
}
