package message

// Field is one field line (RFC 9110, section 5). Name and Value are views into the buffer that the head was
// parsed from: they live as long as that buffer keeps the head. Value has no white space at either end.
type Field struct {
	ID    ID
	Name  []byte
	Value []byte
}

// Fields is a header or trailer section: the field lines in the order received. The zero value is empty and
// ready to use; Reset keeps the memory. It belongs to one task at a time.
type Fields struct {
	List []Field
	seen uint64

	// Disguised: the name of a field that message does not know has something in it that is neither a letter nor a digit nor
	// "-". A server may take it for another one. The parser of requests says so.
	Disguised bool
}

// Every known field has a bit of its own.
const _ = uint(64 - numIDs)

// Reset empties the section and keeps its memory.
func (f *Fields) Reset() {
	f.List = f.List[:0]
	f.seen = 0
	f.Disguised = false
}

// Add appends a field line. It keeps the slices.
func (f *Fields) Add(id ID, name, value []byte) {
	f.List = append(f.List, Field{id, name, value})
	f.seen |= 1 << id
}

// Has reports whether a known field is there. It costs one comparison.
func (f *Fields) Has(id ID) bool { return id != Other && f.seen&(1<<id) != 0 }

// Get returns the value of the first line of a known field, nil when there is none.
func (f *Fields) Get(id ID) []byte {
	if !f.Has(id) {
		return nil
	}
	for i := range f.List {
		if f.List[i].ID == id {
			return f.List[i].Value
		}
	}
	return nil
}

// Count returns how many lines of a known field there are.
func (f *Fields) Count(id ID) int {
	if !f.Has(id) {
		return 0
	}
	n := 0
	for i := range f.List {
		if f.List[i].ID == id {
			n++
		}
	}
	return n
}

// Named returns the value of the first line of any field by its name, in any case; ok is false when there is none.
func (f *Fields) Named(name string) (value []byte, ok bool) {
	if id := Lookup(name); id != Other {
		return f.Get(id), f.Has(id)
	}
	for i := range f.List {
		if f.List[i].ID == Other && EqualFold(f.List[i].Name, name) {
			return f.List[i].Value, true
		}
	}
	return nil, false
}

// Del removes every line of a known field, in place.
func (f *Fields) Del(id ID) {
	if !f.Has(id) {
		return
	}
	kept := f.List[:0]
	for _, l := range f.List {
		if l.ID != id {
			kept = append(kept, l)
		}
	}
	f.List = kept
	f.seen &^= 1 << id
}
