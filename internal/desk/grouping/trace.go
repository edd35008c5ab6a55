package grouping

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/notice"
)

const (
	maxLines  = 200 // of a traceback; the first and the last of more are kept
	maxLine   = 2000
	sampleLen = 30
	fewFrames = 5 // places that are part of a shape
)

// trace is one traceback.
type trace struct {
	kind, app, worker string
	at                time.Time
	head              string   // kind of error and message
	frames            []string // innermost first
	lines             []string
}

// assembler puts the lines of one worker's output together. What a worker prints at once stands together; lines of several threads
// that print at once may be mixed, which makes a shape worse and nothing else.
type assembler struct {
	app, worker string
	last        time.Time
	before      string // the line before
	open        *trace
	done        bool // the open one is whole, unless a chain goes on
}

// take takes the next line and returns the tracebacks that have ended by it.
func (a *assembler) take(l Line) (ended []*trace) {
	a.last = l.At
	text := l.Text
	if len(text) > maxLine {
		text = text[:maxLine]
	}
	if a.open != nil && !a.goesOn(text) {
		if t := a.end(); t != nil {
			ended = append(ended, t)
		}
	}
	if a.open == nil {
		a.begin(l.At, text)
	}
	a.before = text
	return ended
}

// end ends what is open.
func (a *assembler) end() *trace {
	t := a.open
	a.open, a.done = nil, false
	if t == nil || t.head == "" {
		return nil
	}
	return t
}

var (
	pythonStart = "Traceback (most recent call last):"
	goStart     = lazily(`(?:^|\s)(panic: |fatal error: |http: panic serving \S+: )(.*)`)
	phpStart    = lazily(`(?:PHP )?(?:Fatal error|Parse error|Uncaught \w+):\s+(.*)`)
	rubyHead    = lazily(`\.rb:\d+:in .*: (.*) \(([A-Z]\w*(?:::\w+)*)\)$`)
	railsHead   = lazily(`([A-Z]\w*(?:::\w+)*(?:Error|Exception|NotFound|Invalid|Timeout)) \((.*)\):$`)
	rubyFrame   = lazily("^\\s*(?:from )?(\\S+\\.(?:rb|ru|rake|erb)):\\d+:in [`'](.*)'")
	atFrame     = lazily(`^\s+at (.+)$`)
	errorWord   = lazily(`((?:[\w$]+\.)*[A-Z]\w*(?:Error|Exception|Throwable|Fault)\b)(?: \[\w+\])?(?::\s*(.*))?$`)
	pythonFrame = lazily(`^\s+File "([^"]*)", line \d+, in (.*)$`)
	goFrame     = lazily(`^(\S.*)\([^()]*\)$`)
	phpFrame    = lazily(`^#\d+ (.*)$`)
)

// begin looks whether a traceback begins with a line. Most lines begin none, and should cost little: a word is looked for before a
// pattern is.
func (a *assembler) begin(at time.Time, text string) {
	t := &trace{app: a.app, worker: a.worker, at: at, lines: []string{text}}
	has := func(word string) bool { return strings.Contains(text, word) }
	switch {
	case has(pythonStart):
		t.kind = "python"
	case (has("panic") || has("fatal error")) && goStart().MatchString(text):
		m := goStart().FindStringSubmatch(text)
		t.kind, t.head = "go", strings.TrimSpace(strings.TrimSuffix(m[1], " "))+" "+m[2]
		if strings.HasPrefix(m[1], "http: panic") {
			t.head = "panic: " + m[2]
		}
	case (has("Fatal error") || has("Parse error") || has("Uncaught ")) && phpStart().MatchString(text):
		t.kind, t.head = "php", phpStart().FindStringSubmatch(text)[1]
	case has(".rb:") && rubyHead().MatchString(text):
		m := rubyHead().FindStringSubmatch(text)
		t.kind, t.head = "ruby", m[2]+": "+m[1]
		if f := rubyFrame().FindStringSubmatch(text[:strings.LastIndex(text, ": "+m[1])]); f != nil {
			t.frames = append(t.frames, f[1]+" "+f[2])
		}
	case strings.HasSuffix(text, "):") && railsHead().MatchString(text):
		m := railsHead().FindStringSubmatch(text)
		t.kind, t.head = "ruby", m[1]+": "+m[2]
	case has("at ") && atFrame().MatchString(text) && errorWord().MatchString(a.before):
		m := errorWord().FindStringSubmatch(a.before)
		t.kind, t.head, t.lines = "node", strings.TrimSuffix(m[1]+": "+m[2], ": "), []string{a.before, text}
		t.addAt(text)
	default:
		return
	}
	a.open, a.done = t, false
}

