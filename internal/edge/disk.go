package edge

import (
	"crypto/rand"
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
	c       *caching
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
func newDisk(c *caching, cfg *config.CacheDisk, anew bool) *disk {
	d := &disk{}
	d.begin(c, cfg, anew)
	return d
}

// begin is newDisk for one that may have missed purges already.
func (d *disk) begin(c *caching, cfg *config.CacheDisk, anew bool) {
	d.c, d.anew = c, anew
	d.lost, d.quit, d.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	d.options = segment.Options{Dir: cfg.Path, Size: cfg.Size, Inline: min(c.options.MaxObject/8, 1<<20), Queue: min(c.options.Memory/4, 32<<20), Format: cache.HeadFormat,
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
	r, ok := d.c.store.Peek(k)
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
	d.c.bans.use(t.purges.List())
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
	o.Fresh = d.anew || err != nil || secret != d.c.seed
	t := &tier{}
	if t.objects, err = segment.Open(o); err != nil {
		return nil, err
	}
	if o.Fresh {
		err = writeSecret(o.Dir, d.c.seed)
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

var errHandedOver = errors.New("weir is stopping: its cache is another process's by now")

// ban puts a purge into force, and returns when it holds over the death of this process too. Not for loops.
func (d *disk) ban(p ban.Purge) error {
	if err := p.Check(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return errHandedOver
	}
	t := d.now.Load()
	if t != nil {
		_, err := t.purges.Add(p)
		if err == nil {
			return nil
		}
		d.lose(fmt.Errorf("a purge could not be recorded, so what is on the disk is given up: %w", err), true)
	} else if _, err := d.c.bans.Add(p); err != nil {
		return err
	}
	if d.many = d.many || len(d.missed) >= maxMissed; !d.many {
		d.missed = append(d.missed, p)
	}
	return nil
}

// close writes what waits, and gives the directory to the next edge.
func (d *disk) close() error { return d.end(false) }

// end is close; destroys says that nothing is to be left.
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
		if s.Problem = errHandedOver.Error(); d.why != nil {
			s.Problem = d.why.Error()
		}
		return s
	}
	st := t.objects.Stats()
	s.Bytes, s.Objects, s.Index, s.Hits, s.Written = st.Bytes, st.Objects, st.Memory, st.Found, st.Written
	s.Skipped, s.Damaged, s.Reclaimed, s.Problem = st.Dropped, st.Damaged, st.Reclaimed, st.Problem
	return s
}

// supersede says that a key is about to get something newer than there is.
func (d *disk) supersede(k *store.Key) {
	if d == nil {
		return
	}
	if t := d.now.Load(); t != nil {
		t.objects.Supersede(k)
	}
}

// keep has what was put into memory written to the disk, unless it was revoked meanwhile (nil: it cannot be).
func (d *disk) keep(ref store.Ref, revoked *atomic.Bool) {
	if d == nil {
		return
	}
	t := d.now.Load()
	if t == nil {
		return
	}
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

// remove takes out what is on disk of a key, and reports whether there was something: then a restart would find it.
func (d *disk) remove(k *store.Key) bool {
	if d == nil {
		return false
	}
	t := d.now.Load()
	return t != nil && t.objects.Remove(k)
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

// get looks a key up, in memory and then on disk.
func (h *handler) get(key store.Key) (store.Ref, bool) {
	c := h.l.edge.caching
	r, ok := c.store.Get(key)
	if ok {
		return r, ok
	}
	if t := c.disk().tier(); t != nil && t.objects.Find(&key) && h.bringIn(t, key) {
		return c.store.Get(key)
	}
	h.kept.absent = key
	return r, false
}

// bringIn reads an object into memory, once for all who ask for it. False: it cannot be had so.
func (h *handler) bringIn(t *tier, key store.Key) (ok bool) {
	c := h.l.edge.caching
	f, leads := c.fetches.join(key, key, 0, h.kept.born)
	if !leads {
		return false // it is being read or fetched: the request waits for that when it wants to fetch
	}
	defer c.fetches.part(f)
	defer f.move(kept)
	if has(c.store, key) {
		return true // another's reading has ended between the look into memory and this one
	}
	h.t.Do(func() { ok = t.load(c.store, key) })
	return ok
}

// has reports whether memory has an object.
func has(s *store.Store, key store.Key) bool {
	r, ok := s.Peek(key)
	if ok {
		r.Release()
	}
	return ok
}

// readSecret reads what makes the keys of what is in a directory.
func readSecret(dir string) (s cache.Seed, err error) {
	b, err := os.ReadFile(filepath.Join(dir, secretFile))
	if err != nil {
		return s, fmt.Errorf("reading the cache's secret: %w", err)
	}
	if len(b) != len(s) {
		return s, fmt.Errorf("reading the cache's secret: %w", fs.ErrNotExist) // it is made anew
	}
	copy(s[:], b)
	return s, nil
}

// writeSecret writes it.
func writeSecret(dir string, s cache.Seed) error {
	path := filepath.Join(dir, secretFile)
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("writing the cache's secret: %w", err)
	}
	_, err = f.Write(s[:])
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("writing the cache's secret: %w", err)
	}
	return nil
}

// newSeed is the secret of a cache: the one on its disk, the one that it is given, or a new one.
func newSeed(cfg *config.CacheDisk, given []byte) (s cache.Seed, err error) {
	if cfg != nil {
		if s, err = readSecret(cfg.Path); err == nil {
			return s, nil
		}
	}
	if len(given) == len(s) {
		return cache.Seed(given), nil
	}
	if _, err = rand.Read(s[:]); err != nil {
		return s, fmt.Errorf("reading random bytes: %w", err)
	}
	return s, nil
}

// bans is the list of purges in force, which changes when the disk with the purges of earlier processes comes.
type bans struct{ list atomic.Pointer[ban.List] }

func (b *bans) use(l *ban.List) { b.list.Store(l) }

// Now, Check and Add are the list's own.
func (b *bans) Now() ban.Seq { return b.list.Load().Now() }

func (b *bans) Check(at ban.Seq, tags []uint64, host, path []byte) (ban.Verdict, ban.Seq) {
	return b.list.Load().Check(at, tags, host, path)
}

func (b *bans) Add(p ban.Purge) (ban.Seq, error) { return b.list.Load().Add(p) }
