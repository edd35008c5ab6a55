package store

// Ref is an object that the holder has pinned: it stays as it is, whatever becomes of its key, until Release. A Ref is
// a plain value; copies of it are the same pin. The zero Ref is none.
type Ref struct {
	s    *Store
	slot uint32
}

// Valid reports whether r is an object.
func (r Ref) Valid() bool { return r.slot != 0 }

// Release gives the pin back. Slices that Head and Chunk returned must not be used after it.
func (r Ref) Release() { r.s.unpin(r.slot) }

// Retain pins the object once more, for another holder.
func (r Ref) Retain() Ref {
	r.t().state.Add(1)
	return r
}

func (r Ref) t() *slot { return r.s.slots.at(r.slot) }

// Key returns the key that the object was stored under.
func (r Ref) Key() Key { return r.t().key }

// Head returns the head. It lies in the store's memory: not to be written to, nor kept beyond Release.
func (r Ref) Head() []byte {
	t := r.t()
	if t.headLen == 0 {
		return nil
	}
	from := uint64(t.head) << granuleShift
	to := from + uint64(t.headLen)
	return r.s.arena.mem.mem[from:to:to]
}

// Size returns the length of the body in bytes: so much as there is of it, if the object is still being filled.
func (r Ref) Size() int64 { return r.t().size.Load() }

// Weight returns what the object takes of the budget in bytes: head, body and slot.
func (r Ref) Weight() int64 { return int64(r.s.weight(r.slot)) << granuleShift }

// Chunk returns the body from off to the end of the piece in which off lies; nothing at or behind Size. It lies in the
// store's memory: not to be written to, nor kept beyond Release.
func (r Ref) Chunk(off int64) []byte {
	t := r.t()
	if t.state.Load()&stateShares != 0 {
		t = r.s.slots.at(t.body.Load())
	}
	size := t.size.Load() // before body: what is published lies in the pieces that body then tells of
	return r.s.arena.piece(t.body.Load(), off, size)
}

// Filling reports whether more of the body is to come, and failed, that none will although it is not whole.
func (r Ref) Filling() (filling, failed bool) {
	state := r.t().state.Load()
	return state&(stateWhole|stateFailed) == 0, state&stateFailed != 0
}

// Current reports whether the object is what is under its key now.
func (r Ref) Current() bool { return r.t().state.Load()&stateLive != 0 }

// Hits returns how often Get returned the object.
func (r Ref) Hits() uint32 { return uint32(r.t().state.Load() / stateHit) }

// Checked returns the number last given to SetChecked, 0 at first.
func (r Ref) Checked() uint64 { return r.t().checked.Load() }

// SetChecked notes up to which number the object was held against the list of bans.
func (r Ref) SetChecked(n uint64) { r.t().checked.Store(n) }

// Access returns the seconds last given to SetAccess, 0 at first.
func (r Ref) Access() uint32 { return r.t().access.Load() }

// SetAccess notes when the object was last delivered, in seconds of the caller's clock. It writes only what is new, so
// an object that all loops deliver is not fought over.
func (r Ref) SetAccess(seconds uint32) {
	if a := &r.t().access; a.Load() != seconds {
		a.Store(seconds)
	}
}
