package representation

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/message"
)

func selectRanges(spec string, size int64) (r Ranges) {
	r.Select(request(message.GET, "Range: "+spec), &Validators{Modified: NoTime, Date: NoTime}, size)
	return r
}

func TestRanges(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat("0-0,2-2,4-4,6-6,", 4), ",")
	for _, c := range []struct {
		section, spec string
		size          int64
		want          string
	}{
		{"14.1.2", "bytes=0-3", 10, "206 0-3"}, {"14.1.2", "bytes=4-", 10, "206 4-9"}, {"14.1.2", "bytes=-2", 10, "206 8-9"}, {"14.1.2", "bytes=0-", 10, "206 0-9"}, {"14.1.2", "bytes=-99", 10, "206 0-9"}, {"14.1.2", "bytes=8-99", 10, "206 8-9"},
		{"14.1", "BYTES=1-1", 10, "206 1-1"}, {"14.1", "lines=1-2", 10, "200"}, {"14.1", "bytes", 10, "200"}, {"14.1", "=0-1", 10, "200"},
		{"5.6.1.2", "bytes= 1-2 ,", 10, "206 1-2"}, {"5.6.1.2", "bytes=,,	,1-2", 10, "206 1-2"}, {"14.1.2", "bytes=1-99999999999999999999999", 10, "206 1-9"}, {"14.1.2", "bytes=-99999999999999999999999", 10, "206 0-9"},
		{"14.2", "bytes=0-1,2-3", 10, "206 0-3"}, {"14.2", "bytes=0-4,3-5", 10, "206 0-5"}, {"14.2", "bytes=20-,3-5", 10, "206 3-5"}, {"14.2", "bytes=0-1,6-7,2-5", 100, "206 0-7"}, {"14.2", "bytes=0-0,2-9,1-1", 10, "206 0-9"},
		{"15.5.17", "bytes=10-", 10, "416"}, {"15.5.17", "bytes=-0", 10, "416"}, {"15.5.17", "bytes=99999999999999999999999-", 10, "416"}, {"15.5.17", "bytes=10-,11-12", 10, "416"}, {"15.5.17", "bytes=0-", 0, "416"}, {"15.5.17", "bytes=-0", 0, "416"},
		{"14.1.2", "bytes=-5", 0, "200"}, {"14.1.2", "bytes=0-,-1", 0, "200"},
		{"14.1.2, invalid", "bytes=3-1", 10, "200"}, {"14.1.2, invalid", "bytes=", 10, "200"}, {"invalid", "bytes=,", 10, "200"}, {"invalid", "bytes=-", 10, "200"}, {"invalid", "bytes=a-b", 10, "200"}, {"invalid", "bytes=1", 10, "200"}, {"invalid", "bytes=1-2-3", 10, "200"},
		{"invalid", "bytes=+1-2", 10, "200"}, {"invalid", "bytes=1 - 2", 10, "200"}, {"invalid", "bytes=0-1,x", 10, "200"}, {"invalid", "bytes=--1", 10, "200"}, {"invalid", "bytes=0x1-2", 10, "200"}, {"invalid", "bytes=0-1;q=1", 10, "200"},
		{"14.2, many", "bytes=0-,0-,0-,0-", 10, "200"}, {"14.2, many", "bytes=" + strings.Repeat("1-1,", 17), 10, "200"}, {"14.2, many", "bytes=" + many, 100, "200"}, {"14.2, all", "bytes=0-4,6-9,5-5", 10, "206 0-9"},
		{"14.6", "bytes=0-5,7-9", 100, "206 0-5 7-9"}, {"14.6", "bytes=-2, 0-3 , 5-6", 100, "206 98-99 0-3 5-6"}, {"14.6", "bytes=0-0,-1", 10, "206 0-0 9-9"},
		{"length not known", "bytes=0-1", -1, "200"}, {"large", "bytes=4611686018427387903-", 1 << 62, "206 4611686018427387903-4611686018427387903"},
	} {
		r := selectRanges(c.spec, c.size)
		got := map[Part]string{Whole: "200", One: "206", Several: "206", Unsatisfiable: "416"}[r.Part]
		for _, s := range r.Spans() {
			got += fmt.Sprintf(" %d-%d", s.Off, s.Off+s.N-1)
		}
		if got != c.want || (r.Part == Several) != (len(r.Spans()) > 1) {
			t.Errorf("section %s: %q of %d: %s, want %s", c.section, c.spec, c.size, got, c.want)
		}
	}
}

