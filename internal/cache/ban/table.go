package ban

import (
	"math/bits"
	"slices"
	"sync/atomic"
)

// table maps hashes to the newest purges that named them: open addressing, at most half full, read without a lock
// while one writer adds. Entries are never removed; a table with less in it is a new one.
type table struct {
	slots []slot
	used  atomic.Int64 // only the writer changes it
}

type slot struct {
	hash       atomic.Uint64 // 0: free
	soft, hard atomic.Uint64
}

func newTable(room int) *table {
	n := 64
	for n < room {
		n *= 2
	}
	return &table{slots: make([]slot, n)}
}

// find returns the slot of a hash, or the free one where it would be.
func (t *table) find(hash uint64) *slot {
	mask := uint64(len(t.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		if h := t.slots[i].hash.Load(); h == hash || h == 0 {
			return &t.slots[i]
		}
	}
}

func (t *table) verdict(hash uint64, at Seq) Verdict {
	s := t.find(hash)
	if s.hash.Load() != hash {
		return None
	}
	switch {
	case Seq(s.hard.Load()) > at:
		return Hard
	case Seq(s.soft.Load()) > at:
		return Soft
	}
	return None
}

func (t *table) has(hash uint64) bool { return t.find(hash).hash.Load() == hash }

// put enters a purge; the caller has seen to it that there is room. The hash is published last.
func (t *table) put(hash uint64, seq Seq, hard bool) {
	s := t.find(hash)
	if hard {
		s.hard.Store(max(s.hard.Load(), uint64(seq)))
	} else {
		s.soft.Store(max(s.soft.Load(), uint64(seq)))
	}
	if s.hash.Load() == 0 {
		s.hash.Store(hash)
		t.used.Add(1)
	}
}

// each calls f for every entry.
func (t *table) each(f func(hash uint64, soft, hard Seq)) {
	for i := range t.slots {
		if h := t.slots[i].hash.Load(); h != 0 {
			f(h, Seq(t.slots[i].soft.Load()), Seq(t.slots[i].hard.Load()))
		}
	}
}

// counts reports whether an entry says more than a line does.
func counts(soft, hard Seq, past line) bool {
	return hard > past.hard || soft > max(past.soft, past.hard)
}

func (t *table) countAfter(past line) (n int) {
	t.each(func(_ uint64, soft, hard Seq) {
		if counts(soft, hard, past) {
			n++
		}
	})
	return n
}

func (t *table) copyTo(to *table, past line) {
	t.each(func(hash uint64, soft, hard Seq) {
		if !counts(soft, hard, past) {
			return
		}
		if soft > 0 {
			to.put(hash, soft, false)
		}
		if hard > 0 {
			to.put(hash, hard, true)
		}
	})
}

// halve returns the line that stands for the older half of the entries, and how many are left behind it.
func (t *table) halve(past line) (kept int, _ line) {
	var all []Seq
	t.each(func(_ uint64, soft, hard Seq) { all = append(all, max(soft, hard)) })
	slices.Sort(all)
	middle := all[len(all)/2]
	t.each(func(_ uint64, soft, hard Seq) {
		if max(soft, hard) > middle {
			return
		}
		past.raise(hard, true)
		past.raise(soft, false)
	})
	return t.countAfter(past), past
}

// TagHash is the hash of a tag as objects carry it. It is the same in every process, since objects outlive one: tags are
// the app's to choose, and two that meet purge too much, never too little.
func TagHash[T []byte | string](tag T) uint64 { return hash(offset, tag) }

// The entries of tags, URLs and paths share one table, each kind from its own beginning.
func tagEntry(tag uint64) uint64 { return finish(tag ^ 0x9e3779b97f4a7c15) }

func urlEntry[H, P []byte | string](host H, path P) uint64 {
	return finish(hash(hash(hash(mix(offset^1), host), "\x00"), path))
}

func pathEntry[H, P []byte | string](host H, path P) uint64 {
	return finish(hash(hash(hash(mix(offset^2), host), "\x00"), path))
}

const (
	offset = 0xcbf29ce484222325
	prime  = 0x9fb21c651e98df25
)

// hash takes eight bytes at a time; finish spreads what it leaves.
func hash[T []byte | string](h uint64, s T) uint64 {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		h = mix(h ^ w)
	}
	for ; i < len(s); i++ {
		h = mix(h ^ uint64(s[i]) ^ 0xff00)
	}
	return mix(h ^ uint64(len(s))<<32)
}

func mix(h uint64) uint64 {
	hi, lo := bits.Mul64(h^prime, prime)
	return hi ^ lo ^ bits.RotateLeft64(h, 29)
}

// finish never returns 0, which is a free slot.
func finish(h uint64) uint64 {
	h = mix(h)
	if h == 0 {
		return 1
	}
	return h
}
