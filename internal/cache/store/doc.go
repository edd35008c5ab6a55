// Package store holds what the cache has stored: objects in memory outside Go's heap, found by a 128-bit key.
//
// An object is a head (bytes that only the caller understands) and a body. It never changes once it is committed: a
// new version, or a new head for the same body, is a new object under the same key, and whoever was reading the old
// one reads it to its end. The store knows nothing of HTTP, of freshness, or of who may be served what; it answers
// "is there something under this key", keeps its budget, and chooses what goes when room is needed.
//
// # Memory
//
// There are three mapped areas, none of which the collector sees: the arena (heads and bodies), the slots (one of 64
// bytes per object, one cache line, all that a look-up touches besides the index), and the index.
//
// The arena is a buddy allocator over granules of 64 bytes in steps of 2 MiB. Two things make it waste little. What
// was asked for is cut out of a block exactly, and the rest of the block goes back: no rounding to a power of two, 32
// bytes lost on average. And a body may be in several pieces: when there is no block large enough for the whole,
// smaller ones will do. So any free memory serves any object, whatever sizes the site had yesterday. Size classes with
// pages of their own were the alternative: they round up by an eighth or so, and when the sizes change, pages of the
// old classes have to be emptied before the new ones can have them. A log was the other: eviction by anything but age
// then means copying what stays.
//
// The budget covers all three areas. The arena takes another step only while the sum stays below the budget, and
// slots and index that need more later make the arena give a step back.
//
// # Looking up
//
// Get takes no lock. The index is a table of lines of 64 bytes that grows by one line at a time (linear hashing), so
// there is no moment at which a large table is copied. Entries are single atomic words; a reader that missed while a
// line was being split sees that by a version and looks again. An object is pinned by one compare-and-swap on its
// slot, which fails for a slot that is no longer live; slots are never used for anything else, so a late reader does
// no harm. Everything that changes anything is done under one mutex, in pieces of bounded size.
package store
