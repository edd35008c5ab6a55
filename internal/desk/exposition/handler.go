package exposition

import (
	"net/http"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/desk/packed"
	"github.com/weirhq/weir/internal/picture"
)

const (
	// maxScrapes are served at a time. One waits for the writing of the other, and a client that does not read holds its place for sendTime.
	maxScrapes = 32
	sendTime   = 10 * time.Second
)

// Exposer answers at /metrics. Many may use it at a time: each picture is written once in each format that somebody asks for, whoever and
// how many they are.
type Exposer struct {
	now    func() *picture.Picture
	places chan struct{}

	mu    sync.Mutex
	hooks []func() []Family
	of    *picture.Picture
	more  []Family // what the hooks told of that picture's time
	pages [numFormats]*packed.Answer
	size  [numFormats]int // of the page before, which the next one will have about
}

// Handler returns an Exposer of the latest picture; now may return nil while there is none.
func Handler(now func() *picture.Picture) http.Handler { return New(now) }

// New returns an Exposer of the latest picture; now may return nil while there is none.
func New(now func() *picture.Picture) *Exposer {
	return &Exposer{now: now, places: make(chan struct{}, maxScrapes)}
}

// Add has metrics of others told beside weir's own. It is asked once for each picture that somebody wants to see, by one goroutine at a time,
// and must not wait for anything.
func (x *Exposer) Add(hook func() []Family) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.hooks = append(x.hooks, hook)
}

// ServeHTTP answers a scrape.
func (x *Exposer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case x.places <- struct{}{}:
		defer func() { <-x.places }()
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many scrapes at a time", http.StatusServiceUnavailable)
		return
	}
	f := choose(r.Header.Get("Accept"))
	page := x.page(f)
	if page == nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "weir is being asked: try again in a second", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Vary", "Accept")
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(sendTime)) //nolint:errcheck // where it cannot be set, places are the limit
	page.Serve(w, r, contentTypes[f])
}

// page returns the latest picture in a format, nil if there is none. Which one is the latest is asked with the lock, and not told by its
// time: a clock that was set back would have the same numbers told until it is where it was.
func (x *Exposer) page(f format) *packed.Answer {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.now()
	if p == nil {
		return nil
	}
	if p != x.of {
		x.of, x.pages = p, [numFormats]*packed.Answer{}
		x.more = x.more[:0]
		for _, hook := range x.hooks {
			x.more = append(x.more, hook()...)
		}
	}
	if x.pages[f] == nil {
		x.pages[f] = &packed.Answer{Text: render(x.of, newEncoder(f, x.of.Counted, x.size[f]), x.more)}
		x.size[f] = len(x.pages[f].Text)
	}
	return x.pages[f]
}

func newEncoder(f format, created time.Time, size int) encoder {
	dst := make([]byte, 0, size+size/16+4096)
	if f == protobuf {
		return &proto{created: created, dst: dst}
	}
	return &text{open: f == openMetrics, created: created, dst: dst}
}
