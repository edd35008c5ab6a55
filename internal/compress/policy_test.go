package compress

import (
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/representation"
)

func TestDecide(t *testing.T) {
	p, err := NewPolicy(all, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	html := []string{"Content-Type", "text/html; charset=utf-8"}
	with := func(more ...string) []string { return append(append([]string(nil), html...), more...) }
	for _, r := range []struct {
		name   string
		status int
		fields []string
		length int64
		accept string
		want   Verdict
		coding representation.Coding
	}{
		{"html", 200, html, 5000, "gzip, br", Compress, representation.Brotli},
		{"length unknown", 200, html, -1, "gzip", Compress, representation.Gzip},
		{"just long enough", 200, html, DefaultMinimum, "gzip", Compress, representation.Gzip},
		{"too short", 200, html, DefaultMinimum - 1, "gzip", TooShort, representation.Identity},
		{"empty", 200, html, 0, "gzip", TooShort, representation.Identity},
		{"an error page", 404, html, 5000, "gzip", Compress, representation.Gzip},
		{"no content", 204, html, -1, "gzip", WrongStatus, representation.Identity},
		{"reset content", 205, html, -1, "gzip", WrongStatus, representation.Identity},
		{"not modified", 304, html, -1, "gzip", WrongStatus, representation.Identity},
		{"informational", 103, html, -1, "gzip", WrongStatus, representation.Identity},
		{"part", 206, with("Content-Range", "bytes 0-1/2"), 5000, "gzip", WrongStatus, representation.Identity},
		{"part with another status", 200, with("Content-Range", "bytes 0-1/2"), 5000, "gzip", PartOf, representation.Identity},
		{"encoded", 200, with("Content-Encoding", "br"), 5000, "gzip", Encoded, representation.Identity},
		{"encoded as identity", 200, with("Content-Encoding", "identity"), 5000, "gzip", Encoded, representation.Identity},
		{"no-transform", 200, with("Cache-Control", "public", "cache-control", "max-age=1 , No-Transform"), 5000, "gzip", NoTransform, representation.Identity},
		{"no-transform with an argument", 200, with("Cache-Control", "no-transform=1"), 5000, "gzip", NoTransform, representation.Identity},
		{"another directive", 200, with("Cache-Control", "no-transformers"), 5000, "gzip", Compress, representation.Gzip},
		{"no type", 200, nil, 5000, "gzip", WrongType, representation.Identity},
		{"a picture", 200, []string{"Content-Type", "image/png"}, 5000, "gzip", WrongType, representation.Identity},
		{"a drawing", 200, []string{"Content-Type", "image/svg+xml"}, 5000, "gzip", Compress, representation.Gzip},
		{"not accepted", 200, html, 5000, "", NotAccepted, representation.Identity},
		{"identity liked better", 200, html, 5000, "identity, gzip;q=0.1", NotAccepted, representation.Identity},
	} {
		v, c := p.Decide(r.status, fields(r.fields...), r.length, representation.Accepted(fields("Accept-Encoding", r.accept)))
		if v != r.want || c != r.coding {
			t.Errorf("%s: %v in %v, want %v in %v", r.name, v, c, r.want, r.coding)
		}
		if v.Varies() != (v == Compress || v == NotAccepted) {
			t.Errorf("%s: varies %v", r.name, v.Varies())
		}
	}
	var off *Policy
	if v, _ := off.Decide(200, fields(html...), 5000, representation.Accepted(fields("Accept-Encoding", "gzip"))); v != Off || v.Varies() {
		t.Errorf("without a policy: %v", v)
	}
	for v := Off; v <= Compress; v++ {
		if v.String() == "" || v.String() == "unknown verdict" {
			t.Errorf("verdict %d has no name", v)
		}
	}
}

func TestTypes(t *testing.T) {
	p, err := NewPolicy(all, -1, nil)
	if err != nil {
		t.Fatal(err)
	}
	for typ, want := range map[string]bool{
		"text/html": true, "Text/HTML ; charset=x": true, "text/event-stream": true, "application/json": true, "application/problem+json": true,
		"application/javascript": true, "text/javascript": true, "image/svg+xml": true, "application/wasm": true, "font/ttf": true, "font/otf": true,
		"application/xhtml+xml": true, "application/rss+xml;x": true,
		"font/woff2": false, "image/jpeg": false, "video/mp4": false, "application/zip": false, "application/octet-stream": false, "text/": false,
		"text": false, "": false, ";": false, "+json": false, "textual/html": false, "application/json2": false, "multipart/byteranges": false,
	} {
		if got := p.Covers([]byte(typ)); got != want {
			t.Errorf("%q: %v", typ, got)
		}
	}
	if p.Covers([]byte("text/" + strings.Repeat("x", 200))) {
		t.Error("a type longer than any there is")
	}
	if v, _ := p.Decide(200, fields("Content-Type", "text/plain"), 0, representation.Accepted(fields("Accept-Encoding", "gzip"))); v != Compress {
		t.Errorf("a minimum below zero: %v", v)
	}
	p, err = NewPolicy([]representation.Coding{representation.Gzip}, 1, []string{"Application/X-Mine", "*+CBOR", "model/*"})
	if err != nil || !p.Covers([]byte("application/x-mine")) || !p.Covers([]byte("a/b+cbor")) || !p.Covers([]byte("model/obj")) || p.Covers([]byte("text/html")) || len(p.Order()) != 1 {
		t.Errorf("own types: %v", err)
	}
	for _, bad := range []string{"", "text", "/", "text/", "/html", "*/*", "*", "text/*x", "text/html; charset=x", "a,b/c", "*+", "*+a/b", "*+*"} {
		if _, err := NewPolicy(all, 0, []string{bad}); err == nil {
			t.Errorf("%q is a type", bad)
		}
	}
	for _, bad := range []representation.Coding{representation.Identity, representation.NumCodings} {
		if _, err := NewPolicy([]representation.Coding{bad}, 0, nil); err == nil {
			t.Errorf("%v is a coding", bad)
		}
	}
}

func TestFieldQuestions(t *testing.T) {
	for _, r := range []struct {
		pairs []string
		want  bool
	}{
		{nil, false}, {[]string{"Vary", "Cookie"}, false}, {[]string{"Vary", "Cookie", "vary", "accept-ENCODING ,x"}, true}, {[]string{"Vary", "*"}, true},
		{[]string{"Vary", "Accept-Encoding-2"}, false},
	} {
		if got := VaryNames(fields(r.pairs...)); got != r.want {
			t.Errorf("%v: %v", r.pairs, got)
		}
	}
	if !Flushes(fields("Content-Type", "text/event-stream; charset=utf-8")) || !Flushes(fields("X-Accel-Buffering", "no")) || Flushes(fields("Content-Type", "text/html")) {
		t.Error("what flushes")
	}
	for _, r := range []struct {
		pairs []string
		want  bool
	}{
		{[]string{"Cookie", "a=b", "Sec-Fetch-Site", "cross-site"}, true},
		{[]string{"Authorization", "Basic eA==", "sec-fetch-site", "Cross-Site"}, true},
		{[]string{"Cookie", "a=b", "Sec-Fetch-Site", "same-origin"}, false},
		{[]string{"Cookie", "a=b", "Sec-Fetch-Site", "none"}, false},
		{[]string{"Cookie", "a=b"}, false},
		{[]string{"Sec-Fetch-Site", "cross-site"}, false},
	} {
		if got := Exposed(fields(r.pairs...)); got != r.want {
			t.Errorf("%v: %v", r.pairs, got)
		}
	}
}

func TestETags(t *testing.T) {
	for _, r := range []struct {
		plain string
		c     representation.Coding
		want  string
	}{
		{`"abc"`, representation.Gzip, `"abc-gz"`}, {`"abc"`, representation.Brotli, `"abc-br"`}, {`"abc"`, representation.Zstd, `"abc-zst"`}, {`"abc"`, representation.Identity, `"abc"`},
		{`W/"abc"`, representation.Gzip, `W/"abc"`}, {`abc`, representation.Gzip, `abc`}, {`"`, representation.Gzip, `"`}, {`""`, representation.Gzip, `"-gz"`}, {``, representation.Zstd, ``},
	} {
		got := string(EncodedETag(nil, []byte(r.plain), r.c))
		if got != r.want {
			t.Errorf("%s in %v: %s", r.plain, r.c, got)
		}
		if strong([]byte(r.plain)) && len(r.plain) > 2 {
			if back, c := PlainETag(nil, []byte(got)); string(back) != r.plain || c != r.c {
				t.Errorf("%s goes back to %s, %v", got, back, c)
			}
			if !SameETag([]byte(got), []byte(r.plain), r.c) || r.c != representation.Identity && SameETag([]byte(r.plain), []byte(r.plain), r.c) {
				t.Errorf("%s and %s in %v", got, r.plain, r.c)
			}
		}
	}
	for _, r := range [][2]string{
		{`"abc"`, `"abc"`}, {`W/"abc-gz"`, `W/"abc-gz"`}, {`"-gz"`, `"-gz"`}, {`*`, `*`}, {`"a-gz-gz"`, `"a-gz"`},
		{`"a-gz", "b-br" ,W/"c-gz","d-zst"`, `"a", "b" ,W/"c-gz","d"`}, {`"a-gz`, `"a-gz`}, {`x"a-gz"y"`, `x"a"y"`}, {``, ``}, {`"a,b-gz"`, `"a,b"`},
	} {
		if got := string(PlainETags(nil, []byte(r[0]))); got != r[1] {
			t.Errorf("%s: %s, want %s", r[0], got, r[1])
		}
	}
	for _, r := range [][2]string{{`W/"a-gz"`, `"a"`}, {`"a-gz"`, `W/"a"`}, {`"a-br"`, `"a"`}, {`"b-gz"`, `"a"`}, {`"a"`, `"a"`}} {
		if SameETag([]byte(r[0]), []byte(r[1]), representation.Gzip) {
			t.Errorf("%s is %s in gzip", r[0], r[1])
		}
	}
}
