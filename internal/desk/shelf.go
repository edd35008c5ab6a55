package desk

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/klauspost/compress/gzip"
)

// shelf is where the desk leaves what the next one has to know: files in a folder that may outlive a restart of weir, and of the
// machine. Each is compressed, which comes with a checksum, and begins with a line that says what it is and in which form. Who has the
// folder's lock may write, and one goroutine does, so that a disk that hangs holds up nothing else.
type shelf struct {
	dir   string
	also  string   // where is looked for what is not in dir: there it was kept before
	lock  *os.File // nil: another desk has it
	other string   // the run directory of another weir, which has it

	stop chan struct{} // closed: what waits is written, and no more
	done chan struct{} // closed: the goroutine has ended

	mu    sync.Mutex
	wake  chan struct{}
	waits []parcel // at most one of a name
	files map[string]*filed
}

// parcel is what is to be written. Its function is called in the shelf's goroutine.
type parcel struct {
	name string
	to   func(io.Writer) error
}

// filed is what is known of a file.
type filed struct {
	left   time.Time // when it was left the last time
	size   int64     // bytes on disk
	failed bool
}

const (
	shelfWait = 3 * time.Second // for the desk before this one to leave
	shelfRate = 16 << 10        // bytes a second that a file may cost on average: a large one is left more seldom
	shelfRead = 256 << 20       // bytes of a file, unpacked

	longestOwner = 4096 // bytes of a path
)

// forms are the files, and the form in which each is written. A file of another form was written by another weir.
var forms = map[string]int{"totals": 1, "graphs": 1, "events": 1, "alerts": 1, "downtime": 1, "pushed": 1}

// openShelf waits for the desk before this one to be done with it, for so long. Without the lock this one reads, and writes nothing. Owner is the
// run directory of this weir.
func openShelf(dir, also, owner string, wait time.Duration) *shelf {
	s := &shelf{dir: dir, also: also, stop: make(chan struct{}), done: make(chan struct{}), wake: make(chan struct{}, 1), files: map[string]*filed{}}
	s.lock, s.other = lockShelf(dir, owner, wait)
	go s.run()
	return s
}

// shelfOf opens the shelf in a folder. Where that is another weir's, what is there is none of this one's business: it has the one in its run
// directory, which nobody else has.
func shelfOf(dir, runDir string) *shelf {
	s := openShelf(dir, runDir, runDir, shelfWait)
	if s.other == "" || dir == runDir {
		return s
	}
	s.close() //nolint:errcheck // nothing was written
	slog.Error("admin.keep is the folder of another weir: what this one knows is kept in its run directory; give each a folder of its own", "folder", dir, "other_run_dir", s.other, "kept_in", runDir)
	return openShelf(runDir, "", runDir, shelfWait)
}

// lockShelf returns the lock of a folder, or nil, with the run directory of the weir that has it if it is another.
func lockShelf(dir, owner string, wait time.Duration) (lock *os.File, other string) {
	f, err := os.OpenFile(filepath.Join(dir, "desk.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		slog.Warn("what is counted will not outlive this process", "error", err)
		return nil, ""
	}
	for end := time.Now().Add(wait); ; time.Sleep(shelfWait / 100) {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			if err := sign(f, owner); err != nil {
				slog.Warn("another weir that is given this folder will not be told whose it is", "folder", dir, "error", err)
			}
			return f, ""
		}
		if time.Now().After(end) {
			break
		}
	}
	if other = signed(f); other == owner {
		other = ""
	}
	f.Close() //nolint:errcheck // nothing was written
	if other == "" {
		slog.Warn("another desk uses the folder: what is counted will not outlive this process", "folder", dir, "error", err)
	}
	return nil, other
}

// sign writes whose the lock is.
func sign(f *os.File, owner string) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(owner), 0)
	return err
}

// signed is what sign has written, empty if it has not yet.
func signed(f *os.File) string {
	b := make([]byte, longestOwner)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	return string(b[:n])
}

// close writes what waits and lets the lock go.
func (s *shelf) close() error {
	close(s.stop)
	<-s.done
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}

func (s *shelf) path(name string) string { return filepath.Join(s.dir, "desk."+name+".gz") }

