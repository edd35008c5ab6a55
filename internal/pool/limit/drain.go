package limit

import "time"

// Drain measures how fast a queue is served, so that those who are turned away can be told when to come back. It is not safe for
// concurrent use; the zero value has seen nothing.
type Drain struct {
	began  int64   // of the count
	served float64 // since then
	rate   float64 // a second, until then; 0: not known
}

const drainWindow = int64(time.Second)

// Served notes that somebody got what he waited for.
func (d *Drain) Served(now int64) {
	d.roll(now)
	d.served++
}

// roll ends the count when it is a window old. A rate counts half of what the last one did.
func (d *Drain) roll(now int64) {
	past := now - d.began
	if d.began != 0 && past < drainWindow {
		return
	}
	if d.began != 0 && past < 16*drainWindow {
		rate := d.served / (float64(past) / 1e9)
		if d.rate > 0 {
			rate = (rate + d.rate) / 2
		}
		d.rate = rate
	} else {
		d.rate = 0 // nobody waited for long: it says nothing any more
	}
	d.began, d.served = now, 0
}

// Bounds of what RetryAfter says.
const (
	minRetryAfter = time.Second
	maxRetryAfter = time.Minute
)

// RetryAfter is when someone who was turned away may come back: when those who wait now will have been served, in
// whole seconds. random is any number; half as much again is spread over it, so that those who are turned away together do
// not come back together.
func (d *Drain) RetryAfter(waiting int, now int64, random uint32) time.Duration {
	d.roll(now)
	rate := d.rate
	if rate == 0 && now > d.began {
		rate = d.served / max(float64(now-d.began)/1e9, 0.1)
	}
	wait := maxRetryAfter / 4 // nobody was served: it is not known when
	if rate > 0 {
		wait = time.Duration(min(float64(waiting)/rate, maxRetryAfter.Seconds()) * 1e9)
	}
	return Spread(wait, random)
}

// Spread makes a wait a number of seconds from 1 to 60, up to half as long again (and 1 s at least) by a random number.
func Spread(wait time.Duration, random uint32) time.Duration {
	wait = min(max((wait+time.Second-1).Truncate(time.Second), minRetryAfter), maxRetryAfter)
	seconds := uint64(wait / time.Second)
	more := max(seconds/2, 1) + 1
	return min(wait+time.Duration(uint64(random)*more>>32)*time.Second, maxRetryAfter)
}
