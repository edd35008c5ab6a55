package top

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/picture"
)

// check holds a frame to what every frame is: as many lines as the screen has, none wider than it, and nothing but text.
func check(t *testing.T, m *model, what string) {
	t.Helper()
	text, x, y := m.frame()
	lines := strings.Split(text, "\n")
	if len(lines) != m.h {
		t.Fatalf("%s at %dx%d: %d lines\n%s", what, m.w, m.h, len(lines), text)
	}
	for _, l := range lines {
		if w := widthOf(l); w > m.w {
			t.Fatalf("%s at %dx%d: %d columns\n%s", what, m.w, m.h, w, l)
		}
		for _, r := range l {
			if r < 0x20 || r >= 0x7f && r < 0xa0 {
				t.Fatalf("%s at %dx%d: %U in %q", what, m.w, m.h, r, l)
			}
		}
	}
	if y >= m.h || x > m.w {
		t.Fatalf("%s at %dx%d: the cursor is at %d, %d", what, m.w, m.h, x, y)
	}
}

// hostile is a picture in which all text is somebody's who means harm.
func hostile(r *rand.Rand) *picture.Picture {
	p := fakePicture(r.IntN(1000), r.IntN(4))
	say := func() string { return nasty[r.IntN(len(nasty))] }
	p.Node, p.Version, p.File, p.Problem = say(), say(), say(), say()
	for i := range p.Pools {
		o := &p.Pools[i]
		o.Name, o.State, o.Breaker = say(), say(), say()
		for j := range o.Servers {
			s := &o.Servers[j]
			s.Name, s.Address, s.Why, s.Check, s.State = say()+fmt.Sprint(j), say(), say(), say(), say()
			s.Weight, s.Share, s.Active, s.Rate, s.DownFor = r.IntN(3)-1, r.IntN(2000), -5, -1, 1e300
			s.Failures = map[string]uint64{say(): 3}
		}
	}
	for i := range p.Apps {
		p.Apps[i].Name = say()
		for j := range p.Apps[i].Workers {
			w := &p.Apps[i].Workers[j]
			w.Name, w.State, w.Last, w.Due, w.Since, w.Memory = say(), say(), say(), say(), say(), -1
		}
	}
	for i := range p.Routes {
		p.Routes[i].Site, p.Routes[i].Name, p.Routes[i].Pool = say(), say(), say()
		p.Routes[i].Whys = map[string]uint64{say(): 1}
	}
	p.Total.Whys = map[string]uint64{say(): 5, say() + "x": 1 << 63}
	p.Total.Status = [6]uint64{1 << 63, 1 << 63, 3, 4, 5, 6}
	p.Facts.Words, p.Facts.Disks[0].Path, p.Facts.CPUs = []string{say(), say()}, say(), []float64{-1, 3}
	p.Hands[0].Reason, p.Hands[0].By = say(), say()
	p.Cache.Disk.Problem, p.Cache.Disk.Path, p.Cache.Disk.Damaged = say(), say(), 3
	p.Included = []api.FileStatus{{Path: say(), Problem: say()}}
	return p
}

var allKeys = []string{"1", "2", "3", "4", "5", "6", "7", "tab", "shift+tab", "up", "down", "pgup", "pgdown", "home", "end", "left", "right", "enter", "esc", "r", "o", "/", "t", "space", "?", "d", "m", "e", "w", "R",
	"l", "M", "q", "j", "k", "g", "G", "a", "写", "backspace", "f5", "ctrl+u", "ctrl+w"}

