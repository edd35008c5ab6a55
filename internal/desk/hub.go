package desk

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/desk/events"
	"github.com/weirhq/weir/internal/desk/exposition"
	"github.com/weirhq/weir/internal/desk/facts"
	"github.com/weirhq/weir/internal/desk/packed"
	"github.com/weirhq/weir/internal/desk/series"
	"github.com/weirhq/weir/internal/desk/statsd"
	"github.com/weirhq/weir/internal/picture"
)

const (
	every    = time.Second
	askTime  = 2 * time.Second // for keeper and edge to answer
	lastTime = time.Second / 2 // for the edge, when the desk stops
	handTime = 5               // seconds between two questions for what people did
)

// watcher is told of every picture, one after the other, in the hub's goroutine: it must not wait for anything.
type watcher interface{ Look(*picture.Picture) }

// hub asks keeper and edge once a second, makes a picture of what they tell, and passes it on.
type hub struct {
	// Never change.
	keeper, edge *api.Client
	maker        *picture.Maker
	series       *series.Store
	events       *events.Log
	metrics      *exposition.Exposer
	facts        *facts.Reader
	numbers      *statsd.Service
	runDir       string
	watchers     []watcher
	alarm        *alarm
	end          chan struct{}
	done         chan struct{}
	moves        chan string // the folder in which things are kept from now on; holds one
	stopOnce     sync.Once

	cfg     atomic.Pointer[config.Config]
	now     atomic.Pointer[picture.Picture]
	answers packed.Answers // made of the latest picture
	graphs  packed.Answers // likewise, of what was until then

	// The goroutine's.
	shelf  *shelf
	told   uint64 // how often something was added to the events that were left
	turn   int
	hands  []api.Hand
	epoch  string       // of the edge that answered last
	pushed statsd.Saved // how far statsds have been told, when this has stopped

	mu        sync.Mutex
	listeners map[*listener]bool
	latest    piece // of a picture
	latestOf  *picture.Picture
}

// run asks until it is stopped.
func (h *hub) run() {
	defer close(h.done)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		h.look(time.Now())
		select {
		case <-tick.C:
		case dir := <-h.moves:
			h.move(dir)
		case <-h.end:
			h.lastCount(time.Now())
			h.alarm.stop()
			h.pushed = h.numbers.Stop()
			h.leaveBehind(time.Now(), true, true)
			return
		}
	}
}

func (h *hub) stop() error {
	if h == nil {
		return nil
	}
	h.stopOnce.Do(func() { close(h.end) })
	<-h.done
	return h.shelf.close()
}

// look makes a picture of now.
func (h *hub) look(now time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	go func() { // a desk that is to stop does not wait for answers
		select {
		case <-h.end:
			cancel()
		case <-ctx.Done():
		}
	}()
	var told picture.Told
	var asked sync.WaitGroup
	asked.Go(func() {
		var s api.Status
		if err := h.keeper.Get(ctx, "/v1/status", &s); err == nil {
			told.Keeper = &s
		}
	})
	asked.Go(func() {
		var c api.Counters
		if err := h.edge.Get(ctx, "/v1/counters", &c); err == nil {
			told.Edge = &c
		} else if ctx.Err() == nil {
			slog.Debug("the edge does not tell what it counts", "error", err)
		}
	})
	var news []events.Event
	if h.turn%handTime == 0 {
		asked.Go(func() {
			var done api.Interventions
			if err := h.keeper.Get(ctx, "/v1/interventions", &done); err == nil {
				news = h.events.Interventions(done.Done)
				h.hands = done.Hands
			}
		})
	}
	asked.Wait()
	h.turn++
	if ctx.Err() != nil && told.Keeper == nil && told.Edge == nil {
		select {
		case <-h.end:
			return
		default:
		}
	}
	told.Hands, told.Hosts = h.hands, h.hosts()
	told.Facts = h.facts.Look(now, wanted(h.cfg.Load(), h.runDir, &told))
	p := h.maker.Make(now, told)
	h.series.Look(p)
	h.now.Store(p)
	news = append(news, h.events.Look(p)...)
	for _, w := range h.watchers {
		w.Look(p)
	}
	h.publish(p, news)
	h.leaveBehind(now, h.another(told.Edge), false)
}

// lastCount asks the edge once more what it has counted, if it is there still: where all of weir stops, it soon is not.
func (h *hub) lastCount(now time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), lastTime)
	defer cancel()
	var c api.Counters
	if err := h.edge.Get(ctx, "/v1/counters", &c); err == nil {
		h.maker.Make(now, picture.Told{Edge: &c}) // which nobody is shown: it is for the totals
	}
}

