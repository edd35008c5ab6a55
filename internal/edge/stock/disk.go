package stock

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/cache/ban"
	"github.com/weirhq/weir/internal/cache/segment"
	"github.com/weirhq/weir/internal/cache/store"
	"github.com/weirhq/weir/internal/config"
)

// disk is the cache's second tier: what outlives this process, and what memory has no room for. It is there or not from
// one moment to the next: another process may still have the directory, the disk may fail or be taken away. Without it the
// cache works in memory alone, and the disk is tried again.
//
// What holds over restarts is beside the objects: the secret that makes their keys, and the purges. A purge is answered
// when it is in that file. When it cannot be written there, the objects go instead.
type disk struct {
	s       *Stock
	options segment.Options
	now     atomic.Pointer[tier] // nil: memory alone
	lost    chan struct{}        // the tier was given up
	quit    chan struct{}
	done    chan struct{}

	mu     sync.Mutex // over purges and the change of now
	ended  bool
	missed []ban.Purge // in force, but not in the file, which is not open
	many   bool        // more than missed can hold
	why    error       // there is no tier
	anew   bool        // what is in the directory is not to be used
}

// tier is a directory in use.
type tier struct {
	objects *segment.Disk
	purges  *ban.Log
}

const (
	maxMissed   = 4096
	lockedPause = 50 * time.Millisecond // another edge is about to go
	firstPause  = time.Second
	maxPause    = time.Minute
	syncPause   = 200 * time.Millisecond // a purge outlives this process at once, and the machine's power after this
	leastLife   = 5                      // seconds: what is over sooner is not worth writing
	forEver     = 1 << 40                // seconds
	secretFile  = "secret"
	purgesFile  = "purges"
)

// newDisk begins to use a directory: at once, if it can be had. anew: nothing in it is to be used.
func newDisk(s *Stock, cfg *config.CacheDisk, anew bool) *disk {
	d := &disk{}
	d.begin(s, cfg, anew)
	return d
}

// begin is newDisk for one that may have missed purges already.
func (d *disk) begin(s *Stock, cfg *config.CacheDisk, anew bool) {
	d.s, d.anew = s, anew
	d.lost, d.quit, d.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	d.options = segment.Options{Dir: cfg.Path, Size: cfg.Size, Inline: min(s.options.MaxObject/8, 1<<20), Queue: min(s.options.Memory/4, 32<<20), Format: cache.HeadFormat,
		Problem: d.problem, Wanted: d.wanted}
	d.open()
	go d.run()
}

// is reports whether a configuration's disk is this one.
func (d *disk) is(cfg *config.CacheDisk) bool {
	if d == nil || cfg == nil {
		return d == nil && cfg == nil
	}
	return cfg.Path == d.options.Dir && cfg.Size == d.options.Size
}

// problem says that the disk is not written to, or is again.
func (d *disk) problem(err error) {
	if err != nil {
		slog.Error("the cache's disk cannot be written: what is new is kept in memory alone", "path", d.options.Dir, "error", err)
		return
	}
	slog.Info("the cache's disk is written again", "path", d.options.Dir)
}

// wanted reports whether memory has an object, and it was asked for there.
func (d *disk) wanted(k store.Key) bool {
	r, ok := d.s.Memory.Peek(k)
	if !ok {
		return false
	}
	defer r.Release()
	return r.Hits() > 0
}

// run tries again to have the directory whenever it is not there.
func (d *disk) run() {
	defer close(d.done)
	pause := firstPause
	tick := time.NewTicker(syncPause)
	defer tick.Stop()
	for {
		t := d.now.Load()
		if t != nil {
			pause = firstPause
			select {
			case <-tick.C:
				if err := t.purges.Sync(); err != nil {
					d.mu.Lock()
					d.lose(fmt.Errorf("purges could not be recorded, so what is on the disk is given up: %w", err), true)
					d.mu.Unlock()
				}
			case <-t.objects.Gone():
				d.mu.Lock()
				d.lose(fmt.Errorf("%s is gone or another directory now", d.options.Dir), false)
				d.mu.Unlock()
			case <-d.lost:
			case <-d.quit:
				return
			}
			continue
		}
		wait := pause
		d.mu.Lock()
		if errors.Is(d.why, segment.ErrLocked) {
			wait = lockedPause
		}
		d.mu.Unlock()
		select {
		case <-time.After(wait):
			d.open()
			pause = min(2*pause, maxPause)
		case <-d.lost:
		case <-d.quit:
			return
		}
	}
}

