package esi

import (
	"bytes"
	"strings"
	"testing"
)

// render plays the edge: fragments come from a map, and one that is not in it fails; "cut:" means that the fragment
// breaks off after the rest.
type renderer struct {
	t         *testing.T
	page      Page
	asm       Assembly
	fragments map[string]string
	out       bytes.Buffer
	asked     []string
	gaps      int
}

func (r *renderer) text(b []byte) {
	before, now := r.asm.Text(b)
	r.out.Write(before)
	r.out.Write(now)
}

func (r *renderer) document(doc string, depth int) {
	var p Parser
	p.Reset(&r.page, depth)
	doc, broken := strings.CutPrefix(doc, "cut:")
	mark := r.asm.Mark()
	in := []byte(doc)
	for {
		ev, n := p.Next(in)
		in = in[n:]
		if ev.Kind == More {
			break
		}
		r.event(ev, depth)
	}
	if broken {
		r.asm.Unwind(mark)
		r.fail()
		return
	}
	for ev := p.Finish(); ev.Kind != End; ev = p.Finish() {
		r.event(ev, depth)
	}
}

func (r *renderer) fail() {
	if !r.asm.Fail() {
		r.gaps++
	}
}

func (r *renderer) event(ev Event, depth int) {
	switch ev.Kind {
	case Text:
		r.text(ev.Text)
	case Include:
		if !r.asm.Wanted() {
			return
		}
		f := *ev.Fragment
		for _, name := range []string{string(f.Src), string(f.Alt)} {
			body, ok := r.fragments[name]
			if f.Over || name == "" {
				continue
			}
			r.asked = append(r.asked, name)
			if ok {
				r.document(body, depth+1)
				return
			}
		}
		if !f.Continue {
			r.fail()
		}
	default:
		r.out.Write(r.asm.Block(ev.Kind))
	}
}

func TestAssembly(t *testing.T) {
	const inc = `<esi:include src="`
	fragments := map[string]string{
		"a": "A", "b": "B",
		"nested":      `[` + inc + `a"/>]`,
		"bad":         `[` + inc + `none"/>]`,
		"guarded":     `[<esi:try><esi:attempt>x` + inc + `none"/></esi:attempt><esi:except>saved</esi:except></esi:try>]`,
		"broken":      "cut:half",
		"broken deep": "cut:half<esi:try><esi:attempt>more",
		"self":        "." + inc + `self"/>`,
	}
	for _, r := range []struct{ name, in, want, asked string }{
		{"none", "abc", "abc", ""},
		{"include", inc + `a"/>-` + inc + `b"/>`, "A-B", "a b"},
		{"alt", inc + `none" alt="b"/>`, "B", "none b"},
		{"continue", "x" + inc + `none" onerror="continue"/>y`, "xy", "none"},
		{"gap", "x" + inc + `none"/>y`, "xy !1", "none"},
		{"attempt succeeds", "<esi:try><esi:attempt>1" + inc + `a"/>2</esi:attempt><esi:except>3` + inc + `b"/></esi:except></esi:try>.`, "1A2.", "a"},
		{"attempt fails", "<esi:try><esi:attempt>1" + inc + `none"/>2` + inc + `a"/></esi:attempt><esi:except>3` + inc + `b"/></esi:except></esi:try>.`, "3B.", "none b"},
		{"attempt continues", "<esi:try><esi:attempt>1" + inc + `none" onerror="continue"/>2</esi:attempt><esi:except>3</esi:except></esi:try>.`, "12.", "none"},
		{"no except", "a<esi:try><esi:attempt>1" + inc + `none"/></esi:attempt></esi:try>b`, "ab", "none"},
		{"no except, in an attempt", "<esi:try><esi:attempt>0<esi:try><esi:attempt>1" + inc + `none"/></esi:attempt></esi:try></esi:attempt><esi:except>e</esi:except></esi:try>b`, "eb", "none"},
		{"except fails", "<esi:try><esi:attempt>" + inc + `none"/></esi:attempt><esi:except>3` + inc + `none"/>4</esi:except></esi:try>.`, "34. !1", "none none"},
		{"except fails, in an attempt", "<esi:try><esi:attempt>0<esi:try><esi:attempt>" + inc + `none"/></esi:attempt><esi:except>3` + inc +
			`none"/>4` + inc + `a"/></esi:except></esi:try>5</esi:attempt><esi:except>e</esi:except></esi:try>.`, "e.", "none none"},
		{"two excepts", "<esi:try><esi:attempt>" + inc + `none"/></esi:attempt><esi:except>1</esi:except><esi:except>2</esi:except></esi:try>.`, "1.", "none"},
		{"except before attempt", "<esi:try><esi:except>1</esi:except><esi:attempt>2" + inc + `none"/></esi:attempt><esi:except>3</esi:except></esi:try>.`, "3.", "none"},
		{"inner fails, outer stays", "<esi:try><esi:attempt>0<esi:try><esi:attempt>1" + inc + `none"/></esi:attempt><esi:except>i</esi:except></esi:try>2</esi:attempt><esi:except>e</esi:except></esi:try>.`, "0i2.", "none"},
		{"outer fails after inner", "<esi:try><esi:attempt>0<esi:try><esi:attempt>1</esi:attempt><esi:except>i</esi:except></esi:try>2" + inc + `none"/></esi:attempt><esi:except>e</esi:except></esi:try>.`, "e.", "none"},
		{"outer fails before inner", "<esi:try><esi:attempt>0" + inc + `none"/><esi:try><esi:attempt>1` + inc + `a"/></esi:attempt><esi:except>i</esi:except></esi:try>2</esi:attempt><esi:except>e</esi:except></esi:try>.`, "e.", "none"},
		{"text in a try", "<esi:try>1" + inc + `a"/><esi:attempt>2</esi:attempt>3</esi:try>`, "1A23", "a"},
		{"try in an except that is not needed", "<esi:try><esi:attempt>1</esi:attempt><esi:except><esi:try><esi:attempt>" + inc + `none"/></esi:attempt><esi:except>2</esi:except></esi:try></esi:except></esi:try>`, "1", ""},
		{"nested", inc + `nested"/>`, "[A]", "nested a"},
		{"a fragment of a fragment fails", "<esi:try><esi:attempt>" + inc + `bad"/></esi:attempt><esi:except>e</esi:except></esi:try>`, "e", "bad none"},
		{"a fragment guards itself", "<esi:try><esi:attempt>" + inc + `guarded"/></esi:attempt><esi:except>e</esi:except></esi:try>`, "[saved]", "guarded none"},
		{"a fragment breaks off", "<esi:try><esi:attempt>" + inc + `broken"/></esi:attempt><esi:except>e</esi:except></esi:try>`, "e", "broken"},
		{"a fragment breaks off in its try", "<esi:try><esi:attempt>" + inc + `broken deep"/></esi:attempt><esi:except>e</esi:except></esi:try>`, "e", "broken deep"},
		{"a fragment breaks off in the open", "x" + inc + `broken deep"/>y`, "xhalfy !1", "broken deep"},
		{"a loop", inc + `self"/>`, "..... !1", "self self self self self"},
		{"a loop in a try", "<esi:try><esi:attempt>" + inc + `self"/></esi:attempt><esi:except>e</esi:except></esi:try>`, "e", "self self self self self"},
	} {
		t.Run(r.name, func(t *testing.T) {
			x := renderer{t: t, fragments: fragments}
			x.page.Reset(Limits{})
			x.asm.Reset(&x.page)
			x.document(r.in, 0)
			got := x.out.String()
			if x.gaps > 0 {
				got += " !" + string(rune('0'+x.gaps))
			}
			if got != r.want || strings.Join(x.asked, " ") != r.asked {
				t.Errorf("%q, asked for %v; want %q, %s", got, x.asked, r.want, r.asked)
			}
			if x.asm.Mark() != 0 || len(x.asm.held) != 0 && !x.asm.free {
				t.Errorf("left behind: %d blocks, %q", x.asm.Mark(), x.asm.held)
			}
		})
	}
}

