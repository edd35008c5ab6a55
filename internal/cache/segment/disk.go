package segment

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/cache/store"
)

// Errors of Open and Read.
var (
	// ErrLocked: another process has the directory.
	ErrLocked = errors.New("another process uses the directory")
	// ErrNone: there is nothing under the key, or nothing that can be believed.
	ErrNone = errors.New("not on disk")
)

// Options says where a Disk is and how large it may be. Sizes are in bytes.
type Options struct {
	Dir      string
	Size     int64                // of all files; at least MinSize
	Inline   int64                // bodies up to this length stand in the segments; 0: as much as a segment allows
	Entries  int64                // how many objects at most; 0: 16 million
	Queue    int64                // bytes that wait to be written; 0: 16 MiB
	Segment  int64                // how long a segment gets; 0: by Size
	Format   uint16               // of the heads: objects of another are dropped
	Fresh    bool                 // what is there is deleted
	Recheck  time.Duration        // how often the directory is looked after; 0: two seconds
	Problem  func(error)          // told when the disk is not written to any more, and nil when it is again; may be nil
	Wanted   func(store.Key) bool // whether an object about to go was in use elsewhere; may be nil
	FirstTry time.Duration        // after a failure; doubled up to a minute. 0: a second
}

// MinSize is the least Size.
const MinSize = 8 << 20

const (
	minSegment = 512 << 10
	maxSegment = 512 << 20
	farSegment = 32 << 30 // what offsets reach
	listEvery  = 32 << 20
	segments   = 64 // of Size
	batchBytes = 1 << 20
	leastProbe = 64 << 10
	mostProbe  = 4 * batchBytes // more than any batch
)

// Disk is the objects in a directory. All methods may be called by any number of goroutines. Find and Remove do no I/O
// and hold locks for less than a microsecond; the others block on the disk and are not for loops.
type Disk struct {
	o     Options
	lock  *os.File
	index index

	kick chan struct{} // there is something to write
	quit chan struct{}
	done chan struct{}
	gone chan struct{} // closed when the directory is not ours any more

	found, damaged, written, dropped, reclaimed atomic.Uint64

	mu       sync.Mutex
	segs     map[uint32]*segment
	pending  map[store.Key]*job
	queue    []*job
	waiting  int64 // bytes of queue
	used     int64 // bytes of all files
	problem  error // why nothing is written
	closed   bool
	destroys bool
	next     uint32 // number of the next file
	bodies   map[uint32]*body
	large    map[uint64]uint32 // by hash of the key: the body that its record names
	opened   int               // of bodies
	trash    []uint32          // bodies to be deleted
	closing  []*os.File        // to be closed
	saidOnce bool              // damage was logged

	// The writer's.
	order     []*segment // oldest first, the one that is written to last
	batch     batch
	retryAt   time.Time
	refused   int64 // bytes of the last write that failed
	backoff   time.Duration
	recovered time.Time
}

// segment is one file of records.
type segment struct {
	number  uint32
	f       *os.File
	size    int64    // up to where there are records
	list    []listed // of the one that is written to
	aside   int64    // bytes of its list on disk
	bodies  int64    // bytes of the large bodies that it names
	covered int64    // up to where its list on disk tells
}

// Stats are a Disk's figures.
type Stats struct {
	Objects   int64
	Bytes     int64 // on disk
	Memory    int64 // of the index
	Found     uint64
	Damaged   uint64 // records that were dropped because they could not be believed
	Written   uint64
	Dropped   uint64 // objects that were not written: too much at a time, or the disk failed
	Reclaimed uint64 // segments deleted to make room
	Problem   string // why nothing is written; ""
}

// Open takes the directory, which it makes if need be, and reads what is there. ErrLocked: it is another's.
func Open(o Options) (*Disk, error) {
	if o.Size < MinSize {
		return nil, fmt.Errorf("opening the cache on disk: a size of %d bytes is less than %d", o.Size, MinSize)
	}
	o.defaults()
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the cache on disk: %w", err)
	}
	lock, err := takeLock(filepath.Join(o.Dir, "lock"))
	if err != nil {
		return nil, err
	}
	d := &Disk{o: o, lock: lock, bodies: map[uint32]*body{}, large: map[uint64]uint32{}, segs: map[uint32]*segment{}, pending: map[store.Key]*job{}, next: 1,
		kick: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}), gone: make(chan struct{})}
	err = nil
	if o.Fresh {
		err = empty(o.Dir)
	}
	if err == nil {
		err = d.load()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the cache on disk: %w", err), d.closeFiles())
	}
	go d.run()
	return d, nil
}

