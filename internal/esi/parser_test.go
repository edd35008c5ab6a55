package esi

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// trace reads a document whose bytes come in pieces of the given lengths (the last one repeated; none: all at once) and writes
// down what the parser says: text as it is, events in {}, warnings at the end.
func trace(t testing.TB, limits Limits, doc string, cuts ...int) (string, *Page) {
	t.Helper()
	var page Page
	page.Reset(limits)
	var p Parser
	p.Reset(&page, 0)
	var out strings.Builder
	open := []Kind{}
	write := func(ev Event) {
		switch ev.Kind {
		case Text:
			if len(ev.Text) == 0 {
				t.Fatal("a text without bytes")
			}
			out.Write(ev.Text)
			return
		case Include:
			f := ev.Fragment
			fmt.Fprintf(&out, "{include %s", f.Src)
			if len(f.Alt) > 0 {
				fmt.Fprintf(&out, " alt %s", f.Alt)
			}
			if f.Continue {
				out.WriteString(" continue")
			}
			if f.MaxWait > 0 {
				fmt.Fprintf(&out, " wait %v", f.MaxWait)
			}
			if f.Over {
				out.WriteString(" over")
			}
			out.WriteString("}")
			return
		case TryStart, AttemptStart, ExceptStart:
			open = append(open, ev.Kind)
		case TryEnd, AttemptEnd, ExceptEnd:
			if len(open) == 0 || open[len(open)-1]+1 != ev.Kind {
				t.Fatalf("%v ends, open are %v", ev.Kind, open)
			}
			open = open[:len(open)-1]
		default:
			t.Fatalf("event %v", ev.Kind)
		}
		fmt.Fprintf(&out, "{%v}", ev.Kind)
	}
	rest := []byte(doc)
	for len(rest) > 0 {
		n := len(rest)
		if len(cuts) > 0 {
			n = min(n, max(1, cuts[0]))
			if len(cuts) > 1 {
				cuts = cuts[1:]
			}
		}
		// A piece of memory of its own, so that a view kept too long shows.
		in := append([]byte(nil), rest[:n]...)
		piece := in
		rest = rest[n:]
		for idle := 0; ; {
			ev, took := p.Next(in)
			in = in[took:]
			if took == 0 {
				if idle++; idle > 8*mostBlocks {
					t.Fatal("the parser stands still")
				}
			} else {
				idle = 0
			}
			if ev.Kind == More {
				break
			}
			write(ev)
		}
		if len(in) > 0 {
			t.Fatalf("%d bytes are left when the parser wants more", len(in))
		}
		clear(piece)
	}
	for {
		ev := p.Finish()
		if ev.Kind == End {
			break
		}
		write(ev)
	}
	if len(open) > 0 {
		t.Fatalf("open at the end: %v", open)
	}
	return out.String() + warned(&page), &page
}

func warned(g *Page) string {
	s := ""
	for w, n := range g.Warnings {
		if n > 0 {
			s += fmt.Sprintf(" !%v:%d", Warning(w), n)
		}
	}
	return s
}

