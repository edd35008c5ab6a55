package testkit

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
	"github.com/creack/pty"
)

// Terminal is a terminal as a program that draws on it sees one: a pseudo-terminal with a screen. It knows what xterm knows as far as weir
// needs it; a sequence that it does not know fails the test.
type Terminal struct {
	t    testing.TB
	pty  *os.File
	cmd  *exec.Cmd
	over chan struct{}
	done chan error

	mu      sync.Mutex
	w, h    int
	cells   [][]rune // 0: the second half of a wide character
	x, y    int
	top, in int // the region that scrolls, both ends in it
	modes   map[string]bool
	unknown []string
	drawn   int // bytes that have come
	rest    []byte
	last    rune
	colours map[string]bool
	back    string // what it says its background is: "rgb:0000/0000/0000"
}

// Dark is a background as terminals tell of theirs.
const Dark = "rgb:0000/0000/0000"

// Open runs a command on a terminal of a size, which says that its background is back (Dark). It is ended with the test.
func Open(t testing.TB, cmd *exec.Cmd, w, h int, back string) *Terminal {
	t.Helper()
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: uint16(w), Rows: uint16(h)})
	if err != nil {
		t.Fatalf("opening a pseudo-terminal: %v", err)
	}
	s := &Terminal{t: t, pty: f, cmd: cmd, over: make(chan struct{}), done: make(chan error, 1), modes: map[string]bool{}, colours: map[string]bool{}, back: back}
	s.resize(w, h)
	go s.read()
	go func() { s.done <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // most often it is gone
		f.Close()          //nolint:errcheck // nobody reads it any more
		<-s.over
		if len(s.unknown) > 0 {
			t.Errorf("the terminal does not know %q", s.unknown)
		}
	})
	return s
}

// Terminal runs `weir` with the arguments and this run directory on a terminal.
func (w *Weir) Terminal(width, height int, args ...string) *Terminal {
	w.t.Helper()
	cmd := exec.Command(w.tool, args...)
	cmd.Dir = w.Dir
	cmd.Env = append(os.Environ(), "WEIR_RUN_DIR="+w.RunDir, "TERM=xterm-256color", "LC_ALL=C.UTF-8")
	return Open(w.t, cmd, width, height, Dark)
}

// Wait waits for the command to end.
func (s *Terminal) Wait(limit time.Duration) error {
	s.t.Helper()
	select {
	case err := <-s.done:
		<-s.over // until all that it has drawn is there
		return err
	case <-time.After(limit):
		s.t.Fatalf("it does not end:\n%s", s.Text())
		return nil
	}
}

// Process is the command's.
func (s *Terminal) Process() Process {
	s.t.Helper()
	p, ok := process(s.cmd.Process.Pid)
	if !ok {
		s.t.Fatal("the command has ended")
	}
	return p
}

// Hangup takes the terminal away, as when its window is closed.
func (s *Terminal) Hangup() {
	s.t.Helper()
	if err := s.pty.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// Used is the processor time that the command has used; it has ended.
func (s *Terminal) Used() time.Duration {
	return s.cmd.ProcessState.UserTime() + s.cmd.ProcessState.SystemTime()
}

// Type sends keys as a terminal does.
func (s *Terminal) Type(keys string) {
	s.t.Helper()
	if _, err := s.pty.WriteString(keys); err != nil {
		s.t.Fatalf("typing %q: %v", keys, err)
	}
}

// Resize changes the window's size.
func (s *Terminal) Resize(w, h int) {
	s.t.Helper()
	s.mu.Lock()
	s.resize(w, h)
	s.mu.Unlock()
	if err := pty.Setsize(s.pty, &pty.Winsize{Cols: uint16(w), Rows: uint16(h)}); err != nil {
		s.t.Fatalf("resizing the terminal: %v", err)
	}
}

// resize makes another screen of what is in the old one.
func (s *Terminal) resize(w, h int) {
	old := s.cells
	s.w, s.h, s.top, s.in = w, h, 0, h-1
	s.cells = make([][]rune, h)
	for y := range s.cells {
		s.cells[y] = blank(w)
		if y < len(old) {
			copy(s.cells[y], old[y])
		}
	}
	s.x, s.y = min(s.x, w-1), min(s.y, h-1)
}

func blank(n int) []rune { return []rune(strings.Repeat(" ", n)) }

// Text is what is on the screen, without the spaces at the ends of lines.
func (s *Terminal) Text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, row := range s.cells {
		l := strings.ReplaceAll(string(row), "\x00", "")
		b.WriteString(strings.TrimRight(l, " ") + "\n")
	}
	return b.String()
}

