package edge

import (
	"errors"
	"log/slog"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool"
)

// downloader sends a buffered response to the client on a task of its own, so that the handler's task can take the
// body from the worker as fast as it comes and let the worker go.
type downloader struct {
	h       *handler
	t       *loop.Task
	spool   spool
	running bool
	begun   bool // the client may have seen the head
	whole   bool // everything has been put into the spool
	failed  bool // the client is gone
	noDisk  bool // the file could not be written; it was said
}

// deliverBuffered takes the body from the server at its speed and sends it at the client's.
func (h *handler) deliverBuffered(cfg *config.Pool, data []byte) outcome {
	h.respondHead()
	return h.download.run(cfg, data)
}

// run passes on what is in the spool, data and the rest of the body, behind a head that was made.
func (d *downloader) run(cfg *config.Pool, data []byte) outcome {
	h := d.h
	d.running, d.begun, d.whole, d.failed, d.noDisk, d.t = true, false, false, false, false, nil
	h.l.loop.Go(d)
	for {
		if !d.put(data, &cfg.Buffer) {
			break
		}
		var err error
		data, err = h.nextBody(h.by(cfg.Timeouts.BetweenBytes))
		if d.failed {
			break
		}
		if err != nil && !d.begun {
			d.failed = true
			d.wait()
			h.answered = false
			return h.bodyFaulty(err)
		}
		if err != nil {
			h.breakOff(err)
			d.failed = true // what is here already is still sent
			break
		}
		if data == nil {
			d.whole = true
			h.x.Journal.Mark(journal.Received, h.l.loop.Now())
			h.up.release(h)
			break
		}
	}
	d.wake()
	d.wait()
	return done
}

// wait waits until the download's task has ended, and gives back what it has not sent.
func (d *downloader) wait() {
	for d.running {
		if d.h.t.Park(0) != nil {
			return // the engine stops, and the download with it
		}
	}
	d.spool.free(d.h.t, d.h.l)
}

// put adds to the spool, waiting while that is full; false when the client has gone.
func (d *downloader) put(data []byte, cfg *config.Buffer) bool {
	h := d.h
	for len(data) > 0 && !d.failed {
		err := d.spool.put(h.t, h.l, data, cfg)
		if errors.Is(err, errDisk) && !d.noDisk {
			// Without room on disk the client's speed becomes the worker's; nothing is lost.
			d.noDisk = true
			slog.Error("a response is not buffered any further", "error", err)
		}
		if err != nil && d.spool.empty() {
			d.spool.keep(h.l, data)
			err = nil
		}
		if err == nil {
			d.wake()
			break // the client may have gone meanwhile
		}
		if h.t.Park(0) != nil {
			return false
		}
	}
	return !d.failed
}

// wake tells the download's task that there is more, or that it is over.
func (d *downloader) wake() {
	if d.t != nil {
		d.t.Wake()
	}
}

// Run implements loop.Runner.
func (d *downloader) Run(t *loop.Task) {
	d.t = t
	h := d.h
	sent := false
	defer func() { // deferred: the handler's task waits for it even if we panic
		if !sent && !d.failed {
			d.failed = true
			h.up.abandon(h) // wakes the handler's task, which may be waiting for the server
		}
		d.running, d.t = false, nil
		h.t.Wake()
	}()
	sent = d.drain(t)
}

// drain sends until the body is whole and sent; false when it cannot.
func (d *downloader) drain(t *loop.Task) bool {
	h := d.h
	if d.failed {
		return false // before it began: the client gets another answer
	}
	d.begun = true
	head := h.out
	for {
		if p := d.spool.pop(); p != nil {
			n := len(p)
			var ok bool
			if h.chunked {
				h.out = http1.AppendChunk(head, n)
				ok = h.write2(h.out, p) && h.write2(crlf, nil)
			} else {
				ok = h.write2(head, p)
			}
			d.spool.release(h.l, p)
			if !ok {
				return false
			}
			head = h.out[:0]
			h.x.Journal.Out += int64(n)
			h.t.Wake()
			continue
		}
		if d.spool.read < d.spool.wrote {
			if !d.drainFile(t, head) {
				return false
			}
			head = h.out[:0]
			h.t.Wake()
			continue
		}
		if d.failed {
			return false
		}
		if d.whole {
			break
		}
		if len(head) > 0 {
			if !h.write2(head, nil) {
				return false
			}
			head = h.out[:0]
			continue
		}
		if t.Park(0) != nil {
			return false
		}
	}
	if h.chunked {
		h.out = http1.AppendLastChunk(head, h.trailers())
		return h.write2(h.out, nil)
	}
	return len(head) == 0 || h.write2(head, nil)
}

// drainFile sends a step of what stands in the file.
func (d *downloader) drainFile(t *loop.Task, head []byte) bool {
	h, s := d.h, &d.spool
	n := min(s.wrote-s.read, fileStep)
	if h.chunked {
		head = http1.AppendChunk(head, int(n))
	}
	if len(head) > 0 && !h.write2(head, nil) {
		return false
	}
	m, err := h.pushFile(t, h.conn, s.file, s.read, n)
	s.read += m
	h.x.Journal.Out += m
	if err != nil {
		h.lostClient(err)
		return false
	}
	return !h.chunked || h.write2(crlf, nil)
}

// deliverHeld takes a response of known, moderate length whole before its head goes out. A worker that dies in the
// middle of it costs the client nothing but time.
func (h *handler) deliverHeld(cfg *config.Pool, data []byte) outcome {
	d := &h.download
	defer d.spool.free(h.t, h.l)
	// The fields are views into the buffer that the next read gives away or fills anew: the head is made now.
	h.makeHead()
	for {
		if len(data) > 0 {
			if err := d.spool.put(h.t, h.l, data, &cfg.Buffer); err != nil {
				h.answers()
				return d.run(cfg, data) // it cannot be held
			}
		}
		var err error
		data, err = h.nextBody(h.by(cfg.Timeouts.BetweenBytes))
		if err != nil {
			return h.bodyFaulty(err)
		}
		if data == nil {
			break
		}
	}
	h.x.Journal.Mark(journal.Received, h.l.loop.Now())
	h.up.release(h)
	h.answers()
	d.whole, d.failed = true, false
	d.drain(h.t)
	return done
}

// bodyFaulty says how a try ended whose response broke off before the client saw anything of it.
func (h *handler) bodyFaulty(err error) outcome {
	switch {
	case isTimeout(err):
		h.up.fault = pool.TimedOut
		h.x.Journal.Cause = h.limit(journal.BetweenBytesTimeout)
		return late
	case isWire(err):
		return h.breaks(reason(err))
	}
	h.up.fault = pool.BadResponse
	h.x.Journal.Cause = journal.ServerReset
	return empty
}

// sendBy is the deadline for progress of what is sent now.
func (h *handler) sendBy() loop.Time { return h.by(h.tree.cfg.Timeouts.Send) }
