package loop

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// onLoop runs a benchmark's body as a task.
func onLoop(b *testing.B, l *Loop, f func(t *Task)) {
	b.Helper()
	b.ReportAllocs()
	done := make(chan struct{})
	begin(l, func(t *Task) {
		defer close(done)
		f(t)
	})
	<-done
}

// A task that wakes another which wakes it: two switches to a fiber and back, and the queue.
func BenchmarkSwitch(b *testing.B) {
	e := startEngine(b, Config{})
	onLoop(b, e.Loops()[0], func(t *Task) {
		var other *Task
		over := false
		t.Loop().Go(runFunc(func(o *Task) {
			other = o
			t.WakeHere()
			for !over {
				o.Park(0)
				t.WakeHere()
			}
		}))
		t.Park(0)
		b.ResetTimer()
		for range b.N {
			other.WakeHere()
			t.Park(0)
		}
		over = true
		other.WakeHere()
	})
}

// A task started and ended.
func BenchmarkGo(b *testing.B) {
	e := startEngine(b, Config{})
	onLoop(b, e.Loops()[0], func(t *Task) {
		w := &waker{t}
		for range b.N {
			t.Loop().Go(w)
			t.Park(0)
		}
	})
}

type waker struct{ t *Task }

func (w *waker) Run(*Task) { w.t.WakeHere() }

// A task of one loop wakes one of another, which wakes it: two wake-ups from outside of loops that wait.
func BenchmarkWakeAcross(b *testing.B) {
	e := startEngine(b, Config{Loops: 2})
	var over atomic.Bool
	other := make(chan *Task, 1)
	first := make(chan *Task, 1)
	begin(e.Loops()[1], func(t *Task) {
		other <- t
		partner := <-first
		for !over.Load() {
			t.Park(0)
			partner.Wake()
		}
	})
	onLoop(b, e.Loops()[0], func(t *Task) {
		first <- t
		partner := <-other
		b.ResetTimer()
		for range b.N {
			partner.Wake()
			t.Park(0)
		}
		over.Store(true)
		partner.Wake()
	})
}

// Leaving a note in the inbox of a loop that is at work.
func BenchmarkWakeBusy(b *testing.B) {
	e := startEngine(b, Config{})
	onLoop(b, e.Loops()[0], func(t *Task) {
		for range b.N {
			t.Wake()
			t.Park(0)
		}
	})
}

// A function that does nothing, off the loop and back.
func BenchmarkDo(b *testing.B) {
	e := startEngine(b, Config{})
	onLoop(b, e.Loops()[0], func(t *Task) {
		f := func() {}
		used := processTime()
		for range b.N {
			t.Do(f)
		}
		b.ReportMetric(float64(processTime()-used)/float64(b.N), "cpu-ns/op")
	})
}

// An echo over a socket pair on one loop: what the engine and four system calls cost.
func BenchmarkEchoPair(b *testing.B) {
	e := startEngine(b, Config{})
	l := e.Loops()[0]
	onLoop(b, l, func(t *Task) {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err != nil {
			b.Error(err)
			return
		}
		a, _ := l.attach(fds[0], local, false)
		z, _ := l.attach(fds[1], local, false)
		newServer(z)
		buf := make([]byte, 256)
		b.ResetTimer()
		for range b.N {
			a.ReadBy(l.Now() + Time(time.Minute))
			if _, err := a.Write(buf[:128]); err != nil {
				b.Error(err)
			}
			if _, err := a.Read(buf); err != nil {
				b.Error(err)
			}
		}
		a.Close()
	})
}

// 64 connections over TCP, a loop that asks and a loop that answers; processor time a round trip of both together.
func BenchmarkEchoTCP64(b *testing.B) {
	e := startEngine(b, Config{Loops: 2})
	addr := listenTCP(b, e.Loops()[0], acceptFunc(func(c *Conn) { newServer(c) }))
	const conns = 64
	each := b.N/conns + 1
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	used := processTime()
	for range conns {
		wg.Add(1)
		begin(e.Loops()[1], func(t *Task) {
			defer wg.Done()
			c := mustDial(b, t, addr)
			defer c.Close()
			buf := make([]byte, 1024)
			for range each {
				c.ReadBy(t.Loop().Now() + Time(time.Minute))
				if _, err := c.Write(buf); err != nil {
					b.Error(err)
				}
				if _, err := io.ReadFull(c, buf); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(processTime()-used)/float64(each*conns), "cpu-ns/op")
}

// The same on net's goroutines, to compare.
func BenchmarkEchoTCP64Net(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var servers sync.WaitGroup
	defer servers.Wait()
	defer ln.Close()
	servers.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			servers.Go(func() {
				defer c.Close()
				buf := make([]byte, BufferSize)
				for {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					if _, err := c.Write(buf[:n]); err != nil {
						return
					}
				}
			})
		}
	})
	const conns = 64
	each := b.N/conns + 1
	var wg sync.WaitGroup
	b.ResetTimer()
	used := processTime()
	for range conns {
		wg.Go(func() {
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			buf := make([]byte, 1024)
			for range each {
				c.SetReadDeadline(time.Now().Add(time.Minute))
				if _, err := c.Write(buf); err != nil {
					b.Error(err)
				}
				if _, err := io.ReadFull(c, buf); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(processTime()-used)/float64(each*conns), "cpu-ns/op")
}

var processTime = func() time.Duration {
	if _, err := os.Stat("/proc/self"); err != nil {
		return 0
	}
	return cpuTime()
}

// A small file to a socket, as for a page's pictures.
func BenchmarkSendFile(b *testing.B) {
	path := filepath.Join(b.TempDir(), "f")
	if err := os.WriteFile(path, make([]byte, 16<<10), 0o600); err != nil {
		b.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	e := startEngine(b, Config{Loops: 2})
	addr := listenTCP(b, e.Loops()[0], serve(func(t *Task, c *Conn) {
		big := t.Loop().LargeBuffer()
		for {
			if _, err := c.Read(big); err != nil {
				return
			}
		}
	}))
	onLoop(b, e.Loops()[1], func(t *Task) {
		c := mustDial(b, t, addr)
		defer c.Close()
		used := processTime()
		for range b.N {
			if _, err := c.SendFile(t, f, 0, 16<<10); err != nil {
				b.Error(err)
				return
			}
		}
		b.ReportMetric(float64(processTime()-used)/float64(b.N), "cpu-ns/op")
	})
}
