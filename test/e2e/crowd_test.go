package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// crowd is how many clients there are, or as many as the limit on open files has room for here and in weir.
func crowd(t *testing.T, want int) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur < limit.Max {
		limit.Cur = limit.Max
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}
	const others = 500
	return max(min(want, int(min(limit.Cur, 1<<20))*3/4-others), 100)
}

// expectWhole reads a response and reports whether its body is the one that is wanted, to the last byte.
func expectWhole(c net.Conn, want []byte) error {
	buffer := make([]byte, 8<<10)
	head, n := []byte(nil), 0
	var err error
	for len(head) == 0 && err == nil {
		var m int
		m, err = c.Read(buffer[n:])
		n += m
		head, _, _ = bytes.Cut(buffer[:n], []byte("\r\n\r\n"))
		if len(head) == n {
			head = nil
		}
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("%q, %w", buffer[:n], err)
	}
	at := copy(buffer, buffer[len(head)+4:n])
	for left := want; ; {
		if at > len(left) || !bytes.Equal(buffer[:at], left[:at]) {
			return errors.New("other bytes")
		}
		if left = left[at:]; errors.Is(err, io.EOF) || len(left) == 0 && err == nil {
			if len(left) > 0 {
				return fmt.Errorf("%d bytes are missing", len(left))
			}
			return nil
		}
		if err != nil {
			return err
		}
		at, err = c.Read(buffer)
	}
}

// TestCrowd: ten thousand clients want what is not there. One request reaches the app, and every client gets all of its
// answer.
func TestCrowd(t *testing.T) {
	clients := crowd(t, 10_000)
	body := bytes.Repeat([]byte("0123456789abcde\n"), 4<<10) // 64 KiB
	begin := make(chan struct{})
	a := serveApp(t, "", func(_ *app, _ int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/crowd" {
			<-begin
			w.Header().Set("Cache-Control", "max-age=600")
			w.Header().Set("Content-Length", strconv.Itoa(len(body))) // so that nobody gets it in chunks
			w.Write(body)
		}
	})
	w := cached(t, a, "grace: 0s", "")
	var group sync.WaitGroup
	var right atomic.Int64
	places := make(chan struct{}, 100) // so many connect at a time
	for range clients {
		places <- struct{}{}
		group.Go(func() {
			c, err := net.Dial("tcp", w.Address)
			if err == nil {
				defer c.Close()
				_, err = io.WriteString(c, "GET /crowd HTTP/1.1\r\nHost: e2e.test\r\n\r\n")
			}
			<-places
			if err == nil {
				err = expectWhole(c, body)
			}
			if err != nil {
				t.Error(err)
				return
			}
			right.Add(1)
		})
	}
	testkit.Eventually(t, time.Minute, "all have asked", func() bool { return w.Status().Edge.Active >= int64(clients) })
	begun := time.Now()
	close(begin)
	group.Wait()
	t.Logf("%d clients had %d bytes each %v after the app answered", right.Load(), len(body), time.Since(begun).Round(time.Millisecond))
	if n := right.Load(); n != int64(clients) {
		t.Errorf("%d of %d clients got the whole", n, clients)
	}
	if n := a.count("/crowd"); n != 1 {
		t.Errorf("the app was asked %d times", n)
	}
}
