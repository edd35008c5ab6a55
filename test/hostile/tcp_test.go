package hostile

import (
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// tcpWeir runs the real binary with TCP to an echo at plain, and by the name a.test at named. more is the rest of the file.
func tcpWeir(t *testing.T, pool, more string, nofile int) (w *testkit.Weir, plain, named string) {
	t.Helper()
	o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
		b := make([]byte, 4096)
		for {
			n, err := c.Raw().Read(b)
			if err != nil || c.TrySend(string(b[:n])) != nil {
				return
			}
		}
	})
	plain, named = testkit.FreeAddress(t), testkit.FreeAddress(t)
	w = testkit.Run(t, testkit.Setup{Plain: true, Nofile: nofile, Config: fmt.Sprintf(`
listen: "@ADDRESS@"
sites: [{hosts: ["*"], routes: [{respond: {body: ok}}]}]
log: {access: {to: none}}
tcp: [{listen: "%s", pool: echo}, {listen: "%s", sni: [{names: a.test, pool: echo}]}]
pools: {echo: {protocol: tcp, servers: ["%s"]%s}}
%s`, plain, named, o.Address, pool, more)})
	return w, plain, named
}

// echoes is a client like any other.
func echoes(address string) error {
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	b := make([]byte, 5)
	if n, err := c.Read(b); err != nil || string(b[:n]) != "hello" {
		return fmt.Errorf("got %q, %v", b[:n], err)
	}
	return nil
}

