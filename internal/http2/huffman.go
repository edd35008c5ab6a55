package http2

// lengths has the bits of the Huffman code of each byte (RFC 7541, appendix B). The code is canonical: shorter codes come first,
// and those of one length are in the order of their bytes, so the lengths are all there is to say.
const lengths = "\x0d\x17\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x18\x1e\x1c\x1c\x1e\x1c\x1c" +
	"\x1c\x1c\x1c\x1c\x1c\x1c\x1e\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c" +
	"\x06\x0a\x0a\x0c\x0d\x06\x08\x0b\x0a\x0a\x08\x0b\x08\x06\x06\x06" +
	"\x05\x05\x05\x06\x06\x06\x06\x06\x06\x06\x07\x08\x0f\x06\x0c\x0a" +
	"\x0d\x06\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07" +
	"\x07\x07\x07\x07\x07\x07\x07\x07\x08\x07\x08\x0d\x13\x0d\x0e\x06" +
	"\x0f\x05\x06\x05\x06\x05\x06\x06\x06\x05\x07\x07\x06\x06\x06\x05" +
	"\x06\x07\x06\x05\x05\x06\x07\x07\x07\x07\x07\x0f\x0b\x0e\x0d\x1c" +
	"\x14\x16\x14\x14\x16\x16\x16\x17\x16\x17\x17\x17\x17\x17\x18\x17" +
	"\x18\x18\x16\x17\x18\x17\x17\x17\x17\x15\x16\x17\x16\x17\x17\x18" +
	"\x16\x15\x14\x16\x16\x17\x17\x15\x17\x16\x16\x18\x15\x16\x17\x17" +
	"\x15\x15\x16\x15\x17\x16\x17\x17\x14\x16\x16\x16\x17\x16\x16\x17" +
	"\x1a\x1a\x14\x13\x16\x17\x16\x19\x1a\x1a\x1a\x1b\x1b\x1a\x18\x19" +
	"\x13\x15\x1a\x1b\x1b\x1a\x1b\x18\x15\x15\x1a\x1a\x1c\x1b\x1b\x1b" +
	"\x14\x18\x14\x15\x16\x15\x15\x17\x16\x16\x19\x19\x18\x18\x1a\x17" +
	"\x1a\x1b\x1a\x1a\x1b\x1b\x1b\x1b\x1b\x1c\x1b\x1b\x1b\x1b\x1b\x1a"

const (
	longest = 30 // bits of a code; the only ones of 30 bits that are not bytes are those of EOS and none
	quick   = 8  // bits that are looked up at once: all letters, digits and nearly all punctuation
)

// huffman is made of lengths.
var huffman = func() (t struct {
	quick   [1 << quick]struct{ symbol, bits byte }
	symbols [256]byte           // in the order of their codes
	above   [longest + 1]uint64 // the first code that is longer, in longest bits; by length
	first   [longest + 1]uint64 // the first code of a length, in longest bits
	from    [longest + 1]int    // its place in symbols
}) {
	code, place := uint64(0), 0
	for bits := 1; bits <= longest; bits++ {
		t.first[bits], t.from[bits] = code, place
		for s := range len(lengths) {
			if int(lengths[s]) != bits {
				continue
			}
			t.symbols[place] = byte(s)
			place++
			if bits <= quick {
				for k := range 1 << (quick - bits) {
					e := &t.quick[int(code>>(longest-quick))+k]
					e.symbol, e.bits = byte(s), byte(bits)
				}
			}
			code += 1 << (longest - bits)
		}
		t.above[bits] = code
	}
	return t
}()

// appendHuffman appends what the Huffman code in b stands for, at most limit bytes. False if that is more, or b is not well-formed.
func appendHuffman(dst, b []byte, limit int) ([]byte, bool) {
	var acc uint64 // its lowest n bits are still to be read
	n := 0
	end := len(dst) + limit
	for {
		for n <= 56 && len(b) > 0 {
			acc = acc<<8 | uint64(b[0])
			n += 8
			b = b[1:]
		}
		if n == 0 {
			return dst, true
		}
		var next uint64 // longest bits; behind the end there are ones, as in the padding
		if n >= longest {
			next = acc >> (n - longest) & (1<<longest - 1)
		} else {
			next = (acc<<(longest-n) | (1<<(longest-n) - 1)) & (1<<longest - 1)
		}
		e := huffman.quick[next>>(longest-quick)]
		bits := int(e.bits)
		if bits == 0 {
			for bits = quick + 1; bits <= longest && next >= huffman.above[bits]; bits++ {
			}
			if bits > longest || bits > n {
				// What is left is the padding: fewer than 8 bits, all of them ones (RFC 7541, section 5.2). EOS itself is an error.
				return dst, n < 8 && next == 1<<longest-1
			}
			e.symbol = huffman.symbols[huffman.from[bits]+int((next-huffman.first[bits])>>(longest-bits))]
		}
		if bits > n {
			return dst, n < 8 && next == 1<<longest-1
		}
		if len(dst) == end {
			return dst, false
		}
		dst = append(dst, e.symbol)
		n -= bits
	}
}
