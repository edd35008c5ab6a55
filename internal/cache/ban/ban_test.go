package ban

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func add(t testing.TB, l *List, p Purge) Seq {
	t.Helper()
	seq, err := l.Add(p)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func TestVerdicts(t *testing.T) {
	tags := []uint64{TagHash("news"), TagHash("front")}
	for _, c := range []struct {
		purge Purge
		want  bool
	}{
		{Purge{Kind: Everything}, true},
		{Purge{Kind: Tag, Tag: TagHash("news")}, true}, {Purge{Kind: Tag, Tag: TagHash("front")}, true}, {Purge{Kind: Tag, Tag: TagHash("New")}, false},
		{Purge{Kind: URL, Host: "a.org", Path: "/blog/x?p=1"}, true}, {Purge{Kind: URL, Host: "a.org", Path: "/blog/x"}, false}, {Purge{Kind: URL, Host: "b.org", Path: "/blog/x?p=1"}, false},
		{Purge{Kind: Path, Host: "a.org", Path: "/blog/x"}, true}, {Purge{Kind: Path, Host: "a.org", Path: "/blog"}, false}, {Purge{Kind: Path, Host: "a.or", Path: "g/blog/x"[1:]}, false},
		{Purge{Kind: Prefix, Host: "a.org", Path: "/blog/"}, true}, {Purge{Kind: Prefix, Path: "/bl"}, true}, {Purge{Kind: Prefix, Path: "/"}, true}, {Purge{Kind: Prefix, Host: "b.org", Path: "/"}, false}, {Purge{Kind: Prefix, Path: "/blog/xx"}, false},
		{Purge{Kind: Pattern, Path: "/*/x"}, true}, {Purge{Kind: Pattern, Path: "*"}, true}, {Purge{Kind: Pattern, Host: "*.org", Path: "/blog/*"}, true}, {Purge{Kind: Pattern, Host: "*.com", Path: "/blog/*"}, false}, {Purge{Kind: Pattern, Path: "/blog"}, false},
	} {
		for _, hard := range []bool{false, true} {
			l := New(0, Limits{})
			born := l.Now()
			p := c.purge
			p.Hard = hard
			seq := add(t, l, p)
			want := None
			if c.want {
				want = Soft
				if hard {
					want = Hard
				}
			}
			if v, checked := l.Check(born, tags, []byte("a.org"), []byte("/blog/x?p=1")); v != want || checked != seq {
				t.Errorf("%+v: %d %d, want %d", p, v, checked, want)
			}
			if v, _ := l.Check(seq, tags, []byte("a.org"), []byte("/blog/x?p=1")); v != None {
				t.Errorf("%+v meets what was born after it: %d", p, v)
			}
		}
	}
}

func TestOrder(t *testing.T) {
	l := New(0, Limits{})
	tag := []uint64{7}
	check := func(at Seq, want Verdict) {
		t.Helper()
		if v, _ := l.Check(at, tag, []byte("a"), []byte("/")); v != want {
			t.Errorf("born at %d: %d, want %d", at, v, want)
		}
	}
	hard := add(t, l, Purge{Kind: Tag, Tag: 7, Hard: true})
	soft := add(t, l, Purge{Kind: Tag, Tag: 7})
	check(0, Hard)
	check(hard, Soft)
	check(soft, None)
	add(t, l, Purge{Kind: Prefix, Path: "/", Hard: true})
	after := add(t, l, Purge{Kind: Prefix, Host: "a", Path: "/"})
	check(soft, Hard)
	check(after-1, Soft)
	check(after, None)
	if v, checked := l.Check(after+1, nil, nil, nil); v != Hard || checked != after {
		t.Errorf("a number that was never given out: %d", v)
	}
	lost := New(1000, Limits{})
	if v, _ := lost.Check(999, nil, []byte("a"), []byte("/")); v != Hard {
		t.Errorf("older than the list: %d", v)
	}
	if v, _ := lost.Check(1000, nil, nil, nil); v != None {
		t.Errorf("as old as the list: %d", v)
	}
}

func TestPurgeErrors(t *testing.T) {
	for want, p := range map[string]Purge{
		"is none of": {}, "kind 9": {Kind: 9}, "at most 4096": {Kind: Prefix, Path: "/" + strings.Repeat("x", 4096)}, `does not begin with "/"`: {Kind: Prefix, Path: "x"},
		"which no pattern meets": {Kind: Pattern, Path: "/?x"}, "has a query": {Kind: Path, Host: "a", Path: "/?x"}, "needs a host": {Kind: URL, Path: "/"},
	} {
		l := New(3, Limits{})
		if _, err := l.Add(p); err == nil || !strings.Contains(err.Error(), want) || l.Now() != 3 {
			t.Errorf("%q: %v", want, err)
		}
	}
}

// model is what a list means, without bounds.
type model struct {
	purges []Purge
}

func (m *model) check(at Seq, tags []uint64, host, path string) (v Verdict) {
	for i, p := range m.purges {
		if Seq(i+1) <= at {
			continue
		}
		met := p.Kind == Everything || p.Kind == URL && p.Host == host && p.Path == path || p.Kind == Path && p.Host == host && p.Path == bare(path) ||
			p.Kind == Prefix && (p.Host == "" || p.Host == host) && strings.HasPrefix(path, p.Path) || p.Kind == Pattern && (p.Host == "" || p.Host == host) && p.Path == bare(path)
		for _, tag := range tags {
			met = met || p.Kind == Tag && p.Tag == tag
		}
		switch {
		case met && p.Hard:
			v = Hard
		case met:
			v = max(v, Soft)
		}
	}
	return v
}

func randomPurge(r *rand.Rand) Purge {
	p := Purge{Kind: Kind(2 + r.IntN(5)), Hard: r.IntN(2) == 0}
	if r.IntN(200) == 0 {
		p.Kind = Everything
	}
	switch p.Kind {
	case Tag:
		p.Tag = uint64(r.IntN(300))
	case URL:
		p.Host, p.Path = fmt.Sprint("h", r.IntN(3)), fmt.Sprintf("/%d/%d?q=%d", r.IntN(5), r.IntN(5), r.IntN(2))
	case Path, Pattern:
		p.Host, p.Path = fmt.Sprint("h", r.IntN(3)), fmt.Sprintf("/%d/%d", r.IntN(5), r.IntN(5))
	case Prefix:
		p.Host, p.Path = fmt.Sprint("h", r.IntN(3)), fmt.Sprintf("/%d/", r.IntN(5))
		if r.IntN(3) == 0 {
			p.Host = ""
		}
	}
	return p
}

// Against the definition: exactly it while there is room, at least as strict in small room; the same after a way over
// the disk, and for what is younger than what was forgotten.
func TestAgainstTheDefinition(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 1))
		wide, narrow, forgetful, m := New(0, Limits{}), New(0, Limits{Hashes: 40, Rules: 10}), New(0, Limits{}), &model{}
		forgotten := Seq(0)
		for i := range 1000 {
			p := randomPurge(r)
			m.purges = append(m.purges, p)
			for _, l := range []*List{wide, narrow, forgetful} {
				if seq := add(t, l, p); seq != Seq(i+1) {
					t.Fatalf("number %d", seq)
				}
			}
			if i%300 == 299 {
				again, good, err := Restore(wide.AppendTo([]byte(nil)), Limits{})
				if err != nil || good == 0 {
					t.Fatal(err)
				}
				wide = again
			}
			if i%100 == 99 {
				forgotten = Seq(i - 30)
				forgetful.Forget(forgotten)
			}
			host, path := fmt.Sprint("h", r.IntN(3)), fmt.Sprintf("/%d/%d?q=%d", r.IntN(5), r.IntN(5), r.IntN(2))
			tags := []uint64{uint64(r.IntN(300)), uint64(r.IntN(300))}
			at := Seq(i+1) - min(Seq(r.IntN(i+2)), Seq(r.IntN(40)))
			want := m.check(at, tags, host, path)
			if got, checked := wide.Check(at, tags, []byte(host), []byte(path)); got != want || checked != Seq(i+1) {
				t.Fatalf("seed %d, purge %d: born at %d: %d, want %d", seed, i, at, got, want)
			}
			if got, _ := forgetful.Check(at, tags, []byte(host), []byte(path)); got != want && at >= forgotten {
				t.Fatalf("seed %d, purge %d: born at %d, %d forgotten: %d, want %d", seed, i, at, forgotten, got, want)
			}
			if got, _ := narrow.Check(at, tags, []byte(host), []byte(path)); got < want {
				t.Fatalf("seed %d, purge %d: in small room %d, want at least %d", seed, i, got, want)
			}
			if hashes, rules := narrow.Size(); hashes > 40 || rules > 10 {
				t.Fatalf("%d hashes and %d rules in a room of 40 and 10", hashes, rules)
			}
		}
		if hashes, rules := forgetful.Size(); hashes > 150 || rules > 150 {
			t.Fatalf("%d hashes and %d rules are not forgotten", hashes, rules)
		}
	}
}

