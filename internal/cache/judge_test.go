package cache

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/message"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// at is a date some seconds after noon, as it stands in a field.
func at(seconds int) string {
	return noon.Add(time.Duration(seconds) * time.Second).Format(http.TimeFormat)
}

// fieldsOf makes fields of lines.
func fieldsOf(lines ...string) (f message.Fields) {
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		f.Add(message.Lookup(name), []byte(name), []byte(value))
	}
	return f
}

func respond(status int, lines ...string) *message.Response {
	return &message.Response{Status: status, Fields: fieldsOf(lines...)}
}

const day = 24 * 60 * 60

// TestJudge is RFC 9111, sections 3 and 4.2, by rows: what is kept, and how long it is fresh.
func TestJudge(t *testing.T) {
	get := Asked{Method: message.GET}
	for _, c := range []struct {
		section string
		asked   Asked
		policy  Policy
		resp    *message.Response
		why     Reason
		ttl     int64
	}{
		{"3 no freshness", get, Policy{}, respond(200, "Date: "+at(0)), NoLife, 0},
		{"5.2 a quote that never ends hides nothing", get, Policy{}, respond(200, `Cache-Control: max-age=60, x="a, no-store`), NoStore, 0},
		{"5.2 a quote that never ends", get, Policy{}, respond(200, `Cache-Control: max-age=60, private="x-a`), Private, 0},
		{"5.2 a life in a quote that never ends", get, Policy{}, respond(200, `Cache-Control: max-age="60`, "ETag: 1"), Kept, 0},
		{"4.1 by client", get, Policy{}, respond(200, "Cache-Control: max-age=60", "Vary: Accept, X-Forwarded-For"), VaryAll, 0},
		{"a session that begins", Asked{Method: message.GET, Private: true, Renewed: true}, Policy{}, respond(200, "Cache-Control: private, max-age=60", "Set-Cookie: sid=2"), Cookie, 0},
		{"events by a policy", get, Policy{DefaultTTL: time.Minute}, respond(200, "Content-Type: text/event-stream; charset=utf-8"), EventStream, 0},
		{"events by a rule", get, Policy{Rules: []Rule{{TTL: time.Minute}}}, respond(200, "Content-Type: text/event-stream"), EventStream, 0},
		{"events by the app's word", get, Policy{}, respond(200, "Content-Type: text/event-stream", "Cache-Control: max-age=60"), Kept, 60},
		{"3 method", Asked{Method: message.POST}, Policy{}, respond(200, "Cache-Control: max-age=60"), NotGET, 0},
		{"3 status 199", get, Policy{}, respond(103, "Cache-Control: max-age=60"), NotFinal, 0},
		{"3 status 206", get, Policy{}, respond(206, "Cache-Control: max-age=60", "Content-Range: bytes 0-1/2"), PartialContent, 0},
		{"3 status 304", get, Policy{}, respond(304, "Cache-Control: max-age=60"), NotFinal, 0},
		{"3 any final status with explicit freshness", get, Policy{}, respond(599, "Cache-Control: max-age=60"), Kept, 60},
		{"3 error", get, Policy{}, respond(500, "Cache-Control: max-age=60"), Kept, 60},
		{"3 redirect without freshness", get, Policy{}, respond(302), NoLife, 0},
		{"3.5 authorization", Asked{Method: message.GET, Authorized: true}, Policy{}, respond(200, "Cache-Control: max-age=60"), Authorized, 0},
		{"3.5 public", Asked{Method: message.GET, Authorized: true}, Policy{}, respond(200, "Cache-Control: public, max-age=60"), Kept, 60},
		{"3.5 s-maxage", Asked{Method: message.GET, Authorized: true}, Policy{}, respond(200, "Cache-Control: s-maxage=60"), Kept, 60},
		{"3.5 must-revalidate", Asked{Method: message.GET, Authorized: true}, Policy{}, respond(200, "Cache-Control: max-age=60, must-revalidate"), Kept, 60},
		{"4.2.1 s-maxage first", get, Policy{}, respond(200, "Cache-Control: max-age=60, s-maxage=30"), Kept, 30},
		{"4.2.1 max-age before Expires", get, Policy{}, respond(200, "Cache-Control: max-age=60", "Expires: "+at(-1000)), Kept, 60},
		{"4.2.1 Expires", get, Policy{}, respond(200, "Date: "+at(0), "Expires: "+at(100)), Kept, 100},
		{"4.2.1 Expires counts from Date", get, Policy{}, respond(200, "Date: "+at(-50), "Expires: "+at(50)), Kept, 100},
		{"4.2.1 Expires without Date", get, Policy{}, respond(200, "Expires: "+at(100)), Kept, 100},
		{"5.3 Expires in the past", get, Policy{}, respond(200, "Date: "+at(0), "Expires: "+at(-100), `ETag: "a"`), Kept, 0},
		{"5.3 Expires: 0", get, Policy{}, respond(200, "Expires: 0", `ETag: "a"`), Kept, 0},
		{"5.3 two that differ", get, Policy{}, respond(200, "Expires: "+at(100), "Expires: "+at(200), `ETag: "a"`), Kept, 0},
		{"5.3 two alike", get, Policy{}, respond(200, "Expires: "+at(100), "Expires: "+at(100)), Kept, 100},
		{"5.3 RFC 850", get, Policy{}, respond(200, "Expires: Saturday, 21-Nov-26 12:01:40 GMT"), Kept, 100},
		{"5.3 asctime", get, Policy{}, respond(200, "Expires: Sat Nov 21 12:01:40 2026"), Kept, 100},
		{"5.2.2.1 max-age quoted", get, Policy{}, respond(200, `Cache-Control: max-age="60"`), Kept, 60},
		{"5.2.2.1 max-age in capitals", get, Policy{}, respond(200, "Cache-Control: MAX-AGE=60"), Kept, 60},
		{"5.2.2.1 max-age without a number", get, Policy{}, respond(200, "Cache-Control: max-age", `ETag: "a"`), Kept, 0},
		{"5.2.2.1 max-age of nonsense", get, Policy{}, respond(200, "Cache-Control: max-age=6O", `ETag: "a"`), Kept, 0},
		{"5.2.2.1 negative", get, Policy{}, respond(200, "Cache-Control: max-age=-60", `ETag: "a"`), Kept, 0},
		{"5.2.2.1 a fraction", get, Policy{}, respond(200, "Cache-Control: max-age=60.5", `ETag: "a"`), Kept, 0},
		{"1.2.2 overflow", get, Policy{}, respond(200, "Cache-Control: max-age=99999999999999999999"), Kept, forever},
		{"5.2.2 of two, the smaller", get, Policy{}, respond(200, "Cache-Control: max-age=60", "Cache-Control: max-age=30"), Kept, 30},
		{"5.2.2 over two lines", get, Policy{}, respond(200, "Cache-Control: a=b", "Cache-Control: max-age=60"), Kept, 60},
		{"5.2.2 behind a quoted comma", get, Policy{}, respond(200, `Cache-Control: x="a, max-age=1", max-age=60`), Kept, 60},
		{"5.2.2 in a quoted string", get, Policy{}, respond(200, `Cache-Control: x="max-age=60"`), NoLife, 0},
		{"5.2.2 part of a word", get, Policy{}, respond(200, "Cache-Control: xmax-age=60"), NoLife, 0},
		{"5.2.2.5 no-store", get, Policy{}, respond(200, "Cache-Control: no-store, max-age=60"), NoStore, 0},
		{"5.2.2.5 no-store in any case", get, Policy{}, respond(200, "Cache-Control: No-StOrE, max-age=60"), NoStore, 0},
		{"5.2.1.5 request's no-store", Asked{Method: message.GET, NoStore: true}, Policy{}, respond(200, "Cache-Control: max-age=60"), RequestNoStore, 0},
		{"5.2.2.7 private", get, Policy{}, respond(200, "Cache-Control: private, max-age=60"), Private, 0},
		{"5.2.2.7 private of a visitor's own", Asked{Method: message.GET, Private: true}, Policy{}, respond(200, "Cache-Control: private, max-age=60"), Kept, 60},
		{"5.2.2.7 private fields", get, Policy{}, respond(200, `Cache-Control: private="x-user", max-age=60`), Kept, 60},
		{"5.2.2.3 must-understand", get, Policy{}, respond(200, "Cache-Control: must-understand, no-store, max-age=60"), Kept, 60},
		{"5.2.2.3 not understood", get, Policy{}, respond(599, "Cache-Control: must-understand, max-age=60"), NotUnderstood, 0},
		{"5.2.2.4 no-cache without validator", get, Policy{}, respond(200, "Cache-Control: no-cache, max-age=60"), AlreadyOver, 0},
		{"5.2.2.4 no-cache with validator", get, Policy{}, respond(200, "Cache-Control: no-cache", `ETag: "a"`), Kept, 0},
		{"5.4 Pragma of a response means nothing", get, Policy{}, respond(200, "Pragma: no-cache", "Cache-Control: max-age=60"), Kept, 60},
		{"4.2.3 over on arrival", get, Policy{}, respond(200, "Age: 100", "Cache-Control: max-age=60"), AlreadyOver, 0},
		{"4.2.3 Age counts", get, Policy{}, respond(200, "Age: 10", "Cache-Control: max-age=60"), Kept, 60},
		{"4.1 Vary: *", get, Policy{}, respond(200, "Vary: *", "Cache-Control: max-age=60"), VaryAll, 0},
		{"4.1 a * among names", get, Policy{}, respond(200, "Vary: accept, *", "Cache-Control: max-age=60"), VaryAll, 0},
		{"4.1 too many names", get, Policy{}, respond(200, "Vary: "+strings.Repeat("x-abcdef, ", 300), "Cache-Control: max-age=60"), VaryAll, 0},
		{"Set-Cookie", get, Policy{}, respond(200, "Set-Cookie: a=b", "Cache-Control: max-age=60"), Cookie, 0},
		{"Set-Cookie stripped", get, Policy{Strip: true}, respond(200, "Set-Cookie: a=b", "Cache-Control: max-age=60"), Kept, 60},
		{"7.3 Set-Cookie kept", get, Policy{KeepCookies: true}, respond(200, "Set-Cookie: a=b", "Cache-Control: max-age=60"), Kept, 60},
		{"9110 14.4 Content-Range means nothing in a 200", get, Policy{}, respond(200, "Content-Range: bytes 0-1/2", "Cache-Control: max-age=60"), Kept, 60},
		{"Set-Cookie for no cache", get, Policy{}, respond(200, "Set-Cookie: a=b", `Cache-Control: no-cache="set-cookie", max-age=60`), Kept, 60},
		{"4.2.2 heuristic", get, Policy{Heuristic: true}, respond(200, "Date: "+at(0), "Last-Modified: "+at(-1000)), Kept, 100},
		{"4.2.2 at most a day", get, Policy{Heuristic: true}, respond(200, "Date: "+at(0), "Last-Modified: "+at(-100*day)), Kept, day},
		{"4.2.2 off", get, Policy{}, respond(200, "Date: "+at(0), "Last-Modified: "+at(-1000)), NoLife, 0},
		{"4.2.2 not for this status", get, Policy{Heuristic: true}, respond(302, "Date: "+at(0), "Last-Modified: "+at(-1000)), NoLife, 0},
		{"4.2.2 but when public", get, Policy{Heuristic: true}, respond(302, "Cache-Control: public", "Date: "+at(0), "Last-Modified: "+at(-1000)), Kept, 100},
		{"9213 own before CDN", get, Policy{}, respond(200, "Weir-Cache-Control: max-age=10", "CDN-Cache-Control: max-age=20", "Cache-Control: max-age=30"), Kept, 10},
		{"9213 CDN before Cache-Control", get, Policy{}, respond(200, "CDN-Cache-Control: max-age=20", "Cache-Control: no-store"), Kept, 20},
		{"9213 Expires does not count", get, Policy{}, respond(200, "CDN-Cache-Control: public", "Expires: "+at(100)), NoLife, 0},
		{"9213 invalid is ignored", get, Policy{}, respond(200, "CDN-Cache-Control: max-age=20, &", "Cache-Control: max-age=30"), Kept, 30},
		{"9213 empty is ignored", get, Policy{}, respond(200, "CDN-Cache-Control: ", "Cache-Control: max-age=30"), Kept, 30},
		{"9213 of a wrong type", get, Policy{}, respond(200, `CDN-Cache-Control: max-age="20", s-maxage=5`, "Cache-Control: max-age=30"), Kept, 5},
		{"9213 keys are in lower case", get, Policy{}, respond(200, "CDN-Cache-Control: Max-Age=20", "Cache-Control: max-age=30"), Kept, 30},
		{"9213 the last of two", get, Policy{}, respond(200, "CDN-Cache-Control: max-age=20, max-age=40"), Kept, 40},
		{"surrogate before Cache-Control", get, Policy{}, respond(200, "Surrogate-Control: max-age=20", "Cache-Control: no-store", "Expires: "+at(5)), Kept, 20},
		{"surrogate behind CDN", get, Policy{}, respond(200, "Surrogate-Control: max-age=20", "CDN-Cache-Control: max-age=10"), Kept, 10},
		{"surrogate no-store", get, Policy{}, respond(200, "Surrogate-Control: NO-STORE", "Cache-Control: max-age=60"), NoStore, 0},
		{"surrogate of content alone", get, Policy{}, respond(200, `Surrogate-Control: content="ESI/1.0"`, "Cache-Control: max-age=60"), Kept, 60},
		{"surrogate with content", get, Policy{}, respond(200, `Surrogate-Control: content="ESI/1.0", Max-Age=20`, "Cache-Control: max-age=60"), Kept, 20},
		{"surrogate stale", get, Policy{}, respond(200, "Surrogate-Control: max-age=20+600"), Kept, 20},
		{"surrogate for weir", get, Policy{}, respond(200, "Surrogate-Control: max-age=20, max-age=30;weir, no-store;abc"), Kept, 30},
		{"surrogate for another", get, Policy{}, respond(200, "Surrogate-Control: no-store;abc", "Cache-Control: max-age=60"), Kept, 60},
		{"surrogate for nobody", get, Policy{}, respond(200, "Surrogate-Control: no-store;", "Cache-Control: max-age=60"), Kept, 60},
		{"surrogate of nonsense", get, Policy{}, respond(200, "Surrogate-Control: max-age=x", "Cache-Control: max-age=60", `ETag: "a"`), Kept, 0},
		{"9213 parameters are passed over", get, Policy{}, respond(200, "CDN-Cache-Control: max-age=20;a=b;c"), Kept, 20},
		{"policy: default", get, Policy{DefaultTTL: time.Minute}, respond(200), Kept, 60},
		{"policy: default is not for every status", get, Policy{DefaultTTL: time.Minute}, respond(500), NoLife, 0},
		{"policy: the app knows better", get, Policy{DefaultTTL: time.Minute}, respond(200, "Cache-Control: max-age=5"), Kept, 5},
		{"policy: not against cookies", Asked{Method: message.GET, Cookies: true}, Policy{DefaultTTL: time.Minute}, respond(200), UnkeyedCookie, 0},
		{"policy: nor a rule", Asked{Method: message.GET, Cookies: true}, Policy{Rules: []Rule{{TTL: time.Minute}}}, respond(200), UnkeyedCookie, 0},
		{"policy: no life for what is made as it goes", get, Policy{DefaultTTL: time.Minute}, respond(200, "Content-Type: Text/Event-Stream; charset=utf-8"), EventStream, 0},
		{"policy: nor by a rule of another intent", get, Policy{Rules: []Rule{{Types: []string{"text/*"}, TTL: time.Minute}}}, respond(200, "Content-Type: text/event-stream"), EventStream, 0},
		{"policy: but with force", get, Policy{Rules: []Rule{{Types: []string{"text/event-stream"}, TTL: time.Minute, Force: true}}}, respond(200, "Content-Type: text/event-stream"), Kept, 60},
		{"an event stream with a life of its own", get, Policy{}, respond(200, "Content-Type: text/event-stream", "Cache-Control: max-age=60"), Kept, 60},
		{"policy: a rule", get, Policy{Rules: []Rule{{Status: [][2]int{{400, 499}}, TTL: 10 * time.Second}}}, respond(404), Kept, 10},
		{"policy: not what a client can provoke", get, Policy{Rules: []Rule{{Status: [][2]int{{400, 499}}, TTL: 10 * time.Second}}}, respond(431), NoLife, 0},
		{"policy: force", get, Policy{Rules: []Rule{{Types: []string{"image/*"}, TTL: time.Hour, Force: true}}}, respond(200, "Content-Type: image/png; a=b", "Cache-Control: max-age=5"), Kept, 3600},
		{"policy: force not against private", get, Policy{Rules: []Rule{{TTL: time.Hour, Force: true}}}, respond(200, "Cache-Control: private"), Private, 0},
		{"policy: a rule of nothing", get, Policy{DefaultTTL: time.Minute, Rules: []Rule{{TTL: 0}}}, respond(200), AlreadyOver, 0},
	} {
		life, why := c.policy.Judge(c.asked, c.resp, noon, noon)
		if why != c.why || why == Kept && life.TTL != c.ttl {
			t.Errorf("%s: %q, %d s; want %q, %d s", c.section, why, life.TTL, c.why, c.ttl)
		}
	}
}

