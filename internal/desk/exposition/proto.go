package exposition

import (
	"encoding/binary"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/metrics"
)

// proto is Prometheus's protobuf format: messages io.prometheus.client.MetricFamily, each behind its length. Of the wire it needs four
// things (numbers, doubles, bytes, lengths), which are not worth a library that reflects.
type proto struct {
	created time.Time
	dst     []byte
	family  []byte // being made
	metric  []byte // likewise
	part    []byte // of a metric
	inner   []byte // of that part
	counts  []bucketCount
	now     *family
}

// The wire types.
const (
	varint  = 0
	fixed64 = 1
	length  = 2
)

// The fields' numbers, by message.
const (
	familyName, familyHelp, familyType, familyMetric                     = 1, 2, 3, 4
	metricLabel, metricGauge, metricCounter, metricHistogram             = 1, 2, 3, 7
	pairName, pairValue                                                  = 1, 2
	numberValue, counterCreated                                          = 1, 3
	histogramCount, histogramSum, histogramBucket, histogramSchema       = 1, 2, 3, 5
	histogramZeroThreshold, histogramZeroCount                           = 6, 7
	histogramSpan, histogramDelta, histogramCreated, histogramExemplar   = 12, 13, 15, 16
	bucketCumulative, bucketUpper, bucketExemplar, spanOffset, spanWidth = 1, 2, 3, 1, 2
	exemplarLabel, exemplarValue, exemplarTime, timeSeconds, timeNanos   = 1, 2, 3, 1, 2
)

func appendTag(dst []byte, field, wire int) []byte {
	return binary.AppendUvarint(dst, uint64(field<<3|wire))
}

func appendNumber(dst []byte, field int, v uint64) []byte {
	return binary.AppendUvarint(appendTag(dst, field, varint), v)
}

// appendSigned writes a number in zigzag form.
func appendSigned(dst []byte, field int, v int64) []byte {
	return binary.AppendVarint(appendTag(dst, field, varint), v)
}

func appendDouble(dst []byte, field int, v float64) []byte {
	return binary.LittleEndian.AppendUint64(appendTag(dst, field, fixed64), math.Float64bits(v))
}

func appendBytes[T string | []byte](dst []byte, field int, v T) []byte {
	return append(binary.AppendUvarint(appendTag(dst, field, length), uint64(len(v))), v...)
}

func appendPair(dst []byte, name, value string) []byte {
	if !utf8.ValidString(value) {
		value = strings.ToValidUTF8(value, "\uFFFD")
	}
	return appendBytes(appendBytes(dst, pairName, name), pairValue, value)
}

func (e *proto) label(s set, name, value string) set {
	e.inner = appendPair(e.inner[:0], name, value)
	return appendBytes(s, metricLabel, e.inner)
}

func (e *proto) begin(f *family) {
	if e.now != nil {
		return
	}
	e.now = f
	kind := [...]uint64{Counter: 0, Gauge: 1, Histogram: 4}[f.kind]
	e.family = appendBytes(e.family[:0], familyName, f.name)
	e.family = appendBytes(e.family, familyHelp, f.help)
	e.family = appendNumber(e.family, familyType, kind)
}

func (e *proto) end() {
	if e.now != nil {
		e.dst = append(binary.AppendUvarint(e.dst, uint64(len(e.family))), e.family...)
	}
	e.now = nil
}

func (e *proto) sample(f *family, s set, v float64) {
	e.begin(f)
	e.metric = append(e.metric[:0], s...)
	e.number(f, v)
}

func (e *proto) by(f *family, s set, name, value string, v float64) {
	e.begin(f)
	e.metric = append(e.metric[:0], s...)
	e.metric = e.label(e.metric, name, value)
	e.number(f, v)
}

func (e *proto) number(f *family, v float64) {
	e.part = appendDouble(e.part[:0], numberValue, v)
	field := metricGauge
	if f.kind == Counter {
		field = metricCounter
		e.part = e.appendCreated(e.part, f, counterCreated)
	}
	e.metric = appendBytes(e.metric, field, e.part)
	e.family = appendBytes(e.family, familyMetric, e.metric)
}

func (e *proto) appendCreated(dst []byte, f *family, field int) []byte {
	if !f.wide || e.created.IsZero() {
		return dst
	}
	return e.appendTime(dst, field, e.created)
}

