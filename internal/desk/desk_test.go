package desk

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/picture"
	"github.com/weirhq/weir/internal/testkit"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "0123456789abcdef"

// weir is a keeper and an edge that say what a test wants, and a desk that asks them.
type weir struct {
	t    *testing.T
	dir  string
	url  string
	desk *desk
	ends []func()

	mu       sync.Mutex
	status   api.Status
	counters *api.Counters // nil: the edge does not answer
	posted   []string      // to the keeper: path and body
	fails    string        // what the keeper says to a wish
	lines    []string      // that workers have printed
	printed  chan struct{} // closed with the next one; nil: nobody waits
}

func start(t *testing.T, text string) *weir {
	t.Helper()
	dir, err := os.MkdirTemp("", "desk") // a Unix socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	s := &weir{t: t, dir: dir, status: api.Status{Version: "1", PID: 1, Since: "2027-01-01T00:00:00Z"}, counters: &api.Counters{Epochs: []string{"a"}, PID: 2}}
	t.Cleanup(func() { os.RemoveAll(dir) })
	keeper := http.NewServeMux()
	keeper.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		api.Answer(w, http.StatusOK, s.status)
	})
	keeper.HandleFunc("GET /v1/interventions", func(w http.ResponseWriter, _ *http.Request) {
		api.Answer(w, http.StatusOK, api.Interventions{Done: []api.Intervention{}, Hands: []api.Hand{{Pool: "web", Server: "a:80", State: "drain", By: "ann"}}})
	})
	keeper.HandleFunc("GET /v1/output", s.serveOutput)
	keeper.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.posted = append(s.posted, r.URL.Path+" "+string(body))
		if s.fails != "" || err != nil {
			api.AnswerError(w, http.StatusUnprocessableEntity, fmt.Errorf("%s", s.fails))
			return
		}
		api.Answer(w, http.StatusOK, map[string]bool{"done": true})
	})
	s.serve(api.KeeperSocket(dir), keeper)
	edge := http.NewServeMux()
	edge.HandleFunc("GET /v1/counters", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.counters == nil {
			api.AnswerError(w, http.StatusServiceUnavailable, io.EOF)
			return
		}
		api.Answer(w, http.StatusOK, s.counters)
	})
	edge.HandleFunc("GET /v1/log", func(w http.ResponseWriter, r *http.Request) {
		if f := r.URL.Query().Get("filter"); f == "wrong" {
			api.AnswerError(w, http.StatusUnprocessableEntity, fmt.Errorf("filter, column 1: wrong"))
			return
		}
		if r.URL.Query().Get("filter") == "whole" {
			fmt.Fprintf(w, "%q", r.URL.Query()["of"]) //nolint:errcheck // as everywhere
			return
		}
		if r.URL.Query().Get("filter") == "silent" {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		fmt.Fprintln(w, `{"status":500}`) //nolint:errcheck // as everywhere
		if w.(http.Flusher).Flush(); r.URL.Query().Get("recent") == "" {
			<-r.Context().Done()
		}
	})
	edge.HandleFunc("GET /v1/cache", func(w http.ResponseWriter, _ *http.Request) {
		api.AnswerError(w, http.StatusUnprocessableEntity, fmt.Errorf("there is no cache"))
	})
	s.serve(api.EdgeSocket(dir), edge)
	s.begin(text)
	return s
}

func (s *weir) serve(path string, h http.Handler) {
	s.t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		s.t.Fatal(err)
	}
	server := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(ln) }() //nolint:errcheck // it ends with the test
	s.t.Cleanup(func() { server.Close(); <-done })
}

