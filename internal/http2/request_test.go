package http2

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// sentOf is what the library's reader makes of a request.
func sentOf(t *testing.T, b []byte) string {
	t.Helper()
	f := http2.NewFramer(io.Discard, bytes.NewReader(b))
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.SetMaxReadFrameSize(minFrame)
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if h, ok := frame.(*http2.MetaHeadersFrame); ok {
			var out strings.Builder
			for _, l := range h.Fields {
				fmt.Fprintf(&out, "%s: %s\n", l.Name, l.Value)
			}
			return out.String()
		}
	}
}

func TestRequest(t *testing.T) {
	for _, c := range []struct {
		name, text string
		o          Options
		want       string
	}{
		{"plain", "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", Options{}, ":method: GET\n:scheme: http\n:path: /\n:authority: a.example\n"},
		{"all", "POST /a?b=c HTTP/1.1\r\nHost: a.example:8080\r\nContent-Type: text/plain\r\nX-Some-Thing: A b, c\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n" +
			"Connection: TE\r\nTE: trailers\r\nExpect: 100-continue\r\nUpgrade: x\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\nCookie: a=b\r\nAuthorization: Basic x\r\n\r\n",
			Options{HTTPS: true, Trailers: true},
			":method: POST\n:scheme: https\n:path: /a?b=c\n:authority: a.example:8080\ncontent-type: text/plain\nx-some-thing: A b, c\ncontent-length: 3\n" +
				"expect: 100-continue\ncookie: a=b\nauthorization: Basic x\nte: trailers\n"},
		{"another method", "OPTIONS * HTTP/1.1\r\nHost: \r\nX: \r\n\r\n", Options{}, ":method: OPTIONS\n:scheme: http\n:path: *\nx: \n"},
		{"large", "GET /" + strings.Repeat("p", 20000) + " HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("v", 40000) + "\r\n\r\n", Options{},
			":method: GET\n:scheme: http\n:path: /" + strings.Repeat("p", 20000) + "\n:authority: a\nx: " + strings.Repeat("v", 40000) + "\n"},
	} {
		s := new(Session)
		s.Open(limits)
		b, ok := s.Begin([]byte("before"), []byte(c.text), c.o, new(Scratch))
		if !ok {
			t.Fatal("refused")
		}
		if got := sentOf(t, b[len("before")+len(greeting):]); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

// TestTooLargeForServer: a server that says how much it takes is believed.
func TestTooLargeForServer(t *testing.T) {
	s, scratch := opened(t, Options{End: true})
	in := join(frames(func(f *http2.Framer) { f.WriteSettings(http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: 200}) }), headers(true, ":status", "200"))
	if _, err := said(s, in, 1000); err != nil || !s.Finish() {
		t.Fatal(err)
	}
	if b, ok := s.Begin([]byte("before"), []byte(steadyHead), Options{}, scratch); ok || string(b) != "before" {
		t.Error("a larger head was sent")
	}
	if _, ok := s.Begin(nil, []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Options{}, scratch); !ok {
		t.Error("a small one was not")
	}
}

func TestTrailersOfRequest(t *testing.T) {
	s, _ := opened(t, Options{})
	if got := sentOf(t, s.AppendTrailers(nil, []byte("X-Sum: 1\r\nB: c\r\n"))); got != "x-sum: 1\nb: c\n" {
		t.Errorf("got %s", got)
	}
}

// TestHuffman holds the code against the library's, for all bytes and pairs of them.
func TestHuffman(t *testing.T) {
	for i := range 256 * 256 {
		text := string([]byte{byte(i >> 8), byte(i), byte(i), byte(i >> 8), 'a'})
		coded := hpack.AppendHuffmanString(nil, text)
		if got, ok := appendHuffman(nil, coded, 100); !ok || string(got) != text {
			t.Fatalf("%q: got %q %v", text, got, ok)
		}
		if _, ok := appendHuffman(nil, coded, 4); ok {
			t.Fatalf("%q goes beyond the limit", text)
		}
	}
}

func TestStaticTable(t *testing.T) {
	for i := 1; i < len(static); i++ {
		d := hpack.NewDecoder(0, nil)
		f, err := d.DecodeFull([]byte{0x80 | byte(i)})
		if err != nil || f[0].Name != static[i].name || f[0].Value != static[i].value {
			t.Errorf("entry %d is %v in the library (%v)", i, f, err)
		}
	}
}

// FuzzHuffman: what the library decodes is decoded here, and nothing else.
func FuzzHuffman(f *testing.F) {
	f.Add([]byte("\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		want, err := hpack.HuffmanDecodeToString(b)
		got, ok := appendHuffman(nil, b, 1<<20)
		if ok != (err == nil) || ok && string(got) != want {
			t.Fatalf("%x: got %q %v, the library says %q %v", b, got, ok, want, err)
		}
	})
}

// FuzzFields holds the reader of field sections against the library's decoder: what is taken here means the same there.
func FuzzFields(f *testing.F) {
	f.Add(block(":status", "200", "content-type", "text/plain", "x", "y"), false)
	f.Add(block("grpc-status", "0"), true)
	f.Add([]byte("\x20\x88\x40\x01a\x01b"), false)
	f.Fuzz(func(t *testing.T, b []byte, trailers bool) {
		r := section{b: b, lim: limits}
		h, err := r.read(trailers)
		if err != nil {
			return
		}
		want, wrong := hpack.NewDecoder(0, nil).DecodeFull(b)
		if wrong != nil {
			t.Fatalf("%x: read as %q, the library says %v", b, r.dst, wrong)
		}
		var text strings.Builder
		for i, l := range want {
			if i == 0 && !trailers {
				if fmt.Sprint(h.status) != l.Value {
					t.Fatalf("the status is %d, not %s", h.status, l.Value)
				}
				text.WriteString("HTTP/1.1 " + l.Value + " \r\n")
				continue
			}
			text.WriteString(l.Name + ": " + l.Value + "\r\n")
		}
		if got := string(r.dst); got != text.String()+"\r\n" {
			t.Fatalf("%x: read as %q, the library says %q", b, got, text.String())
		}
		if n := strings.Count(string(r.dst), "\n"); n > limits.Fields+1 || len(r.dst) > limits.Head+2 {
			t.Fatalf("%d lines, %d bytes", n, len(r.dst))
		}
	})
}

// FuzzSession: whatever comes, in whatever pieces, means the same, and memory stays within bounds.
func FuzzSession(f *testing.F) {
	f.Add(join(settings, ok200("a", "b"), data(false, "abc"), headers(true, "c", "d")), uint8(1), false)
	f.Add(join(settings, raw(framePing, 0, 0, "12345678"), raw(frameWindow, 0, 1, "\x00\x00\x00\x01"), ok200("content-length", "3"), data(true, "abc")), uint8(3), true)
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), uint8(2), false)
	f.Fuzz(func(t *testing.T, in []byte, piece uint8, bodiless bool) {
		s, scratch := opened(t, Options{End: true, Bodiless: bodiless})
		got, err := said(s, in, int(piece)+1)
		if len(scratch.block) > limits.Head || len(scratch.text) > 2*limits.Head || len(s.out) > outLimit+100 {
			t.Fatalf("%d bytes of a block, %d of text, %d to be sent", len(scratch.block), len(scratch.text), len(s.out))
		}
		whole, _ := opened(t, Options{End: true, Bodiless: bodiless})
		want, wrong := said(whole, in, len(in)+1)
		if err != wrong || err == nil && got != want {
			t.Fatalf("in pieces: %s (%v), at once: %s (%v)", got, err, want, wrong)
		}
		if s.Finish() != whole.Finish() {
			t.Fatal("in pieces the connection has another future than at once")
		}
	})
}

