package segment

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/cache/store"
)

// A large body has a file of its own, which is nothing but the body. What it should be stands in the record that names
// it: its length and the checksum of each 64 KiB. The file lives as long as that record is the one of its key.

// Large is the body of a record that is in a file of its own.
type Large struct {
	Number uint32 // of the file
	Size   int64
	Table  []byte // checksums, 4 bytes for each 64 KiB
}

// Sum is a checksum of the table.
func (l *Large) Sum() uint32 { return sum(l.Table) }

// body is what the Disk knows of a file.
type body struct {
	size int64 // that is counted
	hash uint64
	open *Body // nil: nobody reads it, and nobody has of late
}

// maxOpen is how many bodies that nobody reads stay open. What was checked of a body is known as long as it is open.
const maxOpen = 128

// roomWait is how long a body that comes faster than old ones are deleted waits for them.
const roomWait = time.Second

// Fill is a large body on its way to the disk. It has one writer; others may read what is written from File.
type Fill struct {
	d      *Disk
	number uint32
	f      *os.File
	size   int64
	table  []byte
	crc    uint32 // of the chunk begun
}

// Create begins a large body. Exactly one of Commit and Abort must follow. It blocks, as all of a Fill's methods do.
func (d *Disk) Create() (*Fill, error) { return d.create(false) }

// create is Create. The writer may still create when the Disk is being closed: it writes what waits.
func (d *Disk) create(writer bool) (*Fill, error) {
	d.mu.Lock()
	err := d.problem
	number := d.next
	if d.closed && !writer {
		err = os.ErrClosed
	}
	if err == nil {
		d.next++
		d.bodies[number] = &body{}
	}
	d.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("a body on disk: %w", err)
	}
	f, err := os.OpenFile(d.path(number, "body"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		d.mu.Lock()
		delete(d.bodies, number)
		d.mu.Unlock()
		return nil, fmt.Errorf("a body on disk: %w", err)
	}
	return &Fill{d: d, number: number, f: f}, nil
}

// Most is the longest body that the disk takes.
func (d *Disk) Most() int64 { return min(d.o.Size/4, maxBody) }

// File is the file, for those who read along. Nobody closes it: it goes with the last who has it.
func (f *Fill) File() *os.File { return f.f }

// Size is how much has been written.
func (f *Fill) Size() int64 { return f.size }

// Write adds to the body.
func (f *Fill) Write(p []byte) error {
	if f.size+int64(len(p)) > f.d.Most() {
		return store.ErrTooLarge
	}
	if err := f.d.reserve(f.number, int64(len(p))); err != nil {
		return fmt.Errorf("a body on disk: %w", err)
	}
	if _, err := f.f.WriteAt(p, f.size); err != nil {
		return fmt.Errorf("a body on disk: %w", err)
	}
	for len(p) > 0 {
		n := min(len(p), int(chunkSize-f.size%chunkSize))
		f.crc = crc32.Update(f.crc, castagnoli, p[:n])
		f.size += int64(n)
		if f.size%chunkSize == 0 {
			f.table, f.crc = le.AppendUint32(f.table, f.crc), 0
		}
		p = p[n:]
	}
	return nil
}

// Abort drops the body; the file is only unlinked.
func (f *Fill) Abort() {
	f.d.mu.Lock()
	f.d.releaseBody(f.number)
	f.d.mu.Unlock()
	f.d.wake()
}

// Commit makes the body that of a key: a record with the head is written in the background. False: it was not taken, and
// is as aborted. The file stays with those who read along. revoked is as for Put.
func (f *Fill) Commit(key store.Key, head []byte, until int64, revoked *atomic.Bool) (Large, bool) {
	if f.size%chunkSize != 0 {
		f.table, f.crc = le.AppendUint32(f.table, f.crc), 0
	}
	l := Large{Number: f.number, Size: f.size, Table: f.table}
	if !f.d.put(&job{key: key, head: slices.Clone(head), large: &l, until: until}, revoked) {
		f.Abort()
		return l, false
	}
	return l, true
}

// reserve counts bytes that a body is about to have. It waits a moment for the writer to make room.
func (d *Disk) reserve(number uint32, n int64) error {
	for end := time.Now().Add(roomWait); ; time.Sleep(roomWait / 100) {
		d.mu.Lock()
		b := d.bodies[number]
		fits := d.used+n <= d.o.Size
		if b != nil && fits {
			b.size += n
			d.used += n
		}
		if d.used+d.o.Segment > d.o.Size {
			d.wake()
		}
		d.mu.Unlock()
		switch {
		case b == nil:
			return os.ErrClosed
		case fits:
			return nil
		case time.Now().After(end):
			return store.ErrFull
		}
	}
}

// attach notes which body the record of a hash names now, 0 for none; what it named before goes. d.mu is held.
func (d *Disk) attach(hash uint64, number uint32) {
	if old := d.large[hash]; old != 0 && old != number {
		d.releaseBody(old)
	}
	if number == 0 {
		delete(d.large, hash)
		return
	}
	d.large[hash] = number
	if b := d.bodies[number]; b != nil {
		b.hash = hash
	}
}

