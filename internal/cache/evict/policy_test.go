package evict

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"unsafe"
)

func TestVictimIsWorthLeast(t *testing.T) {
	p := New(1000)
	p.Add(0, 10, 100)
	p.Add(1, 11, 1)
	p.Add(2, 12, 100)
	p.Hit(0)
	for _, want := range []uint32{2, 0, 1} {
		if got, ok := p.Victim(); !ok || got != want {
			t.Fatalf("got %d, %v, want %d", got, ok, want)
		}
	}
	if _, ok := p.Victim(); ok || p.Len() != 0 || p.Used() != 0 {
		t.Fatal("the policy is not empty")
	}
}

// reference is the same policy without queues: each victim is found by looking at all objects. It shares the ghosts
// and the priors, whose own tests are elsewhere.
type reference struct {
	objects map[uint32]*object
	clock   uint64
	turns   uint64
	gone    ghosts
	prior   priors
}

type object struct {
	size, hash, freq, hits uint32
	value, turn            uint64
	queue                  uint32
	fresh, returned        bool
}

func newReference(clock uint64) *reference {
	r := &reference{objects: map[uint32]*object{}, clock: clock}
	r.gone.init()
	r.prior.init()
	return r
}

func (r *reference) wait(o *object) {
	queue, worth := density(o.freq, o.size)
	r.turns++
	o.queue, o.value, o.turn = queue, r.clock+worth, r.turns
}

func (r *reference) add(slot uint32, hash uint64, size uint32) {
	o := &object{size: max(size, 1), hash: fold(hash), fresh: true}
	if before := r.gone.take(o.hash); before != 0 {
		o.returned = true
		o.freq = before/2 + r.prior.expect(returned, o.size)
	} else {
		o.freq = r.prior.expect(stranger, o.size)
	}
	r.objects[slot] = o
	r.wait(o)
}

func (r *reference) hit(slot uint32) {
	if o := r.objects[slot]; o != nil {
		o.hits = min(o.hits+1, stateHits)
	}
}

func (r *reference) setSize(slot, size uint32) {
	if o := r.objects[slot]; o != nil && o.size != max(size, 1) {
		o.size = max(size, 1)
		r.wait(o)
	}
}

func (r *reference) victim() (uint32, bool) {
	for looked := 0; len(r.objects) > 0; looked++ {
		var slot uint32
		var least *object
		for s, o := range r.objects {
			if least == nil || o.value < least.value || o.value == least.value &&
				(o.queue < least.queue || o.queue == least.queue && o.turn < least.turn) {
				slot, least = s, o
			}
		}
		r.clock = least.value
		if least.fresh {
			kind := stranger
			if least.returned {
				kind = returned
			}
			r.prior.learn(kind, least.size, least.freq, least.hits)
		}
		next := again(least.freq, least.hits)
		if next == 0 || looked == lookLimit {
			delete(r.objects, slot)
			r.gone.put(least.hash, least.freq, len(r.objects))
			return slot, true
		}
		least.freq, least.hits, least.fresh = next, 0, false
		r.wait(least)
	}
	return 0, false
}

// pair runs a policy beside its reference.
type pair struct {
	t *testing.T
	p *Policy
	r *reference
}

func newPair(t *testing.T, clock uint64) pair {
	p := New(1 << 20)
	p.clock = clock
	return pair{t, p, newReference(clock)}
}

// do performs an operation on both, and compares.
func (b pair) do(op byte, slot uint32, hash uint64, size uint32) {
	b.t.Helper()
	_, in := b.r.objects[slot]
	switch op % 8 {
	case 0, 1, 2:
		if !in {
			b.p.Add(slot, hash, size)
			b.r.add(slot, hash, size)
		}
		fallthrough
	case 3, 4:
		b.p.Hit(slot)
		b.r.hit(slot)
	case 5:
		got, ok := b.p.Victim()
		want, some := b.r.victim()
		if got != want || ok != some {
			b.t.Fatalf("the victim is %d, %v, want %d, %v", got, ok, want, some)
		}
	case 6:
		b.p.Remove(slot)
		delete(b.r.objects, slot)
	case 7:
		b.p.SetSize(slot, size)
		b.r.setSize(slot, size)
	}
}