// A purge that is answered while an object is being fetched meets it: the object's number is from before the fetch. One
// whose fetch began after the answer is not met.
func TestPurgeDuringFetch(t *testing.T) {
	l := New(0, Limits{})
	for _, p := range []Purge{{Kind: Tag, Tag: 1, Hard: true}, {Kind: URL, Host: "a", Path: "/x?y", Hard: true}, {Kind: Everything, Hard: true}} {
		born := l.Now() // the fetch begins
		add(t, l, p)    // the app has answered already, with what was true before
		if v, _ := l.Check(born, []uint64{1}, []byte("a"), []byte("/x?y")); v != Hard {
			t.Errorf("%+v: %d", p, v)
		}
		if v, _ := l.Check(l.Now(), []uint64{1}, []byte("a"), []byte("/x?y")); v != None {
			t.Errorf("%+v meets a fetch that began after it: %d", p, v)
		}
	}
}

// The same prefix again and again holds one place; a wider one takes the place of narrower ones.
func TestRulesReplaceOlderOnes(t *testing.T) {
	l := New(0, Limits{})
	for range 1000 {
		add(t, l, Purge{Kind: Prefix, Host: "a", Path: "/x/y", Hard: true})
		add(t, l, Purge{Kind: Pattern, Host: "a", Path: "/x*"})
		add(t, l, Purge{Kind: Tag, Tag: 1})
	}
	if hashes, rules := l.Size(); hashes != 1 || rules != 2 {
		t.Errorf("%d hashes, %d rules", hashes, rules)
	}
	add(t, l, Purge{Kind: Prefix, Path: "/x"})
	if _, rules := l.Size(); rules != 3 {
		t.Errorf("a soft purge took the place of a hard one: %d rules", rules)
	}
	add(t, l, Purge{Kind: Prefix, Path: "/x", Hard: true})
	if _, rules := l.Size(); rules != 2 {
		t.Errorf("%d rules", rules)
	}
	seq := add(t, l, Purge{Kind: Everything, Hard: true})
	if hashes, rules := l.Size(); hashes != 0 || rules != 0 {
		t.Errorf("%d hashes, %d rules after everything", hashes, rules)
	}
	if v, _ := l.Check(seq-1, nil, nil, nil); v != Hard {
		t.Error("everything is not everything")
	}
	l.Forget(seq)
	if v, _ := l.Check(seq, nil, nil, nil); v != None {
		t.Error("forgetting purges")
	}
}

