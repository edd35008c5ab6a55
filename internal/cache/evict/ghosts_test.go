package evict

import "testing"

func TestGhosts(t *testing.T) {
	var g ghosts
	g.init()
	const n = 100_000
	for i := range uint64(n) {
		g.put(fold(i), uint32(i%1000+1), int(i/2))
	}
	known, wrong := 0, 0
	for i := range uint64(n) {
		if f := g.take(fold(i)); f != 0 {
			known++
			if f != uint32(i%1000+1) {
				wrong++
			}
		}
	}
	// The table doubled after 32,768 and after 65,536: the second time, the one before the last was forgotten.
	if known < n-32768-n/1000 || wrong > known/1000 {
		t.Errorf("%d of %d known, %d with the frequency of another", known, n, wrong)
	}
	strangers := 0
	for i := range uint64(n) {
		if g.take(fold(i+1<<40)) != 0 {
			strangers++
		}
	}
	if strangers > n/1000 {
		t.Errorf("%d of %d strangers are known", strangers, n)
	}
	for i := range uint64(n) {
		if f := g.take(fold(i)); f != 0 {
			t.Fatalf("a ghost was taken twice, with the frequency %d", f)
		}
	}
}

func TestGhostsForgetTheOldest(t *testing.T) {
	var g ghosts
	g.init()
	const n = leastGhosts * ways * 10
	for i := range uint64(n) {
		g.put(fold(i), 1, 0)
	}
	if len(g.table) != leastGhosts {
		t.Fatalf("the table has %d buckets", len(g.table))
	}
	late := 0
	for i := range uint64(leastGhosts * ways / 4) {
		if g.take(fold(n-1-i)) != 0 {
			late++
		}
	}
	if late < leastGhosts*ways/4*9/10 || g.take(fold(0)) != 0 {
		t.Errorf("%d of the last %d are known", late, leastGhosts*ways/4)
	}
}

func TestPriors(t *testing.T) {
	var p priors
	p.init()
	for range 2000 {
		p.learn(stranger, 100, one, 0)
		p.learn(stranger, 5000, one, 255)
		p.learn(returned, 5000, one/2, 1)
	}
	for _, c := range []struct {
		kind int
		size uint32
		want uint32
	}{{stranger, 100, 1}, {stranger, 127, 1}, {stranger, 128, one}, {stranger, 5000, 2 * one}, {returned, 5000, 2 * one}, {returned, 100, one}} {
		if got := p.expect(c.kind, c.size); got+1 < c.want || got > c.want {
			t.Errorf("kind %d, size %d: %d, want %d", c.kind, c.size, got, c.want)
		}
	}
}

func TestDensity(t *testing.T) {
	queue := uint32(0)
	for freq := uint32(1); freq <= stateFreq; freq += freq/4 + 1 {
		for size := uint32(1); size < 1<<31; size += size/4 + 1 {
			q, worth := density(freq, size)
			exact := max(uint64(freq)<<worthShift/uint64(size), 4)
			if worth > exact || worth < exact*4/5 || worth >= 1<<32 {
				t.Fatalf("frequency %d, size %d: %d, exactly %d", freq, size, worth, exact)
			}
			queue = max(queue, q)
		}
	}
	if queue >= queueCount {
		t.Errorf("queue %d", queue)
	}
}
