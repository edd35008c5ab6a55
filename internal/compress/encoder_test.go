package compress

import (
	"bytes"
	stdgzip "compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/weirhq/weir/internal/representation"
)

// document makes text that packs about as HTML does: templates filled with words of which a few are frequent. Its seed
// makes it another one.
func document(size int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	words := make([]string, 1500)
	for i := range words {
		for range 2 + r.IntN(8) {
			words[i] += string("etaoinshrdlucmfwypgbvk"[min(r.IntN(22), r.IntN(22))])
		}
	}
	word := func() string {
		n := len(words) // skewed: the product of three evenly spread numbers
		return words[r.IntN(n)*(1+r.IntN(n))/n*(1+r.IntN(n))/n]
	}
	var b []byte
	for len(b) < size {
		b = fmt.Appendf(b, "<div class=\"card %s\">\n  <h2><a href=\"/photos/%d/%s\">%s %s</a></h2>\n  <p>", word(), r.IntN(100_000), word(), word(), word())
		for range r.IntN(60) {
			b = append(append(b, word()...), ' ')
		}
		b = fmt.Appendf(b, "</p>\n  <img src=\"/media/%x.jpg\" width=\"%d\" height=\"%d\" alt=\"%s\">\n</div>\n", r.Uint64(), r.IntN(900), r.IntN(900), word())
	}
	return b[:size]
}

func noise(size int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, size)
	_, _ = r.Read(b) // never fails
	return b
}

