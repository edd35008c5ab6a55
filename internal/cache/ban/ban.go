// Package ban remembers what has been purged, so that a purge costs one entry instead of a walk over the store: each
// object carries the sequence number up to which it has been checked, and is compared with what was purged since when
// somebody asks for it. It knows nothing of objects, requests and policies, and does no I/O but that of Log.
//
// A purge that has been answered holds: the number that an object is born with is taken before its fetch starts, so a
// purge during the fetch is newer than the object.
package ban

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Seq numbers purges. Later ones are larger.
type Seq uint64

// Verdict says what the purges since an object's number mean for it.
type Verdict uint8

// The verdicts, the stronger the larger.
const (
	None Verdict = iota
	Soft         // it is stale now: it may be validated, and served in grace
	Hard         // it must not be served any more
)

// Kind says what a purge names.
type Kind uint8

// The kinds.
const (
	Everything Kind = iota + 1
	Tag             // objects that carry the tag
	URL             // a host and path with exactly this query; every variant of it
	Path            // a host and path with any query
	Prefix          // a host and all paths that begin so
	Pattern         // a host and path by a pattern: "*" is any text, slashes too
)

// Purge is one purge as it was asked for. Host "" is any host; in a Pattern it is a pattern itself. Hosts are in lower
// case, without port; paths are normalised, as requests' are.
type Purge struct {
	Kind Kind
	Hard bool
	Tag  uint64 // TagHash of the tag
	Host string
	Path string // of URL: with "?" and the query, if there is one
}

// Limits. What does not fit is folded: see List.
const (
	maxText = 4 << 10 // bytes of the host and path of a Prefix or Pattern, which are kept as they are
)

// Check reports what is wrong with a purge, in words for the one who asked for it.
func (p *Purge) Check() error {
	switch {
	case p.Kind < Everything || p.Kind > Pattern:
		return fmt.Errorf("kind %d is none of everything, tag, url, path, prefix, pattern", p.Kind)
	case p.Kind >= Prefix && len(p.Host)+len(p.Path) > maxText:
		return fmt.Errorf("host and path have %d bytes: at most %d", len(p.Host)+len(p.Path), maxText)
	case p.Kind == Pattern && strings.Contains(p.Path, "?"):
		return fmt.Errorf("pattern %q has a query, which no pattern meets: leave it out, or purge the URL", p.Path)
	case p.Kind >= URL && !strings.HasPrefix(p.Path, "/") && !(p.Kind == Pattern && strings.HasPrefix(p.Path, "*")):
		return fmt.Errorf("path %q does not begin with \"/\"", p.Path)
	case (p.Kind == Path || p.Kind == Prefix) && strings.Contains(p.Path, "?"):
		return fmt.Errorf("path %q has a query: purge the URL, or leave the query out", p.Path)
	case (p.Kind == URL || p.Kind == Path) && p.Host == "":
		return fmt.Errorf("the purge of %q needs a host", p.Path)
	}
	return nil
}

// List holds purges. Check may be called from any number of threads and takes no lock; Add and the rest take one.
//
// Its memory is bounded. When a part is full its older half is folded into a line through time: what is older than the
// youngest of that half is purged as a whole. That costs hits and never serves what was purged.
type List struct {
	seq  atomic.Uint64 // the newest purge that Check can see
	view atomic.Pointer[view]

	mu     sync.Mutex // held by writers; the rest is theirs
	limits Limits
}

// Limits bound a List. Zero values mean the defaults.
type Limits struct {
	Hashes int // tags, URLs and paths, default 131,072, of 48 bytes each
	Rules  int // prefixes and patterns, default 512, each looked at by an object's first check after it
}

// view is what readers see: immutable, but for the entries of the table, which only ever get larger numbers.
type view struct {
	hashes *table
	rules  []rule // oldest first
	line   line
}

// line is a line through time: what is older is purged.
type line struct{ soft, hard Seq }

func (l line) verdict(at Seq) Verdict {
	switch {
	case at < l.hard:
		return Hard
	case at < l.soft:
		return Soft
	}
	return None
}

func (l *line) raise(to Seq, hard bool) {
	if hard {
		l.hard = max(l.hard, to)
	} else {
		l.soft = max(l.soft, to)
	}
}

// New makes a list that begins at a number. What is older than it is unknown to the list and gets Hard: so a list whose
// memory was lost begins at the time in nanoseconds and vouches for nothing kept from before. Without anything kept from
// before, it begins at 0.
func New(from Seq, limits Limits) *List {
	if limits.Hashes <= 0 {
		limits.Hashes = 1 << 17
	}
	if limits.Rules <= 0 {
		limits.Rules = 512
	}
	l := &List{limits: limits}
	l.view.Store(&view{hashes: newTable(64), line: line{hard: from}})
	l.seq.Store(uint64(from))
	return l
}

