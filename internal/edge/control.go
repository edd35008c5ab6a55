package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/notice"
)

// Main is the edge's process, with a number of loops: it takes over what the keeper hands down, serves, and obeys until it is told to stop
// or the keeper is gone. It returns nil when it stopped in order.
func Main(ctx context.Context, loops int) error {
	conn, err := api.KeeperConn()
	if err != nil {
		return err
	}
	defer conn.Close()
	// Two more than the loops, which hold theirs while they wait: for the collector, loop.Do and control.
	runtime.GOMAXPROCS(loops + 2)
	level := notice.Process("edge")
	e, err := New(loops)
	if err != nil {
		return report(conn, err)
	}
	e.level = level
	c := &control{edge: e, stop: make(chan time.Duration, 1), retire: make(chan time.Duration, 1)}
	if err := c.begin(conn); err != nil {
		_ = e.Stop(canceled()) // nothing is under way yet
		return report(conn, err)
	}
	if err := api.SendReport(conn, api.Report{Ready: true}); err != nil {
		return err
	}
	return c.run(ctx, conn)
}

// report tells the keeper why the edge cannot serve.
func report(conn *net.UnixConn, err error) error {
	return errors.Join(err, api.SendReport(conn, api.Report{Error: err.Error()}))
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// control is the edge's side of the keeper's commands.
type control struct {
	edge   *Edge
	server *http.Server
	stop   chan time.Duration
	retire chan time.Duration
}

// begin takes the first sockets and the first state.
func (c *control) begin(conn *net.UnixConn) error {
	var state *api.EdgeState
	for {
		m, files, err := api.ReceiveHandover(conn)
		if err != nil {
			return fmt.Errorf("receiving the sockets: %w", err)
		}
		switch m.Kind {
		case "state":
			s, err := api.ReadState(files[0])
			if err != nil {
				return err
			}
			state = &s
		case "start":
			if state == nil {
				return errors.New("the keeper sent no state")
			}
			if m.Hold {
				c.edge.hold()
			}
			return c.edge.Apply(*state)
		default:
			if err := c.take(m, files); err != nil {
				return err
			}
		}
	}
}

// take keeps sockets that were handed down.
func (c *control) take(m api.Handover, files []*os.File) error {
	switch m.Kind {
	case "listener":
		c.edge.Offer(m.Network, m.Address, files)
	case "control":
		ln, err := net.FileListener(files[0])
		if err != nil {
			return fmt.Errorf("taking over the control socket: %w", err)
		}
		if err := files[0].Close(); err != nil {
			return err
		}
		ln.(*net.UnixListener).SetUnlinkOnClose(false) // it is the keeper's
		c.server = &http.Server{Handler: c.routes(), ReadHeaderTimeout: 10 * time.Second}
		go func() {
			if err := c.server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
				slog.Error("the edge's control socket failed", "error", err)
			}
		}()
	}
	return nil
}

// run waits until the edge is to stop, then drains it.
func (c *control) run(ctx context.Context, conn *net.UnixConn) error {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			m, files, err := api.ReceiveHandover(conn)
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
					slog.Error("the keeper's channel failed", "error", err)
				}
				return
			}
			if err := c.take(m, files); err != nil {
				slog.Error("taking over a socket", "error", err)
			}
		}
	}()
	told := make(chan struct{})
	go func() {
		defer close(told)
		c.edge.overruns.tell(conn, gone)
	}()
	within := c.edge.tree.Load().cfg.Timeouts.Drain
	select {
	case within = <-c.stop:
	case <-gone:
		slog.Warn("the keeper is gone: the edge drains and stops")
	case <-ctx.Done():
	case limit := <-c.retire:
		within = c.linger(ctx, gone, limit, within)
	}
	drain, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	err := c.edge.Stop(drain)
	if c.server != nil {
		err = errors.Join(err, c.server.Close())
	}
	_ = conn.Close() // ends the reader above, and with it the teller
	<-gone
	<-told
	return err
}

// linger waits until a retired edge has nothing left to do, or no more time, or is to stop like any other; within is what it
// may take then.
func (c *control) linger(ctx context.Context, gone <-chan struct{}, limit, within time.Duration) time.Duration {
	limited, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	empty := make(chan struct{})
	go func() { defer close(empty); c.edge.linger(limited) }()
	select {
	case within = <-c.stop:
	case <-gone:
	case <-ctx.Done():
	case <-empty:
		within = 0
	}
	cancel()
	<-empty
	return within
}

