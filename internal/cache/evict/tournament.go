package evict

import "math"

// tournament finds the least of the values of all queues.
type tournament struct {
	values [queueCount]uint64 // of the head of each queue; the highest number for an empty one
	// winners[i] is the queue with the least value below node i; 1 is the root, and the children of i are 2i and 2i+1.
	winners [queueCount]uint8
}

func (t *tournament) init() {
	for i := range t.values {
		t.values[i] = math.MaxUint64
	}
	for i := uint32(0); i < queueCount; i += 2 {
		t.set(i, math.MaxUint64)
	}
}

func (t *tournament) winner() uint32 { return uint32(t.winners[1]) }

func (t *tournament) set(queue uint32, value uint64) {
	t.values[queue] = value
	i := (queueCount + queue) / 2
	w := queue
	if other := queue ^ 1; t.less(other, w) {
		w = other
	}
	t.winners[i] = uint8(w)
	for i > 1 {
		if other := uint32(t.winners[i^1]); t.less(other, w) {
			w = other
		}
		i /= 2
		t.winners[i] = uint8(w)
	}
}

// less breaks ties by the number of the queue, so that the order of calls before does not matter.
func (t *tournament) less(a, b uint32) bool {
	return t.values[a] < t.values[b] || t.values[a] == t.values[b] && a < b
}
