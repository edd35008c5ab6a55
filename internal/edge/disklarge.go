package edge

import (
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"

	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/cache/ban"
	"github.com/weirhq/weir/internal/cache/segment"
	"github.com/weirhq/weir/internal/cache/store"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/journal"
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

// large reports whether what was found has its body on disk.
func (k *keeping) isLarge() bool {
	return k.view.Kind() == cache.Response && k.view.Flags()&cache.OnDisk != 0
}

// openLarge opens the body of what was found; when it cannot be had, nothing was found.
func (h *handler) openLarge() bool {
	k, c := &h.kept, h.l.edge.caching
	if l, sum, ok := ticket(&k.ref, false); ok {
		if t := c.disk().tier(); t != nil {
			if k.large = t.objects.Opened(l.Number, l.Size, sum); k.large != nil {
				return true
			}
			l, _, _ = ticket(&k.ref, true)
			var err error
			var b *segment.Body
			h.t.Do(func() {
				// The beginning is checked here, where it can still be asked for anew.
				if b, err = t.objects.Open(l); err == nil {
					err = b.Check(0, min(b.Size, fileStep))
				}
			})
			if err == nil {
				k.large = b
				return true
			}
			if b != nil {
				b.Release()
			}
			slog.Debug("a large body cannot be had", "error", err)
		}
	}
	c.store.Drop(k.ref)
	k.release()
	return false
}

// keptSize is the length of the body of what was found.
func (k *keeping) keptSize() int64 {
	if k.large != nil {
		return k.large.Size
	}
	return k.ref.Size()
}

// sendLarge sends a head and bytes of a body on disk. Each piece is checked before it is sent, once as long as the file is
// open; it then goes from the file to the connection without passing through here.
func (h *handler) sendLarge(head []byte, from, to int64) bool {
	b := h.kept.large
	for from < to {
		n := min(to-from, fileStep)
		if !b.Checked(from, n) {
			var err error
			h.t.Do(func() { err = b.Check(from, n) })
			if err != nil {
				return h.lostLarge(head, err)
			}
		}
		if len(head) > 0 && !h.write2(head, nil) {
			return false
		}
		head = nil
		m, err := h.pushFile(h.t, h.conn, b.File(), from, n)
		from += m
		h.x.Journal.Out += m
		if err != nil {
			h.lostClient(err)
			return false
		}
	}
	return len(head) == 0 || h.write2(head, nil)
}

// lost is what becomes of a request whose response turns out to be damaged before any of it has been sent.
type lost uint8

const (
	lostTold  lost = iota // the client is told
	lostAgain             // the request may look anew
	lostNow               // it has to
)

// deliverSound is deliverKept; false when what was found is damaged, and nothing has been answered.
func (h *handler) deliverSound() bool {
	k := &h.kept
	k.lost = lostAgain
	h.deliverKept()
	again := k.lost == lostNow
	k.lost = lostTold
	return !again
}

// lostLarge ends a response whose body turned out to be damaged. If nothing of it has been sent, it is as if it had not been
// found, or else the client is told.
func (h *handler) lostLarge(head []byte, err error) bool {
	slog.Debug("a large body is damaged", "error", err)
	h.l.edge.caching.store.Drop(h.kept.ref)
	if len(head) > 0 && h.x.Journal.Out == 0 {
		h.answered = false
		if h.kept.lost == lostAgain {
			h.kept.lost = lostNow
			return false
		}
		h.fail(503, journal.NoCause, "the kept response is damaged and was dropped")
		return false
	}
	h.keep, h.cut = false, true
	return false
}

// startLarge begins to take a response to the disk that is more than memory takes; false when that cannot be.
func (h *handler) startLarge(length int64) bool {
	c, f := h.l.edge.caching, h.kept.led
	t := c.disk().tier()
	if t == nil || length > min(c.most.Load(), t.objects.Most()) {
		return false
	}
	var err error
	var fill *segment.Fill
	h.t.Do(func() { fill, err = t.objects.Create() })
	if err != nil {
		slog.Debug("a response cannot be kept on disk", "error", err)
		return false
	}
	f.large = fill
	f.spillTo(fill.File(), 0)
	return true
}

// outgrow takes a response to the disk that has become more than memory takes; false when that cannot be.
func (h *handler) outgrow(f *fetch, r *store.Ref) bool {
	if !h.startLarge(-1) {
		return false
	}
	fill, size := f.large, r.Size()
	var err error
	h.t.Do(func() {
		for off := int64(0); off < size && err == nil; {
			p := r.Chunk(off)
			err = fill.Write(p)
			off += int64(len(p))
		}
	})
	if err != nil {
		slog.Debug("a response cannot be kept on disk", "error", err)
		fill.Abort()
		f.large = nil
		f.spillTo(nil, 0)
		return false
	}
	f.spillTo(fill.File(), size)
	return true
}

// writeLarge adds to a response that goes to the disk. When the disk does not take it, it goes on in an unlinked file, for
// those who read it already.
func (h *handler) writeLarge(cfg *config.Pool, f *fetch, data []byte) error {
	fill := f.large
	_, base := f.spilledTo()
	err := error(store.ErrTooLarge)
	if fill.Size()+int64(len(data)) <= h.l.edge.caching.most.Load() {
		h.t.Do(func() { err = fill.Write(data) })
	}
	if err == nil {
		f.spilled.Store(fill.Size() - base)
		return nil
	}
	slog.Debug("a response cannot be kept on disk", "error", err)
	h.l.edge.caching.fetches.part(f)
	done := f.spilled.Load()
	if done > cfg.Buffer.File {
		fill.Abort()
		f.large = nil
		return errSpoolFull
	}
	var file *os.File
	h.t.Do(func() {
		if file, err = unlinked(cfg.Buffer.Dir); err == nil {
			_, err = io.Copy(file, io.NewSectionReader(fill.File(), base, done))
		}
	})
	fill.Abort()
	f.large = nil
	if err != nil {
		return errors.Join(errDisk, err)
	}
	f.spillTo(file, 0)
	return h.spillOver(cfg, f, data)
}

// committedLarge makes what has come to the disk an object.
func (h *handler) committedLarge(fill *store.Fill) {
	k, c, f := &h.kept, h.l.edge.caching, h.kept.led
	head := slices.Clone(k.ref.Head())
	cache.SetOnDisk(head, true)
	fill.Abort() // who reads it, reads on
	c.disk().supersede(&k.key)
	l, ok := f.large.Commit(k.key, head, usefulUntil(k.view), &f.spoiled)
	if k.stored = ok && c.putTicket(k.key, head, &l, &f.spoiled); !k.stored {
		c.store.Delete(k.key)
		c.disk().remove(&k.key)
	}
	h.settle()
}

// putTicket puts a head into memory whose body is on disk.
func (c *caching) putTicket(key store.Key, head []byte, l *segment.Large, revoked *atomic.Bool) bool {
	b := appendTicket(nil, l)
	fill, err := c.store.Begin(key, head, int64(len(b)))
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

// settle ends a fetch whose response is kept, unless what it holds was purged meanwhile.
func (h *handler) settle() {
	k, c := &h.kept, h.l.edge.caching
	var verdict ban.Verdict
	verdict, _, k.tags = c.purged(&k.primary, k.view, k.led.born, k.tags)
	if verdict == ban.Hard { // who forgot the key has removed it
		c.store.Delete(k.key)
		c.disk().remove(&k.key)
		k.stored, k.why = false, cache.Purged
	}
	k.led.move(kept)
	c.fetches.part(k.led)
}
