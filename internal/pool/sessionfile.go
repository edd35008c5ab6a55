package pool

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/weirhq/weir/internal/config"
)

// What lasts of sessions over the end of an edge lies in a directory of the run directory: the machine's key, and for each pool with a
// table an image of that, whose buckets are written where they belong as they change. A kill can at worst lose what
// changed in the last moment. What was half written is a session that nobody has, and makes room in time.

const (
	sessionDir = "sticky"
	keyFile    = "key"
	keySize    = 32
	bucketSize = ways * 16
)

// sessionKey returns the key of this machine, which is made when there is none. dir is the run directory; empty: the key is one of this
// process's own.
func sessionKey(dir string) (key []byte, err error) {
	key = make([]byte, keySize)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("making a key for sticky sessions: %w", err)
	}
	if dir == "" {
		return key, nil
	}
	dir = filepath.Join(dir, sessionDir)
	path := filepath.Join(dir, keyFile)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return key, fmt.Errorf("keeping the key of sticky sessions: %w", err)
	}
	old, err := os.ReadFile(path)
	switch {
	case err == nil && len(old) == keySize:
		return old, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return key, fmt.Errorf("reading the key of sticky sessions: %w", err)
	}
	return key, writeKey(dir, path, key)
}

// writeKey writes aside and renames, so that there is a whole key or none.
func writeKey(dir, path string, key []byte) error {
	f, err := os.CreateTemp(dir, keyFile+"-*") // 0600
	if err != nil {
		return fmt.Errorf("keeping the key of sticky sessions: %w", err)
	}
	_, err = f.Write(key)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("keeping the key of sticky sessions: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// sessionPath is where the table of a pool is saved. Names of pools are safe in paths: config sees to it.
func sessionPath(dir, pool string) string { return filepath.Join(dir, sessionDir, pool+".sessions") }

// loadSessions returns the table of a pool, with what was saved of it. An error means that it begins empty.
func loadSessions(dir, pool string, size int) (*sessions, error) {
	t := newSessions(size)
	if dir == "" {
		return t, nil
	}
	image, err := os.ReadFile(sessionPath(dir, pool))
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return t, fmt.Errorf("reading the sessions of the pool %q: %w", pool, err)
	}
	for ; len(image) >= 16; image = image[16:] {
		key, value := binary.LittleEndian.Uint64(image), binary.LittleEndian.Uint64(image[8:])
		if key != 0 && value>>32 != 0 {
			t.put(key, value)
		}
	}
	return t, nil
}

// saveSessions writes the buckets of a table that have changed; all: every one, in place of what is there.
func saveSessions(dir, pool string, t *sessions, all bool) error {
	changed := t.changed()
	if dir == "" || len(changed) == 0 && !all {
		return nil
	}
	flags := os.O_WRONLY | os.O_CREATE
	if all {
		flags |= os.O_TRUNC
		changed = changed[:0]
		for n := range len(t.slots) / ways {
			changed = append(changed, uint32(n))
		}
	}
	f, err := os.OpenFile(sessionPath(dir, pool), flags, 0o600)
	if err != nil {
		return fmt.Errorf("saving the sessions of the pool %q: %w", pool, err)
	}
	for _, n := range changed {
		var b [bucketSize]byte
		for i := range ways {
			s := &t.slots[int(n)*ways+i]
			binary.LittleEndian.PutUint64(b[i*16:], s.key.Load())
			binary.LittleEndian.PutUint64(b[i*16+8:], s.value.Load())
		}
		if b == ([bucketSize]byte{}) {
			continue // a hole reads as that too
		}
		if _, err = f.WriteAt(b[:], int64(n)*bucketSize); err != nil {
			break
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("saving the sessions of the pool %q: %w", pool, err)
	}
	return nil
}

// keepsTable says whether a pool's sessions are known by a table.
func keepsTable(cfg *config.Pool) bool {
	return cfg.Sticky != nil && (cfg.Sticky.Learn != "" || cfg.Sticky.Source)
}

// readySessions sees to it that the pool has its table, of the size that is wanted.
func (s *Set) readySessions(p *Pool) {
	if !keepsTable(p.cfg) {
		return
	}
	size, c := p.cfg.Sticky.Size, p.c
	t := c.sessions.Load()
	if t != nil && len(t.slots) == len(newSessions(size).slots) {
		return
	}
	var err error
	if t == nil {
		t, err = loadSessions(s.env.Dir, c.name, size)
	} else {
		t = t.resized(size)
	}
	c.sessions.Store(t)
	if err = errors.Join(err, saveSessions(s.env.Dir, c.name, t, true)); err != nil {
		s.env.Log.Warn("sessions may not be known after a restart", "pool", c.name, "error", err)
	}
}

// saveSoon asks for what changed in the tables of sessions to be saved.
func (s *Set) saveSoon() {
	select {
	case s.watch.save <- struct{}{}:
	default: // it was asked for already
	}
}

// saveSessions saves what changed.
func (w *watcher) saveSessions() {
	for _, p := range w.s.pools {
		t := p.c.sessions.Load()
		if t == nil || p.c.owner.Load() != w.s {
			continue
		}
		if err := saveSessions(w.s.env.Dir, p.c.name, t, false); err != nil && !w.unsaved {
			w.unsaved = true
			w.s.env.Log.Warn("sessions may not be known after a restart", "pool", p.c.name, "error", err)
		}
	}
}
