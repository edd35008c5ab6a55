package representation

import (
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/message"
)

const (
	before  = "Fri, 01 Mar 2024 11:59:59 GMT"
	changed = "Fri, 01 Mar 2024 12:00:00 GMT"
	after   = "Fri, 01 Mar 2024 12:00:01 GMT"
	dated   = "Sat, 02 Mar 2024 12:00:00 GMT"
)

func date(t testing.TB, s string) int64 {
	t.Helper()
	sec, ok := ParseDate([]byte(s), now2026)
	if !ok {
		t.Fatal(s)
	}
	return sec
}

// request makes a request of field lines parted by "|".
func request(method message.Method, lines string) *message.Request {
	q := &message.Request{Method: method}
	for l := range strings.SplitSeq(lines, "|") {
		if name, value, ok := strings.Cut(l, ": "); ok {
			q.Fields.Add(message.Lookup(name), []byte(name), []byte(value))
		}
	}
	return q
}

func TestEvaluate(t *testing.T) {
	strong := &Validators{ETag: []byte(`"tag"`), Modified: date(t, changed), Date: date(t, dated)}
	weak := &Validators{ETag: []byte(`W/"tag"`), Modified: NoTime, Date: date(t, dated)}
	bare := &Validators{ETag: []byte(`tag`), Modified: date(t, changed), Date: NoTime}
	none := &Validators{Modified: NoTime, Date: NoTime}
	for _, c := range []struct {
		section string
		v       *Validators
		fields  string
		origin  Precondition
		cache   Precondition
	}{
		{"13.1.1", strong, `If-Match: "tag"`, Proceed, Proceed}, {"13.1.1", strong, `If-Match: "x"`, Failed, Proceed}, {"13.1.1", strong, `If-Match: *`, Proceed, Proceed}, {"13.1.1", none, `If-Match: *`, Proceed, Proceed},
		{"13.1.1", strong, `If-Match: W/"tag"`, Failed, Proceed}, {"13.1.1", weak, `If-Match: "tag"`, Failed, Proceed}, {"13.1.1", weak, `If-Match: W/"tag"`, Failed, Proceed}, {"13.1.1", strong, `If-Match: "x" , "tag"`, Proceed, Proceed},
		{"13.1.1", strong, `If-Match: "x"|If-Match: "tag"`, Proceed, Proceed}, {"13.1.1", strong, `If-Match: garbage`, Failed, Proceed}, {"13.1.1", bare, `If-Match: tag`, Failed, Proceed}, {"13.1.1", none, `If-Match: "tag"`, Failed, Proceed},
		{"13.1.2", strong, `If-None-Match: "tag"`, NotModified, NotModified}, {"13.1.2", strong, `If-None-Match: W/"tag"`, NotModified, NotModified}, {"13.1.2", weak, `If-None-Match: "tag"`, NotModified, NotModified}, {"13.1.2", weak, `If-None-Match: W/"tag"`, NotModified, NotModified},
		{"13.1.2", strong, `If-None-Match: *`, NotModified, NotModified}, {"13.1.2", none, `If-None-Match: *`, NotModified, NotModified}, {"13.1.2", strong, `If-None-Match: "x"`, Proceed, Proceed}, {"13.1.2", strong, `If-None-Match: "TAG"`, Proceed, Proceed},
		{"13.1.2", strong, `If-None-Match: "x", ,"y",	"tag"`, NotModified, NotModified}, {"13.1.2", strong, `If-None-Match: "x"|If-None-Match: "tag"`, NotModified, NotModified}, {"13.1.2", strong, `If-None-Match: "tag`, Proceed, Proceed}, {"13.1.2", none, `If-None-Match: "tag"`, Proceed, Proceed},
		{"13.1.2", bare, `If-None-Match: tag`, NotModified, NotModified}, {"13.1.2", strong, `If-None-Match: tag`, Proceed, Proceed}, {"13.1.2", none, `If-None-Match: `, Proceed, Proceed}, {"13.1.2", strong, `If-None-Match: "a, "tag"`, Proceed, Proceed},
		{"13.1.3", strong, "If-Modified-Since: " + changed, NotModified, NotModified}, {"13.1.3", strong, "If-Modified-Since: " + after, NotModified, NotModified}, {"13.1.3", strong, "If-Modified-Since: " + before, Proceed, Proceed},
		{"13.1.3", strong, "If-Modified-Since: nonsense", Proceed, Proceed}, {"13.1.3", strong, "If-Modified-Since: " + after + "|If-Modified-Since: " + after, Proceed, Proceed}, {"13.1.3", strong, "If-Modified-Since: Friday, 01-Mar-24 12:00:00 GMT", NotModified, NotModified},
		{"9111 4.3.2, Date in place of Last-Modified", weak, "If-Modified-Since: " + dated, Proceed, NotModified}, {"9111 4.3.2", weak, "If-Modified-Since: " + after, Proceed, Proceed}, {"13.1.3", none, "If-Modified-Since: " + after, Proceed, Proceed},
		{"13.1.4", strong, "If-Unmodified-Since: " + changed, Proceed, Proceed}, {"13.1.4", strong, "If-Unmodified-Since: " + before, Failed, Proceed}, {"13.1.4", strong, "If-Unmodified-Since: nonsense", Proceed, Proceed}, {"13.1.4", none, "If-Unmodified-Since: " + before, Proceed, Proceed},
		{"13.2.2 step 1 before 2", strong, `If-Match: "tag"|If-Unmodified-Since: ` + before, Proceed, Proceed}, {"13.2.2 step 1 before 3", strong, `If-Match: "x"|If-None-Match: "tag"`, Failed, NotModified},
		{"13.2.2 step 2 before 3", strong, `If-Unmodified-Since: ` + before + `|If-None-Match: "tag"`, Failed, NotModified}, {"13.2.2 step 3 before 4", strong, `If-None-Match: "x"|If-Modified-Since: ` + after, Proceed, Proceed},
		{"13.2.2 step 3 before 4", strong, `If-None-Match: "tag"|If-Modified-Since: ` + before, NotModified, NotModified}, {"none", strong, "", Proceed, Proceed},
	} {
		for role, want := range map[Role]Precondition{Origin: c.origin, Cache: c.cache} {
			for _, m := range []message.Method{message.GET, message.HEAD} {
				if got := c.v.Evaluate(request(m, c.fields), role); got != want {
					t.Errorf("section %s: %s, role %d: %d, want %d", c.section, c.fields, role, got, want)
				}
			}
		}
	}
	// Section 13.1.2: for other methods a match fails; section 13.1.3: If-Modified-Since is for GET and HEAD.
	if got := strong.Evaluate(request(message.PUT, `If-None-Match: "tag"`), Origin); got != Failed {
		t.Errorf("PUT with a matching If-None-Match: %d", got)
	}
	if got := strong.Evaluate(request(message.PUT, `If-None-Match: "x"`), Origin); got != Proceed {
		t.Errorf("PUT with another If-None-Match: %d", got)
	}
	if got := strong.Evaluate(request(message.POST, "If-Modified-Since: "+after), Origin); got != Proceed {
		t.Errorf("POST with If-Modified-Since: %d", got)
	}
}