func (e *proto) appendTime(dst []byte, field int, t time.Time) []byte {
	e.inner = appendNumber(e.inner[:0], timeSeconds, uint64(t.Unix()))
	e.inner = appendNumber(e.inner, timeNanos, uint64(t.Nanosecond()))
	return appendBytes(dst, field, e.inner)
}

// histogram tells the classic buckets, for those who want them, and the native ones, which are those that the loops count in.
func (e *proto) histogram(f *family, s set, h *metrics.Histogram, slow *api.Exemplar) {
	e.begin(f)
	e.metric = append(e.metric[:0], s...)
	count := h.Count()
	p := appendNumber(e.part[:0], histogramCount, count)
	p = appendDouble(p, histogramSum, h.Sum.Seconds())
	var exemplar []byte
	if slow != nil {
		exemplar = e.exemplarOf(slow)
	}
	p = e.appendClassic(p, f, h, slow, exemplar)
	p = appendSigned(p, histogramSchema, metrics.Schema)
	p = appendDouble(p, histogramZeroThreshold, math.Ldexp(1, metrics.FirstExponent/perOctave))
	p = appendNumber(p, histogramZeroCount, h.Buckets[0])
	p = e.appendNative(p, h)
	p = e.appendCreated(p, f, histogramCreated)
	if exemplar != nil {
		p = appendBytes(p, histogramExemplar, exemplar)
	}
	e.part = p
	e.metric = appendBytes(e.metric, metricHistogram, p)
	e.family = appendBytes(e.family, familyMetric, e.metric)
}

func (e *proto) appendClassic(p []byte, f *family, h *metrics.Histogram, slow *api.Exemplar, exemplar []byte) []byte {
	slowIn := lastClassic + 2
	if exemplar != nil {
		slowIn = bucketOf(slow.Took, f.step())
	}
	next, n := 0, uint64(0)
	for x := firstClassic; x <= lastClassic; x += f.step() {
		for end := classicEnd(x); next <= end; next++ {
			n += h.Buckets[next]
		}
		b := appendNumber(e.inner[:0], bucketCumulative, n)
		b = appendDouble(b, bucketUpper, math.Ldexp(1, x))
		if slowIn == x {
			b = appendBytes(b, bucketExemplar, exemplar)
		}
		e.inner = b
		p = appendBytes(p, histogramBucket, b)
	}
	return p // that without an end goes without saying
}

// bucketCount is a native bucket that is not empty.
type bucketCount struct {
	index int
	n     uint64
}

// appendNative writes spans of buckets, and each count as the difference to the one before.
func (e *proto) appendNative(p []byte, h *metrics.Histogram) []byte {
	e.counts = e.counts[:0]
	for i := 1; i < metrics.NumBuckets; i++ {
		if n := h.Buckets[i]; n > 0 {
			e.counts = append(e.counts, bucketCount{metrics.FirstExponent + i, n})
		}
	}
	after := 0 // the index after the last span
	for i := 0; i < len(e.counts); {
		j := i + 1
		for j < len(e.counts) && e.counts[j].index == e.counts[j-1].index+1 {
			j++
		}
		e.inner = appendSigned(e.inner[:0], spanOffset, int64(e.counts[i].index-after))
		e.inner = appendNumber(e.inner, spanWidth, uint64(j-i))
		p = appendBytes(p, histogramSpan, e.inner)
		after = e.counts[j-1].index + 1
		i = j
	}
	last := int64(0)
	for _, c := range e.counts {
		p = appendSigned(p, histogramDelta, int64(c.n)-last)
		last = int64(c.n)
	}
	return p
}

// exemplarOf is a request that stands for many, nil when it has nothing to be found by.
func (e *proto) exemplarOf(slow *api.Exemplar) []byte {
	labels := exemplarLabels(slow)
	if len(labels) == 0 {
		return nil
	}
	var x []byte
	for _, l := range labels {
		e.inner = appendPair(e.inner[:0], l[0], l[1])
		x = appendBytes(x, exemplarLabel, e.inner)
	}
	x = appendDouble(x, exemplarValue, slow.Took)
	return e.appendTime(x, exemplarTime, time.UnixMilli(slow.At))
}

func (e *proto) bytes() []byte { return e.dst }