// TestAnythingAtAnySize: whatever comes and whatever is pressed, each frame is whole.
func TestAnythingAtAnySize(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := newModel(NoInk, seed%5 == 0)
		m.take(gotMe{Me{Role: "operate"}})
		for range 250 {
			switch r.IntN(12) {
			case 0:
				feed(m, m.take(hostile(r)))
			case 1:
				feed(m, m.take(fakePicture(r.IntN(1000), r.IntN(300))))
			case 2:
				feed(m, m.take(&picture.Picture{At: noon}))
			case 3:
				m.take(resized{r.IntN(150), r.IntN(60)})
			case 4:
				m.take(click{r.IntN(160) - 5, r.IntN(70) - 5})
			case 5:
				m.take(wheel{r.IntN(7) - 3})
			case 6:
				m.take(pasted{nasty[r.IntN(len(nasty))]})
			case 7:
				m.take([]any{lost{errors.New(nasty[r.IntN(len(nasty))])}, gotDone{text: nasty[r.IntN(len(nasty))]}, gotCache{err: errors.New("no\x1b[2J")},
					gotEvents{list: []Event{{At: noon, Subject: nasty[r.IntN(len(nasty))], Text: nasty[r.IntN(len(nasty))]}}}, background{}}[r.IntN(5)])
			default:
				feed(m, m.take(pressed(allKeys[r.IntN(len(allKeys))])))
			}
			check(t, m, fmt.Sprint("seed ", seed))
		}
	}
}

// TestBeforeAnythingIsKnown: keys are pressed before the first picture is there.
func TestBeforeAnythingIsKnown(t *testing.T) {
	for _, k := range allKeys {
		m := newModel(NoInk, false)
		m.take(pressed(k))
		check(t, m, k)
		m.take(lost{errors.New("nobody answers")})
		check(t, m, k)
		feed(m, m.take(fakePicture(1, 0)))
		check(t, m, k)
	}
}

func keysOf(m *model) (names []string) {
	m.frame()
	for _, it := range m.shown {
		names = append(names, strings.TrimPrefix(strings.TrimPrefix(it.key, "server "), "pool "))
	}
	return names
}

func TestSorting(t *testing.T) {
	by := func(head string, back bool) *model {
		m := played(t, 250, 50, 0, "2")
		for i, c := range poolColumns {
			if c.head == head {
				m.tabs[pools].order = sorting{i + 1, back}
			}
		}
		return m
	}
	for _, c := range []struct {
		head string
		back bool
		want string
	}{
		{"", false, "web web/10.0.0.5:8080 web/10.0.0.6:8080 web/10.0.0.7:8080 web/10.0.0.8:8080 photos photos/photos/1 photos/photos/2 photos/photos/3 db db/10.0.9.1:5432"},
		{"POOL/SERVER", false, "db db/10.0.9.1:5432 photos photos/photos/1 photos/photos/2 photos/photos/3 web web/10.0.0.5:8080 web/10.0.0.6:8080 web/10.0.0.7:8080 web/10.0.0.8:8080"},
		{"POOL/SERVER", true, "web web/10.0.0.8:8080 web/10.0.0.7:8080 web/10.0.0.6:8080 web/10.0.0.5:8080 photos photos/photos/3 photos/photos/2 photos/photos/1 db db/10.0.9.1:5432"},
		{"RATE", false, "web web/10.0.0.5:8080 web/10.0.0.8:8080 web/10.0.0.7:8080 web/10.0.0.6:8080 photos photos/photos/1 photos/photos/2 photos/photos/3 db db/10.0.9.1:5432"},
		{"DOWN", false, "web web/10.0.0.6:8080 web/10.0.0.5:8080 web/10.0.0.7:8080 web/10.0.0.8:8080 db db/10.0.9.1:5432 photos photos/photos/1 photos/photos/2 photos/photos/3"},
	} {
		if got := strings.Join(keysOf(by(c.head, c.back)), " "); got != c.want {
			t.Errorf("by %q, %v:\n%s\nwant\n%s", c.head, c.back, got, c.want)
		}
	}
}

