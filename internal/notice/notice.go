// Package notice is the form of what weir says of itself and passes on of its workers: one line each, with the time and
// who says it. A terminal gets it short and in columns, everything else whole. It is not the access log, and it
// decides nothing about what is said.
package notice

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Stamp is the layout of the time in a whole line.
const Stamp = "2006-01-02T15:04:05.000Z07:00"

// Form is how lines look. The zero Form is for files, pipes and collectors.
type Form struct {
	Terminal bool // short, in columns
	Colour   bool
}

// FormFor is the form for a file: colour only on a terminal, and none if NO_COLOR is set or the terminal is a dumb one.
func FormFor(f *os.File, env func(string) string) Form {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return Form{}
	}
	return Form{Terminal: true, Colour: env("NO_COLOR") == "" && env("TERM") != "dumb" && env("TERM") != ""}
}

// Printer makes lines. Any goroutine may use it.
type Printer struct {
	form Form

	mu    sync.Mutex
	width int // of the widest name so far
}

// NewPrinter returns a printer of a form.
func NewPrinter(f Form) *Printer { return &Printer{form: f, width: len("weir")} }

// widest is the width of the column of names; longer ones stick out.
const widest = 20

const (
	reset  = "\x1b[0m"
	dim    = "\x1b[2m"
	bold   = "\x1b[1m"
	red    = "\x1b[1;31m"
	yellow = "\x1b[33m"
)

// colours of apps: none that means something elsewhere.
var colours = [...]string{"\x1b[36m", "\x1b[35m", "\x1b[34m", "\x1b[32m", "\x1b[96m", "\x1b[95m"}

// Append appends a line. text is any bytes; more, which may be empty, is what is less important, and printable.
func (p *Printer) Append(dst []byte, at time.Time, who string, level slog.Level, text []byte, more string) []byte {
	mark, colour := marks(level)
	if !p.form.Terminal {
		dst = at.AppendFormat(dst, Stamp)
		dst = append(append(append(dst, ' '), who...), ": "...)
		dst = AppendPrintable(append(dst, mark...), text)
		return append(append(dst, more...), '\n')
	}
	dst = p.paint(dst, dim, at.Format("15:04:05"))
	dst = append(dst, ' ')
	dst = p.paint(dst, colourOf(who), who)
	for range p.pad(who) + 2 {
		dst = append(dst, ' ')
	}
	if mark != "" {
		dst = p.paint(dst, colour, strings.TrimSuffix(mark, " "))
		dst = append(dst, ' ')
	}
	dst = AppendPrintable(dst, text)
	if more != "" {
		dst = p.paint(dst, dim, more)
	}
	return append(dst, '\n')
}

func marks(l slog.Level) (mark, colour string) {
	switch {
	case l >= slog.LevelError:
		return "error: ", red
	case l >= slog.LevelWarn:
		return "warning: ", yellow
	case l < slog.LevelInfo:
		return "debug: ", dim
	}
	return "", ""
}

func (p *Printer) paint(dst []byte, colour, text string) []byte {
	if !p.form.Colour {
		return append(dst, text...)
	}
	return append(append(append(dst, colour...), text...), reset...)
}

// pad returns how many spaces fill a name's column.
func (p *Printer) pad(who string) int {
	n := utf8.RuneCountInString(who)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.width = max(p.width, min(n, widest))
	return max(p.width-n, 0)
}

// colourOf is the same for all workers of an app; weir's own processes have none.
func colourOf(who string) string {
	app, _, worker := strings.Cut(who, "/")
	if !worker {
		return bold
	}
	h := fnv.New32a()
	io.WriteString(h, app) //nolint:errcheck // a hash takes everything
	return colours[h.Sum32()%uint32(len(colours))]
}

// AppendPrintable appends a line so that it can neither move a terminal's cursor, nor look like two lines, nor read in
// another order than it is written: control characters, line separators, what turns the direction of writing, and bytes
// that are no UTF-8 become \xNN.
func AppendPrintable(b, line []byte) []byte {
	for i := 0; i < len(line); {
		c := line[i]
		if c >= 0x20 && c < 0x7f || c == '\t' {
			b = append(b, c)
			i++
			continue
		}
		if r, n := utf8.DecodeRune(line[i:]); c >= 0x80 && (r != utf8.RuneError || n > 1) && visible(r) {
			b = append(b, line[i:i+n]...)
			i += n
			continue
		}
		b = fmt.Appendf(b, `\x%02x`, c)
		i++
	}
	return b
}

// OneLine is a text that a person wrote, such as a reason, as it can be kept: one line that a log, a terminal and a page can show as it is.
// What does not print becomes a space.
func OneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?")))
}

// visible reports whether a character beyond ASCII only stands where it is.
func visible(r rune) bool {
	return r >= 0xa0 && r != 0x2028 && r != 0x2029 && !unicode.Is(unicode.Bidi_Control, r)
}

// handler is an slog.Handler.
type handler struct {
	out     io.Writer
	printer *Printer
	who     string
	level   slog.Leveler
	group   string
	attrs   string
}

// Process makes what a process of weir's says on its standard error, under its name, the default of slog, and returns what sets its
// level.
func Process(who string) *slog.LevelVar {
	level := &slog.LevelVar{}
	slog.SetDefault(slog.New(Handler(os.Stderr, NewPrinter(FormFor(os.Stderr, os.Getenv)), who, level)))
	return level
}

// Handler returns a handler that writes what the process called who says to out, each record by one Write.
func Handler(out io.Writer, p *Printer, who string, level slog.Leveler) slog.Handler {
	return &handler{out: out, printer: p, who: who, level: level}
}

func (h *handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	more := []byte(h.attrs)
	r.Attrs(func(a slog.Attr) bool { more = appendAttr(more, h.group, a); return true })
	_, err := h.out.Write(h.printer.Append(nil, r.Time, h.who, r.Level, []byte(r.Message), string(more)))
	return err
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next, b := *h, []byte(h.attrs)
	for _, a := range attrs {
		b = appendAttr(b, h.group, a)
	}
	next.attrs = string(b)
	return &next
}

func (h *handler) WithGroup(name string) slog.Handler {
	next := *h
	next.group += name + "."
	return &next
}

func appendAttr(b []byte, group string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		for _, inner := range v.Group() {
			b = appendAttr(b, group+a.Key+".", inner)
		}
		return b
	}
	if a.Key == "" {
		return b
	}
	text := v.String()
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || !strconv.IsPrint(r) }) {
		text = strconv.Quote(text)
	}
	return fmt.Appendf(b, " %s%s=%s", group, a.Key, text)
}
