package edge

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/weirhq/weir/internal/testkit"
)

// h2peer is a server's end of a connection in HTTP/2 that does what a test says, be it allowed or not.
type h2peer struct {
	*http2.Framer
	c *testkit.Conn
}

type connIO struct {
	io.Reader
	c *testkit.Conn
}

func (w connIO) Write(p []byte) (int, error) {
	if err := w.c.TrySend(string(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// h2Origin serves connections by a function, behind the greeting of both sides.
func h2Origin(t testing.TB, serve func(n int, p *h2peer)) *testkit.Origin {
	return testkit.ServeOrigin(t, "tcp", func(n int, c *testkit.Conn) {
		if !c.More() {
			return
		}
		if got := c.Read(len(http2.ClientPreface)); got != http2.ClientPreface {
			c.Fail("it begins with %q", got)
			return
		}
		p := &h2peer{http2.NewFramer(connIO{c: c}, c.Raw()), c}
		p.AllowIllegalWrites = true
		p.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		p.WriteSettings()
		serve(n, p)
	})
}

// until reads frames up to the first for which is reports true, nil when there is none.
func (p *h2peer) until(is func(f http2.Frame) bool) http2.Frame {
	for p.c.More() {
		f, err := p.ReadFrame()
		if err != nil {
			return nil
		}
		if is(f) {
			return f
		}
	}
	return nil
}

// request reads a whole request, and returns its stream; 0: none.
func (p *h2peer) request() uint32 {
	f := p.until(func(f http2.Frame) bool {
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			return f.StreamEnded()
		case *http2.DataFrame:
			return f.StreamEnded()
		}
		return false
	})
	if f == nil {
		return 0
	}
	return f.Header().StreamID
}

// hangUp ends the connection in order: what still comes is read, lest it be reset.
func (p *h2peer) hangUp() {
	p.c.CloseWrite()
	p.until(func(http2.Frame) bool { return false })
}

func (p *h2peer) head(stream uint32, end bool, fields ...string) {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSizeLimit(0)
	for i := 0; i < len(fields); i += 2 {
		e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: b.Bytes(), EndHeaders: true, EndStream: end})
}

// answer sends a whole response of 200.
func (p *h2peer) answer(stream uint32, body string) {
	p.head(stream, false, ":status", "200", "content-length", fmt.Sprint(len(body)))
	p.WriteData(stream, true, []byte(body))
}

// serve answers all requests.
func (p *h2peer) serve(body string) {
	for stream := p.request(); stream != 0; stream = p.request() {
		p.answer(stream, body)
	}
}

// frugalH2Origin answers every request with the same body, and allocates nothing.
func frugalH2Origin(t testing.TB, network, body string) string {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = t.TempDir() + "/o.sock"
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	var answer bytes.Buffer
	f := http2.NewFramer(&answer, nil)
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x88}, EndHeaders: true})
	second := answer.Len()
	f.WriteData(1, true, []byte(body))
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				serveFrugally(c, bytes.Clone(answer.Bytes()), second)
			})
		}
	})
	t.Cleanup(func() { ln.Close(); all.Wait() })
	if network == "unix" {
		return "unix:" + address
	}
	return ln.Addr().String()
}

func serveFrugally(c net.Conn, answer []byte, second int) {
	buf, have, skip := make([]byte, 64<<10), 0, len(http2.ClientPreface)
	// SETTINGS, and a window that lasts.
	if _, err := c.Write([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x04\x08\x00\x00\x00\x00\x00\x70\x00\x00\x00")); err != nil {
		return
	}
	for {
		n, err := c.Read(buf[have:])
		if err != nil {
			return
		}
		have += n
		at := skip
		for skip = 0; at+9 <= have; {
			size := int(buf[at])<<16 | int(buf[at+1])<<8 | int(buf[at+2])
			if at+9+size > have {
				break
			}
			kind, flags, stream := buf[at+3], buf[at+4], binary.BigEndian.Uint32(buf[at+5:])
			at += 9 + size
			if kind <= 1 && flags&1 != 0 {
				binary.BigEndian.PutUint32(answer[5:], stream)
				binary.BigEndian.PutUint32(answer[second+5:], stream)
				if _, err := c.Write(answer); err != nil {
					return
				}
			}
		}
		have = copy(buf, buf[at:have])
	}
}
