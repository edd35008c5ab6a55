package stock

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/cache/ban"
	"github.com/weirhq/weir/internal/cache/segment"
	"github.com/weirhq/weir/internal/cache/store"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/testkit"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil))) // disks are taken away on purpose
	goleak.VerifyTestMain(m)
}

// stocked is a stock with what it was heard to say of purges.
type stocked struct {
	*Stock
	t      *testing.T
	passed atomic.Int64
	wide   atomic.Int64
	ended  bool
}

func opened(t *testing.T, c *config.Cache) *stocked {
	t.Helper()
	s := &stocked{t: t}
	var err error
	s.Stock, err = Open(c, nil, func(_ ban.Purge, wide bool) {
		s.passed.Add(1)
		if wide {
			s.wide.Add(1)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	return s
}

// end gives all up, once.
func (s *stocked) end() {
	if s.ended {
		return
	}
	s.ended = true
	if err := errors.Join(s.HandOver(), s.Close()); err != nil {
		s.t.Error(err)
	}
}

func inMemory() *config.Cache { return &config.Cache{Memory: 8 << 20, MaxObject: 4 << 20} }

func onDisk(dir string) *config.Cache {
	c := inMemory()
	c.Disk = &config.CacheDisk{Path: dir, Size: 32 << 20}
	return c
}

func key(n byte) (k store.Key) {
	k[0], k[8] = n, n // the shard, and what is hashed on
	return k
}

// head is one of a response for /path that is fresh for long.
func (s *stocked) head(tag string) []byte {
	return cache.AppendStored(nil, &cache.Stored{Life: cache.Life{Status: 200, Received: time.Now().Unix(), TTL: 1000}, Born: s.LastPurge(),
		Host: []byte("a.example"), URL: []byte("/path?q"), Tags: []uint64{s.Seed.Tag([]byte(tag))}}, &message.Response{Status: 200})
}

// verdict is what purges mean for what is kept under a key.
func (s *stocked) verdict(k store.Key) ban.Verdict {
	s.t.Helper()
	o, ok := s.Look(k)
	if !ok {
		s.t.Fatal("nothing is kept")
	}
	v := cache.NewView(o.Head)
	verdict, _, _ := s.Purged(&k, v, max(o.Checked, v.Born()), nil)
	return verdict
}

func (s *stocked) put(k store.Key, tag string) {
	s.t.Helper()
	if !s.Put(k, s.head(tag), nil) {
		s.t.Fatal("it is not kept")
	}
}

// written waits until the disk has so many objects.
func (s *stocked) written(n uint64) {
	s.t.Helper()
	testkit.Eventually(s.t, testkit.Patience, "the objects are on the disk", func() bool { return s.DiskStatus().Written >= n })
}

// aged waits until the time of day, with which the numbers of purges in a new directory begin, is past those in force: on a disk these begin a
// million ahead of it, which is a millisecond.
func (s *stocked) aged() {
	s.t.Helper()
	testkit.Eventually(s.t, testkit.Patience, "a millisecond has passed", func() bool { return uint64(time.Now().UnixNano()) > s.LastPurge() })
}

func (s *stocked) purge(p ban.Purge) {
	s.t.Helper()
	if err := s.Purge(p); err != nil {
		s.t.Fatal(err)
	}
}

func tagged(s *stocked, tag string) ban.Purge {
	return ban.Purge{Kind: ban.Tag, Hard: true, Tag: s.Seed.Tag([]byte(tag))}
}

// TestPurges: what each kind of purge means for what is kept, and what who fetches is told.
func TestPurges(t *testing.T) {
	for name, test := range map[string]struct {
		purge func(s *stocked) ban.Purge
		alike bool
		want  ban.Verdict
		wide  int64
	}{
		"its tag":               {func(s *stocked) ban.Purge { return tagged(s, "red") }, false, ban.Hard, 1},
		"another tag":           {func(s *stocked) ban.Purge { return tagged(s, "blue") }, false, ban.None, 1},
		"its key":               {func(*stocked) ban.Purge { k := key(1); return KeyPurge(&k) }, false, ban.Hard, 1},
		"another key":           {func(*stocked) ban.Purge { k := key(2); return KeyPurge(&k) }, false, ban.None, 1},
		"its URL":               {func(*stocked) ban.Purge { return ban.Purge{Kind: ban.URL, Host: "a.example", Path: "/path?q"} }, false, ban.Soft, 0},
		"its URL, while alike":  {func(*stocked) ban.Purge { return ban.Purge{Kind: ban.URL, Host: "a.example", Path: "/path?q"} }, true, ban.Soft, 1},
		"everything":            {func(*stocked) ban.Purge { return ban.Purge{Kind: ban.Everything, Hard: true} }, false, ban.Hard, 1},
		"a URL of another host": {func(*stocked) ban.Purge { return ban.Purge{Kind: ban.URL, Host: "b.example", Path: "/path?q"} }, false, ban.None, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := opened(t, inMemory())
			s.Alike.Store(test.alike)
			s.put(key(1), "red")
			if v := s.verdict(key(1)); v != ban.None {
				t.Fatalf("before: %v", v)
			}
			done, err := s.PurgeAtOnce(test.purge(s))
			if !done || err != nil {
				t.Fatalf("without a disk nothing blocks: %v, %v", done, err)
			}
			if v := s.verdict(key(1)); v != test.want {
				t.Errorf("%v, want %v", v, test.want)
			}
			if s.passed.Load() != 1 || s.wide.Load() != test.wide {
				t.Errorf("told of %d purges, %d of them wide", s.passed.Load(), s.wide.Load())
			}
		})
	}
}

// TestPurgesReachAlike: where a response has had No-Vary-Search, a purge of a URL takes what was kept for those that are alike.
func TestPurgesReachAlike(t *testing.T) {
	s := opened(t, inMemory())
	head := cache.AppendStored(nil, &cache.Stored{Life: cache.Life{Status: 200, TTL: 1000}, Host: []byte("a.example"), URL: []byte("/path?other"),
		Tags: []uint64{s.Seed.AlikeTag([]byte("a.example"), []byte("/path"))}}, &message.Response{Status: 200})
	s.Put(key(1), head, nil)
	p := ban.Purge{Kind: ban.URL, Hard: true, Host: "a.example", Path: "/path?q"}
	s.purge(p)
	if v := s.verdict(key(1)); v != ban.None {
		t.Fatal("it was purged before anybody said so")
	}
	s.Alike.Store(true)
	s.purge(p)
	if v := s.verdict(key(1)); v != ban.Hard {
		t.Error(v)
	}
}

// TestDisk: what one process has kept and purged, the next one has kept and purged.
func TestDisk(t *testing.T) {
	testkit.Leaks(t)
	dir := t.TempDir()
	first := opened(t, onDisk(dir))
	for n := range byte(4) {
		first.put(key(n), string([]byte{'a' + n}))
	}
	first.written(4)
	if done, err := first.PurgeAtOnce(tagged(first, "b")); done || err != nil {
		t.Fatalf("a purge that waits for the disk does not block: %v, %v", done, err)
	}
	first.purge(tagged(first, "b"))
	gone := key(2)
	if !first.Delete(&gone) {
		t.Error("the disk did not have what it has written")
	}
	if first.OnDisk(&gone) {
		t.Error("what was deleted is there")
	}
	first.purge(KeyPurge(&gone)) // else the next one finds it
	first.end()

	next := opened(t, onDisk(dir))
	if next.Seed != first.Seed {
		t.Fatal("the keys have another secret")
	}
	for n, want := range map[byte]ban.Verdict{0: ban.None, 1: ban.Hard, 2: ban.Hard, 3: ban.None} {
		k := key(n)
		if _, ok := next.Memory.Peek(k); ok || !next.OnDisk(&k) || !next.Load(k) {
			t.Fatalf("%d is not brought in", n)
		}
		if o, ok := next.Look(k); !ok || o.Disk {
			t.Fatalf("%d: %+v", n, o)
		}
		if v := next.verdict(k); v != want {
			t.Errorf("%d: %v, want %v", n, v, want)
		}
	}
}

// TestHandOver: who has given its disk away purges nothing, and says so; memory stays.
func TestHandOver(t *testing.T) {
	s := opened(t, onDisk(t.TempDir()))
	s.put(key(1), "red")
	if err := s.HandOver(); err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(tagged(s, "red")); !errors.Is(err, ErrHandedOver) {
		t.Errorf("%v", err)
	}
	if done, _ := s.PurgeAtOnce(tagged(s, "red")); done {
		t.Error("it is done at once")
	}
	if _, ok := s.Look(key(1)); !ok || s.passed.Load() != 0 {
		t.Error("what is in memory has gone")
	}
	if p := s.DiskStatus().Problem; p == "" {
		t.Error("the disk has no problem")
	}
}

// TestMissedPurges: what is purged while another process has the directory holds there as soon as this one has it.
func TestMissedPurges(t *testing.T) {
	dir := t.TempDir()
	old := opened(t, onDisk(dir))
	old.put(key(1), "red")
	old.put(key(2), "blue")
	old.written(2)
	next := opened(t, onDisk(dir))
	if p := next.DiskStatus().Problem; !strings.Contains(p, segment.ErrLocked.Error()) {
		t.Fatalf("the directory is not the other's: %q", p)
	}
	next.purge(tagged(next, "red"))
	old.end()
	testkit.Eventually(t, testkit.Patience, "it has the directory", func() bool { return next.DiskStatus().Problem == "" })
	for n, want := range map[byte]ban.Verdict{1: ban.Hard, 2: ban.None} {
		if !next.Load(key(n)) {
			t.Fatalf("%d is not there", n)
		}
		if v := next.verdict(key(n)); v != want {
			t.Errorf("%d: %v, want %v", n, v, want)
		}
	}
}

// TestRest: without a cache in the configuration all is given up, and with one again it begins anew.
func TestRest(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, onDisk(dir))
	s.put(key(1), "red")
	s.written(1)
	s.Rest()
	s.Rest()
	s.aged()
	if !s.Resting() || s.DiskStatus() != nil || s.verdict(key(1)) != ban.Hard {
		t.Error("what was kept is kept still")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "0*.*")); len(left) > 0 {
		t.Error(left)
	}
	s.Become(onDisk(dir))
	if s.Resting() || s.DiskStatus().Problem != "" {
		t.Errorf("%+v", s.DiskStatus())
	}
	if k := key(1); s.OnDisk(&k) || s.verdict(k) != ban.Hard {
		t.Error("what was kept is back")
	}
}