// releaseBody takes a body out of use. Its file is deleted by the writer; who reads it reads on. d.mu is held.
func (d *Disk) releaseBody(number uint32) {
	b := d.bodies[number]
	if b == nil {
		return
	}
	delete(d.bodies, number)
	if d.large[b.hash] == number {
		delete(d.large, b.hash)
	}
	d.used -= b.size
	d.trash = append(d.trash, number)
	if b.open != nil {
		d.opened--
		if b.open.gone = true; b.open.refs == 0 {
			d.closing = append(d.closing, b.open.f)
		}
	}
	d.wake()
}

// Body is a large body open for reading, by any number of readers.
type Body struct {
	Large
	d   *Disk
	f   *os.File
	sum uint32 // of the table

	refs int  // guarded by d.mu
	gone bool // so too: the file is deleted

	mu      sync.Mutex
	checked []uint64 // bit per 64 KiB: it has been read, and is right
}

// Open opens a body to read it, until Release. It blocks if somebody else has not opened it already.
func (d *Disk) Open(l Large) (*Body, error) {
	if b := d.Opened(l.Number, l.Size, l.Sum()); b != nil {
		return b, nil
	}
	f, err := os.Open(d.path(l.Number, "body"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	info, err := f.Stat()
	if err == nil && info.Size() != l.Size {
		err = errDamaged
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrNone, err), f.Close())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	own := d.bodies[l.Number]
	if own == nil || d.closed {
		return nil, errors.Join(ErrNone, f.Close())
	}
	if own.open != nil { // meanwhile
		if !own.open.is(l) {
			return nil, errors.Join(ErrNone, errDamaged, f.Close())
		}
		own.open.refs++
		return own.open, f.Close()
	}
	l.Table = slices.Clone(l.Table)
	b := &Body{Large: l, d: d, f: f, sum: l.Sum(), refs: 1, checked: make([]uint64, (len(l.Table)/4+63)/64)}
	own.open = b
	if d.opened++; d.opened > maxOpen {
		d.shutIdle()
	}
	return b, nil
}

// is reports whether a record names this very body. Of damaged segments a record may be found that is older than the
// file under its number.
func (b *Body) is(l Large) bool { return b.Size == l.Size && bytes.Equal(b.Table, l.Table) }

// Opened is Open when somebody has opened the body already, else nil: by its number and length, and the Sum of its table.
// It does not block.
func (d *Disk) Opened(number uint32, size int64, sum uint32) *Body {
	d.mu.Lock()
	defer d.mu.Unlock()
	if own := d.bodies[number]; own != nil && own.open != nil && own.open.Size == size && own.open.sum == sum && !d.closed {
		own.open.refs++
		return own.open
	}
	return nil
}

// shutIdle has bodies closed that nobody reads. d.mu is held.
func (d *Disk) shutIdle() {
	for _, own := range d.bodies {
		if own.open != nil && own.open.refs == 0 {
			d.closing = append(d.closing, own.open.f)
			own.open = nil
			d.opened--
		}
		if d.opened <= maxOpen/2 {
			break
		}
	}
	d.wake()
}

// Release ends a reader's use.
func (b *Body) Release() {
	d := b.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if b.refs--; b.refs == 0 && b.gone {
		d.closing = append(d.closing, b.f)
		d.wake()
	}
}

// File is the file: bytes that Check has found right may be sent from it.
func (b *Body) File() *os.File { return b.f }

// Checked reports whether n bytes from an offset on have been found right before.
func (b *Body) Checked(off, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := off / chunkSize; i*chunkSize < off+n; i++ {
		if b.checked[i/64]&(1<<(i%64)) == 0 {
			return false
		}
	}
	return true
}

// Check reads what n bytes from an offset on stand in and have not been checked, and says whether they are what was
// written. When they are not, the object is dropped. It blocks.
func (b *Body) Check(off, n int64) error {
	var buf []byte
	for i := off / chunkSize; i*chunkSize < off+n; i++ {
		if b.Checked(i*chunkSize, 1) {
			continue
		}
		if buf == nil {
			buf = make([]byte, chunkSize)
		}
		p := buf[:min(chunkSize, b.Size-i*chunkSize)]
		_, err := b.f.ReadAt(p, i*chunkSize)
		if err == nil && sum(p) != le.Uint32(b.Table[4*i:]) {
			err = errDamaged
		}
		if err != nil {
			b.d.dropBody(b)
			return fmt.Errorf("%w: %w", ErrNone, err)
		}
		b.mu.Lock()
		b.checked[i/64] |= 1 << (i % 64)
		b.mu.Unlock()
	}
	return nil
}

// dropBody takes an object out whose body cannot be believed.
func (d *Disk) dropBody(b *Body) {
	d.mu.Lock()
	if own := d.bodies[b.Number]; own != nil {
		if d.large[own.hash] == b.Number {
			d.index.remove(own.hash, 0, 0)
		}
		d.releaseBody(b.Number)
	}
	d.mu.Unlock()
	d.damage("a body", d.path(b.Number, "body"))
}

// tidy deletes and closes what is no longer in use. It is the writer's.
func (d *Disk) tidy() {
	d.mu.Lock()
	trash, closing := d.trash, d.closing
	d.trash, d.closing = nil, nil
	d.mu.Unlock()
	var err error
	for _, n := range trash {
		err = errors.Join(err, removeFile(d.path(n, "body")))
	}
	for _, f := range closing {
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		d.fails(err)
	}
}