// goesOn adds a line to the open traceback, if it is part of it.
func (a *assembler) goesOn(text string) bool {
	t := a.open
	is := false
	switch t.kind {
	case "python":
		is = a.python(text)
	case "go":
		is = a.golang(text)
	case "php":
		is = t.php(text)
	case "ruby":
		is = t.ruby(text)
	default:
		is = t.at3(text)
	}
	if is && len(t.lines) < maxLines {
		t.lines = append(t.lines, text)
	} else if is {
		t.lines = append(t.lines[:maxLines-1], text)
	}
	return is
}

// python: frames, the innermost last, then the error's own line; maybe another traceback that this one was the cause of.
func (a *assembler) python(text string) bool {
	t := a.open
	switch {
	case a.done && (text == "" || strings.HasPrefix(text, "During handling of the above") || strings.HasPrefix(text, "The above exception was")):
		return true
	case strings.Contains(text, pythonStart):
		if !a.done || strings.TrimSpace(a.before) != "" {
			return false
		}
		t.frames, t.head, a.done = nil, "", false // the last of a chain is the one that counts
		return true
	case a.done:
		return false
	case text == "" || text[0] == ' ' || text[0] == '\t':
		if m := pythonFrame().FindStringSubmatch(text); m != nil {
			t.frames = slices.Insert(t.frames, 0, m[1]+" "+m[2])
			t.frames = t.frames[:min(len(t.frames), maxLines)]
		}
		return true
	}
	t.head, a.done = text, true
	return true
}

func (a *assembler) golang(text string) bool {
	t := a.open
	if strings.HasPrefix(text, "goroutine ") && strings.HasSuffix(text, ":") {
		if a.done {
			return false // the others only wait
		}
		a.done = true
		return true
	}
	if !a.done {
		return text == "" || text[0] == '\t' || text[0] == '[' || strings.HasPrefix(text, "panic: ")
	}
	if m := goFrame().FindStringSubmatch(text); m != nil {
		if f := m[1]; f != "panic" && !strings.HasPrefix(f, "runtime.") && len(t.frames) < maxLines {
			t.frames = append(t.frames, f)
		}
		return true
	}
	return strings.HasPrefix(text, "\t") || strings.HasPrefix(text, "created by ")
}

func (t *trace) php(text string) bool {
	if m := phpFrame().FindStringSubmatch(text); m != nil {
		if len(t.frames) < maxLines {
			t.frames = append(t.frames, m[1])
		}
		return true
	}
	return strings.HasSuffix(text, "tack trace:") || strings.HasPrefix(text, "  thrown in ")
}

func (t *trace) ruby(text string) bool {
	if m := rubyFrame().FindStringSubmatch(text); m != nil {
		if len(t.frames) < maxLines {
			t.frames = append(t.frames, m[1]+" "+m[2])
		}
		return true
	}
	return strings.TrimSpace(text) == "" && len(t.frames) == 0
}

