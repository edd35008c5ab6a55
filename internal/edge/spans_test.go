package edge

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

// deadWriter is an answer of which nothing leaves.
type deadWriter struct{ *httptest.ResponseRecorder }

func (deadWriter) FlushError() error { return errors.New("broken pipe") }

// TestSpansOfADeadListener: what was taken for a desk that has just died is there for the next one.
func TestSpansOfADeadListener(t *testing.T) {
	r := serveEdge(t, fibers, "sites: [{hosts: ['*'], routes: [{respond: {body: a}}]}]\n")
	r.locals[0].spans.put([]byte("span"), 1)
	c := &control{edge: r.Edge}
	c.spans(deadWriter{httptest.NewRecorder()}, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/spans?for=1s", nil))
	all := r.untold()
	if len(all) != 1 || all[0].Spans != 1 || string(all[0].Data) != "span" {
		t.Errorf("%+v", all)
	}
}
