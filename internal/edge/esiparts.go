package edge

import (
	"time"

	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
)

// parts are the first fragments of a page, for those who are told of it. They keep their memory from one request to the next.
type parts struct {
	all  []journal.Part
	text []byte // of their targets; what stood there before it grew is theirs still
}

func (p *parts) reset() { p.all, p.text = p.all[:0], p.text[:0] }

// add notes that a fragment is asked for. It returns which it is, -1 where there is no room.
func (p *parts) add(target []byte) int {
	n := len(p.all)
	if n == journal.MaxParts {
		return -1
	}
	from := len(p.text)
	p.text = append(p.text, target[:min(len(target), journal.PartText)]...)
	p.all = append(p.all, journal.Part{Target: p.text[from:len(p.text):len(p.text)]})
	return n
}

// went notes what came of it: a status, 0 if there was none, and what the cache did.
func (p *parts) went(n int, f *fragment, status int, now loop.Time) {
	if n < 0 {
		return
	}
	one := &p.all[n]
	if one.Status = status; f.feed.ended {
		one.Cache, one.Took = f.cache, time.Duration(f.over-f.asked)
	} else {
		one.Cache, one.Took = f.h.x.Journal.Cache, time.Duration(now-f.asked)
	}
}
