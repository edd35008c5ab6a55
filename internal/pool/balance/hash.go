package balance

import (
	"encoding/binary"
	"math/bits"
)

const golden = 0x9E3779B97F4A7C15 // 2^64 divided by the golden ratio

// mix turns a number into one whose bits all depend on all of its own (the finaliser of splitmix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// Hash continues a hash, which begins at 0, with some bytes: Hash(Hash(0, a), b) tells ("a", "b") from ("ab", ""). It is the
// same in every process and on every machine, so that two weirs send a key to the same server. It is no protection against
// somebody who looks for keys with one hash: what he wins is one busy server, and that is what the bound on loads is for.
func Hash[T []byte | string](h uint64, b T) uint64 {
	h ^= uint64(len(b)) * golden
	for len(b) >= 8 {
		w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		h = fold(h^w, golden)
		b = b[8:]
	}
	if len(b) > 0 {
		var last [8]byte
		copy(last[:], b)
		h = fold(h^binary.LittleEndian.Uint64(last[:]), 0xD6E8FEB86659FD93)
	}
	return mix(h + golden)
}

// fold multiplies, and lets the upper half of the product count too.
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