// TestChosenStays: what is chosen stays so while the table is sorted anew, and what takes its place when it is gone.
func TestChosenStays(t *testing.T) {
	m := played(t, 120, 40, 0, "2", "down", "down")
	if it := m.chosen(); it.server == nil || it.server.Name != "10.0.0.6:8080" {
		t.Fatal(it.key)
	}
	m.tabs[pools].order = sorting{by: 8}
	m.frame()
	if it := m.chosen(); it.server == nil || it.server.Name != "10.0.0.6:8080" {
		t.Fatal(it.key)
	}
	p := fakePicture(20, 0)
	p.Pools[0].Servers = p.Pools[0].Servers[:1]
	feed(m, m.take(p))
	m.frame()
	if m.chosen() == nil {
		t.Error("nothing is chosen")
	}
	m = played(t, 80, 24, 0, "2", "down", "down", "enter")
	feed(m, m.take(p))
	if text, _, _ := m.frame(); !strings.Contains(text, "web/10.0.0.6:8080 is no more") {
		t.Error(text)
	}
}

// TestPause: what comes while it is paused is not seen, and is there afterwards.
func TestPause(t *testing.T) {
	m := played(t, 80, 24, 0, "space")
	before, _, _ := m.frame()
	for n := range 5 {
		feed(m, m.take(fakePicture(20+n, 0)))
	}
	if after, _, _ := m.frame(); after != before {
		t.Errorf("%s\nand then\n%s", before, after)
	}
	m.take(pressed("space"))
	if text, _, _ := m.frame(); !strings.Contains(text, "12:00:24") {
		t.Error(text)
	}
	m = played(t, 80, 24, 0, "6", "space")
	rows := len(keysOf(m))
	more := fakeAnswer(askLog{run: m.run}).(gotStories)
	m.take(more)
	if n := len(keysOf(m)); n != rows {
		t.Errorf("%d rows, and then %d", rows, n)
	}
	m.take(pressed("space"))
	if n := len(keysOf(m)); n != rows+len(more.list) {
		t.Errorf("%d rows of %d and %d", n, rows, len(more.list))
	}
}

// TestWants: what is asked for follows what is looked at, and not more often than needed.
func TestWants(t *testing.T) {
	m := newModel(NoInk, false)
	count := map[string]int{}
	note := func(todo []any) {
		for _, what := range todo {
			count[fmt.Sprintf("%T", what)]++
			if got := fakeAnswer(what); got != nil {
				m.take(got)
			}
		}
	}
	for n := range 60 {
		note(m.take(fakePicture(n, 0)))
	}
	if count["top.askSeries"] != 1 || count["top.askAlerts"] < 10 || count["top.askAlerts"] > 13 || count["top.askNumbers"] != 2 || len(count) != 3 {
		t.Error(count)
	}
	note(m.take(pressed("t")))
	for n := range 60 {
		note(m.take(fakePicture(60+n, 0)))
	}
	if n := count["top.askSeries"]; n < 10 || n > 20 {
		t.Error(count)
	}
	clear(count)
	note(m.take(pressed("6")))
	note(m.take(pressed("1")))
	note(m.take(pressed("2")))
	if count["top.askLog"] != 1 || count["top.endLog"] != 1 {
		t.Error(count)
	}
	clear(count)
	note(m.take(lost{errors.New("gone")}))
	note(m.take(fakePicture(121, 0)))
	if count["top.askEvents"] != 1 || count["top.askMe"] != 1 {
		t.Error("after the desk came back:", count)
	}
}

