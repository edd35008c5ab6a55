package grouping

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/desk/alert"
	"github.com/weirhq/weir/internal/picture"
)

var begin = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// play gives a book the lines of a worker, and time to put them together.
func play(b *Book, at time.Time, worker, text string) []alert.News {
	for line := range strings.Lines(text) {
		b.Take(Line{At: at, App: "web", Worker: worker, Text: strings.TrimRight(line, "\n")})
	}
	return b.Look(&picture.Picture{At: at.Add(2 * time.Second)}, 0)
}

// TestTracebacks: one of each language, twice, with other values: it is one shape, with its place.
func TestTracebacks(t *testing.T) {
	for _, c := range []struct{ name, kind, text, shape, where string }{
		{"python", "python", `INFO starting
Traceback (most recent call last):
  File "/srv/app/views.py", line 12, in show
    photo = Photo.objects.get(pk=pk)
  File "/usr/lib/python3/django/query.py", line 300, in get
    raise self.model.DoesNotExist(
photos.models.Photo.DoesNotExist: Photo 4711 of 'ann' does not exist
INFO going on
`, "photos.models.Photo.DoesNotExist: Photo # of “…” does not exist", "/usr/lib/python#/django/query.py get < /srv/app/views.py show"},
		{"python chain", "python", `ERROR:root:Exception on / [GET] Traceback (most recent call last):
  File "/a.py", line 1, in f
    x()
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/a.py", line 3, in g
    ~~~~^^^
ValueError: it is 0x7f001122 now
`, "ValueError: it is # now", "/a.py g"},
		{"ruby", "ruby", `/srv/app/models/user.rb:31:in 'User#name': undefined method 'upcase' for nil (NoMethodError)
	from /srv/app/controllers/users.rb:8:in 'UsersController#show'
	from /srv/config.ru:3:in 'block in <main>'
Started GET "/"
`, "NoMethodError: undefined method “…” for nil", "/srv/app/models/user.rb User#name < /srv/app/controllers/users.rb UsersController#show < /srv/config.ru block in <main>"},
		{"rails", "ruby", `F, [2026-11-21] FATAL -- :   
ActiveRecord::RecordNotFound (Couldn't find User with 'id'=4711):
  
app/models/user.rb:31:in ` + "`find'" + `
app/controllers/users_controller.rb:8:in ` + "`show'" + `
`, "ActiveRecord::RecordNotFound: Couldn’t find User with “…”=#", "app/models/user.rb find < app/controllers/users_controller.rb show"},
		{"node", "node", `TypeError: Cannot read properties of undefined (reading 'id4711')
    at show (/srv/app/routes.js:12:33)
    at Layer.handle [as handle_request] (/srv/node_modules/express/lib/router/layer.js:95:5)
    at next (/srv/node_modules/express/lib/router/route.js:144:13)
server goes on
`, "TypeError: Cannot read properties of undefined (reading “…”)", "show (/srv/app/routes.js < Layer.handle [as handle_request] (/srv/node_modules/express/lib/router/layer.js < next (/srv/node_modules/express/lib/router/route.js"},
		{"go", "go", `2026/11/21 12:00:00 http: panic serving 127.0.0.1:4711: runtime error: index out of range [5] with length 3
goroutine 33 [running]:
net/http.(*conn).serve.func1()
	/usr/lib/go/src/net/http/server.go:1947 +0xbe
panic({0x6a0b40?, 0xc0000180a8?})
	/usr/lib/go/src/runtime/panic.go:792 +0x132
main.(*shop).show(0xc000010000, {0x7f, 0x12})
	/srv/shop/main.go:23 +0x1d

goroutine 34 [IO wait]:
internal/poll.runtime_pollWait(0x7f, 0x72)
`, "panic: runtime error: index out of range [#] with length #", "net/http.(*conn).serve.func# < main.(*shop).show"},
		{"php", "php", `PHP Fatal error:  Uncaught PDOException: SQLSTATE[42S02]: no table 'x4711' in /srv/www/db.php:31
Stack trace:
#0 /srv/www/db.php(31): PDO->query('SELECT 4711')
#1 /srv/www/index.php(4): find(4711)
#2 {main}
  thrown in /srv/www/db.php on line 31
`, "Uncaught PDOException: SQLSTATE[#S#]: no table “…” in /srv/www/db.php:#", "/srv/www/db.php: PDO->query('SELECT #') < /srv/www/index.php: find < {main}"},
		{"java", "java", `2026-11-21 ERROR o.a.Servlet: request failed
java.lang.IllegalStateException: wrapped
	at org.example.Web.handle(Web.java:50)
	at java.base/java.lang.Thread.run(Thread.java:840)
Caused by: java.sql.SQLException: connection 4711 to 10.0.0.5:5432 closed
	at org.example.Db.find(Db.java:31)
	... 12 more
`, "java.sql.SQLException: connection # to # closed", "org.example.Db.find(Db.java"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := New(Saved{})
			news := play(b, begin, "web/1", c.text)
			if len(news) != 1 || !strings.Contains(news[0].Text, c.shape) {
				t.Fatalf("%+v", news)
			}
			other := strings.NewReplacer("4711", "0815", "'ann'", "'bob'", "0x7f001122", "0x7e9988", "main.go:23", "main.go:24", "line 12", "line 14").Replace(c.text)
			if news = play(b, begin.Add(time.Minute), "web/2", other); len(news) != 0 {
				t.Errorf("told again: %+v", news)
			}
			all := b.List()
			if len(all) != 1 {
				t.Fatalf("%d shapes: %+v", len(all), all)
			}
			p := all[0]
			if p.Kind != c.kind || p.Shape != c.shape || p.Where != c.where || p.Count != 2 || p.Worker != "web/2" || len(p.Sample) == 0 {
				t.Errorf("%s\n%s\n%s\n%d %s %q", p.Kind, p.Shape, p.Where, p.Count, p.Worker, p.Sample)
			}
		})
	}
}

