package http2

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

var limits = Limits{Fields: 20, Head: 4 << 10}

// block writes a field section with the library's encoder, without a dynamic table.
func block(fields ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSizeLimit(0)
	for i := 0; i < len(fields); i += 2 {
		e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.Bytes()
}

// frames writes frames with the library's framer, which is told to write whatever it is given.
func frames(write func(f *http2.Framer)) []byte {
	var b bytes.Buffer
	f := http2.NewFramer(&b, nil)
	f.AllowIllegalWrites = true
	write(f)
	return b.Bytes()
}

func raw(kind, flags byte, stream uint32, payload string) []byte {
	return append(appendFrame(nil, len(payload), kind, flags, stream), payload...)
}

var settings = raw(frameSettings, 0, 0, "")

const steadyHead = "GET /some/page?of=it HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: bench\r\nAccept: */*\r\nCookie: a=b\r\n" +
	"X-Forwarded-For: 127.0.0.1\r\nVia: 1.1 weir\r\nX-Request-ID: 0123456789abcdef012345\r\n\r\n"

// opened is a session with its first request under way.
func opened(t testing.TB, o Options) (*Session, *Scratch) {
	t.Helper()
	s, scratch := new(Session), new(Scratch)
	s.Open(limits)
	if _, ok := s.Begin(nil, []byte(steadyHead), o, scratch); !ok {
		t.Fatal("the request was refused")
	}
	return s, scratch
}

// said is what a session makes of what it is given, in pieces of so many bytes.
func said(s *Session, in []byte, piece int) (string, *Error) {
	var out strings.Builder
	last := Nothing
	for len(in) > 0 {
		p := bytes.Clone(in[:min(piece, len(in))])
		in = in[len(p):]
		for len(p) > 0 {
			e, data, n, err := s.Next(p)
			if err != nil {
				return out.String(), err
			}
			if n == 0 {
				panic("no progress")
			}
			p = p[n:]
			if e == Nothing {
				continue
			}
			if e != last || e != Body {
				fmt.Fprintf(&out, "[%s]", []string{"", "head", "body", "trailers"}[e])
			}
			last = e
			out.Write(data)
		}
	}
	fmt.Fprintf(&out, "[%s]", []string{"idle", "open", "answering", "ended", "refused", "broken"}[s.State()])
	return strings.ReplaceAll(out.String(), "\r\n", "|"), nil
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func headers(end bool, fields ...string) []byte {
	return frames(func(f *http2.Framer) {
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(fields...), EndHeaders: true, EndStream: end})
	})
}

func data(end bool, text string) []byte {
	return frames(func(f *http2.Framer) { f.WriteData(1, end, []byte(text)) })
}

func ok200(more ...string) []byte {
	return headers(false, append([]string{":status", "200"}, more...)...)
}
