package journal

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"regexp"
	"strings"
	"testing"
)

func appended(t *testing.T, format string, l *Line) string {
	t.Helper()
	f, err := ParseFormat(format)
	if err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	return string(f.Append(nil, l))
}

func TestFormats(t *testing.T) {
	l := sample()
	l.Target, l.Referer, l.Retries = []byte("/a b?q=1"), nil, 2
	for format, want := range map[string]string{
		"json:status,id,referer,retries,target,time_unix": `{"status":` + appended(t, "{status}", l)[:3] + `,"id":"` + string(l.ID) + `","retries":2,"target":"/a b?q=1","time_unix":` + strings.TrimSpace(appended(t, "{time_unix}", l)) + "}",
		"json:referer":                  "{}",
		`{client} "{method} {target}"`:  `192.0.2.7 "GET /a\x20b?q=1"`,
		`{client} "{target}" {referer}`: `192.0.2.7 "/a b?q=1" -`,
		`{{{path}}} {query}`:            `{/a\x20b} q=1`,
		`{path}?{query}|{user_agent}`:   `/a\x20b?q=1|` + appended(t, "{user_agent}", l)[:len(appended(t, "{user_agent}", l))-1],
		`{protocol} {sample} {total_s}`: `HTTP/1.1 1 ` + strings.TrimSpace(appended(t, "{total_s}", l)),
	} {
		if got := appended(t, format, l); got != want+"\n" {
			t.Errorf("%s: %s\nwant %s", format, got, want)
		}
	}
	l.Sample = "0.1"
	if got := AppendJSON(nil, l); !bytes.HasSuffix(got, []byte(`,"sample":0.1}`+"\n")) {
		t.Errorf("%s", got)
	}
	if got := AppendCombined(nil, l); !bytes.HasSuffix(got, []byte(" 0.1\n")) {
		t.Errorf("%s", got)
	}
}

func TestFormatsThatAreWrong(t *testing.T) {
	for format, want := range map[string]string{
		"xml":                `"xml" is no format: write json, combined, a list`,
		"json:":              `no field "": there is time,`,
		"json:time,time":     `"time" is there twice`,
		"{clint}":            `no field "clint": there is time,`,
		"{client":            "a { without its }",
		"client} {status}":   "a } without its {",
		`{client} "{status}`: `a " without its counterpart`,
		"{client}\n{status}": "a control character",
	} {
		if _, err := ParseFormat(format); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", format, err)
		}
	}
}

// The parts of a line in a template's format, as whoever takes it apart would find them.
var parts = regexp.MustCompile(`^([^ |]+) ([^ |]+)\|([^ |]+)\|([^ |]+) "([^"]*)" "([^ "]+) ([^ "]+)" (\d+)$`)

// Whatever a client sends: each format is one line, and no text passes for another field or a command to a terminal.
func FuzzFormats(f *testing.F) {
	f.Add("GET", "/a?b=c", "www.example.com", "agent", "id")
	f.Add("\x00\n", "/ 200|x\" \"", "a|b", "\x1b[2J\r\n{\"forged\":1}", "i d|")
	f.Add("\xff\xfe", "\u2028", "\u0085", "\\", "\\x20")
	template, err := ParseFormat(`{client} {method}|{target}|{host} "{user_agent}" "{id} {referer}" {status}`)
	if err != nil {
		f.Fatal(err)
	}
	some, err := ParseFormat("json:client,method,target,path,query,host,user_agent,id,referer,status")
	if err != nil {
		f.Fatal(err)
	}
	syslog, entry := syslogMessage(template.Append, 3), journaldEntry(some.Append)
	f.Fuzz(func(t *testing.T, method, target, host, agent, id string) {
		l := &Line{Client: netip.MustParseAddr("192.0.2.7"), Method: []byte(method), Target: []byte(target), Host: []byte(host), UserAgent: []byte(agent), ID: []byte(id), Referer: []byte(agent), Status: 204, Server: host}
		text := template.Append(nil, l)
		obeyed(t, text, "\n")
		got := parts.FindSubmatch(text[:len(text)-1])
		if got == nil || string(got[1]) != "192.0.2.7" || string(got[8]) != "204" {
			t.Fatalf("taken apart: %q", text)
		}
		list := some.Append(nil, l)
		obeyed(t, list, "\n")
		var read map[string]any
		if err := json.Unmarshal(list, &read); err != nil || read["status"] != 204.0 || read["client"] != "192.0.2.7" || read["forged"] != nil {
			t.Fatalf("%v: %q", err, list)
		}
		message := syslog(nil, l)
		obeyed(t, message, "\n")
		if !bytes.HasPrefix(message, []byte("<30>1 0001-01-01T00:00:00.000Z ")) || len(message) > 65_507 {
			t.Fatalf("%d bytes: %q", len(message), message)
		}
		e := entry(nil, l)
		obeyed(t, bytes.ReplaceAll(e[:len(e)-1], []byte("\n"), nil), "")
		if !bytes.HasSuffix(e, []byte("}\n\n")) || bytes.Count(e, []byte("\n\n")) != 1 || len(e) > 65_507 {
			t.Fatalf("%d bytes: %q", len(e), e)
		}
		for line := range bytes.SplitSeq(e[:len(e)-2], []byte("\n")) {
			name, _, ok := bytes.Cut(line, []byte("="))
			if !ok || !entryName.Match(name) {
				t.Fatalf("an entry's line %q", line)
			}
		}
	})
}

