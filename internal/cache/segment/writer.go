package segment

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/cache/store"
)

// job is an object that waits to be written.
type job struct {
	key      store.Key
	head     []byte
	ref      store.Ref // whose memory head is, and the body; not with large
	large    *Large    // the body is on disk already
	until    int64
	bytes    int64
	entered  bool // it is in the index
	canceled bool // by Remove, or by a newer object of the key
}

// Put has an object written in the background, in place of what there was under its key. ref is released in any case;
// until is when the object is of no use any more, in seconds since 1970. It reports whether the object was taken: when
// too much waits already, the disk is out of order, or the object is revoked (nil: it cannot be), nothing is under the key
// afterwards. Who sets the flag and calls Remove after that leaves nothing there either.
func (d *Disk) Put(key store.Key, ref store.Ref, until int64, revoked *atomic.Bool) bool {
	if d.put(&job{key: key, head: ref.Head(), ref: ref, until: until}, revoked) {
		return true
	}
	ref.Release()
	return false
}

// PutHead has another head written for the large body that a key has already. Without it the old one is gone too.
func (d *Disk) PutHead(key store.Key, head []byte, l Large, until int64, revoked *atomic.Bool) bool {
	l.Table = slices.Clone(l.Table)
	return d.put(&job{key: key, head: slices.Clone(head), large: &l, until: until}, revoked)
}

func (d *Disk) put(j *job, revoked *atomic.Bool) bool {
	j.bytes = headerSize + int64(len(j.head))
	most := d.o.Queue
	switch {
	case j.large != nil:
		j.bytes += int64(len(j.large.Table))
	default:
		j.bytes += j.ref.Size()
	}
	d.mu.Lock()
	if old := d.pending[j.key]; old != nil {
		old.canceled = true
		delete(d.pending, j.key)
	}
	d.index.get(hashOf(&j.key), dead)
	taken := !d.closed && d.problem == nil && (revoked == nil || !revoked.Load()) && j.bytes <= d.Most() && (d.waiting == 0 || d.waiting+j.bytes <= most)
	if taken {
		d.pending[j.key] = j
		d.queue = append(d.queue, j)
		d.waiting += j.bytes
	}
	d.mu.Unlock()
	if !taken {
		d.dropped.Add(1)
		return false
	}
	d.wake()
	return true
}

// wake has the writer look for work.
func (d *Disk) wake() {
	select {
	case d.kick <- struct{}{}:
	default:
	}
}

// run is the writer.
func (d *Disk) run() {
	defer close(d.done)
	tick := time.NewTicker(d.o.Recheck)
	defer tick.Stop()
	for d.over(0) && len(d.order) > 1 && d.reclaim() { // it may hold less than at the last start
	}
	for {
		select {
		case <-d.kick:
			d.drain()
			d.tidy()
			d.makeRoom(0)
		case <-tick.C:
			d.recheck()
		case <-d.quit:
			d.drain()
			d.tidy()
			if !d.destroying() && d.broken() == nil && len(d.order) > 0 {
				d.writeList(d.order[len(d.order)-1])
			}
			return
		}
	}
}

func (d *Disk) destroying() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.destroys
}

func (d *Disk) broken() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.problem
}

// recheck looks whether the directory is still ours, and tries a disk again that failed.
func (d *Disk) recheck() {
	select {
	case <-d.gone:
		return
	default:
	}
	ours, err := d.lock.Stat()
	if err == nil {
		var there os.FileInfo
		if there, err = os.Stat(filepath.Join(d.o.Dir, "lock")); err == nil && !os.SameFile(ours, there) {
			err = fmt.Errorf("%s is another directory now", d.o.Dir)
		}
	}
	if err != nil {
		d.mu.Lock()
		d.problem = err // who waits for gone says so
		d.mu.Unlock()
		for i := range d.order {
			d.index.dropSegment(d.order[i].number)
		}
		close(d.gone)
		return
	}
	if d.broken() != nil && !time.Now().Before(d.retryAt) {
		if err := d.probe(); err != nil {
			d.fails(err)
			return
		}
		d.mu.Lock()
		d.problem = nil
		d.mu.Unlock()
		d.recovered, d.refused = time.Now(), 0
		d.o.Problem(nil)
	}
}

// probe finds out whether the disk takes again what it did not take: one with a few free blocks is full all the same.
func (d *Disk) probe() error {
	path := filepath.Join(d.o.Dir, "probe")
	return errors.Join(writeAside(path, make([]byte, min(max(d.refused, leastProbe), mostProbe))), removeFile(path))
}

