package top

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
)

func readEvents(text string) (all []string, err error) {
	r := &eventReader{in: bufio.NewReaderSize(strings.NewReader(text), 64)}
	for {
		name, data, err := r.next()
		if err != nil {
			return all, err
		}
		all = append(all, fmt.Sprintf("%s|%s", name, data))
	}
}

func TestEventReader(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for _, c := range []struct{ text, want string }{
		{"retry: 1000\n\nevent: picture\ndata: {}\n\n", "[| picture|{}]"},
		{":\n\nevent:picture\r\ndata:{\r\ndata: }\r\n\r\n", "[| picture|{}]"},
		{"event: picture\ndata: " + long + "\n\n", "[picture|" + long + "]"},
		{"event: picture\ndata: cut off", "[]"},
		{"", "[]"},
		{"nothing\n\n", "[|]"},
	} {
		got, err := readEvents(c.text)
		if fmt.Sprint(got) != c.want || !errors.Is(err, io.EOF) {
			t.Errorf("%.60q: %.100v, %v", c.text, got, err)
		}
	}
}

// endless never ends a line.
type endless struct{ n int }

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	e.n += len(b)
	return len(b), nil
}

func TestEventReaderIsBounded(t *testing.T) {
	e := &endless{}
	r := &eventReader{in: bufio.NewReaderSize(e, 64<<10)}
	if _, _, err := r.next(); !errors.Is(err, errTooLong) {
		t.Error(err)
	}
	if e.n > maxFrame+1<<20 {
		t.Errorf("%d bytes were read", e.n)
	}
}

func FuzzEventReader(f *testing.F) {
	f.Add("retry: 1000\n\nevent: picture\ndata: {}\n\n")
	f.Add(":\n\nevent:event\r\ndata:{\r\ndata: }\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := readEvents(text)
		if err == nil || len(all) > strings.Count(text, "\n") {
			t.Errorf("%q: %q, %v", text, all, err)
		}
	})
}

// TestLogFlood: of requests that end faster than anybody reads, the newest are shown, and the rest counted.
func TestLogFlood(t *testing.T) {
	const n = 5000
	socket := filepath.Join(t.TempDir(), "desk.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := range n {
			fmt.Fprintf(w, "{\"id\":\"%d\",\"target\":\"/%d\"}\n", i, i) //nolint:errcheck // who asks is gone
		}
	})}
	done := make(chan struct{})
	go func() {
		server.Serve(ln) //nolint:errcheck // it is closed
		close(done)
	}()
	defer func() {
		server.Close() //nolint:errcheck // its listener alone could fail
		<-done
	}()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := make(chan gotStories, 100)
	desk := api.NewClient(socket)
	defer desk.Close()
	c := &conn{desk: desk, ctx: ctx, send: func(what any) { got <- what.(gotStories) }}
	c.do(askLog{run: 1})
	seen, unseen, last := 0, 0, ""
	for g := range got {
		if g.err != nil {
			break
		}
		if len(g.list) > storyLot {
			t.Errorf("%d at once", len(g.list))
		}
		seen += len(g.list)
		unseen += g.unseen
		last = g.list[len(g.list)-1].target
	}
	c.wait()
	if seen+unseen != n || last != fmt.Sprintf("/%d", n-1) {
		t.Errorf("%d shown, %d left out, the last is %s", seen, unseen, last)
	}
}
