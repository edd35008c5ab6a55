// Package stage plays the desk for the status page's tests: it serves the page and the addresses of the desk's API with a site that it
// makes up, of any size, alive and hostile as wanted. It is no model of weir: its numbers only look like some.
package stage

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/desk/export"
	"github.com/weirhq/weir/internal/desk/page"
	"github.com/weirhq/weir/internal/picture"
)

// CSP is what the desk says a browser may do with the page.
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// Stage is a desk that plays. Any goroutine may use it.
type Stage struct {
	mu       sync.Mutex
	rand     *rand.Rand
	picture  *picture.Picture
	events   []map[string]any
	log      []map[string]any
	hands    []api.Hand
	done     []api.Intervention
	asked    []Asked
	signed   bool            // nobody looks without signing in
	more     map[string]any  // answers by path
	people   map[string]bool // sessions
	watchers map[chan []byte]bool
	rates    []float64
	seconds  int
}

// Asked is something that a page asked to be done.
type Asked struct {
	Path, Body, CSRF string
}

// Password and Token are what lets a person in, as Name.
const (
	Name     = "anna"
	Password = "over the weir"
	Token    = "a-token-of-anna"
	csrf     = "a-word-of-the-session"
	session  = "a-session"
)

// New returns a stage with so many pools of servers each beside its named ones; 0: only those.
func New(pools, servers int) *Stage {
	s := &Stage{rand: rand.New(rand.NewPCG(1, 2)), people: map[string]bool{}, watchers: map[chan []byte]bool{}, more: map[string]any{}}
	s.picture = begin(s, pools, servers)
	for i := range 600 {
		s.rates = append(s.rates, 780+170*math.Sin(float64(i)/70)+40*s.rand.Float64())
	}
	s.past()
	s.Step()
	return s
}

// Change changes the picture that the next step goes on from.
func (s *Stage) Change(f func(*picture.Picture)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.picture)
}

// Have has the API answer a value at a path that it has nothing at by itself.
func (s *Stage) Have(path string, value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.more[path] = value
}

// SignIn has the stage show nothing to who has not signed in.
func (s *Stage) SignIn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signed = true
}

// Asked returns what was asked for so far.
func (s *Stage) Asked() []Asked {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Asked{}, s.asked...)
}

// Run steps each second until end is closed.
func (s *Stage) Run(end <-chan struct{}) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.Step()
		case <-end:
			return
		}
	}
}

// Step makes the next picture and tells all pages.
func (s *Stage) Step() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live()
	s.send("picture", s.picture)
}

// Happen tells of an event.
func (s *Stage) Happen(kind, subject, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := map[string]any{"at": time.Now(), "kind": kind, "subject": subject, "text": text}
	s.events = append(s.events, e)
	s.send("event", e)
}

// Tell adds a request to those that are remembered.
func (s *Stage) Tell(story map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, story)
}

// Cut breaks all streams off.
func (s *Stage) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watchers {
		close(w)
		delete(s.watchers, w)
	}
}

func (s *Stage) send(event string, v any) {
	frame := frame(event, v)
	for w := range s.watchers {
		select {
		case w <- frame:
		default: // who does not listen gets the next one
		}
	}
}

func frame(event string, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // the stage's own mistake
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", event, data)
}

