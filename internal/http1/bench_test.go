package http1

import (
	"testing"

	"github.com/weirhq/weir/internal/message"
)

var testLimits = &Limits{Line: 8 << 10, Fields: 100, Head: 16 << 10}

const (
	wrkRequest = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"

	browserRequest = "GET /photos/4711/view?size=large&from=album HTTP/1.1\r\n" +
		"Host: www.example.com\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
		"Accept-Language: en-US,en;q=0.5\r\n" +
		"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
		"Referer: https://www.example.com/photos/4711\r\n" +
		"Connection: keep-alive\r\n" +
		"Cookie: sessionid=3f8a1c0d9b7e42f5a6c8d0e1f2a3b4c5; csrftoken=a1b2c3d4e5f60718293a4b5c6d7e8f90; theme=dark\r\n" +
		"Upgrade-Insecure-Requests: 1\r\n" +
		"Sec-Fetch-Dest: document\r\n" +
		"Sec-Fetch-Mode: navigate\r\n" +
		"Priority: u=0, i\r\n\r\n"

	serverResponse = "HTTP/1.1 200 OK\r\nServer: gunicorn\r\nDate: Tue, 02 Jul 2024 10:00:00 GMT\r\n" +
		"Connection: keep-alive\r\nContent-Type: text/html; charset=utf-8\r\nX-Frame-Options: DENY\r\n" +
		"Vary: Cookie\r\nContent-Length: 1024\r\n\r\n"
)

func benchRequest(b *testing.B, text string) {
	buf := []byte(text)
	var req message.Request
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if n, err := ParseRequest(buf, &req, testLimits); n != len(buf) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkRequestWrk(b *testing.B)     { benchRequest(b, wrkRequest) }
func BenchmarkRequestBrowser(b *testing.B) { benchRequest(b, browserRequest) }

func BenchmarkRequestDirtyPath(b *testing.B) {
	const text = "GET /a/./b/%7Euser//c/../d%2ejpg?q=1 HTTP/1.1\r\nHost: Example.COM\r\n\r\n"
	buf := make([]byte, len(text))
	var req message.Request
	b.ReportAllocs()
	for b.Loop() {
		copy(buf, text)
		if n, err := ParseRequest(buf, &req, testLimits); n != len(buf) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkResponse(b *testing.B) {
	buf := []byte(serverResponse)
	var resp message.Response
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if n, err := ParseResponse(buf, message.GET, &resp, testLimits); n != len(buf) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkChunked(b *testing.B) {
	var buf []byte
	for range 8 {
		buf = AppendChunk(buf, 4096)
		buf = append(buf, make([]byte, 4096)...)
		buf = append(buf, "\r\n"...)
	}
	buf = AppendLastChunk(buf, nil)
	var d Decoder
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		d.Reset(message.Chunked, 0, testLimits)
		for p := buf; !d.Done(); {
			_, n, err := d.Next(p)
			if err != nil {
				b.Fatal(err)
			}
			p = p[n:]
		}
	}
}

func BenchmarkStatusLine(b *testing.B) {
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendStatusLine(buf[:0], 200)
	}
}
