package fcgi

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// record is a record as a server makes it.
func record(kind byte, id uint16, content string, padding int) string {
	head := []byte{version, kind, byte(id >> 8), byte(id), 0, 0, byte(padding), 0}
	binary.BigEndian.PutUint16(head[4:], uint16(len(content)))
	return string(head) + content + strings.Repeat("p", padding)
}

func end(status Status, code uint32) string {
	b := binary.BigEndian.AppendUint32(nil, code)
	return record(endRequest, requestID, string(append(b, byte(status), 0, 0, 0)), 0)
}

// read takes everything out of input, given in pieces of size bytes, and says what is left behind the end.
func read(r *Reader, input string, size int) (out, diagnostics, left string, err *Error) {
	var o, e strings.Builder
	defer func() { out, diagnostics = o.String(), e.String() }()
	rest := input
	for len(rest) > 0 {
		piece := []byte(rest[:min(size, len(rest))])
		rest = rest[len(piece):]
		for len(piece) > 0 {
			s, data, n, err := r.Next(piece)
			if err != nil {
				return "", "", "", err
			}
			switch s {
			case Output:
				o.Write(data)
			case Diagnostics:
				e.Write(data)
			}
			if n == 0 {
				return "", "", string(piece) + rest, nil
			}
			piece = piece[n:]
		}
	}
	return "", "", "", nil
}

func TestReader(t *testing.T) {
	long := strings.Repeat("x", 65535)
	for _, row := range []struct {
		name, in, out, diagnostics, left string
		ended                            bool
		status                           Status
		code                             uint32
		err                              *Error
	}{
		{name: "one record", in: record(stdout, 1, "hello", 3) + end(Complete, 7), out: "hello", ended: true, code: 7},
		{name: "several, with diagnostics between", in: record(stdout, 1, "a", 0) + record(stderr, 1, "e1", 6) + record(stdout, 1, "b", 255) +
			record(stderr, 1, "e2", 0) + end(Complete, 0), out: "ab", diagnostics: "e1e2", ended: true},
		{name: "empty records", in: record(stdout, 1, "", 0) + record(stdout, 1, "", 8) + record(stderr, 1, "", 0) + end(Complete, 0), ended: true},
		{name: "the longest", in: record(stdout, 1, long, 1) + end(Complete, 0), out: long, ended: true},
		{name: "no end", in: record(stdout, 1, "hello", 0), out: "hello"},
		{name: "cut in a head", in: record(stdout, 1, "hello", 0)[:5]},
		{name: "cut in its content", in: record(stdout, 1, "hello", 0)[:10], out: "he"},
		{name: "bytes behind the end", in: end(Overloaded, 0) + "more", ended: true, status: Overloaded, left: "more"},
		{name: "no multiplexing", in: end(NoMultiplexing, 0), ended: true, status: NoMultiplexing},
		{name: "unknown role", in: end(UnknownRole, 0), ended: true, status: UnknownRole},
		{name: "unknown status", in: end(4, 0), err: errStatus},
		{name: "version", in: "\x02" + record(stdout, 1, "hello", 0)[1:], err: errVersion},
		{name: "text", in: "HTTP/1.1 200 OK\r\n\r\n", err: errVersion},
		{name: "another request", in: record(stdout, 2, "hello", 0), err: errID},
		{name: "request 257", in: record(stdout, 257, "hello", 0), err: errID},
		{name: "management", in: record(stdout, 0, "hello", 0), err: errID},
		{name: "end of another request", in: record(endRequest, 2, "01234567", 0), err: errID},
		{name: "unknown type", in: record(11, 0, "01234567", 0), err: errType},
		{name: "our own kind", in: record(stdin, 1, "x", 0), err: errType},
		{name: "short end", in: record(endRequest, 1, "0123", 0), err: errEnd},
		{name: "long end", in: record(endRequest, 1, "0123456789", 0), err: errEnd},
		{name: "good, then bad", in: record(stdout, 1, "hello", 0) + record(9, 1, "", 0), out: "hello", err: errType},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, size := range []int{1, 2, 7, 8, 9, 100, 1 << 20} {
				var r Reader
				out, diagnostics, left, err := read(&r, row.in, size)
				if out != row.out || diagnostics != row.diagnostics || left != row.left || err != row.err || r.Ended() != row.ended ||
					r.Status() != row.status || r.Code() != row.code {
					t.Fatalf("in pieces of %d: out %.40q, diagnostics %q, left %q, ended %v, status %v, code %v, error %v", size, out, diagnostics, left, r.Ended(), r.Status(), r.Code(), err)
				}
				if err != nil {
					if _, _, n, again := r.Next([]byte(record(stdout, 1, "x", 0))); n != 0 || again != err {
						t.Fatalf("after an error: %d bytes, %v", n, again)
					}
				}
				r.Reset()
				if out, _, _, err := read(&r, record(stdout, 1, "again", 0), size); out != "again" || err != nil {
					t.Fatalf("after a reset: %q, %v", out, err)
				}
			}
		})
	}
}

