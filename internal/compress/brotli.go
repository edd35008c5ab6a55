package compress

import (
	"errors"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/andybalholm/brotli/matchfinder"
)

const (
	brotliBlock  = 32 << 10
	brotliWindow = 128 << 10
)

// brotliCodec drives the library's parts itself, for three reasons. NewWriterV2 cannot flush. Its levels 3 and 4 have
// tables of 1.3 and 3.5 MiB, which also have to be cleared for each response: this match finder packs as well as its level
// 3 in 128 KiB. And its blocks of 64 KiB take above a millisecond.
type brotliCodec struct {
	finder  matchfinder.M4
	encoder brotli.Encoder
	to      io.Writer
	in      []byte
	out     []byte
	matches []matchfinder.Match
}

func newBrotli() *brotliCodec {
	return &brotliCodec{
		finder: matchfinder.M4{MaxDistance: brotliWindow, HashLen: 5, TableBits: 15},
		in:     make([]byte, 0, brotliBlock),
	}
}

func (c *brotliCodec) Reset(w io.Writer) {
	c.finder.Reset()
	c.encoder.Reset()
	c.to, c.in = w, c.in[:0]
}

func (c *brotliCodec) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		k := min(len(p), brotliBlock-len(c.in))
		c.in = append(c.in, p[:k]...)
		p = p[k:]
		if len(c.in) == brotliBlock {
			if err := c.block(false); err != nil {
				return n - len(p), err
			}
		}
	}
	return n, nil
}

// block compresses what was gathered.
func (c *brotliCodec) block(last bool) error {
	c.matches = c.finder.FindMatches(c.matches[:0], c.in)
	c.out = c.encoder.Encode(c.out[:0], c.in, c.matches, last)
	c.in = c.in[:0]
	_, err := c.to.Write(c.out)
	return err
}

var errBrotliEnd = errors.New("brotli: the end of the stream is not where it was expected")

// Flush ends the block and brings the output to a whole byte: a metablock of metadata, which is empty (RFC 7932,
// section 9.2), does that. The library cannot write one. But it can end the stream: two bits of one, then zeros up
// to the next byte, after which it stands at that byte and would go on if asked to. Those two bits are made into the metadata's header: 0 (not the last), 11
// (metadata), 0 (reserved), 00 (no length), from the lowest bit on.
func (c *brotliCodec) Flush() error {
	if len(c.in) > 0 {
		if err := c.block(false); err != nil {
			return err
		}
	}
	c.out = c.encoder.Encode(c.out[:0], nil, nil, true)
	i := len(c.out) - 1
	if i < 0 || c.out[i] == 0 {
		return errBrotliEnd
	}
	// The highest bit that is set is the second of the two.
	top := 7
	for c.out[i]>>top == 0 {
		top--
	}
	at := i*8 + top - 1
	if at < 0 || c.out[at/8]>>(at%8)&1 == 0 {
		return errBrotliEnd
	}
	c.out[at/8] &^= 1 << (at % 8)
	// The second stays as the first bit of 11; the next one is set, three zeros follow.
	for len(c.out)*8 < at+6 {
		c.out = append(c.out, 0)
	}
	c.out[(at+2)/8] |= 1 << ((at + 2) % 8)
	_, err := c.to.Write(c.out)
	return err
}

func (c *brotliCodec) Close() error {
	if len(c.in) == 0 {
		c.out = c.encoder.Encode(c.out[:0], nil, nil, true)
		_, err := c.to.Write(c.out)
		return err
	}
	return c.block(true)
}
