package statsd

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/metrics"
	"github.com/weirhq/weir/internal/picture"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// until waits for something to become so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never was so: %s", what)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().String()
}

func answer(t *testing.T, s *Service) (got Numbers) {
	t.Helper()
	text, err := json.Marshal(s.Told())
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// TestListen: lines come in by UDP and by a Unix socket that all users may send to; a changed configuration closes one and leaves the other;
// a stop closes all, and what another has left of a socket is in nobody's way.
func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "numbers.sock")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	udp := config.Socket{Network: "udp", Address: freePort(t)}
	unix := config.Socket{Network: "unixgram", Address: path}
	s := New()
	defer s.Stop()
	s.Use(&config.Metrics{Listen: []config.Socket{udp, unix}})
	send := func(to config.Socket, text string) bool {
		c, err := net.Dial(to.Network, to.Address)
		if err != nil {
			return false
		}
		defer c.Close()
		_, err = fmt.Fprint(c, text)
		return err == nil
	}
	until(t, "numbers of both", func() bool {
		send(udp, "by.udp:1|c\nnonsense")
		send(unix, "by.unix:1|g")
		return len(answer(t, s).Numbers) == 2
	})
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	if got := answer(t, s); got.Dropped["form"] == 0 || got.Lines < 2 {
		t.Errorf("%+v", got)
	}
	s.Use(&config.Metrics{Listen: []config.Socket{unix}})
	if c, err := net.ListenPacket("udp", udp.Address); err != nil {
		t.Errorf("the address is not free: %v", err)
	} else {
		c.Close()
	}
	before := answer(t, s).Lines
	until(t, "the other goes on", func() bool { return send(unix, "by.unix:2|g") && answer(t, s).Lines > before })
	names := map[string]bool{}
	for _, f := range s.Families() {
		names[f.Name] = true
	}
	for _, want := range []string{"weir_statsd_lines_total", "weir_statsd_dropped_total", "app_by_udp_total", "app_by_unix"} {
		if !names[want] {
			t.Errorf("%s is not among %v", want, names)
		}
	}
}

// TestTakenAddress: an address that another has is taken when it is free.
func TestTakenAddress(t *testing.T) {
	other, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := config.Socket{Network: "udp", Address: other.LocalAddr().String()}
	s := New()
	defer s.Stop()
	s.Use(&config.Metrics{Listen: []config.Socket{at}})
	buf := make([]byte, 10)
	c, err := net.Dial("udp", at.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "x:1|c")
	if _, _, err := other.ReadFrom(buf); err != nil {
		t.Fatal(err)
	}
	other.Close()
	until(t, "it is taken", func() bool { fmt.Fprint(c, "x:1|c"); return answer(t, s).Lines > 0 })
}

func pictureAt(at time.Time, requests uint64) *picture.Picture {
	p := &picture.Picture{At: at, Edge: picture.Edge{Up: true, Connections: 7}, Total: picture.Flow{Status: [6]uint64{0, 0, requests}}}
	for range requests {
		p.Total.Time.Observe(10 * time.Millisecond)
	}
	p.Pools = []picture.Pool{{Name: "web", Queued: 3, Servers: []picture.Server{{Name: "10.0.0.1:80", State: "ready"}}}}
	p.Facts = &picture.Facts{Disks: []picture.Disk{{Path: "/", Free: -5}}}
	return p
}

// TestGraphite: numbers come as paths, values and times; when the other end goes away and comes back, so do they; nobody waited meanwhile.
func TestGraphite(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New()
	defer s.Stop()
	s.Use(&config.Metrics{Graphite: ln.Addr().String(), Every: time.Second, Prefix: "shop"})
	at := noon
	look := func() { at = at.Add(time.Second); s.Look(pictureAt(at, 5)) }
	read := func(ln net.Listener, want string) {
		t.Helper()
		look()
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(c)
		for lines.Scan() {
			f := strings.Fields(lines.Text())
			if len(f) != 3 || f[2] != strconv.FormatInt(at.Unix(), 10) {
				t.Fatalf("the line %q", lines.Text())
			}
			if f[0]+" "+f[1] == want {
				return
			}
		}
		t.Fatalf("no %s: %v", want, lines.Err())
	}
	read(ln, "shop.pool_queue_length.web 3")
	read(ln, "shop.server_up.web.10_0_0_1_80 1") // a new connection, the old one was closed
	address := ln.Addr().String()
	ln.Close()
	dropped := func() (n float64) {
		for _, f := range s.Families() {
			if f.Name == "weir_push_dropped_total" {
				n = f.Samples[0].Value
			}
		}
		return n
	}
	until(t, "what cannot be sent is counted", func() bool { look(); return dropped() > 0 })
	var again net.Listener
	until(t, "the address is there again", func() bool { again, err = net.Listen("tcp", address); return err == nil })
	defer again.Close()
	accepted := make(chan net.Conn)
	go func() {
		c, err := again.Accept()
		if err == nil {
			accepted <- c
		}
		close(accepted)
	}()
	until(t, "they are sent again", func() bool {
		look()
		select {
		case c, ok := <-accepted:
			if ok {
				c.Close()
			}
			return ok
		default:
			return false
		}
	})
}

