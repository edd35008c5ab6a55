package http1

import (
	"encoding/binary"

	"github.com/weirhq/weir/internal/message"
)

// A name is looked up as up to three words of eight bytes, in lower case and filled up with zeros. To set the bit 0x20
// of every byte is exact here: of the bytes that a token may have it changes only letters, "^" and "_", and no known name
// has what the last two become.
type nameKey [3]uint64

const maxKnownName = 24

type nameSlot struct {
	key nameKey
	id  message.ID
}

// An open table, a quarter full: one probe nearly always decides.
var nameTable = func() (t [256]nameSlot) {
	for id := message.Other + 1; id.String() != ""; id++ {
		name := []byte(id.String())
		if len(name) > maxKnownName {
			panic("http1: the name of a known field is too long: " + id.String())
		}
		key := keyOf(name, 0, len(name))
		h := key.hash()
		for t[h].id != message.Other {
			h++
		}
		t[h] = nameSlot{key, id}
	}
	return t
}()

// nameMask[n] keeps the first n bytes of a key.
var nameMask = func() (t [maxKnownName + 1]nameKey) {
	for n := range t {
		for i := range n {
			t[n][i/8] |= 0xff << (i % 8 * 8)
		}
	}
	return t
}()

func keyOf(b []byte, from, to int) (k nameKey) {
	n := to - from
	if len(b)-from < maxKnownName {
		var a [maxKnownName]byte
		copy(a[:], b[from:to])
		b, from = a[:], 0
	}
	b = b[from : from+maxKnownName : from+maxKnownName]
	m := &nameMask[n]
	k[0] = (binary.LittleEndian.Uint64(b) | 0x20*ones) & m[0]
	k[1] = (binary.LittleEndian.Uint64(b[8:]) | 0x20*ones) & m[1]
	k[2] = (binary.LittleEndian.Uint64(b[16:]) | 0x20*ones) & m[2]
	return k
}

func (k *nameKey) hash() uint8 {
	return uint8((k[0]*0x9e3779b97f4a7c15 ^ k[1]*0xc2b2ae3d27d4eb4f ^ k[2]*0x165667b19e3779f9) >> 56)
}

// lookup is message.Lookup for the token b[from:to].
func lookup(b []byte, from, to int) message.ID {
	if to-from > maxKnownName {
		return message.Other
	}
	k := keyOf(b, from, to)
	for h := k.hash(); ; h++ {
		s := &nameTable[h]
		if s.key == k || s.id == message.Other {
			return s.id
		}
	}
}
