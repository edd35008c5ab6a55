package pool

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/loop"
)

func keepsSessions(cfg *config.Pool, st config.Sticky) *config.Pool {
	cfg.Sticky = &st
	return cfg
}

func TestTickets(t *testing.T) {
	dir := t.TempDir()
	cfg := keepsSessions(fixed("a", 0, a, b), config.Sticky{Cookie: "SRV"})
	other := keepsSessions(fixed("other", 0, a, b), config.Sticky{Cookie: "SRV"})
	s := build(t, pools(cfg, other), Env{Dir: dir}, nil)
	p := s.Pool("a")
	home := server(t, p, a)
	ticket := slices.Clone(p.Ticket(home))
	if !IsTicket(ticket) {
		t.Fatalf("%s has not the form of a ticket", ticket)
	}
	if got, known := p.At(ticket); got != home || !known {
		t.Errorf("it leads to %v, %v", got, known)
	}
	if got, known := s.Pool("other").At(ticket); got != nil || known {
		t.Error("another pool takes it for its own")
	}
	for _, bad := range []string{"", "x", strings.Repeat("A", 32), string(ticket[:31]), string(ticket) + "A", string(ticket[:31]) + "=", strings.Repeat("\n", 32)} {
		if got, known := p.At([]byte(bad)); got != nil || known {
			t.Errorf("%q was believed", bad)
		}
	}
	for i := range ticket { // the signature is of all of it
		for bit := range 6 {
			forged := slices.Clone(ticket)
			const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
			forged[i] = alphabet[strings.IndexByte(alphabet, forged[i])^1<<bit]
			if got, known := p.At(forged); got != nil || known {
				t.Fatalf("%s was believed, made of %s", forged, ticket)
			}
		}
	}
	// A weir that starts anew knows it, and without the server it knows that there was one.
	next := build(t, pools(keepsSessions(fixed("a", 0, b), config.Sticky{Cookie: "SRV"})), Env{Dir: dir}, nil)
	if got, known := next.Pool("a").At(ticket); got != nil || !known {
		t.Errorf("after a restart without its server: %v, %v", got, known)
	}
	info, err := os.Stat(filepath.Join(dir, "sticky", "key"))
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != 32 {
		t.Errorf("the key: %v, %v", info, err)
	}
}

// A worker's session is at its place, whichever process is there.
func TestTicketsOfWorkers(t *testing.T) {
	cfg := keepsSessions(ofApp("web", "web", 0), config.Sticky{Cookie: "SRV"})
	s := build(t, pools(cfg), Env{}, nil)
	s.SetWorkers([]api.Worker{worker("web/1.1", "ready"), worker("web/2.1", "ready")})
	p := s.Pool("web")
	ticket := slices.Clone(p.Ticket(server(t, p, "web/1.1")))
	s.SetWorkers([]api.Worker{worker("web/1.1", "leaving"), worker("web/2.1", "ready")})
	if got, known := p.At(ticket); got != nil || !known {
		t.Errorf("while nobody is there: %v, %v", got, known)
	}
	s.SetWorkers([]api.Worker{worker("web/1.2", "ready"), worker("web/2.1", "ready")})
	if got, _ := p.At(ticket); got == nil || got.Name() != "web/1.2" {
		t.Errorf("with the next one there: %v", got)
	}
}

// A key or a table that cannot be kept is told, and the pool works all the same.
func TestSessionsWithoutADirectory(t *testing.T) {
	var log bytes.Buffer
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := keepsSessions(fixed("a", 0, a, b), config.Sticky{Learn: "sid", Size: 100})
	s := build(t, pools(cfg), Env{Dir: file, Log: slog.New(slog.NewTextHandler(&log, nil))}, nil)
	p := s.Pool("a")
	p.Remember(7, server(t, p, b), time.Now())
	if got, known := p.Recall(7, time.Now()); got != server(t, p, b) || !known {
		t.Errorf("remembered at %v, %v", got, known)
	}
	s.Close()                                                                                  // and with it, who writes the log
	if n := strings.Count(log.String(), "sessions may not be known after a restart"); n != 3 { // the key, the table, and what changed in it
		t.Errorf("the log says\n%s", log.String())
	}
}

