package health

import "time"

// startShare is where a slow start begins, in thousandths: enough for a request to come by.
const startShare = 100

// Share is the share of its weight that a server has, in thousandths, so long after it opened: from a tenth
// straight up to the whole. A curve would have to know what the server warms up.
func Share(since, length time.Duration) int {
	if length <= 0 || since >= length {
		return 1000
	}
	return startShare + int(float64(1000-startShare)*float64(max(since, 0))/float64(length))
}