// another reports whether this is another edge than the last: what that one has counted is known to nobody but the desk from now on.
func (h *hub) another(c *api.Counters) bool {
	if c == nil || len(c.Epochs) == 0 || c.Epochs[0] == h.epoch {
		return false
	}
	h.epoch = c.Epochs[0]
	return true
}

// hosts are those of each site, by its name.
func (h *hub) hosts() map[string][]string {
	cfg := h.cfg.Load()
	all := make(map[string][]string, len(cfg.Sites))
	for _, s := range cfg.Sites {
		if len(s.Hosts) > 0 {
			all[s.Hosts[0]] = s.Hosts
		}
	}
	return all
}

// listener is one who is told of pictures and events as they come.
type listener struct {
	packed bool // what it is told is compressed, each piece by itself
	wake   chan struct{}
	frame  words // the latest picture
	events words
	gone   bool // it did not listen: it has to begin anew
}

// words are what a listener is told, in the form that it wants.
type words struct {
	bytes []byte
	sum   packed.Sum // of the text, if it is compressed
}

// then appends others.
func (w words) then(next words) words {
	return words{append(w.bytes, next.bytes...), w.sum.Then(next.sum)}
}

// piece is what all are told, in either form.
type piece struct {
	text   []byte
	packed words
}

// of returns it as a listener wants it. It is compressed for the first who does.
func (p *piece) of(l *listener) words {
	if !l.packed {
		return words{bytes: p.text}
	}
	if p.packed.bytes == nil {
		p.packed = packedWords(p.text)
	}
	return p.packed
}

func packedWords(text []byte) words { return words{packed.Piece(text), packed.SumOf(text)} }

const (
	maxListeners = 200
	maxLocal     = 20        // more, for who comes by the Unix socket: pages cannot keep weir top out
	maxUnread    = 256 << 10 // bytes of events that wait for one to listen
)

// join adds a listener, nil if there are too many.
func (h *hub) join(packed, local bool) *listener {
	h.mu.Lock()
	defer h.mu.Unlock()
	most := maxListeners
	if local {
		most += maxLocal
	}
	if len(h.listeners) >= most {
		return nil
	}
	l := &listener{packed: packed, wake: make(chan struct{}, 1)}
	h.listeners[l] = true
	return l
}

func (h *hub) leave(l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.listeners, l)
}

// publish tells all who listen. A picture is written as JSON once, and only if somebody listens.
func (h *hub) publish(p *picture.Picture, news []events.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.listeners) == 0 {
		return
	}
	var told piece
	for _, e := range news {
		data, err := json.Marshal(e)
		if err != nil { // only a mistake of ours makes a value that JSON cannot hold
			slog.Error("an event cannot be told", "error", err)
			continue
		}
		told.text = appendFrame(told.text, "event", data)
	}
	for l := range h.listeners {
		if p != nil {
			l.frame = h.pieceOf(p).of(l)
		}
		if more := told.of(l); len(l.events.bytes)+len(more.bytes) > maxUnread {
			l.gone = true
		} else {
			l.events = l.events.then(more)
		}
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// pieceOf returns a picture as all are told of it, written once. With the lock.
func (h *hub) pieceOf(p *picture.Picture) *piece {
	if h.latestOf != p {
		h.latest, h.latestOf = piece{text: h.frame(p)}, p
	}
	return &h.latest
}

// first returns the latest picture for one who has just joined.
func (h *hub) first(l *listener) words {
	p := h.now.Load()
	if p == nil {
		return words{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pieceOf(p).of(l)
}

// take returns what a listener has not been told yet.
func (h *hub) take(l *listener) (told words, gone bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	told = l.events.then(l.frame)
	l.frame, l.events = words{}, words{}
	return told, l.gone
}

// text returns a picture as JSON, which is written once.
func (h *hub) text(p *picture.Picture) (*packed.Answer, error) {
	return h.answers.Get(p, "picture", func() ([]byte, error) {
		text, err := json.Marshal(p)
		return append(text, '\n'), err
	})
}

// frame returns a picture as a server-sent event.
func (h *hub) frame(p *picture.Picture) []byte {
	answer, err := h.text(p)
	if err != nil { // only a mistake of ours makes a value that JSON cannot hold
		slog.Error("a picture cannot be told", "error", err)
		return nil
	}
	return appendFrame(make([]byte, 0, len(answer.Text)+32), "picture", answer.Text[:len(answer.Text)-1])
}

// appendFrame appends a server-sent event, whose data is one line.
func appendFrame(dst []byte, name string, data []byte) []byte {
	dst = append(append(append(dst, "event: "...), name...), "\ndata: "...)
	return append(append(dst, data...), "\n\n"...)
}
