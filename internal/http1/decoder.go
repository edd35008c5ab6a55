package http1

import (
	"github.com/weirhq/weir/internal/message"
)

const (
	maxChunkLine = 4 << 10  // bytes of one chunk's size and extensions
	maxChunkExt  = 16 << 10 // bytes of all extensions of a body, and 1/16 of its data besides: signatures of chunks take 1 %
	maxSizeDigit = 16       // digits of a chunk size, leading zeros included
)

// Decoder finds the end of a body in received bytes and takes chunked framing off (RFC 9112, sections 6.3 and 7.1). It
// holds no data; input may be cut at any byte. The zero value is a body that is complete. It belongs to one task at a
// time and is to be reused.
type Decoder struct {
	lim      *Limits
	framing  message.Framing
	response bool
	done     bool
	state    chunkState
	digits   uint8
	line     int   // bytes of the chunk line so far
	ext      int64 // bytes of all extensions so far
	left     int64 // bytes that remain of the body (ByLength) or of the chunk
	total    int64 // bytes of chunk data so far
	text     []byte
	from     int // where the unfinished line begins in text
	lines    int
	trailers message.Fields
}

// Reset makes the decoder ready for a request's body. length counts when f is ByLength. lim bounds the trailer section
// and is kept.
func (d *Decoder) Reset(f message.Framing, length int64, lim *Limits) {
	text, trailers := d.text[:0], d.trailers
	trailers.Reset()
	*d = Decoder{lim: lim, framing: f, text: text, trailers: trailers}
	switch f {
	case message.NoBody:
		d.done = true
	case message.ByLength:
		d.left = length
		d.done = length <= 0
	}
}

// ResetResponse is Reset for a response's body: its errors have the status 502.
func (d *Decoder) ResetResponse(f message.Framing, length int64, lim *Limits) {
	d.Reset(f, length, lim)
	d.response = true
}

// Done reports whether the body is complete.
func (d *Decoder) Done() bool { return d.done }

// Remaining returns how many bytes of data are still to come, when that is known.
func (d *Decoder) Remaining() (n int64, known bool) {
	switch {
	case d.done:
		return 0, true
	case d.framing == message.ByLength:
		return d.left, true
	}
	return 0, false
}

// Trailers returns the trailer section once the body is complete; it is empty when there is none. Fields that must not
// be trailers are left out (RFC 9110, section 6.5.1). The slices belong to the decoder and live until Reset.
func (d *Decoder) Trailers() *message.Fields { return &d.trailers }

// EOF is to be called when the peer has closed: nil when that, or what came before, ends the body.
func (d *Decoder) EOF() *Error {
	if d.framing == message.UntilClose {
		d.done = true
	}
	if d.done {
		return nil
	}
	return d.refuse(bodyCut)
}

// Next takes received bytes. It returns the body data at their front, a view into p, and how many bytes of p are used
// up, framing included. Both may be 0: more input is needed. Call it again with the rest until the body is done; bytes
// behind the body's end are not touched. After an error the decoder answers with that error only.
func (d *Decoder) Next(p []byte) (data []byte, n int, err *Error) {
	if d.done || len(p) == 0 {
		return nil, 0, nil
	}
	switch d.framing {
	case message.UntilClose:
		return p, len(p), nil
	case message.ByLength:
		n = int(min(d.left, int64(len(p))))
		d.left -= int64(n)
		d.done = d.left == 0
		return p[:n:n], n, nil
	}
	data, n, f := d.chunked(p)
	if f != none {
		return nil, 0, d.refuse(f)
	}
	return data, n, nil
}

func (d *Decoder) refuse(f fault) *Error {
	if d.response {
		return f.ofResponse()
	}
	return f.ofRequest()
}