// Drawn is how many bytes were sent to it.
func (s *Terminal) Drawn() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drawn
}

// Colours are the sequences that have set colours.
func (s *Terminal) Colours() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.colours))
}

// Mode reports whether a private mode is set, such as "1049", the other screen.
func (s *Terminal) Mode(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.modes[name]
}

// See waits until the screen has a text.
func (s *Terminal) See(text string) {
	s.t.Helper()
	for range Until(Patience) {
		if strings.Contains(s.Text(), text) {
			return
		}
	}
	s.t.Fatalf("%q is not on the screen:\n%s", text, s.Text())
}

// SeeNo waits until the screen has not a text any more.
func (s *Terminal) SeeNo(text string) {
	s.t.Helper()
	for range Until(Patience) {
		if !strings.Contains(s.Text(), text) {
			return
		}
	}
	s.t.Fatalf("%q is still on the screen:\n%s", text, s.Text())
}

func (s *Terminal) read() {
	defer close(s.over)
	buf := make([]byte, 64<<10)
	for {
		n, err := s.pty.Read(buf)
		s.mu.Lock()
		s.drawn += n
		s.rest = append(s.rest, buf[:n]...)
		for s.step() {
		}
		s.mu.Unlock()
		if err != nil {
			return // the other side is gone
		}
	}
}

// step takes one character or sequence of what has come, false if none is whole.
func (s *Terminal) step() bool {
	b := s.rest
	if len(b) == 0 {
		return false
	}
	switch c := b[0]; {
	case c == 0x1b:
		return s.sequence()
	case c == '\r':
		s.x = 0
	case c == '\n':
		s.feed()
	case c == '\b':
		s.x = max(s.x-1, 0)
	case c == '\t':
		s.x = min(s.x/8*8+8, s.w-1)
	case c == 0x07:
	case c < 0x20 || c == 0x7f:
		s.unknown = append(s.unknown, fmt.Sprintf("%#x", c))
	default:
		if !utf8.FullRune(b) {
			return false
		}
		r, n := utf8.DecodeRune(b)
		s.put(r)
		s.rest = b[n:]
		return true
	}
	s.rest = b[1:]
	return true
}

func (s *Terminal) put(r rune) {
	if r >= 0x80 && r < 0xa0 {
		s.unknown = append(s.unknown, fmt.Sprintf("%#x", r))
	}
	w := ansi.StringWidth(string(r))
	if w == 0 {
		return
	}
	if s.x+w > s.w {
		if !s.modes["7off"] {
			s.x = 0
			s.feed()
		} else {
			s.x = s.w - w
		}
	}
	s.cells[s.y][s.x] = r
	if w == 2 {
		s.cells[s.y][s.x+1] = 0
	}
	s.x += w
	s.last = r
}

func (s *Terminal) feed() {
	if s.y == s.in {
		s.scroll(1)
		return
	}
	s.y = min(s.y+1, s.h-1)
}

func (s *Terminal) scroll(n int) {
	for range n {
		copy(s.cells[s.top:s.in+1], s.cells[s.top+1:s.in+1])
		s.cells[s.in] = blank(s.w)
	}
	for range -n {
		copy(s.cells[s.top+1:s.in+1], s.cells[s.top:s.in])
		s.cells[s.top] = blank(s.w)
	}
}

// sequence takes one that begins with escape.
func (s *Terminal) sequence() bool {
	b := s.rest
	if len(b) < 2 {
		return false
	}
	switch b[1] {
	case '[':
		for i := 2; i < len(b); i++ {
			if b[i] >= 0x40 && b[i] <= 0x7e {
				s.control(string(b[2:i]), b[i])
				s.rest = b[i+1:]
				return true
			}
		}
		return false
	case ']', 'P', '_':
		for i := 2; i < len(b); i++ {
			if b[i] == 0x07 || b[i] == '\\' && b[i-1] == 0x1b {
				if string(b[2:min(i, 6)]) == "11;?" {
					fmt.Fprintf(s.pty, "\x1b]11;%s\x1b\\", s.back) //nolint:errcheck // who asks is gone
				}
				s.rest = b[i+1:]
				return true
			}
		}
		return false
	case 'M':
		if s.y == s.top {
			s.scroll(-1)
		} else {
			s.y = max(s.y-1, 0)
		}
	case '=', '>', '7', '8':
	default:
		s.unknown = append(s.unknown, "ESC "+string(b[1:2]))
	}
	s.rest = b[2:]
	return true
}