var rows = []struct{ name, in, want string }{
	{"plain", "<p>a < b &amp; c</p>", "<p>a < b &amp; c</p>"},
	{"include", `a<esi:include src="/x"/>b`, "a{include /x}b"},
	{"all attributes, any order", `<esi:include maxwait='1500' onerror="continue" alt='/b' src="/a" />`, "{include /a alt /b continue wait 1.5s}"},
	{"lines within the tag", "<esi:include\n\tsrc = \"/a\"\r\n/>", "{include /a}"},
	{"no quotes", "<esi:include src=/a onerror=continue />", "{include /a continue}"},
	{"no quotes, no space", "<esi:include src=/a/>", "{include /a}"},
	{"no slash", `<esi:include src="/a">`, "{include /a}"},
	{"an end tag", `<esi:include src="/a"></esi:include>.`, "{include /a}. !misplaced:1"},
	{"other attributes", `<esi:include src="/a" ttl="5m" async/>`, "{include /a}"},
	{"entities", `<esi:include src="/a?b=1&amp;c=&#x27;&#39;&lt;&gt;&quot;&apos;&copy=3&eacute;&"/>`, `{include /a?b=1&c=''<>"'&copy=3&eacute;&}`},
	{"numbers that are no characters", `<esi:include src="&#0;&#xD800;&#1114112;&#;&#x;&#1a;&#x1F600;"/>`, "{include &#0;&#xD800;&#1114112;&#;&#x;&#1a;\U0001F600}"},
	{"one quote in the other", `<esi:include src="/a'b" alt='/c"d'/>`, `{include /a'b alt /c"d}`},
	{"greater in quotes", `<esi:include src="/a>b"/>c`, "{include /a>b}c"},
	{"in a value of HTML", `<a href="<esi:include src='/u'/>">`, `<a href="{include /u}">`},
	{"in a script", `<script>if (a<b) x = <esi:include src="/j"/>;</script>`, `<script>if (a<b) x = {include /j};</script>`},
	{"not XML at all", `{"a": <esi:include src="/j"/>}`, `{"a": {include /j}}`},
	{"byte order mark", "\xef\xbb\xbf<esi:include src=\"/j\"/>", "\xef\xbb\xbf{include /j}"},

	{"onerror unknown", `<esi:include src="/a" onerror="stop"/>`, "{include /a} !attribute:1"},
	{"maxwait unknown", `<esi:include src="/a" maxwait="1s"/>`, "{include /a} !attribute:1"},
	{"maxwait zero", `<esi:include src="/a" maxwait="0"/>`, "{include /a} !attribute:1"},
	{"maxwait above an hour", `<esi:include src="/a" maxwait="3600001"/>`, "{include /a} !attribute:1"},
	{"maxwait an hour", `<esi:include src="/a" maxwait="3600000"/>`, "{include /a wait 1h0m0s}"},

	{"no src", `<esi:include alt="/a"/>x`, `<esi:include alt="/a"/>x !malformed:1`},
	{"empty src", `<esi:include src=""/>x`, `<esi:include src=""/>x !malformed:1`},
	{"src twice", `<esi:include src="/a" src="/b"/>`, `<esi:include src="/a" src="/b"/> !malformed:1`},
	{"alt twice", `<esi:include src="/a" alt="" alt="/b"/>`, `<esi:include src="/a" alt="" alt="/b"/> !malformed:1`},
	{"a quote too few", `<esi:include src="/a/>b<i>c</i>"`, `<esi:include src="/a/>b<i>c</i>" !malformed:1`},
	{"a quote too few before another", `<esi:include src="/a/><esi:include src="/b"/>`, `<esi:include src="/a/>{include /b} !malformed:1`},
	{"a quote too many", `<esi:include src="/a""/>b`, `<esi:include src="/a""/>b !unclosed:1`},
	{"a tag in a tag", `<esi:include src=<esi:include src="/b"/>`, `<esi:include src={include /b} !malformed:1`},
	{"no name", `<esi: src="/b"/>`, `<esi: src="/b"/> !malformed:1`},
	{"junk", `<esi:include "x" src="/b"/>`, `<esi:include "x" src="/b"/> !malformed:1`},
	{"a value is missing", `<esi:include src=/>`, `<esi:include src=/> !malformed:1`},
	{"ends in a tag", `a<esi:include src="/b"`, `a<esi:include src="/b" !unclosed:1`},
	{"ends in a lead", `a<esi`, `a<esi`},
	{"ends in <", `a<`, `a<`},
	{"capitals", `<ESI:include src="/b"/></Esi:try>`, `<ESI:include src="/b"/></Esi:try> !other case:2`},
	{"nearly", `<esi-include/><es:i><em>x</em><esi></esi><e`, `<esi-include/><es:i><em>x</em><esi></esi><e`},

	{"remove", `a<esi:remove><p>x</p></esi:remove>b`, "ab"},
	{"remove with things in it", `a<esi:remove><esi:include src="/x"/><esi:try><!-- </esi:remove> --></esi:remove>b`, "ab !misplaced:2"},
	{"remove in remove", `a<esi:remove>x<esi:remove>y</esi:remove>b</esi:remove>c`, "abc !misplaced:2"},
	{"remove not closed", `a<esi:remove>x`, "a !unclosed:1"},
	{"remove empty", `a<esi:remove/>x`, "ax !misplaced:1"},
	{"malformed in remove", `a<esi:remove><esi:include src="x</esi:remove>b`, "ab !malformed:1"},
	{"comment", `a<esi:comment text="x > y"/>b`, "ab"},
	{"comment with an end", `a<esi:comment>x</esi:comment>b`, "axb !misplaced:2"},

	{"esi comment", `a<!--esi <esi:include src="/x"/> -->b`, "a {include /x} b"},
	{"esi comment, tight", `a<!--esi<b>x</b>-->b`, "a<b>x</b>b"},
	{"esi comment, empty", `a<!--esi-->b`, "ab"},
	{"esi comment, dashes", `a<!--esi - -- -> --- ---->b-->c`, "a - -- -> --- --b-->c"},
	{"esi comment, another word", `a<!--esir <esi:include src="/x"/> -->b`, `a<!--esir <esi:include src="/x"/> -->b`},
	{"esi comment in another", `<!--esi a <!--esi b --> c -->`, " a  b  c --> !misplaced:1"},
	{"comment in an esi comment", `<!--esi a <!-- b --> c -->`, " a <!-- b --> c -->"},
	{"esi comment around remove", `<!--esi a <esi:remove> b --> c </esi:remove> d`, " a  d"},
	{"esi comment not closed", `a<!--esi b`, "a b !unclosed:1"},
	{"esi comment with a tag that is none", `<!--esi <esi:include src="/a --> b<p>`, ` <esi:include src="/a  b<p> !malformed:1`},
	{"HTML comment", `a<!-- <esi:include src="/x"/> -->b<esi:include src="/y"/>`, `a<!-- <esi:include src="/x"/> -->b{include /y}`},
	{"HTML comment, short", `<!----><esi:include src="/a"/><!--><esi:include src="/b"/><!---><esi:include src="/c"/>`, `<!---->{include /a}<!-->{include /b}<!--->{include /c}`},
	{"HTML comment not closed", `a<!-- <esi:include src="/x"/> ->`, `a<!-- <esi:include src="/x"/> -> !unclosed:1`},
	{"CDATA", `a<![CDATA[ <esi:include src="/x"/> ]]]><esi:include src="/y"/>`, `a<![CDATA[ <esi:include src="/x"/> ]]]>{include /y}`},
	{"CDATA, short", `<![CDATA[]]><esi:include src="/y"/>`, `<![CDATA[]]>{include /y}`},
	{"CDATA holds --> ", `<!--esi <![CDATA[ --> ]]> -->x`, ` <![CDATA[ --> ]]> x`},
	{"doctype", `<!DOCTYPE html><![if x]><!-x>`, `<!DOCTYPE html><![if x]><!-x>`},

	{"unknown element", `<esi:foo a="b">x</esi:foo>`, "x !unknown element:2"},
	{"unsupported element", `<esi:vars>$(HTTP_HOST)</esi:vars>`, "$(HTTP_HOST) !unsupported element:2"},

	{"try", `a<esi:try> <esi:attempt>b<esi:include src="/x"/></esi:attempt> <esi:except>c</esi:except> </esi:try>d`,
		"a{try} {attempt}b{include /x}{/attempt} {except}c{/except} {/try}d"},
	{"try in attempt", `<esi:try><esi:attempt><esi:try><esi:attempt>a</esi:attempt></esi:try></esi:attempt></esi:try>`,
		"{try}{attempt}{try}{attempt}a{/attempt}{/try}{/attempt}{/try}"},
	{"try in except", `<esi:try><esi:except><esi:try></esi:try></esi:except></esi:try>`, "{try}{except}{try}{/try}{/except}{/try}"},
	{"ends missing before </try>", `<esi:try><esi:attempt>a</esi:try>b`, "{try}{attempt}a{/attempt}{/try}b !unclosed:1"},
	{"ends missing across tries", `<esi:try><esi:attempt><esi:try><esi:attempt>a</esi:except></esi:try></esi:attempt></esi:try>b`,
		"{try}{attempt}{try}{attempt}a</esi:except>{/attempt}{/try}{/attempt}{/try}b !malformed:1 !unclosed:1"},
	{"end missing before except", `<esi:try><esi:attempt>a<esi:except>b</esi:except></esi:try>`, "{try}{attempt}a{/attempt}{except}b{/except}{/try} !unclosed:1"},
	{"ends missing at the end", `<esi:try><esi:attempt>a`, "{try}{attempt}a{/attempt}{/try} !unclosed:1"},
	{"two attempts", `<esi:try><esi:attempt>a</esi:attempt><esi:attempt>b</esi:attempt></esi:try>`,
		"{try}{attempt}a{/attempt}<esi:attempt>b</esi:attempt>{/try} !malformed:2"},
	{"a new try, a new attempt", `<esi:try><esi:attempt>a</esi:attempt></esi:try><esi:try><esi:attempt>b</esi:attempt></esi:try>`,
		"{try}{attempt}a{/attempt}{/try}{try}{attempt}b{/attempt}{/try}"},
	{"blocks outside", `<esi:attempt>a</esi:attempt><esi:except>b</esi:except></esi:try>`,
		"<esi:attempt>a</esi:attempt><esi:except>b</esi:except></esi:try> !malformed:5"},
	{"empty blocks", `<esi:try/><esi:try><esi:attempt/></esi:try>`, "{try}{/try} !misplaced:2"},
	{"a block that opens and closes", `</esi:try/>`, "</esi:try/> !malformed:1"},
}

