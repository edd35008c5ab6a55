package keeper

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/config"
)

const (
	// lookEvery is how often files are looked at though nothing was heard of them: changes behind links, on network file
	// systems and in folders that were not there yet are not told of.
	lookEvery = 2 * time.Second
	// settle is how long a file has to stay as it is before it is read: it may be half written. Longer for one that is gone:
	// some editors take a file away for a moment to put another in its place.
	settle     = 200 * time.Millisecond
	settleGone = time.Second
	// mostFolders is how many folders are listened to. Others are looked at.
	mostFolders = 256
)

// watch knows what files looked like when they were looked at last. It may be used from any goroutine.
type watch struct {
	mu   sync.Mutex
	seen map[string]*glimpse
	ears ears
}

func newWatch() *watch { return &watch{seen: map[string]*glimpse{}} }

// glimpse is what one file looked like.
type glimpse struct {
	looks looks
	since time.Time // when it was first seen like this
	read  bool      // like this, it has been read
	gone  time.Time // when it was first found gone; zero: it is there
}

// looks is what changes when a file is written, replaced, or made readable.
type looks struct {
	mode fs.FileMode
	size int64
	at   time.Time
	err  string
}

func looksOf(path string) looks {
	info, err := os.Stat(path)
	if err != nil {
		return looks{err: bare(err).Error()}
	}
	return looks{mode: info.Mode(), size: info.Size(), at: info.ModTime()}
}

// sees takes what the file looks like now, and says whether it is to be read, or in what time it may be.
func (g *glimpse) sees(now time.Time, l looks) (read bool, wait time.Duration) {
	g.gone = time.Time{}
	if g.looks != l || g.since.IsZero() {
		g.looks, g.since, g.read = l, now, false
	}
	switch left := settle - now.Sub(g.since); {
	case g.read:
		return false, 0
	case left > 0:
		return false, left
	}
	g.read = true
	return true, 0
}

// misses takes that the file is not there, and says whether it is gone for good, or in what time it will be.
func (g *glimpse) misses(now time.Time) (gone bool, wait time.Duration) {
	if g.gone.IsZero() {
		g.gone = now
	}
	if left := settleGone - now.Sub(g.gone); left > 0 {
		return false, left
	}
	return true, 0
}

func (w *watch) glimpse(path string) *glimpse {
	g := w.seen[path]
	if g == nil {
		g = &glimpse{}
		w.seen[path] = g
	}
	return g
}

// read returns a file that looks other than when it was read last, once it stays so; nil else, and in what time it may.
func (w *watch) read(path string, now time.Time) (*onDisk, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	g := w.glimpse(path)
	l := looksOf(path)
	if ready, wait := g.sees(now, l); !ready {
		return nil, wait
	}
	is := found(path)
	if looksOf(path) != l { // while it was read
		g.since, g.read = now, false
		return nil, settle
	}
	return is, 0
}

// readNow returns a file as it is.
func (w *watch) readNow(path string, now time.Time) *onDisk {
	w.mu.Lock()
	defer w.mu.Unlock()
	g := w.glimpse(path)
	*g = glimpse{looks: looksOf(path), since: now, read: true}
	return found(path)
}

func found(path string) *onDisk {
	text, err := config.ReadIncluded(path)
	if err != nil {
		return &onDisk{missing: err.Error()}
	}
	return &onDisk{text: text}
}

func (w *watch) gone(path string, now time.Time) (bool, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.glimpse(path).misses(now)
}

func (w *watch) forget(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.seen, path)
}

// follow listens to the folders of an include.
func (w *watch) follow(include *config.Include, listing *config.Listing) {
	if !include.Watch {
		return
	}
	folders := map[string]bool{}
	for _, pattern := range include.Files {
		dir := filepath.Dir(pattern)
		for strings.ContainsAny(dir, `*?[\`) {
			dir = filepath.Dir(dir)
		}
		folders[dir] = true
	}
	for _, path := range listing.Paths {
		if len(folders) >= mostFolders {
			break
		}
		folders[filepath.Dir(path)] = true
	}
	w.ears.follow(folders)
}

// stirs returns a channel that gets something when something has happened in a folder.
func (w *watch) stirs() <-chan struct{} { return w.ears.heard() }

func (w *watch) close() { w.ears.close() }
