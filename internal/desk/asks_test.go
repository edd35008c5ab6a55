package desk

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// TestQuestion: however many ask, it is passed on once a second, and anew when something was done.
func TestQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q question
		asked := 0
		var fails error
		ask := func(want int) {
			t.Helper()
			for range 5 {
				w := httptest.NewRecorder()
				q.answer(w, func(context.Context) (any, error) { asked++; return asked, fails })
				if want := strconv.Itoa(asked); fails == nil && (w.Code != http.StatusOK || w.Body.String() != want) || fails != nil && w.Code != http.StatusBadGateway {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			}
			if asked != want {
				t.Errorf("asked %d times, want %d", asked, want)
			}
		}
		ask(1)
		time.Sleep(every)
		ask(2)
		q.forget()
		ask(3)
		time.Sleep(every)
		fails = errors.New("nobody is there")
		ask(4)
	})
}

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan bool)
		const n = 200
		begin := time.Now()
		for range n {
			go func() { got <- p.wait(ctx) }()
		}
		yes := 0
		for range n {
			if <-got {
				yes++
			}
		}
		if took, want := time.Since(begin), int(paceQueue/paceOf)+1; yes != want || took != paceQueue {
			t.Errorf("%d of %d within %s, want %d", yes, n, took, want)
		}
		go func() { got <- p.wait(ctx) }()
		synctest.Wait()
		cancel()
		if <-got {
			t.Error("who has left is told to go on")
		}
	})
}
