// Package metrics holds what is counted while requests are served: plain numbers that belong to one loop, added up by whoever
// asks. It knows neither requests nor formats of metrics.
package metrics

import (
	"errors"
	"math"
	"math/bits"
	"strconv"
	"time"
)

// Histogram counts durations by size. Each bucket ends at 2^(1/8) times the end of the one before, so whatever is read from it
// is at most 9 % off; these are the buckets of Prometheus's native histograms with schema 3. One goroutine at a time may use it; the zero
// value is empty. Observe neither allocates nor blocks.
type Histogram struct {
	Sum     time.Duration
	Buckets [NumBuckets]uint64 // bucket i ends at Bound(i), which is in it
}

const (
	// Schema is that of the native histogram which has these buckets.
	Schema = 3
	// FirstExponent is the index of bucket 0 in that: it ends at 2^(FirstExponent/8) seconds, 15 microseconds.
	FirstExponent = -16 * 8
	// NumBuckets reach to 2^9 seconds. The first has all below, the last all above.
	NumBuckets = 25*8 + 1
)

// octave are the bounds within one: 2^(k/8) as parts of 2^32, for k from 1 to 7.
var octave [7]uint32

// bounds are the ends of the buckets in nanoseconds.
var bounds [NumBuckets]time.Duration

func init() {
	for k := range octave {
		octave[k] = uint32((math.Exp2(float64(k+1)/8) - 1) * (1 << 32))
	}
	for i := range bounds {
		bounds[i] = time.Duration(math.Exp2(float64(FirstExponent+i)/8) * 1e9)
	}
}

// Bound returns where a bucket ends.
func Bound(i int) time.Duration { return bounds[i] }

// Observe counts one duration. Negative ones count as none.
func (h *Histogram) Observe(d time.Duration) {
	h.Sum += max(d, 0)
	h.Buckets[bucket(d)]++
}

// bucket is the index of the one that a duration belongs in.
func bucket(d time.Duration) int {
	if d <= bounds[0] {
		return 0
	}
	// Seconds as a fixed-point number with 30 binary places would lose the small ones: ns times 2^30/10^9, with 32 places more.
	hi, lo := bits.Mul64(uint64(d), 4_611_686_018) // 2^62/10^9: seconds in parts of 2^62
	n := 127 - bits.LeadingZeros64(hi)             // the highest bit that is set, of 128
	var frac uint32
	if hi == 0 {
		n = 63 - bits.LeadingZeros64(lo)
		frac = uint32(lo << (63 - n) << 1 >> 32)
	} else {
		lead := bits.LeadingZeros64(hi)
		frac = uint32((hi<<lead | lo>>(64-lead)) << 1 >> 32)
	}
	i := (n-62)*8 - FirstExponent
	for _, b := range octave {
		if frac <= b {
			break
		}
		i++
	}
	return min(max(i+1, 0), NumBuckets-1)
}

// Count returns how many durations were counted.
func (h *Histogram) Count() (n uint64) {
	for _, b := range h.Buckets {
		n += b
	}
	return n
}

// Add adds what another one has counted.
func (h *Histogram) Add(o *Histogram) {
	h.Sum += o.Sum
	for i, n := range o.Buckets {
		h.Buckets[i] += n
	}
}

// Since returns what has been counted since an earlier state of the same histogram. Where less is counted than was then, counting has begun
// anew, or a part of a sum is no more: nothing is known of that bucket, which is better than a number that has gone below 0.
func (h *Histogram) Since(o *Histogram) Histogram {
	d := Histogram{Sum: max(h.Sum-o.Sum, 0)}
	for i, n := range h.Buckets {
		d.Buckets[i] = n - min(n, o.Buckets[i])
	}
	return d
}

// Quantile returns the duration that a share q (0 to 1) of those counted do not exceed, taken within a bucket as if they were
// spread evenly; 0 when there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	count := h.Count()
	if count == 0 {
		return 0
	}
	rank, below := q*float64(count), 0.0
	for i, n := range h.Buckets {
		if n == 0 {
			continue
		}
		if below+float64(n) >= rank {
			from := time.Duration(0)
			if i > 0 {
				from = bounds[i-1]
			}
			return from + time.Duration(float64(bounds[i]-from)*max(rank-below, 0)/float64(n))
		}
		below += float64(n)
	}
	return bounds[NumBuckets-1]
}

// MarshalJSON writes a string: the sum in nanoseconds, the index of the first bucket that is not empty, and the counts from there up to the
// last that is not, with blanks between. A reader of a thousand of them, once a second, would pay dearly for arrays.
func (h Histogram) MarshalJSON() ([]byte, error) {
	first, end := 0, NumBuckets
	for end > 0 && h.Buckets[end-1] == 0 {
		end--
	}
	for first < end && h.Buckets[first] == 0 {
		first++
	}
	text := append(make([]byte, 0, 32+4*(end-first)), '"')
	text = strconv.AppendInt(text, int64(h.Sum), 10)
	text = append(text, ' ')
	text = strconv.AppendInt(text, int64(first), 10)
	for _, n := range h.Buckets[first:end] {
		text = append(text, ' ')
		text = strconv.AppendUint(text, n, 10)
	}
	return append(text, '"'), nil
}

var errForm = errors.New("a histogram is written as a string of numbers")

// UnmarshalJSON reads what MarshalJSON wrote.
func (h *Histogram) UnmarshalJSON(text []byte) error {
	*h = Histogram{}
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return errForm
	}
	text = text[1 : len(text)-1]
	at := -2 // the sum, the first bucket, then buckets
	for len(text) > 0 {
		n, size := number(text)
		if size == 0 || size < len(text) && (text[size] != ' ' || size+1 == len(text)) {
			return errForm
		}
		text = text[min(size+1, len(text)):]
		switch {
		case at == -2:
			h.Sum = time.Duration(n)
		case at == -1:
			if n > NumBuckets {
				return errForm
			}
			at = int(n) - 1
		case at >= NumBuckets:
			return errForm
		default:
			h.Buckets[at] = n
		}
		at++
	}
	if at < 0 {
		return errForm
	}
	return nil
}

// number reads digits; size is 0 where there are none, or too many.
func number(text []byte) (n uint64, size int) {
	for size < len(text) && text[size] >= '0' && text[size] <= '9' {
		d := uint64(text[size] - '0')
		if n > (1<<63-1-d)/10 {
			return 0, 0
		}
		n = n*10 + d
		size++
	}
	return n, size
}
