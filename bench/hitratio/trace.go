package main

import (
	"math"
	"math/rand/v2"
)

// A trace is a row of requests for objects, by number, with the size of each object.
type trace struct {
	about    string
	sizes    []uint32 // bytes of each object, without the overhead
	requests []uint32
	capacity uint64 // bytes, with the overhead of what is in the cache
}

// overhead is what every cache is charged for each object beyond its bytes.
const overhead = 250

func (t *trace) charge(object uint32) uint64 { return uint64(t.sizes[object]) + overhead }

// shape says how large a trace is.
type shape struct {
	objects  int
	requests int
}

var full = shape{1_000_000, 10_000_000}

// traces are the workloads, each made anew from a seed.
var traces = []struct {
	name string
	make func(s shape, r *rand.Rand) *trace
}{
	{"zipf", zipfTrace},
	{"scan", scanTrace},
	{"shift", shiftTrace},
	{"wonders", wondersTrace},
	{"equal", equalTrace},
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x77656972)) }

// logNormal draws the sizes of objects of a web site: the median is 4 KiB, the mean about 12 KiB, the largest some
// megabytes.
func logNormal(n int, r *rand.Rand) []uint32 {
	sizes := make([]uint32, n)
	for i := range sizes {
		sizes[i] = uint32(min(max(math.Exp(math.Log(4096)+1.5*r.NormFloat64()), 64), 64<<20))
	}
	return sizes
}

// tenth is a tenth of the bytes of the first n objects.
func (t *trace) tenth(n int) uint64 {
	sum := uint64(0)
	for i := range n {
		sum += t.charge(uint32(i))
	}
	return sum / 10
}

// zipf draws numbers below n, the number i with a probability that is as 1/(i+1)^skew, by Walker's alias method.
type zipf struct {
	keep  []float64
	alias []uint32
}

func newZipf(n int, skew float64) *zipf {
	z := &zipf{make([]float64, n), make([]uint32, n)}
	sum := 0.0
	for i := range n {
		z.keep[i] = math.Pow(float64(i+1), -skew)
		sum += z.keep[i]
	}
	var small, large []uint32
	for i := range n {
		z.keep[i] *= float64(n) / sum
		z.alias[i] = uint32(i)
		if z.keep[i] < 1 {
			small = append(small, uint32(i))
		} else {
			large = append(large, uint32(i))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		z.alias[s] = l
		if z.keep[l] -= 1 - z.keep[s]; z.keep[l] < 1 {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	return z
}

func (z *zipf) draw(r *rand.Rand) uint32 {
	i := r.IntN(len(z.keep))
	if r.Float64() < z.keep[i] {
		return uint32(i)
	}
	return z.alias[i]
}

func zipfTrace(s shape, r *rand.Rand) *trace {
	t := &trace{about: "Zipf(0.9), log-normal sizes", sizes: logNormal(s.objects, r)}
	t.capacity = t.tenth(s.objects)
	z := newZipf(s.objects, 0.9)
	for range s.requests {
		t.requests = append(t.requests, z.draw(r))
	}
	return t
}

// equalTrace has objects of one size: here only the frequencies count.
func equalTrace(s shape, r *rand.Rand) *trace {
	t := zipfTrace(s, r)
	t.about = "Zipf(0.9), all objects of 4 KiB"
	for i := range t.sizes {
		t.sizes[i] = 4096
	}
	t.capacity = t.tenth(s.objects)
	return t
}

// scanTrace is Zipf with a crawler: a third of the requests walk through all objects in order, in ten bursts.
func scanTrace(s shape, r *rand.Rand) *trace {
	t := &trace{about: "Zipf(0.9), and a third of all requests are ten scans, each half mixed with the rest", sizes: logNormal(s.objects, r)}
	t.capacity = t.tenth(s.objects)
	z := newZipf(s.objects, 0.9)
	order := r.Perm(s.objects)
	scanned, left := 0, 0
	for i := range s.requests {
		if i%(s.requests/10) == s.requests/20 {
			left = s.requests / 30
		}
		if left > 0 && i&1 == 0 {
			left--
			t.requests = append(t.requests, uint32(order[scanned%s.objects]))
			scanned++
			continue
		}
		t.requests = append(t.requests, z.draw(r))
	}
	return t
}

// shiftTrace has a popularity that moves: every so often some of the most asked for objects change places with others.
func shiftTrace(s shape, r *rand.Rand) *trace {
	t := &trace{about: "Zipf(0.9), popularity moves: twenty times a tenth of the objects changes places with any others", sizes: logNormal(s.objects, r)}
	t.capacity = t.tenth(s.objects)
	z := newZipf(s.objects, 0.9)
	rank := r.Perm(s.objects)
	for i := range s.requests {
		if i > 0 && i%(s.requests/20) == 0 {
			for range s.objects / 10 {
				a, b := r.IntN(s.objects), r.IntN(s.objects)
				rank[a], rank[b] = rank[b], rank[a]
			}
			for range 200 { // and the very top with some of the middle
				a, b := r.IntN(1000), r.IntN(s.objects)
				rank[a], rank[b] = rank[b], rank[a]
			}
		}
		t.requests = append(t.requests, uint32(rank[z.draw(r)]))
	}
	return t
}

// wondersTrace is half Zipf, half objects that are asked for once and never again.
func wondersTrace(s shape, r *rand.Rand) *trace {
	t := &trace{about: "half Zipf(0.9), half objects asked for once", sizes: logNormal(s.objects+s.requests/2, r)}
	t.capacity = t.tenth(s.objects)
	z := newZipf(s.objects, 0.9)
	fresh := uint32(s.objects)
	for i := range s.requests {
		if i&1 == 0 {
			t.requests = append(t.requests, fresh)
			fresh++
			continue
		}
		t.requests = append(t.requests, z.draw(r))
	}
	return t
}
