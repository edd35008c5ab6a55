package store

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// rss returns this process's resident memory in bytes, 0 where the system does not tell.
func rss() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// raw stores an object from bytes that are there.
func raw(s *Store, key Key, head, body []byte) error {
	f, err := s.Begin(key, head, int64(len(body)))
	if err != nil {
		return err
	}
	if _, err := f.Write(body); err != nil {
		f.Abort()
		return err
	}
	return f.Commit()
}

func logNormal(rng *rand.Rand) int {
	return int(min(math.Exp(rng.NormFloat64()*1.6+9), 2<<20)) // median 8 KiB, mean 29 KiB
}

func BenchmarkGet(b *testing.B) {
	for _, n := range []uint64{1000, 1_000_000} {
		b.Run(strconv.FormatUint(n, 10), func(b *testing.B) {
			s := open(b, Options{Memory: 2 << 30})
			head, body := make([]byte, 256), make([]byte, 1024)
			keys := make([]Key, n)
			for i := range keys {
				keys[i] = keyOf(uint64(i))
				if err := raw(s, keys[i], head, body); err != nil {
					b.Fatal(err)
				}
			}
			rng := rand.New(rand.NewPCG(1, 1))
			b.ReportAllocs()
			for b.Loop() {
				r, ok := s.Get(keys[rng.Uint64N(n)])
				if !ok {
					b.Fatal("not there")
				}
				r.Release()
			}
		})
	}
}

func BenchmarkMiss(b *testing.B) {
	s := open(b, Options{})
	k := keyOf(1)
	b.ReportAllocs()
	for b.Loop() {
		k[0]++
		if _, ok := s.Get(k); ok {
			b.Fatal("found")
		}
	}
}

func BenchmarkGetParallel(b *testing.B) {
	s := open(b, Options{Memory: 64 << 20})
	keys := make([]Key, 10_000)
	for i := range keys {
		keys[i] = keyOf(uint64(i))
		if err := raw(s, keys[i], make([]byte, 256), make([]byte, 1024)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		rng := rand.New(rand.NewPCG(rand.Uint64(), 1))
		for pb.Next() {
			if r, ok := s.Get(keys[rng.IntN(len(keys))]); ok {
				r.Release()
			}
		}
	})
}

