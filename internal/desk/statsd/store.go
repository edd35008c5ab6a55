package statsd

import (
	"bytes"
	"errors"
	"hash/maphash"
	"math"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/desk/exposition"
	"github.com/weirhq/weir/internal/metrics"
)

// The bounds of what all apps together may make.
const (
	maxSeries  = 5000
	maxTimers  = 1000             // of these: each is 1.6 KiB
	maxMembers = 10_000           // of a set in one window, as hashes
	maxAllSets = 100_000          // of all sets together
	maxLines   = 200_000          // a second
	forgotten  = time.Hour        // after which a series goes that nobody has sent to
	window     = 10 * time.Second // sets are counted, and quantiles told, of so long
)

// store is what apps have sent. Any goroutine may use it.
type store struct {
	seed maphash.Seed

	mu      sync.Mutex
	series  map[string]*series // by name and labels
	kinds   map[string]*named  // by name
	timers  int
	members int
	lines   uint64
	dropped map[string]uint64 // by why
	second  int64
	room    int // for lines in this second
	swept   time.Time
}

// named is a name: all its series are of one kind.
type named struct {
	kind kind
	n    int
}

type series struct {
	name   string
	labels [][2]string
	kind   kind
	seen   time.Time

	value  float64 // of a counter or gauge; the sum of a spread
	count  float64 // of a timer or spread
	least  float64
	most   float64
	hist   *metrics.Histogram
	had    metrics.Histogram // as it was when the window began
	lately metrics.Histogram // of the window before
	begun  time.Time         // the window
	set    map[uint64]struct{}
	was    int // members of the window before
}

func newStore() *store {
	return &store{seed: maphash.MakeSeed(), series: map[string]*series{}, kinds: map[string]*named{}, dropped: map[string]uint64{}}
}

// take takes a packet: lines.
func (s *store) take(now time.Time, packet []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if second := now.Unix(); second != s.second {
		s.second, s.room = second, maxLines
	}
	s.sweep(now)
	for more := true; more; {
		var l []byte
		l, packet, more = cutLine(packet)
		if s.room--; s.room < 0 {
			s.dropped["too_many"]++
			continue
		}
		m, err := parseLine(l)
		s.room -= len(m.values) // a line that packs many costs as many
		if err == nil {
			err = s.add(now, &m)
		}
		switch {
		case err == nil:
			s.lines++
		case !errors.Is(err, errNothing):
			s.dropped[err.Error()]++
		}
	}
}

func cutLine(b []byte) (line, rest []byte, more bool) {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[:i], b[i+1:], true
	}
	return b, nil, false
}

var (
	errRoom = errors.New("no_room") // there are as many series as there may be
	errKind = errors.New("kind")    // the name is already that of another kind of number
)

// keyOf is a name with its labels. No name or label has a 0 in it; values may, but stand behind their length.
func keyOf(m *metric) string {
	var b strings.Builder
	b.WriteString(m.name)
	for _, l := range m.labels {
		b.WriteByte(0)
		b.WriteString(l[0])
		b.WriteByte(byte(len(l[1])))
		b.WriteByte(byte(len(l[1]) >> 8))
		b.WriteString(l[1])
	}
	return b.String()
}

func (s *store) add(now time.Time, m *metric) error {
	n := s.kinds[m.name]
	if n != nil && n.kind != m.kind {
		return errKind
	}
	key := keyOf(m)
	x := s.series[key]
	if x == nil {
		if len(s.series) >= maxSeries || m.kind == timer && s.timers >= maxTimers {
			return errRoom
		}
		x = &series{name: m.name, labels: m.labels, kind: m.kind, begun: now}
		if m.kind == timer {
			x.hist = &metrics.Histogram{}
			s.timers++
		}
		if n == nil {
			n = &named{kind: m.kind}
			s.kinds[m.name] = n
		}
		n.n++
		s.series[key] = x
	}
	x.seen = now
	s.turn(now, x)
	switch m.kind {
	case counter:
		for _, v := range m.values {
			x.value += max(v, 0) / m.rate // what only grows does not shrink
		}
	case gauge:
		for _, v := range m.values {
			if m.relative {
				v += x.value
			}
			x.value = v
		}
	case timer:
		times := uint64(max(1, min(1/m.rate, 1000)+0.5))
		for _, v := range m.values {
			observe(x.hist, duration(v), times)
		}
	case spread:
		for _, v := range m.values {
			if x.count == 0 || v < x.least {
				x.least = v
			}
			if x.count == 0 || v > x.most {
				x.most = v
			}
			x.value += v / m.rate
			x.count += 1 / m.rate
		}
	case unique:
		s.addMember(x, m.member[0])
	}
	return nil
}

// observe counts a duration several times over: of those that were not sent it is the best that is known.
func observe(h *metrics.Histogram, d time.Duration, times uint64) {
	i := sort.Search(metrics.NumBuckets-1, func(i int) bool { return d <= metrics.Bound(i) })
	h.Buckets[i] += times
	if h.Sum < math.MaxInt64/2 {
		h.Sum += d * time.Duration(times)
	}
}

func (s *store) addMember(x *series, member string) {
	if len(x.set) >= maxMembers || s.members >= maxAllSets {
		return // so many is as good an answer as more
	}
	h := maphash.String(s.seed, member)
	if _, ok := x.set[h]; ok {
		return
	}
	if x.set == nil {
		x.set = map[uint64]struct{}{}
	}
	x.set[h] = struct{}{}
	s.members++
}

