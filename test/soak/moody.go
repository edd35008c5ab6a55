package main

import (
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// moody is a server that answers as it is told to: well, with garbage, by a reset, or not at all. Ill, it executes POSTs all the same,
// as a server would that breaks down afterwards: one that is sent twice shows.
type moody struct {
	address string
	server  *http.Server
	mood    atomic.Pointer[mood]

	mu   sync.Mutex
	took []time.Time // POSTs, while it was ill
}

// mood is how it is; over is closed when it is so no longer.
type mood struct {
	is   string
	over chan struct{}
}

const (
	well    = "well"
	hangs   = "hangs"
	garbage = "garbage"
	resets  = "resets"
)

func newMoody(executed func(id string) error) (*moody, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &moody{address: ln.Addr().String()}
	m.mood.Store(&mood{well, make(chan struct{})})
	healthy := app(executed)
	m.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := m.mood.Load()
		if now.is == well {
			healthy.ServeHTTP(w, r)
			return
		}
		if r.Method == http.MethodPost {
			healthy.ServeHTTP(&deaf{header: http.Header{}}, r)
			m.mu.Lock()
			m.took = append(m.took, time.Now())
			m.mu.Unlock()
		}
		m.fail(w, r, now)
	})}
	go m.server.Serve(ln) // ends with close
	return m, nil
}

// deaf is a ResponseWriter for nobody.
type deaf struct{ header http.Header }

func (d *deaf) Header() http.Header         { return d.header }
func (d *deaf) Write(p []byte) (int, error) { return len(p), nil }
func (d *deaf) WriteHeader(int)             {}

func (m *moody) fail(w http.ResponseWriter, r *http.Request, now *mood) {
	if now.is == hangs {
		select {
		case <-now.over:
		case <-r.Context().Done(): // whoever asked gave up
		}
	}
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	switch now.is {
	case garbage:
		io.WriteString(c, "\x00\x01 this is no HTTP \r\n\r\n")
	case resets:
		c.(*net.TCPConn).SetLinger(0)
	}
}

// be changes the mood.
func (m *moody) be(is string) {
	old := m.mood.Swap(&mood{is, make(chan struct{})})
	close(old.over)
}

func (m *moody) close() error {
	m.be(well)
	return m.server.Close()
}

// counter counts executed POSTs by id.
type counter struct {
	mu  sync.Mutex
	ids map[string]int
}

func newCounter() *counter { return &counter{ids: map[string]int{}} }

func (c *counter) add(id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids[id]++
	return nil
}
