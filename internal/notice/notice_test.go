package notice

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)

func TestWhole(t *testing.T) {
	p := NewPrinter(Form{})
	for _, c := range []struct {
		who, text, more string
		level           slog.Level
		want            string
	}{
		{"weir", "ready", "", slog.LevelInfo, "2026-01-02T03:04:05.006Z weir: ready\n"},
		{"edge", "ready", " pid=1", slog.LevelWarn, "2026-01-02T03:04:05.006Z edge: warning: ready pid=1\n"},
		{"weir", "x", "", slog.LevelError, "2026-01-02T03:04:05.006Z weir: error: x\n"},
		{"weir", "x", "", slog.LevelDebug, "2026-01-02T03:04:05.006Z weir: debug: x\n"},
		{"web/1", "a\x00b\x1b[31m\xff ü\n", "", slog.LevelInfo, "2026-01-02T03:04:05.006Z web/1: a\\x00b\\x1b[31m\\xff ü\\x0a\n"},
	} {
		if got := string(p.Append(nil, at, c.who, c.level, []byte(c.text), c.more)); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestTerminalHasColumns(t *testing.T) {
	p := NewPrinter(Form{Terminal: true})
	var b []byte
	b = p.Append(b, at, "weir", slog.LevelInfo, []byte("ready"), "")
	b = p.Append(b, at, "photos/1", slog.LevelInfo, []byte("hello"), "")
	b = p.Append(b, at, "weir", slog.LevelWarn, []byte("careful"), " left=1")
	b = p.Append(b, at, strings.Repeat("n", 30), slog.LevelInfo, []byte("long"), "")
	b = p.Append(b, at, "weir", slog.LevelInfo, []byte("last"), "")
	want := "03:04:05 weir  ready\n03:04:05 photos/1  hello\n03:04:05 weir      warning: careful left=1\n" +
		"03:04:05 " + strings.Repeat("n", 30) + "  long\n03:04:05 weir" + strings.Repeat(" ", 18) + "last\n"
	if string(b) != want {
		t.Errorf("\n%s, want\n%s", b, want)
	}
}

func TestColour(t *testing.T) {
	p := NewPrinter(Form{Terminal: true, Colour: true})
	line := func(who string, l slog.Level) string { return string(p.Append(nil, at, who, l, []byte("x"), " a=1")) }
	if got, want := line("weir", slog.LevelError), dim+"03:04:05"+reset+" "+bold+"weir"+reset+"  "+red+"error:"+reset+" x"+dim+" a=1"+reset+"\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if colourOf("web/1") != colourOf("web/2") || colourOf("web/1") == colourOf("photos/1") {
		t.Error("workers of an app have one colour, those of another have another")
	}
}

// What a worker says stays on its line and in its order.
func TestAppendPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"Zoë\t→ 😀":                 "Zoë\t→ 😀",
		"\x1b[2J\r\x00\x7f":        `\x1b[2J\x0d\x00\x7f`,
		"\u009b\x9b\u0085":         `\xc2\x9b\x9b\xc2\x85`,
		"a\u2028b\u2029c":          `a\xe2\x80\xa8b\xe2\x80\xa9c`,
		"\u202etxt.exe\u2066":      `\xe2\x80\xaetxt.exe\xe2\x81\xa6`,
		"\xed\xa0\x80\xff\xc0\xaf": `\xed\xa0\x80\xff\xc0\xaf`,
	} {
		if got := string(AppendPrintable(nil, []byte(in))); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestFormFor(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	device, err := os.Open(os.DevNull) // a character device, as a terminal is
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	for _, c := range []struct {
		f    *os.File
		env  map[string]string
		want Form
	}{
		{file, map[string]string{"TERM": "xterm"}, Form{}},
		{device, map[string]string{"TERM": "xterm"}, Form{Terminal: true, Colour: true}},
		{device, map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, Form{Terminal: true}},
		{device, map[string]string{"TERM": "dumb"}, Form{Terminal: true}},
	} {
		if got := FormFor(c.f, func(name string) string { return c.env[name] }); got != c.want {
			t.Errorf("%v: %+v", c.env, got)
		}
	}
}

func TestHandler(t *testing.T) {
	var out bytes.Buffer
	level := &slog.LevelVar{}
	log := slog.New(Handler(&out, NewPrinter(Form{}), "weir", level)).With("a", 1).WithGroup("g").With("b", "two words")
	log.Debug("not said")
	log.Info("said", "error", errors.New("no\nway"), slog.Group("in", "c", ""), "d", 5*time.Second)
	level.Set(slog.LevelDebug)
	log.Debug("now")
	_, first, _ := strings.Cut(out.String(), " ")
	lines := strings.Split(first, "\n")
	if lines[0] != `weir: said a=1 g.b="two words" g.error="no\nway" g.in.c="" g.d=5s` || len(lines) != 3 || !strings.Contains(lines[1], "weir: debug: now a=1") {
		t.Errorf("%q", lines)
	}
}