// Now returns the number that an object is born with when its fetch starts now.
func (l *List) Now() Seq { return Seq(l.seq.Load()) }

// Check tells what was purged since at of an object with these tags (hashes), host and path; path has the query, after
// a "?", if there is one. checked is the number to keep with the object when the verdict is None, or Soft and the object
// has been made stale. With nothing new it costs one comparison. It does not allocate.
func (l *List) Check(at Seq, tags []uint64, host, path []byte) (v Verdict, checked Seq) {
	checked = Seq(l.seq.Load()) // before the view: what comes in between is newer than checked, and seen or not
	if at == checked {
		return None, checked
	}
	if at > checked {
		return Hard, checked // of a list that was lost
	}
	return l.view.Load().check(at, tags, host, path), checked
}

func (w *view) check(at Seq, tags []uint64, host, path []byte) Verdict {
	v := w.line.verdict(at)
	if w.hashes.used.Load() > 0 {
		for _, t := range tags {
			v = max(v, w.hashes.verdict(tagEntry(t), at))
		}
		v = max(v, w.hashes.verdict(urlEntry(host, path), at), w.hashes.verdict(pathEntry(host, bare(path)), at))
	}
	for i := len(w.rules) - 1; i >= 0 && w.rules[i].seq > at && v < Hard; i-- {
		r := &w.rules[i]
		if (v == None || r.hard) && r.holds(host, bare(path)) {
			v = Soft
			if r.hard {
				v = Hard
			}
		}
	}
	return v
}

func bare[T []byte | string](path T) T {
	for i := 0; i < len(path); i++ {
		if path[i] == '?' {
			return path[:i]
		}
	}
	return path
}

// Add puts a purge into force and returns its number: every Check that begins after Add has returned heeds it. The cost
// does not depend on how many objects it meets. It fails only when Purge.Check does.
func (l *List) Add(p Purge) (Seq, error) {
	if err := p.Check(); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	seq := Seq(l.seq.Load()) + 1
	l.apply(&p, seq)
	l.seq.Store(uint64(seq))
	return seq, nil
}

// apply makes a purge visible. The number is published after it, by the caller.
func (l *List) apply(p *Purge, seq Seq) {
	w := *l.view.Load()
	switch p.Kind {
	case Everything:
		w.line.raise(seq, p.Hard)
		if p.Hard { // nothing older counts any more
			w.hashes, w.rules = newTable(64), nil
		}
	case Tag:
		l.put(&w, tagEntry(p.Tag), seq, p.Hard)
	case URL, Path:
		l.put(&w, p.entry(), seq, p.Hard)
	default:
		w.rules = append(without(w.rules, p), newRule(p, seq))
		if len(w.rules) > l.limits.Rules {
			half := len(w.rules) / 2
			for _, r := range w.rules[:half] {
				w.line.raise(r.seq, r.hard)
			}
			w.rules = slices.Clone(w.rules[half:])
		}
	}
	l.view.Store(&w)
}

// entry is the hash that a purge of a URL or path is one of.
func (p *Purge) entry() uint64 {
	if p.Kind == Path {
		return pathEntry(p.Host, p.Path)
	}
	return urlEntry(p.Host, p.Path)
}

// put enters a hash: in a larger table when the present one is half full, in one without its older half when there are
// too many.
func (l *List) put(w *view, entry uint64, seq Seq, hard bool) {
	old := w.hashes
	used := int(old.used.Load())
	switch {
	case old.has(entry):
	case used >= l.limits.Hashes:
		var kept int
		kept, w.line = old.halve(w.line)
		w.hashes = newTable(4 * kept)
		old.copyTo(w.hashes, w.line)
	case 2*(used+1) > len(old.slots):
		w.hashes = newTable(2 * len(old.slots))
		old.copyTo(w.hashes, line{})
	}
	w.hashes.put(entry, seq, hard)
}

// Forget drops what was purged before the oldest object was last checked, fetches under way included: it can meet
// nobody any more.
func (l *List) Forget(oldest Seq) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := *l.view.Load()
	first := 0
	for first < len(w.rules) && w.rules[first].seq <= oldest {
		first++
	}
	w.rules = slices.Clone(w.rules[first:])
	past := line{soft: oldest, hard: oldest}
	if n := w.hashes.countAfter(past); n < int(w.hashes.used.Load()) {
		old := w.hashes
		w.hashes = newTable(max(4*n, 64))
		old.copyTo(w.hashes, past)
	}
	l.view.Store(&w)
}

// Size returns how many purges the list holds one by one: hashes, and prefixes and patterns.
func (l *List) Size() (hashes, rules int) {
	w := l.view.Load()
	return int(w.hashes.used.Load()), len(w.rules)
}
