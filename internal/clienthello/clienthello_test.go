package clienthello

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ext is an extension.
func ext(kind int, data []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(kind))
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

func vec16(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

// sni is a server_name with such names, each of type 0.
func sni(names ...string) []byte {
	var list []byte
	for _, n := range names {
		list = append(append(list, 0), vec16([]byte(n))...)
	}
	return ext(extServerName, vec16(list))
}

func alpn(names ...string) []byte {
	var list []byte
	for _, n := range names {
		list = append(append(list, byte(len(n))), n...)
	}
	return ext(extALPN, vec16(list))
}

// body is a hello without its header.
func body(extensions ...[]byte) []byte {
	b := append([]byte{3, 3}, make([]byte, 32)...)
	b = append(b, 0)                       // session
	b = append(b, 0, 4, 0x0a, 0x0a, 19, 1) // suites, GREASE before
	b = append(b, 1, 0)                    // compression
	if extensions == nil {
		return b
	}
	return append(b, vec16(bytes.Join(extensions, nil))...)
}

func message(body []byte) []byte {
	return append([]byte{1, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

// records divides a message into records of at most size bytes.
func records(message []byte, size int) (out []byte) {
	for len(message) > 0 {
		n := min(size, len(message))
		out = append(append(out, handshake, 3, 1), vec16(message[:n])...)
		message = message[n:]
	}
	return out
}

func stream(extensions ...[]byte) []byte { return records(message(body(extensions...)), 1<<14) }

func TestParse(t *testing.T) {
	grease := ext(0x4a4a, nil)
	long := strings.Repeat("a", 63) + "." + strings.Repeat("b", 63)
	for _, row := range []struct {
		name string
		in   []byte
		want string
		err  error
	}{
		{"a name", stream(grease, sni("www.example.com"), alpn("h2")), "www.example.com", nil},
		{"in capitals", stream(sni("WWW.Example.COM")), "www.example.com", nil},
		{"with _ and digits", stream(sni("_a.b1.3com.de")), "_a.b1.3com.de", nil},
		{"long labels", stream(sni(long)), long, nil},
		{"in records of 7 bytes", records(message(body(sni("a.example"))), 7), "a.example", nil},
		{"no extensions at all", stream(), "", nil},
		{"an empty list of extensions", stream([]byte{}), "", nil},
		{"no name", stream(alpn("h2")), "", nil},
		{"IPv4 for a name", stream(sni("192.0.2.1")), "", nil},
		{"IPv6 for a name", stream(sni("2001:db8::1")), "", nil},
		{"the hello of SSL 3.0", records(message(append([]byte{3, 0}, body()[2:]...)), 100), "", nil},
		{"application data behind it", append(stream(sni("a.example")), 23, 3, 3, 0, 1, 0), "a.example", nil},
		{"another type of name", stream(ext(0, vec16(append([]byte{7, 0, 1, 'x'}, append([]byte{0}, vec16([]byte("a.example"))...)...)))), "a.example", nil},

		{"two names", stream(sni("a.example", "b.example")), "", ErrMalformed},
		{"two lists of names", stream(sni("a.example"), sni("b.example")), "", ErrMalformed},
		{"two lists of protocols", stream(alpn("h2"), alpn("h2")), "", ErrMalformed},
		{"no name in the list", stream(ext(0, []byte{0, 0})), "", ErrMalformed},
		{"an empty name", stream(sni("")), "", ErrMalformed},
		{"an empty extension", stream(ext(0, nil)), "", ErrMalformed},
		{"bytes behind the names", stream(ext(0, append(vec16(append([]byte{0}, vec16([]byte("a.b"))...)), 9))), "", ErrMalformed},
		{"a dot at the end", stream(sni("a.example.")), "", ErrName},
		{"a dot at the beginning", stream(sni(".example")), "", ErrName},
		{"two dots", stream(sni("a..example")), "", ErrName},
		{"a NUL", stream(sni("a.example\x00.b.example")), "", ErrName},
		{"a blank", stream(sni("a example")), "", ErrName},
		{"UTF-8", stream(sni("ä.example")), "", ErrName},
		{"- at the end of a label", stream(sni("a-.example")), "", ErrName},
		{"a port", stream(sni("example.com:443")), "", ErrName},
		{"a label of 64", stream(sni(strings.Repeat("a", 64) + ".b")), "", ErrName},
		{"254 bytes", stream(sni(strings.Repeat("a.", 126) + "aa")), "", ErrName},
		{"an empty protocol", stream(alpn("")), "", ErrMalformed},

		{"HTTP", []byte("GET / HTTP/1.1\r\n"), "", ErrNotTLS},
		{"SSH", []byte("SSH-2.0-x\r\n"), "", ErrNotTLS},
		{"SSL 2", []byte{0x80, 0x2e, 1, 3, 1, 0, 21, 0, 0, 0, 16}, "", ErrSSLv2},
		{"a version of nobody", []byte{22, 9, 1, 0, 5}, "", ErrNotTLS},
		{"an alert", []byte{21, 3, 1, 0, 2, 1, 0}, "", ErrNotTLS},
		{"a ServerHello", []byte{22, 3, 1, 0, 5, 2}, "", ErrMalformed},
		{"an empty record", []byte{22, 3, 1, 0, 0}, "", ErrMalformed},
		{"an empty record within", append(records(message(body()), 20)[:25], 22, 3, 1, 0, 0), "", ErrMalformed},
		{"another type within", append(records(message(body()), 20)[:25], 23, 3, 1, 0, 1, 0), "", ErrMalformed},
		{"a record of 16 MiB", []byte{22, 3, 1, 255, 255, 1}, "", ErrMalformed},
		{"a hello of 16 MiB", []byte{22, 3, 1, 0, 4, 1, 255, 255, 255}, "", ErrTooLarge},
		{"a second message behind", records(append(message(body()), message(body())...), 1<<14), "", ErrMalformed},
		{"records of one byte", records(message(body(sni("a.example"), make([]byte, 0))), 1), "", ErrTooLarge},
		{"an odd list of suites", records(message(append(append([]byte{3, 3}, make([]byte, 33)...), 0, 3, 1, 2, 3, 1, 0)), 999), "", ErrMalformed},
		{"bytes behind the extensions", records(message(append(body(sni("a.b")), 0)), 999), "", ErrMalformed},
		{"a session of 33", records(message(append(append([]byte{3, 3}, make([]byte, 32)...), append([]byte{33}, make([]byte, 40)...)...)), 999), "", ErrMalformed},
	} {
		h, err := Parse(row.in)
		if err != row.err || h.Name != row.want {
			t.Errorf("%s: %q, %v; want %q, %v", row.name, h.Name, err, row.want, row.err)
		}
	}
}

// TestByPieces: what came is the same, in however many pieces it came, and nothing is decided before it is certain.
func TestByPieces(t *testing.T) {
	for _, size := range []int{5, 20, 1 << 14} {
		all := records(message(body(sni("a.example"), alpn("h2", "http/1.1"), ext(extECH, []byte{0, 1}))), size)
		for i := range all {
			if _, err := Parse(all[:i]); err != ErrMore {
				t.Fatalf("records of %d, %d of %d bytes: %v", size, i, len(all), err)
			}
		}
		h, err := Parse(all)
		if err != nil || h.Name != "a.example" || !h.Encrypted || !h.Offers("h2") || !h.Offers("http/1.1") || h.Offers("h3") || h.Offers("") {
			t.Errorf("%+v, %v", h, err)
		}
	}
}

// TestNeverEnding: what goes on for ever is refused at MaxSize.
func TestNeverEnding(t *testing.T) {
	all := append([]byte{22, 3, 1, 0x3f, 0xf0, 1, 0, 0x3f, 0xff}, make([]byte, MaxSize)...)
	for i := 1; i < MaxSize; i++ {
		if _, err := Parse(all[:i]); err != ErrMore {
			if err != ErrTooLarge && err != ErrMalformed {
				t.Fatalf("%d: %v", i, err)
			}
			return
		}
	}
	t.Error("it could go on")
}

// realHello is what Go's own client sends.
func realHello(t testing.TB, cfg *tls.Config) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		tls.Client(b, cfg).Handshake()
	}()
	a.SetDeadline(time.Now().Add(5 * time.Second))
	var all []byte
	buf := make([]byte, 4096)
	for {
		n, err := a.Read(buf)
		all = append(all, buf[:n]...)
		if _, perr := Parse(all); perr != ErrMore {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	a.Close()
	<-done
	return all
}

func TestRealClient(t *testing.T) {
	all := realHello(t, &tls.Config{ServerName: "Shop.Example.org", NextProtos: []string{"h2", "http/1.1"}})
	h, err := Parse(all)
	if err != nil || h.Name != "shop.example.org" || !h.Offers("h2") || h.Encrypted {
		t.Errorf("%+v, %v", h, err)
	}
	if all = realHello(t, &tls.Config{InsecureSkipVerify: true}); true {
		if h, err := Parse(all); err != nil || h.Name != "" {
			t.Errorf("%+v, %v", h, err)
		}
	}
}

// FuzzParse: whatever comes, what is found is what Go's server finds in it, and a hello that grows is never read in two ways.
func FuzzParse(f *testing.F) {
	f.Add(stream(sni("a.example"), alpn("h2")))
	f.Add(records(message(body(sni("a.example"))), 9))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(realHello(f, &tls.Config{ServerName: "www.example.com", NextProtos: []string{"h2"}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := Parse(b)
		if err != nil && h.Name != "" {
			t.Errorf("%+v with %v", h, err)
		}
		for i := 0; i < len(b) && i < 600; i++ {
			early, eerr := Parse(b[:i])
			if eerr == ErrMore {
				continue
			}
			if early.Name != h.Name || !errors.Is(err, eerr) && eerr != err {
				t.Fatalf("after %d bytes %+v, %v; after all %+v, %v", i, early, eerr, h, err)
			}
		}
		if err != nil {
			return
		}
		name, ok := goSees(b)
		if ok && !strings.EqualFold(name, h.Name) && h.Name != "" {
			t.Errorf("we read %q, Go's server %q", h.Name, name)
		}
	})
}

// goSees is the name that crypto/tls finds in a hello, if it accepts it.
func goSees(b []byte) (name string, ok bool) {
	errStop := errors.New("stop")
	s := tls.Server(&once{r: bytes.NewReader(b)}, &tls.Config{GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) {
		name, ok = i.ServerName, true
		return nil, errStop
	}})
	s.Handshake()
	return name, ok
}

// once is a connection with bytes to be read and nowhere to write.
type once struct {
	net.Conn
	r io.Reader
}

func (o *once) Read(p []byte) (int, error)       { return o.r.Read(p) }
func (o *once) Write(p []byte) (int, error)      { return len(p), nil }
func (o *once) Close() error                     { return nil }
func (o *once) SetDeadline(time.Time) error      { return nil }
func (o *once) SetReadDeadline(time.Time) error  { return nil }
func (o *once) SetWriteDeadline(time.Time) error { return nil }

func TestAllocs(t *testing.T) {
	b := stream(ext(0x4a4a, nil), sni("www.example.com"), alpn("h2"))
	if n := testing.AllocsPerRun(100, func() { Parse(b) }); n > 1 {
		t.Errorf("%v allocations: the name alone is one", n)
	}
}

func BenchmarkParse(b *testing.B) {
	in := stream(ext(0x4a4a, nil), sni("www.example.com"), alpn("h2"))
	b.ReportAllocs()
	for b.Loop() {
		Parse(in)
	}
}

// TestCorpus: the seeds are where fuzzing finds them.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/fuzz/FuzzParse/*")
	if err != nil || len(files) == 0 {
		t.Errorf("no seeds: %v", err)
	}
	for _, f := range files {
		if _, err := os.ReadFile(f); err != nil {
			t.Error(err)
		}
	}
}