// control obeys ESC [ args final.
func (s *Terminal) control(args string, final byte) {
	if args != "" && strings.ContainsRune("?>=<", rune(args[0])) {
		s.private(args, final)
		return
	}
	var all []int
	for _, a := range strings.Split(args, ";") {
		n, err := strconv.Atoi(a)
		if err != nil {
			n = 0
		}
		all = append(all, n)
	}
	if s.moved(all, final) {
		return
	}
	one := max(all[0], 1)
	row := s.cells[s.y]
	x := min(s.x, s.w-1)
	switch final {
	case 'J':
		s.erase(all[0])
	case 'K':
		from, to := x, s.w
		switch all[0] {
		case 1:
			from, to = 0, x+1
		case 2:
			from = 0
		}
		copy(row[from:to], blank(to-from))
	case 'X':
		copy(row[x:], blank(min(one, s.w-x)))
	case 'P':
		copy(row[x:], append(append([]rune{}, row[min(x+one, s.w):]...), blank(min(one, s.w-x))...))
	case '@':
		copy(row[x:], append(blank(min(one, s.w-x)), row[x:]...)[:s.w-x])
	case 'L', 'M':
		top := s.top
		s.top = s.y
		s.scroll(map[byte]int{'L': -one, 'M': one}[final])
		s.top = top
	case 'S':
		s.scroll(one)
	case 'T':
		s.scroll(-one)
	case 'b':
		for range one {
			s.put(s.last)
		}
	case 'r':
		s.top, s.in = one-1, s.h-1
		if len(all) > 1 && all[1] > 0 {
			s.in = min(all[1], s.h) - 1
		}
		s.x, s.y = 0, 0
	case 'm':
		for _, n := range all {
			if n >= 30 && n <= 49 && n != 39 && n != 49 || n >= 90 {
				s.colours[args] = true
			}
		}
	case 't', 'q', 'c', 'n', 'h', 'l':
	default:
		s.unknown = append(s.unknown, "CSI "+args+string(final))
	}
}

// moved obeys a sequence that moves the cursor, and reports whether it is one.
func (s *Terminal) moved(all []int, final byte) bool {
	one := max(all[0], 1)
	x := min(s.x, s.w-1)
	switch final {
	case 'A':
		s.y = max(s.y-one, 0)
	case 'B', 'e':
		s.y = min(s.y+one, s.h-1)
	case 'C', 'a':
		s.x = min(x+one, s.w-1)
	case 'D':
		s.x = max(x-one, 0)
	case 'E':
		s.x, s.y = 0, min(s.y+one, s.h-1)
	case 'F':
		s.x, s.y = 0, max(s.y-one, 0)
	case 'G', '`':
		s.x = min(one, s.w) - 1
	case 'd':
		s.y = min(one, s.h) - 1
	case 'H', 'f':
		s.y, s.x = min(one, s.h)-1, 0
		if len(all) > 1 {
			s.x = min(max(all[1], 1), s.w) - 1
		}
	case 'I':
		s.x = min((x/8+one)*8, s.w-1)
	case 'Z':
		s.x = max((x+7)/8-one, 0) * 8
	default:
		return false
	}
	return true
}

func (s *Terminal) erase(what int) {
	for y := range s.cells {
		if what >= 2 || what == 0 && y > s.y || what == 1 && y < s.y {
			s.cells[y] = blank(s.w)
		}
	}
	switch x := min(s.x, s.w-1); what {
	case 0:
		copy(s.cells[s.y][x:], blank(s.w-x))
	case 1:
		copy(s.cells[s.y], blank(x+1))
	}
}

func (s *Terminal) private(args string, final byte) {
	switch {
	case args[0] == '?' && (final == 'h' || final == 'l'):
		for _, name := range strings.Split(args[1:], ";") {
			s.modes[name] = final == 'h'
			if name == "7" {
				s.modes["7off"] = final == 'l'
			}
			if name == "1049" {
				s.erase(2)
			}
		}
	case args == "?5" && final == 'W': // a tab stop every eight columns, where they are
	case strings.ContainsRune("umpcqn", rune(final)): // questions and keyboards that it has not
	default:
		s.unknown = append(s.unknown, "CSI "+args+string(final))
	}
}
