package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// watching is measured side by side in each turn: nobody looks at weir; everything does; `weir log` listens for what never comes.
func (b *bench) watching(p *peer) ([]float64, error) {
	plain := setup{Origin: b.small}
	page, err := freeAddress()
	if err != nil {
		return nil, err
	}
	collector, spans, end, err := collects()
	if err != nil {
		return nil, err
	}
	defer end()
	var off, log, on float64
	// A machine that gets slower, or faster, is not to favour one of them.
	for _, i := range rand.Perm(3) {
		switch i {
		case 0:
			var sample []float64
			if sample, err = b.loaded(p, plain, "/", false); err == nil {
				off = sample[0]
			}
		case 1:
			log, err = b.lookedAt(p, plain, false, b.listens)
		case 2:
			on, err = b.lookedAt(p, setup{Origin: b.small, Page: page, Collector: collector}, true, looks)
		}
		if err != nil {
			return nil, err
		}
	}
	if spans.Load() == 0 {
		return nil, errors.New("no traces came")
	}
	return []float64{on / off, log / off, off, on, log}, nil
}

// lookedAt measures a peer under load while somebody looks at it, who ends with the context.
func (b *bench) lookedAt(p *peer, s setup, logged bool, look func(context.Context, *peer, *running, setup) error) (cost float64, err error) {
	r, err := b.ready(p, s, logged)
	if err != nil {
		return 0, err
	}
	defer r.stop()
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	var looks sync.WaitGroup
	defer looks.Wait()
	failed := make(chan error, 1)
	looks.Go(func() {
		if err := look(ctx, p, r, s); err != nil && ctx.Err() == nil {
			failed <- err
		}
	})
	defer cancel() // before it is waited for
	sample, err := b.measure(r, "/")
	if err != nil {
		return 0, err
	}
	select {
	case err = <-failed:
		return 0, err
	default:
	}
	return sample[0], nil
}

// listens has weir log look for requests that there are none of.
func (b *bench) listens(ctx context.Context, p *peer, r *running, _ setup) error {
	log, err := start([]string{p.program, "log", "status=599 or time>10m", "--run-dir", filepath.Join(r.dir, "run")}, filepath.Join(r.dir, "log.out"))
	if err != nil {
		return err
	}
	defer log.stop()
	<-ctx.Done()
	return nil
}

// looks has a page open and metrics fetched each second.
func looks(ctx context.Context, _ *peer, _ *running, s setup) error {
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	broken := make(chan error, 2)
	all.Go(func() { broken <- readAll(ctx, "http://"+s.Page+"/api/v1/stream") })
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-broken:
			return err
		case <-tick.C:
			if err := readAll(ctx, "http://"+s.Page+"/metrics"); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

// collects takes traces and counts the messages that they come in. end stops it.
func collects() (address string, messages *atomic.Int64, end func(), err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, nil, err
	}
	messages = &atomic.Int64{}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); err == nil && n > 0 {
			messages.Add(1)
		}
	})}
	var serves sync.WaitGroup
	serves.Go(func() { _ = server.Serve(ln) }) // it ends by Close
	return ln.Addr().String(), messages, func() { _ = server.Close(); serves.Wait() }, nil
}

// readAll reads an answer to its end.
func readAll(ctx context.Context, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || n == 0) {
		err = fmt.Errorf("%s answered %s with %d bytes", url, resp.Status, n)
	}
	if ctx.Err() != nil || errors.Is(err, io.ErrUnexpectedEOF) { // a stream that is compressed has no end of its own
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading %s after %d bytes: %w", url, n, err)
	}
	return nil
}
