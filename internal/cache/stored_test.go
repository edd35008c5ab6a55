package cache

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/message"
)

func stored(t testing.TB, s Stored, resp *message.Response) View {
	t.Helper()
	b := AppendStored(nil, &s, resp)
	v := NewView(b)
	if v.Kind() != Response {
		t.Fatalf("it cannot be read again: %q", b)
	}
	return v
}

// TestStored: what is stored comes back, without what is not to be stored (RFC 9111, section 3.1).
func TestStored(t *testing.T) {
	resp := respond(200, "Connection: close, X-Hop", "X-Hop: 1", "Keep-Alive: 5", "Transfer-Encoding: chunked", "Content-Length: 3",
		"Content-Type: text/css", `ETag: W/"x"`, "Last-Modified: "+at(-5), "Content-Encoding: br", "Age: 7", "X-User: me", "X-Page: 1",
		`Cache-Control: private="x-user", max-age=60`, "Set-Cookie: a=b", "Date: "+at(0))
	resp.Reason = []byte("Fine")
	s := Stored{Life: Life{Status: 200, Received: 100, Age: 3, TTL: 60, WhileRevalidate: 5, IfError: 6, Flags: Immutable}, Born: 42,
		Host: []byte("a.example"), URL: []byte("/p?q"), Tags: []uint64{1, 1 << 63}, Strip: true}
	v := stored(t, s, resp)
	if v.Life() != s.Life || v.Born() != 42 || string(v.Host()) != "a.example" || string(v.URL()) != "/p?q" || string(v.Reason()) != "Fine" || v.Status() != 200 {
		t.Errorf("%+v %d %s %s %s", v.Life(), v.Born(), v.Host(), v.URL(), v.Reason())
	}
	if got := v.AppendTags(nil); !slices.Equal(got, s.Tags) {
		t.Errorf("tags %v", got)
	}
	if string(v.ETag()) != `W/"x"` || string(v.LastModified()) != at(-5) || string(v.ContentType()) != "text/css" || string(v.ContentEncoding()) != "br" {
		t.Errorf("%s %s %s %s", v.ETag(), v.LastModified(), v.ContentType(), v.ContentEncoding())
	}
	lines := string(v.Lines())
	for _, gone := range []string{"Connection", "X-Hop", "Keep-Alive", "Transfer", "Content-Length", "Age", "X-User", "Set-Cookie"} {
		if strings.Contains("\r\n"+lines, "\r\n"+gone) {
			t.Errorf("%s is stored: %q", gone, lines)
		}
	}
	if !strings.Contains(lines, "X-Page: 1\r\n") || strings.Count(lines, "Date: ") != 1 {
		t.Errorf("lines %q", lines)
	}
	if got := string(v.AppendConditions(nil)); got != "If-None-Match: W/\"x\"\r\nIf-Modified-Since: "+at(-5)+"\r\n" {
		t.Errorf("conditions %q", got)
	}
	if got := string(v.AppendLines(nil, message.ContentType, message.ETag)); strings.Contains(got, "text/css") || strings.Contains(got, "ETag") || !strings.Contains(got, "X-Page: 1\r\n") {
		t.Errorf("lines %q", got)
	}
}

// TestDateIsAdded (RFC 9110, section 6.6.1).
func TestDateIsAdded(t *testing.T) {
	v := stored(t, Stored{Life: Life{Received: noon.Unix()}}, respond(200))
	if string(v.Lines()) != "Date: "+at(0)+"\r\n" {
		t.Errorf("%q", v.Lines())
	}
}

// TestFreshen is RFC 9111, sections 3.2 and 4.3.4.
func TestFreshen(t *testing.T) {
	v := stored(t, Stored{Life: Life{Status: 200}}, respond(200, "Content-Type: text/css", "X-A: old", "X-B: old", "X-C: old", "Content-Encoding: br", "Date: "+at(-100), `ETag: "1"`))
	fresh := FreshFields(respond(304, "X-A: new", "x-b: new", "X-B: newer", "Content-Type: text/html", "Content-Length: 0", "Date: "+at(0)), v)
	got := map[string][]string{}
	for _, l := range fresh.Fields.List {
		name := strings.ToLower(string(l.Name))
		got[name] = append(got[name], string(l.Value))
	}
	for name, want := range map[string]string{"x-a": "new", "x-b": "new newer", "x-c": "old", "content-type": "text/html", "content-encoding": "br", "date": at(0), "etag": `"1"`} {
		if strings.Join(got[name], " ") != want {
			t.Errorf("%s: %v, want %s", name, got[name], want)
		}
	}
	if fresh.Status != 200 || got["content-length"] != nil {
		t.Errorf("%d %v", fresh.Status, got)
	}
}

