package relay

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// TestEnds: what ends on one side ends on the other, in the way it ended.
func TestEnds(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		for _, row := range []struct {
			name           string
			client, server func(*testkit.Conn)
		}{
			{"the client is done first", func(c *testkit.Conn) {
				c.Send("question")
				c.CloseWrite()
				c.Expect("answer")
				c.Closed()
			}, func(c *testkit.Conn) {
				if q := c.Rest(); q != "question" {
					c.Fail("asked %q", q)
				}
				c.Send("answer")
			}},
			{"the server is done first", func(c *testkit.Conn) {
				c.Expect("hello")
				if c.More() {
					c.Fail("more than hello")
				}
				c.Send("goodbye")
				c.CloseWrite()
			}, func(c *testkit.Conn) {
				c.Send("hello")
				c.CloseWrite()
				if got := c.Rest(); got != "goodbye" {
					c.Fail("got %q", got)
				}
			}},
			{"the client resets", func(c *testkit.Conn) {
				c.Send("x")
				c.Expect("y")
				c.Reset()
			}, func(c *testkit.Conn) {
				c.Expect("x")
				c.Send("y")
				if err := readsReset(c); err != nil {
					c.Fail("%v", err)
				}
			}},
			{"the server resets", func(c *testkit.Conn) {
				c.Send("x")
				if err := readsReset(c); err != nil {
					c.Fail("%v", err)
				}
			}, func(c *testkit.Conn) {
				c.Expect("x")
				c.Reset()
			}},
			{"the server has a last word, and reads no more", func(c *testkit.Conn) {
				for range 200 {
					if c.TrySend(strings.Repeat("x", 10_000)) != nil {
						break
					}
				}
				got, _ := io.ReadAll(c.Raw())
				if !strings.HasPrefix(string(got), "too many connections") {
					c.Fail("got %q", got)
				}
				c.Close()
			}, func(c *testkit.Conn) {
				c.Send("too many connections")
				c.Read(1)
			}},
			{"nothing is ever said", func(c *testkit.Conn) { c.CloseWrite(); c.Closed() }, func(c *testkit.Conn) { c.Closed() }},
		} {
			t.Run(row.name, func(t *testing.T) {
				var served sync.WaitGroup
				served.Add(1)
				o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) { defer served.Done(); row.server(c) })
				r := serve(t, body, "pool: p", testkit.TCPPool("", o.Address))
				c := testkit.Dial(t, r.addr)
				row.client(c)
				served.Wait()
				c.Close()
			})
		}
	})
}

// readsReset reads until there is an end, which has to be a reset.
func readsReset(c *testkit.Conn) error {
	if _, err := io.Copy(io.Discard, c.Raw()); err == nil || !strings.Contains(err.Error(), "reset") {
		return fmt.Errorf("it ended with %v, want a reset", err)
	}
	return nil
}

// TestWhere: which server a session goes to.
func TestWhere(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		one, two := testkit.Greets(t, "tcp", "one "), testkit.Greets(t, "unix", "two ")
		dead := testkit.DeadAddress(t)
		for _, row := range []struct {
			name, pool string
			want       []string // of sessions that stay
		}{
			{"past the dead", testkit.TCPPool("balance: round_robin", dead, one.Address), []string{"one ", "one ", "one "}},
			{"by turns", testkit.TCPPool("balance: round_robin", one.Address, two.Address), []string{"one ", "two ", "one ", "two "}},
			{"by address", testkit.TCPPool("balance: source_hash", one.Address, dead), []string{"one ", "one "}},
			{"where there is room", testkit.TCPPool("max_conn: 1, queue: {size: 0}", one.Address, two.Address), []string{"one ", "two ", ""}},
			{"to a backup", "pools: {p: {protocol: tcp, servers: ['" + dead + "', {address: '" + two.Address + "', backup: true}]}}\n", []string{"two ", "two "}},
			{"to another pool", "pools: {p: {protocol: tcp, servers: ['" + dead + "'], retry: {attempts: 3}, backup: b}, b: {protocol: tcp, servers: ['" + one.Address + "']}}\n", []string{"one "}},
			{"nowhere", testkit.TCPPool("retry: {attempts: 0}", dead), []string{""}},
		} {
			t.Run(row.name, func(t *testing.T) {
				r := serve(t, body, "pool: p", row.pool)
				var got []string
				for range row.want {
					b := make([]byte, 4)
					c, err := net.Dial("tcp", r.addr)
					if err != nil { // a reset that came at once
						got = append(got, "")
						continue
					}
					defer c.Close()
					c.SetDeadline(time.Now().Add(testkit.Patience))
					n, _ := io.ReadFull(c, b)
					got = append(got, string(b[:n]))
				}
				// Two that are first at their server may be taken in any order.
				if strings.Join(sorted(got), ",") != strings.Join(sorted(row.want), ",") {
					t.Errorf("got %q, want %q", got, row.want)
				}
			})
		}
	})
}

