package top

import (
	"math"
	"slices"
	"strings"
)

// style is what a piece of text means, from which its look follows. Nothing is told by colour alone.
type style uint8

const (
	plain style = iota
	dim
	bold
	good
	warn
	bad
	accent // what can be chosen, and graphs
	title  // of a section or a table's column
	selected
	numStyles
)

// piece is text of one style, line what stands in one row of the screen.
type piece struct {
	text  string
	style style
}

type line []piece

// paint turns lines into what a terminal understands. The zero value is for files: text and nothing else.
type paint struct {
	sgr   [numStyles]string // sequences that begin a style; empty: none
	ascii bool              // the terminal has no other characters
}

// Ink is which colours a terminal may be sent.
type Ink uint8

// The inks.
const (
	NoInk   Ink = iota // not even bold: it is no terminal
	Mono               // bold, faint and reverse
	OnDark             // colours for a dark background
	OnLight            // and for a light one
)

// newPaint chooses colours. Those on dark are the terminal's own, which its owner has chosen to be read; on light, the usual yellow and cyan
// cannot be, so darker ones of the 256 are used.
func newPaint(ink Ink, ascii bool) paint {
	p := paint{ascii: ascii}
	switch ink {
	case NoInk:
	case Mono:
		p.sgr = [numStyles]string{dim: "\x1b[2m", bold: "\x1b[1m", bad: "\x1b[1m", title: "\x1b[1m", selected: "\x1b[7m"}
	case OnDark:
		p.sgr = [numStyles]string{dim: "\x1b[38;5;245m", bold: "\x1b[1m", good: "\x1b[32m", warn: "\x1b[33m", bad: "\x1b[1;91m",
			accent: "\x1b[36m", title: "\x1b[1;36m", selected: "\x1b[7m"}
	case OnLight:
		p.sgr = [numStyles]string{dim: "\x1b[38;5;242m", bold: "\x1b[1m", good: "\x1b[38;5;28m", warn: "\x1b[38;5;130m", bad: "\x1b[1;38;5;160m",
			accent: "\x1b[38;5;25m", title: "\x1b[1;38;5;25m", selected: "\x1b[7m"}
	}
	return p
}

// mark returns a sign, or what stands for it where there is only ASCII.
func (p *paint) mark(sign, ascii string) string {
	if p.ascii {
		return ascii
	}
	return sign
}

// more says that text goes on.
func (p *paint) more() string { return p.mark("…", "~") }

// put appends a line of at most width columns to b. One that is marked is reversed in its whole width.
func (p *paint) put(b *strings.Builder, l line, width int, marked bool) {
	rest := width
	if marked {
		b.WriteString(p.sgr[selected])
	}
	for _, s := range l {
		text := cut(clean(s.text, p.ascii), rest, p.more())
		rest -= widthOf(text)
		sgr := p.sgr[s.style]
		if sgr == "" || marked {
			b.WriteString(text)
			continue
		}
		b.WriteString(sgr)
		b.WriteString(text)
		b.WriteString("\x1b[m")
	}
	if marked && p.sgr[selected] != "" {
		pad(b, rest)
		b.WriteString("\x1b[m")
	}
}

func pad(b *strings.Builder, n int) {
	for range n {
		b.WriteByte(' ')
	}
}

// width is that of a line.
func (p *paint) width(l line) (n int) {
	for _, s := range l {
		n += widthOf(clean(s.text, p.ascii))
	}
	return n
}

var (
	eighths      = [...]string{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"}
	eighthsASCII = [...]string{" ", "_", ".", "-", "=", "+", "*", "%", "#"}
)

// graph draws values, the newest at the right, of which end is the number, in w columns and h rows; top is what fills them, if no value is higher. What is not known
// stays empty, and what is known has at least its lowest mark.
func (p *paint) graph(values []float64, end int64, w, h int, top float64) []string {
	signs := &eighths
	if p.ascii {
		signs = &eighthsASCII
	}
	columns := squeeze(values, end, w)
	for _, v := range columns {
		if v > top {
			top = v
		}
	}
	rows := make([]string, h)
	for y := range rows {
		var b strings.Builder
		pad(&b, w-len(columns))
		below := (h - 1 - y) * 8
		for _, v := range columns {
			level := 0
			if !math.IsNaN(v) {
				level = 1
				if top > 0 {
					level = max(1, int(math.Ceil(v/top*float64(8*h))))
				}
			}
			b.WriteString(signs[min(max(level-below, 0), 8)])
		}
		rows[y] = b.String()
	}
	return rows
}

// spark is a graph of one row.
func (p *paint) spark(values []float64, end int64, w int, top float64) string {
	if w < 1 {
		return ""
	}
	return p.graph(values, end, w, 1, top)[0]
}

// squeeze makes at most w values of many: of each group that becomes one, the highest, since a peak is what one looks for. A value stays
// in its group while others come, lest the whole graph trembles: groups begin where the number of a value is a multiple of their size.
func squeeze(values []float64, end int64, w int) []float64 {
	if len(values) <= w || w < 1 {
		return values
	}
	n := (len(values) + w - 1) / w
	out := make([]float64, 0, w)
	size := int(end%int64(n)) + 1 // of the newest group, which is still growing
	for at := len(values); at > 0 && len(out) < w; at, size = at-size, n {
		m := math.NaN()
		for _, v := range values[max(at-size, 0):at] {
			if math.IsNaN(m) || v > m {
				m = v
			}
		}
		out = append(out, m)
	}
	slices.Reverse(out)
	return out
}

// bar is a share from 0 to 1 of w columns.
func (p *paint) bar(share float64, w int) string {
	full := min(max(int(math.Round(share*float64(w))), 0), w)
	return strings.Repeat(p.mark("█", "#"), full) + strings.Repeat(p.mark("░", "."), w-full)
}

// shareStyle is that of a resource of which so much is used.
func shareStyle(share, worry, alarm float64) style {
	switch {
	case share >= alarm:
		return bad
	case share >= worry:
		return warn
	}
	return plain
}

// stateStyle is that of a server's, worker's or pool's state.
func stateStyle(state string) style {
	switch state {
	case "ready", "live", "up":
		return good
	case "down", "failing":
		return bad
	case "leaving", "gone":
		return dim
	}
	return warn
}