func TestSessionsTable(t *testing.T) {
	st := newSessions(1000)
	if len(st.slots) != 1024 {
		t.Fatalf("%d slots for 1000 sessions", len(st.slots))
	}
	key := func(i int) uint64 { return uint64(i) * 0x9E3779B97F4A7C15 }
	for i := range 500 {
		if !st.remember(key(i), uint32(i+1), 100) {
			t.Fatalf("session %d is no news", i)
		}
	}
	kept := 0
	for i := range 500 {
		switch got := st.recall(key(i), 100); got {
		case uint32(i + 1):
			kept++
		case 0:
		default:
			t.Fatalf("session %d is at %d", i, got)
		}
	}
	if kept < 490 {
		t.Errorf("of 500 sessions in a table for 1000, %d are known", kept)
	}
	if st.remember(key(499), 500, 100) {
		t.Error("what is known is news")
	}
	if !st.remember(key(499), 7, 100) || st.recall(key(499), 100) != 7 {
		t.Error("a session did not move")
	}
	if st := newSessions(8); st.recall(0, 100) != 0 || !st.remember(0, 3, 100) || st.recall(0, 100) != 3 {
		t.Error("the key 0 is a key like any other")
	}
	// Those that are used stay when more come than there is room for.
	for i := range 100 {
		st.recall(key(i), 200)
	}
	for i := range 600 {
		st.remember(key(10000+i), 9, 150)
	}
	kept = 0
	for i := range 100 {
		if st.recall(key(i), 200) != 0 {
			kept++
		}
	}
	if kept < 95 {
		t.Errorf("of 100 sessions in use %d are left", kept)
	}
	small := st.resized(100)
	kept = 0
	for i := range 100 {
		if got := small.recall(key(i), 200); got == uint32(i+1) {
			kept++
		}
	}
	if len(small.slots) != 128 || kept < 60 {
		t.Errorf("in a table for 100, %d of 100 sessions in use are left", kept)
	}
}

// Cookies that a client made up push out what others made up, and hardly a session that the app began.
func TestSessionsFlooded(t *testing.T) {
	st := newSessions(1024)
	key := func(i int) uint64 { return uint64(i+1) * 0x9E3779B97F4A7C15 }
	for i := range 256 {
		st.remember(key(i), 7|begun, 100)
	}
	for i := range 50000 {
		st.remember(key(1000+i), 9, 200)
	}
	kept := 0
	for i := range 256 {
		if st.recall(key(i), 300) == 7 {
			kept++
		}
	}
	if kept < 250 {
		t.Errorf("of 256 sessions %d are left", kept)
	}
	// What the app began stays so when it moves, and one that a client came with becomes one.
	st = newSessions(8)
	st.remember(1, 7|begun, 100)
	if !st.remember(1, 9, 100) || st.look(1, 100) != 9|begun || st.remember(1, 9, 100) {
		t.Error("it moved and is another's now")
	}
	if st.remember(2, 9, 100); !st.remember(2, 9|begun, 100) || st.look(2, 100) != 9|begun {
		t.Error("the app's word does not count")
	}
}

// However many write, nobody reads another session's server.
func TestSessionsRace(t *testing.T) {
	st := newSessions(16) // everybody fights for two buckets
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for range 20000 {
				i := uint64(1 + r.IntN(64))
				if g%2 == 0 {
					st.remember(i<<32|i, uint32(i), uint32(r.IntN(1000)))
				} else if tag := st.recall(i<<32|i, uint32(r.IntN(1000))); tag != 0 && tag != uint32(i) {
					t.Errorf("session %d is at %d", i, tag)
					return
				}
			}
		})
	}
	wg.Wait()
}