// TestAge is RFC 9111, section 4.2.3.
func TestAge(t *testing.T) {
	for _, c := range []struct {
		lines []string
		sent  int // seconds before the response came
		want  int64
	}{
		{nil, 0, 0},
		{nil, 3, 3},
		{[]string{"Age: 10"}, 0, 10},
		{[]string{"Age: 10"}, 3, 13},
		{[]string{"Age: 10, 20"}, 0, 10},
		{[]string{"Age: x"}, 0, 0},
		{[]string{"Age: -5"}, 0, 0},
		{[]string{"Date: " + at(-30)}, 0, 30},
		{[]string{"Date: " + at(30)}, 0, 0},
		{[]string{"Date: " + at(-30), "Age: 50"}, 0, 50},
		{[]string{"Date: nonsense"}, 0, 0},
	} {
		f := fieldsOf(c.lines...)
		if got := initialAge(&f, noon.Add(-time.Duration(c.sent)*time.Second), noon); got != c.want {
			t.Errorf("%v: %d, want %d", c.lines, got, c.want)
		}
	}
}

// TestUse is RFC 9111, sections 4.2.4 and 5.2.1, RFC 5861 and RFC 8246.
func TestUse(t *testing.T) {
	none := RequestDirectives{MaxAge: none, MinFresh: none, MaxStale: none, IfError: none}
	request := func(v string) RequestDirectives {
		f := fieldsOf("Cache-Control: " + v)
		return ParseRequest(&f)
	}
	for _, c := range []struct {
		what string
		life Life
		want RequestDirectives
		age  int // seconds since it came
		old  bool
		v    Verdict
	}{
		{"fresh", Life{TTL: 60}, none, 10, false, Fresh},
		{"over", Life{TTL: 60}, none, 60, false, Validate},
		{"its age on arrival counts", Life{TTL: 60, Age: 55}, none, 10, false, Validate},
		{"the clock was set right", Life{TTL: 600}, none, -30, false, Fresh},
		{"the clock was set back", Life{TTL: 600}, none, -3600, false, Validate},
		{"the clock was set back, grace", Life{TTL: 600, WhileRevalidate: 30}, none, -3600, false, Stale},
		{"the clock was set back, older on arrival", Life{TTL: 60, Age: 90, WhileRevalidate: 30}, none, -3600, false, Validate},
		{"no-cache", Life{TTL: 60, Flags: MustValidate}, none, 0, false, Validate},
		{"while revalidating", Life{TTL: 60, WhileRevalidate: 30}, none, 80, false, Stale},
		{"too long", Life{TTL: 60, WhileRevalidate: 30}, none, 90, false, Validate},
		{"must-revalidate", Life{TTL: 60, WhileRevalidate: 30, Flags: NoStale}, none, 80, false, Validate},
		{"purged softly", Life{TTL: 60, WhileRevalidate: 30}, none, 10, true, Stale},
		{"purged softly, no grace", Life{TTL: 60}, none, 10, true, Validate},
		{"5.2.1.1 max-age", Life{TTL: 60}, request("max-age=5"), 10, false, Validate},
		{"5.2.1.1 max-age, young enough", Life{TTL: 60}, request("max-age=50"), 10, false, Fresh},
		{"5.2.1.2 max-stale", Life{TTL: 60}, request("max-stale=20"), 70, false, Fresh},
		{"5.2.1.2 max-stale, too old", Life{TTL: 60}, request("max-stale=5"), 70, false, Validate},
		{"5.2.1.2 max-stale of any age", Life{TTL: 60}, request("max-stale"), 7000, false, Fresh},
		{"5.2.1.2 not against must-revalidate", Life{TTL: 60, Flags: NoStale}, request("max-stale"), 70, false, Validate},
		{"5.2.1.2 not against s-maxage", Life{TTL: 60, Flags: NoMaxStale}, request("max-stale"), 70, false, Validate},
		{"5861 allowed beside s-maxage", Life{TTL: 60, WhileRevalidate: 30, Flags: NoMaxStale}, none, 70, false, Stale},
		{"5.2.1.3 min-fresh", Life{TTL: 60}, request("min-fresh=55"), 10, false, Validate},
		{"5.2.1.3 min-fresh, enough", Life{TTL: 60}, request("min-fresh=20"), 10, false, Fresh},
		{"5.2.1.4 no-cache", Life{TTL: 60}, request("no-cache"), 10, false, Validate},
		{"8246 immutable", Life{TTL: 60, Flags: Immutable}, request("max-age=0"), 10, false, Fresh},
		{"8246 immutable and over", Life{TTL: 60, Flags: Immutable}, request("max-age=0"), 70, false, Validate},
	} {
		c.life.Received = noon.Unix()
		p := Policy{Reload: true}
		if v, _ := p.Use(&c.life, &c.want, c.old, noon.Add(time.Duration(c.age)*time.Second), 255); v != c.v {
			t.Errorf("%s: %d, want %d", c.what, v, c.v)
		}
	}
	deaf := Policy{}
	no := request("no-cache")
	life := Life{TTL: 60, Received: noon.Unix()}
	if v, _ := deaf.Use(&life, &no, false, noon, 255); v != Fresh {
		t.Error("a policy that does not heed reloads does")
	}
}

