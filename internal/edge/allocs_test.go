package edge

import (
	"bytes"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/weirhq/weir/internal/journal/filter"
	"github.com/weirhq/weir/internal/testkit"
)

// frugal is a client's or server's end of a connection that allocates nothing once it is made.
type frugal struct {
	net.Conn
	buf []byte
}

// upTo reads until what it has read ends in a text.
func (f *frugal) upTo(end []byte) error {
	for n := 0; ; {
		m, err := f.Read(f.buf[n:])
		if err != nil {
			return err
		}
		if n += m; bytes.HasSuffix(f.buf[:n], end) {
			return nil
		}
	}
}

// whole reads a response: a head, and a body of n bytes behind it.
func (f *frugal) whole(n int) error {
	got, want := 0, 0
	for want == 0 || got < want {
		m, err := f.Read(f.buf[got:])
		if err != nil {
			return err
		}
		got += m
		if want == 0 {
			if i := bytes.Index(f.buf[:got], blankLine); i >= 0 {
				want = i + len(blankLine) + n
			}
		}
	}
	if got > want || !bytes.HasPrefix(f.buf, okLine) {
		return fmt.Errorf("%d bytes, want %d: %.60q", got, want, f.buf[:got])
	}
	return nil
}

var (
	blankLine = []byte("\r\n\r\n")
	okLine    = []byte("HTTP/1.1 200 OK\r\n")
)

// frugalOrigin answers every request that ends in an empty line, or in end, with the same bytes, those behind each "|" in a write of
// their own.
func frugalOrigin(t testing.TB, network, end, answer string) string {
	t.Helper()
	return testkit.Serve(t, network, func(nc net.Conn) {
		f := &frugal{nc, make([]byte, 16<<10)}
		end, answer := []byte(end), bytes.Split([]byte(answer), []byte("|"))
		for f.upTo(end) == nil {
			for _, part := range answer {
				if _, err := f.Write(part); err != nil {
					return
				}
			}
		}
	})
}

