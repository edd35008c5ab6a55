package monitor

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/picture"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func pictureOf(open ...int) *picture.Picture {
	p := &picture.Picture{At: noon, Node: "web-1", Version: "1.2.3", Edge: picture.Edge{Up: true, Revision: 7}}
	for i, n := range open {
		pool := picture.Pool{Name: string(rune('a' + i)), Open: n, State: "up"}
		for range n {
			pool.Servers = append(pool.Servers, picture.Server{Name: "s", State: "ready"})
		}
		pool.Servers = append(pool.Servers, picture.Server{Name: "10.0.0.9:80", State: "down", Why: "3 checks failed"})
		p.Pools = append(p.Pools, pool)
	}
	return p
}

func tell(a Answer, looks bool) string {
	w := httptest.NewRecorder()
	a.Write(w, looks)
	return strings.ReplaceAll(strings.TrimSpace(w.Body.String()), "\n", " | ")
}

func TestReady(t *testing.T) {
	down := pictureOf(1)
	down.Edge.Up = false
	for _, c := range []struct {
		name     string
		p        *picture.Picture
		age      time.Duration
		stopping bool
		query    string
		status   int
		want     string
	}{
		{"all is well", pictureOf(2), 0, false, "", 200, "ready | node: web-1 | version: 1.2.3 | revision: 7"},
		{"files alone", pictureOf(), 0, false, "", 200, "ready | node: web-1 | version: 1.2.3 | revision: 7"},
		{"one of two pools", pictureOf(0, 1), 0, false, "", 200, "ready | node: web-1 | version: 1.2.3 | revision: 7"},
		{"no pool", pictureOf(0, 0), 0, false, "", 503, "not ready | node: web-1 | version: 1.2.3 | revision: 7 | why: no pool has a server that takes requests"},
		{"that pool", pictureOf(0, 1), 0, false, "pool=a", 503, "not ready | node: web-1 | version: 1.2.3 | revision: 7 | why: pool a has 0 of 1 servers that it must have"},
		{"the other pool", pictureOf(0, 1), 0, false, "pool=b", 200, "ready | node: web-1 | version: 1.2.3 | revision: 7"},
		{"both pools", pictureOf(3, 1), 0, false, "pool=a&pool=b&min=2", 503, "not ready | node: web-1 | version: 1.2.3 | revision: 7 | why: pool b has 1 of 2 servers that it must have"},
		{"none is enough", pictureOf(0), 0, false, "pool=a&min=0", 200, "ready | node: web-1 | version: 1.2.3 | revision: 7"},
		{"no such pool", pictureOf(1), 0, false, "pool=zz", 503, "not ready | node: web-1 | version: 1.2.3 | revision: 7 | why: there is no pool \"zz\""},
		{"forged lines", pictureOf(1), 0, false, "pool=%0aready", 503, `not ready | node: web-1 | version: 1.2.3 | revision: 7 | why: there is no pool "\nready"`},
		{"version", pictureOf(1), 0, false, "version=1.2.3", 200, "ready | node: web-1 | version: 1.2.3 | revision: 7"},
		{"other version", pictureOf(1), 0, false, "version=2", 503, "not ready | node: web-1 | version: 1.2.3 | revision: 7 | why: version is 1.2.3, not \"2\""},
		{"edge down", down, 0, false, "", 503, "not ready | node: web-1 | version: 1.2.3 | revision: 7 | why: the process that serves does not answer"},
		{"stopping", pictureOf(1), 0, true, "", 503, "not ready | node: web-1 | version: 1.2.3 | revision: 7 | why: weir is stopping"},
		{"stopping and nothing known", nil, 0, true, "", 503, "not ready | why: weir is stopping"},
		{"nothing yet", nil, 0, false, "", 503, "not ready | why: nothing is known yet"},
		{"old", pictureOf(1), time.Minute, false, "", 503, "not ready | node: web-1 | version: 1.2.3 | revision: 7 | why: nothing is known since 60 seconds"},
		{"nonsense", pictureOf(1), 0, false, "min=few", 400, `min is "few": write how many servers there must be, such as 2`},
		{"negative", pictureOf(1), 0, false, "min=-1", 400, `min is "-1": write how many servers there must be, such as 2`},
	} {
		q, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		a := Ready(c.p, noon.Add(c.age), c.stopping, q)
		if got := tell(a, true); a.Status != c.status || got != c.want {
			t.Errorf("%s: %d %s, want %d %s", c.name, a.Status, got, c.status, c.want)
		}
		if got, _, _ := strings.Cut(c.want, " |"); tell(a, false) != got {
			t.Errorf("%s: who may not look is told %s", c.name, tell(a, false))
		}
	}
}

func TestPool(t *testing.T) {
	for _, c := range []struct {
		p      *picture.Picture
		name   string
		query  url.Values
		status int
		want   string
	}{
		{pictureOf(2), "a", nil, 200, "up | open: 2 | servers: 3 | active: 0 | queued: 0 | node: web-1 | version: 1.2.3 | revision: 7"},
		{pictureOf(2), "a", url.Values{"min": {"3"}}, 503, "up | open: 2 | servers: 3 | active: 0 | queued: 0 | node: web-1 | version: 1.2.3 | revision: 7 | why: pool a has 2 of 3 servers that it must have | why: 10.0.0.9:80 is down: 3 checks failed"},
		{pictureOf(2), "b", nil, 404, "no such pool"},
		{nil, "a", nil, 503, "unknown | why: nothing is known of now"},
	} {
		a := Pool(c.p, noon, c.name, c.query)
		if got := tell(a, true); a.Status != c.status || got != c.want {
			t.Errorf("%s: %d %s, want %d %s", c.name, a.Status, got, c.status, c.want)
		}
	}
}

// TestManyNames: a question that names many pools has a short answer.
func TestManyNames(t *testing.T) {
	names := make([]string, 5000)
	a := Ready(pictureOf(2), pictureOf(2).At, false, url.Values{"pool": names})
	if a.Status != 503 || len(a.Why) != mostWhys {
		t.Errorf("%d with %d reasons", a.Status, len(a.Why))
	}
}

func TestLive(t *testing.T) {
	if a := Live(nil); a.Status != 200 || tell(a, true) != "live" {
		t.Errorf("%d %s", a.Status, tell(a, true))
	}
	if a := Live(pictureOf()); tell(a, true) != "live | node: web-1 | version: 1.2.3 | revision: 7" || tell(a, false) != "live" {
		t.Error(tell(a, true))
	}
}
