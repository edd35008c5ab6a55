package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/weirhq/weir/internal/desk/events"
	"github.com/weirhq/weir/internal/desk/series"
	"github.com/weirhq/weir/internal/picture"
	"github.com/weirhq/weir/internal/testkit"
)

// TestDeskOutlivesRestart: weir is stopped and started, as a machine is: its run directory is another one each time. Totals, graphs and
// events go on, to the last request where weir was stopped, and as they were left where all of it was killed at one moment.
func TestDeskOutlivesRestart(t *testing.T) {
	dir, address := t.TempDir(), testkit.FreeAddress(t)
	text := strings.Replace(withDesk(address), "admin: {", "admin: {keep: "+dir+", ", 1)
	run := func() (*testkit.Weir, *picture.Picture) {
		w := testkit.Run(t, testkit.Setup{Config: text})
		return w, awaitPicture(t, address, "the desk is there", func(p *picture.Picture) bool { return p.Edge.Up && p.Total.Requests > 0 })
	}
	ask := func(path string, into any) {
		t.Helper()
		status, text := fetch(t, "GET", "http://"+address+path, "")
		if status != http.StatusOK {
			t.Fatalf("%s: %d %s", path, status, text)
		}
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	starts := func() (n int) {
		var all []events.Event
		ask("/api/v1/events", &all)
		for _, e := range all {
			if e.Kind == "start" {
				n++
			}
		}
		return n
	}

	w, first := run()
	c := w.Dial()
	for range 50 {
		request(c, "/")
	}
	before := awaitPicture(t, address, "all is counted", func(p *picture.Picture) bool { return p.Total.Requests >= first.Total.Requests+50 })
	var had series.Series
	for _, span := range series.Spans {
		had = series.Series{}
		ask("/api/v1/series?span="+span.Name, &had)
		if len(had.Values) == 0 || len(had.Values[0]) == 0 {
			t.Fatalf("there is no graph of %s", span.Name)
		}
	}
	w.Stop()

	w, _ = run()
	wanted := func(p *picture.Picture) bool {
		return p.Edge.Up && p.Total.Requests == before.Total.Requests+w.Status().Edge.Requests
	}
	p := awaitPicture(t, address, "what was counted before is there, and what was since", wanted)
	if !p.Counted.Equal(first.Counted) {
		t.Errorf("counting began anew at %v", p.Counted)
	}
	var now series.Series
	ask("/api/v1/series?span=10m", &now)
	if begin := now.End - int64(len(now.Values[0])) + 1; begin > first.At.Unix() {
		t.Errorf("the graph begins %d s after weir", begin-first.At.Unix())
	}
	if n := starts(); n != 1 {
		t.Errorf("%d starts are told, want 1", n)
	}

	// Nobody has a moment to leave anything.
	for _, one := range append(w.Processes(), w.Desk(), w.Edge(), w.Keeper()) {
		syscall.Kill(one.PID, syscall.SIGKILL) //nolint:errcheck // some die with others
	}
	<-w.Exited()
	w, _ = run()
	p = awaitPicture(t, address, "what was left is there", func(p *picture.Picture) bool { return p.Edge.Up && p.Total.Requests > before.Total.Requests })
	if !p.Counted.Equal(first.Counted) || starts() == 0 { // the one before may have had no time to leave that it was started
		t.Errorf("counting began at %v, %d starts are told", p.Counted, starts())
	}
	told := starts()
	w.Stop()

	// A file that is damaged costs what is in it.
	all, err := filepath.Glob(filepath.Join(dir, "desk.*.gz"))
	if err != nil || len(all) != 6 {
		t.Fatalf("kept are %v, %v", all, err)
	}
	if err := os.Truncate(filepath.Join(dir, "desk.totals.gz"), 20); err != nil {
		t.Fatal(err)
	}
	w, p = run()
	if p.Counted.Equal(first.Counted) || starts() != told+1 {
		t.Errorf("with half a file counting began at %v, %d starts are told", p.Counted, starts())
	}
	if !strings.Contains(w.Output(), "what the status page knew of totals cannot be read") {
		t.Errorf("the damage is not told:\n%s", w.Output())
	}
}

// TestNothingIsCountedAmiss: what is answered until weir stops is in the totals afterwards, to the last request, where its run directory is
// the same.
func TestNothingIsCountedAmiss(t *testing.T) {
	address := testkit.FreeAddress(t)
	w := testkit.Run(t, testkit.Setup{Config: withDesk(address)})
	sent := awaitPicture(t, address, "what waited for weir is counted", func(p *picture.Picture) bool { return p.Edge.Up && p.Total.Requests > 0 }).Total.Requests
	for range 3 {
		c := w.Dial()
		for range 200 {
			request(c, "/")
		}
		sent += 200
		w.Stop() // before the desk has asked again
		w = testkit.Run(t, testkit.Setup{Config: withDesk(address), RunDir: w.RunDir})
		p := awaitPicture(t, address, "it is there again", func(p *picture.Picture) bool {
			st := w.Status()
			return p.Edge.Up && st.Edge != nil && st.Edge.Requests > 0 && p.Total.Requests >= sent+st.Edge.Requests
		})
		if now := w.Status().Edge.Requests; p.Total.Requests != sent+now {
			t.Fatalf("%d requests are counted, want %d", p.Total.Requests, sent+now)
		} else {
			sent += now
		}
	}
}
