package esi

import (
	"bytes"
	"fmt"
	"testing"
)

func describe(ev Event) string {
	if ev.Kind == Include {
		return fmt.Sprintf("{%s|%s|%v|%v}", ev.Fragment.Src, ev.Fragment.Alt, ev.Fragment.Continue, ev.Fragment.Over)
	}
	return fmt.Sprintf("{%v %s}", ev.Kind, ev.Text)
}

// forks reads a document cut into two, and looks ahead after each include: what is seen then must be what comes then.
func forks(t testing.TB, doc []byte, cut int) {
	t.Helper()
	var page Page
	page.Reset(Limits{Includes: 3})
	var p, scout Parser
	p.Reset(&page, 0)
	for _, piece := range [][]byte{doc[:cut], doc[cut:]} {
		var seen []string // what is still to come of the piece
		for in := bytes.Clone(piece); ; {
			ev, n := p.Next(in)
			in = in[n:]
			got := describe(ev)
			if seen != nil {
				if seen[0] != got {
					t.Fatalf("%q cut at %d: %s was seen, %s came", doc, cut, seen[0], got)
				}
				seen = seen[1:]
			}
			if ev.Kind == More {
				break
			}
			if ev.Kind != Include {
				continue
			}
			before := page
			counts := page // a copy
			p.Fork(&scout, &counts)
			seen = nil
			for ahead := in; ; {
				ev, n := scout.Next(ahead)
				ahead = ahead[n:]
				seen = append(seen, describe(ev))
				if ev.Kind == More {
					break
				}
			}
			if page != before || describe(Event{Kind: Include, Fragment: ev.Fragment}) != got {
				t.Fatalf("%q cut at %d: looking ahead changed something", doc, cut)
			}
		}
	}
}

func TestFork(t *testing.T) {
	for _, doc := range []string{
		`a<esi:include src="/1"/>b<esi:include src="/2&amp;x" alt="/3"/><esi:include src="/4"/><esi:include src="/5"/>c`,
		`<esi:try><esi:attempt>x<esi:include src="/1"/><esi:include src="/2"/>y</esi:attempt><esi:except><esi:include src="/3"/></esi:except></esi:try>`,
		`<!--esi <esi:include src="/1"/> <b> --><!-- <esi:include src="/2"/> --><esi:include src="/3"/><esi:remove><esi:include src="/4"/></esi:remove>`,
		`<esi:include src="/1"/><esi:include src="/2"<esi:include src="/3"/>`,
	} {
		for cut := range len(doc) + 1 {
			forks(t, []byte(doc), cut)
		}
	}
}

func FuzzFork(f *testing.F) {
	f.Add([]byte(`a<esi:include src="/1"/>b<esi:try><esi:attempt><esi:include src="/2"/></esi:attempt></esi:try><!--esi-->`), 20)
	f.Fuzz(func(t *testing.T, doc []byte, cut int) {
		if cut >= 0 && cut <= len(doc) {
			forks(t, doc, cut)
		}
	})
}