// The image on the disk is that of the table, whatever was changed when.
func TestSessionsAreSaved(t *testing.T) {
	dir := t.TempDir()
	if _, err := sessionKey(dir); err != nil {
		t.Fatal(err)
	}
	st := newSessions(200)
	if err := saveAll(dir, "a", st); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		for range 30 {
			st.remember(r.Uint64N(300)*0x9E3779B97F4A7C15, 1+r.Uint32N(5), 1+r.Uint32N(1000))
		}
		if err := saveSessions(dir, "a", st); err != nil {
			t.Fatal(err)
		}
		got, saved, err := loadSessions(dir, "a", 200)
		if err != nil || !saved {
			t.Fatal(saved, err)
		}
		for i := range uint64(300) {
			key := i * 0x9E3779B97F4A7C15
			if g, w := got.recall(key, 0), st.recall(key, 0); g != w {
				t.Fatalf("session %d is at %d, on the disk at %d", i, w, g)
			}
		}
	}
	// What is no table is none.
	if err := os.WriteFile(sessionPath(dir, "a"), bytes.Repeat([]byte("garbage"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, saved, err := loadSessions(dir, "a", 200); saved || err != nil {
		t.Fatal(saved, err)
	}
	if err := os.Remove(sessionPath(dir, "a")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(sessionPath(dir, "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := loadSessions(dir, "a", 200); err == nil {
		t.Error("a directory was read")
	}
}

// A server that drains keeps its sessions for a time, and a pool whose queue is full of others too.
func TestDrainKeepsSessions(t *testing.T) {
	for _, by := range []reason{drain, askedDrain} {
		t.Run(by.words(), func(t *testing.T) { testDrain(t, by) })
	}
}

func testDrain(t *testing.T, by reason) {
	synctest.Test(t, func(t *testing.T) {
		cfg := keepsSessions(fixed("a", 0, a, b), config.Sticky{Cookie: "SRV", Drain: time.Minute})
		p := build(t, pools(cfg), Env{}, nil).Pool("a")
		home := server(t, p, a)
		set := func(on bool) {
			p.c.mu.Lock()
			defer p.c.mu.Unlock()
			if on {
				p.c.bar(home, by)
			} else {
				p.c.unbar(home, by)
			}
		}
		stays := func(want bool) {
			t.Helper()
			var turn Turn
			turn.Stay(home)
			if got := take(p, &turn); got == home != want {
				t.Errorf("the session is at %v", got)
			}
			leave(&turn)
		}
		set(true)
		wantShare(t, p, "it drains", map[string]int{b: 20})
		time.Sleep(59 * time.Second)
		stays(true)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		stays(false)
		set(false)
		stays(true)
		set(true)
		time.Sleep(30 * time.Second)
		set(false) // in time
		time.Sleep(40 * time.Second)
		synctest.Wait()
		stays(true)
		set(true)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		stays(false)
	})
}

// Who waits for a full server's place gets it, before and behind others who wait for any; a server that drains serves its
// sessions although nobody else gets a place.
func TestSessionsQueue(t *testing.T) {
	onBoth(t, 2, func(t *testing.T, e *loop.Engine) {
		cfg := queueing(1, 100, time.Minute, a, b)
		s := build(t, pools(cfg), env(e), nil)
		p := s.Pool("a")
		home := server(t, p, a)
		var holders [2]Turn
		in(t, e.Loops()[0], func(task *loop.Task) {
			for i := range holders {
				if _, err := p.Pick(task, &holders[i], nil); err != nil {
					t.Error(err)
				}
			}
		})
		var mu sync.Mutex
		got := map[string]string{}
		var all []<-chan struct{}
		begin := func(name string, stay bool) {
			all = append(all, start(e.Loops()[len(all)%2], func(task *loop.Task) {
				var turn Turn
				if stay {
					turn.Stay(home)
				}
				sv, err := p.Pick(task, &turn, nil)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				mu.Lock()
				got[name] = sv.Name()
				mu.Unlock()
				if !stay {
					if err := task.Sleep(20 * time.Millisecond); err != nil {
						t.Error(err)
					}
				}
				sv.Done(&turn, OK)
			}))
			waiting(t, p, int64(len(all)))
		}
		begin("any 1", false)
		begin("stays 1", true)
		begin("any 2", false)
		begin("stays 2", true)
		p.c.mu.Lock()
		p.c.bar(home, drain)
		p.c.mu.Unlock()
		in(t, e.Loops()[0], func(*loop.Task) {
			for i := range holders { // the place at home, which drains, is for sessions; the other one for the rest
				holders[i].Server().Done(&holders[i], OK)
			}
		})
		for _, done := range all {
			finished(t, done)
		}
		for name, at := range got {
			if want := map[bool]string{true: a, false: b}[strings.HasPrefix(name, "stays")]; at != want {
				t.Errorf("%s went to %s, want %s", name, at, want)
			}
		}
		if n := p.c.waiting.Load(); n != 0 || p.c.queue.Len() != 0 {
			t.Errorf("%d wait, %d in the queue", n, p.c.queue.Len())
		}
	})
}

// Where there is no room to wait, a session's request goes elsewhere for once.
func TestSessionWithoutRoomToWait(t *testing.T) {
	onBoth(t, 1, func(t *testing.T, e *loop.Engine) {
		p := build(t, pools(queueing(1, 0, time.Minute, a, b)), env(e), nil).Pool("a")
		in(t, e.Loops()[0], func(task *loop.Task) {
			var turns [3]Turn
			for i, want := range []string{a, b, ""} {
				turns[i].Stay(server(t, p, a))
				sv, err := p.Pick(task, &turns[i], nil)
				if want == "" {
					if !errors.Is(err, ErrQueueFull) {
						t.Errorf("request %d: %v", i, err)
					}
					continue
				}
				if err != nil || sv.Name() != want || turns[i].Moved() {
					t.Errorf("request %d: %v, %v, moved %v", i, sv, err, turns[i].Moved())
				}
			}
			for i := range 2 {
				turns[i].Server().Done(&turns[i], OK)
			}
		})
	})
}

func BenchmarkSession(b *testing.B) {
	var addresses []string
	for i := range 10 {
		addresses = append(addresses, fmt.Sprintf("10.0.0.%d:80", i+1))
	}
	cfg := keepsSessions(fixed("a", 0, addresses...), config.Sticky{Learn: "sid", Size: 100000})
	p := build(b, pools(cfg), Env{}, nil).Pool("a")
	home := server(b, p, addresses[3])
	for i := range uint64(50000) {
		p.Remember(i*0x9E3779B97F4A7C15, home, time.Now())
	}
	now := time.Now()
	ticket := p.Ticket(home)
	b.Run("recall", func(b *testing.B) {
		b.ReportAllocs()
		for i := uint64(0); b.Loop(); i++ {
			p.Recall(i%50000*0x9E3779B97F4A7C15, now)
		}
	})
	b.Run("ticket", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if s, _ := p.At(ticket); s != home {
				b.Fatal("it is not known")
			}
		}
	})
}
