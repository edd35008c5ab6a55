package desk

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/api"
)

// What a room asks of keeper and edge costs them time that they need for other things. However many ask at the desk, and whoever they are, the two
// are asked only so often.

// question is one that is passed on, and its answer written, once a second: who asks in between gets what there is.
type question struct {
	mu     sync.Mutex
	at     time.Time
	status int
	body   []byte
}

// answer answers by what ask returns, or has returned.
func (q *question) answer(w http.ResponseWriter, ask func(context.Context) (any, error)) {
	q.mu.Lock()
	if now := time.Now(); q.at.IsZero() || now.Sub(q.at) >= every {
		// Not the context of one who asks: the answer is for all that wait.
		ctx, cancel := context.WithTimeout(context.Background(), askTime)
		q.status, q.body = written(ask(ctx))
		q.at = time.Now()
		cancel()
	}
	status, body := q.status, q.body
	q.mu.Unlock()
	send(w, status, body)
}

// written is an answer, or the error in place of it, as JSON.
func written(v any, err error) (status int, body []byte) {
	status = http.StatusOK
	if err != nil {
		status, v = statusOf(err), api.Error{Error: err.Error()}
	}
	if body, err = json.Marshal(v); err != nil { // only a mistake of ours makes a value that JSON cannot hold
		slog.Error("an answer cannot be written", "error", err)
		return http.StatusInternalServerError, []byte(`{"error":"the answer could not be written as JSON"}`)
	}
	return status, body
}

func send(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body) //nolint:errcheck // the caller is gone, nobody is left to tell
}

// forget has the next one ask: something has been done.
func (q *question) forget() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.at = time.Time{}
}

const (
	paceOf    = 20 * time.Millisecond // between two questions
	paceQueue = time.Second           // that one waits at the most
)

// pace keeps questions apart. The zero value is ready.
type pace struct {
	mu   sync.Mutex
	next time.Time
}

// wait waits for one's turn; false: there are too many, or the context is over.
func (p *pace) wait(ctx context.Context) bool {
	p.mu.Lock()
	now := time.Now()
	at := p.next
	if at.Before(now) {
		at = now
	}
	if at.Sub(now) > paceQueue {
		p.mu.Unlock()
		return false
	}
	p.next = at.Add(paceOf)
	p.mu.Unlock()
	t := time.NewTimer(at.Sub(now))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
