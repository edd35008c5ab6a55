// Package store keeps responses in memory: opaque heads and bodies under 128-bit keys, outside of Go's heap, within a
// budget of bytes that counts everything (docs/adr/0009-cache-memory.md). It knows nothing of HTTP: what may be kept, and for how long, is
// the cache's decision.
//
// An object is immutable: a head, a body and a count of readers. A reader holds a Ref, and what it reads stays until it is
// released, also when the object has been replaced, deleted or evicted meanwhile. A Fill is an object that is being made:
// what has been written of it can be read at once, on any thread.
//
// All methods may be called from any goroutine. The locks are held for tens of nanoseconds on the way of a hit; making
// room takes bounded work.
package store
