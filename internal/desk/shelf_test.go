package desk

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/picture"
)

// keep has a text left under a name by a shelf that is closed then.
func keep(t *testing.T, dir, name, text string) string {
	t.Helper()
	s := openShelf(dir, "", "/run/weir", shelfWait)
	s.leave(name, time.Now(), func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	return s.path(name)
}

// kept is what a shelf has under a name.
func kept(s *shelf, name string) (text string) {
	s.read(name, func(r io.Reader) error {
		all, err := io.ReadAll(r)
		text = string(all)
		return err
	})
	return text
}

// listening returns what is logged meanwhile.
func listening(t *testing.T) *bytes.Buffer {
	var told bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&told, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &told
}

func closed(t *testing.T, s *shelf) {
	t.Helper()
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

// TestShelf: what was left is there for the next one, the latest of it, wherever it was kept before.
func TestShelf(t *testing.T) {
	dir, before := t.TempDir(), t.TempDir()
	keep(t, before, "totals", "old")
	s := openShelf(dir, before, "/run/weir", shelfWait)
	if got := kept(s, "totals"); got != "old" {
		t.Errorf("of the folder before there is %q", got)
	}
	for _, text := range []string{"1", "2", "3"} {
		s.leave("totals", time.Now(), func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
	}
	closed(t, s)
	next := openShelf(dir, before, "/run/weir", shelfWait)
	defer closed(t, next)
	if got := kept(next, "totals"); got != "3" {
		t.Errorf("there is %q", got)
	}
	if got := kept(next, "graphs"); got != "" {
		t.Errorf("of what was never left there is %q", got)
	}
	is, err := os.Stat(next.path("totals"))
	if err != nil || is.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", is, err)
	}
}

// TestShelfDamaged: whatever is done to a file, nothing of it is believed, one line says so, and it is kept for whoever wants to look.
func TestShelfDamaged(t *testing.T) {
	whole, err := os.ReadFile(keep(t, t.TempDir(), "totals", strings.Repeat("what was counted, ", 1000)))
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(keep(t, t.TempDir(), "events", "{}"))
	if err != nil {
		t.Fatal(err)
	}
	forms["totals"]++
	newer, err := os.ReadFile(keep(t, t.TempDir(), "totals", "{}"))
	forms["totals"]--
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 1
	for what, text := range map[string][]byte{"nothing": {}, "cut off": whole[:len(whole)-5], "one bit": flipped, "no file of ours": []byte("{}"), "another one's": other, "another version's": newer} {
		dir := t.TempDir()
		told := listening(t)
		s := openShelf(dir, "", "/run/weir", shelfWait)
		if err := os.WriteFile(s.path("totals"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := kept(s, "totals"); got != "" {
			t.Errorf("%s: %q was believed", what, got)
		}
		closed(t, s)
		aside, err := os.ReadFile(s.path("totals") + ".damaged")
		if err != nil || !bytes.Equal(aside, text) {
			t.Errorf("%s: set aside are %d bytes, %v", what, len(aside), err)
		}
		if n := strings.Count(told.String(), "\n"); n != 1 || !strings.Contains(told.String(), "totals") || !strings.Contains(told.String(), "kept_as") {
			t.Errorf("%s: told was %s", what, told)
		}
		if what == "another version's" && !strings.Contains(told.String(), "another version") {
			t.Errorf("told was %s", told)
		}
	}
}

// TestShelfOfAnother: who has not got the lock reads, and changes nothing.
func TestShelfOfAnother(t *testing.T) {
	dir := t.TempDir()
	first := openShelf(dir, "", "/run/weir", shelfWait)
	defer closed(t, first)
	if err := os.WriteFile(first.path("totals"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	told := listening(t)
	second := openShelf(dir, "", "/run/weir", shelfWait)
	kept(second, "totals")
	second.leave("totals", time.Now(), func(io.Writer) error { return nil })
	closed(t, second)
	if text, err := os.ReadFile(first.path("totals")); err != nil || string(text) != "{" {
		t.Errorf("%q, %v", text, err)
	}
	if !strings.Contains(told.String(), "another desk") {
		t.Errorf("told was %s", told)
	}
}

// TestShelfOfAnotherWeir: a folder that another weir has is left alone: nothing of it is read, what is left goes into the run directory, and one
// line says what to do. When that one is done with it, it is there to be had.
func TestShelfOfAnotherWeir(t *testing.T) {
	dir, mine := t.TempDir(), t.TempDir()
	keep(t, dir, "totals", "of the other")
	first := openShelf(dir, "", "/run/first", shelfWait)
	told := listening(t)
	second := shelfOf(dir, mine)
	if second.dir != mine || second.lock == nil || kept(second, "totals") != "" {
		t.Errorf("it has %s, and there %q", second.dir, kept(second, "totals"))
	}
	if all := told.String(); strings.Count(all, "\n") != 1 || !strings.Contains(all, "admin.keep") || !strings.Contains(all, dir) || !strings.Contains(all, "/run/first") || !strings.Contains(all, mine) {
		t.Errorf("told was %s", all)
	}
	second.leave("totals", time.Now(), func(w io.Writer) error { _, err := io.WriteString(w, "its own"); return err })
	closed(t, second)
	if got := kept(first, "totals"); got != "of the other" {
		t.Errorf("the other one has %q", got)
	}
	closed(t, first)
	third := shelfOf(dir, mine)
	if third.dir != dir || third.lock == nil {
		t.Errorf("it has %s", third.dir)
	}
	closed(t, third)
	if got := kept(&shelf{dir: mine, files: map[string]*filed{}}, "totals"); got != "its own" {
		t.Errorf("in the run directory is %q", got)
	}
}

// TestShelfTake: what is true only once is read once, wherever it is, and by nobody who might leave it there.
func TestShelfTake(t *testing.T) {
	dir, before := t.TempDir(), t.TempDir()
	keep(t, before, "pushed", "old")
	taken := func(s *shelf) (text string) {
		s.take("pushed", func(r io.Reader) error {
			all, err := io.ReadAll(r)
			text = string(all)
			return err
		})
		return text
	}
	s := openShelf(dir, before, "/run/weir", shelfWait)
	if got := taken(s); got != "old" {
		t.Errorf("of the folder before there is %q", got)
	}
	if got := taken(s); got != "" {
		t.Errorf("again there is %q", got)
	}
	closed(t, s)
	keep(t, dir, "pushed", "new")
	s = openShelf(dir, before, "/run/weir", shelfWait)
	defer closed(t, s)
	listening(t)
	without := openShelf(dir, before, "/run/weir", shelfWait)
	if got := taken(without); got != "" {
		t.Errorf("without the lock there is %q", got)
	}
	closed(t, without)
	if got := taken(s); got != "new" {
		t.Errorf("with it there is %q", got)
	}
}

// TestShelfHangs: a disk that does not take what it is given holds up nobody, and what failed is told once, and when it is well again.
func TestShelfHangs(t *testing.T) {
	told := listening(t)
	s := openShelf(t.TempDir(), "", "/run/weir", shelfWait)
	entered, hang := make(chan struct{}), make(chan struct{})
	now := time.Now()
	s.leave("graphs", now, func(io.Writer) error { close(entered); <-hang; return errors.New("no space") })
	<-entered
	if s.due("graphs", now, time.Minute) || !s.due("graphs", now.Add(time.Minute), time.Minute) || !s.due("totals", now, time.Minute) {
		t.Error("what is due is another thing")
	}
	s.leave("graphs", now, func(io.Writer) error { return errors.New("no space") })
	close(hang)
	failed := func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.waits) == 0 }
	for end := time.Now().Add(10 * time.Second); !failed(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not go on")
		}
	}
	s.leave("graphs", now, func(w io.Writer) error { _, err := w.Write(bytes.Repeat([]byte{1, 2, 3, 5, 7}, 1000)); return err })
	closed(t, s)
	if all := told.String(); strings.Count(all, "no space") != 1 || strings.Count(all, "written again") != 1 {
		t.Errorf("told was %s", all)
	}
	if left, err := filepath.Glob(filepath.Join(s.dir, "*.new")); err != nil || len(left) != 0 {
		t.Errorf("left is %v, %v", left, err)
	}
	s.files["graphs"].size = 100 * shelfRate
	if s.due("graphs", now.Add(99*time.Second), time.Minute) || !s.due("graphs", now.Add(100*time.Second), time.Minute) {
		t.Error("a large file is not left more seldom")
	}
}

// TestKeepMoves: another admin.keep holds at once, with what was known before.
func TestKeepMoves(t *testing.T) {
	s := start(t, usual)
	s.mu.Lock()
	s.counters = &api.Counters{Epochs: []string{"a"}, PID: 2, Counts: api.Counts{Requests: 5}}
	s.mu.Unlock()
	s.eventually("five requests", func() bool { return s.desk.hub.now.Load().Total.Requests == 5 })
	dir := filepath.Join(t.TempDir(), "kept", "here")
	address := strings.TrimPrefix(s.url, "http://")
	text := strings.Replace(strings.ReplaceAll(usual, "ADDRESS", address), "token:", "keep: "+dir+", token:", 1)
	if err := s.desk.apply(api.EdgeState{Version: 2, Source: api.Source{Path: filepath.Join(s.dir, "w.yaml"), Read: 2, Revision: 2, Text: text}, RunDir: s.dir}); err != nil {
		t.Fatal(err)
	}
	for name := range forms {
		s.eventually(name+" in the other folder", func() bool {
			_, err := os.Stat((&shelf{dir: dir}).path(name))
			return err == nil
		})
	}
	s.end()
	for name := range forms { // as at a restart of the machine
		if err := os.Remove((&shelf{dir: s.dir}).path(name)); err != nil && name != "pushed" { // which is left at the end alone
			t.Error(err)
		}
	}
	s.mu.Lock()
	s.counters = &api.Counters{Epochs: []string{"b"}, PID: 2, Counts: api.Counts{Requests: 1}}
	s.mu.Unlock()
	s.begin(strings.Replace(usual, "token:", "keep: "+dir+", token:", 1))
	if n := s.desk.hub.now.Load().Total.Requests; n != 6 {
		t.Errorf("the next desk has %d requests, want 6", n)
	}
}

// TestLastWord: what an edge that stopped last has left is counted, once, whatever the book knows of it.
func TestLastWord(t *testing.T) {
	dir := t.TempDir()
	word := func(epoch string, n uint64) *api.Counters {
		return &api.Counters{Epochs: []string{epoch}, Counts: api.Counts{Requests: n}}
	}
	sum := func(b *picture.Book) uint64 {
		p := picture.NewMaker("node", 1, *b, time.Now()).Make(time.Now(), picture.Told{Edge: word("new", 1)})
		return p.Total.Requests
	}
	s := openShelf(dir, "", "/run/weir", shelfWait)
	defer closed(t, s)
	for _, c := range []struct {
		what, left string
		book       picture.Book
		want       uint64
	}{
		{"the one that was seen", `{"epochs":["a"],"counts":{"requests":7}}`, picture.Book{Last: word("a", 5)}, 8},
		{"one that was never seen", `{"epochs":["b"],"counts":{"requests":7}}`, picture.Book{Last: word("a", 5)}, 13},
		{"an earlier one", `{"epochs":["a"],"counts":{"requests":7}}`, picture.Book{Last: word("b", 5), Gone: []api.Counters{*word("a", 3)}}, 13},
		{"nothing", "", picture.Book{Last: word("a", 5)}, 6},
		{"half a file", `{"epochs":["a"],"cou`, picture.Book{Last: word("a", 5)}, 6},
		{"nobody's", `{}`, picture.Book{Last: word("a", 5)}, 6},
	} {
		path := api.LastWord(dir)
		if c.left != "" {
			if err := os.WriteFile(path, []byte(c.left), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		listening(t)
		for range 2 {
			if s.takeWord(path, &c.book); sum(&c.book) != c.want {
				t.Errorf("%s: %d requests, want %d", c.what, sum(&c.book), c.want)
			}
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: it is still there", c.what)
		}
	}
}
