package top

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/picture"
)

// fakeDesk answers on a Unix socket as the desk does.
type fakeDesk struct {
	t       testing.TB
	socket  string
	every   time.Duration // between pictures
	more    int           // servers
	still   bool          // nothing changes but the time
	numbers string        // the answer about apps' own numbers; empty: there is none

	mu     sync.Mutex
	n      int
	filter string
	hands  []api.Intervention
	apps   []string
	role   string
	refuse string
	server *http.Server
	done   chan struct{}
	end    chan struct{}
}

func newFakeDesk(t testing.TB, options ...func(*fakeDesk)) *fakeDesk {
	t.Helper()
	d := &fakeDesk{t: t, socket: filepath.Join(t.TempDir(), "desk.sock"), every: 20 * time.Millisecond, role: "operate"}
	for _, o := range options {
		o(d)
	}
	d.start()
	t.Cleanup(d.stop)
	return d
}

func (d *fakeDesk) start() {
	d.t.Helper()
	ln, err := net.Listen("unix", d.socket)
	if err != nil {
		d.t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/picture", func(w http.ResponseWriter, _ *http.Request) { api.Answer(w, 200, d.picture()) })
	mux.HandleFunc("GET /api/v1/stream", d.stream)
	mux.HandleFunc("GET /api/v1/events", func(w http.ResponseWriter, _ *http.Request) { api.Answer(w, 200, fakeEvents()) })
	mux.HandleFunc("GET /api/v1/cache", func(w http.ResponseWriter, _ *http.Request) { api.Answer(w, 200, fakeCacheStatus()) })
	mux.HandleFunc("GET /api/v1/alerts", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(fakeAlerts)) //nolint:errcheck // who asks is gone
	})
	mux.HandleFunc("GET /api/v1/numbers", func(w http.ResponseWriter, r *http.Request) {
		if d.numbers == "" {
			http.NotFound(w, r)
			return
		}
		w.Write([]byte(d.numbers)) //nolint:errcheck // who asks is gone
	})
	mux.HandleFunc("GET /api/v1/series", func(w http.ResponseWriter, r *http.Request) {
		api.Answer(w, 200, fakeSeries(r.FormValue("of"), r.FormValue("span")))
	})
	mux.HandleFunc("GET /api/v1/me", func(w http.ResponseWriter, _ *http.Request) { api.Answer(w, 200, Me{"root", d.role}) })
	mux.HandleFunc("GET /api/v1/log", d.log)
	mux.HandleFunc("POST /api/v1/intervention", func(w http.ResponseWriter, r *http.Request) {
		var in api.Intervention
		if err := api.ReadRequest(w, r, &in); err != nil {
			api.AnswerError(w, 400, err)
			return
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.refuse != "" {
			api.AnswerError(w, 422, fmt.Errorf("%s", d.refuse))
			return
		}
		d.hands = append(d.hands, in)
		api.Answer(w, 200, in)
	})
	mux.HandleFunc("POST /api/v1/reload", func(w http.ResponseWriter, r *http.Request) {
		var in api.Reload
		if err := api.ReadRequest(w, r, &in); err != nil {
			api.AnswerError(w, 400, err)
			return
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.apps = append(d.apps, in.App)
		api.Answer(w, 200, struct{}{})
	})
	d.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	d.done, d.end = make(chan struct{}), make(chan struct{})
	go func(s *http.Server, done chan struct{}) {
		s.Serve(ln) //nolint:errcheck // it is closed
		close(done)
	}(d.server, d.done)
}

func (d *fakeDesk) stop() {
	if d.server == nil {
		return
	}
	close(d.end)
	d.server.Close() //nolint:errcheck // its listener alone could fail
	<-d.done
	d.server = nil
}

func (d *fakeDesk) picture() *picture.Picture {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n++
	p := fakePicture(d.n, d.more)
	if d.still {
		p = fakePicture(7, d.more)
		p.At = noon.Add(7 * time.Second)
	}
	return p
}

func (d *fakeDesk) stream(w http.ResponseWriter, r *http.Request) {
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, "retry: 1000\n\n") //nolint:errcheck // seen below
	tick := time.NewTicker(d.every)
	defer tick.Stop()
	for {
		if _, err := fmt.Fprintf(w, "event: picture\ndata: %s\n\n:\n\n", fakeJSON(d.picture())); err != nil || out.Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		case <-d.end:
			return
		}
	}
}

func (d *fakeDesk) log(w http.ResponseWriter, r *http.Request) {
	filter := r.FormValue("filter")
	d.mu.Lock()
	d.filter = filter
	d.mu.Unlock()
	if filter == "status>" {
		api.AnswerError(w, 422, fmt.Errorf("column 8: a number is missing after >"))
		return
	}
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	fmt.Fprint(w, fakeLog) //nolint:errcheck // who asks is gone
	if r.FormValue("recent") != "" {
		return
	}
	tick := time.NewTicker(d.every)
	defer tick.Stop()
	for i := 0; ; i++ {
		line, err := json.Marshal(map[string]any{"time": noon, "id": fmt.Sprint("live", i), "method": "GET", "host": "www.example.com", "target": fmt.Sprint("/live/", i), "status": 200, "total_ms": 1.5})
		if err != nil {
			panic(err)
		}
		if _, err := fmt.Fprintf(w, "%s\n", line); err != nil || out.Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		case <-d.end:
			return
		}
	}
}

func (d *fakeDesk) told() (hands []api.Intervention, apps []string, filter string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]api.Intervention{}, d.hands...), append([]string{}, d.apps...), d.filter
}
