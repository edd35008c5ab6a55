package edge

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/cache/ban"
	"github.com/weirhq/weir/internal/cache/store"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/edge/stock"
	"github.com/weirhq/weir/internal/journal"
)

// What one request has to do with the cache's disk: it brings in what is not in memory, sends large bodies from their files, and
// takes there what is more than memory takes.

// get looks a key up, in memory and then on disk.
func (h *handler) get(key store.Key) (store.Ref, bool) {
	c := h.l.edge.caching
	r, ok := c.Memory.Get(key)
	if ok {
		return r, ok
	}
	if c.OnDisk(&key) && h.bringIn(key) {
		return c.Memory.Get(key)
	}
	h.kept.absent = key
	return r, false
}

// bringIn reads an object into memory, once for all who ask for it. False: it cannot be had so.
func (h *handler) bringIn(key store.Key) (ok bool) {
	c := h.l.edge.caching
	f, leads := c.fetches.join(key, key, 0, h.kept.born)
	if !leads {
		return false // it is being read or fetched: the request waits for that when it wants to fetch
	}
	defer c.fetches.part(f)
	defer f.move(kept)
	if has(c.Memory, key) {
		return true // another's reading has ended between the look into memory and this one
	}
	h.t.Do(func() { ok = c.Load(key) })
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

// isLarge reports whether what was found has its body on disk.
func (k *keeping) isLarge() bool {
	return k.view.Kind() == cache.Response && k.view.Flags()&cache.OnDisk != 0
}

// openLarge opens the body of what was found; when it cannot be had, nothing was found.
func (h *handler) openLarge() bool {
	k, c := &h.kept, h.l.edge.caching
	if k.large = c.Body(&k.ref); k.large != nil {
		return true
	}
	var err error
	h.t.Do(func() { k.large, err = c.OpenBody(&k.ref, fileStep) })
	if err == nil {
		return true
	}
	slog.Debug("a large body cannot be had", "error", err)
	c.Memory.Drop(k.ref)
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
	h.l.edge.caching.Memory.Drop(h.kept.ref)
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
	if !c.TakesLarge(length) {
		return false
	}
	var err error
	var fill *stock.LargeFill
	h.t.Do(func() { fill, err = c.CreateLarge() })
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
	if fill.Takes(len(data)) {
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
	k, f := &h.kept, h.kept.led
	head := slices.Clone(k.ref.Head())
	fill.Abort() // who reads it, reads on
	k.stored = f.large.Commit(k.key, head, &f.spoiled)
	h.settle()
}

// settle ends a fetch whose response is kept, unless what it holds was purged meanwhile.
func (h *handler) settle() {
	k, c := &h.kept, h.l.edge.caching
	var verdict ban.Verdict
	verdict, _, k.tags = c.Purged(&k.primary, k.view, k.led.born, k.tags)
	if verdict == ban.Hard { // who forgot the key has removed it
		c.Delete(&k.key)
		k.stored, k.why = false, cache.Purged
	}
	k.led.move(kept)
	c.fetches.part(k.led)
}
