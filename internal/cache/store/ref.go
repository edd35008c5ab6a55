package store

// Ref is a reader's hold on an object. It is a value for one task at a time; the zero Ref refers to nothing.
type Ref struct {
	s    *Store
	id   uint32
	body uint32 // the object that has the body
	at   piece  // where the last Chunk was
	off  int64  // of the body's first byte in it; below 0 by the head that stands there before it
}

func (r *Ref) open(s *Store, id uint32, ob *object) {
	*r = Ref{s: s, id: id, body: ob.body, at: ob.first}
	if ob.body == 0 {
		r.body, r.off = id, -int64(ob.head)
	} else {
		r.at = s.objects.at(ob.body).first
	}
}

// Release lets go. Slices that came from the Ref must not be used any more.
func (r *Ref) Release() {
	if r.s != nil {
		r.s.release(r.id)
		*r = Ref{}
	}
}

// Clone returns another hold on the same object.
func (r *Ref) Clone() Ref {
	r.s.objects.at(r.id).refs.Add(1)
	var c Ref
	c.open(r.s, r.id, r.s.objects.at(r.id))
	return c
}

// Head returns the head, which must not be changed.
func (r *Ref) Head() []byte {
	ob := r.s.objects.at(r.id)
	return r.s.arena.payload(ob.first)[:ob.head]
}

// Size returns the length of the body; of a fill, of what has been written by now.
func (r *Ref) Size() int64 { return r.s.objects.at(r.body).size.Load() }

// Chunk returns bytes of the body from an offset on, as many as stand in one piece; nil at the end of what has been
// written. Going forward is cheap.
func (r *Ref) Chunk(off int64) []byte {
	size := r.Size()
	if off >= size {
		return nil
	}
	if r.at == 0 || off < r.off {
		ob := r.s.objects.at(r.body)
		r.at, r.off = ob.first, 0
		if r.body == r.id {
			r.off = -int64(ob.head)
		}
	}
	for {
		room := r.s.arena.payload(r.at)
		if off < r.off+int64(len(room)) {
			return room[off-r.off : min(int64(len(room)), size-r.off)]
		}
		r.off += int64(len(room))
		r.at = r.s.arena.next(r.at)
	}
}

// Checked returns the number that SetChecked left with the object, 0 at first. All readers share it.
func (r *Ref) Checked() uint64 { return r.s.objects.at(r.id).checked.Load() }

// SetChecked leaves a number with the object.
func (r *Ref) SetChecked(n uint64) { r.s.objects.at(r.id).checked.Store(n) }
