package edge

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/edge/telling"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/journal/filter"
	"github.com/weirhq/weir/internal/message"
)

// tell tells of a request that has ended.
func (h *handler) tell(now int64) {
	line, req := &h.line, &h.x.Req
	*line = journal.Line{Client: h.x.Client, Scheme: h.x.Scheme, ID: h.x.ID}
	line.Method, line.Target, line.Minor, line.Host = req.MethodText, req.Target, req.Minor, req.Host
	line.Referer, line.UserAgent = req.Fields.Get(message.Referer), req.Fields.Get(message.UserAgent)
	if !h.parsed && req.Minor == 0 {
		line.Minor = journal.NoVersion // 1.0 comes to the same, and is not worth a guess
	}
	line.Take(&h.x.Journal, now)
	line.Why, line.Parts = h.whyUncached(), h.parts.all
	h.l.told.Tell(line, &h.x.Journal, now)
}

// whyUncached is why the cache did not answer by itself.
func (h *handler) whyUncached() string {
	switch h.x.Journal.Cache {
	case journal.NoCache, journal.Hit:
		return ""
	}
	return whyWord(h.whyAsked())
}

// tellingRoutes are those that tell of requests.
func (c *control) tellingRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/log", c.log)
	mux.HandleFunc("POST /v1/reopen", func(w http.ResponseWriter, _ *http.Request) {
		if err := c.edge.Reopen(); err != nil {
			api.AnswerError(w, http.StatusUnprocessableEntity, err)
			return
		}
		api.Answer(w, http.StatusOK, struct{}{})
	})
	mux.HandleFunc("POST /v1/listeners", func(w http.ResponseWriter, r *http.Request) {
		var in []telling.Named
		err := api.ReadRequest(w, r, &in)
		if err == nil {
			err = c.edge.told.Expect(in)
		}
		if err != nil {
			api.AnswerError(w, http.StatusUnprocessableEntity, err)
			return
		}
		api.Answer(w, http.StatusOK, struct{}{})
	})
	mux.HandleFunc("POST /v1/stories", func(w http.ResponseWriter, r *http.Request) {
		var in api.Stories
		if err := api.ReadRequest(w, r, &in); err != nil {
			api.AnswerError(w, http.StatusBadRequest, err)
			return
		}
		texts := make([][]byte, len(in.Stories))
		for i, s := range in.Stories {
			texts[i] = s
		}
		if err := c.edge.told.Inherit(texts); err != nil {
			api.AnswerError(w, http.StatusUnprocessableEntity, err)
			return
		}
		api.Answer(w, http.StatusOK, struct{}{})
	})
}

// logQuery is what GET /v1/log is asked for.
type logQuery struct {
	filter *filter.Filter
	text   string    // the filter's
	as     string    // a name by which who listens goes over to the next edge
	shown  bool      // the filter sees what is told and no more
	recent int       // how many of those that are kept; -1: none is wanted
	since  time.Time // and ended since
	follow bool      // and then whatever ends
}

func readLogQuery(r *http.Request) (q logQuery, err error) {
	in := r.URL.Query()
	q.text, q.as, q.shown = in.Get("filter"), in.Get("as"), in.Get("of") == "shown"
	if q.filter, err = filter.Parse(q.text); err != nil {
		return q, err
	}
	q.recent, q.follow = -1, true
	if text := in.Get("recent"); text != "" {
		if q.recent, err = strconv.Atoi(text); err != nil || q.recent < 0 {
			return q, fmt.Errorf("recent=%q is no number: write how many stories at the most", text)
		}
		q.follow = in.Get("follow") == "true"
	}
	if text := in.Get("since"); text != "" {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return q, fmt.Errorf("since=%q is no time: write milliseconds since 1970", text)
		}
		q.since = time.UnixMilli(ms)
		if q.recent < 0 {
			q.recent = math.MaxInt32
		}
	}
	return q, nil
}

func (q *logQuery) listen(t *telling.Teller) (*telling.Listener, func(), error) {
	if q.shown {
		return t.ListenToShown(q.filter)
	}
	return t.Follow(q.as, q.text, q.filter)
}

// log answers GET /v1/log: ?filter= what is wanted; ?recent=N only what is kept of the slow, failed and refused ones, N at the most, and with
// follow=true whatever ends from then on; ?since= (milliseconds since 1970) what is kept and ended later, and whatever ends from
// then on; ?as=NAME goes over to the edge that follows this one, where the same name hears what ended
// meanwhile; ?of=shown has the filter see what the redaction leaves, as it always does of what is kept, and takes no name. Each line is a story in JSON, or {"dropped": N} for as many that came faster than they were read, or empty.
func (c *control) log(w http.ResponseWriter, r *http.Request) {
	q, err := readLogQuery(r)
	if err != nil {
		api.AnswerError(w, http.StatusUnprocessableEntity, err)
		return
	}
	flusher := http.NewResponseController(w)
	out := bufio.NewWriterSize(&patient{w, flusher}, 64<<10)
	recent := func() {
		if q.recent < 0 {
			return
		}
		for _, text := range c.edge.told.Recent(q.filter, q.since, q.recent) {
			_, _ = out.Write(text) // the flush tells
		}
	}
	if !q.follow {
		w.Header().Set("Content-Type", "application/x-ndjson")
		recent()
		_ = out.Flush() // who asked may have left
		return
	}
	l, leave, err := q.listen(c.edge.told)
	if err != nil {
		api.AnswerError(w, http.StatusTooManyRequests, err)
		return
	}
	defer leave()
	w.Header().Set("Content-Type", "application/x-ndjson")
	flush := func() error { return errors.Join(out.Flush(), flusher.Flush()) }
	recent() // after Listen: told twice is better than not at all
	if flush() == nil {
		l.Pass(r.Context().Done(), out, flush)
	}
}

// listenerPatience is how long one who listens may take nothing: there are not many places to listen at, and who was put to sleep comes
// again when it wakes up.
const listenerPatience = 30 * time.Second

// patient is a writer to somebody who may have gone to sleep.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (p *patient) Write(b []byte) (int, error) {
	// What does not know of deadlines is no connection.
	if err := p.control.SetWriteDeadline(time.Now().Add(listenerPatience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return p.ResponseWriter.Write(b)
}

// bequeathListeners tells the successor, which does not accept anything yet, who listens here: it is to keep for them what it tells.
func (e *Edge) bequeathListeners(s *successor) {
	names := e.told.Names()
	if len(names) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	err := s.client.Post(ctx, "/v1/listeners", names, nil)
	var old *api.Failed
	if err != nil && !(errors.As(err, &old) && old.Status == http.StatusNotFound) { // a version that does not know of it
		slog.Warn("those who listen to the log miss what ends until they have found the next edge", "error", err)
	}
}

// bequeathStories leaves to the successor what is kept of requests that ended since it last did so. With successor.left.
func (e *Edge) bequeathStories(s *successor) {
	now := time.Now()
	texts := e.told.Recent(nil, s.heard, math.MaxInt32)
	if len(texts) == 0 {
		return
	}
	in := api.Stories{}
	for _, text := range texts {
		in.Stories = append(in.Stories, json.RawMessage(text))
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	err := s.client.Post(ctx, "/v1/stories", in, nil)
	var old *api.Failed
	if errors.As(err, &old) && old.Status == http.StatusNotFound {
		return // it is of a version before there were stories
	}
	if err != nil {
		slog.Warn("what was slow or failed at this edge is not known to the next one", "error", err)
		return
	}
	s.heard = now
}
