package balance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Over many picks, each a request that ends at once, every method gives each server its part by weight.
func TestSpreadByWeight(t *testing.T) {
	for _, ws := range [][]int{{1, 1, 1}, {1, 2, 3, 4}, {10, 1}, {5, 0, 5}, {100, 100, 50, 1, 1}} {
		total := 0
		for _, w := range ws {
			total += w
		}
		for _, m := range []string{"round_robin", "random_two", "uri_hash"} {
			ps := servers(len(ws))
			p := picker(t, m, ps, ws)
			c := &NewCursors(1)[0]
			const n = 60000
			got := make([]int, len(ws))
			for i := range n {
				got[p.Pick(Query{Cursor: c, Hash: Hash(0, fmt.Sprint("/page/", i)), Keyed: true})]++
			}
			for i, w := range ws {
				want := float64(n*w) / float64(total)
				even := 0.0
				if m == "uri_hash" && w > 0 { // its points lie at random
					even = 3 / math.Sqrt(float64(pointsEach)*float64(w)/float64(slices.Max(ws)))
				}
				if off := math.Abs(float64(got[i]) - want); off > even*want+4*math.Sqrt(want) {
					t.Errorf("%s, weights %v: server %d got %d of %d, its share is %.0f", m, ws, i, got[i], n, want)
				}
			}
		}
	}
}

// Under load, with requests that stay, every method keeps each server near its part of what is under way.
func TestLoadByWeight(t *testing.T) {
	for _, ws := range [][]int{{1, 1, 1, 1}, {1, 2, 3, 4}, {20, 1, 1}} {
		total := 0
		for _, w := range ws {
			total += w
		}
		for _, m := range []string{"least_conn", "random_two", "uri_hash"} {
			ps := servers(len(ws))
			p := picker(t, m, ps, ws)
			c := &NewCursors(1)[0]
			n := 100 * total
			for i := range n {
				ps[p.Pick(Query{Cursor: c, Hash: Hash(0, fmt.Sprint(i)), Keyed: true})].Take(0, false)
			}
			for i, w := range ws {
				if got, most := ps[i].Active(), 1.26*float64(100*w)+5; float64(got) > most {
					t.Errorf("%s, weights %v: server %d has %d under way, want at most %.0f", m, ws, i, got, most)
				}
			}
		}
	}
}

// However wanted one key is, no server has more than a quarter above its part.
func TestBoundedLoad(t *testing.T) {
	for _, n := range []int{2, 3, 10, 50, 200} {
		ps := servers(n)
		p := picker(t, "uri_hash", ps, equal(n))
		c := &NewCursors(1)[0]
		seen := map[int]bool{}
		for i := range 100 * n {
			k := p.Pick(Query{Cursor: c, Hash: Hash(0, "/the-one-page"), Keyed: true})
			ps[k].Take(0, false)
			seen[k] = true
			all := float64(i + 1)
			most := max(unbounded, math.Ceil(1.25*all/float64(n)))
			if n > stride { // the sum is that of the last round
				most += float64(n)/stride/10 + 2
			}
			if got := float64(ps[k].Active()); got > most {
				t.Fatalf("%d servers: after %d requests server %d has %.0f, want at most %.0f", n, i+1, k, got, most)
			}
		}
		if n > 2 && len(seen) < n*3/4 {
			t.Errorf("%d servers: only %d of them got some of it", n, len(seen))
		}
	}
}

// owners is the server of each of many keys when nothing is under way.
func owners(t *testing.T, ms []Member) []uint64 {
	p, err := New("uri_hash", false, ms)
	if err != nil {
		t.Fatal(err)
	}
	c := &NewCursors(1)[0]
	out := make([]uint64, 20000)
	for i := range out {
		if k := p.Pick(Query{Cursor: c, Hash: Hash(0, fmt.Sprint("/", i)), Keyed: true}); k >= 0 {
			out[i] = ms[k].Key
		}
	}
	return out
}

