package evict

// ghosts remembers the frequency of objects that went. It is a table of buckets with a few fingerprints each, youngest
// first: what comes in pushes the oldest of its bucket out. A false match gives a stranger a little credit.
//
// The table doubles as the number of objects grows. The old one is still read until the new one has had time to
// fill; nothing is copied.
type ghosts struct {
	table, before []bucket
	puts          int // into table since it was made
}

const (
	ways        = 8
	leastGhosts = 64       // buckets
	ghostBits   = freqBits // of an entry for the frequency, the rest is fingerprint
	ghostsPer   = 2        // entries for each object that is in the cache
)

type bucket [ways]uint32

func (g *ghosts) init() { g.table = make([]bucket, leastGhosts) }

// fold makes the 32 bits of a hash that the policy keeps.
func fold(hash uint64) uint32 {
	return uint32((hash ^ hash>>32) * 0x9e3779b97f4a7c15 >> 32)
}

func place(table []bucket, hash uint32) (*bucket, uint32) {
	return &table[uint64(hash)*uint64(len(table))>>32], (hash*0x85ebca6b>>(ghostBits) | 1) << ghostBits
}

// put remembers an object. live is the number of objects in the cache.
func (g *ghosts) put(hash, freq uint32, live int) {
	if live*ghostsPer > len(g.table)*ways {
		g.before, g.table, g.puts = g.table, make([]bucket, 2*len(g.table)), 0
	}
	g.puts++
	if g.before != nil && g.puts > len(g.before)*ways {
		g.before = nil
	}
	b, mark := place(g.table, hash)
	copy(b[1:], b[:ways-1])
	b[0] = mark | freq
}

// take returns the frequency of an object that is remembered and forgets it, 0 when it is not.
func (g *ghosts) take(hash uint32) uint32 {
	if f := takeFrom(g.table, hash); f != 0 || g.before == nil {
		return f
	}
	return takeFrom(g.before, hash)
}

func takeFrom(table []bucket, hash uint32) uint32 {
	b, mark := place(table, hash)
	for i, e := range b {
		if e>>ghostBits<<ghostBits == mark {
			copy(b[i:], b[i+1:])
			b[ways-1] = 0
			return e & (1<<ghostBits - 1)
		}
	}
	return 0
}