// check walks all queues.
func (b pair) check() {
	b.t.Helper()
	count, used := 0, uint64(0)
	for i, q := range b.p.queues {
		last, value := uint32(none), b.p.clock
		for slot := q.first; slot != none; slot = b.p.node(slot).next {
			n := b.p.node(slot)
			state := n.state.Load()
			if state&stateLive == 0 || int(state>>stateQueueShift&stateQueue) != i || n.prev != last {
				b.t.Fatalf("slot %d in queue %d: state %x, previous %d, want %d", slot, i, state, n.prev, last)
			}
			if v := b.p.full(n.value); v < value {
				b.t.Fatalf("slot %d in queue %d has a value lower than the one before it", slot, i)
			} else if value = v; last == none && b.p.order.values[i] != v {
				b.t.Fatalf("the value of the head of queue %d is out of date", i)
			}
			o := b.r.objects[slot]
			if o == nil || o.size != n.size || o.value != value || o.freq != state>>stateFreqShift&stateFreq || o.hits != state&stateHits {
				b.t.Fatalf("slot %d is not as in the reference", slot)
			}
			last = slot
			count++
			used += uint64(n.size)
		}
		if q.last != last {
			b.t.Fatalf("queue %d ends with %d, want %d", i, q.last, last)
		}
		if q.first == none && b.p.order.values[i] != math.MaxUint64 {
			b.t.Fatalf("queue %d is empty and has a value", i)
		}
	}
	if count != len(b.r.objects) || count != b.p.Len() || used != b.p.Used() {
		b.t.Fatalf("%d objects of %d in the queues, Len %d, Used %d, want %d objects", count, used, b.p.Len(), b.p.Used(), len(b.r.objects))
	}
}

func TestAgainstReference(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := newPair(t, []uint64{0, 1<<32 - 1000, 1<<40 - 1<<28}[seed%3])
		slots := []uint32{3, 40, 300}[seed/3%3]
		for i := range 6000 {
			size := uint32(math.Exp(r.Float64() * []float64{3, 12, 22}[seed/9%3]))
			op := byte(r.Uint32())
			if op%8 == 6 && r.IntN(4) > 0 {
				op = 5
			}
			b.do(op, r.Uint32N(slots), r.Uint64N(uint64(slots)*4), size)
			if i%100 == 0 {
				b.check()
			}
		}
		for len(b.r.objects) > 0 {
			b.do(5, 0, 0, 0)
		}
		b.check()
	}
}

func FuzzOperations(f *testing.F) {
	f.Add([]byte{0, 1, 10, 3, 1, 0, 0, 2, 200, 5, 0, 0, 5, 0, 0, 5, 0, 0})
	f.Add([]byte{0, 0, 255, 7, 0, 1, 0, 1, 1, 6, 0, 0, 6, 0, 0, 5, 0, 0, 0, 0, 3})
	f.Add([]byte{2, 9, 31, 2, 8, 31, 2, 7, 30, 4, 9, 0, 5, 9, 0, 2, 7, 30, 5, 0, 0, 3, 200, 0})
	f.Fuzz(func(t *testing.T, ops []byte) {
		b := newPair(t, 1<<32-1<<20)
		for ; len(ops) >= 3; ops = ops[3:] {
			b.do(ops[0], uint32(ops[1]), uint64(ops[1])*0x9e3779b97f4a7c15, 1<<(ops[2]%32)|uint32(ops[2]))
		}
		b.check()
	})
}

// run plays a made-up load and returns the victims.
func run(p *Policy, r *rand.Rand, n int) []uint32 {
	const objects = 5000
	var victims []uint32
	in := make([]bool, objects)
	for range n {
		slot := uint32(math.Pow(objects, r.Float64())) % objects
		if in[slot] {
			p.Hit(slot)
			continue
		}
		p.Add(slot, uint64(slot), 1+slot*7919%300)
		in[slot] = true
		for p.Used() > p.Capacity() {
			v, _ := p.Victim()
			in[v] = false
			victims = append(victims, v)
		}
	}
	return victims
}

func TestSameCallsSameVictims(t *testing.T) {
	a := run(New(40_000), rand.New(rand.NewPCG(1, 2)), 100_000)
	b := run(New(40_000), rand.New(rand.NewPCG(1, 2)), 100_000)
	if len(a) < 1000 || !slices.Equal(a, b) {
		t.Fatalf("%d and %d victims, not the same", len(a), len(b))
	}
}

func TestHotSetSurvivesAScan(t *testing.T) {
	const hot = 500
	p := New(1000)
	in := map[uint32]bool{}
	ask := func(slot uint32) {
		if in[slot] {
			p.Hit(slot)
			return
		}
		p.Add(slot, uint64(slot), 1)
		in[slot] = true
		for p.Used() > p.Capacity() {
			v, _ := p.Victim()
			delete(in, v)
		}
	}
	next := uint32(hot)
	for range 20 {
		for slot := range uint32(hot) {
			ask(slot)
			ask(next)
			next++
		}
	}
	for range 5 * 1000 { // five times the cache, none asked for twice
		ask(next)
		next++
	}
	left := 0
	for slot := range uint32(hot) {
		if in[slot] {
			left++
		}
	}
	if left < hot*95/100 {
		t.Errorf("%d of %d are left", left, hot)
	}
}

