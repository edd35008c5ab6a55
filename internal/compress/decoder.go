package compress

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

// ErrBomb says that a body unpacks to more than was allowed.
var ErrBomb = errors.New("the body unpacks to more than is allowed")

// Bounds limit what a compressed body may unpack to. A zero field means its default.
type Bounds struct {
	// Bytes is the most that may come out; 256 MiB if zero.
	Bytes int64
	// Ratio is the most that may come out for each byte that went in, looked at when more than 1 MiB came out; 200 if zero. Text packs
	// to a tenth at the best; deflate can reach 1032.
	Ratio int64
}

const ratioFrom = 1 << 20

// A Decoder unpacks gzip (RFC 1952, also several members in a row) from a server's body. It pulls: a task that reads
// from it reads from the source as needed and is suspended where that is. It holds about 50 KiB. The zero value must be
// Reset before use; a decoder is used again and keeps its memory. It belongs to one task at a time.
//
// A Read fills at most the slice it is given: with 32 KiB that is a tenth of a millisecond or so of work.
type Decoder struct {
	bounds Bounds
	source counter
	buf    *bufio.Reader
	gzip   *gzip.Reader
	begun  bool
	out    int64
	err    error
}

// counter counts what is read of a source.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// Reset makes the decoder ready for another body. nil lets go of the last one.
func (d *Decoder) Reset(r io.Reader, b Bounds) {
	if b.Bytes <= 0 {
		b.Bytes = 256 << 20
	}
	if b.Ratio <= 0 {
		b.Ratio = 200
	}
	d.bounds, d.source, d.begun, d.out, d.err = b, counter{r: r}, false, 0, nil
	if d.buf == nil {
		d.buf = bufio.NewReaderSize(&d.source, 4<<10)
	} else {
		d.buf.Reset(&d.source)
	}
}

// Read unpacks into p. It returns io.EOF when the source ended where gzip did, io.ErrUnexpectedEOF when it ended
// before, ErrBomb when a bound is reached. What came out before an error was right.
func (d *Decoder) Read(p []byte) (int, error) {
	if d.err != nil || len(p) == 0 {
		return 0, d.err
	}
	for {
		if !d.begun {
			if d.err = d.begin(); d.err != nil {
				return 0, d.err
			}
		}
		n, err := d.gzip.Read(p)
		d.out += int64(n)
		if d.out > d.bounds.Bytes || d.out > ratioFrom && d.out/d.bounds.Ratio > d.source.n {
			d.err = ErrBomb
			return 0, d.err
		}
		if err == io.EOF {
			d.err = d.next()
		} else {
			d.err = unpacking(err)
		}
		if n > 0 || d.err != nil {
			return n, d.err
		}
	}
}

// begin reads a member's header, which waits for the source.
func (d *Decoder) begin() error {
	d.begun = true
	var err error
	if d.gzip == nil {
		d.gzip, err = gzip.NewReader(d.buf)
	} else {
		err = d.gzip.Reset(d.buf)
	}
	if err == io.EOF {
		// Not a whole header: an empty body is no gzip, and neither is one that ends here.
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		// Members are joined here, because the library takes one that ends within its header for the end of all.
		d.gzip.Multistream(false)
	}
	return unpacking(err)
}

// next looks for another member after the end of one; io.EOF if there is none.
func (d *Decoder) next() error {
	_, err := d.buf.Peek(1)
	if err == nil {
		d.begun = false
	}
	return unpacking(err)
}

func unpacking(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return fmt.Errorf("unpacking gzip: %w", err)
}