// TestNoAllocation: a request and its response on a kept connection take nothing from the heap.
func TestNoAllocation(t *testing.T) {
	s, scratch := opened(t, Options{End: true})
	in := join(settings, ok200("content-type", "text/html", "date", "Sat, 21 Nov 2026 00:00:00 GMT", "content-length", "3"), data(true, "abc"))
	out := make([]byte, 0, 4096)
	text := []byte(steadyHead)
	round := func() {
		for p := in; len(p) > 0; {
			_, _, n, err := s.Next(p)
			if err != nil {
				t.Fatal(err)
			}
			p = p[n:]
		}
		if !s.Finish() {
			t.Fatal("given up")
		}
		s.stream -= 2 // for the same answer to fit again
		if _, ok := s.Begin(out, text, Options{End: true}, scratch); !ok {
			t.Fatal("refused")
		}
	}
	if n := testing.AllocsPerRun(1000, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	s, scratch := new(Session), new(Scratch)
	s.Open(limits)
	out := make([]byte, 0, 4096)
	text := []byte(steadyHead)
	b.ReportAllocs()
	for b.Loop() {
		s.state = Ended
		s.Begin(out, text, Options{End: true}, scratch)
	}
}

func BenchmarkResponse(b *testing.B) {
	s, _ := opened(b, Options{End: true})
	in := join(ok200("content-type", "text/html", "date", "Sat, 21 Nov 2026 00:00:00 GMT", "server", "nginx/1.22.1", "content-length", "1024"), data(true, strings.Repeat("x", 1024)))
	said(s, settings, 100)
	b.ReportAllocs()
	for b.Loop() {
		s.state = Open
		for p := in; len(p) > 0; {
			_, _, n, err := s.Next(p)
			if err != nil {
				b.Fatal(err)
			}
			p = p[n:]
		}
	}
}

// BenchmarkResponseLibrary is the same with the library's framer and decoder, beside which ours was weighed.
func BenchmarkResponseLibrary(b *testing.B) {
	in := join(ok200("content-type", "text/html", "date", "Sat, 21 Nov 2026 00:00:00 GMT", "server", "nginx/1.22.1", "content-length", "1024"), data(true, strings.Repeat("x", 1024)))
	r := bytes.NewReader(in)
	f := http2.NewFramer(io.Discard, r)
	f.SetReuseFrames()
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(in)
		for range 2 {
			if _, err := f.ReadFrame(); err != nil {
				b.Fatal(err)
			}
		}
	}
}
