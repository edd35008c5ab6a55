package edge

import (
	"hash/maphash"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/cache/store"
	"github.com/weirhq/weir/internal/edge/stock"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
)

// fetch is one response on its way from a server into the cache, for all who want it: one request leads it, the
// others follow. It goes
//
//	asked ─► coming ─► kept         the response may be kept: followers read it as it comes, then it is in the store
//	   │        └────► cutShort     the server failed in the middle
//	   ├───────────► unshared       it may not be kept, or not by them: each follower asks for itself, at once
//	   └───────────► failed         there is no response, and there would be none for the followers either
//
// The leader's task alone moves it. Followers are tasks of any loop.
type fetch struct {
	key     store.Key
	primary store.Key   // of the request, whichever variant it selects
	place   uint64      // a hash of its host and URL, 0: of no request
	born    uint64      // the last purge that was known when it began
	spoiled atomic.Bool // what it brings was taken out meanwhile

	mu    sync.Mutex
	state fetchState
	first *follower // all who wait for news
	ref   store.Ref // of the response while it is coming
	kept  store.Key // what it will be kept under: that of a variant may not be key
	// Whether the length of the body is known, and what it is.
	endless bool
	length  int64
	// Of one that failed.
	status int
	cause  journal.Cause
	detail string
	// What came after the store had no more room for it: it is not kept, but those who read it already get it.
	spill   *os.File
	base    int64            // where in it that begins
	readers int              // who may still read the file; the last one closes it
	spilled atomic.Int64     // how many bytes that is
	large   *stock.LargeFill // the file is one on the cache's disk, and holds all; the leader's
}

type fetchState uint8

const (
	asked fetchState = iota
	coming
	kept
	cutShort
	unshared
	failed
)

// over reports whether nothing more comes.
func (s fetchState) over() bool { return s != asked && s != coming }

// follower is a task that waits for news of a fetch.
type follower struct {
	t          *loop.Task
	f          *fetch // nil: not in the list
	prev, next *follower
}

// fetches are those under way, by the key of what they will be kept under.
type fetches struct {
	shards [64]fetchShard
}

type fetchShard struct {
	sync.Mutex
	by  map[store.Key]*fetch
	all map[*fetch]struct{}     // also those that nobody joins, or not any more
	not map[store.Key]loop.Time // failed refreshes: not to be tried again before
	_   [24]byte                // a line each
}

const (
	refreshPause = time.Second
	maxPauses    = 1024 // of one shard; beyond it all are forgotten
)

// pause notes that a refresh failed.
func (fs *fetches) pause(k store.Key, now loop.Time) {
	s := &fs.shards[k[0]&63]
	s.Lock()
	defer s.Unlock()
	if s.not == nil || len(s.not) > maxPauses {
		s.not = map[store.Key]loop.Time{}
	}
	s.not[k] = now + int64(refreshPause)
}

// failed reports whether a refresh failed a moment ago.
func (fs *fetches) failed(k store.Key, now loop.Time) bool {
	s := &fs.shards[k[0]&63]
	s.Lock()
	defer s.Unlock()
	until, ok := s.not[k]
	if ok && until <= now {
		delete(s.not, k)
		ok = false
	}
	return ok
}

// join returns the fetch for a key. When there was none it is begun, and the caller leads it.
func (fs *fetches) join(k, primary store.Key, place, born uint64) (f *fetch, leads bool) {
	s := &fs.shards[k[0]&63]
	s.Lock()
	defer s.Unlock()
	if f = s.by[k]; f != nil {
		return f, false
	}
	if s.by == nil {
		s.by = map[store.Key]*fetch{}
	}
	f = &fetch{key: k, primary: primary, place: place, born: born}
	s.by[k] = f
	s.note(f)
	return f, true
}

// begin returns a fetch that nobody joins.
func (fs *fetches) begin(k, primary store.Key, place, born uint64) *fetch {
	s := &fs.shards[k[0]&63]
	s.Lock()
	defer s.Unlock()
	f := &fetch{key: k, primary: primary, place: place, born: born}
	s.note(f)
	return f
}

// note enters a fetch among those under way, with the lock held.
func (s *fetchShard) note(f *fetch) {
	if s.all == nil {
		s.all = map[*fetch]struct{}{}
	}
	s.all[f] = struct{}{}
}

// land ends a fetch: it brings nothing more.
func (fs *fetches) land(f *fetch) {
	fs.part(f)
	s := &fs.shards[f.key[0]&63]
	s.Lock()
	defer s.Unlock()
	delete(s.all, f)
}

