package stock

import (
	"sync"

	"github.com/weirhq/weir/internal/cache/insight"
)

// Insight says what other sizes would do, by a miniature simulation. It is one for all loops, since it must see every request for
// a key, and takes what they saw in batches: one request in eight at the most is in its sample, and one in some hundred waits for its mutex, or
// rather goes on if somebody has it.
type Insight struct {
	mu    sync.Mutex
	curve *insight.Curve
}

// sampledObjects bounds the miniature simulation, to a few MiB.
const sampledObjects = 8192

func (n *Insight) open(memory int64) {
	n.curve = insight.NewCurve(memory, sampledObjects)
}

// resize tells of another budget.
func (n *Insight) resize(memory int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.curve.Resize(memory)
}

// Takes reports whether a request for a key with a hash is in the sample.
func (n *Insight) Takes(hash uint64) bool { return n.curve.Takes(hash) }

// Replay takes a loop's batch, which stands for so many requests. When another loop is at it, it is left out, with all that it stands for,
// unless it must not be: then it blocks.
func (n *Insight) Replay(requests int, batch []insight.Access, must bool) {
	if must {
		n.mu.Lock()
	} else if !n.mu.TryLock() {
		return
	}
	defer n.mu.Unlock()
	n.curve.Count(requests)
	for i := range batch {
		n.curve.Access(&batch[i])
	}
}

// Estimates are what other sizes would do, and rate which part of the keys that is from.
func (n *Insight) Estimates() (all []insight.Estimate, rate float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	all, _ = n.curve.Estimates()
	return all, n.curve.Rate()
}
