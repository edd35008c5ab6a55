package api

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSpansGoAndCome: what is written is read, and what is cut off is no end.
func TestSpansGoAndCome(t *testing.T) {
	all := []Spans{{Spans: 2, Data: []byte("spans")}, {Data: []byte{}, Dropped: 1 << 40}, {Spans: 1, Data: bytes.Repeat([]byte{0xff}, 100_000), Dropped: 3}}
	var b bytes.Buffer
	for i := range all {
		if err := WriteSpans(&b, &all[i]); err != nil {
			t.Fatal(err)
		}
	}
	text := bytes.Clone(b.Bytes())
	for i := range all {
		got, err := ReadSpans(&b)
		if err != nil || !cmp.Equal(got, all[i]) {
			t.Errorf("%d is %d spans in %d bytes, %v", i, got.Spans, len(got.Data), err)
		}
	}
	if _, err := ReadSpans(&b); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
	for n := 1; n < spansHead+5; n++ {
		if _, err := ReadSpans(bytes.NewReader(text[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("of %d bytes: %v", n, err)
		}
	}
}

// FuzzReadSpans: nothing that comes takes more memory than it may, and what is read is written alike.
func FuzzReadSpans(f *testing.F) {
	f.Add([]byte("\x05\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00spans"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := bytes.NewReader(text)
		s, err := ReadSpans(r)
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := WriteSpans(&b, &s); err != nil || !bytes.Equal(b.Bytes(), text[:len(text)-r.Len()]) {
			t.Errorf("%x is written as %x, %v", text, b.Bytes(), err)
		}
	})
}