func TestParser(t *testing.T) {
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			got, _ := trace(t, Limits{}, r.in)
			if d := cmp.Diff(r.want, got); d != "" {
				t.Errorf("whole (-want +got):\n%s", d)
			}
			for n := 1; n <= len(r.in); n++ {
				if got, _ := trace(t, Limits{}, r.in, n); got != r.want {
					t.Errorf("in pieces of %d: %q, want %q", n, got, r.want)
				}
				if got, _ := trace(t, Limits{}, r.in, n, len(r.in)); got != r.want {
					t.Errorf("cut at %d: %q, want %q", n, got, r.want)
				}
			}
		})
	}
}

func TestLimits(t *testing.T) {
	long := strings.Repeat("a", 40)
	for _, r := range []struct {
		name     string
		l        Limits
		in, want string
	}{
		{"tag", Limits{Tag: 40}, `<esi:include src="/` + long + `"/>x<esi:include src="/b"/>`, `<esi:include src="/` + long + `"/>x{include /b} !too long:1`},
		{"tag of just the limit", Limits{Tag: 22}, `<esi:include src="/"/>`, `{include /}`},
		{"tag of one more", Limits{Tag: 21}, `<esi:include src="/"/>`, `<esi:include src="/"/> !too long:1`},
		{"tag without an end", Limits{Tag: 20}, `<esi:include ` + long + "<b>", `<esi:include ` + long + "<b> !too long:1"},
		{"value", Limits{Value: 4}, `<esi:include src="/aaa"/><esi:include src="/aaaa"/>`, `{include /aaa}<esi:include src="/aaaa"/> !too long:1`},
		{"includes", Limits{Includes: 1}, `<esi:include src="/a"/><esi:include src="/b" onerror="continue"/>`, `{include /a}{include /b continue over} !too many fragments:1`},
		{"blocks", Limits{Blocks: 1}, `<esi:try><esi:attempt><esi:try>a<esi:attempt>b</esi:attempt><esi:except>c</esi:except></esi:try>d</esi:attempt></esi:try>`,
			`{try}{attempt}abcd{/attempt}{/try} !nested too deep:6`},
		{"blocks, deeper", Limits{Blocks: 1}, `<esi:try><esi:try><esi:try></esi:try></esi:try>a</esi:try>b`, `{try}a{/try}b !nested too deep:4`},
		{"blocks, at the most", Limits{Blocks: 99}, strings.Repeat("<esi:try><esi:attempt>", 17) + "x", strings.Repeat("{try}{attempt}", 16) + "x" +
			strings.Repeat("{/attempt}{/try}", 16) + " !unclosed:1 !nested too deep:2"},
	} {
		for n := range len(r.in) {
			if got, _ := trace(t, r.l, r.in, n, len(r.in)); got != r.want {
				t.Errorf("%s, cut at %d: %q, want %q", r.name, n, got, r.want)
			}
			if got, _ := trace(t, r.l, r.in, n+1); got != r.want {
				t.Errorf("%s, in pieces of %d: %q, want %q", r.name, n+1, got, r.want)
			}
		}
	}
}