// fails notes that nothing can be written for now, and says so the first time.
func (d *Disk) fails(err error) {
	d.mu.Lock()
	first := d.problem == nil
	d.problem = err
	d.mu.Unlock()
	if first && time.Since(d.recovered) > time.Minute {
		d.backoff = 0 // else it comes and goes, and is tried less and less often
	}
	d.backoff = min(max(2*d.backoff, d.o.FirstTry), time.Minute)
	d.retryAt = time.Now().Add(d.backoff)
	if first {
		d.o.Problem(err)
	}
}

// drain writes what waits.
func (d *Disk) drain() {
	for {
		d.mu.Lock()
		jobs := d.queue
		d.queue = nil
		d.mu.Unlock()
		if len(jobs) == 0 {
			return
		}
		for _, j := range jobs {
			if d.dropsJob(j) || !d.apart(j) || !d.fits(j.recordSize()) {
				d.end(j)
				continue
			}
			d.batch.add(d.order[len(d.order)-1].number, d.o.Format, j)
			if len(d.batch.buf) >= batchBytes {
				d.flush()
			}
		}
		d.flush()
	}
}

// recordSize is at least the length of the job's record.
func (j *job) recordSize() int64 {
	h := header{kind: kindInline, headLen: uint32(len(j.head))}
	if j.large != nil {
		h.kind, h.bodyLen = kindPointer, j.large.Size
	} else {
		h.bodyLen = j.ref.Size()
	}
	return h.size()
}

// apart writes a body that is too long for a segment to a file of its own; false when it cannot.
func (d *Disk) apart(j *job) bool {
	if j.large != nil || j.ref.Size() <= d.o.Inline {
		return true
	}
	d.flush()
	d.makeRoom(j.ref.Size())
	f, err := d.create(true)
	for off := int64(0); err == nil && off < j.ref.Size(); {
		p := j.ref.Chunk(off)
		err = f.Write(p)
		off += int64(len(p))
	}
	if f != nil {
		err = errors.Join(err, f.f.Close())
	}
	if err != nil {
		if f != nil {
			f.Abort()
		}
		d.dropped.Add(1)
		d.refused = j.ref.Size()
		d.fails(err)
		return false
	}
	if f.size%chunkSize != 0 {
		f.table = le.AppendUint32(f.table, f.crc)
	}
	j.large = &Large{Number: f.number, Size: f.size, Table: f.table}
	return true
}

// dropsJob reports whether an object is not to be written after all.
func (d *Disk) dropsJob(j *job) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.problem != nil && !j.canceled {
		d.dropped.Add(1)
	}
	return j.canceled || d.problem != nil
}

// end lets go of a job.
func (d *Disk) end(j *job) {
	d.mu.Lock()
	if d.pending[j.key] == j {
		delete(d.pending, j.key)
	}
	d.waiting -= j.bytes
	// A body that has come to no record is nobody's.
	if l, next := j.large, d.pending[j.key]; l != nil && !j.entered && d.large[hashOf(&j.key)] != l.Number &&
		(next == nil || next.large == nil || next.large.Number != l.Number) {
		d.releaseBody(l.Number)
	}
	d.mu.Unlock()
	if j.ref.Valid() {
		j.ref.Release()
	}
}

// batch is records that go out in one piece.
type batch struct {
	buf  []byte
	recs []rec
}

type rec struct {
	l    listed
	j    *job  // nil: of a segment that goes
	from entry // then: where it was
}

// add appends the record of an object; where in the segment it will be is settled by flush.
func (b *batch) add(segment uint32, format uint16, j *job) {
	from := len(b.buf)
	h := header{kind: kindInline, format: format, key: j.key, segment: segment, headLen: uint32(len(j.head)), until: j.until}
	b.buf = append(b.buf, make([]byte, headerSize)...)
	b.buf = append(b.buf, j.head...)
	var body int
	if l := j.large; l != nil {
		h.kind, h.file, h.bodyLen = kindPointer, l.Number, l.Size
		b.buf = append(b.buf, l.Table...)
		body = len(b.buf)
	} else {
		h.bodyLen = j.ref.Size()
		b.buf = append(b.buf, make([]byte, tableLen(h.bodyLen))...)
		body = len(b.buf)
		for off := int64(0); off < h.bodyLen; {
			p := j.ref.Chunk(off)
			b.buf = append(b.buf, p...)
			off += int64(len(p))
		}
		appendTable(b.buf[body-int(tableLen(h.bodyLen)) : body : body][:0], b.buf[body:])
	}
	h.metaSum = sum(b.buf[from+headerSize : body])
	h.put(b.buf[from:])
	b.buf = append(b.buf, make([]byte, h.size()-int64(len(b.buf)-from))...)
	b.recs = append(b.recs, rec{l: listed{key: j.key, off: uint32(from / align), size: uint32(h.size() / align), file: h.file}, j: j})
}

