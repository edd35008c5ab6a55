package desk

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/desk/access"
	"github.com/weirhq/weir/internal/desk/export"
	"github.com/weirhq/weir/internal/desk/packed"
	"github.com/weirhq/weir/internal/desk/page"
)

// rooms are what is behind the door: each answers one address.
type rooms struct {
	hub     *hub
	guard   *access.Door
	version string
	ends    context.Context // over when the desk stops
	logs    chan struct{}   // places to follow requests
	recent  pace            // of questions for those that are kept

	// What is asked for once a second.
	ofCache, ofHands, ofNumbers question
}

//go:embed openapi.json
var openAPI []byte

// room is one address. Role says who may enter; actions want more than that (access.Door.Acts).
type room struct {
	pattern string
	role    config.Role // empty: everybody
	serve   func(http.ResponseWriter, *http.Request)
}

func (o *rooms) all() []room {
	assets, tables := page.Handler().ServeHTTP, export.Handler(o.hub.now.Load).ServeHTTP
	all := []room{
		{"GET /{$}", "", assets}, // it shows nothing by itself: what it asks for is guarded
		{"GET /assets/", "", assets},
		{"GET /api/v1/picture", config.View, o.picture},
		{"GET /api/v1/stream", config.View, o.stream},
		{"GET /api/v1/series", config.View, o.series},
		{"GET /api/v1/events", config.View, packed.Handler(o.events)},
		{"GET /api/v1/log", config.View, o.log},
		{"GET /api/v1/cache", config.View, packed.Handler(o.cache)},
		{"GET /api/v1/interventions", config.View, packed.Handler(o.interventions)},
		{"GET /api/v1/alerts", config.View, packed.Handler(o.alerts)},
		{"GET /api/v1/problems", config.View, packed.Handler(o.problems)},
		{"GET /api/v1/downtime", config.View, packed.Handler(o.downtime)},
		{"POST /api/v1/alerts/silence", config.Operate, o.silence},
		{"POST /api/v1/alerts/acknowledge", config.Operate, o.acknowledge},
		{"POST /api/v1/alerts/test", config.Operate, o.testAlert},
		{"GET /api/v1/me", "", o.me},
		{"POST /api/v1/login", "", o.login},
		{"POST /api/v1/logout", "", o.logout},
		{"GET /api/v1/openapi.json", "", packed.Handler(o.openAPI)},
		{"POST /api/v1/intervention", config.Operate, o.intervene},
		{"POST /api/v1/reload", config.Operate, o.reload},
		{"POST /api/v1/purge", config.Operate, o.purge},
		{"GET /api/v1/numbers", config.View, packed.Handler(o.numbers)},
		{"GET /metrics", config.View, o.hub.metrics.ServeHTTP},
		{"GET /-/live", "", o.live},
		{"GET /-/ready", "", o.ready},
		{"GET /-/pool/{name}", "", o.poolSize},
	}
	for _, pattern := range export.Patterns {
		all = append(all, room{pattern, config.View, tables})
	}
	return all
}

func (o *rooms) handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range o.all() {
		mux.HandleFunc(r.pattern, o.admit(r))
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		api.AnswerError(w, http.StatusNotFound, errors.New("there is no "+r.Method+" "+r.URL.Path+" here: GET /api/v1/openapi.json has what there is"))
	})
	return secured(mux)
}

// secured sets the fields that keep a browser from doing with the answers what nobody meant.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := w.Header()
		f.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		f.Set("X-Content-Type-Options", "nosniff")
		f.Set("Referrer-Policy", "no-referrer")
		f.Set("Cross-Origin-Resource-Policy", "same-origin")
		if strings.HasPrefix(r.URL.Path, "/api/") {
			f.Set("Cache-Control", "no-store")
		}
		next.ServeHTTP(w, r)
	})
}

// whoKey is where a request's context has who asks.
type whoKey struct{}

func who(r *http.Request) access.Who {
	w, _ := r.Context().Value(whoKey{}).(access.Who)
	return w
}

