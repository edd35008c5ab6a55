package limit

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// line is a queue of names, with what is needed to write down who is served.
type line struct {
	q      Queue[string]
	by     map[string]*Waiter[string]
	fair   bool
	now    int64
	size   int // 0: no bound
	newest bool
	out    []string // who was pushed out
}

func newLine(fair bool, size int) *line {
	return &line{by: map[string]*Waiter[string]{}, fair: fair, size: size}
}

// come lets a request come in: the first letter of its name is its client.
func (l *line) come(name string, c Class) bool {
	w := &Waiter[string]{Of: name, Class: c, Key: uint64(name[0])}
	if l.size > 0 && l.q.Len() >= l.size {
		out := l.q.Victim(w, l.fair, l.newest, l.now)
		if out == nil {
			return false
		}
		l.out = append(l.out, out.Of)
		l.q.Drop(out)
		delete(l.by, out.Of)
	}
	l.by[name] = w
	l.q.Put(w, l.fair, l.now)
	return true
}

// served serves all and returns their names.
func (l *line) served(n int) string {
	var names []string
	for range n {
		w := l.q.Next(l.newest)
		if w == nil {
			break
		}
		l.q.Serve(w)
		delete(l.by, w.Of)
		names = append(names, w.Of)
	}
	return strings.Join(names, " ")
}

func TestOrder(t *testing.T) {
	come := func(l *line, class Class, names string) {
		for _, n := range strings.Fields(names) {
			if !l.come(n, class) {
				l.out = append(l.out, "("+n+")")
			}
		}
	}
	for _, tt := range []struct {
		name           string
		fair, newest   bool
		size           int
		low, mid, high string // in this order
		want, out      string
	}{
		{name: "first come first", mid: "a1 b1 a2 c1 a3", want: "a1 b1 a2 c1 a3"},
		{name: "newest first", newest: true, mid: "a1 b1 a2 c1", want: "c1 a2 b1 a1"},
		{name: "classes", low: "a1 a2", mid: "b1 b2", high: "c1 c2", want: "c1 c2 b1 b2 a1 a2"},
		{name: "clients in turn", fair: true, mid: "a1 a2 a3 a4 b1 c1 b2", want: "a1 b1 c1 a2 b2 a3 a4"},
		{name: "clients in turn, the newest of each", fair: true, newest: true, mid: "a1 a2 a3 b1 b2", want: "a3 b2 a2 b1 a1"},
		{name: "classes before clients", fair: true, low: "a1 b1", mid: "a2 a3 b2", want: "a2 b2 a3 a1 b1"},
		{name: "full", size: 3, mid: "a1 a2 a3 b1", want: "a1 a2 a3", out: "(b1)"},
		{name: "full: lower classes make room", size: 3, low: "a1 a2", mid: "b1 b2", high: "c1 c2", want: "c1 c2 b1", out: "a2 a1 b2"},
		{name: "full: no room below", size: 2, low: "a1", mid: "b1", high: "c1 c2 c3", want: "c1 c2", out: "a1 b1 (c3)"},
		{name: "full: the greedy makes room", size: 4, fair: true, mid: "a1 a2 a3 a4 b1 c1 d1 e1", want: "a1 b1 c1 d1", out: "a4 a3 a2 (e1)"},
		{name: "full: not for the greedy", size: 4, fair: true, mid: "a1 a2 a3 a4 b1 a5 b2 b3", want: "a1 b1 a2 b2", out: "a4 (a5) a3 (b3)"},
		{name: "full, newest first: the oldest makes room", size: 3, newest: true, mid: "a1 a2 a3 b1 b2", want: "b2 b1 a3", out: "a1 a2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLine(tt.fair, tt.size)
			l.newest = tt.newest
			come(l, Low, tt.low)
			come(l, Normal, tt.mid)
			come(l, High, tt.high)
			if got := l.served(100); got != tt.want {
				t.Errorf("served %q, want %q", got, tt.want)
			}
			if got := strings.Join(l.out, " "); got != tt.out {
				t.Errorf("pushed out %q, want %q", got, tt.out)
			}
			if l.q.Len() != 0 || l.q.Fresh() != 0 || l.q.Any() != nil {
				t.Errorf("%d are left", l.q.Len())
			}
		})
	}
}

