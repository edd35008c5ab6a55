package evict

import "math/bits"

// priors hold what to expect of an object on which nothing was counted yet: the frequency that others of about its
// size turned out to have, from how many of them were hit in their first turn. One for objects never seen, one for
// those that come back.
//
// It matters because the sizes differ so much. Of small objects nearly all are worth a try, of large ones few, and
// behind a crowd of objects that are asked for once nothing new is. A fixed frequency for what is new is right for
// one of them and gives away some per cent of all hits with the others.
type priors [2][33]uint32 // by the number of bits of the size; in 1/65536

const (
	stranger  = 0
	returned  = 1
	priorOne  = 1 << 16
	priorRate = 8 // an object moves the mean by 1/256
	priorHits = 2 // a few that are hit all the time say nothing of the others
	priorMost = 2 * one
)

func (p *priors) init() {
	for k := range p {
		for i := range p[k] {
			p[k][i] = priorOne
		}
	}
}

// expect returns the frequency to begin with.
func (p *priors) expect(kind int, size uint32) uint32 {
	f := (uint64(p[kind][bits.Len32(size)])*one + priorOne/2) / priorOne
	return uint32(min(max(f, 1), priorMost))
}

// learn takes the first turn of an object into account: at a frequency of freq it was hit that many times. One at the
// edge of being evicted is hit as often as its frequency says.
func (p *priors) learn(kind int, size, freq, hits uint32) {
	e := &p[kind][bits.Len32(size)]
	got := int64(min(hits, priorHits)) * one * priorOne / int64(freq)
	*e = uint32(int64(*e) + (got-int64(*e))>>priorRate)
}
