package exposition

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/metrics"
)

// The classic buckets end at powers of two, because these are bounds of the histograms that loops keep: what is told is exact.
const (
	firstClassic = -10 // 2^-10 seconds, about a millisecond
	lastClassic  = 5   // 32 seconds
	perOctave    = 1 << metrics.Schema
)

// classicEnd returns the index of the bucket that ends at 2^e seconds.
func classicEnd(e int) int { return e*perOctave - metrics.FirstExponent }

// bucketOf is the exponent of the classic bucket that a duration in seconds is in, lastClassic+1 for that without an end.
func bucketOf(took float64, step int) int {
	for e := firstClassic; e <= lastClassic; e += step {
		if took <= math.Ldexp(1, e) {
			return e
		}
	}
	return lastClassic + 1
}

// step is how many powers of two a classic bucket spans.
func (f *family) step() int {
	if f.coarse {
		return 3 // 1 ms, 8 ms, 63 ms, 0.5 s, 4 s, 32 s
	}
	return 1
}

// text is the text format of Prometheus, version 0.0.4, or OpenMetrics 1.0.
type text struct {
	open    bool
	created time.Time // when counting began
	dst     []byte
	begun   bool
}

func (t *text) label(s set, name, value string) set {
	if len(s) > 0 {
		s = append(s, ',')
	}
	s = append(s, name...)
	s = append(s, `="`...)
	return append(appendEscaped(s, value), '"')
}

// appendEscaped writes a label's value. What is not UTF-8 has no place in the formats.
func appendEscaped(dst []byte, v string) []byte {
	if !utf8.ValidString(v) {
		v = strings.ToValidUTF8(v, "\uFFFD")
	}
	for i := range len(v) {
		switch c := v[i]; c {
		case '\\', '"':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

func (t *text) begin(f *family) {
	if t.begun {
		return
	}
	t.begun = true
	name := f.name
	if t.open {
		name = strings.TrimSuffix(name, "_total") // OpenMetrics, section "Counter": the family's name is without it
	}
	t.dst = append(append(append(append(t.dst, "# HELP "...), name...), ' '), f.help...)
	t.dst = append(append(append(append(t.dst, "\n# TYPE "...), name...), ' '), f.kind.String()...)
	t.dst = append(t.dst, '\n')
}

func (t *text) end() { t.begun = false }

func (t *text) sample(f *family, s set, v float64) {
	t.begin(f)
	t.dst = append(t.dst, f.name...)
	if len(s) > 0 {
		t.dst = append(append(append(t.dst, '{'), s...), '}')
	}
	t.value(v)
	t.tellCreated(f, s)
}

func (t *text) by(f *family, s set, name, value string, v float64) {
	t.begin(f)
	t.dst = append(append(t.dst, f.name...), '{')
	t.dst = append(t.dst, s...)
	if len(s) > 0 {
		t.dst = append(t.dst, ',')
	}
	t.dst = append(append(t.dst, name...), `="`...)
	t.dst = append(appendEscaped(t.dst, value), `"}`...)
	t.value(v)
}

func (t *text) value(v float64) {
	t.dst = append(appendFloat(append(t.dst, ' '), v), '\n')
}

// tellCreated tells when a counter began, of those that are one of a kind: for each route and server it would be as many series more.
func (t *text) tellCreated(f *family, s set) {
	if !t.open || !f.wide || f.kind == Gauge || t.created.IsZero() {
		return
	}
	t.dst = append(append(t.dst, strings.TrimSuffix(f.name, "_total")...), "_created"...)
	if len(s) > 0 {
		t.dst = append(append(append(t.dst, '{'), s...), '}')
	}
	t.value(float64(t.created.UnixMilli()) / 1e3)
}

func (t *text) histogram(f *family, s set, h *metrics.Histogram, slow *api.Exemplar) {
	t.begin(f)
	if !t.open {
		slow = nil
	}
	slowIn := lastClassic + 2
	if slow != nil {
		slowIn = bucketOf(slow.Took, f.step())
	}
	next, n := 0, uint64(0)
	for e := firstClassic; e <= lastClassic; e += f.step() {
		for end := classicEnd(e); next <= end; next++ {
			n += h.Buckets[next]
		}
		t.bucket(f, s, bounds(t.open)[e-firstClassic], n)
		t.exemplar(slow, slowIn == e)
	}
	for ; next < metrics.NumBuckets; next++ {
		n += h.Buckets[next]
	}
	t.bucket(f, s, "+Inf", n)
	t.exemplar(slow, slowIn == lastClassic+1)
	t.part(f, s, "_sum", h.Sum.Seconds())
	t.part(f, s, "_count", float64(n))
	t.tellCreated(f, s)
}

func (t *text) bucket(f *family, s set, bound string, n uint64) {
	t.dst = append(append(t.dst, f.name...), "_bucket{"...)
	t.dst = append(t.dst, s...)
	if len(s) > 0 {
		t.dst = append(t.dst, ',')
	}
	t.dst = append(append(append(t.dst, `le="`...), bound...), `"} `...)
	t.dst = append(strconv.AppendUint(t.dst, n, 10), '\n')
}

func (t *text) part(f *family, s set, suffix string, v float64) {
	t.dst = append(append(t.dst, f.name...), suffix...)
	if len(s) > 0 {
		t.dst = append(append(append(t.dst, '{'), s...), '}')
	}
	t.value(v)
}

// exemplar puts a request behind the bucket that was just told.
func (t *text) exemplar(slow *api.Exemplar, here bool) {
	if slow == nil || !here {
		return
	}
	labels := exemplarLabels(slow)
	if len(labels) == 0 {
		return
	}
	t.dst = append(t.dst[:len(t.dst)-1], " # {"...)
	var s set
	for _, l := range labels {
		s = t.label(s, l[0], l[1])
	}
	t.dst = append(append(t.dst, s...), "} "...)
	t.dst = appendFloat(t.dst, slow.Took)
	t.value(float64(slow.At) / 1e3)
}

// maxExemplar is what names and values of an exemplar's labels may have together (OpenMetrics, section "Exemplars").
const maxExemplar = 128

// exemplarLabels are those of a request that fit: a trace before an id, since more can be found by it.
func exemplarLabels(slow *api.Exemplar) (all [][2]string) {
	left := maxExemplar
	for _, l := range [][2]string{{"trace_id", slow.Trace}, {"request_id", slow.ID}} {
		if n := len(l[0]) + utf8.RuneCountInString(l[1]); l[1] != "" && n <= left {
			left -= n
			all = append(all, l)
		}
	}
	return all
}

func (t *text) bytes() []byte {
	if t.open {
		t.dst = append(t.dst, "# EOF\n"...)
	}
	return t.dst
}

// bounds are the ends of the classic buckets. OpenMetrics wants all of them to look like fractions.
func bounds(open bool) []string {
	if open {
		return openBounds[:]
	}
	return textBounds[:]
}

var textBounds, openBounds = func() (plain, open [lastClassic - firstClassic + 1]string) {
	for e := firstClassic; e <= lastClassic; e++ {
		s := strconv.FormatFloat(math.Ldexp(1, e), 'g', -1, 64)
		plain[e-firstClassic] = s
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		open[e-firstClassic] = s
	}
	return plain, open
}()

// appendFloat writes a value. Most are whole numbers, which are cheaper to write.
func appendFloat(dst []byte, v float64) []byte {
	switch {
	case v == math.Trunc(v) && math.Abs(v) < 1e15:
		return strconv.AppendInt(dst, int64(v), 10)
	case math.IsInf(v, 1):
		return append(dst, "+Inf"...)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}