func (o *Options) defaults() {
	if o.Segment == 0 {
		// Not too few, lest much goes at a time; not too many, since each is an open file.
		o.Segment = min(max(o.Size/segments, minSegment), maxSegment)
		o.Segment = max(o.Segment, min(o.Size/(16*segments), farSegment))
	}
	if o.Inline == 0 || o.Inline > o.Segment/4 {
		o.Inline = o.Segment / 4
	}
	if o.Entries == 0 {
		o.Entries = 16 << 20
	}
	if o.Queue == 0 {
		o.Queue = 16 << 20
	}
	if o.Recheck == 0 {
		o.Recheck = 2 * time.Second
	}
	if o.FirstTry == 0 {
		o.FirstTry = time.Second
	}
	if o.Problem == nil {
		o.Problem = func(error) {}
	}
}

// takeLock locks a file for as long as it is open: the lock goes with the process, however that ends.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the cache on disk: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), f.Close())
	}
	return f, nil
}

// load reads which files there are and what is in them.
func (d *Disk) load() error {
	names, err := os.ReadDir(d.o.Dir)
	if err != nil {
		return err
	}
	var numbers, bodies []uint32
	for _, n := range names {
		base, kind, _ := strings.Cut(n.Name(), ".")
		number, err := strconv.ParseUint(base, 10, 32)
		if err != nil || number == 0 || !n.Type().IsRegular() {
			continue
		}
		switch kind {
		case "seg":
			numbers = append(numbers, uint32(number))
		case "body":
			bodies = append(bodies, uint32(number))
		case "idx.new":
			if err := removeFile(filepath.Join(d.o.Dir, n.Name())); err != nil {
				return err
			}
		}
		d.next = max(d.next, uint32(number)+1)
	}
	slices.Sort(numbers)
	for i, n := range numbers {
		if err := d.loadSegment(n, i == len(numbers)-1); err != nil {
			// The others may be well.
			d.damage("a segment", d.path(n, "seg"))
			if err := d.unlink(&segment{number: n}); err != nil {
				return err
			}
		}
	}
	return d.loadBodies(bodies)
}

// loadBodies looks after the large bodies: those without a record go, and so do records without a body.
func (d *Disk) loadBodies(numbers []uint32) error {
	named := make(map[uint32]uint64, len(d.large))
	for hash, n := range d.large {
		named[n] = hash
	}
	for _, n := range numbers {
		hash, ok := named[n]
		if !ok {
			if err := removeFile(d.path(n, "body")); err != nil {
				return err
			}
			continue
		}
		info, err := os.Stat(d.path(n, "body"))
		if err != nil {
			return err
		}
		d.bodies[n] = &body{size: info.Size(), hash: hash}
		d.used += info.Size()
		delete(named, n)
	}
	for n, hash := range named {
		d.index.remove(hash, 0, 0)
		delete(d.large, hash)
		d.damage("a large body is missing", d.path(n, "body"))
	}
	return nil
}

// empty deletes all objects.
func empty(dir string) error {
	names, err := os.ReadDir(dir)
	for _, n := range names {
		base, kind, _ := strings.Cut(n.Name(), ".")
		if _, bad := strconv.ParseUint(base, 10, 32); bad == nil && slices.Contains([]string{"seg", "idx", "idx.new", "body"}, kind) {
			err = errors.Join(err, removeFile(filepath.Join(dir, n.Name())))
		}
	}
	return err
}