// TestDeafGraphite: one who takes the connection and reads nothing holds up neither pictures nor a stop, however patient we are with it.
func TestDeafGraphite(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	out := push(target{true, ln.Addr().String(), "w", time.Second}, time.Hour, nil)
	p := pictureAt(noon, 1)
	for i := range 8000 { // more lines than there is room for on the way
		p.Pools = append(p.Pools, picture.Pool{Name: fmt.Sprint("pool-", i, strings.Repeat("x", 100))})
	}
	out.look(p)
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err != nil { // it writes
		t.Fatal(err)
	}
	for i := range 1000 {
		q := *p
		q.At = noon.Add(time.Duration(i) * time.Second)
		out.look(&q)
	}
	if out.sent.Load() != 0 {
		t.Fatal("all of it had room")
	}
	done := make(chan struct{})
	go func() { out.stop(); close(done) }()
	until(t, "it has stopped", func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
}

// TestStatsd: counters come as what was added, gauges as they are, in datagrams that pass a network whole.
func TestStatsd(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := New()
	defer s.Stop()
	s.Use(&config.Metrics{Statsd: c.LocalAddr().String(), Every: time.Second, Prefix: "shop"})
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	want := map[string]bool{"shop.connections:7|g": true, "shop.requests_total.2xx:5|c": true, "shop.request_duration_seconds.count:5|c": true, "shop.node_disk_free_bytes._:-5|g": true,
		"shop.node_disk_free_bytes._:0|g": true}
	for i := 0; len(want) > 0; i++ {
		if i < 2 {
			s.Look(pictureAt(noon.Add(time.Duration(i)*time.Second), uint64(5*i+5)))
		}
		for last := false; !last && len(want) > 0; {
			n, _, err := c.ReadFrom(buf)
			if err != nil {
				t.Fatalf("%v; not seen: %v", err, want)
			}
			if n > packet {
				t.Errorf("a datagram of %d bytes", n)
			}
			for line := range strings.Lines(string(buf[:n])) {
				line = strings.TrimSuffix(line, "\n")
				delete(want, line)
				last = last || strings.HasPrefix(line, "shop.node_disk_busy_ratio")
				if strings.HasSuffix(line, "|c") && i == 0 {
					t.Errorf("the first time, %s", line)
				}
			}
		}
	}
}

// TestQuantiles: a path of a histogram has what was so since the last time, not since ever.
func TestQuantiles(t *testing.T) {
	p := &pusher{graphite: true, prefix: "w", before: map[string]float64{}, times: map[string]*metrics.Histogram{}}
	first := pictureAt(noon, 1000)
	p.lines(first)
	second := pictureAt(noon.Add(time.Second), 1000)
	for range 10 {
		second.Total.Time.Observe(2 * time.Second)
	}
	text, n := p.lines(second)
	if strings.Count(string(text), "\n") != int(n) {
		t.Errorf("%d lines are said to be %d", strings.Count(string(text), "\n"), n)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "w.request_duration_seconds.p50 "); ok {
			if v, err := strconv.ParseFloat(strings.Fields(rest)[0], 64); err != nil || v < 1.8 || v > 2.2 {
				t.Errorf("the median is %s", rest)
			}
			return
		}
	}
	t.Error("there is no median")
}

// TestGoesOn: the next process tells a statsd what was added since it was told the last time, neither all of it nor less; unless that was long ago.
func TestGoesOn(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	cfg := &config.Metrics{Statsd: c.LocalAddr().String(), Graphite: freePort(t), Every: time.Second, Prefix: "shop"}
	at := time.Now().Add(-time.Minute)
	// told is what the statsd is told when it is shown a picture with so many requests.
	told := func(s *Service, requests uint64) (added string) {
		t.Helper()
		at = at.Add(time.Second)
		s.Look(pictureAt(at, requests))
		buf := make([]byte, 2*packet)
		for {
			n, _, err := c.ReadFrom(buf)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(buf[:n])) {
				if rest, is := strings.CutPrefix(line, "shop.request_duration_seconds.count:"); is {
					added = strings.TrimSpace(rest)
				}
				if strings.HasPrefix(line, "shop.node_disk_busy_ratio") { // the last
					return added
				}
			}
		}
	}
	first := New()
	first.Use(cfg)
	if got := told(first, 10); got != "" {
		t.Errorf("who has been told nothing yet is told %q", got)
	}
	if got := told(first, 15); got != "5|c" {
		t.Errorf("of five more is told %q", got)
	}
	text, err := json.Marshal(first.Stop())
	if err != nil {
		t.Fatal(err)
	}
	load := func(ago time.Duration, cfg *config.Metrics) *Service {
		var saved Saved
		if err := json.Unmarshal(text, &saved); err != nil || len(saved) != 1 {
			t.Fatal(err, string(text))
		}
		saved[0].At = saved[0].At.Add(-ago)
		s := New()
		s.Load(saved)
		s.Use(cfg)
		return s
	}
	next := load(0, cfg)
	if got := told(next, 22); got != "7|c" {
		t.Errorf("of seven more in between is told %q", got)
	}
	if got := told(next, 23); got != "1|c" {
		t.Errorf("of one more is told %q", got)
	}
	next.Stop()
	late := load(toldFor, cfg)
	if got := told(late, 22); got != "" {
		t.Errorf("after a long time is told %q", got)
	}
	late.Stop()
	other := *cfg
	other.Every = 2 * time.Second // how often does not matter
	often := load(0, &other)
	if got := told(often, 16); got != "1|c" {
		t.Errorf("at another pace is told %q", got)
	}
	often.Stop()
}
