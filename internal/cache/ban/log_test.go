package ban

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/testkit"
)

func openLog(t testing.TB, path string, now Seq) (g *Log, lost error) {
	t.Helper()
	g, lost, err := OpenLog(path, Limits{}, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g, lost
}

func logged(t testing.TB, g *Log, p Purge) Seq {
	t.Helper()
	seq, err := g.Add(p)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

// TestLogOfLongURLs: a URL can be longer than a record; it is purged all the same, after a restart too.
func TestLogOfLongURLs(t *testing.T) {
	testkit.Leaks(t)
	path, long := filepath.Join(t.TempDir(), "purges"), "/"+strings.Repeat("x", 3*maxText)
	g, _ := openLog(t, path, 1000)
	logged(t, g, Purge{Kind: URL, Hard: true, Host: "a", Path: long + "?q"})
	last := logged(t, g, Purge{Kind: Path, Host: "b", Path: long})
	for range 2 {
		for _, c := range []struct {
			at         Seq
			host, path string
			want       Verdict
		}{{1000, "a", long + "?q", Hard}, {1000, "a", long, None}, {1000, "b", long + "?r", Soft}, {1001, "a", long + "?q", None}} {
			if v, _ := g.List().Check(c.at, nil, []byte(c.host), []byte(c.path)); v != c.want {
				t.Errorf("%d %s: %d, want %d", c.at, c.host, v, c.want)
			}
		}
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
		var lost error
		if g, lost = openLog(t, path, 5000); lost != nil || g.List().Now() != last {
			t.Fatal(lost, g.List().Now())
		}
	}
}

func TestLog(t *testing.T) {
	testkit.Leaks(t)
	path := filepath.Join(t.TempDir(), "purges")
	g, lost := openLog(t, path, 1000)
	if lost != nil && !errors.Is(lost, fs.ErrNotExist) || g.List().Now() != 1000 {
		t.Fatal(lost, g.List().Now())
	}
	logged(t, g, Purge{Kind: Tag, Tag: 7, Hard: true})
	logged(t, g, Purge{Kind: Prefix, Host: "a", Path: "/x"})
	last := logged(t, g, Purge{Kind: URL, Host: "a", Path: "/u?v"})
	if _, err := g.Add(Purge{}); err == nil {
		t.Error("no purge is taken for one")
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Add(Purge{Kind: Everything}); !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
	g, lost = openLog(t, path, 5000)
	if lost != nil || g.List().Now() != last {
		t.Fatal(lost, g.List().Now())
	}
	for _, c := range []struct {
		at         Seq
		tag        uint64
		host, path string
		want       Verdict
	}{{1000, 7, "b", "/", Hard}, {1001, 7, "b", "/", None}, {1001, 8, "a", "/xy", Soft}, {1002, 7, "a", "/xy", None}, {1002, 7, "a", "/u?v", Soft}, {1002, 7, "a", "/u", None}, {999, 0, "", "", Hard}, {last + 1, 0, "", "", Hard}} {
		if v, _ := g.List().Check(c.at, []uint64{c.tag}, []byte(c.host), []byte(c.path)); v != c.want {
			t.Errorf("%+v: %d", c, v)
		}
	}
}

// The file as the machine may have left it: cut off anywhere it lacks at most the last purge, which nobody was told of;
// damaged anywhere it says so, or holds all that was answered.
func TestTornAndDamaged(t *testing.T) {
	testkit.Leaks(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "purges")
	g, _ := openLog(t, path, 1000)
	var ends []int
	for i := range 6 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, int(info.Size()))
		logged(t, g, Purge{Kind: Tag, Tag: uint64(i), Hard: true})
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	purged := func(l *List) (n int) {
		for i := range uint64(6) {
			if v, _ := l.Check(1000, []uint64{i}, nil, nil); v == Hard {
				n++
			}
		}
		return n
	}
	whole := func(n int) (purges int) {
		for _, e := range append(ends, len(text)) {
			if e <= n {
				purges++
			}
		}
		return purges - 1
	}
	for n := range len(text) {
		l, good, err := Restore(text[:n], Limits{})
		if (err != nil) != (n < ends[0]) {
			t.Fatalf("cut off at %d: %v", n, err)
		}
		if err == nil && (purged(l) != whole(n) || good > n) {
			t.Fatalf("cut off at %d: %d purges, want %d", n, purged(l), whole(n))
		}
		// Zeros may be just what a record lacks.
		if l, _, err := Restore(append(bytes.Clone(text[:n]), make([]byte, 5000)...), Limits{}); err == nil && purged(l) != whole(n) && purged(l) != whole(n)+1 {
			t.Fatalf("zeros from %d: %d purges", n, purged(l))
		}
	}
	for i := range text {
		for bit := range 8 {
			flipped := bytes.Clone(text)
			flipped[i] ^= 1 << bit
			if l, _, err := Restore(flipped, Limits{}); err == nil && purged(l) != 6 {
				t.Fatalf("bit %d of byte %d flipped: %d purges and no error", bit, i, purged(l))
			}
		}
	}
	// On the disk: a torn end is cut off and written over; after damage nothing older is vouched for.
	if err := os.WriteFile(path, text[:len(text)-3], 0o600); err != nil {
		t.Fatal(err)
	}
	g, lost := openLog(t, path, 5000)
	if lost != nil || purged(g.List()) != 5 {
		t.Fatal(lost, purged(g.List()))
	}
	logged(t, g, Purge{Kind: Tag, Tag: 5, Hard: true})
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, text) {
		t.Errorf("%x\n%x %v", again, text, err)
	}
	text[len(text)/2] ^= 1
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	g, lost = openLog(t, path, 5000)
	if v, _ := g.List().Check(1006, nil, nil, nil); !errors.Is(lost, errDamaged) || v != Hard {
		t.Errorf("%v, what was stored before: %d", lost, v)
	}
	if g, lost = openLog(t, path, 6000); lost != nil || g.List().Now() != 5000 {
		t.Error(lost, g.List().Now())
	}
}

func TestLogIsWrittenAnew(t *testing.T) {
	testkit.Leaks(t)
	path := filepath.Join(t.TempDir(), "purges")
	g, _ := openLog(t, path, 0)
	g.compact = 2000
	for range 100 {
		logged(t, g, Purge{Kind: Tag, Tag: 1})
		logged(t, g, Purge{Kind: Prefix, Path: "/x", Hard: true})
		g.compact = 2000
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 2100 {
		t.Error(info.Size(), err)
	}
	again, lost := openLog(t, path, 9)
	if v, _ := again.List().Check(199, nil, nil, []byte("/x")); lost != nil || again.List().Now() != 200 || v != Hard {
		t.Error(lost, again.List().Now(), v)
	}
}

// A disk that fails makes a purge less durable, not less true; the next one tries the whole again.
func TestFailingDisk(t *testing.T) {
	testkit.Leaks(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "purges")
	g, _ := openLog(t, path, 0)
	if err := g.file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path+".new", 0o700); err != nil {
		t.Fatal(err)
	}
	seq, err := g.Add(Purge{Kind: Tag, Tag: 1, Hard: true})
	if v, _ := g.List().Check(seq-1, []uint64{1}, nil, nil); err == nil || v != Hard {
		t.Fatal(err, v)
	}
	if err := os.Remove(path + ".new"); err != nil {
		t.Fatal(err)
	}
	g.file, err = os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	logged(t, g, Purge{Kind: Tag, Tag: 2, Hard: true})
	again, lost := openLog(t, path, 9)
	if v, _ := again.List().Check(seq-1, []uint64{1}, nil, nil); lost != nil || v != Hard {
		t.Error(lost, v)
	}
}

func FuzzRestore(f *testing.F) {
	l := New(5, Limits{})
	for _, p := range []Purge{{Kind: Tag, Tag: 1}, {Kind: Prefix, Host: "a", Path: "/"}, {Kind: Pattern, Path: "*", Hard: true}} {
		add(f, l, p)
	}
	text := l.AppendTo(nil)
	f.Add(text)
	f.Add(appendPurge(text, 9, &Purge{Kind: Everything, Hard: true}))
	f.Add(text[:len(text)-2])
	f.Fuzz(func(t *testing.T, b []byte) {
		l, good, err := Restore(b, Limits{Hashes: 100, Rules: 10})
		if err != nil {
			return
		}
		if good > len(b) {
			t.Fatal(good)
		}
		again, _, err := Restore(l.AppendTo(nil), Limits{Hashes: 100, Rules: 10})
		if err != nil || again.Now() != l.Now() || again.view.Load().line != l.view.Load().line {
			t.Fatal(err, again.Now(), l.Now())
		}
		add(t, l, Purge{Kind: Everything, Hard: true})
	})
}

// What was born by numbers that a lost disk cache had given out is older than every purge after the start.
func TestSkippedNumbers(t *testing.T) {
	testkit.Leaks(t)
	path := filepath.Join(t.TempDir(), "purges")
	g, _ := openLog(t, path, 100)
	logged(t, g, Purge{Kind: Tag, Tag: 1})
	if err := g.Skip(1000); err != nil {
		t.Fatal(err)
	}
	seq := logged(t, g, Purge{Kind: Tag, Tag: 2, Hard: true})
	if err := g.Sync(); err != nil {
		t.Fatal(err)
	}
	again, lost := openLog(t, path, 9)
	if lost != nil || seq <= 1101 || again.List().Now() != seq {
		t.Fatal(lost, seq, again.List().Now())
	}
	if v, _ := again.List().Check(500, []uint64{2}, nil, nil); v != Hard {
		t.Error(v)
	}
}
