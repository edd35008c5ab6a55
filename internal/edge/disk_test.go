package edge

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// diskSite is a cache whose disk outlives its edges, before an origin.
func diskSite(dir, origin string) string {
	return "cache: {memory: 8MiB, max_object: 4MiB, disk: {path: '" + dir + "', size: 32MiB}}\n" +
		"pools: {p: {servers: ['" + origin + "']}}\n" +
		"sites: [{hosts: ['*'], routes: [{pool: p, cache: {}}]}]\n"
}

// lengthy is an origin whose responses are as long as the path says, cacheable, and chunked if it ends in c.
func lengthy(t testing.TB) *testkit.Origin {
	return testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
		for c.More() {
			m := c.Request()
			_, rest, _ := strings.Cut(m.Start, " ")
			target, _, _ := strings.Cut(rest, " ")
			n := 0
			fmt.Sscanf(target, "/%d", &n)
			head := "HTTP/1.1 200 OK\r\nCache-Control: max-age=100\r\n"
			if strings.HasSuffix(target, "c") {
				c.Send(fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", head, n, long(n)))
			} else {
				c.Send(fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, n, long(n)))
			}
		}
	})
}

func long(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d of %d\n", i, n)
	}
	return b.String()[:n]
}

// diskWritten waits until an edge has written so many objects.
func diskWritten(r *running, n uint64) {
	r.t.Helper()
	testkit.Eventually(r.t, testkit.Patience, "the objects are on the disk", func() bool {
		s, err := r.CacheStatus()
		return err == nil && s.Disk.Written >= n
	})
}

// TestDisk: on both bodies of tasks an edge finds what the one before it has kept, small and large, and no descriptor or
// goroutine is left.
func TestDisk(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := lengthy(t)
		dir := t.TempDir()
		paths := []int{10, 70_000, 900_000, 1_500_000, 3_000_000}
		for round := range 3 {
			r := serveEdge(t, body, diskSite(dir, o.Address))
			c := testkit.Dial(t, r.addr)
			for _, n := range paths {
				for _, kind := range []string{"", "c"} {
					c.Send(fmt.Sprintf("GET /%d%s HTTP/1.1\r\nHost: a\r\n\r\n", n, kind))
					m := c.Response("GET")
					if m.Status != 200 || m.Body != long(n) {
						t.Fatalf("round %d, %d%s: status %d, %d bytes", round, n, kind, m.Status, len(m.Body))
					}
					if hit := strings.Contains(m.Field("Cache-Status"), "; hit"); hit != (round > 0) {
						t.Errorf("round %d, %d%s: %s", round, n, kind, m.Field("Cache-Status"))
					}
					if round == 0 {
						continue
					}
					c.Send(fmt.Sprintf("GET /%d%s HTTP/1.1\r\nHost: a\r\nRange: bytes=-7\r\n\r\n", n, kind))
					if m = c.Response("GET"); m.Status != 206 || m.Body != long(n)[n-7:] {
						t.Errorf("round %d, %d%s: a range: status %d, %q", round, n, kind, m.Status, m.Body)
					}
				}
			}
			if round == 0 {
				diskWritten(r, uint64(2*len(paths)))
			}
			c.Close()
			testkit.Eventually(t, testkit.Patience, "no connection is left", func() bool { return r.connections.Load() == 0 })
			r.stop(10 * time.Second)
		}
	})
}

// What many want at once is read from the disk once.
func TestDiskReadOnce(t *testing.T) {
	o := lengthy(t)
	dir := t.TempDir()
	r := serveEdge(t, fibers, diskSite(dir, o.Address))
	ask := func() {
		c := testkit.Dial(t, r.addr)
		defer c.Close()
		c.Send("GET /50000 HTTP/1.1\r\nHost: a\r\n\r\n")
		if m := c.Response("GET"); m.Body != long(50000) {
			t.Errorf("status %d, %d bytes", m.Status, len(m.Body))
		}
	}
	ask()
	diskWritten(r, 1)
	testkit.Eventually(t, testkit.Patience, "no connection is left", func() bool { return r.connections.Load() == 0 })
	r.stop(10 * time.Second)
	r = serveEdge(t, fibers, diskSite(dir, o.Address))
	var group sync.WaitGroup
	for range 200 {
		group.Go(ask)
	}
	group.Wait()
	s, err := r.CacheStatus()
	if err != nil || s.Disk.Hits != 1 || s.Misses != 0 {
		t.Errorf("%+v %+v %v", s, s.Disk, err)
	}
	if o.Connections() != 1 {
		t.Errorf("the origin was asked on %d connections", o.Connections())
	}
}

// A directory that is taken away costs what is in it; when there is one again, it is used.
func TestDiskDirectoryReplaced(t *testing.T) {
	o := lengthy(t)
	dir := t.TempDir() + "/cache"
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r := serveEdge(t, fibers, diskSite(dir, o.Address))
	c := testkit.Dial(t, r.addr)
	defer c.Close()
	ask := func(n int) *testkit.Message {
		c.Send(fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", n))
		m := c.Response("GET")
		if m.Status != 200 || m.Body != long(n) {
			t.Errorf("%d: status %d, %d bytes", n, m.Status, len(m.Body))
		}
		return m
	}
	ask(100)
	diskWritten(r, 1)
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	problem := func() string {
		s, err := r.CacheStatus()
		if err != nil {
			t.Fatal(err)
		}
		return s.Disk.Problem
	}
	testkit.Eventually(t, testkit.Patience, "it is noticed", func() bool { return problem() != "" })
	ask(100)
	ask(200)
	// It is made anew.
	testkit.Eventually(t, testkit.Patience, "there is a disk again", func() bool { return problem() == "" })
	ask(300)
	diskWritten(r, 1)
	if m := ask(300); !strings.Contains(m.Field("Cache-Status"), "; hit") {
		t.Error(m.Field("Cache-Status"))
	}
}