// BenchmarkFill stores objects of 1 KiB in a full store: each evicts another.
func BenchmarkFill(b *testing.B) {
	s := open(b, Options{Memory: 256 << 20})
	head, body := make([]byte, 256), make([]byte, 1024)
	rng := rand.New(rand.NewPCG(1, 1))
	key := func() (k Key) {
		for i := range 8 {
			k[i] = byte(rng.Uint32())
		}
		return k
	}
	for range 250_000 {
		if err := raw(s, key(), head, body); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.SetBytes(1024 + 256)
	for b.Loop() {
		if err := raw(s, key(), head, body); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOverhead tells what an object of 1 KiB costs beside its head and its body, by what the store holds and by
// what the process does.
func BenchmarkOverhead(b *testing.B) {
	for b.Loop() {
		const n = 1_000_000
		debug.FreeOSMemory()
		before := rss()
		s := open(b, Options{Memory: 4 << 30})
		head, body := make([]byte, 256), make([]byte, 1024)
		for i := range head {
			head[i] = byte(i)
		}
		for i := range uint64(n) {
			if err := raw(s, keyOf(i), head, body); err != nil {
				b.Fatal(err)
			}
		}
		st := s.Stats()
		if st.Objects != n {
			b.Fatalf("%d objects", st.Objects)
		}
		runtime.GC()
		debug.FreeOSMemory()
		b.ReportMetric(float64(st.Resident)/n-1024-256, "B/object")
		b.ReportMetric(float64(rss()-before)/n-1024-256, "rss-B/object")
	}
}

// BenchmarkPacking tells how much of a full arena is in use under replacement, and in how many pieces bodies lie.
func BenchmarkPacking(b *testing.B) {
	sizes := map[string]func(*rand.Rand) int{
		"1KiB":      func(*rand.Rand) int { return 1024 },
		"lognormal": logNormal,
		"changing": func(rng *rand.Rand) int {
			return logNormal(rng) / 16
		},
	}
	for name, size := range sizes {
		b.Run(name, func(b *testing.B) {
			s := open(b, Options{Memory: 256 << 20})
			rng := rand.New(rand.NewPCG(1, 1))
			body := make([]byte, 2<<20)
			n, refused, i := 0, 0, uint64(0)
			fill := func(total int64, size func(*rand.Rand) int) {
				for total > 0 {
					i++
					sz := size(rng)
					total -= int64(sz)
					n++
					if err := raw(s, keyOf(i), body[:200+rng.IntN(200)], body[:sz]); err != nil {
						refused++
					}
					for range 3 {
						if r, ok := s.Get(keyOf(uint64(float64(i) * rng.Float64()))); ok {
							r.Release()
						}
					}
				}
			}
			for b.Loop() {
				if name == "changing" {
					fill(512<<20, func(*rand.Rand) int { return 100_000 })
				}
				fill(1<<30, size)
			}
			objects, many, bytes, pieces := 0, 0, int64(0), 0
			for next := uint32(0); ; {
				next = s.Walk(next, 1<<20, func(r Ref) bool {
					objects++
					bytes += r.Size() + int64(len(r.Head()))
					p := 0
					for off := int64(0); off < r.Size(); p++ {
						off += int64(len(r.Chunk(off)))
					}
					pieces += p
					if p > 1 {
						many++
					}
					return true
				})
				if next == 0 {
					break
				}
			}
			st := s.Stats()
			b.Logf("%+v arena %d of %d, %d draining, slots %d free %d, index %d", st, s.arena.used()<<6, s.arena.resident(), s.arena.draining, s.slots.resident(), s.slots.free, s.index.resident())
			b.ReportMetric(float64(bytes)/float64(st.Resident)*100, "%used")
			b.ReportMetric(float64(pieces)/float64(objects), "pieces/object")
			b.ReportMetric(float64(many)/float64(objects)*100, "%in-pieces")
			b.ReportMetric(float64(refused)/float64(n)*100, "%refused")
		})
	}
}

// BenchmarkPauses fills at full rate on one goroutine, looks up on another, and tells the 99.9th percentile and the
// longest of what one call took.
func BenchmarkPauses(b *testing.B) {
	for b.Loop() {
		s := open(b, Options{Memory: 1 << 30})
		const n = 1_500_000
		var wg sync.WaitGroup
		var done atomic.Bool
		var gets []time.Duration
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, 1))
			gets = make([]time.Duration, 0, 1<<24)
			for !done.Load() && len(gets) < cap(gets) {
				k := keyOf(rng.Uint64N(n))
				start := time.Now()
				r, ok := s.Get(k)
				if ok {
					r.Release()
				}
				gets = append(gets, time.Since(start))
			}
		})
		head, body := make([]byte, 256), make([]byte, 1024)
		puts := make([]time.Duration, 0, n)
		for i := range uint64(n) {
			k := keyOf(i)
			start := time.Now()
			if err := raw(s, k, head, body); err != nil && !errors.Is(err, ErrFull) {
				b.Fatal(err)
			}
			puts = append(puts, time.Since(start))
		}
		done.Store(true)
		wg.Wait()
		slices.Sort(puts)
		slices.Sort(gets)
		at := func(all []time.Duration, q float64) float64 {
			return float64(all[int(q*float64(len(all)-1))].Nanoseconds())
		}
		b.ReportMetric(at(puts, 0.5), "put-p50-ns")
		b.ReportMetric(at(puts, 0.999), "put-p99.9-ns")
		b.ReportMetric(at(puts, 1), "put-max-ns")
		b.ReportMetric(at(gets, 0.5), "get-p50-ns")
		b.ReportMetric(at(gets, 0.999), "get-p99.9-ns")
		b.ReportMetric(at(gets, 1), "get-max-ns")
	}
}
