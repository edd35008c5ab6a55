package sink

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(10 * time.Second); !ok(); <-tick.C {
		if time.Now().After(limit) {
			t.Fatalf("it did not happen: %s", what)
		}
	}
}

// rotating is a file with a clock of the test's own, whose old files the test sees to.
func rotating(t *testing.T, rule Rotation, now *time.Time) *File {
	t.Helper()
	f, err := OpenFile(filepath.Join(t.TempDir(), "access.log"), rule, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	f.now = func() time.Time { return *now }
	f.until = f.nextAfter(*now)
	return f
}

func write(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if n, err := w.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("%d of %d: %v", n, len(text), err)
	}
}

// texts is what is in the old files, the oldest first, and in the file.
func texts(t *testing.T, f *File) (all []string) {
	t.Helper()
	old, err := f.old()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(old, f.path) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".gz") {
			z, err := gzip.NewReader(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if b, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, string(b))
	}
	return all
}

func TestRotationBySize(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.Local)
	f := rotating(t, Rotation{Size: 10, Keep: 3}, &now)
	write(t, f, "1234\n5678\nabcd\n")             // cut at the end of a line
	write(t, f, "a line that is longer\n")        // it fits nowhere, and is whole all the same
	write(t, f, "ef\n"+strings.Repeat("x\n", 12)) // several files in one write
	want := []string{"1234\n5678\n", "abcd\na line that is longer\n", "ef\nx\nx\nx\nx\n", "x\nx\nx\nx\nx\n", "x\nx\nx\n"}
	if got := texts(t, f); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if err := f.tidyNow(); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, f); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want[1:]) {
		t.Errorf("after the oldest has gone: %q", got)
	}
}