// TestNoTracebacks: ordinary output is none.
func TestNoTracebacks(t *testing.T) {
	b := New(Saved{})
	news := play(b, begin, "web/1", `Error: nothing of note
at 12:00 the job ran
    at least that is what it says
GET /Error/Exception 200
from /srv/x.rb
panic
goroutine profile: total 5
INFO KeyError was handled
#0 first
`)
	if len(news) != 0 || len(b.List()) != 0 {
		t.Errorf("%+v %+v", news, b.List())
	}
}

// TestWorkersDoNotMix: lines of two workers that print at the same time are put together each by itself.
func TestWorkersDoNotMix(t *testing.T) {
	b := New(Saved{})
	text := "Traceback (most recent call last):\n  File \"/a.py\", line 1, in f\n    x()\nKeyError: 'x'\n"
	for line := range strings.Lines(text) {
		for _, w := range []string{"web/1", "web/2"} {
			b.Take(Line{At: begin, App: "web", Worker: w, Text: strings.TrimRight(line, "\n")})
		}
	}
	b.Look(&picture.Picture{At: begin.Add(2 * time.Second)}, 0)
	if all := b.List(); len(all) != 1 || all[0].Count != 2 {
		t.Errorf("%+v", all)
	}
}

func answered(at time.Time, status, queueFull uint64) *picture.Picture {
	r := picture.Route{Site: "www", Name: "www#1", Pool: "web"}
	r.Status[5] = status
	r.Causes = map[string]uint64{"queue_full": queueFull, "client_gone": 5}
	return &picture.Picture{At: at, Edge: picture.Edge{Up: true}, Routes: []picture.Route{r}, Pools: []picture.Pool{{Name: "web", App: "web"}}}
}