// TestConfirms is RFC 9111, section 4.3.4: which kept response a response without content is about.
func TestConfirms(t *testing.T) {
	const then, now = "Last-Modified: Sat, 21 Nov 2026 11:00:00 GMT", "Last-Modified: Sat, 21 Nov 2026 11:30:00 GMT"
	for _, c := range []struct {
		kept, came []string
		want       bool
	}{
		{[]string{`ETag: "a"`}, []string{`ETag: "a"`}, true},
		{[]string{`ETag: "a"`}, []string{`ETag: "b"`}, false},
		{[]string{`ETag: "a"`}, nil, true},
		{[]string{`ETag: W/"a"`}, []string{`ETag: "a"`}, true},
		{[]string{`ETag: W/"a"`}, []string{`ETag: W/"b"`}, false},
		{[]string{`ETag: "a"`, then}, []string{`ETag: "a"`, now}, true},
		{[]string{`ETag: "a"`, then}, []string{now}, false},
		{[]string{then}, []string{then}, true},
		{[]string{then}, []string{now}, false},
		{[]string{then}, []string{`ETag: "a"`}, false},
		{[]string{`ETag: "a"`}, []string{then}, false},
		{[]string{then}, []string{`ETag: "a"`, then}, true},
		{nil, nil, true},
	} {
		v := stored(t, Stored{Life: Life{Status: 200}}, respond(200, c.kept...))
		if got := Confirms(respond(304, c.came...), v); got != c.want {
			t.Errorf("%v about %v: %v", c.came, c.kept, got)
		}
	}
	// RFC 9110, section 6.6.1: a 304 without Date came now.
	v := stored(t, Stored{Life: Life{Status: 200}}, respond(200, "Date: "+at(-1000), "Set-Cookie: a=1"))
	fresh := FreshFields(respond(304, "Set-Cookie: a=2", "Set-Cookie: b=3", "Content-MD5: x"), v)
	if fresh.Fields.Has(message.Date) || fresh.Fields.Count(message.SetCookie) != 2 {
		t.Errorf("%v", fresh.Fields.List)
	}
	if _, there := fresh.Fields.Named("Content-MD5"); there {
		t.Error("the checksum of a 304")
	}
}