// TestPageLimits: documents of one page count together, and a fragment at the last level includes nothing.
func TestPageLimits(t *testing.T) {
	var page Page
	page.Reset(Limits{Includes: 2, Depth: 2})
	include := func(depth int) bool {
		var p Parser
		p.Reset(&page, depth)
		ev, _ := p.Next([]byte(`<esi:include src="/a"/>`))
		return ev.Kind == Include && !ev.Fragment.Over
	}
	if !include(0) || include(2) || !include(1) || include(0) {
		t.Errorf("includes: %d", page.Includes())
	}
	if got := warned(&page); got != " !too many fragments:1 !nested too deep:1" {
		t.Error(got)
	}
	if !page.Warned || page.First != TooNested || page.FirstAt != 0 {
		t.Errorf("first warning: %v at %d", page.First, page.FirstAt)
	}
}

func TestFirstWarningHasItsPlace(t *testing.T) {
	for n := 1; n < 12; n++ {
		_, page := trace(t, Limits{}, "abc<!--esi <esi:remove>x</esi:remove>--><esi:what/><esi:include/>", n)
		if page.First != Unknown || page.FirstAt != 40 {
			t.Errorf("in pieces of %d: %v at %d", n, page.First, page.FirstAt)
		}
	}
}

// TestNothingHeldLong: a parser keeps at most a tag.
func TestHeldIsBounded(t *testing.T) {
	var page Page
	page.Reset(Limits{Tag: 100})
	var p Parser
	p.Reset(&page, 0)
	text := 0
	for i := range 100_000 {
		in := []byte{'x'}
		if i == 0 {
			in = []byte(`<esi:include src="`)
		}
		for {
			ev, n := p.Next(in)
			in = in[n:]
			if ev.Kind == More {
				break
			}
			text += len(ev.Text)
		}
		if len(p.held) > 128 || cap(p.held) > 256 {
			t.Fatalf("after %d bytes %d are held, in %d", i, len(p.held), cap(p.held))
		}
	}
	if want := 100_000 + len(`<esi:include src="`) - 1; text != want {
		t.Errorf("%d bytes came out, want %d", text, want)
	}
}