// TestBounded: what is kept does not grow with what comes.
func TestBounded(t *testing.T) {
	m := played(t, 80, 24, 0, "6")
	for i := range 3000 {
		m.take(gotStories{run: m.run, list: []*story{{key: fmt.Sprint(i)}}})
		m.take(gotEvents{list: []Event{{At: noon.Add(time.Duration(i)), Text: "something"}}})
		p := fakePicture(20+i, 0)
		p.Pools[0].Servers[0].Name = fmt.Sprint("10.0.0.5:", i)
		p.Pools[0].Name = fmt.Sprint("pool", i)
		m.take(p)
	}
	if len(m.stories) > maxStories || len(m.events) > maxEvents || len(m.past) > 20 || len(m.lately) > 12 || len(m.series["total 10m"].row("rate")) > seriesLen {
		t.Error(len(m.stories), len(m.events), len(m.past), len(m.lately))
	}
	for name, h := range m.past {
		if len(h.rate) > historyLen {
			t.Error(name, len(h.rate))
		}
	}
	m.take(pressed("space"))
	for i := range 3000 {
		m.take(gotStories{run: m.run, list: []*story{{key: fmt.Sprint(i)}}})
	}
	if len(m.waiting) > maxStories {
		t.Error(len(m.waiting))
	}
}

func TestLastServerIsWarnedOf(t *testing.T) {
	p := fakePicture(1, 0)
	one := &p.Pools[0]
	one.Open = 1
	if d := handDialog("d", one, &one.Servers[0], ""); !strings.Contains(d.warning, "last one") {
		t.Error(d.warning)
	}
	if d := handDialog("d", one, &one.Servers[1], ""); d.warning != "" {
		t.Error(d.warning)
	}
}

// TestLastServerWhilePaused: what is shown stands still, what it means to take a server out does not.
func TestLastServerWhilePaused(t *testing.T) {
	m := played(t, 100, 30, 0, "2", "down", "space")
	it := m.subject()
	if it == nil || it.server == nil || it.pool.Open < 2 {
		t.Fatalf("%+v is chosen", it)
	}
	p := fakePicture(30, 0)
	o, _ := serverIn(p, it.pool.Name, it.server.Name)
	o.Open = 1
	for i := range o.Servers {
		o.Servers[i].State = map[bool]string{true: "ready", false: "down"}[o.Servers[i].Name == it.server.Name]
	}
	m.take(p)
	m.take(pressed("d"))
	if m.ask == nil || !strings.Contains(m.ask.warning, "last one") {
		t.Errorf("nothing is said of it: %+v", m.ask)
	}
}

// TestWhoIsBehind: who acts by sudo is noted, since the desk sees root.
func TestWhoIsBehind(t *testing.T) {
	p := fakePicture(1, 0)
	for behind, want := range map[string]string{"": "new disk", "ann": "new disk (ann, by sudo)"} {
		d := handDialog("d", &p.Pools[0], &p.Pools[0].Servers[0], behind)
		d.field().put("new disk")
		what, err := d.do(d)
		if in, ok := what.(intervene); err != nil || !ok || in.what.Reason != want {
			t.Errorf("%q: %v, %v", behind, what, err)
		}
	}
}

// TestEventsOfOne: those of a neighbour whose name begins alike are not among them; those of the process before it are.
func TestEventsOfOne(t *testing.T) {
	m := played(t, 100, 40, 0)
	m.events = []Event{{At: noon, Subject: "web/10.0.0.7:8080", Text: "a neighbour"}, {At: noon, Subject: "photos/2.1", Text: "this process"}, {At: noon, Subject: "photos/2", Text: "this place"}, {At: noon, Subject: "photos/20", Text: "another place"}}
	for _, c := range []struct {
		pool, server int
		want, not    []string
	}{{0, 1, nil, []string{"a neighbour", "this"}}, {0, 2, []string{"a neighbour"}, []string{"this"}}, {1, 1, []string{"this place"}, []string{"a neighbour", "another"}}} {
		p := &m.pic.Pools[c.pool]
		var text strings.Builder
		for _, l := range m.serverLines(p, &p.Servers[c.server]) {
			m.paint.put(&text, l, 100, false)
		}
		for _, want := range c.want {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%s: no %q", p.Servers[c.server].Name, want)
			}
		}
		for _, not := range c.not {
			if strings.Contains(text.String(), not) {
				t.Errorf("%s: %q", p.Servers[c.server].Name, not)
			}
		}
	}
}

