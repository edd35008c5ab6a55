package cache

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/weirhq/weir/internal/message"
)

// Responses with a Vary are kept under keys of their own (RFC 9111, section 4.1). Under the request's key stands how to find
// them: a list of the field names that responses varied by, newest first, and a number that nobody can foresee. Each variant's
// key is made of all three and of the request's values, so that taking the list away takes all variants away, at once: under
// the number of the next list none of them is found.
//
//	 0  kind, number of lists (1), 6 free, epoch (8)
//	16  lists: length (2), names in lower case with a comma behind each

const (
	variantsSize = 16
	maxLists     = 8
)

// maxVary is how many bytes of names count: each costs every look-up.
const maxVary = 2 << 10

// tooManyNames reports whether a response varies by more than a look-up may cost.
func tooManyNames(f *message.Fields) bool {
	n := 0
	for i := range f.List {
		if f.List[i].ID == message.Vary {
			n += len(f.List[i].Value)
		}
	}
	return n > maxVary
}

// VaryNames returns the canonical list of the fields that a response varies by: lower case, sorted, each once; nil when
// there is no Vary.
func VaryNames(f *message.Fields) []byte {
	if !f.Has(message.Vary) {
		return nil
	}
	var names []string
	d := directives{f: f, id: message.Vary}
	for d.next() {
		names = append(names, string(bytes.ToLower(d.name)))
	}
	slices.Sort(names)
	var list []byte
	for _, n := range slices.Compact(names) {
		list = append(append(list, n...), ',')
	}
	return list
}

// VariesAs reports whether a kept response varies by the same fields as others do.
func (v View) VariesAs(f *message.Fields) bool {
	kept := FreshFields(&message.Response{}, v)
	return bytes.Equal(VaryNames(&kept.Fields), VaryNames(f))
}

// AppendVariants makes the head of a list of variants: of old, which may be of another kind, with list in front.
func AppendVariants(dst []byte, old View, list []byte, epoch uint64) []byte {
	le := binary.LittleEndian
	n := 1
	from := len(dst)
	dst = append(dst, make([]byte, variantsSize)...)
	dst = append(le.AppendUint16(dst, uint16(len(list))), list...)
	if old.Kind() == Variants {
		epoch = old.Epoch()
		for l := range old.Lists {
			if n < maxLists && !bytes.Equal(l, list) {
				dst = append(le.AppendUint16(dst, uint16(len(l))), l...)
				n++
			}
		}
	}
	dst[from], dst[from+1] = byte(Variants), byte(n)
	le.PutUint64(dst[from+8:], epoch)
	return dst
}

// Epoch is the number of a list of variants.
func (v View) Epoch() uint64 { return binary.LittleEndian.Uint64(v.b[8:]) }

// Lists are the lists of names, newest first.
func (v View) Lists(yield func([]byte) bool) {
	if len(v.b) < variantsSize {
		return
	}
	for b := v.b[variantsSize:]; len(b) >= 2; {
		n := int(binary.LittleEndian.Uint16(b))
		if n > len(b)-2 || !yield(b[2:2+n]) {
			return
		}
		b = b[2+n:]
	}
}

// Variant is the key of the variant that a request selects by a list of names. scratch is used and returned.
func (k *Keyer) Variant(primary Key, epoch uint64, list []byte, f *message.Fields, scratch []byte) (Key, []byte) {
	b := append(scratch[:0], primary[:]...)
	b = binary.LittleEndian.AppendUint64(b, epoch)
	b = append(append(b, list...), 0)
	for rest := list; len(rest) > 0; {
		i := bytes.IndexByte(rest, ',')
		if i < 0 {
			break
		}
		b = k.appendSelecting(b, f, rest[:i])
		rest = rest[i+1:]
	}
	return k.seed.hash(b), b
}

// Encoded is the key of a kept response in a coding: serial is its own number, so that what takes its place has others.
// scratch is used and returned.
func (k *Keyer) Encoded(plain Key, serial uint64, coding string, scratch []byte) (Key, []byte) {
	b := append(scratch[:0], "coding\x00"...)
	b = append(b, plain[:]...)
	b = append(binary.LittleEndian.AppendUint64(b, serial), coding...)
	return k.seed.hash(b), b
}

// Part is the key under which a part of what has a key is kept. scratch is used and returned.
func (k *Keyer) Part(whole Key, scratch []byte) (Key, []byte) {
	b := append(append(scratch[:0], "part\x00"...), whole[:]...)
	return k.seed.hash(b), b
}

// appendSelecting appends the value of a field by which a response was selected: all lines as one list, without white space
// that means nothing (RFC 9111, section 4.1). A field that is not there differs from an empty one.
func (k *Keyer) appendSelecting(b []byte, f *message.Fields, name []byte) []byte {
	id := message.Lookup(name)
	found := byte(0)
	at := len(b)
	b = append(b, 0, 0, 0, 0, 0)
	if id == message.Cookie { // what the app does not get cannot have selected
		if b = k.AppendCookies(b, f); len(b) > at+5 {
			found = 1
		}
	}
	// Codings and languages are names without case (RFC 9110, sections 8.4.1 and 8.5.1).
	anyCase := id == message.AcceptEncoding || message.EqualFold(name, "accept-language")
	for i := range f.List {
		l := &f.List[i]
		if l.ID != id || id == message.Cookie || id == message.Other && !message.EqualFold(l.Name, name) {
			continue
		}
		if found = 1; len(b) > at+5 {
			b = append(b, ',')
		}
		b = appendCollapsed(b, l.Value, anyCase)
	}
	b[at] = found
	binary.LittleEndian.PutUint32(b[at+1:], uint32(len(b)-at-5))
	return b
}

// appendCollapsed appends a list without the white space around its commas and semicolons, and in lower case if case means
// nothing.
func appendCollapsed(b, v []byte, lower bool) []byte {
	quoted := false
	for i := 0; i < len(v); i++ {
		c := v[i]
		if c == '"' {
			quoted = !quoted
		}
		if (c == ' ' || c == '\t') && !quoted {
			j := i
			for j < len(v) && (v[j] == ' ' || v[j] == '\t') {
				j++
			}
			if j == len(v) || v[j] == ',' || v[j] == ';' || i == 0 || v[i-1] == ',' || v[i-1] == ';' {
				i = j - 1
				continue
			}
			i, c = j-1, ' '
		}
		if lower {
			c = message.Lower(c)
		}
		b = append(b, c)
	}
	return b
}