func TestLargeObjectDoesNotEmptyTheCache(t *testing.T) {
	p := New(1000)
	for slot := range uint32(1000) {
		p.Add(slot, uint64(slot), 1)
		p.Hit(slot)
	}
	p.Add(5000, 5000, 900)
	gone := 0
	for p.Used() > p.Capacity() {
		v, _ := p.Victim()
		if v != 5000 {
			gone++
		}
	}
	if gone > 0 {
		t.Errorf("%d went for one large object that nobody has asked for twice", gone)
	}
}

func TestWorkOfOneCallIsBounded(t *testing.T) {
	p := New(1 << 20)
	for slot := range uint32(10_000) {
		p.Add(slot, uint64(slot), 1)
		p.Hit(slot)
	}
	before := p.queues
	if _, ok := p.Victim(); !ok {
		t.Fatal("no victim")
	}
	for q := range before {
		moved := 0
		for slot := before[q].first; slot != none && slot != p.queues[q].first && moved <= lookLimit+1; moved++ {
			slot++ // they were added in the order of their numbers
		}
		if moved > lookLimit+1 {
			t.Errorf("more than %d objects were looked at", lookLimit)
		}
	}
}

func TestHitIsSafeBesideEverything(t *testing.T) {
	p := New(3000)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for i := range 3 {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 3))
			for {
				select {
				case <-stop:
					return
				default:
					p.Hit(r.Uint32N(3 * chunkNodes))
				}
			}
		})
	}
	r := rand.New(rand.NewPCG(7, 3))
	in := make([]bool, 3*chunkNodes)
	for i := range 60_000 {
		slot := r.Uint32N(uint32(min(len(in), 1+i/4)))
		switch {
		case !in[slot]:
			p.Add(slot, uint64(slot), 1)
			in[slot] = true
		case i%3 == 0:
			p.Remove(slot)
			in[slot] = false
		}
		for p.Used() > p.Capacity() {
			v, _ := p.Victim()
			if !in[v] {
				t.Fatalf("the victim %d is not in the cache", v)
			}
			in[v] = false
		}
	}
	close(stop)
	readers.Wait()
	n := 0
	for _, is := range in {
		if is {
			n++
		}
	}
	if n != p.Len() {
		t.Errorf("%d objects, want %d", p.Len(), n)
	}
}

func TestHitsAreCountedUpToTheLimit(t *testing.T) {
	p := New(10)
	p.Hit(7) // was never there
	p.Add(7, 7, 1)
	for range 1000 {
		p.Hit(7)
	}
	if got := p.node(7).state.Load() & stateHits; got != stateHits {
		t.Errorf("%d hits", got)
	}
	p.Remove(7)
	p.Remove(7)
	p.Hit(7)
	p.Add(7, 7, 1)
	if got := p.node(7).state.Load() & stateHits; got != 0 {
		t.Errorf("a late hit counts for the next object in the slot: %d", got)
	}
}

func TestNodeIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(node{}); size > 24 {
		t.Errorf("%d bytes for each object", size)
	}
}

func TestNoAllocationOnceGrown(t *testing.T) {
	p := New(40_000)
	r := rand.New(rand.NewPCG(1, 2))
	run(p, r, 200_000)
	for p.Len() > 0 {
		p.Victim()
	}
	slot := uint32(0)
	got := testing.AllocsPerRun(10_000, func() {
		p.Add(slot%5000, uint64(slot), 100)
		p.Hit(slot % 5000)
		for p.Used() > p.Capacity() {
			p.Victim()
		}
		slot++
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkHit(b *testing.B) {
	p := New(1 << 30)
	for slot := range uint32(1 << 16) {
		p.Add(slot, uint64(slot), 10)
	}
	b.ReportAllocs()
	slot := uint32(0)
	for b.Loop() {
		p.Hit(slot & 0xfff)
		slot++
	}
}

// One comes and one goes, in a cache of that many objects.
func benchmarkAddVictim(b *testing.B, objects uint32, hits bool) {
	p := New(math.MaxUint64)
	r := rand.New(rand.NewPCG(1, 4))
	free := make([]uint32, 0, objects)
	for slot := range objects {
		p.Add(slot, uint64(slot), 1+r.Uint32N(400))
	}
	b.ReportAllocs()
	hash := uint64(objects)
	for b.Loop() {
		v, _ := p.Victim()
		free = append(free[:0], v)
		hash++
		p.Add(free[0], hash, 1+uint32(hash*0x9e3779b97f4a7c15>>32)%400)
		if hits {
			p.Hit(uint32(hash*0x9e3779b97f4a7c15>>40) % objects)
		}
	}
}

func BenchmarkAddVictim(b *testing.B) {
	b.Run("10k", func(b *testing.B) { benchmarkAddVictim(b, 10_000, false) })
	b.Run("1M", func(b *testing.B) { benchmarkAddVictim(b, 1_000_000, false) })
	b.Run("1M with hits", func(b *testing.B) { benchmarkAddVictim(b, 1_000_000, true) })
}
