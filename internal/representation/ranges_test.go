package representation

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"slices"
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

// Against a set of single bytes.
func TestSpans(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var p Spans
		var have [100]bool
		for range 20 {
			s := Span{r.Int64N(90), 0}
			s.N = r.Int64N(min(12, 100-s.Off))
			old := slices.Clone(p)
			next, ok := p.Add(s)
			if !ok || !slices.Equal(old, p) {
				t.Fatal("no room, or the old value changed")
			}
			p = next
			for i := s.Off; i < s.Off+s.N; i++ {
				have[i] = true
			}
			last := int64(-1)
			for _, o := range p {
				if o.N <= 0 || o.Off <= last {
					t.Fatalf("%v is not in order, or touches", p)
				}
				last = o.end()
			}
			want := Span{r.Int64N(90), 0}
			want.N = r.Int64N(100 - want.Off)
			var lacking [100]bool
			for _, o := range p.Missing(want) {
				if o.N <= 0 {
					t.Fatal(o)
				}
				for i := o.Off; i < o.end(); i++ {
					lacking[i] = true
				}
			}
			all := true
			for i := range have {
				within := int64(i) >= want.Off && int64(i) < want.end()
				if lacking[i] != (within && !have[i]) {
					t.Fatalf("%v of %v: byte %d", p, want, i)
				}
				all = all && (!within || have[i])
			}
			if p.Covers(want) != all {
				t.Fatalf("%v covers %v: %v", p, want, !all)
			}
		}
	}
	var p Spans
	for i := range int64(maxSpans) {
		next, ok := p.Add(Span{i * 2, 1})
		if !ok {
			t.Fatal(i)
		}
		p = next
	}
	if same, ok := p.Add(Span{1000, 1}); ok || len(same) != maxSpans {
		t.Error("there is no end to the pieces")
	}
	if one, ok := p.Add(Span{0, 1000}); !ok || len(one) != 1 {
		t.Error("what brings pieces together is refused")
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
				if s.Off <= o.end() && o.Off <= s.end() {
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
		if s.N <= 0 || s.Off < 0 || size >= 0 && s.end() > size {
			t.Fatalf("%q: %v of %d", text, s, size)
		}
		if size >= 0 {
			if again, n, ok := ParseContentRange(AppendContentRange(nil, s, size)); !ok || again != s || n != size {
				t.Fatalf("%q: %v", text, again)
			}
		}
	})
}

// RFC 9111, section 3.4.
func TestPartial(t *testing.T) {
	p := Partial{Size: -1}
	step := func(s Span, size int64, ok, whole bool) {
		t.Helper()
		next, got := p.With(s, size)
		if got != ok || next.Whole() != whole || !ok && (next.Size != p.Size || !slices.Equal(next.Have, p.Have)) {
			t.Errorf("%v of %d: %v, %v", s, size, got, next)
		}
		p = next
	}
	step(Span{0, 5}, -1, true, false)
	step(Span{3, 4}, 4, false, false) // shorter than what is there
	step(Span{8, 2}, 10, true, false)
	step(Span{5, 1}, 11, false, false)
	step(Span{9, 2}, -1, false, false)
	step(Span{-1, 2}, -1, false, false)
	for spec, want := range map[string]bool{"bytes=0-4": true, "bytes=2-5": false, "bytes=-2": true, "bytes=0-1,8-9": true, "bytes=0-1,7-9": false, "bytes=10-": true, "": false} {
		if r := selectRanges(spec, p.Size); p.Serves(&r) != want {
			t.Errorf("%v serves %s: %v", p, spec, !want)
		}
	}
	step(Span{4, 5}, 10, true, true)
	if r := selectRanges("", 10); !p.Serves(&r) || !(Partial{Size: 0}).Whole() || (Partial{Size: -1}).Whole() {
		t.Error("the whole is not whole")
	}
}