var entryName = regexp.MustCompile(`^(SYSLOG_IDENTIFIER|PRIORITY|MESSAGE|WEIR_[A-Z]+)$`)

// obeyed fails when a terminal would obey something in a text that ends in end.
func obeyed(t *testing.T, text []byte, end string) {
	t.Helper()
	rest, ok := bytes.CutSuffix(text, []byte(end))
	if !ok {
		t.Fatalf("no end: %q", text)
	}
	for _, r := range string(rest) {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0x202e {
			t.Fatalf("%U in %q", r, text)
		}
	}
}

func TestRedaction(t *testing.T) {
	d := NewRedactor(&Redaction{Client: ClientTruncated, UserAgent: true, Parameters: []string{"token", "*secret*", "user[pass]"}, Paths: []string{"/reset/*", "/u/*/key/*"}})
	for target, want := range map[string]string{
		"/a":                                  "/a",
		"/a?":                                 "/a?",
		"/a?token=1":                          "/a?token=***",
		"/a?TOKEN=1&b=2":                      "/a?TOKEN=***&b=2",
		"/a?t%6fken=1;tok%65N=2":              "/a?t%6fken=***;tok%65N=***",
		"/a?x=token&token&tokens=1":           "/a?x=token&token&tokens=1",
		"/a?mysecretkey=1&secret=&a=%26token": "/a?mysecretkey=***&secret=***&a=%26token",
		"/a?user%5Bpass%5D=1&user[pass]=2":    "/a?user%5Bpass%5D=***&user[pass]=***",
		"/a?+token=1&%20token=2":              "/a?+token=***&%20token=***",
		"/a?token=1=2":                        "/a?token=***",
		"/a?&&token=1&":                       "/a?&&token=***&",
		"/a?%zz=1&%t=2":                       "/a?%zz=1&%t=2",
		"/reset/abc":                          "/reset/***",
		"/reset/abc?token=1":                  "/reset/***?token=***",
		"/u/17/key/9":                         "/u/***/key/***",
		"/x/reset/abc":                        "/x/reset/abc",
		"":                                    "",
	} {
		l := &Line{Client: netip.MustParseAddr("::ffff:192.0.2.77"), Target: []byte(target), Parts: []Part{{Target: []byte(target)}, {Target: []byte(target)}}, Referer: []byte("https://www.example.com" + target), UserAgent: []byte("x")}
		got := d.Show(l)
		if string(got.Target) != want || string(got.Referer) != "https://www.example.com"+want {
			t.Errorf("%s: %s, %s", target, got.Target, got.Referer)
		}
		if len(got.Parts) != 2 || string(got.Parts[0].Target) != want || string(got.Parts[1].Target) != want || string(l.Parts[0].Target) != target {
			t.Errorf("%s: fragments are shown as %+v", target, got.Parts)
		}
		if got.Client.String() != "192.0.2.0" || got.UserAgent != nil || string(l.Target) != target || l.UserAgent == nil {
			t.Errorf("%s: %+v", target, got)
		}
	}
	if got := Truncate(netip.MustParseAddr("2001:db8:1:2:3::4%eth0")); got.String() != "2001:db8:1::" {
		t.Error(got)
	}
	if NewRedactor(&Redaction{}) != nil || NewRedactor(nil).Show(sample()) == nil {
		t.Error("nothing to leave out")
	}
	l := &Line{Client: netip.MustParseAddr("2001:db8::1"), Host: []byte("h"), Name: "n", Target: []byte("/a?b"), Referer: []byte("http://x?y")}
	if got := NewRedactor(&Redaction{Client: ClientHidden, Host: true, Query: true}).Show(l); got.Client.String() != "0.0.0.0" || got.Host != nil || got.Name != "" ||
		string(got.Target) != "/a?***" || string(got.Referer) != "http://x?***" {
		t.Errorf("%+v %s %s", got, got.Target, got.Referer)
	}
	if n := testing.AllocsPerRun(100, func() { d.Show(l) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A value that is not to be told is not, however its parameter is written.
func FuzzRedaction(f *testing.F) {
	f.Add("/a?token=", "&x=1", "token")
	f.Add("/a?b=c&t%6Fken=", ";", "t%6Fken")
	d := NewRedactor(&Redaction{Parameters: []string{"token"}})
	f.Fuzz(func(t *testing.T, before, after, name string) {
		const value = "v3rySecr3tValue"
		if strings.Contains(before+after+name, value) || strings.ContainsAny(name, "?&;=#") || !strings.Contains(before, "?") || !strings.HasSuffix(before, "&") {
			return
		}
		u := unescape(name)
		if !strings.EqualFold(u, "token") {
			return
		}
		got := d.Show(&Line{Target: []byte(before + name + "=" + value + "&" + after), Referer: []byte("http://x/?" + name + "=" + value)})
		if bytes.Contains(got.Target, []byte(value)) || bytes.Contains(got.Referer, []byte(value)) {
			t.Fatalf("%q %q", got.Target, got.Referer)
		}
	})
}

func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && unhex(s[i+1]) < 16 && unhex(s[i+2]) < 16 {
			b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func TestSamples(t *testing.T) {
	l := open(t, Options{To: "/dev/null", Loops: 1, Sample: [6]float64{2: 0.25, 3: -1}, Format: "json:status,sample"})
	w := l.Writer(0)
	count := func(line *Line) (n int, share string) {
		for range 4000 {
			if s, ok := w.share(line); ok {
				n, share = n+1, s
			}
		}
		return n, share
	}
	if n, share := count(&Line{Status: 200}); n < 800 || n > 1200 || share != "0.25" {
		t.Errorf("%d of 4000, %s", n, share)
	}
	if n, _ := count(&Line{Status: 301}); n != 0 {
		t.Errorf("%d of 4000", n)
	}
	for _, line := range []*Line{{Status: 404}, {Status: 0}, {Status: 999}, {Status: 200, Slow: true}, {Status: 302, Failure: true}} {
		if n, share := count(line); n != 4000 || share != "1" {
			t.Errorf("%+v: %d of 4000, %s", line, n, share)
		}
	}
}

func TestTargets(t *testing.T) {
	for to, want := range map[string]Target{
		"none": {}, "stdout": {Kind: ToStdout}, "/var/log/a": {Kind: ToFile, Address: "/var/log/a"},
		"syslog": {ToSyslog, "unixgram", "/dev/log"}, "syslog://h": {ToSyslog, "udp", "h:514"}, "syslog://[::1]:99": {ToSyslog, "udp", "[::1]:99"},
		"syslog+tcp://h/": {ToSyslog, "tcp", "h:601"}, "syslog+unix:///run/x": {ToSyslog, "unixgram", "/run/x"}, "journald": {ToJournald, "unixgram", "/run/systemd/journal/socket"},
	} {
		if got, err := ParseTarget(to); err != nil || got != want {
			t.Errorf("%s: %+v %v", to, got, err)
		}
	}
	for _, to := range []string{"syslog://", "syslog://h:0", "syslog://h:99999", "syslog://h/x", "http://h", "syslog+unix://x", "syslog+unix://h/x", "syslog://u@h", "syslog://h?x", "a://%zz"} {
		if _, err := ParseTarget(to); err == nil || !strings.Contains(err.Error(), ": write ") && !strings.Contains(err.Error(), "weir knows: write ") {
			t.Errorf("%s: %v", to, err)
		}
	}
}

func BenchmarkTemplate(b *testing.B) {
	f, err := ParseFormat(`{client} - - [{time_common}] "{method} {target} {protocol}" {status} {out} "{referer}" "{user_agent}"`)
	if err != nil {
		b.Fatal(err)
	}
	l, dst := sample(), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		dst = f.Append(dst[:0], l)
	}
}

// Whatever format somebody writes: it is refused, or makes one line that no client can end.
func FuzzParseFormat(f *testing.F) {
	for _, s := range []string{"json", "combined", "json:time,status", `{client} "{method} {target}" {{{id}}}`, "{host}|{path}", `"{query}"{`, "}", "json:", "{time_common}\t{listen}"} {
		f.Add(s, "/a?b\n\"|{id}\x1b")
	}
	f.Fuzz(func(t *testing.T, format, target string) {
		p, err := ParseFormat(format)
		if err != nil {
			return
		}
		l := &Line{Target: []byte(target), Host: []byte(target), ID: []byte(target), Name: target, Server: target}
		text := p.Append(nil, l)
		if bytes.Count(text, lineFeed) != 1 || text[len(text)-1] != '\n' {
			t.Fatalf("%q: %q", format, text)
		}
		own := regexp.MustCompile(`[\x00-\x08\x0a-\x1f\x7f]`)
		if own.Match(text[:len(text)-1]) {
			t.Fatalf("%q: a control in %q", format, text)
		}
		l.Listen = ":1"
		if text := p.Append(nil, l); bytes.Count(text, lineFeed) != 1 {
			t.Fatalf("%q: %q", format, text)
		}
	})
}
