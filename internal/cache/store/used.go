package store

// Who reads slowly keeps the memory of what he reads, also after it has been let go to make room: a few clients that read a few
// large objects byte by byte would have all of it, and everything else would go in vain. So the bodies of large objects that
// are being read are counted, and when they hold half of the memory no more large ones are let in. An object is counted
// once, however many read it. A small one, as most are, costs a look-up no more than a comparison.

// largeBody is the length from which a body is counted. What is smaller is in the kernel's hands soon, in its socket's buffer.
const largeBody = 64 << 10

const (
	stateUsed uint64 = 1 << 28 // the object is counted
	stateLent uint64 = 1 << 29 // one of the pins is that of another slot, which shares the body
)

// use counts an object of the index that somebody beside the index has pinned.
func (s *Store) use(t *slot) {
	for {
		old := t.state.Load()
		if old&(stateLive|stateUsed) != stateLive || old&statePins < 2 {
			return
		}
		if t.state.CompareAndSwap(old, old|stateUsed) {
			s.used.Add(t.size.Load())
			return
		}
	}
}

// unuse ends that for an object that nobody seems to have but the index, or the slot that shares its body.
func (s *Store) unuse(t *slot) {
	size := t.size.Load() // before the state: with the state as it is, the size is this
	for {
		old := t.state.Load()
		if old&stateUsed == 0 || old&(stateLive|stateLent) == 0 || old&statePins != 1 {
			return
		}
		if size != t.size.Load() { // the slot has another object by now
			size = t.size.Load()
			continue
		}
		if t.state.CompareAndSwap(old, old&^stateUsed) {
			s.used.Add(-size)
			return
		}
	}
}

// leave counts what an aborted fill leaves to its readers. The mutex is held.
func (s *Store) leave(t *slot) {
	if t.size.Load() > largeBody && t.state.Load()&statePins > 1 {
		t.change(0, stateUsed)
		s.used.Add(t.size.Load())
	}
}

// crowded reports whether a body of a length has no place beside the large ones that are being read.
func (s *Store) crowded(size int64) bool {
	return size > largeBody && s.used.Load()+size > s.maxUsed.Load()
}