// open takes the directory. What was purged without it is purged there before anything can be found.
func (d *disk) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return
	}
	begun := time.Now()
	t, err := d.take()
	if err != nil {
		if d.why == nil || errors.Is(d.why, segment.ErrLocked) && !errors.Is(err, segment.ErrLocked) {
			slog.Warn("the cache works in memory alone for now", "path", d.options.Dir, "error", err)
		}
		d.why = err
		return
	}
	d.why, d.missed, d.many, d.anew = nil, nil, false, false
	d.s.bans.use(t.purges.List())
	d.now.Store(t)
	st := t.objects.Stats()
	slog.Info("the cache has its disk", "path", d.options.Dir, "objects", st.Objects, "bytes", st.Bytes, "after", time.Since(begun).Round(time.Millisecond))
}

// take opens the directory.
func (d *disk) take() (*tier, error) {
	o := d.options
	secret, err := readSecret(o.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	o.Fresh = d.anew || err != nil || secret != d.s.Seed
	t := &tier{}
	if t.objects, err = segment.Open(o); err != nil {
		return nil, err
	}
	if o.Fresh {
		err = writeSecret(o.Dir, d.s.Seed)
	}
	if d.anew {
		// Its numbers are not those of what is in memory.
		err = errors.Join(err, removeIfThere(filepath.Join(o.Dir, purgesFile)))
	}
	var lost error
	if err == nil {
		t.purges, lost, err = ban.OpenLog(filepath.Join(o.Dir, purgesFile), ban.Limits{}, ban.Seq(time.Now().UnixNano()))
	}
	if lost != nil && !errors.Is(lost, fs.ErrNotExist) {
		slog.Warn("what is on the cache's disk is not used: it cannot be known what was purged", "error", lost)
	}
	if err == nil {
		// Numbers that were given out and lost with the machine's power are not given again.
		err = t.purges.Skip(1 << 20)
	}
	if err == nil {
		err = d.catchUp(t.purges)
	}
	if err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

// catchUp puts into the file what was purged without it.
func (d *disk) catchUp(purges *ban.Log) error {
	missed := d.missed
	if d.many {
		missed = []ban.Purge{{Kind: ban.Everything, Hard: true}}
	}
	for _, p := range missed {
		if _, err := purges.Add(p); err != nil {
			return err
		}
	}
	return nil
}

func (t *tier) close() error {
	err := t.objects.Close()
	if t.purges != nil {
		err = errors.Join(err, t.purges.Close())
	}
	return err
}

// lose gives the directory up, with d.mu held; destroys says that nothing in it may be found by a later start.
func (d *disk) lose(why error, destroys bool) {
	t := d.now.Swap(nil)
	if t == nil {
		return
	}
	d.why = why
	slog.Error("the cache works in memory alone for now", "path", d.options.Dir, "error", why)
	var err error
	if destroys {
		err = t.objects.Destroy()
	}
	if err = errors.Join(err, t.close()); err != nil {
		slog.Error("giving up the cache's disk: what was purged there may come back at a restart; empty the directory", "path", d.options.Dir, "error", err)
	}
	select {
	case d.lost <- struct{}{}:
	default:
	}
}

// ErrHandedOver says that another process has the disk by now, and what holds there is its to say.
var ErrHandedOver = errors.New("weir is stopping: its cache is another process's by now")

// ban puts a purge into force, and returns when it holds over the death of this process too. Not for loops.
func (d *disk) ban(p ban.Purge) error {
	if err := p.Check(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return ErrHandedOver
	}
	t := d.now.Load()
	if t != nil {
		_, err := t.purges.Add(p)
		if err == nil {
			return nil
		}
		d.lose(fmt.Errorf("a purge could not be recorded, so what is on the disk is given up: %w", err), true)
	} else if err := d.s.bans.add(p); err != nil {
		return err
	}
	if d.many = d.many || len(d.missed) >= maxMissed; !d.many {
		d.missed = append(d.missed, p)
	}
	return nil
}

// end writes what waits, and gives the directory to the next process; destroys says that nothing is to be left.
func (d *disk) end(destroys bool) error {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	was := d.ended
	d.ended = true
	t := d.now.Swap(nil)
	d.mu.Unlock()
	if was {
		return nil
	}
	close(d.quit)
	<-d.done
	if t == nil {
		return nil
	}
	if destroys {
		return errors.Join(t.objects.Destroy(), t.close())
	}
	return t.close()
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// status tells what the disk holds and did, nil when there is none in the configuration.
func (d *disk) status() *api.CacheDisk {
	if d == nil {
		return nil
	}
	s := &api.CacheDisk{Path: d.options.Dir, Size: d.options.Size}
	t := d.now.Load()
	if t == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		if s.Problem = ErrHandedOver.Error(); d.why != nil {
			s.Problem = d.why.Error()
		}
		return s
	}
	st := t.objects.Stats()
	s.Bytes, s.Objects, s.Index, s.Hits, s.Written = st.Bytes, st.Objects, st.Memory, st.Found, st.Written
	s.Skipped, s.Damaged, s.Reclaimed, s.Problem = st.Dropped, st.Damaged, st.Reclaimed, st.Problem
	return s
}

// keep has what was put into memory written to the disk, unless it was revoked meanwhile.
func (t *tier) keep(ref store.Ref, revoked *atomic.Bool) {
	v := cache.NewView(ref.Head())
	until := usefulUntil(v)
	if until < time.Now().Unix()+leastLife && v.ETag() == nil && v.LastModified() == nil {
		return
	}
	if v.Kind() != cache.Response || v.Flags()&cache.OnDisk == 0 {
		t.objects.Put(ref.Key(), ref.Retain(), until, revoked)
		return
	}
	if l, _, ok := ticket(&ref, true); ok {
		t.objects.PutHead(ref.Key(), ref.Head(), l, until, revoked)
	}
}

// usefulUntil is when what is kept can be of no use any more without asking a server.
func usefulUntil(v cache.View) int64 {
	if v.Kind() != cache.Response {
		return forEver
	}
	l := v.Life()
	return l.Received - l.Age + l.TTL + max(l.WhileRevalidate, l.IfError)
}

// tier is the directory in use, nil when there is none.
func (d *disk) tier() *tier {
	if d == nil {
		return nil
	}
	return d.now.Load()
}

// recordBuffers are what records are read into.
var recordBuffers = sync.Pool{New: func() any { return new([]byte) }}

// load brings an object from the disk into memory. It blocks.
func (t *tier) load(s *store.Store, key store.Key) bool {
	buf := recordBuffers.Get().(*[]byte)
	defer recordBuffers.Put(buf)
	r, at, b, err := t.objects.Read(key, *buf)
	*buf = b
	if err != nil {
		return false
	}
	v := cache.NewView(r.Head)
	ahead := v.Kind() == cache.Response && v.Life().Received > time.Now().Unix()+cache.MaxSkew
	if v.Kind() != cache.Response && v.Kind() != cache.Variants || ahead {
		t.objects.Remove(&key) // with a clock that was set back it would be fresh for longer than it may
		return false
	}
	body := r.Body
	if v.Kind() == cache.Response {
		cache.SetOnDisk(r.Head, r.Large.Number != 0)
	}
	if r.Large.Number != 0 {
		body = appendTicket(nil, &r.Large)
	}
	fill, err := s.Begin(key, r.Head, int64(len(body)))
	if err != nil {
		return false
	}
	if _, err := fill.Write(body); err != nil {
		fill.Abort()
		return false
	}
	err = store.ErrClosed
	if !t.objects.Held(&key, at, func() { err = fill.Commit() }) {
		fill.Abort() // it was purged, or there is something newer
	}
	return err == nil
}
