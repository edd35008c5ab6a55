package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const wrkReport = `Running 3s test @ http://127.0.0.1:1/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.06ms  600.11us   9.33ms   81.51%
    Req/Sec    33.06k     1.54k   36.52k    70.00%
  Latency Distribution
     50%    0.93ms
     75%    1.29ms
     90%    1.74ms
     99%  980.00us
  197391 requests in 3.00s, 229.87MB read
Requests/sec:  65753.12
Transfer/sec:     76.57MB
`

func TestParseWrk(t *testing.T) {
	got, err := parseWrk(wrkReport)
	if err != nil {
		t.Fatal(err)
	}
	want := load{requests: 197391, rate: 65753.12, p50: 930 * time.Microsecond, p99: 980 * time.Microsecond}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, bad := range []string{
		"",
		wrkReport + "  Non-2xx or 3xx responses: 3\n",
		wrkReport + "  Socket errors: connect 0, read 1, write 0, timeout 0\n",
		strings.Replace(wrkReport, "197391 requests", "0 requests", 1),
	} {
		if l, err := parseWrk(bad); err == nil {
			t.Errorf("%.40q… was taken: %+v", bad, l)
		}
	}
}

func TestParseStat(t *testing.T) {
	const line = "42 (a) b (c) S 7 42 42 0 -1 4194560 100 0 0 0 150 50 9 9 20 0 3 0 5000 1000000 25 18446744073709551615"
	got, err := parseStat(line)
	if err != nil {
		t.Fatal(err)
	}
	want := stat{parent: 7, cpu: 2 * time.Second, rss: 25 * int64(os.Getpagesize())}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, bad := range []string{"", "42 (a", "42 (a) S 7", strings.Replace(line, " 150 ", " x ", 1)} {
		if s, err := parseStat(bad); err == nil {
			t.Errorf("%q was taken: %+v", bad, s)
		}
	}
}

func TestVersionIn(t *testing.T) {
	for text, want := range map[string]string{
		"nginx version: nginx/1.22.1\n":                               "1.22.1",
		"HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://x/\nx": "2.6.12-1+deb12u4",
		"weir v0.1.0 go1.26":                                          "v0.1.0",
		"unknown":                                                     "unknown",
	} {
		if got := versionIn(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"-only", "nginx,weir", "-turns", "2"}, io.Discard)
	if err != nil || strings.Join(o.only, " ") != "nginx weir" || o.turns != 2 || len(o.what) != len(scenarios) {
		t.Errorf("%+v, %v", o, err)
	}
	for args, want := range map[string]string{
		"-only apache":  "there is weir, nginx, haproxy",
		"-what x":       "there is proxied,",
		"-turns 0":      "1 to 20000",
		"-seconds much": "invalid value",
		"nginx":         "unexpected argument",
	} {
		if _, err := parse(strings.Fields(args), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestMedian(t *testing.T) {
	if _, ok := median(nil); ok {
		t.Error("nothing has a median")
	}
	for _, test := range []struct {
		sorted []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{1, 2, 9}, 2}, {[]float64{1, 2, 4, 9}, 3}} {
		if got, _ := median(test.sorted); got != test.want {
			t.Errorf("%v: got %v", test.sorted, got)
		}
	}
}

func TestReport(t *testing.T) {
	r := results{}
	for _, turn := range []float64{0, 1, 2} {
		r.add("proxied", "weir", []float64{10 + turn, 70000, 1, 2})
		r.add("proxied", "nginx", []float64{15 + turn, 60000, 1, 2})
		r.add("proxied", "haproxy", []float64{18 + turn, 50000, 1, 2})
		r.add("upload", "weir", []float64{900 + turn, 17, 1})
		r.add("upload", "nginx", []float64{800 + turn, 1, 1})
		r.add("upload", "haproxy", []float64{2000 + turn, 1, 1})
	}
	got := report("a machine", options{turns: 3}, allPeers, r, time.Unix(0, 0))
	for _, want := range []string{
		"a machine", "1970-01-01",
		"| weir | 11.00 | 10.00 to 12.00 | 70000 | 1.00 | 2.00 | 0.69 |",
		"| nginx | 16.00 | 15.00 to 17.00 | 60000 | 1.00 | 2.00 | 1.00 |",
		"| haproxy | 19.00 |",
		"best peer's | 0.69 | held |",
		"HAProxy's rate | 0.45 | **missed** |",
		"less than 16 MiB | 17.0 MiB | **missed** |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "Idle kept") {
		t.Error("a table of what was not run")
	}
}

func TestConfigs(t *testing.T) {
	dir := t.TempDir()
	for _, p := range allPeers {
		for _, log := range []string{"", "/var/log/x"} {
			s := setup{Dir: dir, Listen: "127.0.0.1:1", Origin: "127.0.0.1:2", Log: log}
			path, err := s.write(p.config)
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(path)
			origin := s.Origin
			switch {
			case p.caches: // it has host and port apart
				origin = `"2"`
			case p.floor: // it asks nobody
				origin = ""
			}
			if err != nil || !strings.Contains(string(text), s.Listen) || !strings.Contains(string(text), origin) {
				t.Errorf("%s: %v\n%s", p.name, err, text)
			}
		}
	}
}

func TestFill(t *testing.T) {
	const text = "a {Listen}\n?log b {Log}\n?!log c\n?worker   d {Worker}\n"
	for want, s := range map[string]setup{
		"a x\nb y\n":      {Listen: "x", Log: "y"},
		"a x\nc\n  d z\n": {Listen: "x", Worker: "z"},
	} {
		if got, err := s.fill(text); err != nil || got != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	if _, err := (setup{}).fill("?lgo x"); err == nil {
		t.Error("an unknown condition was taken")
	}
}

func TestHold(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, bodySize)) }))
	defer server.Close()
	conns, err := hold(server.Listener.Addr().String(), 37)
	for _, c := range conns {
		c.Close()
	}
	if err != nil || len(conns) != 37 {
		t.Errorf("%d connections, %v", len(conns), err)
	}
	if _, err := hold("127.0.0.1:1", 1); err == nil {
		t.Error("nobody is there, and no error")
	}
}

func TestTransfer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, "300000 bytes\n")
			return
		}
		w.Write(make([]byte, 300000))
	}))
	defer server.Close()
	address := server.Listener.Addr().String()
	for name, move := range map[string]func(string, int) error{"fetch": fetch, "send": send} {
		if err := move(address, 300000); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := move(address, 299999); err == nil {
			t.Errorf("%s: a wrong length is no error", name)
		}
	}
}

func TestProcess(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	p, err := start([]string{shell, "-c", "sleep 60 & wait"}, t.TempDir()+"/out")
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	for limit := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		pids, err := p.tree()
		if err != nil {
			t.Fatal(err)
		}
		if len(pids) == 2 {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("the tree is %v, not a shell and its child", pids)
		}
	}
	if _, rss, err := p.usage(); err != nil || rss == 0 {
		t.Errorf("%d bytes resident, %v", rss, err)
	}
	p.stop()
	if _, err := readStat(p.cmd.Process.Pid); err == nil {
		t.Error("it still runs")
	}
}

func TestServesSaysWhyNot(t *testing.T) {
	p, err := start([]string{"/bin/sh", "-c", "echo no config >&2; exit 3"}, t.TempDir()+"/out")
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	if err := p.serves(t.Context(), address); err == nil || !strings.Contains(err.Error(), "no config") {
		t.Errorf("got %v", err)
	}
}