// begin starts a desk with a configuration in which ADDRESS stands for where it listens.
func (s *weir) begin(text string) {
	s.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	address := ln.Addr().String()
	s.url = "http://" + address
	s.desk = newDesk("1", &slog.LevelVar{})
	s.offer(ln)
	text = strings.ReplaceAll(text, "ADDRESS", address)
	d := s.desk
	if err := d.apply(api.EdgeState{Version: 1, Source: api.Source{Path: filepath.Join(s.dir, "w.yaml"), Text: text}, RunDir: s.dir}); err != nil {
		s.t.Fatal(err)
	}
	var once sync.Once
	stop := func() {
		once.Do(func() {
			if err := d.stop(); err != nil {
				s.t.Error(err)
			}
		})
	}
	s.ends = append(s.ends, stop)
	s.t.Cleanup(stop)
	s.eventually("a picture", func() bool { return d.hub.now.Load() != nil })
}

// offer hands a socket down.
func (s *weir) offer(ln net.Listener) {
	s.t.Helper()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		s.t.Fatal(err)
	}
	s.desk.offer("tcp", ln.Addr().String(), []*os.File{f})
}

func (s *weir) end() { s.ends[len(s.ends)-1]() }

func (s *weir) eventually(what string, is func() bool) {
	s.t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("no %s", what)
		}
	}
}