// When a server comes or goes, or its weight changes, only keys move that become its own or were its own, and no more of
// them than its part.
func TestKeysStay(t *testing.T) {
	for _, n := range []int{2, 5, 10, 100} {
		ps := servers(n + 1)
		all := members(ps, equal(n+1))
		before := owners(t, all[:n])
		differ := func(what string, after []uint64, own uint64, most float64) {
			t.Helper()
			moved := 0
			for i := range before {
				if before[i] == after[i] {
					continue
				}
				moved++
				if before[i] != own && after[i] != own {
					t.Fatalf("%d servers, %s: a key moved between two servers that stayed as they were", n, what)
				}
			}
			if got := float64(moved) / float64(len(before)); got > 1.3*most+0.005 || got < 0.7*most-0.005 {
				t.Errorf("%d servers, %s: %.1f%% of the keys moved, want about %.1f%%", n, what, 100*got, 100*most)
			}
		}
		differ("one comes", owners(t, all), all[n].Key, 1/float64(n+1))
		differ("one goes", owners(t, all[1:n]), all[0].Key, 1/float64(n))
		shuffled := slices.Clone(all[:n])
		rand.New(rand.NewPCG(1, 1)).Shuffle(n, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		differ("in another order", owners(t, shuffled), 0, 0)
		ps[0].SetShare(500)
		differ("half of one's weight", owners(t, all[:n]), all[0].Key, 1/float64(n)-1/float64(2*n-1))
		ps[0].SetShare(0)
		differ("no weight", owners(t, all[:n]), all[0].Key, 1/float64(n))
		ps[0].SetShare(1000)
		ps[0].Down() // it stays on the ring: its keys go on
		differ("one is down", owners(t, all[:n]), all[0].Key, 1/float64(n))
		ps[0].Up()
		differ("as before", owners(t, all[:n]), 0, 0)
	}
}

// The keys of a server that goes spread over all others.
func TestKeysOfOneSpread(t *testing.T) {
	const n = 10
	ps := servers(n)
	all := members(ps, equal(n))
	before := owners(t, all)
	ps[0].Down()
	got := map[uint64]int{}
	lost := 0
	for i, o := range owners(t, all) {
		if before[i] == all[0].Key {
			got[o]++
			lost++
		}
	}
	for _, m := range all[1:] {
		if part := float64(got[m.Key]) / float64(lost); part < 0.5/(n-1) || part > 1.6/(n-1) {
			t.Errorf("one of %d servers got %.0f%% of the keys", n-1, 100*part)
		}
	}
}

func TestRingBounds(t *testing.T) {
	ws := make([]int, 3000)
	for i := range ws {
		ws[i] = 1 + i%1000
	}
	r := newRing(members(servers(len(ws)), ws))
	if len(r.points) > maxPoints+len(ws) {
		t.Errorf("a ring of %d points", len(r.points))
	}
	if !slices.IsSortedFunc(r.points, func(a, b point) int { return int(int64(a.at) - int64(b.at)) }) {
		t.Error("the points are not in order")
	}
	for range 10000 {
		place := rand.Uint32()
		i, _ := slices.BinarySearchFunc(r.points, place, func(p point, at uint32) int { return int(int64(p.at) - int64(at)) })
		if got, want := r.at(place), r.points[i%len(r.points)].member; got != want {
			t.Fatalf("at %d: %d, want %d", place, got, want)
		}
	}
}

// Without a key, requests go where the fewest are.
func TestNoKey(t *testing.T) {
	ps := servers(3)
	ps[0].Take(0, false)
	ps[1].Take(0, false)
	if got := picker(t, "header_hash", ps, equal(3)).Pick(Query{Cursor: &NewCursors(1)[0]}); got != 2 {
		t.Errorf("picked %d, want 2", got)
	}
}

func TestHash(t *testing.T) {
	if Hash(Hash(0, "a"), "b") == Hash(Hash(0, "ab"), "") || Hash(0, "") == Hash(0, "\x00") || Hash(0, "a") == Hash(0, "a\x00") {
		t.Error("two keys have one hash")
	}
	if Hash(0, "key") != Hash(0, []byte("key")) || Hash(0, "key") != 0x213fec8a8ecd4c0b {
		t.Errorf("%#x: nodes of two versions would send one key to two servers", Hash(0, "key"))
	}
	// Keys that differ little spread over all bits.
	var ones [64]int
	for i := range 4096 {
		h := Hash(0, fmt.Sprintf("/a/%04d", i))
		for b := range ones {
			ones[b] += int(h >> b & 1)
		}
	}
	for b, n := range ones {
		if n < 1800 || n > 2300 {
			t.Errorf("bit %d is set in %d of 4096 hashes", b, n)
		}
	}
}

func TestAlias(t *testing.T) {
	for _, ws := range [][]uint64{{1}, {1, 1}, {3, 1}, {0, 1, 0, 7}, {1000, 1, 1, 1, 1}} {
		a := newAlias(ws)
		c := &NewCursors(1)[0]
		var total, n = uint64(0), 100000
		got := make([]int, len(ws))
		for range n {
			got[a.draw(c.draw())]++
		}
		for _, w := range ws {
			total += w
		}
		for i, w := range ws {
			want := float64(n) * float64(w) / float64(total)
			if math.Abs(float64(got[i])-want) > 5*math.Sqrt(want) {
				t.Errorf("weights %v: %d came %d times, want about %.0f", ws, i, got[i], want)
			}
		}
	}
}

// Between two servers with equally many requests the faster one is taken, on request; one of which nothing is known, first.
func TestRandomTwoLatency(t *testing.T) {
	ps := servers(2)
	p, err := New("random_two", true, members(ps, equal(2)))
	if err != nil {
		t.Fatal(err)
	}
	c := &NewCursors(1)[0]
	ps[0].Observe(1000)
	for range 100 {
		if got := p.Pick(Query{Cursor: c}); got != 1 {
			t.Fatalf("picked %d, want 1, of which nothing is known", got)
		}
	}
	ps[1].Observe(5000)
	for range 100 {
		if got := p.Pick(Query{Cursor: c}); got != 0 {
			t.Fatalf("picked %d, want 0, which is faster", got)
		}
	}
	ps[0].Take(0, false)
	if got := p.Pick(Query{Cursor: c}); got != 1 {
		t.Errorf("picked %d, want 1, which has fewer requests", got)
	}
	for range 100 {
		ps[1].Observe(100)
	}
	if got := ps[1].Latency(); got < 100 || got > 120 {
		t.Errorf("the latency is %d after a hundred times 100", got)
	}
}

// A share that changes is seen by least_conn at once; 0 means nobody.
func TestShare(t *testing.T) {
	for _, m := range allMethods {
		ps := servers(3)
		ps[0].SetShare(0)
		p := picker(t, m, ps, equal(3))
		c := &NewCursors(1)[0]
		for range 300 {
			if p.Pick(Query{Cursor: c, Hash: c.draw(), Keyed: true}) == 0 {
				t.Fatalf("%s: a server without weight was picked", m)
			}
		}
	}
	ps := servers(2)
	p := picker(t, "least_conn", ps, equal(2))
	ps[1].SetShare(100)
	for range 3 {
		ps[0].Take(0, false)
	}
	if got := p.Pick(Query{Cursor: &NewCursors(1)[0]}); got != 0 {
		t.Errorf("picked %d, want 0: four requests are less for it than one for the other", got)
	}
	if !Stale(1000, 940) || Stale(1000, 960) || !Stale(10, 0) || !Stale(0, 1) || Stale(0, 0) {
		t.Error("what is stale")
	}
}
