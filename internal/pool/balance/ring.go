package balance

import "math"

// ring is points on a circle of 2^32, in order; a point belongs to a server, and so does all that lies between it and the
// point before. A server's points depend on itself alone.
type ring struct {
	points []point
	first  []uint32 // by the upper bits of a place: the first point there or behind
	shift  uint
}

type point struct {
	at     uint32
	member uint32
}

const (
	// pointsEach is how many points the heaviest server has, and so how even shares are: within a twentieth, mostly.
	pointsEach = 512
	// maxPoints bounds a ring: beyond it all servers have fewer.
	maxPoints = 1 << 19
)

// newRing makes a ring of the effective weights of the moment. What a weight is worth in points depends on the highest
// configured weight, not on effective ones, so that a server that starts slowly takes nothing from others but what becomes its own.
func newRing(members []Member) ring {
	var heaviest, total uint64
	for i := range members {
		heaviest = max(heaviest, members[i].configured())
		total += members[i].weight()
	}
	if total == 0 {
		return ring{}
	}
	each := pointsEach / (float64(heaviest) * 1000)
	if all := each * float64(total); all > maxPoints {
		each *= maxPoints / all
	}
	var points []point
	for i := range members {
		m := &members[i]
		w := m.weight()
		if w == 0 {
			continue
		}
		key := mix(m.Key)
		for range max(1, int(math.Round(each*float64(w)))) {
			key += golden
			points = append(points, point{uint32(mix(key) >> 32), uint32(i)})
		}
	}
	return sorted(points, members)
}

// sorted puts points in order by their upper bits, and among the few that share those one by one: they are spread evenly, so that this takes
// a time in proportion to their number.
func sorted(points []point, members []Member) ring {
	r := ring{shift: 32}
	for 1<<(32-r.shift) < len(points) {
		r.shift--
	}
	cells := 1 << (32 - r.shift)
	r.first = make([]uint32, cells+1)
	for _, p := range points {
		r.first[uint64(p.at)>>r.shift+1]++
	}
	for i := range cells {
		r.first[i+1] += r.first[i]
	}
	r.points = make([]point, len(points))
	filled := append([]uint32(nil), r.first[:cells]...)
	for _, p := range points {
		c := uint64(p.at) >> r.shift
		i := filled[c]
		filled[c]++
		for ; i > r.first[c] && p.before(r.points[i-1], members); i-- {
			r.points[i] = r.points[i-1]
		}
		r.points[i] = p
	}
	return r
}

// before orders two points. Where they lie on each other the servers decide, not their places in the list.
func (p point) before(o point, members []Member) bool {
	return p.at < o.at || p.at == o.at && members[p.member].Key < members[o.member].Key
}

// at returns the member to whom a place belongs. The ring must have points.
func (r *ring) at(place uint32) uint32 {
	i := r.first[uint64(place)>>r.shift]
	for ; i < uint32(len(r.points)); i++ {
		if r.points[i].at >= place {
			return r.points[i].member
		}
	}
	return r.points[0].member
}