// TestAnswers: the application's own are told when they are new and nothing it printed says why; those of weir are not the application's.
func TestAnswers(t *testing.T) {
	b := New(Saved{})
	at := begin
	look := func(status, full uint64) []alert.News {
		at = at.Add(time.Second)
		return b.Look(answered(at, status, full), 0)
	}
	if news := look(100, 0); len(news) != 0 { // what was before
		t.Error(news)
	}
	if look(110, 10); len(b.List()) != 0 {
		t.Error("weir's own answers are the application's")
	}
	look(113, 10)
	var told []alert.News
	for range 10 {
		told = append(told, look(113, 10)...)
	}
	if len(told) != 1 || told[0].Text != "web answered 3 requests with 500 or above at www, route www#1" {
		t.Error(told)
	}
	look(120, 10)
	if p := b.List()[0]; p.Count != 10 || p.Kind != "answers" {
		t.Error(p)
	}
	// Another process goes on from there.
	b = New(b.Save())
	look(121, 10)
	if p := b.List()[0]; p.Count != 11 {
		t.Error(p)
	}
	// Begun anew, as after a change of the configuration.
	look(0, 0)
	if p := b.List()[0]; p.Count != 11 {
		t.Error(p)
	}
	// A traceback says it better.
	b = New(Saved{})
	look(0, 0)
	look(1, 0)
	play(b, at, "web/1", "Traceback (most recent call last):\n  File \"/a.py\", line 1, in f\nKeyError: 'x'\n")
	for range 10 {
		for _, n := range look(1, 0) {
			t.Error("told twice:", n.Text)
		}
	}
}

// TestOpenGoesOver: a traceback of which the first lines came to one book and the rest to the next is one, in each language.
func TestOpenGoesOver(t *testing.T) {
	for _, text := range []string{
		"Traceback (most recent call last):\n  File \"/a.py\", line 1, in f\n    x()\nKeyError: 'x'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"/a.py\", line 3, in g\nValueError: y\n",
		"TypeError: x of undefined\n    at show (/srv/app/routes.js:12:33)\n    at next (/srv/route.js:144:13)\n",
		"panic: oh\n\ngoroutine 33 [running]:\nmain.main()\n\t/a.go:1 +0x1\n",
	} {
		whole := New(Saved{})
		play(whole, begin, "web/1", text+"going on\n")
		want := whole.List()
		lines := strings.SplitAfter(text, "\n")
		first := 1
		if strings.HasPrefix(text, "TypeError") {
			first = 2 // of the first line alone it is not known that it begins one
		}
		for cut := first; cut < len(lines)-1; cut++ {
			b := New(Saved{})
			for _, l := range lines[:cut] {
				b.Take(Line{At: begin, App: "web", Worker: "web/1", Text: strings.TrimRight(l, "\n")})
			}
			saved, err := json.Marshal(b.Save())
			if err != nil {
				t.Fatal(err)
			}
			var s Saved
			if err := json.Unmarshal(saved, &s); err != nil {
				t.Fatal(err)
			}
			next := New(s)
			play(next, begin, "web/1", strings.Join(lines[cut:], "")+"going on\n")
			if got := next.List(); len(got) != 1 || got[0].Shape != want[0].Shape || got[0].Where != want[0].Where || got[0].Count != 1 || len(got[0].Sample) != len(want[0].Sample) {
				t.Errorf("cut after %d lines: %+v, want %+v", cut, got, want)
			}
		}
	}
}

// TestCountsAreTold: after each period, the most first, and only what there was.
func TestCountsAreTold(t *testing.T) {
	b := New(Saved{})
	trace := func(at time.Time, kind string) {
		b.Take(Line{At: at, App: "web", Worker: "web/1", Text: "Traceback (most recent call last):"})
		b.Take(Line{At: at, App: "web", Worker: "web/1", Text: kind + ": x"})
	}
	at := begin
	b.Look(&picture.Picture{At: at}, time.Hour)
	for i := range 5 {
		trace(at.Add(time.Duration(i)*time.Minute), "KeyError")
	}
	trace(at.Add(6*time.Minute), "ValueError")
	var told []string
	for range 3 * 3600 {
		at = at.Add(time.Second)
		for _, n := range b.Look(&picture.Picture{At: at}, time.Hour) {
			if n.Subject == "counts" {
				told = append(told, n.Text)
			}
		}
	}
	if len(told) != 1 || told[0] != "6 application errors of 2 kinds in 1h 0m; 5 × web: KeyError: x; 1 × web: ValueError: x" {
		t.Errorf("%q", told)
	}
}

