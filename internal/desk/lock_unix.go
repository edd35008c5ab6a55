package desk

import (
	"log/slog"
	"os"
	"syscall"
	"time"
)

// takeBookLock waits for the desk before this one to be done with the book. Without the lock this one does not write it.
func (d *desk) takeBookLock() {
	f, err := os.OpenFile(d.bookPath()+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		slog.Warn("what is counted will not outlive this process", "error", err)
		return
	}
	for end := time.Now().Add(bookWait); ; time.Sleep(bookWait / 100) {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			d.lock = f
			return
		}
		if time.Now().After(end) {
			slog.Warn("another desk is still there: what is counted will not outlive this process", "error", err)
			f.Close() //nolint:errcheck // nothing was written
			return
		}
	}
}