// Section 13.1.5, and what makes a Range field count at all (section 14.2).
func TestIfRange(t *testing.T) {
	strong := &Validators{ETag: []byte(`"tag"`), Modified: date(t, changed), Date: date(t, dated)}
	weak := &Validators{ETag: []byte(`W/"tag"`), Modified: date(t, changed), Date: date(t, changed)}
	none := &Validators{Modified: NoTime, Date: NoTime}
	for _, c := range []struct {
		v      *Validators
		method message.Method
		fields string
		want   Part
	}{
		{strong, message.GET, "Range: bytes=0-1", One}, {strong, message.HEAD, "Range: bytes=0-1", Whole}, {strong, message.POST, "Range: bytes=0-1", Whole}, {strong, message.GET, "Range: bytes=0-1|Range: bytes=2-3", Whole}, {strong, message.GET, "", Whole},
		{strong, message.GET, `Range: bytes=0-1|If-Range: "tag"`, One}, {strong, message.GET, `Range: bytes=0-1|If-Range: W/"tag"`, Whole}, {strong, message.GET, `Range: bytes=0-1|If-Range: "x"`, Whole}, {strong, message.GET, `Range: bytes=0-1|If-Range: "tag", "tag"`, Whole},
		{weak, message.GET, `Range: bytes=0-1|If-Range: "tag"`, Whole}, {weak, message.GET, `Range: bytes=0-1|If-Range: W/"tag"`, Whole}, {none, message.GET, `Range: bytes=0-1|If-Range: ""`, Whole},
		{strong, message.GET, "Range: bytes=0-1|If-Range: " + changed, One}, {strong, message.GET, "Range: bytes=0-1|If-Range: " + after, Whole}, {strong, message.GET, "Range: bytes=0-1|If-Range: " + before, Whole}, {weak, message.GET, "Range: bytes=0-1|If-Range: " + changed, Whole},
		{strong, message.GET, "Range: bytes=99-|If-Range: \"x\"", Whole}, {strong, message.GET, "Range: bytes=99-", Unsatisfiable}, {strong, message.GET, "Range: bytes=0-1|If-Range: \"tag\"|If-Range: \"tag\"", Whole},
	} {
		var r Ranges
		r.Select(request(c.method, c.fields), c.v, 10)
		if r.Part != c.want {
			t.Errorf("%s: %d, want %d", c.fields, r.Part, c.want)
		}
	}
}

// Section 14.6: what is sent is what a reader of multipart bodies finds, and as long as was said.
func TestMultipart(t *testing.T) {
	content := []byte(strings.Repeat("0123456789", 30))
	for _, typ := range []string{"", "text/plain; charset=utf-8"} {
		r := selectRanges("bytes=-2, 0-100 , 150-151", int64(len(content)))
		m := Multipart{"XYZ", typ, int64(len(content))}
		var body []byte
		for i, s := range r.Spans() {
			body = append(m.AppendHead(body, s, i == 0), content[s.Off:s.Off+s.N]...)
		}
		body = m.AppendEnd(body)
		if int64(len(body)) != m.Length(r.Spans()) {
			t.Errorf("%d bytes, said %d", len(body), m.Length(r.Spans()))
		}
		if got := string(m.AppendType(nil)); got != "multipart/byteranges; boundary=XYZ" {
			t.Error(got)
		}
		reader := multipart.NewReader(bytes.NewReader(body), "XYZ")
		for _, s := range r.Spans() {
			p, err := reader.NextPart()
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(p)
			at, size, ok := ParseContentRange([]byte(p.Header.Get("Content-Range")))
			if err != nil || !bytes.Equal(got, content[s.Off:s.Off+s.N]) || !ok || at != s || size != m.Size || p.Header.Get("Content-Type") != typ {
				t.Errorf("%v %q %v", p.Header, got, err)
			}
		}
		if _, err := reader.NextPart(); err != io.EOF {
			t.Error(err)
		}
	}
	long := Multipart{strings.Repeat("b", 70), strings.Repeat("t", 1000), 10}
	if got, want := long.Length([]Span{{0, 1}}), int64(len(long.AppendEnd(long.AppendHead(nil, Span{0, 1}, true)))+1); got != want {
		t.Errorf("%d, want %d", got, want)
	}
	if got := string(AppendUnsatisfied(nil, 10)); got != "bytes */10" {
		t.Error(got)
	}
}

