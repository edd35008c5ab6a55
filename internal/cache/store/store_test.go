package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func keyOf(n uint64) (k Key) {
	r := rand.New(rand.NewPCG(n, 1))
	binary.LittleEndian.PutUint64(k[:], r.Uint64())
	binary.LittleEndian.PutUint64(k[8:], n)
	return k
}

// bytesOf is a content that tells whose it is and where in it one stands.
func bytesOf(seed uint64, n int) []byte {
	b := make([]byte, n)
	for i := 0; i+8 <= n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], seed*0x9e3779b97f4a7c15+uint64(i))
	}
	return b
}

func put(t testing.TB, s *Store, k Key, head, body []byte, known bool) error {
	t.Helper()
	length := int64(-1)
	if known {
		length = int64(len(body))
	}
	f, err := s.Begin(k, head, length)
	if err != nil {
		return err
	}
	for len(body) > 0 {
		n := min(len(body), 10000)
		if err := f.Write(body[:n]); err != nil {
			f.Abort()
			return err
		}
		body = body[n:]
	}
	f.Commit()
	return nil
}

func bodyOf(r *Ref) (b []byte) {
	for {
		c := r.Chunk(int64(len(b)))
		if c == nil {
			return b
		}
		b = append(b, c...)
	}
}

func newStore(t testing.TB, memory int64) *Store {
	s := New(Options{Memory: memory, MaxObject: memory / 4})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSizes(t *testing.T) {
	for n := 1; n <= maxPiece; n++ {
		c := sizeClass(n)
		if sizes[c] < n || c > 0 && sizes[c-1] >= n {
			t.Fatalf("%d bytes go into pieces of %d", n, sizes[c])
		}
		if n > 512 && sizes[c] > n+n/8 {
			t.Fatalf("%d bytes go into pieces of %d", n, sizes[c])
		}
	}
}

// TestModel does random things beside a map: what is found is what was put there last. At the end nothing is left.
func TestModel(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := newStore(t, 32<<20)
			rnd := rand.New(rand.NewPCG(seed, 7))
			type value struct {
				seed uint64
				n    int
				head int
			}
			model := map[Key]value{}
			type held struct {
				ref Ref
				v   value
			}
			var refs []held
			check := func(r *Ref, v value) {
				t.Helper()
				if !bytes.Equal(r.Head(), bytesOf(v.seed+1, v.head)) || r.Size() != int64(v.n) || !bytes.Equal(bodyOf(r), bytesOf(v.seed, v.n)) {
					t.Fatalf("not what was put there: %d bytes of %d", r.Size(), v.n)
				}
			}
			found := 0
			for i := range 12000 {
				k := keyOf(rnd.Uint64N(900))
				switch rnd.IntN(10) {
				case 0, 1, 2, 3:
					v := value{uint64(i), int(rnd.ExpFloat64() * 20000), rnd.IntN(600)}
					if rnd.IntN(20) == 0 {
						v.n = rnd.IntN(1 << 20)
					}
					err := put(t, s, k, bytesOf(v.seed+1, v.head), bytesOf(v.seed, v.n), rnd.IntN(2) == 0)
					switch {
					case err == nil:
						model[k] = v
					case !errors.Is(err, errFull):
						t.Fatal(err)
					}
				case 4:
					s.Delete(k)
					delete(model, k)
				case 5:
					var r Ref
					if s.Get(k, &r) {
						v := model[k]
						v2 := v
						v2.head = rnd.IntN(600)
						// The new head must be recognised: it is made of the same seed.
						if err := s.Replace(k, &r, bytesOf(v.seed+1, v2.head)); err == nil {
							model[k] = v2
						} else if !errors.Is(err, errFull) {
							t.Fatal(err)
						}
						check(&r, v)
						r.Release()
					}
				default:
					var r Ref
					if s.Get(k, &r) {
						found++
						v, ok := model[k]
						if !ok {
							t.Fatal("a key that is not there")
						}
						check(&r, v)
						if rnd.IntN(4) == 0 && len(refs) < 10 {
							refs = append(refs, held{r, v})
							break
						}
						r.Release()
					}
				}
				if len(refs) > 0 && rnd.IntN(3) == 0 {
					j := rnd.IntN(len(refs))
					check(&refs[j].ref, refs[j].v)
					refs[j].ref.Release()
					refs[j] = refs[len(refs)-1]
					refs = refs[:len(refs)-1]
				}
			}
			if found < 1000 || s.Stats().Evicted == 0 {
				t.Errorf("%d found, %d evicted: this says nothing", found, s.Stats().Evicted)
			}
			for i := range refs {
				check(&refs[i].ref, refs[i].v)
				refs[i].ref.Release()
			}
			for k := range model {
				s.Delete(k)
			}
			empty(t, s)
		})
	}
}