// copied appends a record that stood elsewhere.
func (b *batch) copied(segment uint32, record []byte, l listed, from entry) {
	at := len(b.buf)
	b.buf = append(b.buf, record...)
	h, _ := parseHeader(record, from.segment)
	h.segment = segment
	h.put(b.buf[at:])
	l.off = uint32(at / align)
	b.recs = append(b.recs, rec{l: l, from: from})
}

// flush writes the batch behind what there is, and makes it known.
func (d *Disk) flush() {
	b := &d.batch
	if len(b.recs) == 0 {
		return
	}
	s := d.order[len(d.order)-1]
	_, err := s.f.WriteAt(b.buf, s.size)
	if err == nil {
		if d.publish(s); s.size-s.covered > max(listEvery, d.o.Segment/8) {
			d.writeList(s) // so that a start after a crash has not much to look through
		}
	} else {
		d.refused = int64(len(b.buf))
		d.fails(err)
		d.cut(s)
	}
	for i := range b.recs {
		if j := b.recs[i].j; j != nil {
			if err != nil {
				d.dropped.Add(1)
			}
			d.end(j)
		}
	}
	b.buf, b.recs = b.buf[:0], b.recs[:0]
	if cap(b.buf) > 4*batchBytes {
		b.buf = nil
	}
}

// cut takes off what a failed write has left: whole records may be among it, which nobody must find later. A segment from
// which it cannot be taken goes.
func (d *Disk) cut(s *segment) {
	if s.f.Truncate(s.size) == nil {
		return
	}
	hashes := d.index.dropSegment(s.number)
	d.mu.Lock()
	for _, h := range hashes {
		d.attach(h, 0)
	}
	delete(d.segs, s.number)
	d.used -= s.size + s.aside
	d.mu.Unlock()
	d.order = d.order[:len(d.order)-1]
	if err := errors.Join(s.f.Close(), d.unlink(s)); err != nil {
		d.fails(err)
	}
}

// unlink removes a segment's files, the list first: without its segment it would be one more thing to wonder about.
func (d *Disk) unlink(s *segment) error {
	return errors.Join(removeFile(d.path(s.number, "idx")), removeFile(d.path(s.number, "seg")))
}

// publish enters the batch, which has been written to the end of s.
func (d *Disk) publish(s *segment) {
	b := &d.batch
	base := uint32(s.size / align)
	s.size += int64(len(b.buf))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.used += int64(len(b.buf))
	for i := range b.recs {
		r := &b.recs[i]
		r.l.off += base
		s.list = append(s.list, r.l)
		e := r.l.entry(s.number)
		switch {
		case r.j == nil:
			if b := d.bodies[r.l.file]; d.index.move(r.from, e) && b != nil {
				s.bodies += b.size
			}
		case !r.j.canceled && (r.l.file == 0 || d.bodies[r.l.file] != nil):
			d.index.put(e)
			d.attach(e.hash, r.l.file)
			if r.l.file != 0 {
				s.bodies += d.bodies[r.l.file].size
			}
			r.j.entered = true
			d.written.Add(1)
		case !d.index.has(e.hash):
			// Who removes the key must learn that a restart would find it.
			e.state = dead
			d.index.put(e)
		}
	}
}

// fits makes room for n bytes at the end of the log: in a new segment when the present one is full, and by deleting the
// oldest. False: there is none.
func (d *Disk) fits(n int64) bool {
	if len(d.order) > 0 {
		s := d.order[len(d.order)-1]
		end := s.size + int64(len(d.batch.buf))
		if s.list == nil || end > 0 && end+n > d.o.Segment || s.bodies > d.o.Segment {
			d.flush()
			d.seal(s)
			return d.begin()
		}
	} else if !d.begin() {
		return false
	}
	return d.broken() == nil
}

