package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/cache/store"
)

// Of an object: what an edge keeps of a response of 1 KiB with the usual fields.
const (
	bodyBytes = 1024
	headBytes = 230
)

// filled is what a store did while it was filled: once until all is in, and once more, with everything new in place of
// something old.
type filled struct {
	objects   int64
	beyond    float64       // bytes beyond head and body, of resident memory, for each object
	told      float64       // the same by what the store says that it holds
	took      time.Duration // to fill it
	growing   waits
	replacing waits
}

// waits is how long calls took meanwhile: of those that fill, and of one that looks things up.
type waits struct {
	put, get times
	rate     float64 // puts a second
}

// fillStore fills a store.
func fillStore(objects int) (*filled, error) {
	f := &filled{}
	base, err := resident("self", "VmRSS")
	if err != nil {
		return nil, err
	}
	// A budget that is full when all are in: what would go beyond it is told of as an object that is missing.
	memory := int64(objects) * (bodyBytes + headBytes + 250)
	s, err := store.Open(store.Options{Memory: memory})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	begun := time.Now()
	if err := fill(s, 0, objects, &f.growing); err != nil {
		return nil, err
	}
	f.took = time.Since(begun)
	runtime.GC()
	now, err := resident("self", "VmRSS")
	if err != nil {
		return nil, err
	}
	st := s.Stats()
	f.objects = st.Objects
	f.beyond = float64(now-base)/float64(st.Objects) - bodyBytes - headBytes
	f.told = float64(st.Resident)/float64(st.Objects) - bodyBytes - headBytes
	return f, fill(s, objects, 2*objects, &f.replacing)
}

// fill puts objects in at full rate, on all processors but one, while that one looks at what is there.
func fill(s *store.Store, from, to int, w *waits) error {
	fillers := max(runtime.GOMAXPROCS(0)-1, 1)
	var next atomic.Int64
	next.Store(int64(from))
	var done atomic.Bool
	var failed error
	var mu sync.Mutex
	var filling, looking sync.WaitGroup
	looking.Go(func() {
		for i := uint64(1); !done.Load(); i++ {
			n := mix(i) % uint64(max(next.Load(), 1))
			begun := time.Now()
			if r, ok := s.Get(keyOf(n)); ok {
				r.Release()
			}
			w.get.add(time.Since(begun))
		}
	})
	begun := time.Now()
	for range fillers {
		filling.Go(func() {
			mine, err := puts(s, &next, int64(to))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
			}
			for i, n := range mine.n {
				w.put.n[i] += n
			}
			w.put.all += mine.all
			w.put.most = max(w.put.most, mine.most)
		})
	}
	filling.Wait()
	w.rate = float64(to-from) / time.Since(begun).Seconds()
	done.Store(true)
	looking.Wait()
	return failed
}

func puts(s *store.Store, next *atomic.Int64, to int64) (*times, error) {
	t := &times{}
	head, body := make([]byte, headBytes), make([]byte, bodyBytes)
	for {
		n := next.Add(1) - 1
		if n >= to {
			return t, nil
		}
		begun := time.Now()
		f, err := s.Begin(keyOf(uint64(n)), head, bodyBytes)
		if err == nil {
			if _, err = f.Write(body); err == nil {
				err = f.Commit()
			}
		}
		t.add(time.Since(begun))
		if err != nil {
			return t, fmt.Errorf("object %d: %w", n, err)
		}
	}
}

func keyOf(n uint64) (k store.Key) {
	binary.LittleEndian.PutUint64(k[:8], mix(n))
	binary.LittleEndian.PutUint64(k[8:], mix(^n))
	return k
}

func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// resident is a process's memory in bytes: VmRSS now, VmHWM the most so far.
func resident(pid, what string) (int64, error) {
	text, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, what+":"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%s/status has no %s", pid, what)
}
