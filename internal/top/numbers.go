package top

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Number is one of the apps' own numbers, as the desk tells it.
type Number struct {
	Name   string            `json:"name"`
	Kind   string            `json:"kind"` // counter, gauge, timer, histogram, set
	Labels map[string]string `json:"labels"`
	Value  float64           `json:"value"` // of a counter, all so far; of a set, its members in ten seconds
	Count  float64           `json:"count"` // of a timer or histogram, how many there were
	P50    float64           `json:"p50"`   // of a timer, milliseconds, of ten seconds
	P95    float64           `json:"p95"`
	P99    float64           `json:"p99"`
	Seen   int64             `json:"seen"` // Unix seconds

	rate float64 // of what only grows: how much a second since the answer before, NaN where that is not known
}

// text is a number's name with its labels.
func (n *Number) text() string {
	if len(n.Labels) == 0 {
		return n.Name
	}
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(n.Labels)) {
		fmt.Fprintf(&b, " %s=%s", k, n.Labels[k])
	}
	return n.Name + b.String()
}

// shown is its value: of what has many values, how many there were.
func (n *Number) shown() float64 {
	if n.Kind == "timer" || n.Kind == "histogram" {
		return n.Count
	}
	return n.Value
}

// grown is what of a number only grows.
func (n *Number) grown() float64 {
	if n.Kind == "counter" {
		return n.Value
	}
	return n.Count
}

// takeNumbers takes an answer, and finds out how fast numbers grow by the one before.
func (m *model) takeNumbers(list []Number) {
	was := map[string]float64{}
	for i := range m.numbers {
		was[m.numbers[i].text()] = m.numbers[i].grown()
	}
	passed := 0.0
	if m.newest != nil {
		passed = m.newest.At.Sub(m.numbersAt).Seconds()
		m.numbersAt = m.newest.At
	}
	for i := range list {
		n := &list[i]
		before, ok := was[n.text()]
		n.rate = math.NaN()
		if ok && passed > 0 && n.grown() >= before && n.Kind != "gauge" && n.Kind != "set" {
			n.rate = (n.grown() - before) / passed
		}
	}
	m.numbers = list
}

// has reports whether a view is among those to choose from: that of apps' numbers is where there are any.
func (m *model) has(v view) bool {
	return v != numbersView || len(m.numbers) > 0 || m.view == numbersView
}

// nextView is the next view in a direction.
func (m *model) nextView(step int) view {
	v := m.view
	for {
		v = (v + view(step) + numViews) % numViews
		if m.has(v) {
			return v
		}
	}
}

// amount is a number that may be whole, and below 0.
func amount(v float64) string {
	switch {
	case v < 0:
		return "-" + amount(-v)
	case v == math.Trunc(v) && v < 100000:
		return count(uint64(v))
	}
	return number(v)
}

// orLeast is a number to sort by: what is not known is the least.
func orLeast(v float64) float64 {
	if math.IsNaN(v) {
		return -1
	}
	return v
}

var numberColumns = []column{
	{head: "NAME", wide: 24, left: true, flex: true, show: func(it *item) cell { return cell{it.number.text(), plain} }},
	{head: "KIND", wide: 7, most: 10, left: true, rank: 4, show: func(it *item) cell { return cell{it.number.Kind, dim} }},
	{head: "VALUE", wide: 6, num: func(it *item) float64 { return it.number.shown() }, show: func(it *item) cell { return cell{amount(it.number.shown()), plain} }},
	{head: "/s", wide: 6, rank: 1, num: func(it *item) float64 { return orLeast(it.number.rate) }, show: func(it *item) cell {
		if math.IsNaN(it.number.rate) {
			return cell{}
		}
		return cell{number(it.number.rate), plain}
	}},
	figure("P50", 5, 5, millis, func(it *item) float64 { return it.number.P50 }),
	figure("P95", 5, 2, millis, func(it *item) float64 { return it.number.P95 }),
	figure("P99", 5, 6, millis, func(it *item) float64 { return it.number.P99 }),
	figure("AGO", 5, 3, seconds, func(it *item) float64 { return age(time.Unix(it.number.Seen, 0), it.now) }),
}

// numberLines are all that is known of one number.
func (m *model) numberLines(it *item) []line {
	n := it.number
	out := []line{{{n.Name, bold}}, nil}
	all := []fact{{"kind", n.Kind}, {"value", amount(n.shown())}}
	if !math.IsNaN(n.rate) {
		all = append(all, fact{"a second", number(n.rate)})
	}
	all = append(all, fact{"p50 p95 p99", strings.TrimSpace(millis(n.P50) + " " + millis(n.P95) + " " + millis(n.P99))},
		fact{"sent", cmp.Or(seconds(age(time.Unix(n.Seen, 0), it.now)), "0s") + " ago"})
	for _, k := range slices.Sorted(maps.Keys(n.Labels)) {
		all = append(all, fact{k, n.Labels[k]})
	}
	return append(out, m.facts(all...)...)
}