// seal ends a segment: its list goes to the disk.
func (d *Disk) seal(s *segment) {
	if err := s.f.Sync(); err != nil {
		d.fails(err)
		return
	}
	if s.list != nil {
		d.writeList(s)
		s.list = nil
	}
}

// writeList writes what is in a segment, so that the next start need not look for it.
func (d *Disk) writeList(s *segment) {
	if s.list == nil {
		return
	}
	text := appendList(nil, s.number, s.size, s.list)
	if err := writeAside(d.path(s.number, "idx"), text); err != nil {
		d.fails(err)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.used += int64(len(text)) - s.aside
	s.aside, s.covered = int64(len(text)), s.size
}

// begin makes a new segment, and room for it.
func (d *Disk) begin() bool {
	if d.broken() != nil {
		return false
	}
	d.mu.Lock()
	number := d.next
	d.next++
	d.mu.Unlock()
	f, err := os.OpenFile(d.path(number, "seg"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		d.fails(err)
		return false
	}
	s := &segment{number: number, f: f, list: []listed{}}
	d.mu.Lock()
	d.segs[number] = s
	d.mu.Unlock()
	d.order = append(d.order, s)
	for d.over(d.o.Segment*3/2) && len(d.order) > 1 && d.reclaim() {
	}
	return d.broken() == nil
}

// makeRoom deletes the oldest when large bodies have taken too much, or are about to take so many bytes.
func (d *Disk) makeRoom(n int64) {
	for d.broken() == nil && d.over(d.o.Segment/2+n) && len(d.order) > 0 {
		if s := d.order[len(d.order)-1]; len(d.order) == 1 {
			if s.size == 0 {
				return // what there is is being written
			}
			d.seal(s)
			d.begin() // which deletes s
			continue
		}
		if !d.reclaim() {
			return
		}
		d.tidy()
	}
}

// over reports whether a segment must go before so many bytes are written.
func (d *Disk) over(bytes int64) bool {
	objects, _ := d.index.len()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used+bytes > d.o.Size || objects > d.o.Entries
}

// reclaim deletes the oldest segment. What was asked for since it was written goes to the end of the log, as far as that
// takes no more than a quarter of a segment.
func (d *Disk) reclaim() bool {
	s := d.order[0]
	info, err := s.f.Stat()
	if err != nil {
		d.fails(err)
		return false
	}
	d.rescue(s)
	hashes := d.index.dropSegment(s.number)
	d.mu.Lock()
	for _, h := range hashes {
		d.attach(h, 0)
	}
	delete(d.segs, s.number)
	d.used -= info.Size() + s.aside
	d.mu.Unlock()
	d.order = d.order[1:]
	d.reclaimed.Add(1)
	if err := errors.Join(d.unlink(s), s.f.Close()); err != nil {
		d.fails(err)
		return false
	}
	return true
}

// rescue copies what is in use from a segment that goes.
func (d *Disk) rescue(s *segment) {
	text, err := os.ReadFile(d.path(s.number, "idx"))
	if err != nil {
		return
	}
	list, _, err := parseList(text, s.number, s.size)
	if err != nil {
		return
	}
	to := d.order[len(d.order)-1]
	left, bodies := d.o.Segment/4, d.o.Size/8
	var buf []byte
	for i := len(list) - 1; i >= 0 && left > 0; i-- { // the newest first
		l := list[i]
		e, ok := d.index.get(hashOf(&l.key), 0)
		if !ok || e.segment != s.number || e.off != l.off || e.state&wanted == 0 && (d.o.Wanted == nil || !d.o.Wanted(l.key)) {
			continue
		}
		n := int64(e.size) * align
		if left -= n; left < 0 {
			break
		}
		if l.file != 0 {
			if bodies -= d.bodySize(l.file); bodies < 0 {
				continue
			}
		}
		if _, buf, err = s.read(e, l.key, d.o.Format, buf); err != nil {
			continue
		}
		d.batch.copied(to.number, buf, l, e)
		if len(d.batch.buf) >= batchBytes {
			if d.flush(); d.broken() != nil {
				return
			}
		}
	}
	d.flush()
}

func (d *Disk) bodySize(number uint32) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if b := d.bodies[number]; b != nil {
		return b.size
	}
	return 0
}

func logDamage(what, path string) {
	slog.Warn("the cache on disk is damaged: what cannot be believed is dropped, and counted in weir cache", "first", what, "file", path)
}