func TestResetForgets(t *testing.T) {
	var page Page
	page.Reset(Limits{})
	var p Parser
	p.Reset(&page, 0)
	p.Next([]byte(`<esi:remove><!-- <esi:try>`))
	p.Next([]byte(`<esi:inc`))
	p.Reset(&page, 0)
	ev, n := p.Next([]byte("lude"))
	if ev.Kind != Text || string(ev.Text) != "lude" || n != 4 {
		t.Errorf("%v %q %d", ev.Kind, ev.Text, n)
	}
	if ev := p.Finish(); ev.Kind != End {
		t.Errorf("%v", ev.Kind)
	}
	if ev := p.Finish(); ev.Kind != End {
		t.Errorf("%v after the end", ev.Kind)
	}
}

func TestWords(t *testing.T) {
	for k := None; k <= End; k++ {
		if k.String() == "" || k.String() == "unknown kind" {
			t.Errorf("kind %d has no name", k)
		}
	}
	for w := Malformed; w < NumWarnings; w++ {
		if w.String() == "" || w.String() == NumWarnings.String() {
			t.Errorf("warning %d has no name", w)
		}
	}
	if (End+1).String() != "unknown kind" || milliseconds(nil) != 0 || milliseconds([]byte("250")) != 250*time.Millisecond {
		t.Error("words or numbers")
	}
}
