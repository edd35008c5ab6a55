package hostile

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirhq/weir/internal/testkit"
)

// dialNarrow connects with small segments and a small buffer, so that little of what a client does not read is on its way to it.
func dialNarrow(address string) (net.Conn, error) {
	d := net.Dialer{Timeout: patience, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) {
			err = errors.Join(unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, 536), unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 2048))
		}), err)
	}}
	return d.Dial("tcp", address)
}

// TestSlowReadersLeaveRoom: clients that ask for large things and do not read them have a part of the cache, and neither empty it
// nor keep others out.
func TestSlowReadersLeaveRoom(t *testing.T) {
	large := strings.Repeat("x", 8<<20)
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		text := large[:2000]
		if strings.HasPrefix(r.URL.Path, "/large") {
			text = large
		}
		if !strings.HasSuffix(r.URL.Path, "of-unknown-length") {
			w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		}
		io.WriteString(w, text) //nolint:errcheck // who has left, has left
	})
	address := testkit.ServeHTTP(t, app)
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: fmt.Sprintf(`
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
pools: {app: {servers: ["%s"]}}
sites: [{hosts: ["*"], routes: [{pool: app}]}]
cache: {memory: 64MiB}
`, address)})
	hits := func(name string, n int) (hits int) {
		for i := range n {
			_, body, status, err := exchange(w.Address, "GET", fmt.Sprintf("GET /%s%d HTTP/1.1\r\nHost: a.test\r\n\r\n", name, i))
			if err != nil || len(body) != 2000 {
				t.Fatalf("%s %d: %d bytes, %v", name, i, len(body), err)
			}
			if strings.Contains(status, "weir; hit") {
				hits++
			}
		}
		return hits
	}
	for range 3 {
		hits("wanted", 50)
	}
	before := w.Edge().Now().RSS
	for i := range 30 {
		c, err := dialNarrow(w.Address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /large%d%s HTTP/1.1\r\nHost: a.test\r\n\r\n", i, map[bool]string{true: "of-unknown-length", false: ""}[i%3 == 0])
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if n := hits("wanted", 50); n < 45 {
		t.Errorf("%d of 50 that were wanted are still there", n)
	}
	hits("new", 20)
	if n := hits("new", 20); n < 18 {
		t.Errorf("%d of 20 new ones were kept", n)
	}
	if after := w.Edge().Now().RSS; after > before+(64+16)*mebi {
		t.Errorf("%d MiB more", (after-before)/mebi)
	}
}
