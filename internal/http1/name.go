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
		var w [maxKnownName]byte
		n := copy(w[:], id.String())
		if n < len(id.String()) {
			panic("http1: the name of a known field is too long: " + id.String())
		}
		k0, k1, k2 := words(&w, n)
		h := hash(k0, k1, k2)
		for t[h].id != message.Other {
			h++
		}
		t[h] = nameSlot{nameKey{k0, k1, k2}, id}
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

// words returns the first n bytes at w, which has at least maxKnownName, as a key.
func words(w *[maxKnownName]byte, n int) (k0, k1, k2 uint64) {
	m := &nameMask[n]
	k0 = (binary.LittleEndian.Uint64(w[0:]) | 0x20*ones) & m[0]
	k1 = (binary.LittleEndian.Uint64(w[8:]) | 0x20*ones) & m[1]
	k2 = (binary.LittleEndian.Uint64(w[16:]) | 0x20*ones) & m[2]
	return k0, k1, k2
}

func hash(k0, k1, k2 uint64) uint8 {
	return uint8((k0 ^ k1<<7 ^ k2<<13) * 0x9e3779b97f4a7c15 >> 56)
}

// lookup is message.Lookup for the token b[from:to].
func lookup(b []byte, from, to int) message.ID {
	n := to - from
	if n > maxKnownName {
		return message.Other
	}
	var k0, k1, k2 uint64
	if w := b[from:]; len(w) >= maxKnownName {
		k0, k1, k2 = words((*[maxKnownName]byte)(w), n)
	} else {
		// Only near the end of a head.
		var w [maxKnownName]byte
		copy(w[:], b[from:to])
		k0, k1, k2 = words(&w, n)
	}
	for h := hash(k0, k1, k2); ; h++ {
		s := &nameTable[h]
		if s.key[0] == k0 && s.key[1] == k1 && s.key[2] == k2 || s.id == message.Other {
			return s.id
		}
	}
}
