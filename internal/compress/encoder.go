package compress

import (
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/weirhq/weir/internal/representation"
)

// MaxWrite is how many bytes one call of Write should be given at the most, see the package's doc on time.
const MaxWrite = 32 << 10

// Levels. What bounds them is memory: an encoder is to stay below MemoryEach (TestMemory). gzip's levels 2 and 3
// need 1.2 MiB, 4 needs 0.9 and packs better; zstd's default level needs 2.0 MiB, its fastest 0.9.
const (
	gzipLevel  = 4
	zstdWindow = 128 << 10
)

// ErrClosed says that an encoder was used after Close, or before Pool lent it.
var ErrClosed = errors.New("the encoder is closed")

// An Encoder compresses one response at a time. Pool makes it and lends it out. What it has ready it appends to a slice of the
// caller's, so that it holds nothing but the block it gathers: the caller decides where the output goes and when there is
// enough of it. It belongs to one task at a time. It allocates nothing in use once its memory is warm, except for what dst
// lacks.
type Encoder struct {
	coding representation.Coding
	codec  codec
	sink   sink
	open   bool
	// In and Out count the bytes taken and given of this response.
	In, Out int64
}

type codec interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

// sink collects what a codec writes; it never fails.
type sink struct{ b []byte }

func (s *sink) Write(p []byte) (int, error) {
	s.b = append(s.b, p...)
	return len(p), nil
}

func newEncoder(c representation.Coding) (*Encoder, error) {
	e := &Encoder{coding: c}
	switch c {
	case representation.Gzip:
		w, err := gzip.NewWriterLevel(&e.sink, gzipLevel)
		if err != nil {
			return nil, fmt.Errorf("making a gzip encoder: %w", err)
		}
		e.codec = w
	case representation.Zstd:
		// One goroutine (the caller's). A window of 128 KiB: RFC 9659 lets a client refuse more than 8 MiB, and the
		// memory is multiplied by the number of responses under way.
		w, err := zstd.NewWriter(&e.sink, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(zstdWindow),
			zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
		if err != nil {
			return nil, fmt.Errorf("making a zstd encoder: %w", err)
		}
		e.codec = w
	case representation.Brotli:
		e.codec = newBrotli()
	default:
		return nil, fmt.Errorf("making an encoder: there is none for %v", c)
	}
	return e, nil
}

// Coding returns the coding that the encoder makes.
func (e *Encoder) Coding() representation.Coding { return e.coding }

func (e *Encoder) reset() {
	e.In, e.Out, e.open = 0, 0, true
	e.codec.Reset(&e.sink)
}

// Write compresses p, of which it keeps nothing, and appends what is ready to dst: often nothing, because a block is
// gathered first.
func (e *Encoder) Write(dst, p []byte) ([]byte, error) {
	if !e.open {
		return dst, ErrClosed
	}
	e.sink.b = dst
	_, err := e.codec.Write(p)
	e.In += int64(len(p))
	return e.given(len(dst), err)
}

// Flush appends all that is needed to decode everything written so far. It costs some compression: it is for event
// streams, and for a response whose server pauses.
func (e *Encoder) Flush(dst []byte) ([]byte, error) {
	if !e.open {
		return dst, ErrClosed
	}
	e.sink.b = dst
	return e.given(len(dst), e.codec.Flush())
}

// Close appends the rest, which ends the coding. Then the encoder goes back to its pool.
func (e *Encoder) Close(dst []byte) ([]byte, error) {
	if !e.open {
		return dst, ErrClosed
	}
	e.sink.b = dst
	e.open = false
	return e.given(len(dst), e.codec.Close())
}

func (e *Encoder) given(before int, err error) ([]byte, error) {
	out := e.sink.b
	e.sink.b = nil // it is the caller's
	e.Out += int64(len(out) - before)
	if err != nil {
		e.open = false
		return out, fmt.Errorf("compressing with %v: %w", e.coding, err)
	}
	return out, nil
}