// TestLongAnswer: what the desk says about a deed is shown whole, where there is room.
func TestLongAnswer(t *testing.T) {
	m := played(t, 60, 20, 0, "2")
	m.take(gotDone{err: errors.New(strings.Repeat("there is no such server ", 5) + "at all")})
	if text, _, _ := m.frame(); !strings.Contains(text, "at all") {
		t.Error(text)
	}
	check(t, m, "answer")
}

// TestAlerts: the worst are on top of every view, and never push the rest out.
func TestAlerts(t *testing.T) {
	m := played(t, 80, 24, 0)
	var all []Alert
	for i := range 40 {
		all = append(all, Alert{Text: fmt.Sprintf("number %d %s", i, strings.Repeat("long ", 30)), Severity: "critical", Fired: noon})
	}
	m.take(gotAlerts{all})
	for _, c := range [][2]string{{"1", "and 38 more"}, {"2", "and 39 more"}, {"?", "and 39 more"}} {
		m.take(pressed(c[0]))
		check(t, m, c[0])
		if text, _, _ := m.frame(); !strings.Contains(text, "ALERT number 0") || !strings.Contains(text, c[1]) {
			t.Errorf("%s:\n%s", c[0], text)
		}
	}
	m.take(gotAlerts{[]Alert{{Text: "it was down", Fired: noon, Clearing: noon.Add(time.Second)}}})
	if text, _, _ := m.frame(); !strings.Contains(text, "ALERT it was down · over for 10s") {
		t.Error(text)
	}
	m.take(gotAlerts{})
	if text, _, _ := m.frame(); strings.Contains(text, "ALERT") {
		t.Error(text)
	}
}

// TestEscAndAKey: typed fast, they arrive as one.
func TestEscAndAKey(t *testing.T) {
	m := played(t, 80, 24, 0, "2", "down", "enter", "alt+3")
	if m.detail != "" || m.view != workers {
		t.Errorf("%q, view %d", m.detail, m.view)
	}
}

func TestReadStory(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{"id":"a","status":200,"stages":{"queue":{"ms":1.5}},"list":[1,2],"none":null,"yes":true}`, "[{id a} {status 200} {stages.queue.ms 1.5} {list [1,2]} {none } {yes true}]"},
		{`{}`, "[]"},
	} {
		s, err := readStory([]byte(c.text), "k")
		if err != nil || fmt.Sprint(s.fields) != c.want {
			t.Errorf("%s: %v, %v", c.text, s, err)
		}
	}
	for _, text := range []string{"", "[]", "{", `{"a"`, `{"a":}`, "7", strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20)} {
		if s, err := readStory([]byte(text), "k"); err == nil {
			t.Errorf("%q is read: %v", text, s)
		}
	}
}

func FuzzReadStory(f *testing.F) {
	for _, l := range splitLines(fakeLog) {
		f.Add([]byte(l))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := readStory(text, "k")
		if err != nil {
			return
		}
		m := newModel(NoInk, false)
		m.take(resized{70, 20})
		feed(m, m.take(fakePicture(1, 0)))
		m.view, m.logging = logView, true
		m.stories = []*story{s}
		check(t, m, "log")
		m.detail = "k"
		check(t, m, "story")
	})
}

func BenchmarkFrame(b *testing.B) {
	for _, v := range []view{overview, pools} {
		b.Run(Views[v], func(b *testing.B) {
			m := newModel(OnDark, false)
			m.take(resized{200, 60})
			m.view = v
			raw, err := json.Marshal(fakePicture(1, 100))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(raw)))
			for n := 0; b.Loop(); n++ {
				p := &picture.Picture{}
				if err := json.Unmarshal(raw, p); err != nil {
					b.Fatal(err)
				}
				p.At = noon.Add(time.Duration(n) * time.Second)
				feed(m, m.take(p))
				m.frame()
			}
		})
	}
}
