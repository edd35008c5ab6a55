package store

// Fill is an object that is being made. One task writes; Open gives others what has been written. It ends by Commit or
// Abort.
type Fill struct {
	s      *Store
	id     uint32
	body   uint32 // the object that has the body; id when it is short
	left   int64  // bytes to come, -1 when unknown
	room   []byte // of the last piece, still to be written
	size   int64
	grown  int   // bytes of the last piece
	counts int64 // what it adds to Store.filled
}

// Begin makes an object with a head, which is copied. length is the body's, -1 when it is not known. ErrTooLarge says that the
// store does not take it, another error that there is no room now.
func (s *Store) Begin(k Key, head []byte, length int64) (*Fill, error) {
	if length > s.options.MaxObject || len(head) > maxPiece-headerSize {
		return nil, ErrTooLarge
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.filled+max(length, 0) > s.options.Memory/2 {
		return nil, errFull
	}
	f := &Fill{s: s, left: length}
	short := length >= 0 && len(head)+int(length)+headerSize <= maxPiece
	n := len(head)
	if short {
		n += int(length)
	}
	p, err := s.make(&f.id, max(n, 1))
	if err != nil {
		return nil, err
	}
	ob := s.objects.at(f.id)
	ob.key, ob.head = k, uint32(len(head))
	room := s.arena.payload(p)
	copy(room, head)
	f.body = f.id
	if short {
		f.room = room[len(head):]
	} else {
		if _, err := s.make(&f.body, 0); err != nil {
			s.drop(f.id)
			return nil, err
		}
		ob.body = f.body
		s.objects.at(f.body).parent = f.id
	}
	f.counts = max(length, 0)
	s.filled += f.counts
	return f, nil
}

// make makes an object with one hold on it, and with a first piece of n bytes unless n is 0. With s.mu held.
func (s *Store) make(id *uint32, n int) (piece, error) {
	var p piece
	var err error
	if n > 0 {
		if p, err = s.piece(n); err != nil {
			return 0, err
		}
	}
	if *id, err = s.takeObject(); err != nil {
		if p != 0 {
			s.arena.free(p)
		}
		return 0, err
	}
	ob := s.objects.at(*id)
	ob.checked.Store(0)
	ob.size.Store(0)
	ob.freq.Store(0)
	ob.refs.Store(1)
	ob.key, ob.first, ob.last, ob.head, ob.body, ob.cost, ob.parent = Key{}, p, p, 0, 0, 0, 0
	ob.prev, ob.next, ob.link, ob.in, ob.linked = 0, 0, 0, noQueue, false
	if p != 0 {
		s.arena.setHeader(p, *id, 0)
	}
	return p, nil
}

// Write appends to the body; what it took can be read at once. On an error the fill is of no more use but to be aborted:
// ErrTooLarge when the body is larger than the store takes, or than was announced.
func (f *Fill) Write(p []byte) error {
	ob := f.s.objects.at(f.body)
	for len(p) > 0 {
		if len(f.room) == 0 {
			if err := f.grow(ob, len(p)); err != nil {
				return err
			}
		}
		n := copy(f.room, p)
		f.room, p = f.room[n:], p[n:]
		f.size += int64(n)
		if f.left >= 0 {
			if f.left -= int64(n); f.left < 0 {
				return ErrTooLarge
			}
		}
		ob.size.Store(f.size)
	}
	return nil
}

// grow adds a piece: what is to come of a body of known length; else each is twice the last, so that little is left over.
func (f *Fill) grow(ob *object, now int) error {
	want := int64(max(min(2*f.grown, maxPiece-headerSize), min(now, maxPiece-headerSize), minGrowth))
	if f.left >= 0 {
		want = min(f.left, maxPiece-headerSize)
	}
	if f.body == f.id || want == 0 || f.size+int64(now) > f.s.options.MaxObject {
		return ErrTooLarge
	}
	s := f.s
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.piece(int(want))
	if err != nil {
		return err
	}
	if f.left < 0 {
		f.counts += want
		s.filled += want
		if s.filled > s.options.Memory/2 {
			s.arena.free(p)
			return errFull
		}
	}
	s.arena.setHeader(p, f.body, 0)
	if ob.last != 0 {
		s.arena.setHeader(ob.last, f.body, p)
	} else {
		ob.first = p
	}
	ob.last = p
	f.room = s.arena.payload(p)
	f.grown = len(f.room)
	return nil
}

const minGrowth = 2 << 10

// Open makes r refer to the fill.
func (f *Fill) Open(r *Ref) {
	ob := f.s.objects.at(f.id)
	ob.refs.Add(1)
	r.open(f.s, f.id, ob)
}

// Commit puts the object under its key, in the place of what is there. The fill is over.
func (f *Fill) Commit() {
	s := f.s
	s.mu.Lock()
	defer s.mu.Unlock()
	ob := s.objects.at(f.id)
	ob.cost = s.costOf(ob.first)
	if ob.body != 0 {
		ob.cost += s.costOf(s.objects.at(ob.body).first)
	}
	s.enter(f.id)
	s.end(f)
}

// costOf adds up a chain.
func (s *Store) costOf(p piece) (units uint32) {
	for ; p != 0; p = s.arena.next(p) {
		units += uint32(sizes[s.arena.pages[p.page()].class] / minPiece)
	}
	return units
}

// Abort ends a fill that is not to be found by anybody. Who reads it goes on.
func (f *Fill) Abort() {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.s.end(f)
}

func (s *Store) end(f *Fill) {
	s.filled -= f.counts
	s.drop(f.id)
}

// Replace puts an object with another head and the body of r, which it shares, in the place of what is under the key.
func (s *Store) Replace(k Key, r *Ref, head []byte) error {
	old := s.objects.at(r.id)
	if old.body == 0 {
		return s.copy(k, r, head)
	}
	if len(head) > maxPiece-headerSize {
		return ErrTooLarge
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var id uint32
	p, err := s.make(&id, max(len(head), 1))
	if err != nil {
		return err
	}
	ob, body := s.objects.at(id), s.objects.at(old.body)
	copy(s.arena.payload(p), head)
	ob.key, ob.head, ob.body = k, uint32(len(head)), old.body
	body.refs.Add(1)
	body.parent = id
	ob.cost = s.costOf(ob.first) + s.costOf(body.first)
	s.enter(id)
	s.drop(id)
	return nil
}

// copy is Replace for a short body.
func (s *Store) copy(k Key, r *Ref, head []byte) error {
	f, err := s.Begin(k, head, r.Size())
	if err != nil {
		return err
	}
	for off := int64(0); ; {
		b := r.Chunk(off)
		if b == nil {
			break
		}
		if err := f.Write(b); err != nil {
			f.Abort()
			return err
		}
		off += int64(len(b))
	}
	f.Commit()
	return nil
}
