package app

import (
	"sync"
	"time"
)

// Said is one line of a worker's output, as others are told of it.
type Said struct {
	Seq    uint64    `json:"seq"` // one more for each line
	At     time.Time `json:"at"`
	App    string    `json:"app"`
	Worker string    `json:"worker"` // the app and the worker's place: "web/1"
	Text   string    `json:"text"`
}

const (
	feedLines = 4096    // that are kept
	feedBytes = 2 << 20 // likewise
)

// feed keeps the last lines of all workers. Whoever reads it does so at his own pace: what he did not read in time is gone, and nobody
// waits for him. Any goroutine may use it.
type feed struct {
	mu    sync.Mutex
	lines []Said // the oldest first
	bytes int
	base  uint64 // the first number: it is above all those of weir before an upgrade
	next  uint64
	news  chan struct{} // closed with the next line; nil: nobody waits
}

// add keeps a line.
func (f *feed) add(s Said) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.Seq = f.next
	f.next++
	f.lines = append(f.lines, s)
	f.bytes += len(s.Text)
	drop := 0
	for bytes := f.bytes; drop < len(f.lines) && (len(f.lines)-drop > feedLines || bytes > feedBytes); drop++ {
		bytes -= len(f.lines[drop].Text)
		f.bytes = bytes
	}
	if drop > 0 {
		clear(f.lines[:drop])
		f.lines = f.lines[drop:]
	}
	if f.news != nil {
		close(f.news)
		f.news = nil
	}
}

// since returns the lines from a number on, at most so many, and how many of them are gone already. With none there, news is closed
// when there is one. A number of another weir is taken for the first one.
func (f *feed) since(seq uint64, most int) (lines []Said, missed uint64, news <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := f.next - uint64(len(f.lines))
	if seq > f.next || seq < f.base {
		seq = f.base
	}
	if seq < first {
		missed = first - seq
		seq = first
	}
	if n := int(f.next - seq); n > 0 {
		rest := f.lines[len(f.lines)-n:]
		return append([]Said(nil), rest[:min(n, most)]...), missed, nil
	}
	if f.news == nil {
		f.news = make(chan struct{})
	}
	return nil, missed, f.news
}

// Said returns lines of workers' output from a number on, at most so many, and how many of these are gone already. With none there,
// news is closed when there is one.
func (s *Sink) Said(seq uint64, most int) (lines []Said, missed uint64, news <-chan struct{}) {
	return s.feed.since(seq, most)
}

// Next is the number of the line that comes next.
func (s *Sink) Next() uint64 {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	return s.feed.next
}
