package pages

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestPage(t *testing.T) {
	for status := 400; status < 600; status++ {
		page := string(AppendHTML([]byte("kept"), status, "detail", strings.Repeat("a", 128)))
		if !strings.HasPrefix(page, "kept<!doctype html>") || !strings.HasSuffix(page, "</html>\n") || len(page) > 2048 {
			t.Errorf("%d: %d bytes", status, len(page))
		}
		if strings.Contains(page, "aaaa") != (status >= 500) {
			t.Errorf("%d: the id is there or is not", status)
		}
		if strings.Contains(page, "detail") || strings.Contains(page, "http:") || strings.Contains(page, "https:") || strings.Contains(page, "url(") {
			t.Errorf("%d: holds what it should not", status)
		}
	}
	if p := string(AppendHTML(nil, 502, "", `<script>"'&`+"\r\n")); strings.Contains(p, "<script>") || !strings.Contains(p, "&lt;script&gt;&#34;&#39;&amp;</code>") {
		t.Error(p)
	}
}

func FuzzAppendJSON(f *testing.F) {
	f.Add("id", "it's <b> \"quoted\"\\\n\x00\x7f")
	f.Add("\xff\xfe", "é\u2028")
	f.Fuzz(func(t *testing.T, id, detail string) {
		b := AppendJSON(nil, 502, detail, id)
		var got struct {
			Error struct {
				Status            int
				Title, Detail, ID string
				RequestID         *string `json:"request_id"`
			}
		}
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%v in %s", err, b)
		}
		want := strings.ToValidUTF8(detail, "\ufffd")
		if want == "" {
			want = sentence(502)
		}
		if e := got.Error; e.Status != 502 || e.Title != "Bad Gateway" || e.Detail != want || (e.RequestID != nil) != (id != "") {
			t.Fatalf("%+v of %s", e, b)
		}
		if strings.ContainsAny(string(b), "<>&\x00") {
			t.Fatalf("%s", b)
		}
	})
}

func TestAppendOwn(t *testing.T) {
	got := string(AppendOwn(nil, []byte("<style>a{b:c}</style>{status} {title} {id}{status{id}{"), 503, "<x>"))
	if want := "<style>a{b:c}</style>503 Service Unavailable &lt;x&gt;{status&lt;x&gt;{"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	// What is filled in is not looked at again.
	if got := string(AppendOwn(nil, []byte("{id}"), 503, "{status}")); got != "{status}" {
		t.Errorf("%q", got)
	}
}

func TestWantsJSON(t *testing.T) {
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "text/html": false, "application/json": true, "APPLICATION/JSON": true, "application/problem+json": true,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": false,
		"application/json, text/plain, */*":                               true, // what browsers' scripts send
		"application/json;q=0.5, text/html":                               false, "application/json, text/html;q=0.9": true, "text/html, application/json": false,
		"application/json;q=0": false, "application/json;q=0, */*": false, "application/json;q=x": false, "application/json;q=1.5": false,
		"application/json;charset=utf-8;q=0.7, text/*;q=0.6": true, "application/json;q=0.5, text/*;q=0.6": false, "application/json;q=0.5, text/*, text/html;q=0.1": true,
		"text/plain": false, "+json": false, ",,;": false,
	} {
		if got := WantsJSON([]byte(accept)); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	buf, template, accept := make([]byte, 0, 4096), []byte("{status} {id}"), []byte("text/html, application/json;q=0.5")
	if n := testing.AllocsPerRun(100, func() {
		AppendHTML(buf, 502, "", "0123456789abcdef")
		AppendOwn(buf, template, 502, "0123456789abcdef")
		WantsJSON(accept)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
