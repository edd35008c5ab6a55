// Package evict chooses which object of the cache goes when room is needed.
//
// It holds no objects. The caller numbers them with slots, tells the policy of every object that came, was hit or
// went, and asks for victims. Nothing in here reads a clock or a random number: the same calls give the same victims.
// What may be stored, and for how long, is decided elsewhere; the policy knows only sizes and hits.
//
// # The rule
//
// An object is worth its hits per byte: what a byte of memory earns counts, so a large object has to be asked for more
// often than a small one to stay. The policy is GreedyDual-Size-Frequency (Cherkasova 1998) made for a cache with
// millions of objects and hits from several threads. An object that comes in is given the value
//
//	clock + frequency / size
//
// and the one with the lowest value goes; the clock is the value of the last that went. So what is not hit any
// more is overtaken by what comes later, the sooner the less it was worth, and no counter has to be halved.
//
// The textbook keeps a heap and moves an object within it at each hit. Here a hit only counts. Objects of the same
// frequency/size, rounded to a fifth of an octave or so, wait in one queue; as the clock only rises, the queue's order
// is that of their values, and the lowest of all is the head of one of 128 queues, which a small tournament finds.
// The head is looked at when its turn comes: hit since, it queues again by what was counted; not hit, it goes.
//
// # Admission
//
// Every object comes in, but one that nobody is known to want has frequency 1 and is the next to go unless it is small.
// What went is remembered by a fingerprint with its frequency for as long as a few times the number of objects takes
// to pass, and continues from there when it comes back. A scan, or a crowd of objects asked for once, thus pushes out
// its own like.
package evict
