package config

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Error is one thing that is wrong in a configuration file.
type Error struct {
	Place   Place
	Message string // what is wrong
	Hint    string // what to write instead; may be empty
	Line    string // the line of the file that Place is on
	Width   int    // characters of Line from Place.Column that are meant; at least 1
}

// Warning is something that is allowed and probably not meant.
type Warning Error

// Errors is everything that is wrong in a configuration file, in the order of the file.
type Errors []*Error

// Error shows every error with its line.
func (es Errors) Error() string {
	var b strings.Builder
	for i, e := range es {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(e.Error())
	}
	return b.String()
}

// Error shows place, message and hint in one line, then the line of the file with the part meant underlined.
func (e *Error) Error() string { return e.show("") }

// String shows the warning as an Error is shown.
func (w Warning) String() string { return (*Error)(&w).show("warning: ") }

// Brief is the warning in one line, for a log: its place, what is odd and what to write instead.
func (w Warning) Brief() string {
	line := w.Place.String() + ": " + printable(w.Message)
	if w.Hint != "" {
		line += ": " + printable(w.Hint)
	}
	return line
}

func (e *Error) show(label string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s%s", e.Place, label, printable(e.Message))
	if e.Hint != "" {
		b.WriteString(": ")
		b.WriteString(printable(e.Hint))
	}
	if e.Place.Line > 0 {
		line, column := e.window()
		number := fmt.Sprintf("%5d", e.Place.Line)
		fmt.Fprintf(&b, "\n%s | %s\n%s | %s%s", number, line, strings.Repeat(" ", len(number)),
			strings.Repeat(" ", column), strings.Repeat("^", e.carets(line, column)))
	}
	return b.String()
}

// String is file:line:column, or the file alone when the place is the file as a whole.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
}

// shownWidth is how much of a long line is shown; the part meant is near its middle.
const shownWidth = 100

// window is the part of the line that is shown and where in it the caret stands, both in characters. A tab is shown
// as one space, so that the caret is where it seems to be.
func (e *Error) window() (string, int) {
	column := max(e.Place.Column-1, 0)
	first := 0
	if column > shownWidth*3/4 {
		first = column - shownWidth/2
	}
	from, to := len(e.Line), len(e.Line)
	n := 0
	for i := range e.Line {
		if n == first {
			from = i
		}
		if n == first+shownWidth {
			to = i
			break
		}
		n++
	}
	column = min(column, n)
	head, tail := "", ""
	if from > 0 {
		head = "… "
	}
	if to < len(e.Line) {
		tail = " …"
	}
	shown := head + printable(e.Line[from:to]) + tail
	return strings.TrimRight(shown, " "), max(0, column-first) + utf8.RuneCountInString(head)
}

func (e *Error) carets(line string, column int) int {
	left := utf8.RuneCountInString(line) - column
	return max(1, min(e.Width, left))
}

// printable keeps a file's bytes from steering the terminal they are shown on.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return '·'
		}
		return r
	}, s)
}

func (es Errors) sort() {
	sort.SliceStable(es, func(i, j int) bool { return es[i].Place.before(es[j].Place) })
}

func (p Place) before(q Place) bool {
	if p.Line != q.Line {
		return p.Line < q.Line
	}
	return p.Column < q.Column
}

// Nearest is the name in names that name was probably meant to be, "" when none is near: at most a third of its
// letters differ, and three.
func Nearest(name string, names []string) string {
	best, distance := "", min((len(name)+1)/3, 3)+1
	for _, n := range names {
		if d := editDistance(strings.ToLower(name), strings.ToLower(n), distance); d < distance {
			best, distance = n, d
		}
	}
	return best
}

// editDistance counts the insertions, deletions, replacements and swaps of neighbours between a and b; above limit it
// may stop and say limit+1.
func editDistance(a, b string, limit int) int {
	if len(a) > 64 || len(b) > 64 || len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	var rows [3][66]int
	older, old, row := &rows[0], &rows[1], &rows[2]
	for j := 0; j <= len(b); j++ {
		old[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(old[j]+1, row[j-1]+1, old[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], older[j-2]+1)
			}
		}
		older, old, row = old, row, older
	}
	return old[len(b)]
}

// oneOf lists names for a hint: "a, b or c".
func oneOf(names []string) string {
	switch len(names) {
	case 0:
		return ""
	case 1:
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// maxMessage is the longest message or hint in bytes: a value of the file is part of some.
const maxMessage = 400

func shorten(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	return strings.ToValidUTF8(s[:maxMessage], "") + "…"
}