// TestBookIsBounded: an application that makes a new shape each time costs what it may.
func TestBookIsBounded(t *testing.T) {
	b := New(Saved{})
	told := 0
	for i := range 3 * maxProblems {
		at := begin.Add(time.Duration(i) * time.Second)
		letters := fmt.Sprintf("%c%c%c", 'g'+i%20, 'g'+i/20%20, 'g'+i/400)
		told += len(play(b, at, fmt.Sprint("web/", i%(2*maxWorkers)), "Traceback (most recent call last):\n  File \"/a.py\", line 1, in "+letters+"\nKeyError: "+strings.Repeat(letters, 3000)+"\n"))
	}
	if n := len(b.problems); n != maxProblems {
		t.Errorf("%d shapes", n)
	}
	if told != newsAnHour+1 {
		t.Errorf("%d were told", told)
	}
	text, err := json.Marshal(b.Save())
	if err != nil || len(text) > 8<<20 {
		t.Error(len(text), err)
	}
	var s Saved
	if err := json.Unmarshal(text, &s); err != nil || len(New(s).List()) != maxProblems {
		t.Error(err)
	}
	// A traceback without an end is bounded too.
	b = New(Saved{})
	b.Take(Line{At: begin, App: "web", Worker: "web/1", Text: "Traceback (most recent call last):"})
	for i := range 10000 {
		b.Take(Line{At: begin, App: "web", Worker: "web/1", Text: fmt.Sprintf("  File \"/a.py\", line %d, in f", i)})
	}
	if o := b.workers["web/1"].open; len(o.lines) > maxLines || len(o.frames) > maxLines {
		t.Errorf("%d lines, %d frames", len(o.lines), len(o.frames))
	}
	for i := range 3 * maxWorkers {
		b.Take(Line{At: begin, Worker: fmt.Sprint(i), Text: "x"})
	}
	if len(b.workers) > maxWorkers {
		t.Errorf("%d workers", len(b.workers))
	}
}

func TestShape(t *testing.T) {
	for in, want := range map[string]string{
		"user 42 not found":                            "user # not found",
		"can't open '/tmp/a b' for ann@example.com":    "can’t open “…” for #",
		"id 550e8400-e29b-41d4-a716-446655440000 gone": "id # gone",
		"10.0.0.5:5432 and [2001:db8::1]:80 refused":   "# and # refused",
		"took 1.234s, 12:30:01":                        "took #s, #",
		"at 0xdeadbeef":                                "at #",
		"DB::Error and a::b":                           "DB::Error and a::b",
		"deadline exceeded":                            "deadline exceeded", // which begins with hexadecimal letters
		"token a1b2c3d4e5f6 is bad":                    "token # is bad",
		"":                                             "",
	} {
		if got := Shape(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

// FuzzLines: whatever workers print, the book holds, stays in its bounds, and what is told can be shown.
func FuzzLines(f *testing.F) {
	for _, s := range []string{
		"Traceback (most recent call last):\n  File \"/a.py\", line 1, in f\nKeyError: 'x'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\nX: y\n",
		"panic: x\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:1 +0x1\nexit status 2\n", "a.rb:1:in 'x': y (Z)\n\tfrom b.rb:2:in 'y'\n", "TypeError: x\n    at f (a.js:1:2)\n",
		"PHP Fatal error:  Uncaught X: y in /a.php:1\nStack trace:\n#0 {main}\n", "x.Y: z\n\tat a.b(C.java:1)\nCaused by: q.R: s\n\t... 3 more\n", "\x00\xff\n", "'", "XError (y):\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b := New(Saved{})
		news := play(b, begin, "web/1", text)
		for _, n := range news {
			if strings.ContainsAny(n.Text, "\x00\x1b\r\n") {
				t.Errorf("%q", n.Text)
			}
		}
		again := play(b, begin.Add(time.Minute), "web/1", text)
		if len(again) != 0 {
			t.Errorf("the same is told twice: %+v", again)
		}
		for _, p := range b.List() {
			if p.Count%2 != 0 || len(p.Shape) > 2000 || len(p.Sample) > sampleLen {
				t.Errorf("%+v", p)
			}
		}
	})
}
