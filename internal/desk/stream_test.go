package desk

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
)

// frames reads server-sent events.
func (s *weir) frames(path string) (next func() (name, data string), end func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, "GET", s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	next = func() (name, data string) {
		for lines.Scan() {
			switch line := lines.Text(); {
			case strings.HasPrefix(line, "event: "):
				name = line[7:]
			case strings.HasPrefix(line, "data: "):
				data = line[6:]
			case line == "" && name != "":
				return name, data
			}
		}
		return "", ""
	}
	return next, func() { cancel(); resp.Body.Close() }
}

// TestStream: pictures come each second, events when something has happened, and all ends with the desk.
func TestStream(t *testing.T) {
	s := start(t, usual)
	next, end := s.frames("/api/v1/stream")
	defer end()
	var pictures int
	var event string
	s.mu.Lock()
	s.counters = &api.Counters{Epochs: []string{"a"}, PID: 2, Revision: 7}
	s.mu.Unlock()
	for pictures < 3 || event == "" {
		switch name, data := next(); name {
		case "picture":
			if pictures++; pictures > 10 {
				t.Fatal("no event comes")
			}
		case "event":
			event = data
		default:
			t.Fatal("the stream has ended")
		}
	}
	if !strings.Contains(event, `"kind":"reload"`) {
		t.Errorf("the event is %s", event)
	}
	go s.end()
	for {
		if name, _ := next(); name == "" {
			break
		}
	}
}

// TestManyPages: more than there is room for are told so, and who does not read does not hold up the others.
func TestManyPages(t *testing.T) {
	s := start(t, usual)
	h := s.desk.hub
	var all []*listener
	for range maxListeners {
		all = append(all, h.join(false, false))
	}
	if l := h.join(false, true); l == nil {
		t.Error("no place is left for the command line")
	} else {
		h.leave(l)
	}
	if status, text, _ := s.ask("GET", "/api/v1/stream", ""); status != 429 {
		t.Errorf("%d %s", status, text)
	}
	for _, l := range all[1:] {
		h.leave(l)
	}
	lazy := all[0]
	for range 3 {
		before := h.now.Load()
		s.eventually("next picture", func() bool { return h.now.Load() != before })
	}
	h.mu.Lock()
	if n := len(lazy.frame.bytes); n == 0 || n > 1<<20 {
		t.Errorf("%d bytes wait for one who does not read", n)
	}
	h.mu.Unlock()
	h.leave(lazy)
}

// TestSilentLog: who follows what has not happened yet is told that he does.
func TestSilentLog(t *testing.T) {
	s := start(t, usual)
	c := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get(s.url + "/api/v1/log?filter=silent")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close() //nolint:errcheck // that it came is enough
}

// TestManyLogs: whoever may look cannot take all places at which requests are told of.
func TestManyLogs(t *testing.T) {
	s := start(t, usual)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	follow := func() int {
		r, err := http.NewRequestWithContext(ctx, "GET", s.url+"/api/v1/log", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp.StatusCode
	}
	for range maxLogs {
		if status := follow(); status != http.StatusOK {
			t.Fatal(status)
		}
	}
	if status := follow(); status != http.StatusTooManyRequests {
		t.Errorf("one more: %d", status)
	}
	if status, text, _ := s.ask("GET", "/api/v1/log?recent=1", ""); status != http.StatusOK {
		t.Errorf("what is kept: %d %s", status, text)
	}
	c := api.NewClient(api.DeskSocket(s.dir))
	defer c.Close()
	body, err := c.Stream(ctx, "/api/v1/log")
	if err != nil {
		t.Fatal(err)
	}
	body.Close() //nolint:errcheck // only read
	cancel()
	s.eventually("place", func() bool { return len(s.desk.door.rooms.logs) == 0 })
}

// TestCrowd: many who connect and say nothing, or do not take their answers, keep nobody out who comes by the socket.
func TestCrowd(t *testing.T) {
	s := start(t, usual)
	address := strings.TrimPrefix(s.url, "http://")
	for i := range 2 * maxConnections {
		c, err := net.Dial("tcp", address)
		if err != nil {
			break // the backlog is full
		}
		defer c.Close()
		if i%2 == 0 {
			fmt.Fprintf(c, "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n") //nolint:errcheck // whether it comes does not matter
		}
	}
	c := api.NewClient(api.DeskSocket(s.dir))
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := c.Get(ctx, "/api/v1/me", nil); err != nil {
		t.Error(err)
	}
	before := s.desk.hub.now.Load()
	s.eventually("next picture", func() bool { return s.desk.hub.now.Load() != before })
}

// TestRoomForOthers: however many connections one client keeps open, with or without requests under way, others are answered.
func TestRoomForOthers(t *testing.T) {
	for name, says := range map[string]string{
		"nothing":  "",
		"idle":     "GET /-/live HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"a body":   "POST /api/v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n",
		"a stream": "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		from := byte(9)
		if name == "a body" {
			from = 1 // even those of the same address
		}
		t.Run(name, func(t *testing.T) {
			s := start(t, usual)
			address := strings.TrimPrefix(s.url, "http://")
			other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, from)}}
			for range maxConnections {
				c, err := other.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				fmt.Fprint(c, says) //nolint:errcheck // it may be closed already
				if says != "" && says[0] == 'G' {
					if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
						t.Fatal(err)
					}
					c.Read(make([]byte, 1)) //nolint:errcheck // likewise
				}
			}
			for range 3 {
				client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
				resp, err := client.Get(s.url + "/-/live")
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close() //nolint:errcheck // only its status counts
				if resp.StatusCode != http.StatusOK {
					t.Errorf("%d", resp.StatusCode)
				}
			}
		})
	}
}