func TestRotationByTime(t *testing.T) {
	now := time.Date(2026, 11, 21, 23, 59, 0, 0, time.Local)
	f := rotating(t, Rotation{Every: 24 * time.Hour, Compress: true}, &now)
	write(t, f, "one\n")
	now = now.Add(59 * time.Second)
	write(t, f, "two\n")
	now = now.Add(time.Second)
	write(t, f, "three\n")
	now = now.Add(72 * time.Hour)
	write(t, f, "four\n")
	for range 2 { // what is done is not done again
		if err := f.tidyNow(); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprintf("%q", texts(t, f)); got != `["one\ntwo\n" "three\n" "four\n"]` {
		t.Error(got)
	}
	names, err := filepath.Glob(f.path + ".*")
	if err != nil || len(names) != 2 || !strings.HasSuffix(names[0], ".20261122-000000.gz") || !strings.HasSuffix(names[1], ".20261125-000000.gz") {
		t.Errorf("%v %v", names, err)
	}
	for every, want := range map[time.Duration]string{time.Hour: "00:00", 6 * time.Hour: "00:00", 24 * time.Hour: "00:00", 10 * time.Minute: "23:40", 7 * 24 * time.Hour: "00:00"} {
		f.rule.Every = every
		if got := f.nextAfter(time.Date(2026, 11, 21, 23, 31, 0, 0, time.Local)).Format("15:04"); got != want {
			t.Errorf("every %v: at %s", every, got)
		}
	}
}

// Another process renames the file, or takes it away: what comes next goes to the new one, and rotated files are never written over.
func TestAnotherProcessRotates(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.Local)
	f := rotating(t, Rotation{Size: 1 << 20}, &now)
	write(t, f, "one\n")
	g, err := OpenFile(f.path, f.rule, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	g.now = f.now
	write(t, g, "two\n")
	if err := g.follow(); err != nil {
		t.Fatal(err)
	}
	if err := g.rotate(); err != nil {
		t.Fatal(err)
	}
	write(t, f, "three\n")
	write(t, g, "four\n")
	if err := f.rotate(); err != nil { // in the same second
		t.Fatal(err)
	}
	write(t, g, "five\n")
	if got := fmt.Sprintf("%q", texts(t, f)); got != `["one\ntwo\n" "three\nfour\n" "five\n"]` {
		t.Error(got)
	}
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	write(t, f, "six\n")
	if got := texts(t, f); got[len(got)-1] != "six\n" {
		t.Errorf("%q", got)
	}
}

// What one rotation has left behind is not lost to a process that was killed, and nobody else's files are touched.
func TestOldFiles(t *testing.T) {
	now := time.Now()
	f := rotating(t, Rotation{Size: 10, Keep: 5, Compress: true}, &now)
	dir := filepath.Dir(f.path)
	for _, name := range []string{"access.log.1", "access.log.old", "access.logs.20260101-000000", "access.log.20260101-000000.gz.part", "access.log.20260101-000000", "access.log.20260101-000000-2", "access.log.20260101-000000-10"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name+"\n"), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(filepath.Join(dir, "access.log.20260101-000000.gz.part"), now.Add(-time.Hour), now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := f.tidyNow(); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%q", texts(t, f)); got != `["access.log.20260101-000000\n" "access.log.20260101-000000-2\n" "access.log.20260101-000000-10\n" ""]` {
		t.Error(got)
	}
	for _, name := range []string{"access.log.1", "access.log.old", "access.logs.20260101-000000"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.part")); len(left) > 0 {
		t.Error(left)
	}
}

// The rest of a line whose beginning stands in another file could pass for a line.
func TestATornLineIsNotGoneOnWith(t *testing.T) {
	now := time.Now()
	f := rotating(t, Rotation{Size: 1 << 20}, &now)
	write(t, f, "a torn")
	if err := f.rotate(); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Write([]byte(" line\nnext\n")); n != 11 || err != nil {
		t.Error(n, err)
	}
	if got := fmt.Sprintf("%q", texts(t, f)); got != `["a torn" "next\n"]` {
		t.Error(got)
	}
}

func TestAFolderThatCannotBeWrittenTo(t *testing.T) {
	if _, err := OpenFile("/nonexistent/access.log", Rotation{Size: 1}, nil); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	now := time.Now()
	f := rotating(t, Rotation{Size: 4}, &now)
	write(t, f, "one\n")
	dir := filepath.Dir(f.path)
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Write([]byte("two\n")); n != 0 || err == nil {
		t.Error(n, err)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	write(t, f, "two\n")
	if got := fmt.Sprintf("%q", texts(t, f)); got != `["one\n" "two\n"]` {
		t.Error(got)
	}
}

// A folder in which nothing can be renamed: the file is written on, that is told, and tried again a minute later.
func TestRotationThatFails(t *testing.T) {
	now := time.Now()
	f := rotating(t, Rotation{Size: 4}, &now)
	var told []error
	f.told = func(err error) { told = append(told, err) }
	write(t, f, "one\n")
	for i := range 1001 { // every name is taken
		name := f.path + "." + now.Format(stampForm)
		if i > 0 {
			name += fmt.Sprintf("-%d", i)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(t, f, "two\nthree\n")
	write(t, f, "four\n")
	if got := texts(t, f); len(told) != 1 || got[len(got)-1] != "one\ntwo\nthree\nfour\n" {
		t.Errorf("%v %q", told, got[len(got)-1])
	}
	now = now.Add(turnAgain)
	write(t, f, "five\n")
	if got := texts(t, f); len(told) != 1 || got[len(got)-1] != "five\n" {
		t.Errorf("%v %q", told, got[len(got)-1])
	}
}

func TestDatagrams(t *testing.T) {
	for _, row := range []struct {
		network string
		make    func(address string) *Datagrams
		send    string
		want    []string
	}{
		{"unixgram", func(a string) *Datagrams { return NewSyslog("unixgram", a) }, "<1>a b\n<2>c\n", []string{"<1>a b", "<2>c"}},
		{"udp", func(a string) *Datagrams { return NewSyslog("udp", a) }, "<1>a b\n<2>c\n", []string{"<1>a b", "<2>c"}},
		{"unixgram", NewJournald, "A=1\nMESSAGE=x\n\nA=2\n\n", []string{"A=1\nMESSAGE=x\n", "A=2\n"}},
	} {
		address := "127.0.0.1:0"
		if row.network == "unixgram" {
			address = filepath.Join(t.TempDir(), "log")
		}
		ln, err := net.ListenPacket(row.network, address) //nolint:noctx // a test's
		if err != nil {
			t.Fatal(err)
		}
		s := row.make(ln.LocalAddr().String())
		write(t, s, row.send)
		for _, want := range row.want {
			b := make([]byte, 100)
			n, _, err := ln.ReadFrom(b)
			if err != nil || string(b[:n]) != want {
				t.Errorf("%s: %q %v, want %q", row.network, b[:n], err, want)
			}
		}
		ln.Close()
		if row.network == "unixgram" {
			if n, err := s.Write([]byte(row.send)); n != 0 || err == nil {
				t.Errorf("nobody is there: %d %v", n, err)
			}
			os.Remove(address)                                                //nolint:errcheck // closing has done it
			if ln, err = net.ListenPacket(row.network, address); err != nil { //nolint:noctx // a test's
				t.Fatal(err)
			}
			write(t, s, row.send) // it has come back
			ln.Close()
		}
		if err := errors.Join(s.Reopen(), s.Close()); err != nil {
			t.Error(err)
		}
	}
}

// readFrames reads messages of RFC 6587 until the connection ends.
func readFrames(c net.Conn, got func(string)) {
	in := bufio.NewReader(c)
	for {
		var n int
		if _, err := fmt.Fscanf(in, "%d ", &n); err != nil {
			return
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(in, b); err != nil {
			return
		}
		got(string(b))
	}
}

func TestStream(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test's
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all []string
	var serving sync.WaitGroup
	conns := make(chan net.Conn, 10)
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns <- c
			serving.Go(func() {
				readFrames(c, func(s string) { mu.Lock(); all = append(all, s); mu.Unlock() })
				c.Close()
			})
		}
	})
	s := NewStream(ln.Addr().String())
	write(t, s, "<1>a\n<2>b c 17 d\n")
	(<-conns).Close() // the program is restarted
	until(t, "it is seen that the other side has gone", func() bool { return s.gone.Load() })
	var many strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&many, "<3>%d\n", i)
	}
	write(t, s, many.String())
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	until(t, "all has come", func() bool { mu.Lock(); defer mu.Unlock(); return len(all) >= 10_000 })
	ln.Close()
	serving.Wait()
	if n := len(all); all[n-1] != "<3>9999" || n > 10_002 {
		t.Errorf("%d messages, the last is %q", n, all[n-1])
	}
	if n, err := s.Write([]byte("x\n")); n != 0 || err == nil {
		t.Errorf("nobody is there: %d %v", n, err)
	}
}

// A program that takes nothing makes the write fail in time, at the end of a record.
func TestAStreamThatIsNotRead(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test's
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s := NewStream(ln.Addr().String())
	text := strings.Repeat(strings.Repeat("x", 999)+"\n", 20_000)
	n, err := s.Write([]byte(text))
	if err == nil || n%1000 != 0 || n == len(text) {
		t.Errorf("%d %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := s.whole([]byte("ab\ncd\nef\n"), 4+3); got != 3 {
		t.Error(got)
	}
}
