package journal

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func sample() *Line {
	return &Line{
		Time:   time.Date(2026, 11, 21, 3, 57, 9, 7_000_000, time.UTC),
		Client: netip.MustParseAddr("192.0.2.7"), Scheme: "http", Method: []byte("GET"), Target: []byte("/photos/12?size=m"), Minor: 1,
		Status: 200, Out: 1024, In: 0, Host: []byte("www.example.com"), Referer: []byte("http://www.example.com/"),
		UserAgent: []byte("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
		ID:        []byte("0f3a9c1d2b4e5f60718293a4"),
		Site:      "www.example.com", Route: "www.example.com#1", Pool: "web", Server: "web/1",
		Total: 12345 * time.Microsecond, Connect: 90 * time.Microsecond, FirstByte: 11 * time.Millisecond,
	}
}

func TestAppendJSON(t *testing.T) {
	const want = `{"time":"2026-11-21T03:57:09.007Z","client":"192.0.2.7","method":"GET","host":"www.example.com",` +
		`"target":"/photos/12?size=m","protocol":"HTTP/1.1","scheme":"http","status":200,"out":1024,"in":0,` +
		`"id":"0f3a9c1d2b4e5f60718293a4","referer":"http://www.example.com/",` +
		`"user_agent":"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",` +
		`"site":"www.example.com","route":"www.example.com#1","pool":"web","server":"web/1",` +
		`"total_ms":12.345,"connect_ms":0.090,"first_byte_ms":11.000}` + "\n"
	if got := string(AppendJSON(nil, sample())); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	refused := sample()
	refused.Minor = NoVersion
	if got := string(AppendJSON(nil, refused)); got != strings.Replace(want, "HTTP/1.1", "", 1) {
		t.Errorf("got  %s", got)
	}
	const bare = `{"time":"0001-01-01T00:00:00.000Z","client":"unix","method":"","host":"","target":"","protocol":"HTTP/1.0",` +
		`"status":400,"out":0,"in":0,"id":"","cause":"bad_request","detail":"bare CR","retries":2,"total_ms":0.000}` + "\n"
	got := AppendJSON([]byte("before "), &Line{Status: 400, Cause: BadRequest, Detail: "bare CR", Retries: 2, Total: -1})
	if string(got) != "before "+bare {
		t.Errorf("got  %swant before %s", got, bare)
	}
}

func TestAppendCombined(t *testing.T) {
	const want = `192.0.2.7 - - [21/Nov/2026:03:57:09 +0000] "GET /photos/12?size=m HTTP/1.1" 200 1024 ` +
		`"http://www.example.com/" "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0" ` +
		`"0f3a9c1d2b4e5f60718293a4" 0.012` + "\n"
	if got := string(AppendCombined(nil, sample())); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	refused := sample()
	refused.Minor = NoVersion
	if got := string(AppendCombined(nil, refused)); got != strings.Replace(want, " HTTP/1.1", "", 1) {
		t.Errorf("got  %s", got)
	}
	const bare = `unix: - - [01/Jan/0001:00:00:00 +0000] "-" 000 0 "-" "-" "-" 0.000` + "\n"
	if got := string(AppendCombined(nil, &Line{})); got != bare {
		t.Errorf("got  %swant %s", got, bare)
	}
}

func TestClients(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1":         "192.0.2.1",
		"2001:db8::1":       "2001:db8::1",
		"::ffff:192.0.2.1":  "192.0.2.1",
		"fe80::1%eth0":      "fe80::1",
		"fe80::1%\"\nevil ": "fe80::1",
	} {
		if got := string(appendClient(nil, netip.MustParseAddr(in), "")); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestEscapes(t *testing.T) {
	for _, c := range []struct{ in, quoted, escaped string }{
		{"", `""`, "-"},
		{"plain ~", `"plain ~"`, "plain ~"},
		{`a"b\c`, `"a\"b\\c"`, `a\x22b\x5cc`},
		{"a\r\nb\x00\x1b[2J\x7f", `"a\u000d\u000ab\u0000\u001b[2J\u007f"`, `a\x0d\x0ab\x00\x1b[2J\x7f`},
		{"Zoë €", `"Zoë €"`, `Zo\xc3\xab \xe2\x82\xac`},
		{"caf\xe9", `"caf\u00e9"`, `caf\xe9`},
		{"\xe2\x82", `"\u00e2\u0082"`, `\xe2\x82`},
		{"\u202eevil\u2066\u200fx", `"\u202eevil\u2066\u200fx"`, `\xe2\x80\xaeevil\xe2\x81\xa6\xe2\x80\x8fx`},
		{"\u0085\u009b\u2028\u2029x", `"\u0085\u009b\u2028\u2029x"`, `\xc2\x85\xc2\x9b\xe2\x80\xa8\xe2\x80\xa9x`},
		{"\xed\xa0\x80", `"\u00ed\u00a0\u0080"`, `\xed\xa0\x80`}, // a surrogate is no valid UTF-8
		{"😀", `"😀"`, `\xf0\x9f\x98\x80`},
	} {
		if got := string(appendQuoted(nil, c.in)); got != c.quoted {
			t.Errorf("JSON of %q: got %s, want %s", c.in, got, c.quoted)
		}
		if got := string(appendQuoted(nil, []byte(c.in))); got != c.quoted {
			t.Errorf("JSON of bytes %q: got %s, want %s", c.in, got, c.quoted)
		}
		if got := string(appendOrDash(nil, []byte(c.in))); got != c.escaped {
			t.Errorf("combined of %q: got %s, want %s", c.in, got, c.escaped)
		}
	}
}

func TestTimes(t *testing.T) {
	zone := time.FixedZone("x", 3*3600)
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Date(2024, 2, 29, 23, 59, 59, 999_999_999, zone), time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC)} {
		if got, want := string(appendRFC3339(nil, at)), at.UTC().Format("2006-01-02T15:04:05.000Z"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got, want := string(appendCommonTime(nil, at)), at.UTC().Format("02/Jan/2006:15:04:05 -0700"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for _, at := range []time.Time{time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if got := appendRFC3339(nil, at); len(got) != 24 {
			t.Errorf("%v: got %s", at, got)
		}
	}
}

func TestTake(t *testing.T) {
	j := Journal{Start: time.Unix(1, 0), Site: "s", Route: "r", Pool: "p", Server: "web/1", Cause: ServerReset, Detail: "d", Retries: 1, Status: 502, In: 3, Out: 4}
	for s, at := range map[Stage]int64{Begun: 1000, Queued: 2000, Picked: 5000, Connected: 9000, Sent: 10000, FirstByte: 30000} {
		j.Mark(s, at)
	}
	var l Line
	l.Take(&j, 41000)
	if l.Total != 40000 || l.Queue != 3000 || l.Connect != 4000 || l.FirstByte != 20000 {
		t.Errorf("wrong times: %+v", l)
	}
	if !l.Time.Equal(j.Start) || l.Site != "s" || l.Route != "r" || l.Pool != "p" || l.Server != "web/1" || l.Cause != ServerReset ||
		l.Detail != "d" || l.Retries != 1 || l.Status != 502 || l.In != 3 || l.Out != 4 {
		t.Errorf("wrong values: %+v", l)
	}
	l.Take(&Journal{}, 5)
	if l.Total != 0 || l.Queue != 0 || l.Retries != 0 {
		t.Errorf("of an empty journal: %+v", l)
	}
}

func TestLinesDoNotAllocate(t *testing.T) {
	l, buf := sample(), make([]byte, 0, 4096)
	l.UserAgent = []byte("caf\xe9 \"Zoë\" \u2028")
	if n := testing.AllocsPerRun(1000, func() { buf = AppendJSON(buf[:0], l) }); n != 0 {
		t.Errorf("JSON: %v allocations", n)
	}
	if n := testing.AllocsPerRun(1000, func() { buf = AppendCombined(buf[:0], l) }); n != 0 {
		t.Errorf("combined: %v allocations", n)
	}
}

// FuzzLine: whatever a client sends, a JSON line is one valid object which says it again, and a combined line is one
// line of visible ASCII with as many quotes as its fields have.
func FuzzLine(f *testing.F) {
	f.Add([]byte("GET"), []byte("/"), []byte("curl/8"), []byte("http://a/"))
	f.Add([]byte("GET\" \\"), []byte("/\r\n127.0.0.1 - -"), []byte("\x1b[2J\x00\xff"), []byte("\u2028\u0085Zoë\xe2\x82"))
	f.Fuzz(func(t *testing.T, method, target, agent, referer []byte) {
		l := Line{Method: method, Target: target, UserAgent: agent, Referer: referer, Host: agent, ID: referer, Detail: string(target)}
		j := AppendJSON(nil, &l)
		if !bytes.HasSuffix(j, []byte("}\n")) || !utf8.Valid(j) || !json.Valid(j) {
			t.Fatalf("not a JSON line: %q", j)
		}
		for _, r := range string(j[:len(j)-1]) {
			if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 {
				t.Fatalf("control %U in %q", r, j)
			}
		}
		var back struct {
			Method    string `json:"method"`
			Target    string `json:"target"`
			UserAgent string `json:"user_agent"`
		}
		if err := json.Unmarshal(j, &back); err != nil {
			t.Fatal(err)
		}
		for got, sent := range map[string][]byte{back.Method: method, back.Target: target, back.UserAgent: agent} {
			if want := latin1(sent); got != want {
				t.Fatalf("said %q of %q", got, want)
			}
		}
		c := string(AppendCombined(nil, &l))
		if strings.Count(c, "\n") != 1 || c[len(c)-1] != '\n' || strings.Count(c, `"`) != 8 {
			t.Fatalf("not a combined line: %q", c)
		}
		for i := range len(c) - 1 {
			if c[i] < ' ' || c[i] > '~' {
				t.Fatalf("byte %#x in %q", c[i], c)
			}
		}
	})
}

// latin1 returns what the bytes say when those that are no valid UTF-8 are taken for Latin-1.
func latin1(b []byte) string {
	var s strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			r = rune(b[0])
		}
		s.WriteRune(r)
		b = b[n:]
	}
	return s.String()
}

func BenchmarkAppendJSON(b *testing.B) {
	l, buf := sample(), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendJSON(buf[:0], l)
	}
}

func BenchmarkAppendCombined(b *testing.B) {
	l, buf := sample(), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendCombined(buf[:0], l)
	}
}

// TestPlainTo: eight bytes at a time it finds what one at a time finds.
func TestPlainTo(t *testing.T) {
	for at := range 20 {
		for c := range 256 {
			text := []byte("some words that are plain")
			text[at] = byte(c)
			want := len(text)
			if !plain[byte(c)] {
				want = at
			}
			for from := range at + 1 {
				if got := plainTo(text, from); got != want {
					t.Fatalf("byte %#x at %d, from %d on: %d, want %d", c, at, from, got, want)
				}
			}
			if got := plainTo(string(text), 0); got != want {
				t.Fatalf("byte %#x at %d: %d, want %d", c, at, got, want)
			}
		}
	}
}