func TestTableGrows(t *testing.T) {
	const n = 20_000
	l := New(0, Limits{Hashes: 30_000})
	for i := range uint64(n) {
		add(t, l, Purge{Kind: Tag, Tag: i, Hard: i%2 == 0})
	}
	if hashes, _ := l.Size(); hashes != n {
		t.Fatalf("%d hashes", hashes)
	}
	for i := range uint64(n) {
		if v, _ := l.Check(0, []uint64{i}, nil, nil); v != Hard && i%2 == 0 || v != Soft && i%2 == 1 {
			t.Fatalf("tag %d: %d", i, v)
		}
		if v, _ := l.Check(Seq(i+1), []uint64{i}, nil, nil); v != None {
			t.Fatalf("tag %d, born after its purge: %d", i, v)
		}
	}
	for i := range uint64(n) {
		add(t, l, Purge{Kind: Tag, Tag: i + 1e6, Hard: true})
	}
	if hashes, _ := l.Size(); hashes > 30_000 {
		t.Fatalf("%d hashes", hashes)
	}
	l.Forget(l.Now())
	if hashes, _ := l.Size(); hashes != 0 {
		t.Fatalf("%d hashes after all is forgotten", hashes)
	}
}

// Whatever the writers do meanwhile, a purge that was answered is heeded by every Check that begins later, in rooms so
// small that everything is folded and grown all the time.
func TestAnsweredPurgesHold(t *testing.T) {
	l := New(0, Limits{Hashes: 100, Rules: 4})
	var answered [64]atomic.Uint64 // by tag: the number of its last answered purge
	var done atomic.Bool
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 2))
			for range 20_000 {
				tag := r.IntN(64)
				switch r.IntN(10) {
				case 0:
					if _, err := l.Add(Purge{Kind: Prefix, Host: "h", Path: fmt.Sprint("/", r.IntN(10))}); err != nil {
						t.Error(err)
					}
				case 1:
					if _, err := l.Add(Purge{Kind: Tag, Tag: 100 + r.Uint64N(1000)}); err != nil {
						t.Error(err)
					}
				default:
					seq, err := l.Add(Purge{Kind: Tag, Tag: uint64(tag), Hard: true})
					if err != nil {
						t.Error(err)
					}
					for {
						old := answered[tag].Load()
						if old >= uint64(seq) || answered[tag].CompareAndSwap(old, uint64(seq)) {
							break
						}
					}
				}
			}
			done.Store(true)
		})
	}
	for w := range 2 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 3))
			for !done.Load() {
				tag := r.IntN(64)
				seq := Seq(answered[tag].Load())
				if seq == 0 {
					continue
				}
				if v, checked := l.Check(seq-1, []uint64{uint64(tag)}, []byte("g"), []byte("/")); v != Hard || checked < seq {
					t.Errorf("tag %d was purged at %d: %d, checked up to %d", tag, seq, v, checked)
					return
				}
			}
		})
	}
	wg.Wait()
}

