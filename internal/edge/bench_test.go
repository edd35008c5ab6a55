package edge

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/loop"
)

// The traffic of the benchmark: client and origin are made of net's connections and fixed buffers, so that whatever is
// allocated is the edge's.

const (
	steadyRequest  = "GET /some/page?of=it HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: bench\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nCookie: a=b\r\n\r\n"
	steadyResponse = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nDate: Sat, 21 Nov 2026 00:00:00 GMT\r\nContent-Length: 1024\r\n\r\n"
)

// steadyOrigin answers every request head with the same response.
func steadyOrigin(tb testing.TB) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { ln.Close() })
	answer := append([]byte(steadyResponse), bytes.Repeat([]byte("x"), 1024)...)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 4096)
				for {
					if _, err := c.Read(b); err != nil { // a head comes in one piece here
						return
					}
					if _, err := c.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// steadyClients returns a function that makes n requests on each of some kept connections.
func steadyClients(tb testing.TB, addr string, conns int) func(n int) {
	var list []net.Conn
	for range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { c.Close() })
		list = append(list, c)
	}
	request, end := []byte(steadyRequest), []byte("xxxx")
	return func(n int) {
		var wg sync.WaitGroup
		for _, c := range list {
			wg.Add(1)
			go func() {
				defer wg.Done()
				b := make([]byte, 8192)
				for range n {
					if _, err := c.Write(request); err != nil {
						tb.Error(err)
						return
					}
					// Head and body come in one write, as long as they are small.
					m, err := io.ReadAtLeast(c, b, 1100)
					if err != nil || !bytes.HasSuffix(b[:m], end) {
						tb.Errorf("%q %v", b[:m], err)
						return
					}
				}
			}()
		}
		wg.Wait()
	}
}

func steadyEdge(tb testing.TB, conns int, more string) func(n int) {
	origin := steadyOrigin(tb)
	r := serveEdge(tb, loop.Config{Loops: 2}, "pools: {p: {servers: [\""+origin+"\"]}}\nsites: [{hosts: ['*'], routes: [{pool: p"+more+"}]}]\n")
	return steadyClients(tb, r.addr, conns)
}

// BenchmarkProxied is also what cmd/weir/default.pgo is made with (CONTRIBUTING says how).
func BenchmarkProxied(b *testing.B) {
	const conns = 64
	ask := steadyEdge(b, conns, "")
	ask(100)
	b.ReportAllocs()
	b.ResetTimer()
	ask(b.N/conns + 1)
}

// BenchmarkTraced is the same where one request in a hundred is told of, and where all are.
func BenchmarkTraced(b *testing.B) {
	for _, sample := range []string{"1%", "100%"} {
		b.Run(sample, func(b *testing.B) {
			const conns = 64
			r := serveEdge(b, loop.Config{Loops: 2}, "pools: {p: {servers: [\""+steadyOrigin(b)+"\"]}}\nsites: [{hosts: ['*'], routes: [{pool: p}]}]\n"+
				"traces: {to: http://x, sample: "+sample+"}\n")
			ask := steadyClients(b, r.addr, conns)
			ask(100)
			end, done := make(chan struct{}), make(chan struct{})
			go func() { // who listens
				defer close(done)
				for {
					select {
					case <-end:
						return
					case <-time.After(spansEvery):
					}
					for _, one := range r.untold() {
						if err := api.WriteSpans(io.Discard, &one); err != nil {
							b.Error(err)
						}
					}
				}
			}()
			b.ReportAllocs()
			b.ResetTimer()
			ask(b.N/conns + 1)
			b.StopTimer()
			close(end)
			<-done
		})
	}
}

// BenchmarkHit is the same out of the cache.
func BenchmarkHit(b *testing.B) {
	const conns = 64
	ask := steadyEdge(b, conns, ", cache: {ttl: [{for: 1h}], key: {cookie: [a]}}")
	ask(100)
	b.ReportAllocs()
	b.ResetTimer()
	ask(b.N/conns + 1)
}

// BenchmarkPage is a kept page with three kept fragments in it.
func BenchmarkPage(b *testing.B) {
	const conns = 16
	keep := "Cache-Control: max-age=3600\r\n"
	text := strings.Repeat("<p>a line of the page</p>\n", 100)
	o := boxes{
		"/":  page(text+`<esi:include src="/1"/>`+text+`<esi:include src="/2"/>`+text+`<esi:include src="/3"/>`, keep),
		"/1": page("one", keep), "/2": page("two", keep), "/3": page("three", keep),
	}.serve(b)
	r := serveEdge(b, loop.Config{Loops: 2}, esiPool(o, ""))
	request := []byte("GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
	ask := func(n int) {
		var wg sync.WaitGroup
		for range conns {
			wg.Go(func() {
				c, err := net.Dial("tcp", r.addr)
				if err != nil {
					b.Error(err)
					return
				}
				defer c.Close()
				buf := make([]byte, 64<<10)
				for range n {
					if _, err := c.Write(request); err != nil {
						b.Error(err)
						return
					}
					for m := 0; !bytes.HasSuffix(buf[:m], []byte("three\r\n0\r\n\r\n")); {
						k, err := c.Read(buf[m:])
						if m += k; err != nil {
							b.Error(err)
							return
						}
					}
				}
			})
		}
		wg.Wait()
	}
	ask(100)
	b.ReportAllocs()
	b.ResetTimer()
	ask(b.N/conns + 1)
}

// BenchmarkProxiedH2C is BenchmarkProxied with a server that is spoken to in HTTP/2.
func BenchmarkProxiedH2C(b *testing.B) {
	const conns = 64
	origin := frugalH2Origin(b, "tcp", strings.Repeat("x", 1024))
	r := serveEdge(b, loop.Config{Loops: 2}, "pools: {p: {protocol: h2c, servers: [\""+origin+"\"]}}\nsites: [{hosts: ['*'], routes: [{pool: p}]}]\n")
	ask := steadyClients(b, r.addr, conns)
	ask(100)
	b.ReportAllocs()
	b.ResetTimer()
	ask(b.N/conns + 1)
}

// BenchmarkBodyBehindItsHead is of responses in two writes, whose heads are held for their bodies, or are not.
func BenchmarkBodyBehindItsHead(b *testing.B) {
	for _, row := range []struct{ name, more string }{{"held", ""}, {"not held", "retry: {attempts: 0}"}} {
		b.Run(row.name, func(b *testing.B) {
			const conns = 64
			origin := frugalOrigin(b, "tcp", "\r\n\r\n", steadyResponse+"|"+strings.Repeat("x", 1024))
			ask := steadyClients(b, serveEdge(b, loop.Config{Loops: 2}, onePool(row.more, origin)).addr, conns)
			ask(100)
			b.ReportAllocs()
			b.ResetTimer()
			var before, after unix.Rusage
			if err := unix.Getrusage(unix.RUSAGE_SELF, &before); err != nil {
				b.Fatal(err)
			}
			ask(b.N/conns + 1)
			if err := unix.Getrusage(unix.RUSAGE_SELF, &after); err != nil {
				b.Fatal(err)
			}
			used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
			b.ReportMetric(float64(used)/float64(b.N), "cpu-ns/op") // of all three sides
		})
	}
}