// empty expects that nothing is held but pages of objects.
func empty(t *testing.T, s *Store) {
	t.Helper()
	if n := s.count.Load(); n != 0 || s.filled != 0 {
		t.Errorf("%d objects and %d bytes of fills are left", n, s.filled)
	}
	for i := range s.arena.pages {
		if pg := &s.arena.pages[i]; pg.live != 0 {
			t.Errorf("page %d has %d pieces in use", i, pg.live)
		}
	}
	if q := s.queues; q[shortQueue].cost != 0 || q[mainQueue].cost != 0 {
		t.Errorf("the queues hold %v", q)
	}
}

// TestReadersAndWriters has several threads read, write, delete and evict at once; each reader sees whole objects.
func TestReadersAndWriters(t *testing.T) {
	s := newStore(t, 4<<20)
	end := time.Now().Add(2 * time.Second)
	var group sync.WaitGroup
	for w := range uint64(4) {
		group.Go(func() {
			rnd := rand.New(rand.NewPCG(w, 3))
			for n := 0; time.Now().Before(end); n++ {
				id := rnd.Uint64N(200)
				k := keyOf(id)
				if rnd.IntN(3) == 0 {
					size := rnd.IntN(100 << 10)
					head := binary.LittleEndian.AppendUint64(nil, uint64(size))
					f, err := s.Begin(k, head, int64(size))
					if err != nil {
						continue
					}
					var r Ref
					f.Open(&r)
					b := bytesOf(id, size)
					var done sync.WaitGroup
					done.Go(func() { // reads along
						for off := int64(0); off < int64(size); {
							c := r.Chunk(off)
							if !bytes.Equal(c, b[off:off+int64(len(c))]) {
								t.Error("a fill shows what was not written")
								break
							}
							off += int64(len(c))
							if c == nil && !time.Now().Before(end.Add(10*time.Second)) {
								break
							}
						}
						r.Release()
					})
					for at := 0; at < size; at += 5000 {
						if err := f.Write(b[at:min(at+5000, size)]); err != nil {
							size = 0 // the reader gives up
							break
						}
					}
					if size == 0 {
						f.Abort()
						end = time.Time{}
					} else {
						f.Commit()
					}
					done.Wait()
					continue
				}
				var r Ref
				if !s.Get(k, &r) {
					continue
				}
				size := int(binary.LittleEndian.Uint64(r.Head()))
				if r.Size() != int64(size) || !bytes.Equal(bodyOf(&r), bytesOf(id, size)) {
					t.Error("a torn object")
				}
				r.SetChecked(uint64(n))
				r.Release()
				if rnd.IntN(50) == 0 {
					s.Delete(k)
				}
			}
		})
	}
	group.Wait()
	for id := range uint64(200) {
		s.Delete(keyOf(id))
	}
	empty(t, s)
}

