package api

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Spans is what an edge tells of traces (GET /v1/spans?for=400ms, up to so long; the answer is a row of what WriteSpans writes): spans
// of some requests, or that some are missing. An edge that has handed over tells nothing: its successor has all.
type Spans struct {
	Spans   int    `json:"spans,omitempty"`   // how many there are in Data
	Data    []byte `json:"data,omitempty"`    // the field "spans" of OTLP's ScopeSpans, so often, in protobuf; at most some 100 KiB
	Dropped uint64 `json:"dropped,omitempty"` // spans
}

const (
	spansHead = 16
	maxSpans  = 4 << 20 // bytes of Data
)

// WriteSpans writes s: the length of Data (4 bytes, little-endian as the rest), Spans (4), Dropped (8), and Data. In JSON it took longer
// to tell of spans than to make them.
func WriteSpans(w io.Writer, s *Spans) error {
	var head [spansHead]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(s.Data)))
	binary.LittleEndian.PutUint32(head[4:], uint32(s.Spans))
	binary.LittleEndian.PutUint64(head[8:], s.Dropped)
	_, err := w.Write(head[:])
	if err == nil {
		_, err = w.Write(s.Data)
	}
	return err
}

// ReadSpans reads what WriteSpans wrote: io.EOF at the end, io.ErrUnexpectedEOF where it was cut off.
func ReadSpans(r io.Reader) (s Spans, err error) {
	var head [spansHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return s, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	s.Spans, s.Dropped = int(binary.LittleEndian.Uint32(head[4:])), binary.LittleEndian.Uint64(head[8:])
	if n > maxSpans || s.Spans > int(n) {
		return Spans{}, fmt.Errorf("these are no spans: %d in %d bytes", s.Spans, n)
	}
	s.Data = make([]byte, n)
	if _, err := io.ReadFull(r, s.Data); err != nil {
		return Spans{}, io.ErrUnexpectedEOF
	}
	return s, nil
}
