package edge

import (
	"sync/atomic"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/files"
)

// lateRoot is a directory that need not be there yet, or any more: it is opened when it is wanted.
type lateRoot struct {
	config *config.Files
	root   atomic.Pointer[files.Root]
}

func newLateRoot(c *config.Files) *lateRoot { return &lateRoot{config: c} }

// get opens the directory, or returns it when it is open. Not on a loop: it may block.
func (l *lateRoot) get() (*files.Root, error) {
	if r := l.root.Load(); r != nil {
		return r, nil
	}
	r, err := files.New(l.config)
	if err != nil {
		return nil, err
	}
	if !l.root.CompareAndSwap(nil, r) {
		r.Close() //nolint:errcheck // another request was faster, and nothing was done with it
	}
	return l.root.Load(), nil
}

// Close closes the directory, when nobody gets it any more.
func (l *lateRoot) Close() error {
	if r := l.root.Swap(nil); r != nil {
		return r.Close()
	}
	return nil
}
