package stock

import (
	"encoding/binary"
	"errors"
	"sync/atomic"

	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/cache/segment"
	"github.com/weirhq/weir/internal/cache/store"
)

// A large body stays on disk. In memory stands its head, marked cache.OnDisk, and in place of the body a ticket:
//
//	 0  number of the file (4), checksum of the table (4), length of the body (8)
//	16  the table: a checksum for each 64 KiB
//
// What is larger than memory takes goes to the disk as it comes, and all who want it read it there.
const ticketSize = 16

func appendTicket(dst []byte, l *segment.Large) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, l.Number)
	dst = binary.LittleEndian.AppendUint32(dst, l.Sum())
	dst = binary.LittleEndian.AppendUint64(dst, uint64(l.Size))
	return append(dst, l.Table...)
}

// ticket reads what an object says of its body; the table is copied only when it is asked for.
func ticket(r *store.Ref, withTable bool) (l segment.Large, sum uint32, ok bool) {
	b := r.Chunk(0)
	if len(b) < ticketSize {
		return l, 0, false
	}
	l.Number, sum = binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	l.Size = int64(binary.LittleEndian.Uint64(b[8:]))
	if withTable {
		for off := int64(ticketSize); off < r.Size(); {
			p := r.Chunk(off)
			l.Table = append(l.Table, p...)
			off += int64(len(p))
		}
	}
	return l, sum, true
}

var (
	errNoTicket = errors.New("what stands for a large body cannot be read")
	errNoDisk   = errors.New("the cache has no disk")
)

// Body is the body of an object marked cache.OnDisk if its file is open already, else nil. The caller releases it.
func (s *Stock) Body(r *store.Ref) *segment.Body {
	t := s.disk().tier()
	if t == nil {
		return nil
	}
	l, sum, ok := ticket(r, false)
	if !ok {
		return nil
	}
	return t.objects.Opened(l.Number, l.Size, sum)
}

// OpenBody is Body for a file that is not open. Its first bytes are checked, since whatever is wrong with them can still be answered
// otherwise. It blocks.
func (s *Stock) OpenBody(r *store.Ref, first int64) (*segment.Body, error) {
	t := s.disk().tier()
	if t == nil {
		return nil, errNoDisk
	}
	l, _, ok := ticket(r, true)
	if !ok {
		return nil, errNoTicket
	}
	b, err := t.objects.Open(l)
	if err != nil {
		return nil, err
	}
	if err := b.Check(0, min(b.Size, first)); err != nil {
		b.Release()
		return nil, err
	}
	return b, nil
}

// LargeFill is a large body on its way to the disk. It belongs to one task; others may read its file, up to its size. Who has made it ends
// it, by Abort or Commit.
type LargeFill struct {
	*segment.Fill
	s *Stock
}

// TakesLarge reports whether a body that is too large for memory may go to the disk; length is -1 when it is not known.
func (s *Stock) TakesLarge(length int64) bool {
	t := s.disk().tier()
	return t != nil && length <= min(s.most.Load(), t.objects.Most())
}

// CreateLarge begins one. It blocks.
func (s *Stock) CreateLarge() (*LargeFill, error) {
	t := s.disk().tier()
	if t == nil {
		return nil, errNoDisk
	}
	f, err := t.objects.Create()
	if err != nil {
		return nil, err
	}
	return &LargeFill{Fill: f, s: s}, nil
}

// Takes reports whether so many bytes more are no more than may be kept.
func (f *LargeFill) Takes(n int) bool { return f.Size()+int64(n) <= f.s.most.Load() }

// Commit makes an object of the body and a head, which it marks, unless it is revoked. False: nothing is under the key now.
func (f *LargeFill) Commit(key store.Key, head []byte, revoked *atomic.Bool) bool {
	cache.SetOnDisk(head, true)
	f.s.Supersede(&key)
	l, ok := f.Fill.Commit(key, head, usefulUntil(cache.NewView(head)), revoked)
	if ok && f.s.putTicket(key, head, &l, revoked) {
		return true
	}
	f.s.Delete(&key)
	return false
}

// putTicket puts a head into memory whose body is on disk.
func (s *Stock) putTicket(key store.Key, head []byte, l *segment.Large, revoked *atomic.Bool) bool {
	b := appendTicket(nil, l)
	fill, err := s.Memory.Begin(key, head, int64(len(b)))
	if err != nil {
		return false
	}
	if _, err := fill.Write(b); err != nil {
		fill.Abort()
		return false
	}
	fill.Unless(revoked)
	return fill.Commit() == nil
}