func TestParseContentRange(t *testing.T) {
	for s, want := range map[string]string{
		"bytes 0-3/10": "0+4/10", "bytes 0-0/1": "0+1/1", "Bytes 5-9/*": "5+5/-1", "bytes 9-9/10": "9+1/10",
		"bytes */10": "", "bytes 3-1/10": "", "bytes 0-10/10": "", "bytes 0-3": "", "bytes=0-3/10": "", "lines 0-3/10": "", "bytes 0-3/": "", "bytes -3/10": "", "bytes 0-/10": "", "bytes  0-3/10": "", "bytes 0 - 3/10": "", "": "", "bytes 0-3/10 ": "",
		"bytes 0-99999999999999999999/*": "", "bytes 0-3/99999999999999999999": "",
	} {
		at, size, ok := ParseContentRange([]byte(s))
		got := ""
		if ok {
			got = fmt.Sprintf("%d+%d/%d", at.Off, at.N, size)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	s := Span{10, 5}
	for _, c := range []struct {
		o             Span
		covers, meets bool
	}{
		{Span{10, 5}, true, true}, {Span{11, 3}, true, true}, {Span{12, 0}, true, true},
		{Span{9, 2}, false, true}, {Span{14, 2}, false, true}, {Span{5, 20}, false, true},
		{Span{15, 1}, false, true}, {Span{8, 2}, false, true}, {Span{16, 1}, false, false}, {Span{0, 9}, false, false},
	} {
		if got := s.Covers(c.o); got != c.covers {
			t.Errorf("%v covers %v: %v", s, c.o, got)
		}
		if s.Meets(c.o) != c.meets || c.o.Meets(s) != c.meets {
			t.Errorf("%v meets %v: %v", s, c.o, !c.meets)
		}
	}
}

func FuzzRange(f *testing.F) {
	f.Add("bytes=0-1,4-5,-2", int64(10))
	f.Add("bytes=0-9,2-3,1-8", int64(5))
	f.Add("bytes=-", int64(0))
	f.Add("bytes=9223372036854775807-9223372036854775807", int64(1)<<62)
	f.Fuzz(func(t *testing.T, spec string, size int64) {
		if size < 0 {
			return
		}
		r := selectRanges(spec, size)
		list := r.Spans()
		if want := map[Part]int{Whole: 0, Unsatisfiable: 0, One: 1, Several: 2}[r.Part]; min(len(list), 2) != want {
			t.Fatalf("part %d with %v", r.Part, list)
		}
		for i, s := range list {
			if s.N <= 0 || s.Off < 0 || s.Off > size-s.N {
				t.Fatalf("%v of %d", s, size)
			}
			for _, o := range list[:i] {
				if s.Off <= o.End() && o.Off <= s.End() {
					t.Fatalf("%v and %v overlap or touch", o, s)
				}
			}
		}
		if len(list) > 1 && Total(list) >= size {
			t.Fatalf("%v is all of %d", list, size)
		}
	})
}

func FuzzContentRange(f *testing.F) {
	f.Add("bytes 0-3/10")
	f.Add("bytes 5-9/*")
	f.Fuzz(func(t *testing.T, text string) {
		s, size, ok := ParseContentRange([]byte(text))
		if !ok {
			return
		}
		if s.N <= 0 || s.Off < 0 || size >= 0 && s.End() > size {
			t.Fatalf("%q: %v of %d", text, s, size)
		}
		if size >= 0 {
			if again, n, ok := ParseContentRange(AppendContentRange(nil, s, size)); !ok || again != s || n != size {
				t.Fatalf("%q: %v", text, again)
			}
		}
	})
}