// TestLottery: more requests win near the end, none long before it.
func TestLottery(t *testing.T) {
	p := Policy{}
	want := RequestDirectives{MaxAge: none, MinFresh: none, MaxStale: none}
	life := Life{TTL: 100, Received: noon.Unix()}
	wins := func(age int) (n int) {
		for luck := range uint32(256) {
			if v, _ := p.Use(&life, &want, false, noon.Add(time.Duration(age)*time.Second), luck); v == Lottery {
				n++
			}
		}
		return n
	}
	if a, b, c := wins(50), wins(91), wins(99); a != 0 || b < 1 || c <= b || c > 128 {
		t.Errorf("%d, %d and %d of 256 win", a, b, c)
	}
}

// TestOnError is RFC 5861, section 4.
func TestOnError(t *testing.T) {
	for _, c := range []struct {
		life Life
		want RequestDirectives
		age  int
		ok   bool
	}{
		{Life{TTL: 60, IfError: 100}, RequestDirectives{}, 100, true},
		{Life{TTL: 60, IfError: 100}, RequestDirectives{}, 160, false},
		{Life{TTL: 60, IfError: 100, Flags: NoStale}, RequestDirectives{}, 10, false},
		{Life{TTL: 60, IfError: 100, Flags: MustValidate}, RequestDirectives{}, 10, false},
		{Life{TTL: 60}, RequestDirectives{IfError: 50}, 100, true},
		{Life{TTL: 60}, RequestDirectives{IfError: 50}, 110, false},
		{Life{TTL: 60, Flags: NoStale}, RequestDirectives{IfError: 50}, 100, false},
		{Life{TTL: 60, Flags: NoMaxStale}, RequestDirectives{IfError: 50}, 100, false},
		{Life{TTL: 60, IfError: 100, Flags: NoMaxStale}, RequestDirectives{}, 100, true},
	} {
		c.life.Received = noon.Unix()
		if got := c.life.OnError(&c.want, noon.Add(time.Duration(c.age)*time.Second)); got != c.ok {
			t.Errorf("%+v at %d: %v", c.life, c.age, got)
		}
	}
}