func keyer(t testing.TB, p KeyPolicy) *Keyer {
	t.Helper()
	k, err := p.Compile(Seed{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestVariants is RFC 9111, section 4.1: which requests select one response.
func TestVariants(t *testing.T) {
	k := keyer(t, KeyPolicy{IgnoreCookies: []string{"_ga*"}})
	key := func(epoch uint64, list string, lines ...string) Key {
		f := fieldsOf(lines...)
		v, _ := k.Variant(Key{9}, epoch, []byte(list), &f, nil)
		return v
	}
	for _, c := range []struct {
		list string
		a, b []string
		same bool
	}{
		{"accept-language,", []string{"Accept-Language: de"}, []string{"accept-language: de"}, true},
		{"accept-language,", []string{"Accept-Language: de, en"}, []string{"Accept-Language: de,en"}, true},
		{"accept-language,", []string{"Accept-Language: de, en"}, []string{"Accept-Language: de", "Accept-Language: en"}, true},
		{"accept-language,", []string{"Accept-Language: de"}, []string{"Accept-Language: fr"}, false},
		{"accept-language,", []string{"Accept-Language: "}, nil, false},
		{"accept-language,", nil, []string{"Accept: x"}, true},
		{"accept-language,", []string{"Accept-Language: de-DE"}, []string{"Accept-Language: de-de"}, true}, // RFC 4647, section 2
		{"x-a,x-b,", []string{"X-A: 1", "X-B: 2"}, []string{"X-B: 2", "X-A: 1"}, true},
		{"x-a,x-b,", []string{"X-A: 1,2"}, []string{"X-A: 1", "X-B: 2"}, false},
		{"x-a,", []string{`X-A: "a  b"`}, []string{`X-A: "a b"`}, false},
		{"x-a,", []string{"X-A: a"}, []string{"X-A: A"}, false},
		{"accept-encoding,", []string{"Accept-Encoding: GZIP, br"}, []string{"Accept-Encoding: gzip,br"}, true},
		{"cookie,", []string{"Cookie: a=1; _ga=2"}, []string{"Cookie: _ga=3; a=1"}, true},
		{"cookie,", []string{"Cookie: _ga=2"}, nil, true},
		{"cookie,", []string{"Cookie: a=1"}, []string{"Cookie: a=2"}, false},
	} {
		if got := key(1, c.list, c.a...) == key(1, c.list, c.b...); got != c.same {
			t.Errorf("%s %v and %v: %v", c.list, c.a, c.b, got)
		}
	}
	if key(1, "x-a,") == key(2, "x-a,") || key(1, "x-a,") == key(1, "x-b,") {
		t.Error("the list and its number are no part of the key")
	}
	f := fieldsOf("Vary: Accept-Language , x-A", "Vary: accept-language")
	if got := VaryNames(&f); string(got) != "accept-language,x-a," {
		t.Errorf("%q", got)
	}
}

// TestLists: the newest list stands first, each once, and not too many of them.
func TestLists(t *testing.T) {
	var v View
	for _, l := range []string{"a,", "b,", "a,", "c,", "d,", "e,", "f,", "g,", "h,", "i,"} {
		v = NewView(AppendVariants(nil, v, []byte(l), 77))
	}
	var got []string
	for l := range v.Lists {
		got = append(got, string(l))
	}
	if strings.Join(got, "") != "i,h,g,f,e,d,c,a," || v.Epoch() != 77 {
		t.Errorf("%v %d", got, v.Epoch())
	}
}

// TestTags: each kind of field with its own separators, groups by their host.
func TestTags(t *testing.T) {
	var s Seed
	tag := func(text string) uint64 { return s.Tag([]byte(text)) }
	f := fieldsOf("Surrogate-Key: a  b", "Cache-Tag: c d,e", "xkey: f g, h")
	if got, want := s.AppendTags(nil, &f, nil), []uint64{tag("a"), tag("b"), tag("c d"), tag("e"), tag("f"), tag("g"), tag("h")}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	g := fieldsOf(`Cache-Groups: "x", "y";p=1`)
	inv := fieldsOf(`Cache-Group-Invalidation: "y"`)
	bad := fieldsOf(`Cache-Groups: "x", y`)
	a, b := s.AppendTags(nil, &g, []byte("h")), s.AppendGroups(nil, &inv, []byte("h"))
	if len(a) != 2 || len(b) != 1 || len(s.AppendTags(nil, &bad, []byte("h"))) != 0 {
		t.Errorf("%v %v", a, b)
	}
	if other := s.AppendGroups(nil, &inv, []byte("other")); other[0] == b[0] {
		t.Error("a group of another host")
	}
}

func TestUseDoesNotAllocate(t *testing.T) {
	b := AppendStored(nil, &Stored{Life: Life{TTL: 60, Received: noon.Unix()}, Host: []byte("h"), URL: []byte("/")}, respond(200, `ETag: "a"`))
	f := fieldsOf("Cache-Control: max-age=50")
	p := Policy{Reload: true}
	if n := testing.AllocsPerRun(100, func() {
		v := NewView(b)
		l := v.Life()
		want := ParseRequest(&f)
		if u, _ := p.Use(&l, &want, false, noon, 255); u != Fresh || len(v.Lines()) == 0 {
			t.Fatal("not fresh")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzView: bytes that may have come from anywhere are read or refused.
func FuzzView(f *testing.F) {
	f.Add(AppendStored(nil, &Stored{Host: []byte("h"), URL: []byte("/"), Tags: []uint64{1}}, respond(200, `ETag: "a"`, "X: y")))
	f.Add(AppendVariants(nil, View{}, []byte("a,"), 3))
	f.Add(AppendHole(nil, noon, 5, Cookie))
	f.Fuzz(func(t *testing.T, b []byte) {
		v := NewView(bytes.Clone(b))
		switch v.Kind() {
		case Variants:
			for l := range v.Lists {
				_ = l
			}
			AppendVariants(nil, v, []byte("x,"), 1)
		case Response, Hole:
			v.AppendTags(nil)
			v.AppendConditions(nil)
			v.AppendLines(nil, message.ETag)
			fresh := FreshFields(respond(304, "X: z"), v)
			_ = fresh
			_, _, _, _ = v.Reason(), v.Host(), v.URL(), v.Life()
		}
	})
}

func BenchmarkUse(b *testing.B) {
	head := AppendStored(nil, &Stored{Life: Life{TTL: 60, Received: noon.Unix()}, Host: []byte("h"), URL: []byte("/")}, respond(200, `ETag: "a"`))
	f := fieldsOf("Accept: */*")
	p := Policy{}
	b.ReportAllocs()
	for b.Loop() {
		v := NewView(head)
		l := v.Life()
		want := ParseRequest(&f)
		p.Use(&l, &want, false, noon, 255)
	}
}

// TestFlagsAreKept: all of them, beside any status.
func TestFlagsAreKept(t *testing.T) {
	for status := 200; status < 1000; status += 111 {
		for flag := MustValidate; flag <= NoMaxStale; flag <<= 1 {
			v := stored(t, Stored{Life: Life{Status: status, Flags: flag}}, respond(status))
			if v.Flags() != flag || v.Life().Flags != flag || v.Status() != status {
				t.Errorf("status %d, flag %b: %d, %b", status, flag, v.Status(), v.Flags())
			}
		}
	}
}
