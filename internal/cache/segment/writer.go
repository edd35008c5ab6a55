package segment

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/weirhq/weir/internal/cache/store"
)

// job is an object that waits to be written.
type job struct {
	key      store.Key
	ref      store.Ref
	until    int64
	bytes    int64
	canceled bool // by Remove, or by a newer object of the key
}

// Put has an object written in the background, in place of what there was under its key. ref is released in any case;
// until is when the object is of no use any more, in seconds since 1970. It reports whether the object was taken: when
// too much waits already, or the disk is out of order, nothing is under the key afterwards.
func (d *Disk) Put(key store.Key, ref store.Ref, until int64) bool {
	j := &job{key: key, ref: ref, until: until, bytes: headerSize + int64(len(ref.Head())) + ref.Size()}
	d.mu.Lock()
	if old := d.pending[key]; old != nil {
		old.canceled = true
		delete(d.pending, key)
	}
	d.index.get(hashOf(&key), dead)
	taken := !d.closed && d.problem == nil && ref.Size() <= d.o.Inline && d.waiting+j.bytes <= d.o.Queue
	if taken {
		d.pending[key] = j
		d.queue = append(d.queue, j)
		d.waiting += j.bytes
	}
	d.mu.Unlock()
	if !taken {
		d.dropped.Add(1)
		ref.Release()
		return false
	}
	select {
	case d.kick <- struct{}{}:
	default:
	}
	return true
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
		case <-tick.C:
			d.recheck()
		case <-d.quit:
			d.drain()
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
		d.fails(err)
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
		d.backoff = 0
		d.o.Problem(nil)
	}
}

// probe finds out whether the disk takes anything.
func (d *Disk) probe() error {
	path := filepath.Join(d.o.Dir, "probe")
	return errors.Join(writeAside(path, make([]byte, 64<<10)), removeFile(path))
}

// fails notes that nothing can be written for now, and says so the first time.
func (d *Disk) fails(err error) {
	d.mu.Lock()
	first := d.problem == nil
	d.problem = err
	d.mu.Unlock()
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
			if d.dropsJob(j) {
				d.end(j)
				continue
			}
			if !d.fits(int64(len(d.batch.buf)) + j.bytes + j.bytes/chunkSize*4 + 2*align) {
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
	d.mu.Unlock()
	j.ref.Release()
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
	head := j.ref.Head()
	size := j.ref.Size()
	h := header{kind: kindInline, format: format, key: j.key, segment: segment, headLen: uint32(len(head)), bodyLen: size, until: j.until}
	b.buf = append(b.buf, make([]byte, headerSize)...)
	b.buf = append(b.buf, head...)
	b.buf = append(b.buf, make([]byte, tableLen(size))...)
	body := len(b.buf)
	for off := int64(0); off < size; {
		p := j.ref.Chunk(off)
		b.buf = append(b.buf, p...)
		off += int64(len(p))
	}
	appendTable(b.buf[body-int(tableLen(size)) : body : body][:0], b.buf[body:])
	h.metaSum = sum(b.buf[from+headerSize : body])
	h.put(b.buf[from:])
	b.buf = append(b.buf, make([]byte, h.size()-int64(len(b.buf)-from))...)
	b.recs = append(b.recs, rec{l: listed{key: j.key, off: uint32(from / align), size: uint32(h.size() / align)}, j: j})
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
		d.publish(s)
	} else {
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
	d.index.dropSegment(s.number)
	d.mu.Lock()
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
			d.index.move(r.from, e)
		case !r.j.canceled:
			d.index.put(e)
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
		if s := d.order[len(d.order)-1]; s.list == nil && s.size > 0 || s.size+n > d.o.Segment && s.size+int64(len(d.batch.buf)) > 0 {
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
	s.aside = int64(len(text))
}

// begin makes a new segment, and room for it.
func (d *Disk) begin() bool {
	if d.broken() != nil {
		return false
	}
	number := d.next
	f, err := os.OpenFile(d.path(number, "seg"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		d.fails(err)
		return false
	}
	d.next++
	s := &segment{number: number, f: f, list: []listed{}}
	d.mu.Lock()
	d.segs[number] = s
	d.mu.Unlock()
	d.order = append(d.order, s)
	for d.over(d.o.Segment*3/2) && len(d.order) > 1 {
		if !d.reclaim() {
			break
		}
	}
	return d.broken() == nil
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
	d.index.dropSegment(s.number)
	d.mu.Lock()
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
	left := d.o.Segment / 4
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
		if _, buf, err = s.read(e, l.key, d.o.Format, buf); err != nil {
			continue
		}
		d.batch.copied(to.number, buf, l, e)
		if len(d.batch.buf) >= batchBytes {
			d.flush()
		}
	}
	d.flush()
}

func logDamage(what, path string) {
	slog.Warn("the cache on disk is damaged: what cannot be believed is dropped, and counted in weir cache", "first", what, "file", path)
}