// at3 is what Java and JavaScript have in common.
func (t *trace) at3(text string) bool {
	if atFrame().MatchString(text) {
		t.addAt(text)
		return true
	}
	trimmed := strings.TrimSpace(text)
	if strings.HasPrefix(trimmed, "Caused by: ") { // it is what happened; the frames before wrap it
		t.kind, t.head, t.frames = "java", strings.TrimPrefix(trimmed, "Caused by: "), nil
		return true
	}
	return strings.HasPrefix(trimmed, "... ") && strings.HasSuffix(trimmed, " more")
}

func (t *trace) addAt(text string) {
	f := atFrame().FindStringSubmatch(text)[1]
	if strings.Contains(f, ".java:") || strings.Contains(f, "(Native Method)") || strings.Contains(f, ".kt:") || strings.Contains(f, ".scala:") {
		t.kind = "java"
	}
	if len(t.frames) < maxLines {
		t.frames = append(t.frames, f)
	}
}

// shape is the kind of error and its message, without what differs.
func (t *trace) shape() string {
	return string(notice.AppendPrintable(nil, []byte(Shape(t.head))))
}

// where is the innermost place, and for the shape those around it.
func (t *trace) where() string {
	var places []string
	for _, f := range t.frames {
		if len(places) == fewFrames {
			break
		}
		places = append(places, place(f))
	}
	return string(notice.AppendPrintable(nil, []byte(strings.Join(places, " < "))))
}

// sample is the last lines, for people.
func (t *trace) sample() []string {
	from := max(len(t.lines)-sampleLen, 0)
	all := make([]string, 0, sampleLen)
	for _, l := range t.lines[from:] {
		all = append(all, string(notice.AppendPrintable(nil, []byte(cut(l, 300)))))
	}
	return all
}

var (
	mails     = lazily(`[\w.+-]+@[\w-]+(?:\.[\w-]+)+`)
	ids       = lazily(`[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}`)
	hexes     = lazily(`\b0x[0-9a-fA-F]+\b|\b[0-9a-fA-F]*[0-9][0-9a-fA-F]*[a-fA-F][0-9a-fA-F]*\b|\b[0-9a-fA-F]*[a-fA-F][0-9a-fA-F]*[0-9][0-9a-fA-F]*\b`)
	addresses = lazily(`\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b`)
	long      = lazily(`(^|[\s(=,])\[?[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}(?:\]:\d+)?`) // addresses of IPv6
	quoted    = lazily("\"[^\"]*\"|'[^']*'|`[^`']*[`']|“[^”]*”|«[^»]*»")
	numbers   = lazily(`\d+(?:[.,:]\d+)*`)
	positions = lazily(`[:(]\d+(?::\d+)?\)?`)
)

// Shape takes out of a message what differs from one time to the next: quoted values, addresses, ids, numbers.
func Shape(message string) string {
	s := cut(message, 500)
	// An apostrophe in a word opens no quotes.
	s = apostrophes().ReplaceAllString(s, "$1’$2")
	s = quoted().ReplaceAllString(s, "“…”")
	s = long().ReplaceAllStringFunc(s, func(a string) string {
		if !strings.ContainsAny(a, "0123456789") {
			return a // it is a name, such as DB::Error
		}
		if strings.ContainsRune(" \t(=,", rune(a[0])) {
			return a[:1] + "#"
		}
		return "#"
	})
	for _, r := range [...]*regexp.Regexp{mails(), ids(), addresses(), hexes(), numbers()} {
		s = r.ReplaceAllString(s, "#")
	}
	return cut(strings.Join(strings.Fields(s), " "), 300)
}

var apostrophes = lazily(`(\pL)'(\pL)`)

// place is a frame without lines, columns and the values of arguments.
func place(frame string) string {
	f := positions().ReplaceAllString(cut(frame, 200), "")
	f = hexes().ReplaceAllString(f, "#")
	return strings.TrimSpace(numbers().ReplaceAllString(f, "#"))
}

// lazily compiles an expression when it is first used: the processes of weir that group nothing do not pay for it.
func lazily(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