// openFiles counts a process's descriptors.
func openFiles(t *testing.T, pid int) int {
	t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// left waits until nothing is left of what was under way: sessions and descriptors.
func left(t *testing.T, w *testkit.Weir, files int) {
	t.Helper()
	testkit.Eventually(t, 20*time.Second, "no session is left", func() bool {
		s, err := w.Look()
		return err == nil && s.Edge != nil && s.Edge.SessionsNow == 0 && s.Edge.Connections == 0
	})
	testkit.Eventually(t, 10*time.Second, "the edge has no more descriptors than before", func() bool { return openFiles(t, w.Edge().PID) <= files })
}

// A thousand hellos that come byte by byte are over when their time is, and hold nobody up.
func TestSlowHellos(t *testing.T) {
	testkit.Leaks(t)
	w, plain, named := tcpWeir(t, "", "timeouts: {head: 1s}", 0)
	edge := w.Edge()
	before, files := edge.Now(), openFiles(t, edge.PID)
	all := crowd(t, 1000, named)
	hello := []byte{22, 3, 1, 0x10, 0, 1, 0, 0x0f, 0xfc, 3, 3}
	began, peak := time.Now(), before.RSS
	for i := 0; time.Since(began) < 1500*time.Millisecond; i++ {
		for _, c := range all {
			c.Write([]byte{hello[i%len(hello)]}) //nolint:errcheck // it may be closed already
		}
		if err := echoes(plain); err != nil {
			t.Fatal(err)
		}
		peak = max(peak, edge.Now().RSS)
		time.Sleep(100 * time.Millisecond)
	}
	for i, c := range all {
		if _, ok := ended(c, 5*time.Second); !ok {
			t.Fatalf("connection %d is open still", i)
		}
	}
	if grown := peak - before.RSS; grown > 64*mebi {
		t.Errorf("it took %d MiB", grown/mebi)
	}
	left(t, w, files)
}

// A hello that never ends is cut off, however fast it comes.
func TestEndlessHellos(t *testing.T) {
	testkit.Leaks(t)
	w, plain, named := tcpWeir(t, "", "", 0)
	files := openFiles(t, w.Edge().PID)
	for _, hello := range [][]byte{
		append([]byte{22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc}, make([]byte, 64<<10)...),
		append([]byte{22, 3, 1, 0, 1, 1, 22, 3, 1, 0, 1, 0}, make([]byte, 64<<10)...),
	} {
		for range 50 {
			c, err := net.Dial("tcp", named)
			if err != nil {
				t.Fatal(err)
			}
			c.Write(hello) //nolint:errcheck // it may be cut off within
			if _, ok := ended(c, 5*time.Second); !ok {
				t.Fatal("it goes on")
			}
			c.Close()
		}
	}
	if err := echoes(plain); err != nil {
		t.Error(err)
	}
	left(t, w, files)
}

// Ten thousand clients that say nothing: as many as are allowed are borne, at next to no cost; the rest is refused, and when
// they have gone all is as before.
func TestSilentSessions(t *testing.T) {
	testkit.Leaks(t)
	clients := min(10_000, int(loop.OpenFiles())*3/5) // fewer where the machine allows this test no more files
	most := clients * 9 / 10
	w, plain, named := tcpWeir(t, "", fmt.Sprintf("limits: {connections: %d}\ntimeouts: {head: 60s}", most), 0)
	edge := w.Edge()
	before, files := edge.Now(), openFiles(t, edge.PID)
	var all []net.Conn
	defer func() {
		for _, c := range all {
			c.Close()
		}
	}()
	refused := 0
	for range clients {
		c, err := net.DialTimeout("tcp", named, patience)
		if err != nil {
			refused++ // a reset that came at once
			continue
		}
		all = append(all, c)
	}
	testkit.Eventually(t, 20*time.Second, "as many are borne as are allowed", func() bool {
		s, err := w.Look()
		return err == nil && s.Edge.Connections >= int64(most)-10
	})
	if s, err := w.Look(); err != nil || s.Edge.Connections > int64(most) {
		t.Errorf("%d connections, %v", s.Edge.Connections, err)
	}
	grown := edge.Now().RSS - before.RSS
	t.Logf("%d refused at once; %.1f MiB for %d", refused, float64(grown)/mebi, most)
	if grown > 64*mebi {
		t.Errorf("%d silent connections took %d MiB", most, grown/mebi)
	}
	for _, c := range all {
		c.Close()
	}
	all = nil
	left(t, w, files)
	if err := echoes(plain); err != nil {
		t.Error(err)
	}
}

// Sessions that last have no more descriptors between them than the limit has room for, so that what else needs one has it.
func TestSessionsAndFiles(t *testing.T) {
	testkit.Leaks(t)
	w, plain, _ := tcpWeir(t, "", "", 512)
	files := openFiles(t, w.Edge().PID)
	var all []net.Conn
	for range 600 {
		c, err := net.DialTimeout("tcp", plain, patience)
		if err != nil {
			continue
		}
		all = append(all, c)
		c.Write([]byte("x")) //nolint:errcheck // it may be refused
	}
	open := 0
	for _, c := range all {
		c.SetReadDeadline(time.Now().Add(time.Second))
		if n, _ := c.Read(make([]byte, 1)); n == 1 {
			open++
		}
	}
	if now := openFiles(t, w.Edge().PID); now > 512*3/4+ownFiles || open < 100 || open > 200 {
		t.Errorf("%d sessions and %d descriptors, of 512", open, now)
	}
	for _, c := range all {
		c.Close()
	}
	left(t, w, files)
	if err := echoes(plain); err != nil {
		t.Error(err)
	}
}

// ownFiles is what the edge has beside connections.
const ownFiles = 64

// Thousands of sessions that are reset as soon as they are there leave nothing behind, and hurt no other.
func TestResetStorm(t *testing.T) {
	testkit.Leaks(t)
	w, plain, named := tcpWeir(t, ", max_conn: 50, queue: {size: 100, timeout: 1s}", "", 0)
	files := openFiles(t, w.Edge().PID)
	steady, err := net.Dial("tcp", plain)
	if err != nil {
		t.Fatal(err)
	}
	var storm sync.WaitGroup
	for i := range 8 {
		storm.Go(func() {
			for n := range 500 {
				address := plain
				if (n+i)%3 == 0 {
					address = named
				}
				c, err := net.DialTimeout("tcp", address, patience)
				if err != nil {
					continue // a reset that came at once
				}
				if n%2 == 0 {
					c.Write([]byte{22}) //nolint:errcheck // it may be refused
				}
				if n%5 == 0 {
					c.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
					c.Read(make([]byte, 1)) //nolint:errcheck // whatever it says
				}
				c.(*net.TCPConn).SetLinger(0)
				c.Close()
			}
		})
	}
	buf := make([]byte, 1)
	for range 200 {
		steady.SetDeadline(time.Now().Add(patience))
		if _, err := steady.Write([]byte("y")); err != nil {
			t.Fatal(err)
		}
		if _, err := steady.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	storm.Wait()
	steady.Close()
	left(t, w, files)
	if err := echoes(plain); err != nil {
		t.Error(err)
	}
}