func FuzzDirectives(f *testing.F) {
	for _, s := range []string{"max-age=60", `private="a, b", no-cache`, `x="\"", max-age=1`, "max-age=60;a, b=(1 2)", `a="`, "=,=,,", "max-age= 5", "a=?1, b=:YQ==:, c=1.5"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		for _, name := range []string{"Cache-Control", "CDN-Cache-Control"} {
			var fields message.Fields
			fields.Add(message.Lookup(name), []byte(name), v)
			ParseRequest(&fields)
			r, _ := parseResponse(&fields)
			for _, n := range []int64{r.maxAge, r.sMaxage, r.whileRevalidate, r.ifError} {
				if n < none || n > forever {
					t.Fatalf("%q is %d", v, n)
				}
			}
			p := Policy{Heuristic: true, Grace: time.Hour}
			if l, why := p.Judge(Asked{Method: message.GET}, &message.Response{Status: 200, Fields: fields}, noon, noon); why == Kept && (l.TTL < 0 || l.Age < 0) {
				t.Fatalf("%q: %+v", v, l)
			}
		}
	})
}

// TestAfterwards is RFC 9111, sections 4.2.4 and 5.2.2.10: what may be served stale, and for how long.
func TestAfterwards(t *testing.T) {
	p := Policy{Grace: 10 * time.Second, IfError: time.Minute}
	for _, c := range []struct {
		lines           []string
		revalidate, err int64
		flags           Flags
	}{
		{[]string{"Cache-Control: max-age=5"}, 10, 60, 0},
		{[]string{"Cache-Control: max-age=5, stale-while-revalidate=90, stale-if-error=20"}, 90, 60, 0},
		{[]string{"Cache-Control: s-maxage=5"}, 10, 60, NoMaxStale},
		{[]string{"Cache-Control: s-maxage=5, stale-while-revalidate=90"}, 90, 60, NoMaxStale},
		{[]string{"Cache-Control: max-age=5, proxy-revalidate"}, 0, 0, NoStale},
		{[]string{"Cache-Control: max-age=5, must-revalidate, stale-if-error=20"}, 0, 0, NoStale},
		{[]string{"Cache-Control: no-cache", `ETag: "a"`}, 0, 0, NoStale | MustValidate},
		{[]string{"Cache-Control: s-maxage=5", "CDN-Cache-Control: max-age=5"}, 10, 60, 0},
	} {
		l, why := p.Judge(Asked{Method: message.GET}, respond(200, c.lines...), noon, noon)
		if why != Kept || l.WhileRevalidate != c.revalidate || l.IfError != c.err || l.Flags != c.flags {
			t.Errorf("%v: %q %+v", c.lines, why, l)
		}
	}
}

// TestLasts: what one request brought about says nothing of the next.
func TestLasts(t *testing.T) {
	for _, c := range []struct {
		why    Reason
		asked  Asked
		status int
		want   bool
	}{
		{NoStore, Asked{}, 200, true}, {Private, Asked{}, 200, true}, {Cookie, Asked{}, 302, true}, {NoLife, Asked{}, 200, true}, {TooLarge, Asked{}, 200, true},
		{Authorized, Asked{Authorized: true}, 200, false}, {RequestNoStore, Asked{NoStore: true}, 200, false}, {UnkeyedCookie, Asked{Cookies: true}, 200, false}, {EventStream, Asked{}, 200, true}, {NoLife, Asked{Cookies: true}, 200, false},
		{NoLife, Asked{}, 431, false}, {NoLife, Asked{}, 503, false}, {NoStore, Asked{}, 500, false}, {NoRoom, Asked{}, 200, false},
	} {
		if got := c.why.Lasts(c.asked, c.status); got != c.want {
			t.Errorf("%s of %+v, status %d: %v", c.why, c.asked, c.status, got)
		}
	}
}
