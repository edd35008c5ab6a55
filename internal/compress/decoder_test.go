package compress

import (
	"bytes"
	stdgzip "compress/gzip"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func gzipped(t testing.TB, parts ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, p := range parts {
		w := stdgzip.NewWriter(&b)
		if _, err := w.Write(p); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestDecoder(t *testing.T) {
	var d Decoder
	doc := document(300_000, 31)
	for name, packed := range map[string][]byte{"one member": gzipped(t, doc), "members": gzipped(t, doc[:1], doc[1:70_000], nil, doc[70_000:])} {
		for _, source := range []io.Reader{bytes.NewReader(packed), iotest.OneByteReader(bytes.NewReader(packed)), iotest.DataErrReader(bytes.NewReader(packed))} {
			d.Reset(source, Bounds{})
			if got, err := io.ReadAll(&d); err != nil || !bytes.Equal(got, doc) {
				t.Errorf("%s: %d bytes, %v", name, len(got), err)
			}
			if n, err := d.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("%s: %d, %v after the end", name, n, err)
			}
		}
	}
	d.Reset(nil, Bounds{})
}

// TestDecoderTruncated: a body that ends early is never taken for a whole one, wherever it ends.
func TestDecoderTruncated(t *testing.T) {
	doc := document(3000, 32)
	packed := gzipped(t, doc)
	var d Decoder
	for n := range packed {
		d.Reset(bytes.NewReader(packed[:n]), Bounds{})
		got, err := io.ReadAll(&d)
		if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.HasPrefix(doc, got) {
			t.Fatalf("cut at %d: %d bytes, %v", n, len(got), err)
		}
	}
}

func TestDecoderBounds(t *testing.T) {
	var d Decoder
	zeros := gzipped(t, make([]byte, 16<<20))
	for name, b := range map[string]Bounds{"ratio": {}, "bytes": {Bytes: 2 << 20, Ratio: 5000}} {
		d.Reset(bytes.NewReader(zeros), b)
		n, err := io.Copy(io.Discard, &d)
		if !errors.Is(err, ErrBomb) || n > 3<<20 {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
		if _, again := d.Read(make([]byte, 1)); !errors.Is(again, ErrBomb) {
			t.Errorf("%s: %v when asked again", name, again)
		}
	}
	d.Reset(bytes.NewReader(zeros), Bounds{Ratio: 2000})
	if n, err := io.Copy(io.Discard, &d); err != nil || n != 16<<20 {
		t.Errorf("within the bounds: %d bytes, %v", n, err)
	}
	// Small bodies may pack as well as they like.
	d.Reset(bytes.NewReader(gzipped(t, make([]byte, ratioFrom))), Bounds{Ratio: 1})
	if n, err := io.Copy(io.Discard, &d); err != nil || n != ratioFrom {
		t.Errorf("a small one: %d bytes, %v", n, err)
	}
	d.Reset(bytes.NewReader(gzipped(t, noise(1000))), Bounds{Bytes: 1000})
	if n, err := io.Copy(io.Discard, &d); err != nil || n != 1000 {
		t.Errorf("just the bound: %d bytes, %v", n, err)
	}
}

func TestDecoderErrors(t *testing.T) {
	var d Decoder
	good := gzipped(t, document(3000, 33))
	bad := bytes.Clone(good)
	bad[len(bad)-6] ^= 1 // the checksum
	broken := errors.New("broken")
	for name, r := range map[string]io.Reader{
		"no gzip": bytes.NewReader([]byte("<html>plain</html>")), "checksum": bytes.NewReader(bad), "trailing junk": bytes.NewReader(append(bytes.Clone(good), "junk"...)),
		"the source breaks": io.MultiReader(bytes.NewReader(good[:200]), iotest.ErrReader(broken)),
	} {
		d.Reset(r, Bounds{})
		_, err := io.ReadAll(&d)
		if err == nil || errors.Is(err, io.EOF) || name == "the source breaks" && !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
		if _, again := d.Read(make([]byte, 1)); again == nil {
			t.Errorf("%s: no error when asked again", name)
		}
	}
	// A decoder that met an error is as good as new.
	d.Reset(bytes.NewReader(good), Bounds{})
	if n, err := io.Copy(io.Discard, &d); err != nil || n != 3000 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestDecoderAllocs(t *testing.T) {
	packed := gzipped(t, document(100_000, 34))
	var d Decoder
	var source bytes.Reader
	p := make([]byte, 32<<10)
	run := func() {
		source.Reset(packed)
		d.Reset(&source, Bounds{})
		for {
			if _, err := d.Read(p); err == io.EOF {
				return
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	run()
	if n := testing.AllocsPerRun(20, run); n > 1 {
		t.Errorf("%v allocations per body", n)
	}
}

// FuzzDecoder: it agrees with the standard library about what is gzip, and keeps its bounds.
func FuzzDecoder(f *testing.F) {
	f.Add(gzipped(f, []byte("hello")))
	f.Add(gzipped(f, []byte("a"), []byte("b")))
	f.Add([]byte{0x1f, 0x8b, 8, 0x1c, 0, 0, 0, 0, 0, 0})
	var d Decoder
	f.Fuzz(func(t *testing.T, b []byte) {
		d.Reset(bytes.NewReader(b), Bounds{Bytes: 1 << 16})
		got, err := io.ReadAll(&d)
		if len(got) > 1<<16 {
			t.Fatalf("%d bytes", len(got))
		}
		if errors.Is(err, ErrBomb) {
			return
		}
		var want []byte
		r, stdErr := stdgzip.NewReader(bytes.NewReader(b))
		if stdErr == nil {
			want, stdErr = io.ReadAll(r)
		}
		if err != nil && stdErr == nil && reservedFlags(b) {
			return // RFC 1952, section 2.3.1.2 wants an error, which the standard library does not give
		}
		if (err == nil) != (stdErr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Fatalf("%x: %d bytes, %v; the standard library has %d, %v", b, len(got), err, len(want), stdErr)
		}
	})
}

// reservedFlags says whether something that looks like a member's header sets bits that must be zero.
func reservedFlags(b []byte) bool {
	for {
		i := bytes.Index(b, []byte{0x1f, 0x8b, 8})
		if i < 0 || i+3 >= len(b) {
			return false
		}
		if b[i+3]&0xe0 != 0 {
			return true
		}
		b = b[i+3:]
	}
}

func BenchmarkDecoder(b *testing.B) {
	doc := document(1<<20, 35)
	packed := gzipped(b, doc)
	var d Decoder
	var source bytes.Reader
	p := make([]byte, 32<<10)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		source.Reset(packed)
		d.Reset(&source, Bounds{})
		for {
			if _, err := d.Read(p); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}