// read reads what another desk has left under a name. What cannot be read is set aside, and begins anew.
func (s *shelf) read(name string, from func(io.Reader) error) {
	path := s.path(name)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && s.also != "" {
		path = (&shelf{dir: s.also}).path(name)
		f, err = os.Open(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = errors.Join(s.unpack(name, f, from), f.Close())
	}
	if err == nil {
		return
	}
	told := []any{"file", path, "error", err}
	if s.lock != nil {
		aside := path + ".damaged"
		if moved := os.Rename(path, aside); moved == nil {
			told = append(told, "kept_as", aside)
		}
	}
	slog.Warn("what the status page knew of "+name+" cannot be read: it begins anew", told...)
}

// take reads what is true only once: a desk that is killed does not leave it anew.
func (s *shelf) take(name string, from func(io.Reader) error) {
	if s.lock == nil {
		return
	}
	s.read(name, from)
	for _, dir := range []string{s.dir, s.also} {
		if dir == "" {
			continue
		}
		if err := os.Remove((&shelf{dir: dir}).path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			slog.Warn("what was read for the only time is still there", "error", err)
		}
	}
}

// unpack reads a file twice: its checksum is at its end, and nothing of a damaged one is to be believed.
func (s *shelf) unpack(name string, file *os.File, from func(io.Reader) error) error {
	is, err := file.Stat()
	if err != nil {
		return err
	}
	z, err := gzip.NewReader(bufio.NewReader(file))
	if err != nil {
		return fmt.Errorf("it is damaged: %w", err)
	}
	size, err := io.Copy(io.Discard, io.LimitReader(z, shelfRead+1))
	switch {
	case err != nil:
		return fmt.Errorf("it is damaged: %w", err)
	case size > shelfRead:
		return errors.New("it is too large")
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := z.Reset(bufio.NewReader(file)); err != nil {
		return err
	}
	r := bufio.NewReader(z)
	line, err := r.ReadString('\n')
	var form int
	if n, _ := fmt.Sscanf(line, "weir "+name+" %d\n", &form); err != nil || n != 1 {
		return errors.New("it is not what weir writes there")
	}
	if form != forms[name] {
		return fmt.Errorf("another version of weir has written it, in form %d where this one has %d", form, forms[name])
	}
	s.mu.Lock()
	*s.known(name) = filed{left: time.Now(), size: is.Size()}
	s.mu.Unlock()
	return from(r)
}

// due reports whether a file is to be left again: after a time, or later if it is large.
func (s *shelf) due(name string, now time.Time, after time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[name]
	return f == nil || now.Sub(f.left) >= max(after, time.Duration(f.size)*time.Second/shelfRate)
}

// leave has something written under a name, in a while. What is not written yet of that name is out of date.
func (s *shelf) leave(name string, now time.Time, to func(io.Writer) error) {
	if s.lock == nil {
		return
	}
	s.mu.Lock()
	s.known(name).left = now
	for i := range s.waits {
		if s.waits[i].name == name {
			s.waits = append(s.waits[:i], s.waits[i+1:]...)
			break
		}
	}
	s.waits = append(s.waits, parcel{name, to})
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// known returns what is known of a file. With the lock.
func (s *shelf) known(name string) *filed {
	if s.files[name] == nil {
		s.files[name] = &filed{}
	}
	return s.files[name]
}

func (s *shelf) run() {
	defer close(s.done)
	for {
		select {
		case <-s.wake:
			s.writeAll()
		case <-s.stop:
			s.writeAll()
			return
		}
	}
}

// writeAll writes what waits, and tells once when that fails.
func (s *shelf) writeAll() {
	for {
		s.mu.Lock()
		if len(s.waits) == 0 {
			s.mu.Unlock()
			return
		}
		p := s.waits[0]
		s.waits = s.waits[1:]
		s.mu.Unlock()
		size, err := s.write(p)
		s.mu.Lock()
		f := s.known(p.name)
		told := f.failed
		if f.failed = err != nil; err == nil {
			f.size = size
		}
		s.mu.Unlock()
		switch {
		case err != nil && !told:
			slog.Error("what the status page knows will not outlive its process", "what", p.name, "error", err)
		case err == nil && told:
			slog.Info("what the status page knows is written again", "what", p.name)
		}
	}
}

// write writes a file aside, and when it is on the disk puts it in place.
func (s *shelf) write(p parcel) (size int64, err error) {
	aside := s.path(p.name) + ".new"
	f, err := os.OpenFile(aside, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err == nil {
		_, err = fmt.Fprintf(z, "weir %s %d\n", p.name, forms[p.name])
	}
	if err == nil {
		err = p.to(z)
	}
	if err == nil {
		err = errors.Join(z.Close(), f.Sync())
	}
	if is, stat := f.Stat(); stat == nil {
		size = is.Size()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(aside) //nolint:errcheck // a disk that is full has more room without it
		return 0, fmt.Errorf("writing %s: %w", aside, err)
	}
	if err := os.Rename(aside, s.path(p.name)); err != nil {
		return 0, err
	}
	d, err := os.Open(s.dir)
	if err != nil {
		return 0, err
	}
	return size, errors.Join(d.Sync(), d.Close())
}
