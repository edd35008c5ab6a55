package balance

// leastConn picks the server with the fewest requests under way for its weight, this one counted: the least of
// (active+1)/weight. Among equals the one that comes first after the last one picked wins, so that equals are taken in turn.
type leastConn struct {
	places  []*Places
	weights []uint64
	most    uint64 // the highest weight
}

func newLeastConn(places []*Places, weights []int) *leastConn {
	l := &leastConn{places: places, weights: make([]uint64, len(weights))}
	for i, w := range weights {
		l.weights[i] = uint64(min(max(w, 1), 1<<16)) // a product with a count stays far below 64 bits
		l.most = max(l.most, l.weights[i])
	}
	return l
}

func (l *leastConn) Pick(q Query) int {
	n := uint32(len(l.places))
	if n == 0 {
		return -1
	}
	i := q.Cursor.next
	if i >= n {
		i %= n
	}
	best, bestLoad, bestWeight := -1, uint64(0), uint64(1)
	for range n {
		k := i
		if i++; i == n {
			i = 0
		}
		p := l.places[k]
		w := p.load()
		if !w.free(q.Limit, q.Any) || (len(q.Skip) > 0 && !fits(p, &q)) {
			continue
		}
		load, weight := uint64(w.active())+1, l.weights[k]
		// a/b < c/d without a division
		if best < 0 || load*bestWeight < bestLoad*weight {
			best, bestLoad, bestWeight = int(k), load, weight
			if load == 1 && weight == l.most {
				break // none can be better
			}
		}
	}
	if best >= 0 {
		q.Cursor.next = uint32(best) + 1
	}
	return best
}