// ask returns the status and the body of an answer. Fields are names and values.
func (s *weir) ask(method, path, body string, fields ...string) (int, string, http.Header) {
	s.t.Helper()
	r, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == "Host" {
			r.Host = fields[i+1]
		}
		r.Header.Set(fields[i], fields[i+1])
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

const usual = "admin: {listen: ADDRESS, token: " + token + "}\npools: {web: {servers: [\"127.0.0.1:1\"]}}\n"

// TestRooms: each address answers who may ask, and nobody else.
func TestRooms(t *testing.T) {
	s := start(t, usual)
	bearer := []string{"Authorization", "Bearer " + token}
	for _, c := range []struct {
		method, path, body string
		fields             []string
		status             int
		has                string
	}{
		{"GET", "/api/v1/picture", "", nil, 200, `"keeper_pid":1`},
		{"GET", "/api/v1/picture", "", []string{"Host", "evil.example"}, 403, "use 127.0.0.1"},
		{"GET", "/api/v1/picture", "", []string{"Authorization", "Bearer no"}, 401, "wrong"},
		{"GET", "/api/v1/picture", "", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, 403, "another site"},
		{"GET", "/api/v1/log", "", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors"}, 403, "another site"},
		{"GET", "/api/v1/picture", "", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, 200, `"keeper_pid":1`},
		{"GET", "/api/v1/picture", "", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors"}, 200, `"keeper_pid":1`},
		{"GET", "/-/live", "", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, 200, "live"},
		{"GET", "/api/v1/series", "", nil, 200, `"of":"total"`},
		{"GET", "/api/v1/series?of=nothing", "", nil, 422, "write total"},
		{"GET", "/api/v1/series?span=1y", "", nil, 422, "10m, 3h, 1d, 1w"},
		{"GET", "/api/v1/events", "", nil, 200, "["},
		{"GET", "/api/v1/events?n=x", "", nil, 422, "write how many"},
		{"GET", "/api/v1/log?recent=1", "", nil, 200, `{"status":500}`},
		{"GET", "/api/v1/log?filter=wrong", "", nil, 422, "column 1"},
		{"GET", "/api/v1/log?filter=whole", "", nil, 200, `["shown"]`},
		{"GET", "/api/v1/log?of=all&filter=whole;&of=x&filter=whole", "", nil, 200, `["shown"]`},
		{"GET", "/api/v1/log?filter=whole&of=shown", "", bearer, 200, `[]`},
		{"GET", "/api/v1/cache", "", nil, 422, "there is no cache"},
		{"GET", "/api/v1/interventions", "", nil, 200, `"ann"`},
		{"GET", "/api/v1/me", "", nil, 200, `"role":"view"`},
		{"GET", "/api/v1/me", "", []string{"Host", "evil.example"}, 200, `"role":""`},
		{"GET", "/api/v1/me", "", []string{"Host", "evil.example"}, 200, `"version":""`},
		{"GET", "/api/v1/me", "", bearer, 200, `"role":"operate"`},
		{"GET", "/api/v1/openapi.json", "", nil, 200, "openapi"},
		{"GET", "/api/v1/nothing", "", nil, 404, "openapi.json"},
		{"POST", "/api/v1/reload", "{}", nil, 401, "sign in"},
		{"POST", "/api/v1/reload", "{}", append(bearer, "Origin", "http://evil.example"), 403, "another site"},
		{"POST", "/api/v1/reload", "{}", append(bearer, "Sec-Fetch-Site", "cross-site"), 403, "another site"},
		{"POST", "/api/v1/reload", `{"app":"web"}`, bearer, 200, "done"},
		{"POST", "/api/v1/reload", `{"nothing":1}`, bearer, 400, "nothing"},
		{"POST", "/api/v1/reload", strings.Repeat(" ", bodySize+1), bearer, 400, "too large"},
		{"POST", "/api/v1/intervention", `{"do":"drain","pool":"web","server":"a:80","by":"somebody else"}`, bearer, 200, "done"},
		{"POST", "/api/v1/purge", `{"all":true}`, bearer, 200, "done"},
		{"POST", "/api/v1/login", `{"name":"ann","password":"x"}`, nil, 401, "wrong"},
		{"POST", "/api/v1/login", `{"token":"` + token + `"}`, nil, 200, `"csrf"`},
		{"POST", "/api/v1/logout", ``, nil, 200, ""},
	} {
		status, text, head := s.ask(c.method, c.path, c.body, c.fields...)
		if status != c.status || !strings.Contains(text, c.has) {
			t.Errorf("%s %s %v: %d %s; want %d and %q", c.method, c.path, c.fields, status, text, c.status, c.has)
		}
		if head.Get("X-Content-Type-Options") == "" || head.Get("Content-Security-Policy") == "" || head.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: fields that keep browsers in check are missing: %v", c.method, c.path, head)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.posted) != 3 || !strings.Contains(s.posted[1], `"by":"token"`) {
		t.Errorf("the keeper was asked for %q", s.posted)
	}
}

// TestSession: a browser signs in, acts with its word, and not without.
func TestSession(t *testing.T) {
	s := start(t, usual)
	_, text, head := s.ask("POST", "/api/v1/login", `{"token":"`+token+`"}`, "Origin", s.url, "Sec-Fetch-Site", "same-origin")
	var got me
	if err := json.Unmarshal([]byte(text), &got); err != nil || got.CSRF == "" {
		t.Fatalf("%s, %v", text, err)
	}
	cookie, _, _ := strings.Cut(head.Get("Set-Cookie"), ";")
	if status, text, _ := s.ask("POST", "/api/v1/reload", "{}", "Cookie", cookie); status != 403 {
		t.Errorf("without the word: %d %s", status, text)
	}
	if status, text, _ := s.ask("POST", "/api/v1/reload", "{}", "Cookie", cookie, "X-Weir-CSRF", got.CSRF); status != 200 {
		t.Errorf("with the word: %d %s", status, text)
	}
	s.ask("POST", "/api/v1/logout", "", "Cookie", cookie)
	if status, _, _ := s.ask("POST", "/api/v1/reload", "{}", "Cookie", cookie, "X-Weir-CSRF", got.CSRF); status != 401 {
		t.Errorf("after signing out: %d", status)
	}
}

// TestSignedOutSeesNoMore: what goes on ends with the session that it began with, or with its token.
func TestSignedOutSeesNoMore(t *testing.T) {
	const signed = "admin: {listen: ADDRESS, look: signed, token: " + token + "}\npools: {web: {servers: [\"127.0.0.1:1\"]}}\n"
	for _, path := range []string{"/api/v1/stream", "/api/v1/log"} {
		for _, by := range []string{"session", "token"} {
			s := start(t, signed)
			_, _, head := s.ask("POST", "/api/v1/login", `{"token":"`+token+`"}`)
			cookie, _, _ := strings.Cut(head.Get("Set-Cookie"), ";")
			r, err := http.NewRequest("GET", s.url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.Header.Set("Cookie", cookie); by == "token" {
				r.Header = http.Header{"Authorization": {"Bearer " + token}}
			}
			c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
			resp, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if _, err := resp.Body.Read(make([]byte, 1)); err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("%s by %s: %d, %v", path, by, resp.StatusCode, err)
			}
			if by == "token" {
				other := strings.ReplaceAll(strings.ReplaceAll(signed, "ADDRESS", strings.TrimPrefix(s.url, "http://")), token, "another0another0")
				if err := s.desk.apply(api.EdgeState{Version: 2, Source: api.Source{Path: filepath.Join(s.dir, "w.yaml"), Text: other}, RunDir: s.dir}); err != nil {
					t.Fatal(err)
				}
			} else {
				s.ask("POST", "/api/v1/logout", "", "Cookie", cookie)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Errorf("%s by %s goes on: %v", path, by, err)
			}
		}
	}
}

// TestSocket: who may use the Unix socket needs no token, and has a name.
func TestSocket(t *testing.T) {
	s := start(t, usual)
	c := api.NewClient(api.DeskSocket(s.dir))
	defer c.Close()
	var got me
	if err := c.Get(context.Background(), "/api/v1/me", &got); err != nil || got.Role != "operate" || got.Name == "" {
		t.Errorf("%+v, %v", got, err)
	}
	if err := c.Post(context.Background(), "/api/v1/reload", api.Reload{}, nil); err != nil {
		t.Error(err)
	}
	is, err := os.Stat(api.DeskSocket(s.dir))
	if err != nil || is.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", is, err)
	}
}

// TestEdgeAway: without an edge the desk goes on, says so, and counts on when it is back.
func TestEdgeAway(t *testing.T) {
	s := start(t, usual)
	set := func(c *api.Counters) {
		s.mu.Lock()
		s.counters = c
		s.mu.Unlock()
	}
	set(&api.Counters{Epochs: []string{"a"}, PID: 2, Counts: api.Counts{Requests: 5}})
	s.eventually("five requests", func() bool { return s.desk.hub.now.Load().Total.Requests == 5 })
	set(nil)
	s.eventually("missing edge", func() bool { return !s.desk.hub.now.Load().Edge.Up })
	set(&api.Counters{Epochs: []string{"b"}, PID: 3, Counts: api.Counts{Requests: 2}})
	s.eventually("seven requests", func() bool { return s.desk.hub.now.Load().Total.Requests == 7 })
	if _, text, _ := s.ask("GET", "/api/v1/events", ""); !strings.Contains(text, "does not answer") || !strings.Contains(text, "the edge serves") {
		t.Errorf("events are %s", text)
	}
}

// TestNextDesk: it goes on counting where the one before stopped, and takes over while that one is still there.
func TestNextDesk(t *testing.T) {
	s := start(t, usual)
	s.mu.Lock()
	s.counters = &api.Counters{Epochs: []string{"a"}, PID: 2, Counts: api.Counts{Requests: 5}}
	s.mu.Unlock()
	s.eventually("five requests", func() bool { return s.desk.hub.now.Load().Total.Requests == 5 })
	since := s.desk.hub.now.Load().Counted
	before := s.desk.hub.now.Load()
	s.eventually("next picture", func() bool { return s.desk.hub.now.Load() != before })
	s.mu.Lock() // what is counted in the last second
	s.counters = &api.Counters{Epochs: []string{"a"}, PID: 2, Counts: api.Counts{Requests: 7}}
	s.mu.Unlock()
	s.end()
	s.mu.Lock()
	s.counters = &api.Counters{Epochs: []string{"b"}, PID: 3, Counts: api.Counts{Requests: 1}}
	s.mu.Unlock()
	s.begin(usual)
	p := s.desk.hub.now.Load()
	if p.Total.Requests != 8 || !p.Counted.Equal(since) {
		t.Errorf("the next desk has %d requests since %v, want 8 since %v", p.Total.Requests, p.Counted, since)
	}
	s.end()
	if err := os.WriteFile(s.desk.hub.shelf.path("totals"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.begin(usual)
	if n := s.desk.hub.now.Load().Total.Requests; n != 1 {
		t.Errorf("with a book that cannot be read it begins with %d requests", n)
	}
}

// TestReload: addresses come and go, who may look changes, and what cannot be served leaves all as it was.
func TestReload(t *testing.T) {
	s := start(t, usual)
	apply := func(text string) error {
		s.desk.cfg = nil
		return s.desk.apply(api.EdgeState{Version: 2, Source: api.Source{Path: filepath.Join(s.dir, "w.yaml"), Revision: 2, Text: text}, RunDir: s.dir})
	}
	address := strings.TrimPrefix(s.url, "http://")
	if err := apply(strings.Replace(strings.ReplaceAll(usual, "ADDRESS", address), "token:", "look: signed, token:", 1)); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := s.ask("GET", "/api/v1/picture", ""); status != 401 {
		t.Errorf("look: signed lets everybody look: %d", status)
	}
	if err := apply(strings.ReplaceAll(usual, "ADDRESS", "127.0.0.1:1")); err == nil {
		t.Error("an address without a socket was taken")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.offer(ln)
	if err := apply(strings.ReplaceAll(usual, "ADDRESS", ln.Addr().String())); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("the former address is still listened on")
	}
	s.url = "http://" + ln.Addr().String()
	if status, _, _ := s.ask("GET", "/api/v1/picture", ""); status != 200 {
		t.Errorf("the new address answers %d", status)
	}
}

// TestTLS: an address changes from plain HTTP to TLS and back, with a certificate that is read anew.
func TestTLS(t *testing.T) {
	s := start(t, usual)
	address := strings.TrimPrefix(s.url, "http://")
	plain := strings.ReplaceAll(usual, "ADDRESS", address)
	revision := int64(2)
	apply := func(text string) error {
		revision++
		return s.desk.apply(api.EdgeState{Version: revision, Source: api.Source{Path: filepath.Join(s.dir, "w.yaml"), Read: revision, Revision: revision, Text: text}, RunDir: s.dir})
	}
	authority := testkit.NewAuthority(t)
	page := filepath.Join(authority.Dir, "page")
	secure := strings.Replace(plain, "token:", "tls: {cert: "+page+".pem, key: "+page+".key}, token:", 1)
	if err := apply(secure); err == nil {
		t.Fatal("a certificate that is not there was taken")
	}
	if status, _, _ := s.ask("GET", "/api/v1/me", ""); status != 200 {
		t.Fatalf("after a refusal: %d", status)
	}
	for _, name := range []string{"one.example", "two.example"} {
		authority.Issue("page", name, nil)
		if err := apply(secure); err != nil {
			t.Fatal(err)
		}
		c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ConnectionState().PeerCertificates[0].DNSNames[0]; got != name {
			t.Errorf("the certificate is for %s, want %s", got, name)
		}
		c.Close()
	}
	if err := apply(plain); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := s.ask("GET", "/api/v1/me", ""); status != 200 {
		t.Errorf("plain again: %d", status)
	}
}

// TestOpenAPI: the description has each address, and no other.
func TestOpenAPI(t *testing.T) {
	var doc struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	is := map[string]bool{}
	for _, r := range (&rooms{hub: &hub{}}).all() {
		is[r.pattern] = true
		method, path, _ := strings.Cut(r.pattern, " ")
		if !strings.HasPrefix(path, "/api/") {
			continue
		}
		if doc.Paths[path][strings.ToLower(method)] == nil {
			t.Errorf("openapi.json does not describe %s", r.pattern)
		}
	}
	for path, methods := range doc.Paths {
		for method := range methods {
			if !is[strings.ToUpper(method)+" "+path] {
				t.Errorf("openapi.json describes %s %s, which is not there", method, path)
			}
		}
	}
}

// TestCompressed: who takes gzip gets it, of the stream too, where each picture can be read as soon as it is there.
func TestCompressed(t *testing.T) {
	s := start(t, usual)
	s.mu.Lock()
	c := &api.Counters{Epochs: []string{"a"}, PID: 2}
	for i := range 50 {
		c.Routes = append(c.Routes, api.RouteCounters{Site: "a.example", Route: fmt.Sprint("route-", i)})
	}
	s.counters = c
	s.mu.Unlock()
	s.eventually("routes", func() bool { return len(s.desk.hub.now.Load().Routes) == 50 })
	unpacked := func(body io.Reader) *bufio.Reader {
		t.Helper()
		z, err := gzip.NewReader(body)
		if err != nil {
			t.Fatal(err)
		}
		return bufio.NewReader(z)
	}
	for _, path := range []string{"/api/v1/picture", "/stats.csv", "/stats.json", "/haproxy;csv", "/metrics", "/api/v1/openapi.json"} {
		_, plain, head := s.ask("GET", path, "", "Accept-Encoding", "identity")
		if head.Get("Content-Encoding") != "" {
			t.Errorf("%s is compressed for who does not take that", path)
		}
		_, packed, head := s.ask("GET", path, "", "Accept-Encoding", "gzip")
		if head.Get("Content-Encoding") != "gzip" || !strings.Contains(strings.Join(head.Values("Vary"), ","), "Accept-Encoding") {
			t.Errorf("%s: %v", path, head)
			continue
		}
		text, err := io.ReadAll(unpacked(strings.NewReader(packed)))
		if err != nil || len(text) < len(plain)/2 || len(packed) > len(plain)/2 {
			t.Errorf("%s: %d bytes, compressed %d, unpacked %d, %v", path, len(plain), len(packed), len(text), err)
		}
	}
	r, err := http.NewRequest("GET", s.url+"/api/v1/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "gzip")
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines, pictures := unpacked(resp.Body), 0
	for pictures < 3 {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			var p picture.Picture
			if err := json.Unmarshal([]byte(data), &p); err != nil || len(p.Routes) != 50 {
				t.Fatalf("%v: %s", err, data)
			}
			pictures++
		}
	}
}

// TestCompressedEnds: where it is the desk that ends a stream, what was sent is whole, with its checksum; each picture and event in it too.
func TestCompressedEnds(t *testing.T) {
	for what, end := range map[string]func(s *weir){
		"the desk stops": func(s *weir) { s.end() },
		"one does not keep up": func(s *weir) {
			h := s.desk.hub
			h.mu.Lock()
			defer h.mu.Unlock()
			for l := range h.listeners {
				l.gone = true
			}
		},
	} {
		s := start(t, usual)
		r, err := http.NewRequest("GET", s.url+"/api/v1/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept-Encoding", "gzip")
		resp, err := (&http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		s.counters = &api.Counters{Epochs: []string{"a"}, PID: 2, Revision: 7}
		s.mu.Unlock()
		var all strings.Builder
		done := make(chan error, 1)
		go func() {
			lines := bufio.NewReader(z)
			for {
				line, err := lines.ReadString('\n')
				all.WriteString(line)
				if strings.HasPrefix(line, "event: event") {
					go end(s)
				}
				if err != nil {
					done <- err
					return
				}
			}
		}()
		if err := <-done; err != io.EOF {
			t.Errorf("%s: %v", what, err)
		}
		if n := strings.Count(all.String(), "event: picture\ndata: {"); n == 0 || !strings.HasSuffix(all.String(), "\n\n") {
			t.Errorf("%s: %d pictures", what, n)
		}
		resp.Body.Close() //nolint:errcheck // it has been read to its end
		s.end()
	}
}