// admit lets in who may enter a room.
func (o *rooms) admit(room room) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		somebody, err := o.who(r)
		switch {
		case room.role == "":
			err = nil
		case err == nil && room.role == config.Operate:
			err = o.guard.Acts(r, somebody)
		}
		if err == nil && (r.Method != http.MethodGet && !fromHere(r) || room.role != "" && foreign(r)) {
			err = access.ErrCSRF
		}
		if err != nil {
			refuse(w, err)
			return
		}
		room.serve(w, r.WithContext(context.WithValue(r.Context(), whoKey{}, somebody)))
	}
}

func (o *rooms) who(r *http.Request) (access.Who, error) {
	if name, ok := r.Context().Value(peer{}).(string); ok {
		return access.Who{Name: name, Role: config.Operate}, nil
	}
	return o.guard.Who(r)
}

// foreign reports whether a browser says that a page of another site has something loaded, which it cannot read: it only makes weir work, and holds
// places. A link from elsewhere is followed.
func foreign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return r.Header.Get("Sec-Fetch-Mode") != "navigate"
	}
	return false
}

// fromHere reports whether a browser says that it acts for a page of ours; programs say nothing.
func fromHere(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host == r.Host
}

// whileWelcome returns a context that is over with the request's, with the desk, and when who asks may look no more: an answer that goes on
// must not outlast the session that it began with. An open page counts as use of its session.
func (o *rooms) whileWelcome(r *http.Request) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(r.Context())
	go func() {
		defer cancel()
		tick := time.NewTicker(streamIdle)
		defer tick.Stop()
		for {
			changed := o.guard.Changed()
			// Where others guess from the same address nothing is known for a minute.
			if somebody, err := o.who(r); !somebody.May(config.View) && !errors.Is(err, access.ErrTooMany) {
				return
			}
			select {
			case <-changed:
			case <-tick.C:
			case <-ctx.Done():
				return
			case <-o.ends.Done():
				return
			}
		}
	}()
	return ctx, cancel
}

