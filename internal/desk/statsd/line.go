package statsd

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The bounds of what one line may make.
const (
	maxName   = 120
	maxLabels = 10
	maxLabel  = 60
	maxValue  = 120
	maxValues = 100  // that one line of DogStatsD packs together
	minRate   = 1e-6 // what a line stands for is bounded, lest a sum ends beyond all numbers
)

// kind is what a number is.
type kind uint8

const (
	counter kind = iota
	gauge
	timer // of durations
	spread
	unique
)

var kindWords = [...]string{"counter", "gauge", "timer", "histogram", "set"}

// metric is one line.
type metric struct {
	name     string
	kind     kind
	labels   [][2]string // by name
	values   []float64
	relative bool     // of a gauge: to be added
	member   []string // of a set
	rate     float64  // one of so many was sent, as a share; 1: each
}

// Why a line is not taken.
var (
	errForm    = errors.New("form")     // it is no statsd line
	errValue   = errors.New("value")    // its value is no number
	errLong    = errors.New("too_long") // its name, or something in it
	errNothing = errors.New("")         // an event or a check of DogStatsD, or an empty line: nothing is counted
)

// parseLine reads name:value|type|@rate|#tag:value,tag, with DogStatsD's name:1:2:3|type. What it returns shares nothing with the line.
func parseLine(b []byte) (m metric, err error) {
	b = bytes.TrimRight(b, "\r \t")
	if len(b) == 0 || bytes.HasPrefix(b, []byte("_e{")) || bytes.HasPrefix(b, []byte("_sc|")) {
		return m, errNothing
	}
	bar := bytes.IndexByte(b, '|')
	if bar < 0 {
		return m, errForm
	}
	colon := bytes.IndexByte(b[:bar], ':')
	if colon <= 0 {
		return m, errForm
	}
	if m.name = cleanName(b[:colon]); m.name == "" {
		return m, errLong
	}
	word, rest, _ := bytes.Cut(b[bar+1:], []byte("|"))
	switch string(word) {
	case "c":
		m.kind = counter
	case "g":
		m.kind = gauge
	case "ms":
		m.kind = timer
	case "h", "d":
		m.kind = spread
	case "s":
		m.kind = unique
	default:
		return m, errForm
	}
	m.rate = 1
	for len(rest) > 0 {
		var part []byte
		part, rest, _ = bytes.Cut(rest, []byte("|"))
		switch {
		case bytes.HasPrefix(part, []byte("@")):
			v, ok := parseNumber(part[1:])
			if !ok || v < minRate || v > 1 {
				return m, errValue
			}
			m.rate = v
		case bytes.HasPrefix(part, []byte("#")):
			if m.labels, err = parseLabels(part[1:]); err != nil {
				return m, err
			}
		} // a container's id or a time is no matter here
	}
	return m, m.parseValues(b[colon+1 : bar])
}

func (m *metric) parseValues(b []byte) error {
	if m.kind == unique {
		if len(b) > maxValue {
			return errLong
		}
		m.member = []string{string(b)}
		return nil
	}
	m.relative = m.kind == gauge && len(b) > 0 && (b[0] == '+' || b[0] == '-')
	for more := true; more; {
		var part []byte
		part, b, more = bytes.Cut(b, []byte(":"))
		v, ok := parseNumber(part)
		if !ok {
			return errValue
		}
		if len(m.values) == maxValues {
			return errLong
		}
		m.values = append(m.values, v)
	}
	return nil
}

// parseNumber reads a number that can be reckoned with.
func parseNumber(b []byte) (float64, bool) {
	if len(b) == 0 || len(b) > 40 {
		return 0, false
	}
	v, err := strconv.ParseFloat(string(b), 64)
	return v, err == nil && !math.IsNaN(v) && math.Abs(v) <= 1e18
}

// parseLabels reads tag:value,tag. Of one name the first counts.
func parseLabels(b []byte) (all [][2]string, err error) {
	for len(b) > 0 {
		var tag []byte
		tag, b, _ = bytes.Cut(b, []byte(","))
		name, value, given := bytes.Cut(tag, []byte(":"))
		if len(name) == 0 {
			continue
		}
		if len(name) > maxLabel || len(value) > maxValue || len(all) == maxLabels {
			return nil, errLong
		}
		text := "true"
		if given {
			text = strings.ToValidUTF8(string(value), "\uFFFD")
		}
		label := cleanLabel(name)
		if !slices.ContainsFunc(all, func(l [2]string) bool { return l[0] == label }) {
			all = append(all, [2]string{label, text})
		}
	}
	slices.SortFunc(all, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return all, nil
}

// cleanName makes a name that Prometheus can have; empty: it is too long. Endings that say what a number is are Prometheus's own, and are given
// anew.
func cleanName(b []byte) string {
	if len(b) > maxName || !utf8.Valid(b) {
		return ""
	}
	name := strings.Trim(clean(b), "_")
	for again := true; again; {
		again = false
		for _, end := range []string{"_total", "_count", "_sum", "_bucket", "_created", "_info"} {
			if s, ok := strings.CutSuffix(name, end); ok && s != "" {
				name, again = s, true
			}
		}
	}
	return name
}

// cleanLabel makes a label that Prometheus can have, and that is none of its own or of the formats'.
func cleanLabel(b []byte) string {
	label := strings.TrimLeft(clean(b), "_")
	switch {
	case label == "" || label[0] >= '0' && label[0] <= '9', label == "le", label == "quantile", label == "job", label == "instance":
		return "tag_" + label
	}
	return label
}

func clean(b []byte) string {
	s := []byte(string(b))
	for i, c := range s {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' {
			continue
		}
		s[i] = '_'
	}
	return string(s)
}

// duration is a timer's value, which is in milliseconds.
func duration(ms float64) time.Duration {
	return time.Duration(min(max(ms, 0), 1e9) * float64(time.Millisecond))
}
