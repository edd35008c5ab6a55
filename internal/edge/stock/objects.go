package stock

import (
	"bytes"
	"log/slog"
	"sync/atomic"

	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/cache/store"
)

// Put keeps a head without a body in both tiers, unless it is revoked (nil: it cannot be); false when it is not, or there is no room.
func (s *Stock) Put(k store.Key, head []byte, revoked *atomic.Bool) bool {
	f, err := s.Memory.Begin(k, head, 0)
	if err == nil {
		s.Supersede(&k)
		r, _ := f.Ref()
		f.Unless(revoked)
		if err = f.Commit(); err == nil && cache.NewView(head).Kind() != cache.Hole {
			s.Keep(r, revoked)
		}
		r.Release()
	}
	if err != nil {
		slog.Debug("the cache has no room", "error", err)
	}
	return err == nil
}

// Supersede says that a key is about to get something newer than the disk has under it.
func (s *Stock) Supersede(k *store.Key) {
	if t := s.disk().tier(); t != nil {
		t.objects.Supersede(k)
	}
}

// Keep has what was put into memory written to the disk, unless it was revoked meanwhile (nil: it cannot be). The reference stays the caller's.
func (s *Stock) Keep(r store.Ref, revoked *atomic.Bool) {
	if t := s.disk().tier(); t != nil {
		t.keep(r, revoked)
	}
}

// Drop takes out what was found in memory, and what the disk has under a key.
func (s *Stock) Drop(r store.Ref, k *store.Key) {
	s.Memory.Drop(r)
	s.remove(k)
}

// Delete takes out what is under a key. It reports whether the disk had it: a purge alone tells the next process of that.
func (s *Stock) Delete(k *store.Key) (onDisk bool) {
	s.Memory.Delete(*k)
	return s.remove(k)
}

func (s *Stock) remove(k *store.Key) bool {
	t := s.disk().tier()
	return t != nil && t.objects.Remove(k)
}

// OnDisk reports whether the disk has an object, as far as its index knows.
func (s *Stock) OnDisk(k *store.Key) bool {
	t := s.disk().tier()
	return t != nil && t.objects.Find(k)
}

// Load brings an object from the disk into memory; false when it cannot be had so. It blocks.
func (s *Stock) Load(k store.Key) bool {
	t := s.disk().tier()
	return t != nil && t.load(s.Memory, k)
}

// Sight is an object as Look saw it.
type Sight struct {
	Head    []byte // a copy
	Size    int64  // of the body, in bytes
	Hits    uint32
	Checked uint64 // the last purge that it was held against
	Disk    bool   // it is there and not in memory
}

// Look looks for an object in memory and then on disk, and counts nothing. It blocks.
func (s *Stock) Look(k store.Key) (o Sight, ok bool) {
	if r, ok := s.Memory.Peek(k); ok {
		defer r.Release()
		return Sight{Head: bytes.Clone(r.Head()), Size: r.Size(), Hits: r.Hits(), Checked: r.Checked()}, true
	}
	t := s.disk().tier()
	if t == nil {
		return o, false
	}
	r, _, _, err := t.objects.Read(k, nil)
	if err != nil {
		return o, false
	}
	return Sight{Head: r.Head, Size: int64(len(r.Body)), Disk: true}, true
}
