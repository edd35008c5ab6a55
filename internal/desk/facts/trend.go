package facts

import "time"

const (
	trendEvery  = 10 * time.Second
	trendPoints = 90 // a quarter of an hour
	trendLeast  = 30 // points that are needed to say anything: five minutes
	// straight is how much of what happens a line must explain (the square of the correlation).
	straight = 0.9
)

// trend is a quantity that may come to an end, as it was of late.
type trend struct {
	at    []time.Time
	value []float64
}

func (t *trend) note(at time.Time, v float64) {
	t.at, t.value = append(t.at, at), append(t.value, v)
	if n := len(t.at) - trendPoints; n > 0 {
		t.at, t.value = t.at[n:], t.value[n:]
	}
}

// ends says in which time from the last point on the quantity is used up, by the line that fits best; false: it does not shrink steadily.
func (t *trend) ends() (time.Duration, bool) {
	n := len(t.at)
	if n < trendLeast {
		return 0, false
	}
	var sx, sy, sxx, sxy, syy float64
	for i := range t.at {
		x, y := t.at[i].Sub(t.at[0]).Seconds(), t.value[i]
		sx, sy, sxx, sxy, syy = sx+x, sy+y, sxx+x*x, sxy+x*y, syy+y*y
	}
	c := float64(n)
	dx, dy, dxy := c*sxx-sx*sx, c*syy-sy*sy, c*sxy-sx*sy
	if dx <= 0 || dy <= 0 || dxy >= 0 || dxy*dxy < straight*dx*dy {
		return 0, false
	}
	seconds := t.value[n-1] / (-dxy / dx)
	if seconds > 1e9 {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}
