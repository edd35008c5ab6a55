// Package insight estimates, from a sample of what the cache is asked for, what it would do with another budget, and
// finds what it is asked for in vain most often. Its cost and its memory are bounded, whatever clients ask for.
//
// It holds no objects, reads no clock and starts nothing: it is told of requests and answers questions. Counting what did
// happen is the edge's.
//
// # The curve
//
// What the hit ratio would be with half or twice the memory is found by miniature simulation (Waldspurger, Saemundsson,
// Ahmad, Park: "Cache Modeling and Optimization using Miniature Simulations", ATC 2017): of all keys a small part is
// chosen by hash, and these keys alone are replayed against small caches, each with the same part of a budget. The caches
// are instances of the policy that the store evicts by, so nothing is assumed of it; a curve of LRU's reuse distances
// (Waldspurger, Park, Garthwaite, Ahmad: "Efficient MRC Construction with SHARDS", FAST 2015), the usual way, would be
// wrong for a policy that goes by hits per byte. From that paper is the sample of bounded size: when the small caches
// hold more objects than Objects, half of the keys leave the sample.
package insight