// Retries stand beside the others, in their own order.
func TestRetriesStandApart(t *testing.T) {
	var q Queue[int]
	var ws [5]Waiter[int]
	for i := range ws {
		ws[i] = Waiter[int]{Of: i, Again: i%2 == 1, Class: Class(i%3 - 1)}
		q.Put(&ws[i], true, 0)
	}
	var got []int
	for w := q.Retries(); w != nil; w = w.Next() {
		got = append(got, w.Of)
	}
	if d := cmp.Diff([]int{1, 3}, got); d != "" {
		t.Errorf("retries (-want +got):\n%s", d)
	}
	if q.Len() != 5 || q.Fresh() != 3 || !ws[1].Queued() {
		t.Errorf("%d of them %d fresh, want 5 and 3", q.Len(), q.Fresh())
	}
	if v := q.Victim(&Waiter[int]{Again: true, Class: Low}, true, true, 0); v == nil || v.Again {
		t.Errorf("a retry pushes out %+v, want one that is none", v)
	}
	for q.Any() != nil {
		q.Drop(q.Any())
	}
	if q.Len() != 0 || ws[1].Queued() {
		t.Errorf("%d are left", q.Len())
	}
}

// model is the same queue without buckets: a list, searched.
type model struct {
	list []*Waiter[string]
}

// TestAgainstAList holds a queue that is not fair to a plain list, through any order of what can happen.
func TestAgainstAList(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 0))
		var q Queue[string]
		var m model
		next := func(newest bool) *Waiter[string] {
			var best *Waiter[string]
			for _, w := range m.list {
				if best == nil || w.Class > best.Class || newest && w.Class == best.Class {
					best = w
				}
			}
			return best
		}
		for i := range 500 {
			switch k := r.IntN(10); {
			case k < 5:
				w := &Waiter[string]{Of: fmt.Sprint(i), Class: Class(r.IntN(3) - 1), Key: r.Uint64()}
				q.Put(w, false, int64(i))
				m.list = append(m.list, w)
			case k < 8:
				newest := r.IntN(2) == 0
				got, want := q.Next(newest), next(newest)
				if got != want {
					t.Fatalf("seed %d, step %d: next is %v, want %v", seed, i, got, want)
				}
				if got != nil {
					q.Serve(got)
					m.list = slices.DeleteFunc(m.list, func(w *Waiter[string]) bool { return w == got })
				}
			case len(m.list) > 0:
				at := r.IntN(len(m.list))
				q.Drop(m.list[at])
				m.list = slices.Delete(m.list, at, at+1)
			}
			if q.Len() != len(m.list) {
				t.Fatalf("seed %d, step %d: %d wait, want %d", seed, i, q.Len(), len(m.list))
			}
		}
	}
}

// However much one client asks for, the others get their shares: a queue that is always full, one client that sends
// a hundred times as much as each of twenty others.
func TestGreedyClient(t *testing.T) {
	const clients, size, rounds = 20, 100, 20000
	r := rand.New(rand.NewPCG(3, 3))
	var q Queue[int]
	served := map[int]int{}
	lost := map[int]int{}
	for round := range rounds {
		now := int64(round) * int64(time.Millisecond)
		for _, client := range []int{0, 0, 0, 0, 0, 1 + r.IntN(clients)} { // five of the greedy, one of the others
			w := &Waiter[int]{Of: client, Key: uint64(client) * 7919}
			if q.Len() >= size {
				out := q.Victim(w, true, false, now)
				if out == nil {
					lost[client]++
					continue
				}
				lost[out.Of]++
				q.Drop(out)
			}
			q.Put(w, true, now)
		}
		// Two places a round: more than the modest ask for, much less than the greedy does.
		for range 2 {
			if w := q.Next(false); w != nil {
				served[w.Of]++
				q.Serve(w)
			}
		}
	}
	modestLost, modestServed := 0, 0
	for c := 1; c <= clients; c++ {
		modestLost += lost[c]
		modestServed += served[c]
	}
	t.Logf("of the modest %d served, %d lost; of the greedy %d and %d", modestServed, modestLost, served[0], lost[0])
	if modestServed < rounds*95/100 {
		t.Errorf("the modest got %d of their %d", modestServed, rounds)
	}
	if modestServed+served[0] < 2*rounds*99/100 {
		t.Errorf("places were left over: %d", 2*rounds-modestServed-served[0])
	}
}