// pairs reads a stream of parameters as PHP does: each record by itself.
func pairs(t *testing.T, b []byte) (got [][2]string, rest []byte) {
	t.Helper()
	for {
		if len(b) < headSize || b[0] != version || b[1] != params || binary.BigEndian.Uint16(b[2:]) != requestID {
			t.Fatalf("no record of parameters: %.20q", b)
		}
		n := int(binary.BigEndian.Uint16(b[4:]))
		content := b[headSize : headSize+n]
		b = b[headSize+n:]
		if n == 0 {
			return got, b
		}
		length := func() int {
			if content[0] < 128 {
				v := int(content[0])
				content = content[1:]
				return v
			}
			v := int(binary.BigEndian.Uint32(content) &^ (1 << 31))
			content = content[4:]
			return v
		}
		for len(content) > 0 {
			name, value := length(), 0
			value = length()
			got = append(got, [2]string{string(content[:name]), string(content[name : name+value])})
			content = content[name+value:]
		}
	}
}

func TestParams(t *testing.T) {
	var want [][2]string
	for _, n := range []int{0, 1, 127, 128, 129, 5000, 30000, 40000, 65000} {
		want = append(want, [2]string{"N", strings.Repeat("v", n)}, [2]string{strings.Repeat("n", n+1), ""})
	}
	dst := []byte("before")
	var p Params
	dst = p.Begin(dst)
	ok := false
	for _, w := range want {
		if dst, ok = p.Append(dst, []byte(w[0]), []byte(w[1])); !ok {
			t.Fatalf("a pair of %d bytes does not fit", len(w[0])+len(w[1]))
		}
	}
	if same, ok := p.Append(dst, []byte("N"), make([]byte, MaxContent)); ok || !bytes.Equal(same, dst) {
		t.Fatal("a pair that no record can hold was taken")
	}
	dst = p.End(dst)
	got, rest := pairs(t, dst[len("before"):])
	if len(rest) != 0 || len(got) != len(want) {
		t.Fatalf("%d pairs, want %d; %d bytes more", len(got), len(want), len(rest))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("pair %d: %.30q, want %.30q", i, got[i], want[i])
		}
	}
}

func TestRequest(t *testing.T) {
	if got, want := string(AppendBegin(nil, true)), "\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := AppendBegin(nil, false)[10]; got != 0 {
		t.Errorf("flags %d, want none", got)
	}
	if got, want := string(AppendInput(nil, 0x1234)), "\x01\x05\x00\x01\x12\x34\x00\x00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// FuzzReader: whatever comes, and however it is cut, the result is the same, and no more comes out than went in.
func FuzzReader(f *testing.F) {
	f.Add([]byte(record(stdout, 1, "hello", 3)+record(stderr, 1, "e", 0)+end(Complete, 0)), 3)
	f.Add([]byte(end(Overloaded, 0)+"x"), 1)
	f.Add([]byte(record(stdout, 2, "hello", 0)), 8)
	f.Fuzz(func(t *testing.T, in []byte, size int) {
		if size < 1 || size > 1<<16 {
			return
		}
		var whole, cut Reader
		out, diagnostics, left, err := read(&whole, string(in), 1<<30)
		out2, diagnostics2, left2, err2 := read(&cut, string(in), size)
		if out != out2 || diagnostics != diagnostics2 || left != left2 || err != err2 || whole.Ended() != cut.Ended() {
			t.Fatalf("whole: %q %q %q %v; cut: %q %q %q %v", out, diagnostics, left, err, out2, diagnostics2, left2, err2)
		}
		if len(out)+len(diagnostics)+len(left) > len(in) {
			t.Fatal("more came out than went in")
		}
	})
}

func BenchmarkReader(b *testing.B) {
	in := []byte(record(stdout, 1, strings.Repeat("x", 8<<10), 0) + end(Complete, 0))
	b.ReportAllocs()
	var r Reader
	for b.Loop() {
		r.Reset()
		for rest := in; !r.Ended(); {
			_, _, n, err := r.Next(rest)
			if err != nil {
				b.Fatal(err)
			}
			rest = rest[n:]
		}
	}
}
