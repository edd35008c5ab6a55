package telling

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/journal/filter"
)

// Teller tells for all loops.
type Teller struct {
	// Never change.
	loops []*Loop
	post  func(loop int, f func())
	end   chan struct{}

	listening sync.WaitGroup
	slow      atomic.Int64

	mu        sync.Mutex
	ended     bool
	listeners []*Listener
	expected  map[string]*expected // listeners of the edge before this one that have not come yet
	inherited []*journal.Story     // of an edge before this one, the oldest first
}

// DefaultSlow is how long a request takes that is slow, before a configuration says so.
const DefaultSlow = time.Second

// New makes a teller for a number of loops. post has a function run on one of them.
func New(loops int, post func(loop int, f func())) *Teller {
	t := &Teller{post: post, end: make(chan struct{})}
	t.slow.Store(int64(DefaultSlow))
	for i := range loops {
		t.loops = append(t.loops, &Loop{teller: t, index: i})
	}
	return t
}

// Loop returns the part of the teller that a loop owns.
func (t *Teller) Loop(i int) *Loop { return t.loops[i] }

// SlowAfter says from when on a request is slow.
func (t *Teller) SlowAfter(d time.Duration) { t.slow.Store(int64(d)) }

// onLoops runs f on every loop and waits.
func (t *Teller) onLoops(f func(*Loop)) {
	var wg sync.WaitGroup
	for i, l := range t.loops {
		wg.Add(1)
		t.post(i, func() { f(l); wg.Done() })
	}
	wg.Wait()
}

// UseLogs has the loops write to access logs from now on, and tell what the redaction leaves. When it returns, none writes to a former one.
func (t *Teller) UseLogs(logs []*journal.Log, redaction *journal.Redaction) {
	t.onLoops(func(l *Loop) {
		l.logs = nil
		for _, log := range logs {
			if w := log.Writer(l.index); w.On() {
				l.logs = append(l.logs, w)
			}
		}
		l.redactor = journal.NewRedactor(redaction)
	})
}

// Loop is what one loop owns. Only tasks and callbacks of that loop touch it.
type Loop struct {
	teller    *Teller
	index     int
	logs      []*journal.Writer
	redactor  *journal.Redactor // nil: all is told
	listeners []*Listener
	rings     [sorts]ring // none of ordinary
	story     journal.Story
	text      []byte
	sort      sort // of the request that is being told of
	slow      bool
}

// Wants reports whether there is anything to tell of a request that has ended, or of a session of TCP. Only then is its line to be made,
// for Tell.
func (l *Loop) Wants(j *journal.Journal, tcp bool, now int64) bool {
	l.sort, l.slow = sortOf(j, tcp, now, l.teller.slow.Load())
	return l.sort != ordinary || len(l.logs)+len(l.listeners) > 0
}

// Tell tells of the request that Wants was asked about last. It allocates only while buffers grow.
func (l *Loop) Tell(line *journal.Line, j *journal.Journal, now int64) {
	line.Slow, line.Failure = l.slow, l.sort == failed
	shown := line // most filters see all
	if l.redactor != nil {
		shown = l.redactor.Show(line)
	}
	for _, w := range l.logs {
		w.Show(line, shown)
	}
	if l.sort != ordinary {
		if s := l.rings[l.sort].place(now); s != nil {
			s.Take(shown, j)
		}
	}
	made := false
	for _, w := range l.listeners {
		if w.shown && !w.filter.Match(shown) || !w.shown && !w.filter.Match(line) {
			continue
		}
		if !made {
			made = true
			l.story.Take(shown, j)
			l.text = journal.AppendStory(l.text[:0], &l.story)
		}
		w.hear(l.index, l.text)
	}
}

// Listen has the answer hear of everything that ends from now on and that the filter wants, until leave is called. The error says that too
// many listen already, or that the teller has ended.
func (t *Teller) Listen(f *filter.Filter) (w *Listener, leave func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.listen("", f, "", false)
}

// ListenToShown is Listen for somebody whose filter sees what is told and no more: by what a filter finds, what the redaction leaves out could
// be guessed letter by letter.
func (t *Teller) ListenToShown(f *filter.Filter) (w *Listener, leave func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.listen("", f, "", true)
}

// listen is Listen of somebody with a name, and a filter with its text, which sees all or what is shown. Under mu.
func (t *Teller) listen(as string, f *filter.Filter, text string, shown bool) (w *Listener, leave func(), err error) {
	w = &Listener{as: as, filter: f, text: text, shown: shown, wake: make(chan struct{}, 1), end: t.end, parts: make([]part, len(t.loops))}
	switch {
	case t.ended:
		return nil, nil, errEnded
	case len(t.listeners) == maxListeners:
		return nil, nil, fmt.Errorf("%d listen already, which is as many as may: end one of them", maxListeners)
	case f.Steps() > 0 && t.steps()+f.Steps() > maxSteps:
		return nil, nil, fmt.Errorf("those who listen already have as many regular expressions as may be asked for each request: end one of them, or use = with * in it")
	}
	t.listening.Add(1)
	t.spread(append(slices.Clip(t.listeners), w))
	return w, func() {
		defer t.listening.Done()
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.ended { // the loops are no more
			return
		}
		t.spread(slices.DeleteFunc(slices.Clone(t.listeners), func(o *Listener) bool { return o == w }))
	}, nil
}

// steps are those of all filters. Under mu.
func (t *Teller) steps() (n int) {
	for _, w := range t.listeners {
		n += w.filter.Steps()
	}
	return n
}

var errEnded = fmt.Errorf("this edge is about to end")

// spread gives all loops the list. Under mu.
func (t *Teller) spread(all []*Listener) {
	t.listeners = all
	t.onLoops(func(l *Loop) { l.listeners = all })
}

// lastWords is how long those who listen may take to read what is left.
const lastWords = time.Second

// Seal has the teller ask nothing of the loops any more, which are about to end.
func (t *Teller) Seal() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
}

// End has those who listen get what is left, and waits for them, a second at the most. The teller was sealed, and the loops have ended.
// Once only.
func (t *Teller) End() {
	t.giveUpAll()
	close(t.end)
	left := make(chan struct{})
	go func() { t.listening.Wait(); close(left) }() // ends with the last of them: their connections are closed next
	limit := time.NewTimer(lastWords)
	defer limit.Stop()
	select {
	case <-left:
	case <-limit.C:
	}
}

// inheritable is how many stories one edge takes over from another.
const inheritable = 4 * kept

// Inherit takes over the stories of an edge before this one, as Recent gave them. What it cannot read is told in the error.
func (t *Teller) Inherit(texts [][]byte) error {
	var all []*journal.Story
	for _, text := range texts[max(len(texts)-inheritable, 0):] {
		s, err := journal.ReadStory(text)
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	all = append(t.inherited, slices.DeleteFunc(all, func(s *journal.Story) bool { // it may be told twice
		return slices.ContainsFunc(t.inherited, func(o *journal.Story) bool {
			return string(o.Line.ID) == string(s.Line.ID) && o.Line.Time.Equal(s.Line.Time)
		})
	})...)
	t.inherited = all[max(len(all)-inheritable, 0):]
	return nil
}