// Whatever the hash is, a few clients have buckets of their own, and more than there are buckets share them.
func TestBucketsOfTheirOwn(t *testing.T) {
	for seed := range int64(500) {
		var q Queue[int]
		const few = 20
		ws := make([]Waiter[int], 2*few+4*numBuckets)
		owners := map[*bucket[int]]uint64{}
		for i := range ws {
			w := &ws[i]
			if w.Key = uint64(i); i < 2*few {
				w.Key %= few // each comes twice
			}
			q.Put(w, true, seed)
			if owner, taken := owners[w.in]; i < 2*few && taken && owner != w.Key {
				t.Fatalf("seed %d: the clients %d and %d share a bucket", seed, owner, w.Key)
			}
			owners[w.in] = w.Key
		}
		if len(owners) != numBuckets {
			t.Fatalf("seed %d: %d buckets are in use by %d clients", seed, len(owners), len(ws))
		}
		for range ws {
			q.Serve(q.Next(false))
		}
		if q.Len() != 0 {
			t.Fatalf("%d are left", q.Len())
		}
	}
}

// Clients that share a bucket do not share it for ever.
func TestReseed(t *testing.T) {
	var q Queue[int]
	var a, b Waiter[int]
	a.Key = 1
	shared := func(now int64) bool {
		return q.bucketOf(&a, true, now) == q.bucketOf(&b, true, now)
	}
	now := int64(1)
	for b.Key = 2; !shared(now); b.Key++ {
	}
	if !shared(now + reseedTime - 1) {
		t.Error("the hash changed before its time")
	}
	apart := 0
	for i := range int64(10) {
		if !shared(now + (i+1)*reseedTime) {
			apart++
		}
	}
	if apart < 5 {
		t.Errorf("in %d of 10 periods they are apart", apart)
	}
}

func TestMisusedQueuePanics(t *testing.T) {
	var q Queue[int]
	var w Waiter[int]
	panics := func(name string, f func()) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("%s did not panic", name)
			}
		}()
		f()
	}
	panics("Drop of nobody", func() { q.Drop(&w) })
	q.Put(&w, false, 0)
	panics("Put twice", func() { q.Put(&w, false, 0) })
}

func TestQueueAllocatesNothing(t *testing.T) {
	var q Queue[int]
	ws := make([]Waiter[int], 300)
	all := func() {
		for i := range ws {
			ws[i].Key, ws[i].Class = uint64(i%70), Class(i%3-1)
			q.Put(&ws[i], true, int64(i))
		}
		for q.Len() > 0 {
			q.Serve(q.Next(false))
		}
	}
	all()
	if n := testing.AllocsPerRun(20, all); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkQueue(b *testing.B) {
	for _, fair := range []bool{false, true} {
		b.Run(fmt.Sprintf("fair=%v", fair), func(b *testing.B) {
			var q Queue[int]
			ws := make([]Waiter[int], 1000)
			for i := range ws {
				ws[i].Key = uint64(i % 100)
				q.Put(&ws[i], fair, 0)
			}
			b.ReportAllocs()
			for b.Loop() {
				w := q.Next(false)
				q.Serve(w)
				q.Put(w, fair, 0)
			}
		})
		b.Run(fmt.Sprintf("victim/fair=%v", fair), func(b *testing.B) {
			var q Queue[int]
			ws := make([]Waiter[int], 1000)
			for i := range ws {
				ws[i].Key = uint64(i % 100)
				q.Put(&ws[i], fair, 0)
			}
			w := &Waiter[int]{Key: 1000}
			b.ReportAllocs()
			for b.Loop() {
				_ = q.Victim(w, fair, false, 0)
			}
		})
	}
}