// turnedAway expects that a connection is ended at once, without a word.
func turnedAway(t *testing.T, address string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		return // a reset that came at once
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(testkit.Patience))
	if b, err := io.ReadAll(c); len(b) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("got %q, %v, want the end", b, err)
	}
}

func sorted(in []string) []string {
	out := append([]string(nil), in...)
	for i := range out {
		for j := i; j > 0 && out[j] < out[j-1]; j-- {
			out[j], out[j-1] = out[j-1], out[j]
		}
	}
	return out
}

// TestQueue: who finds no place waits for one, and no longer than is allowed.
func TestQueue(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := testkit.Greets(t, "tcp", "hi ")
		r := serve(t, body, "pool: p", testkit.TCPPool("max_conn: 1, queue: {size: 1, timeout: 1m}", o.Address))
		first := testkit.Dial(t, r.addr)
		first.Expect("hi ")
		second := testkit.Dial(t, r.addr)
		waits := func() bool { return r.status().Queued == 1 }
		testkit.Eventually(t, testkit.Patience, "the second waits", waits)
		turnedAway(t, r.addr) // there is no room in the queue
		second.Reset()
		testkit.Eventually(t, testkit.Patience, "who hung up has left the queue", func() bool { return !waits() })
		fourth := testkit.Dial(t, r.addr)
		testkit.Eventually(t, testkit.Patience, "the fourth waits", waits)
		first.Close()
		fourth.Expect("hi ")
		fourth.Close()
	})
}

// TestIdle: a session is over when nothing moves in either direction, and not while something does.
func TestIdle(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
			for range 6 { // one way only, for longer than silence may last
				time.Sleep(100 * time.Millisecond)
				c.Send("x")
			}
			c.Closed()
		})
		log, file := logged(t)
		r := serve(t, body, "pool: p", log+testkit.TCPPool("timeouts: {idle: 300ms}", o.Address))
		c := testkit.Dial(t, r.addr)
		c.Expect("xxxxxx")
		c.Closed()
		c.Close()
		if text := testkit.Lines(t, file, 1); !strings.Contains(text, `"cause":"idle_timeout"`) || !strings.Contains(text, `"out":6`) {
			t.Error(text)
		}
	})
}

// TestTakenOut: drain leaves sessions alone, maint ends them, and a failing check does as it is told.
func TestTakenOut(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := testkit.Greets(t, "tcp", "hi ")
		pool := testkit.TCPPool("", o.Address)
		r := serve(t, body, "pool: p", pool)
		c := testkit.Dial(t, r.addr)
		c.Expect("hi ")
		r.apply("pool: p", pool, []api.Hand{{Pool: "p", Server: o.Address, State: "drain"}})
		turnedAway(t, r.addr)
		c.Send("still here")
		c.Expect("still here")
		r.apply("pool: p", pool, []api.Hand{{Pool: "p", Server: o.Address, State: "maint"}})
		c.Closed()
		turnedAway(t, r.addr)

		for _, onDown := range []string{"keep", "close"} {
			checked, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			_, port, _ := net.SplitHostPort(checked.Addr().String())
			pool := testkit.TCPPool("on_down: "+onDown+", health: {type: tcp, port: "+port+", every: 100ms, fast: 50ms, timeout: 1s}", o.Address)
			r.apply("pool: p", pool, nil)
			testkit.Eventually(t, testkit.Patience, "the server is ready", func() bool { return r.status().Servers[0].State == "ready" })
			c := testkit.Dial(t, r.addr)
			c.Expect("hi ")
			checked.Close()
			testkit.Eventually(t, testkit.Patience, "the server is down", func() bool { return r.status().Servers[0].State == "down" })
			if onDown == "keep" {
				c.Send("still here")
				c.Expect("still here")
			} else {
				c.Closed()
			}
			c.Close()
		}
	})
}