// part takes a fetch out, so that who asks from here on begins another: it ended, or what it brings was purged.
func (fs *fetches) part(f *fetch) {
	s := &fs.shards[f.key[0]&63]
	s.Lock()
	defer s.Unlock()
	if s.by[f.key] == f {
		delete(s.by, f.key)
	}
}

// forget takes out the fetches under way for a request's key, and what they bring.
func (fs *fetches) forget(primary store.Key) {
	for i := range fs.shards {
		s := &fs.shards[i]
		s.Lock()
		for f := range s.all {
			if f.primary == primary {
				f.spoiled.Store(true)
				if s.by[f.key] == f {
					delete(s.by, f.key)
				}
			}
		}
		s.Unlock()
	}
}

// scatter takes all fetches out: something was purged, and who asks from here on must not get what was asked for before.
func (fs *fetches) scatter() {
	for i := range fs.shards {
		s := &fs.shards[i]
		s.Lock()
		clear(s.by)
		s.Unlock()
	}
}

// scatterFrom takes out the fetches for one URL, when nothing else was purged: whoever may change something at one place must
// not keep the requests for all others from waiting for each other.
func (fs *fetches) scatterFrom(place uint64) {
	for i := range fs.shards {
		s := &fs.shards[i]
		s.Lock()
		for k, f := range s.by {
			if f.place == place || f.place == 0 {
				delete(s.by, k)
			}
		}
		s.Unlock()
	}
}

// placeOf is the hash of a host and URL by which fetches are found, never 0.
func placeOf[T []byte | string](host, url T) uint64 {
	var h maphash.Hash
	h.SetSeed(placeSeed)
	// Neither fails.
	_, _ = h.WriteString(string(host))
	_ = h.WriteByte(0)
	_, _ = h.WriteString(string(url))
	return max(h.Sum64(), 1)
}

var placeSeed = maphash.MakeSeed()

// follow puts a task on the list of those who are woken by news.
func (f *fetch) follow(w *follower, t *loop.Task) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.t, w.f, w.prev, w.next = t, f, nil, f.first
	if f.first != nil {
		f.first.prev = w
	}
	f.first = w
}

// unfollow takes it off. A wake-up may still be on its way to the task.
func (w *follower) unfollow() {
	f := w.f
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		f.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	w.t, w.f, w.prev, w.next = nil, nil, nil, nil
}

// now returns the state and what belongs to it.
func (f *fetch) now() fetchState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// move gives the fetch its next state and tells everybody.
func (f *fetch) move(to fetchState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state = to
	if to.over() && f.ref.Valid() {
		f.ref.Release()
		f.ref = store.Ref{}
	}
	f.tell()
}

// begin says that the response is coming, into a fill that will be kept under a key. length is -1 when it is not known.
func (f *fetch) begin(fill *store.Fill, under store.Key, length int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ref, _ = fill.Ref()
	f.readers++ // the leader
	f.kept, f.endless, f.length = under, length < 0, length
	f.state = coming
	f.tell()
}

// open makes r refer to the response that is coming, until letGo; false when it is not any more.
func (f *fetch) open(r *store.Ref) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state != coming {
		return false
	}
	*r = f.ref.Retain()
	f.readers++
	return true
}

// isRead reports whether a follower reads the response.
func (f *fetch) isRead() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.readers > 1
}

// letGo ends a reader's use of the response. The file is closed off the loop: it may have no name any more, and be large.
func (f *fetch) letGo(t *loop.Task) {
	f.mu.Lock()
	f.readers--
	var file *os.File
	if f.readers == 0 && f.state.over() {
		file, f.spill = f.spill, nil
	}
	f.mu.Unlock()
	if file != nil {
		t.Do(func() { _ = file.Close() }) // all that was to be read of it has been
	}
}

// spillTo says that the rest of the response is in a file, from an offset on.
func (f *fetch) spillTo(file *os.File, base int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spill, f.base = file, base
}

// spilledTo is what spillTo said last.
func (f *fetch) spilledTo() (file *os.File, base int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.spill, f.base
}

// tell wakes the followers, with f.mu held.
func (f *fetch) tell() {
	for w := f.first; w != nil; w = w.next {
		w.t.Wake()
	}
}

// news wakes the followers: there is more to read.
func (f *fetch) news() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tell()
}

// fails ends a fetch that brought no response.
func (f *fetch) fails(status int, cause journal.Cause, detail string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state, f.status, f.cause, f.detail = failed, status, cause, detail
	f.tell()
}
