package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
)

// Rotation says when a file's place is taken by a new one, and what becomes of the old ones.
type Rotation struct {
	Size     int64         // in bytes; 0: never for its size
	Every    time.Duration // 0: never for its age. A day is the local one; what divides a day begins with it
	Keep     int           // how many old ones are kept; 0: all
	Compress bool
}

// On reports whether there is any rotation.
func (r Rotation) On() bool { return r.Size > 0 || r.Every > 0 }

// File is a log that rotates by itself:
//
//	access.log ─ rename ─► access.log.20261121-195601 ─ gzip, a few seconds later ─► access.log.20261121-195601.gz ─► removed
//
// Two processes may write to one (while one edge follows another): before each write it is looked whether the file still has its name. It is
// compressed only when it has rested, so that whoever had it open has seen that.
type File struct {
	path   string
	rule   Rotation
	now    func() time.Time
	told   func(error) // of what goes wrong beside the writing
	file   *os.File
	size   int64
	until  time.Time // when it is too old
	again  time.Time // when rotating is tried again that has failed
	torn   bool      // the last write ended within a line
	skip   bool      // that line's beginning stands in another file: its rest is left out
	ctx    context.Context
	cancel context.CancelFunc
	tidy   chan struct{}
	done   sync.WaitGroup
}

// restBefore is how long a file rests before it is compressed.
const restBefore = 5 * time.Second

// OpenFile opens a file for appending, with mode 0640. told is told what goes wrong with old files, on another goroutine.
func OpenFile(path string, rule Rotation, told func(error)) (*File, error) {
	f := &File{path: path, rule: rule, now: time.Now, told: told, tidy: make(chan struct{}, 1)}
	if err := f.open(); err != nil {
		return nil, err
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.done.Go(f.tidyUp)
	f.wantTidy()
	return f, nil
}

func (f *File) open() error {
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.size, f.skip, f.torn = file, info.Size(), f.torn, false
	begun := f.now()
	if f.size > 0 {
		begun = info.ModTime() // at the latest
	}
	f.until = f.nextAfter(begun)
	return nil
}

// nextAfter is when a file that was begun at a time is too old.
func (f *File) nextAfter(begun time.Time) time.Time {
	if f.rule.Every <= 0 {
		return time.Time{}
	}
	const day = 24 * time.Hour
	local := begun.Local()
	midnight := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, time.Local)
	if f.rule.Every%day == 0 { // days are not always 24 hours long
		return time.Date(local.Year(), local.Month(), local.Day()+int(f.rule.Every/day), 0, 0, 0, 0, time.Local)
	}
	return midnight.Add(begun.Sub(midnight)/f.rule.Every*f.rule.Every + f.rule.Every)
}