func (c *control) routes() http.Handler {
	mux := http.NewServeMux()
	c.handoverRoutes(mux)
	c.lookRoutes(mux)
	c.cacheRoutes(mux)
	c.tellingRoutes(mux)
	mux.HandleFunc("POST /v1/state", func(w http.ResponseWriter, r *http.Request) {
		var s api.EdgeState
		if err := api.ReadRequest(w, r, &s); err != nil {
			api.AnswerError(w, http.StatusBadRequest, err)
			return
		}
		if err := c.edge.Apply(s); err != nil {
			api.AnswerError(w, http.StatusUnprocessableEntity, err)
			return
		}
		api.Answer(w, http.StatusOK, map[string]int64{"version": s.Version})
	})
	mux.HandleFunc("POST /v1/intervention", func(w http.ResponseWriter, r *http.Request) {
		var in api.Intervention
		if err := api.ReadRequest(w, r, &in); err != nil {
			api.AnswerError(w, http.StatusBadRequest, err)
			return
		}
		name, err := c.edge.Find(in)
		if err != nil {
			api.AnswerError(w, http.StatusUnprocessableEntity, err)
			return
		}
		in.Server = name
		api.Answer(w, http.StatusOK, in)
	})
	mux.HandleFunc("POST /v1/drain", func(w http.ResponseWriter, r *http.Request) {
		var d api.Drain
		if err := api.ReadRequest(w, r, &d); err != nil {
			api.AnswerError(w, http.StatusBadRequest, err)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), time.Duration(d.Within)*time.Millisecond)
		defer cancel()
		left := c.edge.tree.Load().pools.WaitDrained(ctx, d.Worker)
		api.Answer(w, http.StatusOK, api.Drained{Left: left})
	})
	mux.HandleFunc("POST /v1/stop", func(w http.ResponseWriter, r *http.Request) {
		var s api.Stop
		if err := api.ReadRequest(w, r, &s); err != nil {
			api.AnswerError(w, http.StatusBadRequest, err)
			return
		}
		select {
		case c.stop <- time.Duration(s.Within) * time.Millisecond:
		default: // it stops already
		}
		api.Answer(w, http.StatusOK, map[string]bool{"stopping": true})
	})
	return mux
}

// lookRoutes are those that only tell.
func (c *control) lookRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		api.Answer(w, http.StatusOK, c.edge.Status())
	})
	mux.HandleFunc("GET /v1/pools", func(w http.ResponseWriter, _ *http.Request) {
		api.Answer(w, http.StatusOK, c.edge.poolStatus())
	})
	mux.HandleFunc("GET /v1/counters", func(w http.ResponseWriter, r *http.Request) {
		all, err := c.edge.Counters(r.Context())
		if err != nil {
			api.AnswerError(w, http.StatusServiceUnavailable, err)
			return
		}
		api.Answer(w, http.StatusOK, all)
	})
	mux.HandleFunc("GET /v1/spans", c.spans)
	mux.HandleFunc("GET /v1/alive", func(w http.ResponseWriter, _ *http.Request) {
		c.edge.onLoops(func(*local) {}) // each loop has to take a turn
		api.Answer(w, http.StatusOK, struct{}{})
	})
}

// handoverRoutes are those by which one edge follows another.
func (c *control) handoverRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/serve", func(w http.ResponseWriter, _ *http.Request) {
		if err := c.edge.Serve(); err != nil {
			api.AnswerError(w, http.StatusUnprocessableEntity, err)
			return
		}
		api.Answer(w, http.StatusOK, struct{}{})
	})
	mux.HandleFunc("POST /v1/retire", func(w http.ResponseWriter, r *http.Request) {
		var in api.Retire
		if err := api.ReadRequest(w, r, &in); err != nil {
			api.AnswerError(w, http.StatusBadRequest, err)
			return
		}
		if err := c.edge.Retire(in.Successor); err != nil {
			api.AnswerError(w, http.StatusUnprocessableEntity, err)
			return
		}
		c.retire <- time.Duration(in.Within) * time.Millisecond // once: the second time was refused above
		api.Answer(w, http.StatusOK, struct{}{})
	})
	mux.HandleFunc("POST /v1/bans", func(w http.ResponseWriter, r *http.Request) {
		var in api.Bans
		if err := api.ReadRequest(w, r, &in); err != nil {
			api.AnswerError(w, http.StatusBadRequest, err)
			return
		}
		if err := c.edge.takeBans(in); err != nil {
			api.AnswerError(w, http.StatusUnprocessableEntity, err)
			return
		}
		api.Answer(w, http.StatusOK, struct{}{})
	})
	mux.HandleFunc("POST /v1/inherit", func(w http.ResponseWriter, r *http.Request) {
		var in api.Inherit
		if err := api.ReadRequest(w, r, &in); err != nil {
			api.AnswerError(w, http.StatusBadRequest, err)
			return
		}
		api.Answer(w, http.StatusOK, c.edge.Inherit(in))
	})
}

// cacheRoutes are those that are about the cache.
func (c *control) cacheRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/cache", func(w http.ResponseWriter, _ *http.Request) {
		s, err := c.edge.CacheStatus()
		if err != nil {
			api.AnswerError(w, http.StatusUnprocessableEntity, err)
			return
		}
		api.Answer(w, http.StatusOK, s)
	})
	mux.HandleFunc("POST /v1/cache/look", func(w http.ResponseWriter, r *http.Request) {
		var in api.Look
		if err := api.ReadRequest(w, r, &in); err != nil {
			api.AnswerError(w, http.StatusBadRequest, err)
			return
		}
		out, err := c.edge.Look(in)
		if err != nil {
			api.AnswerError(w, http.StatusUnprocessableEntity, err)
			return
		}
		api.Answer(w, http.StatusOK, out)
	})
	mux.HandleFunc("POST /v1/purge", func(w http.ResponseWriter, r *http.Request) {
		var in api.Purge
		if err := api.ReadRequest(w, r, &in); err != nil {
			api.AnswerError(w, http.StatusBadRequest, err)
			return
		}
		out, err := c.edge.Purge(in)
		if err != nil {
			api.AnswerError(w, http.StatusUnprocessableEntity, err)
			return
		}
		api.Answer(w, http.StatusOK, out)
	})
}
