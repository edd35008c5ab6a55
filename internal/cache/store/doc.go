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
// The arena hands out runs of granules of 64 bytes within steps of 2 MiB. Free runs are joined with their neighbours
// at once and listed by length, so a run that fits closely is found in a few instructions (two-level segregated fit).
// A body may be in several pieces: when no run holds the whole, shorter ones will do. So any free memory serves any
// object, whatever sizes the site had yesterday. In a full store of 256 MiB under replacement, heads and bodies were
// 98 % of all memory with sizes log-normal around 8 KiB (and 90 % with bodies of 1 KiB, where slot and index count);
// a buddy allocator, tried first, came to 92 % (84 %): what it cannot join for want of alignment lies idle. Size
// classes with pages of their own round up by an eighth or so, and when the sizes change, pages of the old classes
// have to be emptied before the new ones can have them. A log would need to copy what stays.
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