// A purge of 100,000 objects is one entry; nothing is walked.
func TestPurgeOfManyIsOneEntry(t *testing.T) {
	l := New(0, Limits{})
	add(t, l, Purge{Kind: Tag, Tag: TagHash("all of them"), Hard: true})
	tags := []uint64{TagHash("all of them")}
	for at := range Seq(100_000) {
		if v, _ := l.Check(at%2, tags, []byte("a"), []byte("/")); v == Hard != (at%2 == 0) {
			t.Fatal(v)
		}
	}
	if hashes, rules := l.Size(); hashes != 1 || rules != 0 {
		t.Errorf("%d hashes, %d rules", hashes, rules)
	}
}

func TestCheckDoesNotAllocate(t *testing.T) {
	l := New(0, Limits{})
	add(t, l, Purge{Kind: Pattern, Host: "*.x", Path: "/a/*b*"})
	add(t, l, Purge{Kind: Tag, Tag: 1})
	tags, host, path := []uint64{2, 3}, []byte("www.x"), []byte("/a/c?d")
	if n := testing.AllocsPerRun(100, func() {
		l.Check(0, tags, host, path)
		l.Check(l.Now(), tags, host, path)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCheck(b *testing.B) {
	tags, host, path := []uint64{2, 3, 4, 5}, []byte("www.example.com"), []byte("/photos/2024/album-17/page.html?page=3")
	for _, rules := range []int{0, 10, 500} {
		l := New(0, Limits{})
		add(b, l, Purge{Kind: Tag, Tag: 1})
		for i := range rules {
			add(b, l, Purge{Kind: Prefix, Host: "www.example.com", Path: fmt.Sprintf("/photos/2023/%d", i)})
		}
		b.Run(fmt.Sprint("behind-rules-", rules), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.Check(0, tags, host, path)
			}
		})
	}
	b.Run("nothing-new", func(b *testing.B) {
		l := New(0, Limits{})
		b.ReportAllocs()
		for b.Loop() {
			l.Check(0, tags, host, path)
		}
	})
}

func BenchmarkAddTag(b *testing.B) {
	l := New(0, Limits{})
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		if _, err := l.Add(Purge{Kind: Tag, Tag: i}); err != nil {
			b.Fatal(err)
		}
	}
}