// TestBecome: with another size nothing is lost; with another directory, or its first, the cache begins anew.
func TestBecome(t *testing.T) {
	dir := t.TempDir()
	for name, test := range map[string]struct {
		from, to *config.Cache
		want     ban.Verdict
		path     string // of the disk then
	}{
		"the same":          {onDisk(dir + "/a"), onDisk(dir + "/a"), ban.None, dir + "/a"},
		"another size":      {onDisk(dir + "/b"), &config.Cache{Memory: 6 << 20, MaxObject: 1 << 20, Disk: &config.CacheDisk{Path: dir + "/b", Size: 64 << 20}}, ban.None, dir + "/b"},
		"another directory": {onDisk(dir + "/c"), onDisk(dir + "/d"), ban.Hard, dir + "/d"},
		"a disk":            {inMemory(), onDisk(dir + "/e"), ban.Hard, dir + "/e"},
		"no disk":           {onDisk(dir + "/f"), inMemory(), ban.None, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := opened(t, test.from)
			s.put(key(1), "red")
			s.aged()
			s.Become(test.to)
			if v := s.verdict(key(1)); v != test.want {
				t.Errorf("%v, want %v", v, test.want)
			}
			d := s.DiskStatus()
			if d == nil {
				d = &api.CacheDisk{}
			}
			if d.Path != test.path || d.Problem != "" {
				t.Errorf("%+v", d)
			}
			if want := sizes(test.to).MaxObject; s.Largest() != want {
				t.Errorf("memory takes %d, want %d", s.Largest(), want)
			}
		})
	}
}

