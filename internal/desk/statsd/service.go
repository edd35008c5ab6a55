package statsd

import (
	"maps"
	"os"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/desk/exposition"
	"github.com/weirhq/weir/internal/picture"
)

// Service takes apps' numbers and pushes weir's. Any goroutine may use it, but for Use and Stop, which are for one.
type Service struct {
	store *store

	mu      sync.Mutex
	in      map[config.Socket]*listener
	out     map[target]*pusher
	saved   Saved // of another process, that no pusher has taken yet
	stopped bool
}

// Saved is how far statsds have been told of weir's counters, by the process that has stopped. What is added to a counter is told once: the next one
// goes on from there.
type Saved []Reached

// Reached is how far one has been.
type Reached struct {
	Address  string             `json:"address"`
	Prefix   string             `json:"prefix"`
	At       time.Time          `json:"at"`
	Counters map[string]float64 `json:"counters"`
}

// toldFor is how long what was saved is gone on from: what was added in a longer time would be told as if it had all been in one interval.
const toldFor = 5 * time.Minute

// target is where numbers are pushed to, and how.
type target struct {
	graphite        bool
	address, prefix string
	every           time.Duration
}

// New returns a service that does nothing yet.
func New() *Service {
	return &Service{store: newStore(), in: map[config.Socket]*listener{}, out: map[target]*pusher{}}
}

// Load goes on from where another process has stopped. It is for before the first Use.
func (s *Service) Load(saved Saved) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved = saved
}

// before takes what a place was told the last time. With the lock.
func (s *Service) before(t target, now time.Time) map[string]float64 {
	for i, told := range s.saved {
		if !t.graphite && told.Address == t.address && told.Prefix == t.prefix {
			s.saved = append(s.saved[:i], s.saved[i+1:]...)
			if age := now.Sub(told.At); age >= 0 && age < toldFor {
				return told.Counters
			}
			break
		}
	}
	return nil
}

// Use puts a configuration in force, which may be nil. What stays as it was goes on.
func (s *Service) Use(cfg *config.Metrics) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	in, out := map[config.Socket]bool{}, map[target]bool{}
	if cfg != nil {
		for _, l := range cfg.Listen {
			in[l] = true
		}
		prefix := cfg.Prefix
		if prefix == "" {
			host, err := os.Hostname()
			if err != nil {
				host = "node"
			}
			prefix = "weir." + string(appendNode(nil, host))
		}
		if cfg.Statsd != "" {
			out[target{false, cfg.Statsd, prefix, cfg.Every}] = true
		}
		if cfg.Graphite != "" {
			out[target{true, cfg.Graphite, prefix, cfg.Every}] = true
		}
	}
	for l, has := range s.in {
		if !in[l] {
			has.stop()
			delete(s.in, l)
		}
	}
	for t, has := range s.out {
		if !out[t] {
			has.stop()
			delete(s.out, t)
		}
	}
	for l := range in {
		if s.in[l] == nil {
			s.in[l] = listen(l.Network, l.Address, s.store)
		}
	}
	for t := range out {
		if s.out[t] == nil {
			s.out[t] = push(t, sendTime, s.before(t, time.Now()))
		}
	}
}

// Stop ends all of it, and waits until it has. It returns how far statsds have been told, for the next process.
func (s *Service) Stop() (saved Saved) {
	s.mu.Lock()
	pushers := maps.Clone(s.out)
	s.mu.Unlock()
	s.Use(nil)
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	for t, p := range pushers {
		if !t.graphite && !p.last.IsZero() {
			saved = append(saved, Reached{t.address, t.prefix, p.last, p.before})
		}
	}
	return saved
}

// Look has a picture's numbers pushed, when it is time. It does not wait.
func (s *Service) Look(p *picture.Picture) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, out := range s.out {
		out.look(p)
	}
}

// Families are apps' numbers as metrics, and what became of lines and pushes.
func (s *Service) Families() []exposition.Family {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []exposition.Family
	if len(s.in) > 0 {
		lines, dropped, series := s.store.counts()
		lost := exposition.Family{Name: "weir_statsd_dropped_total", Kind: exposition.Counter, Help: "Lines of apps that were not taken, by why."}
		for _, why := range []string{"form", "value", "too_long", "no_room", "kind", "too_many"} {
			lost.Samples = append(lost.Samples, exposition.Sample{Labels: [][2]string{{"why", why}}, Value: float64(dropped[why])})
		}
		all = append(all, exposition.Family{Name: "weir_statsd_lines_total", Kind: exposition.Counter, Help: "Lines of apps that were taken.", Samples: []exposition.Sample{{Value: float64(lines)}}},
			lost, exposition.Family{Name: "weir_statsd_series", Help: "Apps' numbers that are known.", Samples: []exposition.Sample{{Value: float64(series)}}})
	}
	sent := exposition.Family{Name: "weir_push_lines_total", Kind: exposition.Counter, Help: "Lines that were sent to statsd or Graphite."}
	gone := exposition.Family{Name: "weir_push_dropped_total", Kind: exposition.Counter, Help: "Lines that could not be sent to statsd or Graphite."}
	for _, to := range []bool{false, true} {
		for t, out := range s.out {
			if t.graphite == to {
				labels := [][2]string{{"to", map[bool]string{false: "statsd", true: "graphite"}[to]}}
				sent.Samples = append(sent.Samples, exposition.Sample{Labels: labels, Value: float64(out.sent.Load())})
				gone.Samples = append(gone.Samples, exposition.Sample{Labels: labels, Value: float64(out.dropped.Load())})
			}
		}
	}
	return append(append(all, sent, gone), s.store.families(time.Now())...)
}

// Numbers are apps' numbers, the answer to GET /api/v1/numbers.
type Numbers struct {
	Lines   uint64            `json:"lines"`
	Dropped map[string]uint64 `json:"dropped,omitempty"`
	Numbers []Number          `json:"numbers"`
}

// Told returns apps' numbers, sorted: it takes some milliseconds when there are thousands.
func (s *Service) Told() Numbers {
	lines, dropped, _ := s.store.counts()
	return Numbers{lines, dropped, s.store.numbers(time.Now())}
}