func refuse(w http.ResponseWriter, err error) {
	status := http.StatusForbidden
	switch {
	case errors.Is(err, access.ErrSignIn), errors.Is(err, access.ErrWrong):
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Bearer realm="weir"`)
	case errors.Is(err, access.ErrTooMany), errors.Is(err, access.ErrBusy):
		status = http.StatusTooManyRequests
		w.Header().Set("Retry-After", "60")
	}
	api.AnswerError(w, status, err)
}

func (o *rooms) openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Write(openAPI) //nolint:errcheck // the caller is gone
}

func (o *rooms) picture(w http.ResponseWriter, r *http.Request) {
	p := o.hub.now.Load()
	if p == nil {
		api.AnswerError(w, http.StatusServiceUnavailable, errors.New("weir is being asked: try again in a second"))
		return
	}
	answer, err := o.hub.text(p)
	if err != nil {
		api.AnswerError(w, http.StatusInternalServerError, err)
		return
	}
	answer.Serve(w, r, "application/json")
}

// isLocal reports whether somebody came by the Unix socket of the command line.
func isLocal(r *http.Request) bool {
	_, is := r.Context().Value(peer{}).(string)
	return is
}

// streamIdle is the pause after which something is sent, lest somebody in between takes the silence for the end.
const streamIdle = 15 * time.Second

func (o *rooms) stream(w http.ResponseWriter, r *http.Request) {
	zipped := packed.Accepted(r)
	l := o.hub.join(zipped, isLocal(r))
	if l == nil {
		api.AnswerError(w, http.StatusTooManyRequests, errors.New("too many pages are open"))
		return
	}
	defer o.hub.leave(l)
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Vary", "Accept-Encoding")
	if zipped {
		w.Header().Set("Content-Encoding", "gzip")
	}
	w.Header().Set("X-Accel-Buffering", "no")
	idle := time.NewTicker(streamIdle)
	defer idle.Stop()
	ctx, cancel := o.whileWelcome(r)
	defer cancel()
	var sum packed.Sum
	write := func(b []byte) bool {
		if out.SetWriteDeadline(time.Now().Add(streamIdle)) != nil {
			return false
		}
		_, err := w.Write(b)
		return err == nil && out.Flush() == nil
	}
	send := func(told words) bool {
		sum = sum.Then(told.sum)
		return write(told.bytes)
	}
	begin, calm := streamBegins(zipped)
	ok, over := send(begin.then(o.hub.first(l))), false
	for ok && !over {
		select {
		case <-l.wake:
			var told words
			told, over = o.hub.take(l)
			ok = send(told)
		case <-idle.C:
			ok = send(calm)
		case <-ctx.Done():
			over = true
		}
	}
	if ok && zipped {
		write(sum.End()) // where it is the client that has left, nobody is told
	}
}

// streamBegins returns what a stream begins with, and what is sent where nothing happens.
func streamBegins(zipped bool) (begin, calm words) {
	begin, calm = words{bytes: []byte("retry: 1000\n\n")}, words{bytes: []byte(":\n\n")}
	if zipped {
		begin, calm = packedWords(begin.bytes), packedWords(calm.bytes)
		begin.bytes = append(slices.Clone(packed.Begin), begin.bytes...)
	}
	return begin, calm
}

func (o *rooms) series(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	of, span := q.Get("of"), q.Get("span")
	if of == "" {
		of = "total"
	}
	if span == "" {
		span = "10m"
	}
	answer, err := o.hub.graphs.Get(o.hub.now.Load(), span+" "+of, func() ([]byte, error) {
		s, err := o.hub.series.Get(of, span)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(s)
		return append(text, '\n'), err
	})
	if err != nil {
		api.AnswerError(w, http.StatusUnprocessableEntity, err)
		return
	}
	answer.Serve(w, r, "application/json")
}

func (o *rooms) events(w http.ResponseWriter, r *http.Request) {
	n := 200
	if text := r.URL.Query().Get("n"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 {
			api.AnswerError(w, http.StatusUnprocessableEntity, errors.New("n is "+strconv.Quote(text)+": write how many events, such as 200"))
			return
		}
	}
	api.Answer(w, http.StatusOK, o.hub.events.Last(n))
}

// maxLogs is how many may follow requests who do not come by the Unix socket: of the places that the edge has (telling.maxListeners), some
// are left for the command line of who has to find out what goes on.
const maxLogs = 10

// log passes on what the edge tells of requests.
func (o *rooms) log(w http.ResponseWriter, r *http.Request) {
	local := isLocal(r)
	q := r.URL.Query()
	if recent := q.Get("recent") != ""; (!recent || q.Get("follow") == "true") && !local {
		select {
		case o.logs <- struct{}{}:
			defer func() { <-o.logs }()
		default:
			api.AnswerError(w, http.StatusTooManyRequests, fmt.Errorf("%d follow requests already, which is as many as may from here: end one of them", maxLogs))
			return
		}
	} else if recent && !local && !o.recent.wait(r.Context()) {
		w.Header().Set("Retry-After", "1")
		api.AnswerError(w, http.StatusTooManyRequests, errors.New("too many ask for requests that are kept: try again in a second"))
		return
	}
	ctx, cancel := o.whileWelcome(r)
	defer cancel()
	if who(r).May(config.Operate) {
		q.Del("of")
	} else {
		q.Set("of", "shown") // who may only look finds nothing by what the redaction leaves out
	}
	body, err := o.hub.edge.Stream(ctx, "/v1/log?"+q.Encode())
	if err != nil {
		answerFailed(w, err)
		return
	}
	stop := context.AfterFunc(ctx, func() { body.Close() }) //nolint:errcheck // only read
	defer stop()
	defer body.Close() //nolint:errcheck // only read
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("X-Accel-Buffering", "no")
	if q.Get("recent") == "" && out.Flush() != nil { // that it is taken is told before anything has happened
		return
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if out.SetWriteDeadline(time.Now().Add(streamIdle)) != nil {
				return
			}
			if _, err := w.Write(buf[:n]); err != nil || out.Flush() != nil {
				return
			}
		}
		if err != nil {
			return // its end, or the edge's: either way there is no more
		}
	}
}

// answerFailed passes on how a call to another process of weir failed.
func answerFailed(w http.ResponseWriter, err error) {
	api.AnswerError(w, statusOf(err), err)
}

func statusOf(err error) int {
	var failed *api.Failed
	if errors.As(err, &failed) {
		return failed.Status
	}
	return http.StatusBadGateway
}

func (o *rooms) cache(w http.ResponseWriter, _ *http.Request) {
	o.ofCache.answer(w, func(ctx context.Context) (any, error) {
		var out api.CacheStatus
		return &out, o.hub.edge.Get(ctx, "/v1/cache", &out)
	})
}

func (o *rooms) interventions(w http.ResponseWriter, _ *http.Request) {
	o.ofHands.answer(w, func(ctx context.Context) (any, error) {
		var out api.Interventions
		return &out, o.hub.keeper.Get(ctx, "/v1/interventions", &out)
	})
}

func (o *rooms) numbers(w http.ResponseWriter, _ *http.Request) {
	o.ofNumbers.answer(w, func(context.Context) (any, error) { return o.hub.numbers.Told(), nil })
}

// me is what a page has to know of who looks at it.
type me struct {
	Name    string      `json:"name"`
	Role    config.Role `json:"role"`
	CSRF    string      `json:"csrf,omitempty"`
	Login   bool        `json:"login"`   // there is something to sign in by
	Version string      `json:"version"` // for who may look
}

func (o *rooms) me(w http.ResponseWriter, r *http.Request) {
	somebody := who(r) // who may not look has no role, and can sign in
	admin := o.hub.cfg.Load().Admin
	m := me{Name: somebody.Name, Role: somebody.Role, CSRF: somebody.CSRF, Login: len(admin.Users)+len(admin.Tokens) > 0}
	if somebody.May(config.View) {
		m.Version = o.version
	}
	api.Answer(w, http.StatusOK, m)
}

// bodySize bounds what is sent to the desk.
const bodySize = 64 << 10

func readBody(w http.ResponseWriter, r *http.Request, v any) bool {
	r.Body = http.MaxBytesReader(w, r.Body, bodySize)
	if err := api.ReadRequest(w, r, v); err != nil {
		api.AnswerError(w, http.StatusBadRequest, err)
		return false
	}
	return true
}

func (o *rooms) login(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name, Password, Token string
	}
	if !readBody(w, r, &in) {
		return
	}
	word := in.Token
	if in.Name != "" {
		word = in.Password
	}
	somebody, err := o.guard.SignIn(w, r, in.Name, word)
	if err != nil {
		refuse(w, err)
		return
	}
	api.Answer(w, http.StatusOK, me{somebody.Name, somebody.Role, somebody.CSRF, true, o.version})
}

func (o *rooms) logout(w http.ResponseWriter, r *http.Request) {
	o.guard.SignOut(w, r)
	api.Answer(w, http.StatusOK, struct{}{})
}

// actTime is for what takes until workers are replaced.
const actTime = 10 * time.Minute

// act passes a wish on to the keeper.
func (o *rooms) act(w http.ResponseWriter, r *http.Request, path string, in any) {
	ctx, cancel := context.WithTimeout(r.Context(), actTime)
	defer cancel()
	// Where that cannot be set the answer may come too late, and what was wished for is done all the same.
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(actTime + answerTime)) //nolint:errcheck // see above
	var out json.RawMessage
	if err := o.hub.keeper.Post(ctx, path, in, &out); err != nil {
		answerFailed(w, err)
		return
	}
	o.ofHands.forget()
	api.Answer(w, http.StatusOK, out)
}

func (o *rooms) intervene(w http.ResponseWriter, r *http.Request) {
	var in api.Intervention
	if readBody(w, r, &in) {
		in.By, in.At = who(r).Name, ""
		o.act(w, r, "/v1/intervention", in)
	}
}

func (o *rooms) reload(w http.ResponseWriter, r *http.Request) {
	var in api.Reload
	if readBody(w, r, &in) {
		in.By = who(r).Name
		o.act(w, r, "/v1/reload", in)
	}
}

func (o *rooms) purge(w http.ResponseWriter, r *http.Request) {
	var in api.Purge
	if readBody(w, r, &in) {
		in.By = who(r).Name
		o.act(w, r, "/v1/purge", in)
	}
}