// turn ends a window that is over.
func (s *store) turn(now time.Time, x *series) {
	if now.Sub(x.begun) < window {
		return
	}
	late := now.Sub(x.begun) >= 2*window
	switch x.kind {
	case unique:
		x.was = len(x.set)
		if late {
			x.was = 0
		}
		s.members -= len(x.set)
		x.set = nil
	case timer:
		x.lately = x.hist.Since(&x.had)
		if late {
			x.lately = metrics.Histogram{}
		}
		x.had = *x.hist
	}
	x.begun = now
}

// sweep forgets what nobody sends any more.
func (s *store) sweep(now time.Time) {
	if now.Sub(s.swept) < time.Minute {
		return
	}
	s.swept = now
	for key, x := range s.series {
		if now.Sub(x.seen) < forgotten {
			continue
		}
		delete(s.series, key)
		s.members -= len(x.set)
		if x.kind == timer {
			s.timers--
		}
		if n := s.kinds[x.name]; n.n > 1 {
			n.n--
		} else {
			delete(s.kinds, x.name)
		}
	}
}

// Number is one of apps' numbers.
type Number struct {
	Name   string            `json:"name"`
	Kind   string            `json:"kind"` // counter, gauge, timer, histogram, set
	Labels map[string]string `json:"labels,omitempty"`
	Value  float64           `json:"value"`           // of a set, its members in ten seconds; of a histogram, the sum
	Count  float64           `json:"count,omitempty"` // of a timer or histogram
	Min    float64           `json:"min,omitempty"`   // of a histogram
	Max    float64           `json:"max,omitempty"`
	P50    float64           `json:"p50,omitempty"` // of a timer, milliseconds, of ten seconds
	P95    float64           `json:"p95,omitempty"`
	P99    float64           `json:"p99,omitempty"`
	Seen   int64             `json:"seen"` // Unix seconds
}

// sorted are all series by name and labels. The caller holds the lock.
func (s *store) sorted(now time.Time) []*series {
	s.sweep(now)
	keys := make([]string, 0, len(s.series))
	for key := range s.series {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	all := make([]*series, len(keys))
	for i, key := range keys {
		all[i] = s.series[key]
		s.turn(now, all[i])
	}
	// Names in order, whatever stands behind them in the key.
	slices.SortStableFunc(all, func(a, b *series) int { return strings.Compare(a.name, b.name) })
	return all
}

func (s *store) numbers(now time.Time) []Number {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []Number{}
	for _, x := range s.sorted(now) {
		n := Number{Name: x.name, Kind: kindWords[x.kind], Value: x.value, Count: x.count, Min: x.least, Max: x.most, Seen: x.seen.Unix()}
		switch x.kind {
		case unique:
			n.Value = float64(x.was)
		case timer:
			n.Value, n.Count = x.hist.Sum.Seconds()*1e3, float64(x.hist.Count())
			n.P50, n.P95, n.P99 = millis(&x.lately, 0.5), millis(&x.lately, 0.95), millis(&x.lately, 0.99)
		}
		if len(x.labels) > 0 {
			n.Labels = make(map[string]string, len(x.labels))
			for _, l := range x.labels {
				n.Labels[l[0]] = l[1]
			}
		}
		all = append(all, n)
	}
	return all
}

func millis(h *metrics.Histogram, q float64) float64 { return float64(h.Quantile(q)) / 1e6 }

// families are the numbers as metrics.
func (s *store) families(now time.Time) (all []exposition.Family) {
	s.mu.Lock()
	defer s.mu.Unlock()
	const help = "As an app says by statsd."
	used := map[string]bool{} // by the name without its end
	var at map[string]int
	last := ""
	put := func(name string, kind exposition.Kind, p exposition.Sample) {
		i, ok := at[name]
		if !ok {
			base := strings.TrimSuffix(name, "_total")
			if used[base] {
				return // another name has become the same
			}
			used[base] = true
			i = len(all)
			at[name] = i
			all = append(all, exposition.Family{Name: name, Kind: kind, Help: help})
		}
		all[i].Samples = append(all[i].Samples, p)
	}
	for _, x := range s.sorted(now) {
		if x.name != last || at == nil {
			last, at = x.name, map[string]int{}
		}
		name := "app_" + x.name
		switch x.kind {
		case counter:
			put(name+"_total", exposition.Counter, exposition.Sample{Labels: x.labels, Value: x.value})
		case gauge:
			put(name, exposition.Gauge, exposition.Sample{Labels: x.labels, Value: x.value})
		case unique:
			put(name+"_unique", exposition.Gauge, exposition.Sample{Labels: x.labels, Value: float64(x.was)})
		case spread:
			put(name+"_values_total", exposition.Counter, exposition.Sample{Labels: x.labels, Value: x.count})
			put(name+"_added", exposition.Gauge, exposition.Sample{Labels: x.labels, Value: x.value})
		case timer:
			h := *x.hist
			put(strings.TrimSuffix(name, "_seconds")+"_seconds", exposition.Histogram, exposition.Sample{Labels: x.labels, Histogram: &h})
		}
	}
	return all
}

// counts are what was taken, and what was not.
func (s *store) counts() (lines uint64, dropped map[string]uint64, series int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dropped = make(map[string]uint64, len(s.dropped))
	for why, n := range s.dropped {
		dropped[why] = n
	}
	return s.lines, dropped, len(s.series)
}