func decodeAll(c representation.Coding, b []byte) ([]byte, error) {
	switch c {
	case representation.Gzip:
		r, err := stdgzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	case representation.Brotli:
		return io.ReadAll(brotli.NewReader(bytes.NewReader(b)))
	}
	// RFC 9659: no window above 8 MiB.
	r, err := zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func lend(t testing.TB, c representation.Coding) *Encoder {
	t.Helper()
	e, err := NewPool(1).Get(c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func encode(t testing.TB, e *Encoder, doc []byte, chunk int, flush bool) []byte {
	t.Helper()
	var out []byte
	var err error
	for rest := doc; len(rest) > 0; {
		n := min(max(chunk, 1), len(rest))
		if out, err = e.Write(out, rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
		if flush {
			if out, err = e.Flush(out); err != nil {
				t.Fatal(err)
			}
		}
	}
	if out, err = e.Close(out); err != nil {
		t.Fatal(err)
	}
	if e.In != int64(len(doc)) || e.Out != int64(len(out)) {
		t.Fatalf("counted %d and %d bytes, there were %d and %d", e.In, e.Out, len(doc), len(out))
	}
	return out
}

func TestRoundTrips(t *testing.T) {
	docs := map[string][]byte{"nothing": nil, "a byte": {'x'}, "short": document(100, 1), "a page": document(40_000, 2), "a block": document(64<<10, 3),
		"two blocks": document(128<<10, 4), "above the windows": document(700_001, 5), "noise": noise(200_000), "zeros": make([]byte, 300_000)}
	p := NewPool(4)
	for c := representation.Gzip; c < representation.NumCodings; c++ {
		for name, doc := range docs {
			for _, chunk := range []int{len(doc), MaxWrite, 4096, 1000} {
				for _, flush := range []bool{false, true} {
					if flush && chunk < len(doc)/100 {
						continue // hundreds of flushes of large documents show nothing new, slowly
					}
					e, err := p.Get(c)
					if err != nil {
						t.Fatal(err)
					}
					out := encode(t, e, doc, chunk, flush)
					p.Put(e)
					got, err := decodeAll(c, out)
					if err != nil || !bytes.Equal(got, doc) {
						t.Fatalf("%s in %v, chunks of %d, flushed %v: %d bytes come back of %d: %v", name, c, chunk, flush, len(got), len(doc), err)
					}
					if len(out) > len(doc)+len(doc)/100+160*(1+len(doc)/max(chunk, 1)) {
						t.Errorf("%s in %v, chunks of %d: %d bytes became %d", name, c, chunk, len(doc), len(out))
					}
				}
			}
		}
	}
	if p.Lent() != 0 {
		t.Errorf("%d encoders are out", p.Lent())
	}
}

// TestEveryCut: wherever the input is cut, with a flush there or not, the same bytes come back.
func TestEveryCut(t *testing.T) {
	doc := document(150, 9)
	p := NewPool(1)
	for c := representation.Gzip; c < representation.NumCodings; c++ {
		for cut := range doc {
			e, err := p.Get(c)
			if err != nil {
				t.Fatal(err)
			}
			var out []byte
			for i, part := range [][]byte{doc[:cut], doc[cut:]} {
				if out, err = e.Write(out, part); err != nil {
					t.Fatal(err)
				}
				if i == 0 && cut%2 == 0 {
					if out, err = e.Flush(out); err != nil {
						t.Fatal(err)
					}
				}
			}
			if out, err = e.Close(out); err != nil {
				t.Fatal(err)
			}
			p.Put(e)
			if got, err := decodeAll(c, out); err != nil || !bytes.Equal(got, doc) {
				t.Fatalf("%v cut at %d: %d bytes come back: %v", c, cut, len(got), err)
			}
		}
	}
}

// TestFlush: after a flush, what was written can be read by a client that gets no more.
func TestFlush(t *testing.T) {
	p := NewPool(1)
	for c := representation.Gzip; c < representation.NumCodings; c++ {
		e, err := p.Get(c)
		if err != nil {
			t.Fatal(err)
		}
		var out, doc []byte
		for i := range 60 {
			event := fmt.Appendf(nil, "data: %d %s\n\n", i, document(i*7%500, uint64(i)))
			doc = append(doc, event...)
			if out, err = e.Write(out, event); err != nil {
				t.Fatal(err)
			}
			if out, err = e.Flush(out); err != nil {
				t.Fatal(err)
			}
			if i%3 == 0 {
				if out, err = e.Flush(out); err != nil { // one more does no harm
					t.Fatal(err)
				}
			}
			got, err := decodeAll(c, out)
			if !bytes.Equal(got, doc) {
				t.Fatalf("%v: %d of %d bytes are readable after event %d: %v", c, len(got), len(doc), i, err)
			}
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%v: the stream is over after a flush: %v", c, err)
			}
		}
		p.Put(e)
	}
}

// TestFlushFirst: a flush before the first byte is allowed too.
func TestFlushFirst(t *testing.T) {
	p := NewPool(1)
	for c := representation.Gzip; c < representation.NumCodings; c++ {
		e, err := p.Get(c)
		if err != nil {
			t.Fatal(err)
		}
		out, err := e.Flush(nil)
		if err != nil {
			t.Fatal(err)
		}
		if out, err = e.Write(out, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if out, err = e.Close(out); err != nil {
			t.Fatal(err)
		}
		p.Put(e)
		if got, err := decodeAll(c, out); err != nil || string(got) != "x" {
			t.Errorf("%v: %q, %v", c, got, err)
		}
	}
}

func TestPool(t *testing.T) {
	p := NewPool(2)
	a, err := p.Get(representation.Gzip)
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.Get(representation.Zstd)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Get(representation.Brotli); !errors.Is(err, ErrBusy) || p.Refused != 1 || p.Lent() != 2 {
		t.Errorf("above the limit: %v, %d refused, %d lent", err, p.Refused, p.Lent())
	}
	// One that is given back in the middle of a response forgets it.
	if _, err := a.Write(nil, []byte("forgotten")); err != nil {
		t.Fatal(err)
	}
	p.Put(a)
	if _, err := a.Write(nil, []byte("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("write after Put: %v", err)
	}
	again, err := p.Get(representation.Gzip)
	if err != nil || again != a {
		t.Fatalf("a warm encoder was not lent again: %v", err)
	}
	if out := encode(t, again, []byte("kept"), 4, false); true {
		if got, err := decodeAll(representation.Gzip, out); err != nil || string(got) != "kept" {
			t.Errorf("%q, %v", got, err)
		}
	}
	for name, f := range map[string]func([]byte) ([]byte, error){
		"write": func(b []byte) ([]byte, error) { return again.Write(b, b) }, "flush": again.Flush, "close": again.Close,
	} {
		if out, err := f([]byte("d")); !errors.Is(err, ErrClosed) || string(out) != "d" {
			t.Errorf("%s after Close: %q, %v", name, out, err)
		}
	}
	p.Put(again)
	p.Put(b)
	// Idle ones count against the limit: another coding takes the place of one.
	x, err := p.Get(representation.Brotli)
	if err != nil || p.kept != 1 || p.lent != 1 {
		t.Errorf("%v, %d kept, %d lent", err, p.kept, p.lent)
	}
	p.Put(x)
	if _, err := p.Get(representation.Identity); err == nil || p.Lent() != 0 {
		t.Errorf("an encoder for nothing: %v, %d lent", err, p.Lent())
	}
	p.Trim()
	if p.kept != 0 {
		t.Errorf("%d kept after Trim", p.kept)
	}
	if _, err := NewPool(-1).Get(representation.Gzip); !errors.Is(err, ErrBusy) {
		t.Errorf("a pool of none: %v", err)
	}
}

// TestPoolNeverGrows: whatever is asked for in whatever order, the pool has no more encoders than its limit.
func TestPoolNeverGrows(t *testing.T) {
	p := NewPool(3)
	r := rand.New(rand.NewPCG(7, 7))
	var out []*Encoder
	for range 300 {
		if r.IntN(2) == 0 && len(out) > 0 {
			i := r.IntN(len(out))
			p.Put(out[i])
			out = append(out[:i], out[i+1:]...)
		} else if e, err := p.Get(representation.Gzip + representation.Coding(r.IntN(3))); err == nil {
			out = append(out, e)
		}
		idle := 0
		for c := range p.idle {
			idle += len(p.idle[c])
		}
		if p.lent != len(out) || p.kept != idle || p.lent+p.kept > 3 {
			t.Fatalf("%d lent (%d out), %d kept (%d idle)", p.lent, len(out), p.kept, idle)
		}
	}
}

// TestMemory measures what an encoder holds after a long response that packs badly, the worst case for what it
// gathers, and one that packs well.
func TestMemory(t *testing.T) {
	const many = 6
	doc := append(document(600<<10, 3), noise(300<<10)...)
	for c := representation.Gzip; c < representation.NumCodings; c++ {
		dst := make([]byte, 0, 256<<10)
		// What a library makes once for all is not an encoder's.
		encode(t, lend(t, c), doc[:100<<10], MaxWrite, false)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		list := make([]*Encoder, many)
		for i := range list {
			e, err := newEncoder(c)
			if err != nil {
				t.Fatal(err)
			}
			e.reset()
			for rest := doc; len(rest) > 0; rest = rest[min(len(rest), 30_000):] {
				if _, err := e.Write(dst[:0], rest[:min(len(rest), 30_000)]); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := e.Close(dst[:0]); err != nil {
				t.Fatal(err)
			}
			list[i] = e
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / many
		t.Logf("%v: %d KiB each", c, each>>10)
		if each > MemoryEach {
			t.Errorf("%v: an encoder holds %d bytes, MemoryEach says %d", c, each, MemoryEach)
		}
		runtime.KeepAlive(list)
		runtime.KeepAlive(doc)
	}
}

func TestAllocs(t *testing.T) {
	doc := document(300<<10, 11)
	p := NewPool(1)
	dst := make([]byte, 0, 128<<10)
	for c := representation.Gzip; c < representation.NumCodings; c++ {
		response := func() {
			e, err := p.Get(c)
			if err != nil {
				t.Fatal(err)
			}
			for rest := doc; len(rest) > 0; rest = rest[min(len(rest), 16<<10):] {
				if _, err = e.Write(dst[:0], rest[:min(len(rest), 16<<10)]); err != nil {
					t.Fatal(err)
				}
			}
			if _, err = e.Flush(dst[:0]); err != nil {
				t.Fatal(err)
			}
			if _, err = e.Close(dst[:0]); err != nil {
				t.Fatal(err)
			}
			p.Put(e)
		}
		response()
		// zstd makes a few bytes for the frame's header at its first block and at its end.
		if n := testing.AllocsPerRun(10, response); n > 1 {
			t.Errorf("%v: %v allocations per response", c, n)
		}
		e, err := p.Get(c)
		if err != nil {
			t.Fatal(err)
		}
		at := 0
		write := func() {
			at = (at + 16<<10) % (256 << 10)
			if _, err := e.Write(dst[:0], doc[at:at+16<<10]); err != nil {
				t.Fatal(err)
			}
		}
		for range 50 {
			write()
		}
		if n := testing.AllocsPerRun(100, write); n != 0 {
			t.Errorf("%v: %v allocations per Write", c, n)
		}
		p.Put(e)
		p.Trim()
	}
	f := fields("Accept-Encoding", "gzip, deflate, br;q=0.5, zstd")
	r := fields("Content-Type", "Text/HTML; charset=utf-8", "Cache-Control", "max-age=5", "Vary", "Cookie")
	policy, err := NewPolicy(all, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if v, c := policy.Decide(200, r, 5000, representation.Accepted(f)); v != Compress || c != representation.Zstd || VaryNames(r) {
			t.Error(v, c)
		}
	}); n != 0 {
		t.Errorf("deciding: %v allocations", n)
	}
}

// FuzzEncoder: any bytes, cut and flushed anyhow, come back.
func FuzzEncoder(f *testing.F) {
	f.Add([]byte("data: hello\n\n"), byte(3), byte(1))
	f.Add(document(2000, 1), byte(200), byte(7))
	f.Add([]byte{}, byte(0), byte(0))
	p := NewPool(1)
	f.Fuzz(func(t *testing.T, doc []byte, cut, flush byte) {
		for c := representation.Gzip; c < representation.NumCodings; c++ {
			e, err := p.Get(c)
			if err != nil {
				t.Fatal(err)
			}
			var out []byte
			for i, rest := 0, doc; len(rest) > 0; i++ {
				n := min(len(rest), 1+int(cut))
				if out, err = e.Write(out, rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
				if flush > 0 && i%int(flush) == 0 {
					if out, err = e.Flush(out); err != nil {
						t.Fatal(err)
					}
				}
			}
			if out, err = e.Close(out); err != nil {
				t.Fatal(err)
			}
			p.Put(e)
			if got, err := decodeAll(c, out); err != nil || !bytes.Equal(got, doc) {
				t.Fatalf("%v: %q came back as %q: %v", c, doc, got, err)
			}
		}
	})
}

func BenchmarkEncoder(b *testing.B) {
	for _, size := range []int{4 << 10, 40 << 10, 1 << 20} {
		doc := document(size, 21)
		for c := representation.Gzip; c < representation.NumCodings; c++ {
			b.Run(fmt.Sprintf("%v/%dKiB", c, size>>10), func(b *testing.B) {
				p := NewPool(1)
				dst := make([]byte, 0, 128<<10)
				var out int64
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					e, err := p.Get(c)
					if err != nil {
						b.Fatal(err)
					}
					for rest := doc; len(rest) > 0; rest = rest[min(len(rest), 16<<10):] {
						if _, err = e.Write(dst[:0], rest[:min(len(rest), 16<<10)]); err != nil {
							b.Fatal(err)
						}
					}
					if _, err = e.Close(dst[:0]); err != nil {
						b.Fatal(err)
					}
					out = e.Out
					p.Put(e)
				}
				b.ReportMetric(float64(size)/float64(out), "ratio")
			})
		}
	}
}

// BenchmarkWorstWrite times calls of Write with MaxWrite bytes.
func BenchmarkWorstWrite(b *testing.B) {
	doc := document(64*MaxWrite, 21)
	for c := representation.Gzip; c < representation.NumCodings; c++ {
		b.Run(c.String(), func(b *testing.B) {
			at := 0
			e, err := NewPool(1).Get(c)
			if err != nil {
				b.Fatal(err)
			}
			dst := make([]byte, 0, 128<<10)
			b.ReportAllocs()
			for b.Loop() {
				at = (at + MaxWrite) % len(doc)
				if _, err := e.Write(dst[:0], doc[at:at+MaxWrite]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	f := fields("Accept-Encoding", "gzip, deflate, br, zstd")
	r := fields("Content-Type", "text/html; charset=utf-8", "Cache-Control", "max-age=5", "Vary", "Cookie")
	policy, err := NewPolicy(all, 0, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		policy.Decide(200, r, 5000, representation.Accepted(f))
	}
}
