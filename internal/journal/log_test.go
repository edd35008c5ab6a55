package journal

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
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

// disk is a file on a disk that has room for so many bytes.
type disk struct {
	room int
	got  []byte
}

func (d *disk) Write(b []byte) (int, error) {
	n := min(len(b), d.room)
	d.got = append(d.got, b[:n]...)
	if d.room -= n; n < len(b) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func (d *disk) Close() error { return nil }

// onDisk is a log of two loops on a disk, without its goroutine: the test flushes.
func onDisk(d *disk, limit int) (*Log, *[]error) {
	var said []error
	l := &Log{file: d, wake: make(chan struct{}, 1), full: make(chan struct{}, 1), problem: func(err error) { said = append(said, err) }}
	for range 2 {
		l.writers = append(l.writers, &Writer{log: l, format: AppendJSON, limit: limit})
	}
	return l, &said
}

// TestAFullDisk: lines are held until there is room again, and come out whole, each once.
func TestAFullDisk(t *testing.T) {
	line := sample()
	size := len(AppendJSON(nil, line))
	for _, room := range []int{0, 1, size - 1, size, size + 1, 3*size + 7, 4 * size} {
		d := &disk{room: room}
		l, said := onDisk(d, 100*size)
		for range 3 {
			l.Writer(0).Line(line)
			l.Writer(1).Line(line)
			l.flush()
		}
		if len(*said) != 1 || !errors.Is((*said)[0], syscall.ENOSPC) || !strings.HasPrefix((*said)[0].Error(), "writing the access log: ") {
			t.Errorf("room %d: told of %v", room, *said)
		}
		d.room = size // not enough
		l.flush()
		d.room = 1000 * size
		l.flush()
		l.flush()
		if want := strings.Repeat(string(AppendJSON(nil, line)), 6); string(d.got) != want || l.Dropped() != 0 {
			t.Errorf("room %d: %d dropped, got\n%s", room, l.Dropped(), d.got)
		}
		if len(*said) != 2 || (*said)[1] != nil {
			t.Errorf("room %d: told of %v", room, *said)
		}
	}
}

// TestADiskThatStaysFull: what is held has a limit, and what is beyond is counted.
func TestADiskThatStaysFull(t *testing.T) {
	line := sample()
	size := len(AppendJSON(nil, line))
	d := &disk{}
	l, _ := onDisk(d, 10*size)
	for range 100 {
		l.Writer(0).Line(line)
		l.flush()
	}
	if n := l.Dropped(); n < 80 || n > 90 { // what is stuck, and a buffer
		t.Errorf("%d of 100 lines dropped", n)
	}
	d.room = 1000 * size
	l.flush()
	if n := bytes.Count(d.got, []byte{'\n'}); n+int(l.Dropped()) != 100 || len(d.got) != n*size {
		t.Errorf("%d lines, %d bytes, %d dropped", n, len(d.got), l.Dropped())
	}
}

// TestTheDiskIsTriedAgain: the goroutine does so by itself, and what it cannot write before its end is counted.
func TestTheDiskIsTriedAgain(t *testing.T) {
	l, err := Open(Options{To: "/dev/full", Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 2)
	l.problem = func(err error) { told <- err } // before the first line
	l.Writer(0).Line(sample())
	if err := <-told; !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("told of %v", err)
	}
	path := filepath.Join(t.TempDir(), "access.log")
	if l.path = path; l.Reopen() != nil { // a disk with room takes its place
		t.Error("not opened anew")
	}
	until(t, "the line is written", func() bool { return strings.Count(read(t, path), "\n") == 1 })
	if err := errors.Join(<-told, l.Close()); err != nil || l.Dropped() != 0 {
		t.Errorf("%v, %d dropped", err, l.Dropped())
	}
	if l, err = Open(Options{To: "/dev/full", Loops: 1}); err != nil {
		t.Fatal(err)
	}
	l.Writer(0).Line(sample())
	if err := l.Close(); err != nil || l.Dropped() != 1 {
		t.Errorf("%v, %d dropped", err, l.Dropped())
	}
}

// TestATornLine: the rest of a line whose beginning stands in the old file is not put into the new one.
func TestATornLine(t *testing.T) {
	line := sample()
	size := len(AppendJSON(nil, line))
	d := &disk{room: size + 5}
	l, _ := onDisk(d, 100*size)
	l.path = filepath.Join(t.TempDir(), "access.log")
	for range 3 {
		l.Writer(0).Line(line)
	}
	l.flush()
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	defer l.file.Close()
	l.flush()
	if got := read(t, l.path); got != string(AppendJSON(nil, line)) || l.Dropped() != 1 {
		t.Errorf("%d dropped, got %q", l.Dropped(), got)
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

// TestLogFileGone: a file that was deleted, with its directory or without, is written anew as soon as it can be, and it is said that it is gone.
func TestLogFileGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	path := filepath.Join(dir, "access.log")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 10)
	l, err := Open(Options{To: path, Loops: 1, Problem: func(err error) { told <- err }})
	if err != nil {
		t.Fatal(err)
	}
	l.looks = time.Millisecond // before the first line
	lines := func() { l.Writer(0).Line(sample()) }
	lines()
	until(t, "the line is written", func() bool { return read(t, path) != "" })
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	until(t, "there is another file", func() bool { lines(); _, err := os.Stat(path); return err == nil })
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	until(t, "it is said", func() bool { lines(); return strings.Contains(l.Problem(), "gone") })
	if err := <-told; err == nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("told of %v", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	until(t, "it is over", func() bool { lines(); return l.Problem() == "" })
	lines()
	if err := errors.Join(<-told, l.Close()); err != nil || read(t, path) == "" || l.Dropped() != 0 {
		t.Errorf("%v, %d dropped", err, l.Dropped())
	}
}
