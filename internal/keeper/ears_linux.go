package keeper

import (
	"os"
	"syscall"
)

// ears hear that something has happened in a folder (inotify(7)); what it was, looking tells. Where they cannot be had, nothing
// is heard, and all is found by looking. One goroutine at a time.
type ears struct {
	file    *os.File
	deaf    bool // they cannot be had
	folders map[string]int
	stirs   chan struct{}
	done    chan struct{} // closed when the goroutine that listens has ended
}

const earsFor = syscall.IN_CREATE | syscall.IN_CLOSE_WRITE | syscall.IN_MOVED_TO | syscall.IN_MOVED_FROM | syscall.IN_DELETE | syscall.IN_ATTRIB |
	syscall.IN_DELETE_SELF | syscall.IN_MOVE_SELF | syscall.IN_ONLYDIR

// follow listens to these folders, and to others no more.
func (e *ears) follow(folders map[string]bool) {
	if e.file == nil && !e.open() {
		return
	}
	err := e.control(func(fd int) {
		for dir, old := range e.folders {
			if !folders[dir] {
				syscall.InotifyRmWatch(fd, uint32(old)) //nolint:errcheck // it is gone with the folder
				delete(e.folders, dir)
			}
		}
		for dir := range folders {
			// Again and again: another folder may lie there by that name now.
			now, err := syscall.InotifyAddWatch(fd, dir, earsFor)
			old, had := e.folders[dir]
			if had && (err != nil || old != now) {
				syscall.InotifyRmWatch(fd, uint32(old)) //nolint:errcheck // as above
				delete(e.folders, dir)
			}
			if err == nil {
				e.folders[dir] = now
			}
		}
	})
	if err != nil {
		e.close()
		e.deaf = true
	}
}

func (e *ears) control(f func(fd int)) error {
	raw, err := e.file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { f(int(fd)) })
}

func (e *ears) open() bool {
	if e.deaf {
		return false
	}
	fd, err := syscall.InotifyInit1(syscall.IN_NONBLOCK | syscall.IN_CLOEXEC)
	if err != nil {
		e.deaf = true
		return false
	}
	e.file = os.NewFile(uintptr(fd), "inotify")
	e.folders, e.stirs, e.done = map[string]int{}, make(chan struct{}, 1), make(chan struct{})
	go listen(e.file, e.stirs, e.done)
	return true
}

func listen(file *os.File, stirs chan<- struct{}, done chan<- struct{}) {
	defer close(done)
	events := make([]byte, 16<<10)
	for {
		if _, err := file.Read(events); err != nil {
			return // it is closed
		}
		select {
		case stirs <- struct{}{}:
		default:
		}
	}
}

func (e *ears) heard() <-chan struct{} { return e.stirs }

func (e *ears) close() {
	if e.file == nil {
		return
	}
	e.file.Close() //nolint:errcheck // nothing was written to it
	<-e.done
	e.file = nil
}