// TestChangeOfSizes: memory that was full of one size is there for another.
func TestChangeOfSizes(t *testing.T) {
	s := newStore(t, 16<<20)
	for i := range uint64(40000) {
		if err := put(t, s, keyOf(i), nil, bytesOf(i, 1000), true); err != nil {
			t.Fatal(err)
		}
	}
	kept := 0
	for i := range uint64(1000) {
		k := keyOf(1_000_000 + i)
		if err := put(t, s, k, nil, bytesOf(i, 14000), true); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint64(1000) {
		var r Ref
		if s.Get(keyOf(1_000_000+i), &r) {
			kept++
			r.Release()
		}
	}
	if kept < 500 {
		t.Errorf("%d of 1000 objects of the new size are kept", kept)
	}
}

func TestTooLarge(t *testing.T) {
	s := newStore(t, 8<<20)
	if _, err := s.Begin(Key{}, nil, 3<<20); err != ErrTooLarge {
		t.Error(err)
	}
	if _, err := s.Begin(Key{}, make([]byte, 40000), 3); err != ErrTooLarge {
		t.Error(err)
	}
	f, err := s.Begin(Key{}, nil, -1)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		if err = f.Write(make([]byte, 100<<10)); err != nil || n > 100 {
			break
		}
	}
	if err != ErrTooLarge {
		t.Error(err)
	}
	f.Abort()
	f, _ = s.Begin(Key{}, nil, 10)
	if err := f.Write(make([]byte, 11)); err != ErrTooLarge {
		t.Error(err)
	}
	f.Abort()
	empty(t, s)
}

// TestHotStays: what is asked for again and again survives a stream of what is asked for once.
func TestHotStays(t *testing.T) {
	s := newStore(t, 8<<20)
	for i := range uint64(500) {
		if err := put(t, s, keyOf(i), nil, bytesOf(i, 1000), true); err != nil {
			t.Fatal(err)
		}
	}
	lost := 0
	for i := range uint64(100000) {
		if err := put(t, s, keyOf(1000+i), nil, bytesOf(i, 1000), true); err != nil {
			t.Fatal(err)
		}
		var r Ref
		if s.Get(keyOf(i%500), &r) {
			r.Release()
		} else {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d look-ups of hot objects failed", lost)
	}
}

func resident(t testing.TB) int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Log("this system does not tell what is resident")
		return 0
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// TestBudget: resident memory stays within a tenth of what was allowed, and an object of 1 KiB costs at most 250 bytes more
// than what is in it.
func TestBudget(t *testing.T) {
	const memory = 256 << 20
	before := resident(t)
	s := newStore(t, memory)
	head, body := make([]byte, 200), make([]byte, 1024)
	for i := range uint64(400_000) {
		k := Key{}
		binary.LittleEndian.PutUint64(k[:], i*0x9e3779b97f4a7c15)
		if err := put(t, s, k, head, body, true); err != nil {
			t.Fatal(err)
		}
	}
	grown := resident(t) - before
	if before > 0 && grown > memory*11/10 {
		t.Errorf("memory grew by %d MiB, allowed are %d", grown>>20, memory>>20)
	}
	st := s.Stats()
	if st.Bytes > memory {
		t.Errorf("it says that it holds %d bytes", st.Bytes)
	}
	over := st.Bytes/st.Objects - 1224
	t.Logf("%d objects, %d bytes each beyond their own", st.Objects, over)
	if over > 250 {
		t.Errorf("an object costs %d bytes beyond its own", over)
	}
}

func TestGetDoesNotAllocate(t *testing.T) {
	s := newStore(t, 4<<20)
	k := keyOf(1)
	if err := put(t, s, k, []byte("head"), bytesOf(1, 100<<10), true); err != nil {
		t.Fatal(err)
	}
	var r Ref
	if n := testing.AllocsPerRun(1000, func() {
		if !s.Get(k, &r) {
			t.Fatal("it is gone")
		}
		for off := int64(0); off < r.Size(); {
			off += int64(len(r.Chunk(off)))
		}
		r.Release()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkGet(b *testing.B) {
	s := newStore(b, 256<<20)
	const n = 100_000
	keys := make([]Key, n)
	for i := range keys {
		keys[i] = keyOf(uint64(i))
		if err := put(b, s, keys[i], make([]byte, 200), make([]byte, 1024), true); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	var r Ref
	for i := 0; b.Loop(); i++ {
		if s.Get(keys[i*7919%n], &r) {
			r.Release()
		}
	}
}

func BenchmarkFill(b *testing.B) {
	s := newStore(b, 64<<20)
	head, body := make([]byte, 200), make([]byte, 1024)
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		k := Key{}
		binary.LittleEndian.PutUint64(k[:], i*0x9e3779b97f4a7c15)
		if err := put(b, s, k, head, body, true); err != nil {
			b.Fatal(err)
		}
	}
}
