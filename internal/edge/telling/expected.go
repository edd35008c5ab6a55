package telling

import (
	"fmt"
	"slices"
	"time"

	"github.com/weirhq/weir/internal/journal/filter"
)

// How nothing is missed between two edges. Who listens gives himself a name. An edge that is to be followed by another tells that one the
// names and filters of those who listen, before the other one accepts anything; there they hear from the first request on, and find what
// was said meanwhile when they come under their names.

// Named is somebody who listens under a name.
type Named struct {
	As     string `json:"as"`
	Filter string `json:"filter"`
}

const (
	longestName = 64
	expectFor   = 5 * time.Second // as long one who listens may take to come
)

// expected is one who has not come yet.
type expected struct {
	listener *Listener
	leave    func()
	limit    *time.Timer
}

// Follow is Listen for somebody with a name, who hears also what ended since another edge has told that he would come. No name is none.
func (t *Teller) Follow(as, text string, f *filter.Filter) (w *Listener, leave func(), err error) {
	if len(as) > longestName {
		return nil, nil, fmt.Errorf("as has %d characters: write %d at the most", len(as), longestName)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.expected[as]; e != nil && as != "" && e.listener.text == text {
		e.limit.Stop()
		delete(t.expected, as)
		return e.listener, e.leave, nil
	}
	return t.listen(as, f, text, false)
}

// Names are those who listen under a name.
func (t *Teller) Names() (all []Named) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range t.listeners {
		if w.as != "" {
			all = append(all, Named{w.as, w.text})
		}
	}
	return all
}

// Expect has those hear who listen at the edge before this one. Who does not come in time has left.
func (t *Teller) Expect(all []Named) error {
	for _, n := range all {
		f, err := filter.Parse(n.Filter)
		if err != nil {
			return err
		}
		if err := t.expect(n, f); err != nil {
			return err
		}
	}
	return nil
}

func (t *Teller) expect(n Named, f *filter.Filter) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	there := slices.ContainsFunc(t.listeners, func(w *Listener) bool { return w.as == n.As }) // he was quicker
	if n.As == "" || len(n.As) > longestName || there {
		return nil
	}
	w, leave, err := t.listen(n.As, f, n.Filter, false)
	if err != nil {
		return err
	}
	e := &expected{listener: w, leave: leave}
	e.limit = time.AfterFunc(expectFor, func() { t.giveUp(n.As, e) })
	if t.expected == nil {
		t.expected = map[string]*expected{}
	}
	t.expected[n.As] = e
	return nil
}

// giveUp waits no longer for somebody.
func (t *Teller) giveUp(as string, e *expected) {
	t.mu.Lock()
	is := t.expected[as] == e
	if is {
		delete(t.expected, as)
	}
	t.mu.Unlock()
	if is {
		e.leave()
	}
}

// giveUpAll is giveUp at the end.
func (t *Teller) giveUpAll() {
	t.mu.Lock()
	all := t.expected
	t.expected = nil
	t.mu.Unlock()
	for _, e := range all {
		e.limit.Stop()
		e.leave()
	}
}