// TestAllowed: others than those let in are closed unheard.
func TestAllowed(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := testkit.Greets(t, "tcp", "hi ")
		r := serve(t, body, "pool: p, from: 10.0.0.0/8", testkit.TCPPool("", o.Address))
		turnedAway(t, r.addr)
		r.apply("pool: p, from: 127.0.0.0/8", testkit.TCPPool("", o.Address), nil)
		c := testkit.Dial(t, r.addr)
		c.Expect("hi ")
		c.Close()
	})
}

// TestStops: what is under way when the edge stops is ended when its time is over, and told of.
func TestStops(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := testkit.Greets(t, "tcp", "hi ")
		log, file := logged(t)
		r := serve(t, body, "pool: p", log+testkit.TCPPool("", o.Address))
		c := testkit.Dial(t, r.addr)
		c.Expect("hi ")
		r.stop(100 * time.Millisecond)
		c.Closed()
		c.Close()
		if text := testkit.Lines(t, file, 1); !strings.Contains(text, `"cause":"stopping"`) {
			t.Error(text)
		}
	})
}

// TestBackPressure: a client that takes nothing stops its server, and weir holds no more of it than a buffer.
func TestBackPressure(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		const all = 64 << 20
		sent := make(chan struct{})
		o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
			piece := strings.Repeat("z", 64<<10)
			for range all / len(piece) {
				c.Send(piece)
			}
			close(sent)
		})
		r := serve(t, body, "pool: p", testkit.TCPPool("", o.Address))
		c := testkit.Dial(t, r.addr)
		var before, now int64 = 0, 1
		testkit.Eventually(t, testkit.Patience, "nothing moves any more", func() bool {
			before, now = now, int64(r.status().Servers[0].Out)
			time.Sleep(20 * time.Millisecond)
			return now > 0 && before == now
		})
		select {
		case <-sent:
			t.Fatal("the server could send all of it")
		default:
		}
		n, err := io.Copy(io.Discard, c.Raw())
		if n != all || err != nil {
			t.Errorf("%d of %d bytes, %v", n, all, err)
		}
		c.Close()
	})
}

// TestAllocs: a session that is there allocates nothing, whatever passes.
func TestAllocs(t *testing.T) {
	const conns, warm, rounds = 8, 200, 2000
	o := frugalOrigin(t, "?", strings.Repeat("y", 20<<10)+"!")
	log, _ := logged(t)
	r := serve(t, fibers, "pool: p", log+testkit.TCPPool("max_conn: 100", o))
	var ready, over, done sync.WaitGroup
	start := make(chan struct{})
	ready.Add(conns)
	over.Add(conns)
	for range conns {
		nc, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		f := &frugal{nc, make([]byte, 64<<10)}
		question, end := []byte(strings.Repeat("x", 3000)+"?"), []byte("!")
		run := func(n int) {
			for range n {
				if _, err := f.Write(question); err != nil {
					t.Error(err)
					return
				}
				if err := f.upTo(end); err != nil {
					t.Error(err)
					return
				}
			}
		}
		done.Go(func() {
			run(warm)
			ready.Done()
			<-start
			run(rounds)
			over.Done()
		})
	}
	ready.Wait()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	close(start)
	over.Wait()
	runtime.ReadMemStats(&after)
	done.Wait()
	if per := float64(after.Mallocs-before.Mallocs) / (conns * rounds); per >= 0.05 {
		t.Errorf("%.3f allocations a round", per)
	}
}

// BenchmarkSession is a question and its answer in a session that is there.
func BenchmarkSession(b *testing.B) {
	o := frugalOrigin(b, "?", strings.Repeat("y", 1000)+"!")
	r := serve(b, fibers, "pool: p", testkit.TCPPool("", o))
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	f := &frugal{nc, make([]byte, 64<<10)}
	question, end := []byte(strings.Repeat("x", 99)+"?"), []byte("!")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Write(question); err != nil {
			b.Fatal(err)
		}
		if err := f.upTo(end); err != nil {
			b.Fatal(err)
		}
	}
}
