package journal

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

// until polls a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(5 * time.Second); !ok(); <-tick.C {
		if time.Now().After(limit) {
			t.Fatalf("it did not happen: %s", what)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestALoneLineAppearsSoon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l := open(t, Options{To: path, Format: "combined", Loops: 2})
	for range 3 { // again after it has been idle
		was := len(read(t, path))
		from := time.Now()
		l.Writer(1).Line(sample())
		until(t, "the line is in the file", func() bool { return len(read(t, path)) > was })
		if d := time.Since(from); d > time.Second {
			t.Errorf("it took %v", d)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o027 != 0 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestManyLinesFromManyLoops(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	const loops, each = 4, 5000
	l := open(t, Options{To: path, Loops: loops})
	var all sync.WaitGroup
	for i := range loops {
		all.Go(func() {
			line := sample()
			line.Server = string(rune('a' + i))
			for range each {
				l.Writer(i).Line(line)
			}
		})
	}
	all.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	text := read(t, path)
	one := len(AppendJSON(nil, sample())) - len("web/1") + 1
	if n := strings.Count(text, "\n"); n != loops*each || len(text) != n*one {
		t.Errorf("%d lines and %d bytes, want %d and %d", n, len(text), loops*each, loops*each*one)
	}
	for i := range loops {
		if n := strings.Count(text, `"server":"`+string(rune('a'+i))+`"`); n != each {
			t.Errorf("%d lines of loop %d", n, i)
		}
	}
	if l.Dropped() != 0 {
		t.Errorf("%d dropped", l.Dropped())
	}
}

// TestAPipeThatNobodyReads stands for a disk that does not answer: lines are taken, then dropped, and never waited for.
func TestAPipeThatNobodyReads(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l := start(Options{Loops: 1, Limit: 100_000}, AppendJSON, w, "pipe")
	line := sample()
	size := uint64(len(AppendJSON(nil, line)))
	var sent uint64
	for l.Dropped() == 0 {
		l.Writer(0).Line(line)
		sent++
		if sent*size > 16<<20 {
			t.Fatal("the buffer grows without limit")
		}
	}
	var got bytes.Buffer
	read := make(chan error)
	go func() {
		_, err := io.Copy(&got, r)
		read <- err
	}()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	r.Close()
	if n := uint64(bytes.Count(got.Bytes(), []byte{'\n'})); n != sent-l.Dropped() || uint64(got.Len()) != n*size {
		t.Errorf("%d lines, %d bytes written of %d lines with %d dropped", n, got.Len(), sent, l.Dropped())
	}
}

func TestAFullDisk(t *testing.T) {
	var mu sync.Mutex
	var said []error
	l := open(t, Options{To: "/dev/full", Loops: 1, Problem: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, err)
	}})
	for i := range uint64(2) {
		l.Writer(0).Line(sample())
		until(t, "the line is counted as dropped", func() bool { return l.Dropped() == i+1 })
	}
	mu.Lock()
	defer mu.Unlock()
	if len(said) != 1 || said[0] == nil || !strings.HasPrefix(said[0].Error(), "writing the access log: ") {
		t.Errorf("told of %v", said)
	}
}

// TestATornLine: what follows a line that was cut begins on a line of its own.
func TestATornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	f, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var said []error
	l := &Log{file: f, torn: true, failing: true, problem: func(err error) { said = append(said, err) }}
	l.write([]byte("a\n"))
	l.write([]byte("b\n"))
	if got := read(t, path); got != "\na\nb\n" {
		t.Errorf("got %q", got)
	}
	if len(said) != 1 || said[0] != nil {
		t.Errorf("told of %v", said)
	}
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l := open(t, Options{To: path, Loops: 1})
	line := sample()
	line.Detail = "one"
	l.Writer(0).Line(line)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	line.Detail = "two"
	l.Writer(0).Line(line)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path+".1"); !strings.Contains(got, "one") || strings.Contains(got, "two") {
		t.Errorf("the old file holds %q", got)
	}
	if got := read(t, path); strings.Contains(got, "one") || !strings.Contains(got, "two") {
		t.Errorf("the new file holds %q", got)
	}
	if err := l.Reopen(); !errors.Is(err, ErrLogClosed) {
		t.Errorf("Reopen after Close: %v", err)
	}
	l.Writer(0).Line(line)
	if l.Dropped() != 1 {
		t.Errorf("%d dropped after Close", l.Dropped())
	}
}

func TestRotationThatFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	l := open(t, Options{To: filepath.Join(dir, "access.log"), Loops: 1})
	if err := os.Rename(dir, dir+".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Reopen: %v", err)
	}
	l.Writer(0).Line(sample())
	until(t, "the old file gets the line", func() bool { return read(t, filepath.Join(dir+".1", "access.log")) != "" })
}

func TestNowhere(t *testing.T) {
	l := open(t, Options{To: "none", Loops: 2})
	w := l.Writer(1)
	if w.On() {
		t.Error("it is on")
	}
	w.Line(sample())
	if err := l.Reopen(); err != nil {
		t.Error(err)
	}
	if o := open(t, Options{To: "stderr", Loops: 1}); !o.Writer(0).On() {
		t.Error("stderr is off")
	}
}

func TestOpenErrors(t *testing.T) {
	for _, o := range []Options{{To: t.TempDir()}, {To: "stdout", Format: "xml"}, {To: "/nonexistent/dir/log"}} {
		if l, err := Open(o); err == nil {
			t.Errorf("%+v: no error", o)
			l.Close()
		} else if !strings.HasPrefix(err.Error(), "opening the access log: ") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestWriterDoesNotAllocate(t *testing.T) {
	l := open(t, Options{To: os.DevNull, Loops: 1})
	w, line := l.Writer(0), sample()
	for range 20_000 { // both buffers have their size
		w.Line(line)
	}
	if n := testing.AllocsPerRun(50_000, func() { w.Line(line) }); n != 0 {
		t.Errorf("%v allocations a line", n)
	}
}

func BenchmarkWriter(b *testing.B) {
	l, err := Open(Options{To: os.DevNull, Loops: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	w, line := l.Writer(0), sample()
	b.ReportAllocs()
	for b.Loop() {
		w.Line(line)
	}
	b.ReportMetric(float64(l.Dropped())/float64(b.N), "dropped/op")
}