func TestSameStrong(t *testing.T) {
	mod, at := date(t, changed), date(t, dated)
	tag := func(s string) Validators { return Validators{ETag: []byte(s), Modified: mod, Date: at} }
	for _, c := range []struct {
		a, b Validators
		want bool
	}{
		{tag(`"a"`), tag(`"a"`), true}, {tag(`"a"`), tag(`"b"`), false}, {tag(`W/"a"`), tag(`W/"a"`), false}, {tag(`W/"a"`), tag(`"a"`), false}, {tag(`a`), tag(`a`), false}, {tag(`"a"`), tag(``), false}, {tag(`"a" "b"`), tag(`"a" "b"`), false},
		{tag(``), tag(``), true}, {tag(``), Validators{Modified: mod - 1, Date: at}, false}, {tag(``), Validators{Modified: mod, Date: mod}, false}, {tag(``), Validators{Modified: mod, Date: NoTime}, false}, {tag(``), Validators{Modified: NoTime, Date: at}, false},
	} {
		if SameStrong(&c.a, &c.b) != c.want || SameStrong(&c.b, &c.a) != c.want {
			t.Errorf("%s and %s share a strong validator: %v", c.a.ETag, c.b.ETag, !c.want)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	v := &Validators{ETag: []byte(`"tag"`), Modified: date(t, changed), Date: date(t, dated)}
	q := request(message.GET, `If-None-Match: W/"x", "y"|If-Modified-Since: `+before+`|Range: bytes=0-1,4-5,-2|If-Range: "tag"`)
	d := request(message.GET, `If-Modified-Since: Friday, 01-Mar-24 12:00:00 GMT`)
	m := Multipart{"boundary", "text/html", 100}
	out := make([]byte, 0, 512)
	var r Ranges
	if n := testing.AllocsPerRun(100, func() {
		v.Evaluate(q, Cache)
		v.Evaluate(d, Cache)
		r.Select(q, v, 100)
		m.Length(r.Spans())
		out = m.AppendHead(out[:0], r.Spans()[0], false)
		out = AppendDate(out, v.Date)
	}); n != 0 || r.Part != Several {
		t.Errorf("%v allocations, %d", n, r.Part)
	}
}

func FuzzConditions(f *testing.F) {
	f.Add(`"a", W/"b"`, "Fri, 01 Mar 2024 12:00:00 GMT")
	v := &Validators{ETag: []byte(`"tag"`), Modified: date(f, changed), Date: date(f, dated)}
	f.Fuzz(func(t *testing.T, tags, when string) {
		var q message.Request
		q.Method = message.GET
		for _, id := range []message.ID{message.IfMatch, message.IfNoneMatch, message.IfRange, message.IfModifiedSince, message.IfUnmodifiedSince} {
			q.Fields.Add(id, []byte(id.String()), []byte(tags))
			q.Fields.Add(id, []byte(id.String()), []byte(when))
		}
		if got := v.Evaluate(&q, Origin); got != Failed && !strings.Contains(tags+when, `"tag"`) && tags != "*" && when != "*" {
			t.Fatalf("%d", got)
		}
		v.Evaluate(&q, Cache)
		v.wanted(&q)
		SameStrong(v, &Validators{ETag: []byte(tags), Modified: NoTime, Date: NoTime})
	})
}

func BenchmarkEvaluate(b *testing.B) {
	v := &Validators{ETag: []byte(`"5e3f-1a2b3c4d5e6f"`), Modified: date(b, changed), Date: date(b, dated)}
	for name, lines := range map[string]string{"none": "", "etag": `If-None-Match: "5e3f-1a2b3c4d5e6f"`, "date": "If-Modified-Since: " + changed} {
		q := request(message.GET, "Accept: */*|User-Agent: x|"+lines)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v.Evaluate(q, Cache)
			}
		})
	}
	q := request(message.GET, "Range: bytes=0-99")
	var r Ranges
	b.Run("range", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Select(q, v, 1000)
		}
	})
}
