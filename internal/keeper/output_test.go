package keeper

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/app"
	"github.com/weirhq/weir/internal/notice"
)

// TestOutput: what workers print is told as it comes, from where somebody left off, and as the last lines; streams end with weir.
func TestOutput(t *testing.T) {
	k := &keeper{sink: app.NewSink(io.Discard, notice.Form{}), ended: make(chan struct{})}
	defer k.sink.Close(time.Second)
	ends := make(chan struct{})
	s := httptest.NewServer(k.serveOutput(ends))
	defer s.Close()
	say := func(text string) { k.sink.Line(time.Now(), "web/1", []byte(text)) }
	say("one")
	say("two \x1b[31m <red>")
	get := func(query string) *http.Response {
		t.Helper()
		r, err := http.Get(s.URL + query)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Body.Close() })
		return r
	}
	all, err := io.ReadAll(get("?recent=1").Body)
	var line app.Said
	if err != nil || json.Unmarshal(all, &line) != nil || line.Text != "two \x1b[31m <red>" || line.App != "web" || line.Worker != "web/1" || line.At.IsZero() {
		t.Errorf("%v %s", err, all)
	}
	if all, err = io.ReadAll(get("?recent=100").Body); err != nil || strings.Count(string(all), "\n") != 2 {
		t.Errorf("%v %s", err, all)
	}
	if r := get("?recent=x"); r.StatusCode != http.StatusUnprocessableEntity {
		t.Error(r.Status)
	}
	// From the last that was read.
	live := bufio.NewScanner(get("?since=0").Body)
	for _, want := range []string{"one", "two \x1b[31m <red>", "three"} {
		if want == "three" {
			say(want)
		}
		if !live.Scan() || json.Unmarshal(live.Bytes(), &line) != nil || line.Text != want {
			t.Fatalf("%s: %s", want, live.Text())
		}
	}
	// From now on.
	r := get("")
	say("four")
	now := bufio.NewScanner(r.Body)
	if !now.Scan() || json.Unmarshal(now.Bytes(), &line) != nil || line.Text != "four" {
		t.Error(now.Text())
	}
	close(ends)
	if now.Scan() {
		t.Errorf("goes on: %s", now.Text())
	}
	for live.Scan() {
	}
}

// TestSlowListenersMissLines: nobody waits for them, and they are told.
func TestSlowListenersMissLines(t *testing.T) {
	k := &keeper{sink: app.NewSink(io.Discard, notice.Form{}), ended: make(chan struct{})}
	defer k.sink.Close(time.Second)
	s := httptest.NewServer(k.serveOutput(nil))
	defer s.Close()
	first := k.sink.Next()
	for range 10000 {
		k.sink.Line(time.Now(), "web/1", []byte("x"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", s.URL+"?recent=100000", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close() //nolint:errcheck // of a test
	lines := bufio.NewScanner(r.Body)
	var m missed
	n, lost := 0, uint64(0)
	for lines.Scan() {
		if json.Unmarshal(lines.Bytes(), &m) == nil && strings.Contains(lines.Text(), "missed") {
			lost += m.Missed
			continue
		}
		n++
	}
	if n+int(lost) != 10000 || lost == 0 {
		t.Errorf("%d lines, %d missed, from %d", n, lost, first)
	}
	// Too many at a time are refused.
	var open []*http.Response
	for range maxStreams + 1 {
		r, err := http.Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, r)
	}
	if status := open[maxStreams].StatusCode; status != http.StatusTooManyRequests {
		t.Error(status)
	}
	for _, r := range open {
		r.Body.Close() //nolint:errcheck // of a test
	}
	close(k.ended)
}