// Handler serves the page and the API.
func (s *Stage) Handler() http.Handler {
	mux := http.NewServeMux()
	assets := page.Handler()
	mux.Handle("GET /{$}", assets)
	mux.Handle("GET /assets/", assets)
	table := export.Handler(func() *picture.Picture { s.mu.Lock(); defer s.mu.Unlock(); p := *s.picture; return &p })
	for _, pattern := range export.Patterns {
		mux.Handle(pattern, table)
	}
	for pattern, f := range map[string]func(http.ResponseWriter, *http.Request) any{
		"GET /api/v1/picture":       func(http.ResponseWriter, *http.Request) any { return s.picture },
		"GET /api/v1/events":        func(http.ResponseWriter, *http.Request) any { return s.events },
		"GET /api/v1/series":        s.series,
		"GET /api/v1/cache":         s.cache,
		"GET /api/v1/interventions": func(http.ResponseWriter, *http.Request) any { return api.Interventions{Done: s.done, Hands: s.hands} },
		"POST /api/v1/intervention": s.intervene,
		"POST /api/v1/reload":       s.act,
		"POST /api/v1/purge":        s.act,
		"POST /api/v1/alerts/":      s.act,
		"GET /api/": func(w http.ResponseWriter, r *http.Request) any {
			if v := s.more[r.URL.Path]; v != nil {
				return v
			}
			fail(w, http.StatusNotFound, "there is no such thing here")
			return nil
		},
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.refuse(w, r) {
				return
			}
			if v := f(w, r); v != nil {
				w.Header().Set("Content-Type", "application/json")
				json.NewEncoder(w).Encode(v) //nolint:errcheck // the page is gone
			}
		})
	}
	mux.HandleFunc("GET /api/v1/me", s.me)
	mux.HandleFunc("POST /api/v1/login", s.login)
	mux.HandleFunc("POST /api/v1/logout", s.logout)
	mux.HandleFunc("GET /api/v1/log", s.stories)
	mux.HandleFunc("GET /api/v1/stream", s.stream)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", CSP)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if strings.HasPrefix(r.URL.Path, "/api/") {
			w.Header().Set("Cache-Control", "no-store")
		}
		mux.ServeHTTP(w, r)
	})
}

func fail(w http.ResponseWriter, status int, words string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(api.Error{Error: words}) //nolint:errcheck // the page is gone
}

func (s *Stage) known(r *http.Request) bool {
	c, err := r.Cookie("weir")
	return err == nil && s.people[c.Value]
}

// refuse answers who may not have what is asked for. The caller holds the lock.
func (s *Stage) refuse(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case s.signed && !s.known(r):
		fail(w, http.StatusUnauthorized, "sign in, or send `Authorization: Bearer TOKEN`")
	case r.Method == http.MethodPost && !s.known(r):
		fail(w, http.StatusUnauthorized, "sign in, or send `Authorization: Bearer TOKEN`")
	case r.Method == http.MethodPost && r.Header.Get("X-Weir-CSRF") != csrf:
		fail(w, http.StatusForbidden, "the page is out of date, or another site has made this request: load the page again")
	default:
		return false
	}
	return true
}

func (s *Stage) who(r *http.Request) map[string]any {
	me := map[string]any{"name": "", "role": "view", "login": true, "version": "0.5.0"}
	if s.signed {
		me["role"] = ""
	}
	if s.known(r) {
		me["name"], me["role"], me["csrf"] = Name, "operate", csrf
	}
	return me
}

func (s *Stage) me(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	json.NewEncoder(w).Encode(s.who(r)) //nolint:errcheck // the page is gone
}

func (s *Stage) login(w http.ResponseWriter, r *http.Request) {
	var in struct{ Name, Password, Token string }
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	if in.Token != Token && (in.Name != Name || in.Password != Password) {
		fail(w, http.StatusUnauthorized, "the name, the password or the token is wrong")
		return
	}
	s.people[session] = true
	c := &http.Cookie{Name: "weir", Value: session, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode}
	http.SetCookie(w, c)
	r.AddCookie(c)
	json.NewEncoder(w).Encode(s.who(r)) //nolint:errcheck // the page is gone
}

func (s *Stage) logout(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.people)
	w.Write([]byte("{}")) //nolint:errcheck // the page is gone
}

func (s *Stage) stories(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse(w, r) {
		return
	}
	for _, story := range s.log {
		json.NewEncoder(w).Encode(story) //nolint:errcheck // the page is gone
	}
}

func (s *Stage) stream(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if s.refuse(w, r) {
		s.mu.Unlock()
		return
	}
	told := make(chan []byte, 4)
	s.watchers[told] = true
	first := frame("picture", s.picture)
	s.mu.Unlock()
	defer func() { s.mu.Lock(); delete(s.watchers, told); s.mu.Unlock() }()
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	for f := first; ; {
		if _, err := w.Write(f); err != nil || out.Flush() != nil {
			return
		}
		var ok bool
		select {
		case f, ok = <-told:
			if !ok {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}
