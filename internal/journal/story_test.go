package journal

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func sampleStory() *Story {
	j := &Journal{}
	j.At[Begun], j.At[HeadRead], j.At[FirstByte], j.At[Delivered] = 1000, 2000, 5_001_000, 6_001_000
	l := sample()
	l.Why, l.Slow, l.Failure = "uri-miss", true, true
	var s Story
	s.Take(l, j)
	return &s
}

func TestStory(t *testing.T) {
	s := sampleStory()
	text := AppendStory(nil, s)
	if !bytes.HasSuffix(text, []byte(`,"cache_why":"uri-miss","slow":true,"failed":true,"stages_ms":{"begun":0.000,"head_read":0.001,"first_byte":5.000,"delivered":6.000}}`+"\n")) {
		t.Errorf("%s", text)
	}
	got, err := ReadStory(text)
	if err != nil {
		t.Fatal(err)
	}
	if again := AppendStory(nil, got); !bytes.Equal(again, text) {
		t.Errorf("read and written again:\n%s\n%s", again, text)
	}
	if d := cmp.Diff(s, got, cmp.AllowUnexported(Story{}), cmpopts.IgnoreFields(Story{}, "text"), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.EquateApproxTime(time.Millisecond)); d != "" {
		t.Error(d)
	}
}

// A story owns what it tells: the views that its line came with may be used for something else at once.
func TestAStoryOwnsItsTexts(t *testing.T) {
	target := []byte(strings.Repeat("/a", 1000))
	name := []byte("name")
	l := &Line{Target: target, ID: []byte("one"), Listen: ":1", Name: string(name)}
	var s Story
	s.Take(l, &Journal{})
	for i := range target {
		target[i] = 'x'
	}
	if len(s.Line.Target) != storyText || bytes.Contains(s.Line.Target, []byte("x")) || string(s.Line.ID) != "one" {
		t.Errorf("%q %q", s.Line.Target, s.Line.ID)
	}
	c := s.Clone()
	s.Take(&Line{Method: []byte("GET")}, &Journal{})
	if len(c.Line.Target) != storyText || string(c.Line.Target[:4]) != "/a/a" || string(c.Line.ID) != "one" || len(c.Line.Method) != 0 {
		t.Errorf("the copy: %+v", c.Line)
	}
	if string(s.Line.Method) != "GET" || len(s.Line.Target) != 0 {
		t.Errorf("used again: %+v", s.Line)
	}
}

// TestParts: a story names the first fragments of its page, owns what it says of them, and takes no memory anew for the next.
func TestParts(t *testing.T) {
	target := []byte("/box?a=\"1\"" + strings.Repeat("x", 1000))
	l := &Line{Target: []byte("/"), Includes: 20}
	for i := range 20 {
		l.Parts = append(l.Parts, Part{Target: target, Status: 200 + i, Cache: Hit, Took: 1500 * time.Microsecond})
	}
	l.Parts[1] = Part{Target: []byte("/gone")}
	var s Story
	s.Take(l, &Journal{})
	c := s.Clone()
	for i := range target {
		target[i] = 'y'
	}
	s.Take(&Line{Parts: []Part{{Target: []byte("/other")}}}, &Journal{})
	text := AppendStory(nil, c)
	if n := bytes.Count(text, []byte(`"status":`)); n != MaxParts+1 {
		t.Errorf("%d parts: %s", n-1, text)
	}
	begin := `,"parts":[{"target":"/box?a=\"1\"` + strings.Repeat("x", PartText-len(`/box?a="1"`)) + `","status":200,"cache":"hit","ms":1.500},{"target":"/gone","status":0,"ms":0.000},{`
	if !bytes.Contains(text, []byte(begin)) {
		t.Errorf("no %s in\n%s", begin, text)
	}
	read, err := ReadStory(text)
	if err != nil {
		t.Fatal(err)
	}
	if again := AppendStory(nil, read); !bytes.Equal(again, text) {
		t.Errorf("read and written again:\n%s\n%s", again, text)
	}
	if line := AppendJSON(nil, &c.Line); bytes.Contains(line, []byte("parts")) {
		t.Errorf("an access log has them: %s", line)
	}
	l.Parts = l.Parts[:2]
	if n := testing.AllocsPerRun(100, func() { s.Take(l, &Journal{}); text = AppendStory(text[:0], &s) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	s.Take(&Line{}, &Journal{})
	if text := AppendStory(nil, &s); bytes.Contains(text, []byte("parts")) {
		t.Errorf("another request has them: %s", text)
	}
}

// Whatever a client sends, a story is one line of JSON, and what is read of it is written the same.
func FuzzStory(f *testing.F) {
	f.Add("GET", "/a?b=c", "www.example.com", "x\r\n\x1b[2J", "id", "name")
	f.Add("\xff", "\u2028\u202e", "}{", `"},"forged":"`, "", "\x00")
	f.Fuzz(func(t *testing.T, method, target, host, agent, id, name string) {
		j := &Journal{}
		j.At[Begun], j.At[Delivered] = 1, 2_000_001
		var s Story
		s.Take(&Line{Method: []byte(method), Target: []byte(target), Host: []byte(host), UserAgent: []byte(agent), ID: []byte(id), Parts: []Part{{Target: []byte(target)}, {Target: []byte(agent)}}}, j)
		text := AppendStory(nil, &s)
		if !json.Valid(text) || bytes.Count(text, []byte("\n")) != 1 || bytes.Contains(text, []byte(`"forged"`)) {
			t.Fatalf("%q", text)
		}
		for _, c := range text[:len(text)-1] {
			if c < ' ' || c == 0x7f {
				t.Fatalf("a control: %q", text)
			}
		}
		read, err := ReadStory(text)
		if err != nil {
			t.Fatal(err)
		}
		once := AppendStory(nil, read) // what was Latin-1 is UTF-8 from here on
		if read, err = ReadStory(once); err != nil {
			t.Fatal(err)
		}
		if again := AppendStory(nil, read); !bytes.Equal(again, once) {
			t.Fatalf("%q\n%q", once, again)
		}
		s.Take(&Line{Listen: ":1", Name: name}, j)
		if text := AppendStory(nil, &s); !json.Valid(text) || bytes.Count(text, []byte("\n")) != 1 {
			t.Fatalf("%q", text)
		}
	})
}
