package ban

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Log keeps a list in a file, for objects that outlive the process. Its methods block on the disk: none of them is
// called on a loop. A file has one Log at a time.
type Log struct {
	list *List
	path string

	mu      sync.Mutex // over the file, and over the order of records in it
	file    *os.File
	size    int64
	compact int64 // the size at which it is written anew
	scratch []byte
	dirty   bool  // there is something to sync
	broken  error // the file's end is not what it should be
}

const minCompact = 4 << 20

// OpenLog reads the file, or makes it. When there is none, or it is damaged, which lost then says, the list begins at
// now, which must be larger than any number ever given out: the time in nanoseconds.
func OpenLog(path string, limits Limits, now Seq) (g *Log, lost error, err error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("reading the purges: %w", err)
	}
	g = &Log{path: path}
	good, bad := 0, err
	if bad == nil {
		g.list, good, bad = Restore(text, limits)
	}
	if bad != nil {
		g.list, lost = New(now, limits), fmt.Errorf("purges in %s: %w", path, bad)
		return g, lost, g.rewrite()
	}
	if g.file, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		return nil, nil, fmt.Errorf("opening the purges: %w", err)
	}
	g.size, g.compact = int64(good), max(minCompact, 2*int64(good))
	if good < len(text) {
		if err := errors.Join(g.file.Truncate(g.size), g.file.Sync()); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("cutting off a torn record: %w", err), g.file.Close())
		}
	}
	return g, nil, nil
}

// List returns the list, for Check and Now. What is added to it other than through the Log is not kept.
func (g *Log) List() *List { return g.list }

// Add puts a purge into force, and returns when it is written, so that it outlives the process; with Sync it outlives the
// machine's power too. When that fails, which the error says, the purge holds, but only as long as the process lives.
func (g *Log) Add(p Purge) (Seq, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.file == nil {
		return 0, fmt.Errorf("purges in %s: %w", g.path, fs.ErrClosed)
	}
	seq, err := g.list.Add(p)
	if err != nil {
		return 0, err
	}
	if g.broken == nil && g.size < g.compact {
		g.scratch = appendPurge(g.scratch[:0], seq, &p)
		if _, g.broken = g.file.WriteAt(g.scratch, g.size); g.broken == nil {
			g.dirty = true
			g.size += int64(len(g.scratch))
			return seq, nil
		}
	}
	if err := g.rewrite(); err != nil {
		g.broken = err
		return seq, fmt.Errorf("the purge is in force, and lost at a restart: %w", err)
	}
	g.broken = nil
	return seq, nil
}

// Sync puts what has been added on the disk. It does not hold up Add.
func (g *Log) Sync() error {
	g.mu.Lock()
	f, dirty := g.file, g.dirty
	g.dirty = false
	g.mu.Unlock()
	if !dirty || f == nil {
		return nil
	}
	if err := f.Sync(); err != nil && !errors.Is(err, fs.ErrClosed) { // closed: it was written anew meanwhile, and synced
		return fmt.Errorf("writing the purges: %w", err)
	}
	return nil
}

// Skip leaves numbers out. After a start they may be among those that were given out before the machine lost its power,
// with objects that were born by them, and without their purges.
func (g *Log) Skip(n Seq) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list.mu.Lock()
	g.list.seq.Add(uint64(n))
	g.list.mu.Unlock()
	return g.rewrite()
}

// rewrite makes the file anew from the list: beside it, then in its place.
func (g *Log) rewrite() error {
	text := g.list.AppendTo(nil)
	f, err := os.OpenFile(g.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("writing the purges: %w", err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync())
	if err == nil {
		err = os.Rename(g.path+".new", g.path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(g.path))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing the purges: %w", err), f.Close())
	}
	if g.file != nil {
		err = g.file.Close()
	}
	g.file, g.size, g.compact = f, int64(len(text)), max(minCompact, 2*int64(len(text)))
	return err
}

// syncDir puts a rename on the disk.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close closes the file. The list lives on.
func (g *Log) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.file == nil {
		return nil
	}
	f := g.file
	g.file = nil
	if g.dirty {
		return errors.Join(f.Sync(), f.Close())
	}
	return f.Close()
}
