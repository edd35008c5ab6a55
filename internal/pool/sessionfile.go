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
	return key, writeKey(path, key)
}

// writeKey writes aside and renames, so that there is a whole key or none.
func writeKey(path string, key []byte) error {
	if err := writeWhole(path, key); err != nil {
		return fmt.Errorf("keeping the key of sticky sessions: %w", err)
	}
	return nil
}

// writeWhole puts a file into its place at once, or leaves what is there.
func writeWhole(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// sessionPath is where the table of a pool is saved. Names of pools are safe in paths: config sees to it.
func sessionPath(dir, pool string) string { return filepath.Join(dir, sessionDir, pool+".sessions") }

// loadSessions returns the table of a pool, with what was saved of it. saved says that its image has the table's own size. An error
// means that it begins empty.
func loadSessions(dir, pool string, size int) (t *sessions, saved bool, err error) {
	t = newSessions(size)
	if dir == "" {
		return t, true, nil
	}
	image, err := os.ReadFile(sessionPath(dir, pool))
	if errors.Is(err, fs.ErrNotExist) {
		return t, false, nil
	}
	if err != nil {
		return t, false, fmt.Errorf("reading the sessions of the pool %q: %w", pool, err)
	}
	saved = len(image) == len(t.slots)*16
	for ; len(image) >= 16; image = image[16:] {
		key, value := binary.LittleEndian.Uint64(image), binary.LittleEndian.Uint64(image[8:])
		if key != 0 && value>>32 != 0 {
			t.put(key, value)
		}
	}
	return t, saved, nil
}

// image appends the slots of a bucket as they are on the disk.
func (t *sessions) image(dst []byte, bucket uint32) []byte {
	for i := range ways {
		s := &t.slots[int(bucket)*ways+i]
		dst = binary.LittleEndian.AppendUint64(dst, s.key.Load())
		dst = binary.LittleEndian.AppendUint64(dst, s.value.Load())
	}
	return dst
}

// saveAll puts the image of a table into the place of what is there.
func saveAll(dir, pool string, t *sessions) error {
	if dir == "" {
		return nil
	}
	t.changed()
	var image []byte
	for n := range len(t.slots) / ways {
		image = t.image(image, uint32(n))
	}
	if err := writeWhole(sessionPath(dir, pool), image); err != nil {
		return fmt.Errorf("saving the sessions of the pool %q: %w", pool, err)
	}
	return nil
}

// saveSessions writes the buckets of a table that have changed.
func saveSessions(dir, pool string, t *sessions) error {
	changed := t.changed()
	if dir == "" || len(changed) == 0 {
		return nil
	}
	f, err := os.OpenFile(sessionPath(dir, pool), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("saving the sessions of the pool %q: %w", pool, err)
	}
	var b [bucketSize]byte
	for _, n := range changed {
		if _, err = f.WriteAt(t.image(b[:0], n), int64(n)*bucketSize); err != nil {
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
	var saved bool
	var err error
	if t == nil {
		t, saved, err = loadSessions(s.env.Dir, c.name, size)
	} else {
		t = t.resized(size)
	}
	c.sessions.Store(t)
	if !saved {
		err = errors.Join(err, saveAll(s.env.Dir, c.name, t))
	}
	if err != nil {
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
		if err := saveSessions(w.s.env.Dir, p.c.name, t); err != nil && !w.unsaved {
			w.unsaved = true
			w.s.env.Log.Warn("sessions may not be known after a restart", "pool", p.c.name, "error", err)
		}
	}
}
