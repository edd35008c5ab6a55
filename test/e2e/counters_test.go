package e2e

import (
	"context"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/picture"
	"github.com/weirhq/weir/internal/testkit"
)

// observer asks the edge what it has counted, and makes pictures of it, as the desk does.
type observer struct {
	t      *testing.T
	client *api.Client
	maker  *picture.Maker
	stop   chan struct{}
	done   sync.WaitGroup

	mu     sync.Mutex
	last   *picture.Picture
	looks  int
	epochs map[string]bool
	base   uint64 // requests before the first look
}

func observe(t *testing.T, w *testkit.Weir) *observer {
	o := &observer{t: t, client: api.NewClient(filepath.Join(w.RunDir, "edge.sock")), maker: picture.NewMaker("node", 1, picture.Book{}, time.Now()),
		stop: make(chan struct{}), epochs: map[string]bool{}}
	o.look()
	o.base = o.last.Total.Requests // of who waited for weir
	o.done.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-o.stop:
				return
			case <-tick.C:
				o.look()
			}
		}
	})
	t.Cleanup(o.end)
	return o
}

func (o *observer) end() {
	select {
	case <-o.stop:
	default:
		close(o.stop)
	}
	o.done.Wait()
	o.client.Close()
}

func (o *observer) look() {
	o.mu.Lock()
	defer o.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	told := picture.Told{Edge: new(api.Counters)}
	if err := o.client.Get(ctx, "/v1/counters", told.Edge); err != nil {
		told.Edge = nil // it is being started
	} else {
		o.looks++
		o.epochs[told.Edge.Epochs[0]] = true
	}
	p := o.maker.Make(time.Now(), told)
	if was := o.last; was != nil && len(was.Pools) > 0 && len(p.Pools) > 0 {
		if p.Total.Requests < was.Total.Requests || p.Routes[0].Requests < was.Routes[0].Requests || p.Routes[0].Time.Count() < was.Routes[0].Time.Count() ||
			p.Pools[0].Requests < was.Pools[0].Requests || p.Edge.Accepted < was.Edge.Accepted {
			o.t.Errorf("totals fell: %d, %d and %d requests, before %d, %d and %d", p.Total.Requests, p.Routes[0].Requests, p.Pools[0].Requests,
				was.Total.Requests, was.Routes[0].Requests, was.Pools[0].Requests)
		}
	}
	o.last = p
}

// comesTo waits until all that was answered is counted, everywhere, and expects that it is not more.
func (o *observer) comesTo(requests uint64) {
	o.t.Helper()
	requests += o.base
	got := func() (total, route, pool uint64) {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.last.Total.Requests, o.last.Routes[0].Requests, o.last.Pools[0].Requests
	}
	testkit.Eventually(o.t, testkit.Patience, "all is counted", func() bool {
		total, route, pool := got()
		return total >= requests && route >= requests && pool >= requests
	})
	if total, route, pool := got(); total != requests || route != requests || pool < requests {
		o.t.Errorf("%d requests in all, %d of the route, %d of the pool; %d were answered", total, route, pool, requests)
	}
}

// TestTotalsOverHandovers: while one edge follows another under load, and workers come and go, totals never fall, and in the end they are
// what clients have got.
func TestTotalsOverHandovers(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: hello(2, "    recycle: {after_requests: 500}\n")})
	waitWorkers(t, w, "hello", 2)
	o := observe(t, w)
	f := testkit.Load{Address: w.Address, Conns: 4, Pause: time.Millisecond}.Start(t)
	for range 4 {
		f.After(t, 300)
		w.Do("upgrade")
	}
	f.After(t, 300)
	result := f.Stop()
	noneFailed(t, "GET", result, 1000)
	o.comesTo(uint64(result.Requests))
	o.mu.Lock()
	defer o.mu.Unlock()
	t.Logf("%d requests, %d looks at %d edges", result.Requests, o.looks, len(o.epochs))
	if len(o.epochs) != 5 || o.looks < 20 {
		t.Errorf("%d looks at %d edges", o.looks, len(o.epochs))
	}
}

// TestTotalsOverDeaths: an edge that is killed takes with it only what it has counted since it was asked.
func TestTotalsOverDeaths(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: hello(2, "")})
	waitWorkers(t, w, "hello", 2)
	o := observe(t, w)
	sum := 0
	for range 3 {
		f := testkit.Load{Address: w.Address, Conns: 4}.Start(t)
		f.After(t, 100)
		result := f.Stop()
		noneFailed(t, "GET", result, 100)
		sum += result.Requests
		o.comesTo(uint64(sum))
		before := w.Edge()
		before.Kill(t, syscall.SIGKILL)
		testkit.Eventually(t, testkit.Patience, "another edge serves", func() bool {
			s, err := w.Look()
			return err == nil && s.Edge != nil && s.Edge.PID != before.PID
		})
	}
	o.comesTo(uint64(sum))
}
