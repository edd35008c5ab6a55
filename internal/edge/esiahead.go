package edge

import (
	"bytes"

	"github.com/weirhq/weir/internal/esi"
)

// While a fragment is awaited, those behind it are asked for: a page with five slow boxes takes as long as the slowest, not
// as all together. What is looked at is what is here of the document. A fragment that turns out not to be wanted, because an
// attempt failed before it, was asked for in vain.

// maxEarly is how many fragments of a page are asked for ahead of their places.
const maxEarly = 4

// doc is a document of the page that is being sent; there is one for each depth.
type doc struct {
	parser esi.Parser
	in     []byte // what is here of it and was not read yet
	from   esi.Address
	early  []early // in the order of their places
}

// early is a fragment that was asked for ahead of its place.
type early struct {
	src []byte
	f   *fragment
}

// askAhead asks for fragments whose places are yet to come.
func (a *assembler) askAhead(d *doc) {
	if len(d.in) == 0 || len(d.early) > maxEarly/2 || a.ahead >= maxEarly || len(a.lost) > 0 {
		return
	}
	page := a.page // a copy: what is looked at now is counted when it is read
	d.parser.Fork(&a.scout, &page)
	known, except := 0, 0
	for in := d.in; a.ahead < maxEarly; {
		ev, n := a.scout.Next(in)
		in = in[n:]
		switch ev.Kind {
		case esi.More:
			return
		case esi.ExceptStart:
			except++
		case esi.ExceptEnd:
			except = max(except-1, 0)
		case esi.Include:
			src := ev.Fragment.Src
			switch {
			case except > 0: // it will most likely not be wanted
			case ev.Fragment.Over:
				return
			case known < len(d.early):
				if !bytes.Equal(d.early[known].src, src) {
					return // of what was asked for, some was not wanted; it goes when its place has been passed
				}
				known++
			case !a.askEarly(d, src):
				return
			default:
				known++
			}
		}
	}
}

// askEarly asks for one fragment.
func (a *assembler) askEarly(d *doc, src []byte) bool {
	to, err := a.resolve(d.from, src, a.depthOf(d))
	if err != nil {
		return false // which is told of at its place
	}
	f, _ := a.ask(to)
	if f == nil {
		return false
	}
	d.early = append(d.early, early{bytes.Clone(src), f})
	a.ahead++
	return true
}

// takeEarly returns the fragment with this address if it was asked for already.
func (a *assembler) takeEarly(d *doc, src []byte) *fragment {
	for i := range d.early {
		if e := d.early[i]; bytes.Equal(e.src, src) {
			f := e.f
			a.dropEarly(d, i) // their places have been passed
			d.early = a.popEarly(d)
			return f
		}
	}
	return nil
}

// dropEarly gives up the first n fragments that were asked for.
func (a *assembler) dropEarly(d *doc, n int) {
	for range n {
		f := d.early[0].f
		f.feed.shutOff()
		if !f.feed.ended {
			a.lost = append(a.lost, f)
		}
		d.early = a.popEarly(d)
	}
}

func (a *assembler) popEarly(d *doc) []early {
	a.ahead--
	n := copy(d.early, d.early[1:])
	d.early[n] = early{}
	return d.early[:n]
}

// depthOf returns how deep a document lies.
func (a *assembler) depthOf(d *doc) int {
	for i, e := range a.docs {
		if e == d {
			return i
		}
	}
	return 0
}
