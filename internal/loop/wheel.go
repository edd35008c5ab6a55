package loop

import "math/bits"

// The timer wheel: six levels of 64 slots, a tick of 8.4 ms. A timer lies on the level of the highest base-64 digit in
// which its tick differs from the wheel's, so every occupied slot of a level lies ahead of the wheel's own digit
// there, and what a lower level holds is due before anything on a higher one. The next thing to do is thus the lowest bit of
// the first level that is not empty: a loop knows in a few instructions how long it may sleep, however many timers
// there are. A slot of a higher level is spread over the lower ones when its time begins (at most five times in the
// life of a timer). A heap was rejected: it costs a logarithm for each re-arming, and its memory is one more thing that grows.
const (
	tickShift   = 23 // a tick is 1<<23 ns
	wheelDigit  = 6
	wheelSlots  = 1 << wheelDigit
	wheelLevels = 6
	lastTick    = 1<<(wheelDigit*wheelLevels) - 1 // 18 years
)

// timed owns a timer. Deadlines are kept by the owner and the timer may be set earlier than they ask for, since
// postponing a deadline does not move it: so expire looks at the deadlines themselves, and arms the timer anew if
// there is one still to come.
type timed interface{ expire(now Time) }

// timer is a node of the wheel, a part of its owner.
type timer struct {
	next, prev *timer
	owner      timed
	tick       int64
	slot       int32 // 1 + level*wheelSlots + digit; 0 when not in the wheel
}

type wheel struct {
	tick  int64
	used  [wheelLevels]uint64
	slots [wheelLevels * wheelSlots]*timer
}

// tickOf is the first tick at which at has passed, so that nothing expires early.
func tickOf(at Time) int64 {
	if at > lastTick<<tickShift {
		return lastTick
	}
	return (at + (1<<tickShift - 1)) >> tickShift
}

// by makes sure that t expires no later than at needs; it leaves a timer alone that is set to expire earlier.
func (w *wheel) by(t *timer, at Time) {
	if t.slot != 0 && t.tick <= tickOf(at) {
		return
	}
	w.disarm(t)
	w.insert(t, tickOf(at))
}

// insert places a timer that is not in the wheel. A tick that has passed becomes the next one, so that an owner that
// always asks for the past cannot hold advance up for ever.
func (w *wheel) insert(t *timer, tick int64) {
	tick = max(tick, w.tick+1)
	t.tick = tick
	level := (bits.Len64(uint64(tick^w.tick)) - 1) / wheelDigit
	level = min(level, wheelLevels-1)
	digit := int(tick>>(level*wheelDigit)) & (wheelSlots - 1)
	i := level*wheelSlots + digit
	t.slot = int32(i) + 1
	t.prev, t.next = nil, w.slots[i]
	if t.next != nil {
		t.next.prev = t
	}
	w.slots[i] = t
	w.used[level] |= 1 << digit
}

// disarm takes a timer out of the wheel if it is in it.
func (w *wheel) disarm(t *timer) {
	if t.slot == 0 {
		return
	}
	i := int(t.slot) - 1
	if t.next != nil {
		t.next.prev = t.prev
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		w.slots[i] = t.next
		if t.next == nil {
			w.used[i/wheelSlots] &^= 1 << (i % wheelSlots)
		}
	}
	t.next, t.prev, t.slot = nil, nil, 0
}

// due returns the slot that is to be handled next and its tick; slot is -1 when the wheel is empty.
func (w *wheel) due() (slot int, tick int64) {
	for level, used := range &w.used {
		if used != 0 {
			digit := bits.TrailingZeros64(used)
			shift := level * wheelDigit
			above := w.tick >> (shift + wheelDigit) << (shift + wheelDigit)
			return level*wheelSlots + digit, above | int64(digit)<<shift
		}
	}
	return -1, 0
}

// next is when advance has something to do; 0 when there is no timer.
func (w *wheel) next() Time {
	slot, tick := w.due()
	if slot < 0 {
		return 0
	}
	return tick << tickShift
}

// advance brings the wheel to now and calls the owners of what has expired.
func (w *wheel) advance(now Time) {
	target := now >> tickShift
	for {
		slot, tick := w.due()
		if slot < 0 || tick > target {
			break
		}
		w.tick = tick
		for t := w.slots[slot]; t != nil; t = w.slots[slot] {
			tick := t.tick
			w.disarm(t)
			if tick <= w.tick {
				t.owner.expire(now)
			} else {
				w.insert(t, tick)
			}
		}
	}
	w.tick = max(w.tick, target)
}