// TestAttemptAboveTheLimit: it is passed on, and what fails later in it leaves a gap.
func TestAttemptAboveTheLimit(t *testing.T) {
	x := renderer{t: t}
	x.page.Reset(Limits{Held: 10})
	x.asm.Reset(&x.page)
	x.document(`a<esi:try><esi:attempt>0123<esi:try><esi:attempt>4567<!-- long -->8<esi:include src="none"/>9</esi:attempt><esi:except>i</esi:except></esi:try>`+
		`</esi:attempt><esi:except>e</esi:except></esi:try>b<esi:try><esi:attempt>again<esi:include src="none"/></esi:attempt><esi:except>f</esi:except></esi:try>`, 0)
	if got, want := x.out.String(), "a01234567<!-- long -->89bf"; got != want || x.gaps != 1 {
		t.Errorf("%q with %d gaps, want %q with one", got, x.gaps, want)
	}
	if got := warned(&x.page); got != " !attempt too large:1" {
		t.Error(got)
	}
	// Just the limit is held.
	x = renderer{t: t}
	x.page.Reset(Limits{Held: 10})
	x.asm.Reset(&x.page)
	x.document(`<esi:try><esi:attempt>0123456789<esi:include src="none"/></esi:attempt><esi:except>e</esi:except></esi:try>`, 0)
	if got := x.out.String(); got != "e" {
		t.Error(got)
	}
}

// TestAssemblyOfAnything: blocks that do not balance (they do not come from a parser) are no reason to panic.
func TestAssemblyOfAnything(t *testing.T) {
	var page Page
	page.Reset(Limits{})
	var a Assembly
	a.Reset(&page)
	for i := range 3000 {
		a.Block(Kind(i * 7 % 13))
		a.Text([]byte("x"))
		if i%5 == 0 {
			a.Fail()
		}
		if i%97 == 0 {
			a.Unwind(0)
		}
	}
	a.Reset(&page)
	if before, now := a.Text([]byte("x")); before != nil || string(now) != "x" {
		t.Errorf("%q %q", before, now)
	}
}