// TestLarge: a body that went to the disk is found there again, by the next process too, unless it was revoked.
func TestLarge(t *testing.T) {
	dir := t.TempDir()
	body := bytes.Repeat([]byte("all work and no play\n"), 200_000)
	s := opened(t, onDisk(dir))
	var revoked atomic.Bool
	for n := range byte(2) {
		revoked.Store(n == 1)
		if !s.TakesLarge(-1) || !s.TakesLarge(int64(len(body))-1<<20) || s.TakesLarge(5<<20) {
			t.Fatal("it takes what it should not, or the other way round")
		}
		f, err := s.CreateLarge()
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Write(body[:4<<20]); err != nil {
			t.Fatal(err)
		}
		if f.Takes(1) || !f.Takes(0) {
			t.Error("more than max_object may come")
		}
		if kept := f.Commit(key(n), s.head("red"), &revoked); kept == revoked.Load() {
			t.Fatalf("kept: %v", kept)
		}
	}
	if _, ok := s.Look(key(1)); ok {
		t.Error("what was revoked is kept")
	}
	read := func(s *stocked) {
		t.Helper()
		r, ok := s.Memory.Get(key(0))
		if !ok || cache.NewView(r.Head()).Flags()&cache.OnDisk == 0 {
			t.Fatal("it is not kept, or not marked")
		}
		defer r.Release()
		b, err := s.OpenBody(&r, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Release()
		if !b.Checked(0, 1<<20) {
			t.Error("its beginning was not checked")
		}
		got := make([]byte, b.Size)
		if _, err := b.File().ReadAt(got, 0); err != nil || !bytes.Equal(got, body[:4<<20]) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		again := s.Body(&r)
		if again != b {
			t.Error("an open file is not found")
		}
		again.Release()
	}
	read(s)
	s.written(1)
	s.end()
	s = opened(t, onDisk(dir))
	if !s.Load(key(0)) {
		t.Fatal("the next process does not find it")
	}
	read(s)
}

// TestLargeWithoutDisk: without a disk there is neither room for large bodies nor one that was kept.
func TestLargeWithoutDisk(t *testing.T) {
	s := opened(t, inMemory())
	if s.TakesLarge(-1) {
		t.Error("it takes a large body")
	}
	if _, err := s.CreateLarge(); err == nil {
		t.Error("it begins a large body")
	}
	s.put(key(1), "red")
	r, _ := s.Memory.Get(key(1))
	defer r.Release()
	if b := s.Body(&r); b != nil {
		t.Error("there is a body")
	}
	if _, err := s.OpenBody(&r, 1); err == nil {
		t.Error("there is a body")
	}
}

// A hit asks what was purged since: where that is nothing, as most often, it costs two loads.
func TestPurgedAllocatesNothing(t *testing.T) {
	s := opened(t, inMemory())
	s.put(key(1), "red")
	o, _ := s.Look(key(1))
	k, v := key(1), cache.NewView(o.Head)
	since := s.LastPurge()
	tags := make([]uint64, 0, 8)
	if n := testing.AllocsPerRun(1000, func() {
		if verdict, _, _ := s.Purged(&k, v, since, tags); verdict != ban.None {
			t.Fatal(verdict)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	s.purge(tagged(s, "blue"))
	if n := testing.AllocsPerRun(1000, func() {
		_, _, tags = s.Purged(&k, v, since, tags)
	}); n != 0 {
		t.Errorf("%v allocations with something new", n)
	}
}

func BenchmarkPurged(b *testing.B) {
	s, err := Open(inMemory(), nil, func(ban.Purge, bool) {})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // nothing is kept
	head := cache.AppendStored(nil, &cache.Stored{Life: cache.Life{Status: 200}}, &message.Response{Status: 200})
	k, v := key(1), cache.NewView(head)
	since := s.LastPurge()
	b.ReportAllocs()
	for b.Loop() {
		if verdict, _, _ := s.Purged(&k, v, since, nil); verdict != ban.None {
			b.Fatal(verdict)
		}
	}
}