// A request allocates nothing, proxied or answered from the cache, once the loops have what they need.
func TestNoAllocations(t *testing.T) {
	const conns, warm, rounds = 8, 200, 250 // beside the requests, up to twenty things are allocated meanwhile
	body := strings.Repeat("x", 1<<10)
	answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	long := strings.Repeat("y", 20<<10)
	longAnswer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(long), long)
	chunked := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" + body + "\r\n0\r\n\r\n"
	ask := wire("GET /a/b?c=d HTTP/1.1\nHost: a\nUser-Agent: test\nAccept: */*\nCookie: a=b\nConnection: keep-alive\n\n")
	kept := strings.Replace(answer, "Content-Type", "Cache-Control: max-age=3600\r\nETag: \"v\"\r\nContent-Type", 1)
	keptLong := strings.Replace(longAnswer, "Content-Length", "Cache-Control: max-age=3600\r\nContent-Length", 1)
	varied := strings.Replace(kept, "ETag", "Vary: Accept-Language, User-Agent\r\nETag", 1)
	send := wire(post+"Content-Length: 1024\n\n") + body
	for _, row := range []struct {
		name, network, pool, log, send, reads, answer string
		length                                        int // of the answer's body
	}{
		{"GET", "tcp", "", "", ask, "\r\n\r\n", answer, len(body)},
		{"GET over a Unix socket", "unix", "", "", ask, "\r\n\r\n", answer, len(body)},
		{"GET with an access log", "tcp", "", "log", ask, "\r\n\r\n", answer, len(body)},
		{"GET with every kind of access log", "tcp", "", "all", ask, "\r\n\r\n", answer, len(body)},
		{"GET that one who listens does not want", "tcp", "", "time>1h", ask, "\r\n\r\n", answer, len(body)},
		{"GET that one who listens hears of", "tcp", "", "status=200", ask, "\r\n\r\n", answer, len(body)},
		{"GET with buffers", "tcp", bothBuffers, "", ask, "\r\n\r\n", answer, len(body)},
		{"GET of something longer, with buffers", "tcp", bothBuffers, "", ask, "\r\n\r\n", longAnswer, len(long)},
		{"GET of something longer", "tcp", "", "", ask, "\r\n\r\n", longAnswer, len(long)},
		{"GET of something chunked", "tcp", "", "", ask, "\r\n\r\n", chunked, len(body)},
		{"GET of a body behind its head", "tcp", "", "", ask, "\r\n\r\n", strings.Replace(answer, "\r\n\r\n", "\r\n\r\n|", 1), len(body)},
		{"GET of chunks behind their head, with buffers", "tcp", bothBuffers, "", ask, "\r\n\r\n", strings.Replace(chunked, "\r\n\r\n", "\r\n\r\n|", 1), len(body)},
		{"POST", "tcp", "", "", send, "xx", answer, len(body)},
		{"POST with buffers and a limit on connections", "tcp", bothBuffers + ", max_conn: 4", "", send, "xx", answer, len(body)},
		{"GET by two choices", "tcp", "balance: {random_two: latency}", "", ask, "\r\n\r\n", answer, len(body)},
		{"GET by a hash", "tcp", "balance: {cookie_hash: a}", "", ask, "\r\n\r\n", answer, len(body)},
		{"GET in a session of the app's", "tcp", "balance: uri_hash, sticky: {learn: a}", "log", ask, "\r\n\r\n", answer, len(body)},
		{"GET in the session of an address", "tcp", "sticky: {source: true}", "", ask, "\r\n\r\n", answer, len(body)},
		{"GET that begins a session", "tcp", "sticky: {cookie: SRV}", "", ask, "\r\n\r\n", answer, len(body)},
		{"GET by FastCGI", "unix", "protocol: fastcgi, keep: 64", "", ask, "\x01\x05\x00\x01\x00\x00\x00\x00", fout("Content-Type: a/b\r\n\r\n"+body) + fend(0), len(body)},
		{"POST by FastCGI with buffers", "unix", "protocol: fastcgi, keep: 64, " + bothBuffers, "", send, "\x01\x05\x00\x01\x00\x00\x00\x00", fout("Content-Type: a/b\r\n\r\n"+body) + fend(0), len(body)},
		{"GET by h2c", "tcp", "protocol: h2c", "", ask, "h2c", body, len(body)},
		{"POST by h2c with buffers", "unix", "protocol: h2c, " + bothBuffers, "", send, "h2c", body, len(body)},
		{"GET where servers are watched and weighed", "tcp", "health: {type: tcp, every: 1h, fast: 1h}, eject: {rate: 50% of 20, slow: 3x}, slow_start: 1m, agent: X-Weight", "", ask, "\r\n\r\n",
			strings.Replace(answer, "Content-Type", "X-Weight: 50%\r\nContent-Type", 1), len(body)},
		{"a hit", "tcp", "", "", ask, "\r\n\r\n", kept, len(body)},
		{"a hit with an access log", "tcp", "", "log", ask, "\r\n\r\n", kept, len(body)},
		{"a hit of something longer", "tcp", "", "", ask, "\r\n\r\n", keptLong, len(long)},
		{"a hit of one variant of several", "tcp", "", "", ask, "\r\n\r\n", varied, len(body)},
	} {
		t.Run(row.name, func(t *testing.T) {
			origin := ""
			if row.reads == "h2c" {
				origin = frugalH2Origin(t, row.network, row.answer)
			} else {
				origin = frugalOrigin(t, row.network, row.reads, row.answer)
			}
			log := ""
			switch row.log {
			case "log":
				log, _ = logged(t)
			case "all":
				log = allLogs(t)
			}
			if strings.HasPrefix(row.name, "a hit") {
				log += "cache: {memory: 64MiB}\n"
			}
			r := holding(t, fibers, anHour, log+onePool(row.pool, origin)) // what comes in two writes is one response all the same
			if f, err := filter.Parse(row.log); err == nil && f != nil {
				hear(t, r, f)
			}
			clients := make([]*frugal, conns)
			for i := range clients {
				nc, err := net.Dial("tcp", r.addr)
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				clients[i] = &frugal{nc, make([]byte, 64<<10)}
			}
			request := []byte(row.send)
			// Every client waits for the others before and after the stretch that is measured.
			var ready, over sync.WaitGroup
			start, end := make(chan struct{}), make(chan struct{})
			ready.Add(conns)
			over.Add(conns)
			errs := make([]error, conns)
			var done sync.WaitGroup
			for i, c := range clients {
				done.Go(func() {
					run := func(n int) {
						for ; n > 0 && errs[i] == nil; n-- {
							if _, errs[i] = c.Write(request); errs[i] == nil {
								errs[i] = c.whole(row.length)
							}
						}
					}
					run(warm)
					ready.Done()
					<-start
					run(rounds)
					over.Done()
					<-end
				})
			}
			ready.Wait()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			close(start)
			over.Wait()
			runtime.ReadMemStats(&after)
			close(end)
			done.Wait()
			for _, err := range errs {
				if err != nil {
					t.Fatal(err)
				}
			}
			per := float64(after.Mallocs-before.Mallocs) / (conns * rounds)
			if per >= 0.05 {
				t.Errorf("%.3f allocations a request", per)
			}
		})
	}
}