// Write implements io.Writer.
func (f *File) Write(b []byte) (n int, err error) {
	if err := f.follow(); err != nil {
		return 0, err
	}
	if !f.until.IsZero() && !f.now().Before(f.until) {
		f.turn()
	}
	if f.skip {
		_, n = record(b, lineEnd)
		b, f.skip = b[n:], false
	}
	for len(b) > 0 {
		piece := b
		if f.rule.Size > 0 && f.size >= f.rule.Size {
			f.turn()
		}
		// Up to the end of the line that fills it; all of it, where it is full and cannot be rotated.
		if room := f.rule.Size - f.size; room > 0 && int64(len(piece)) > room {
			_, over := record(piece[room-1:], lineEnd)
			piece = piece[:room-1+int64(over)]
		}
		m, err := f.file.Write(piece)
		if m > 0 {
			f.torn = piece[m-1] != '\n'
		}
		n += m
		f.size += int64(m)
		b = b[m:]
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// follow opens the file anew when its name leads to another one, or to none.
func (f *File) follow() error {
	named, err := os.Stat(f.path)
	if err == nil {
		mine, err := f.file.Stat()
		if err != nil {
			return err
		}
		if os.SameFile(named, mine) {
			f.size = mine.Size() // another process may write to it too
			return nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil // what is open can be written to
	}
	return f.Reopen()
}

// Reopen implements Sink. On an error the former file stays.
func (f *File) Reopen() error {
	old := f.file
	if err := f.open(); err != nil {
		return err
	}
	f.wantTidy()
	if err := old.Close(); err != nil {
		return fmt.Errorf("closing the old file: %w", err)
	}
	return nil
}

// turnAgain is when rotating is tried again after it failed.
const turnAgain = time.Minute

// turn rotates. When that fails, most often because the folder is not weir's, the file is written on: lines count for more than its size.
func (f *File) turn() {
	now := f.now()
	if now.Before(f.again) {
		return
	}
	if err := f.rotate(); err != nil {
		f.again = now.Add(turnAgain)
		f.told(err)
	}
}

// rotate gives the file another name and begins a new one. An empty one stays.
func (f *File) rotate() error {
	if f.size == 0 {
		f.until = f.nextAfter(f.now())
		return nil
	}
	stamp := f.path + "." + f.now().Format(stampForm)
	for i := 0; ; i++ {
		name := stamp
		if i > 0 {
			name += "-" + strconv.Itoa(i)
		}
		err := takeName(f.path, name)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) || i == 1000 {
			return fmt.Errorf("rotating: %w", err)
		}
	}
	return f.Reopen()
}

const stampForm = "20060102-150405"

// takeName renames a file, and never over another one: a second name first, which fails if there is one.
func takeName(from, to string) error {
	if _, err := os.Lstat(to + ".gz"); err == nil {
		return fs.ErrExist
	}
	err := os.Link(from, to)
	if err == nil {
		return os.Remove(from)
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, gone := os.Lstat(to); gone == nil { // a file system without second names
		return fs.ErrExist
	}
	return os.Rename(from, to)
}

// Close implements io.Closer. What is being compressed stays as it was.
func (f *File) Close() error {
	f.cancel()
	f.done.Wait()
	return f.file.Close()
}

func (f *File) wantTidy() {
	select {
	case f.tidy <- struct{}{}:
	default: // it is wanted already
	}
}

// tidyUp is the goroutine that sees to old files.
func (f *File) tidyUp() {
	timer := time.NewTimer(restBefore)
	defer timer.Stop()
	for {
		select {
		case <-f.ctx.Done():
			return
		case <-f.tidy:
		}
		timer.Reset(restBefore)
		select {
		case <-f.ctx.Done():
			return
		case <-timer.C:
		}
		if err := f.tidyNow(); err != nil && f.ctx.Err() == nil {
			f.told(err)
		}
	}
}

// tidyNow compresses old files and removes the oldest.
func (f *File) tidyNow() error {
	old, err := f.old()
	if err != nil {
		return err
	}
	if n := f.rule.Keep; n > 0 && len(old) > n {
		for _, name := range old[:len(old)-n] {
			if gone := os.Remove(name); gone != nil && !errors.Is(gone, fs.ErrNotExist) { // another process may be at it too
				err = errors.Join(err, gone)
			}
		}
		old = old[len(old)-n:]
	}
	if !f.rule.Compress {
		return err
	}
	for _, name := range old {
		if !strings.HasSuffix(name, ".gz") {
			if failed := f.compress(name); failed != nil && !errors.Is(failed, fs.ErrNotExist) {
				err = errors.Join(err, fmt.Errorf("compressing %s: %w", name, failed))
			}
		}
	}
	return err
}

// old returns the old files, the oldest first.
func (f *File) old() ([]string, error) {
	dir, base := filepath.Split(f.path)
	if dir == "" {
		dir = "."
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), base+".")
		if ok && len(rest) >= len(stampForm) && e.Type().IsRegular() {
			if _, err := time.Parse(stampForm, rest[:len(stampForm)]); err == nil && !strings.HasSuffix(rest, ".part") {
				all = append(all, filepath.Join(dir, e.Name()))
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int { return strings.Compare(order(a), order(b)) })
	return all, nil
}

// order makes names of one second follow each other by their numbers: 20261121-195601, 20261121-195601-1, …
func order(name string) string {
	name = strings.TrimSuffix(name, ".gz")
	stamp := name[strings.LastIndexByte(name, '.')+1:]
	if len(stamp) <= len(stampForm) {
		return stamp
	}
	return stamp[:len(stampForm)] + fmt.Sprintf("%06s", strings.TrimPrefix(stamp[len(stampForm):], "-"))
}

// compress writes a file's compressed form beside it, and then takes it away. While it is written it is called .part.
func (f *File) compress(name string) (err error) {
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it is only read
	part := name + ".gz.part"
	out, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if errors.Is(err, fs.ErrExist) { // of a process that was killed, or is at it
		if info, gone := os.Stat(part); gone != nil || f.now().Sub(info.ModTime()) < time.Minute {
			return nil
		}
		out, err = os.OpenFile(part, os.O_WRONLY|os.O_TRUNC, 0o640)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(part))
		}
	}()
	z := gzip.NewWriter(out)
	_, err = io.Copy(z, &stoppable{f.ctx, in})
	if err = errors.Join(err, z.Close(), out.Sync(), out.Close()); err != nil {
		return err
	}
	if err := os.Rename(part, name+".gz"); err != nil {
		return err
	}
	return os.Remove(name)
}

// stoppable is a reader that fails when a context ends.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s *stoppable) Read(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(b)
}
