// Package stock is what the cache keeps, as a whole: objects in memory, and on a disk that may come and go; the purges that hold over both;
// and what a reload changes in all that. What one request may do with an object, and who fetches it, is the edge's.
//
//	          ┌─ Memory ◄── Load ───┐
//	a request ┤    │                │
//	          │    └── Keep ───► the disk ◄── Become, Rest, HandOver
//	          └─ Purge ─► the list of purges ─► Purged, on each hit
//
// Methods may be called by all loops at once, and do not block unless it is said.
package stock

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/cache/ban"
	"github.com/weirhq/weir/internal/cache/store"
	"github.com/weirhq/weir/internal/config"
)

// Stock is what one process keeps, for all loops and all configurations. It is made when the first configuration with a cache is
// put in force, and stays.
type Stock struct {
	// Memory is the first tier. What is put there is to be told to the disk (Supersede before, Keep afterwards), and Drop and Delete
	// take out of both.
	Memory *store.Store
	// Seed makes the keys and tags. It never changes.
	Seed cache.Seed
	// Alike is set when a response has had No-Vary-Search: purges of URLs then reach further.
	Alike atomic.Bool
	// Insight is what other sizes would do.
	Insight Insight

	passed  func(p ban.Purge, wide bool)
	bans    bans
	second  atomic.Pointer[disk] // see disk
	turning sync.RWMutex         // held to read by who purges, to write while another disk is taken
	resting bool                 // the configuration in force has no cache
	options store.Options        // in force
	largest atomic.Int64         // bytes of the largest response that memory takes
	most    atomic.Int64         // bytes of the largest response that is kept, on disk if not in memory
	opened  int64                // the memory that the store was opened with

	tending atomic.Bool // a goroutine makes the store smaller
	stop    chan struct{}
	tended  sync.WaitGroup
}

// disk is the second tier, nil when the configuration has none. Its methods take nil for none.
func (s *Stock) disk() *disk { return s.second.Load() }

// Open makes an empty cache, and looks what is on its disk. Its keys are made with the secret there, or this one; without any, with one of its own.
// passed is called with each purge that has come into force, before Purge returns; wide says that it is about more than one URL.
func Open(c *config.Cache, secret []byte, passed func(p ban.Purge, wide bool)) (*Stock, error) {
	s := &Stock{options: sizes(c), opened: c.Memory, passed: passed, stop: make(chan struct{})}
	s.most.Store(c.MaxObject)
	s.largest.Store(s.options.MaxObject)
	var err error
	if s.Seed, err = newSeed(c.Disk, secret); err != nil {
		return nil, err
	}
	if s.Memory, err = store.Open(s.options); err != nil {
		return nil, err
	}
	s.Insight.open(c.Memory)
	if c.Disk == nil {
		s.bans.use(ban.New(0, ban.Limits{}))
		return s, nil
	}
	// Numbers that no list on a disk has got to: what is born by this one is old to that one.
	s.bans.use(ban.New(ban.Seq(time.Now().UnixNano()), ban.Limits{}))
	s.second.Store(newDisk(s, c.Disk, false))
	return s, nil
}

// HandOver writes to the disk what waits, and gives its directory to the next process. Memory stays. It blocks.
func (s *Stock) HandOver() error { return s.disk().end(false) }

// Close frees all memory. Nothing of it may be used any more, and HandOver has been called.
func (s *Stock) Close() error {
	close(s.stop)
	s.tended.Wait()
	return s.Memory.Close()
}

// DiskStatus tells what the disk holds and did, nil when there is none in the configuration.
func (s *Stock) DiskStatus() *api.CacheDisk { return s.disk().status() }

// Largest is the length of the largest body that memory takes, in bytes.
func (s *Stock) Largest() int64 { return s.largest.Load() }

// sizes are the store's for a configuration: what is larger than a part of memory is streamed from the disk, if there is one.
func sizes(c *config.Cache) store.Options {
	o := store.Options{Memory: c.Memory, MaxObject: c.MaxObject}
	if c.Disk != nil {
		o.MaxObject = min(c.MaxObject, c.Memory/8)
	}
	return o
}

// resize puts another size in force. What is kept stays, as far as there is room.
func (s *Stock) resize(to *config.Cache) {
	most := 2 * s.opened
	if to.Memory > most {
		slog.Warn("the cache grows to twice what it began with; for more, stop weir and start it again", "wanted", to.Memory, "memory", most)
		less := *to
		less.Memory = most
		if less.Disk == nil {
			less.MaxObject = min(less.MaxObject, most/2)
		}
		to = &less
	}
	want := sizes(to)
	s.most.Store(to.MaxObject)
	if want == s.options {
		return
	}
	slog.Info("the cache has another size", "memory", want.Memory, "before", s.options.Memory, "max_object", want.MaxObject)
	s.options = want
	s.largest.Store(want.MaxObject)
	s.Memory.Resize(want)
	s.Insight.resize(want.Memory)
	if s.tending.CompareAndSwap(false, true) {
		s.tended.Go(s.tend)
	}
}

// How fast the store is made smaller: by some 64 KiB a call, so by half a GiB a second at most; and for how long that is tried,
// since some of it may be in use all the time.
const (
	tendEvery  = time.Millisecond
	tendAtOnce = 8
	tendTimes  = 60_000
)

// tend makes the store as small as it is to be, also when nothing comes in.
func (s *Stock) tend() {
	defer s.tending.Store(false)
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for range tendTimes {
		for range tendAtOnce {
			if s.Memory.Tend() {
				return
			}
		}
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
	}
}