// loadSegment enters what a segment holds; the last one goes on being written to.
func (d *Disk) loadSegment(number uint32, last bool) error {
	f, err := os.OpenFile(d.path(number, "seg"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	s := &segment{number: number, f: f}
	var list []listed
	from := int64(0)
	if text, err := os.ReadFile(d.path(number, "idx")); err == nil {
		s.aside = int64(len(text))
		if list, from, err = parseList(text, number, info.Size()); err != nil {
			d.damage("the list of a segment", d.path(number, "idx"))
			list, from = nil, 0
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, f.Close())
	}
	s.size, s.covered = from, from
	if info.Size() > from {
		more, end, damaged, err := scan(f, number, from, info.Size())
		if err != nil {
			return errors.Join(err, f.Close())
		}
		for range damaged {
			d.damage("part of a segment", d.path(number, "seg"))
		}
		list, s.size = append(list, more...), end
	}
	for i := range list {
		e := list[i].entry(number)
		d.index.put(e)
		d.next = max(d.next, list[i].file+1) // a number is not given twice
		if d.large[e.hash] != 0 || list[i].file != 0 {
			if d.large[e.hash] = list[i].file; list[i].file == 0 {
				delete(d.large, e.hash)
			}
		}
	}
	if last && s.size < d.o.Segment {
		s.list = append([]listed{}, list...)
		if err := f.Truncate(s.size); err != nil {
			return errors.Join(err, f.Close())
		}
		info, err = f.Stat()
		if err != nil {
			return errors.Join(err, f.Close())
		}
	}
	d.segs[number] = s
	d.order = append(d.order, s)
	d.used += max(s.size, info.Size()) + s.aside
	return nil
}

// damage counts what could not be believed, and says so the first time.
func (d *Disk) damage(what, path string) {
	d.damaged.Add(1)
	d.mu.Lock()
	first := !d.saidOnce
	d.saidOnce = true
	d.mu.Unlock()
	if first {
		logDamage(what, path)
	}
}

// Find reports whether there is a record of a key, and counts that it was asked for. It does no I/O.
func (d *Disk) Find(key *store.Key) bool {
	_, ok := d.index.get(hashOf(key), wanted)
	return ok
}

// Place says which record was read.
type Place struct{ segment, off uint32 }

// Read reads the record of a key into buf, which is made larger if need be, and checks every bit of it. The record is
// valid until buf is used for something else. ErrNone: there is none that can be believed. Not for loops.
func (d *Disk) Read(key store.Key, buf []byte) (Record, Place, []byte, error) {
	hash := hashOf(&key)
	e, ok := d.index.get(hash, 0)
	if !ok {
		return Record{}, Place{}, buf, ErrNone
	}
	d.mu.Lock()
	s := d.segs[e.segment]
	d.mu.Unlock()
	if s == nil {
		d.discard(hash, e)
		return Record{}, Place{}, buf, ErrNone
	}
	r, buf, err := s.read(e, key, d.o.Format, buf)
	if err != nil {
		d.discard(hash, e)
		if !errors.Is(err, os.ErrClosed) {
			d.damage("an object", d.path(e.segment, "seg"))
		}
		return Record{}, Place{}, buf, fmt.Errorf("%w: %w", ErrNone, err)
	}
	d.found.Add(1)
	return r, Place{e.segment, e.off}, buf, nil
}

// discard takes an entry out that led to nothing.
func (d *Disk) discard(hash uint64, e entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.index.remove(hash, e.segment, e.off) {
		d.attach(hash, 0)
	}
}

// read reads and checks a record.
func (s *segment) read(e entry, key store.Key, format uint16, buf []byte) (Record, []byte, error) {
	n := int(e.size) * align
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := s.f.ReadAt(buf, int64(e.off)*align); err != nil {
		return Record{}, buf, err
	}
	r, err := parseRecord(buf, s.number, key, format)
	return r, buf, err
}

// Held runs f if the record that was read is still the one of its key, and keeps it so meanwhile: f is short and calls
// nothing of the Disk.
func (d *Disk) Held(key *store.Key, p Place, f func()) bool {
	return d.index.held(hashOf(key), p.segment, p.off, f)
}

// Supersede says that something newer is about to take the place of what there is of a key: that is not found any more.
func (d *Disk) Supersede(key *store.Key) { d.index.get(hashOf(key), dead) }

// Remove takes out what there is of a key, written or about to be, and reports whether there was something, be it
// superseded. It does no I/O: after a restart the record is found again, so what must not come back has to be known by
// other means.
func (d *Disk) Remove(key *store.Key) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	j := d.pending[*key]
	if j != nil {
		j.canceled = true
		delete(d.pending, *key)
	}
	d.attach(hashOf(key), 0)
	return d.index.remove(hashOf(key), 0, 0) || j != nil
}

// Gone is closed when the directory was replaced or taken away. The Disk then holds nothing and is to be closed.
func (d *Disk) Gone() <-chan struct{} { return d.gone }

// Stats returns figures.
func (d *Disk) Stats() Stats {
	s := Stats{Found: d.found.Load(), Damaged: d.damaged.Load(), Written: d.written.Load(), Dropped: d.dropped.Load(), Reclaimed: d.reclaimed.Load()}
	s.Objects, s.Memory = d.index.len()
	d.mu.Lock()
	defer d.mu.Unlock()
	s.Bytes = d.used
	if d.problem != nil {
		s.Problem = d.problem.Error()
	}
	return s
}

// Destroy is Close, and nothing is left on the disk.
func (d *Disk) Destroy() error {
	d.mu.Lock()
	d.destroys = true
	d.mu.Unlock()
	return d.Close()
}

// Close writes what waits to be written, and gives the directory to whoever wants it next.
func (d *Disk) Close() error {
	d.mu.Lock()
	was := d.closed
	d.closed = true
	d.mu.Unlock()
	if was {
		return nil
	}
	close(d.quit)
	<-d.done
	var err error
	if d.destroys {
		err = empty(d.o.Dir)
	}
	return errors.Join(err, d.closeFiles())
}

func (d *Disk) closeFiles() (err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.segs {
		err = errors.Join(err, s.f.Close())
	}
	clear(d.segs)
	for _, b := range d.bodies {
		if b.open != nil && b.open.refs == 0 {
			err = errors.Join(err, b.open.f.Close())
		} else if b.open != nil {
			b.open.gone = true // its last reader leaves it to the collector
		}
	}
	clear(d.bodies)
	for _, f := range d.closing {
		err = errors.Join(err, f.Close())
	}
	d.closing = nil
	return errors.Join(err, d.lock.Close())
}
