package testkit

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// places are how many tests run at a time, of all packages of this working tree and user. A place is a file, and who has
// it locked has it: the system gives it back whatever becomes of who had it.
type places struct{ dir string }

// placeCount is how many there are. Tests wait more than they compute.
var placeCount = func() int {
	if n, err := strconv.Atoi(os.Getenv("WEIR_TEST_PLACES")); err == nil && n > 0 {
		return n
	}
	return runtime.NumCPU() + 1
}()

func openPlaces() (*places, error) {
	tree := fnv.New64a()
	tree.Write([]byte(Root()))
	p := &places{filepath.Join(os.TempDir(), fmt.Sprintf("weir-test-places-%d-%x", os.Getuid(), tree.Sum64()))}
	return p, os.MkdirAll(p.dir, 0o700)
}

// lock locks a file for this process, as long as it is open. Without wait it returns EWOULDBLOCK when another has it.
func lock(f *os.File, wait bool) error {
	how := syscall.LOCK_EX
	if !wait {
		how |= syscall.LOCK_NB
	}
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("flock", err)
		}
	}
}

// take takes one place. Without wait it returns nil when another has it.
func (p *places) take(n int, wait bool) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(p.dir, strconv.Itoa(n)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(f, wait); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = nil
		}
		return nil, err
	}
	return f, nil
}

// enter waits for a place and takes it.
func (p *places) enter() (leave func(), err error) {
	for {
		for n := range placeCount {
			if f, err := p.take(n, false); f != nil || err != nil {
				return func() { f.Close() }, err
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// enterAlone waits for all places and takes them. It waits at each in its turn, holding those before: nobody can come in
// for ever before it, and two that do so cannot hold what the other waits for.
func (p *places) enterAlone() (leave func(), err error) {
	var all []*os.File
	leave = func() {
		for _, f := range all {
			f.Close()
		}
	}
	for n := range placeCount {
		f, err := p.take(n, true)
		if err != nil {
			leave()
			return nil, err
		}
		all = append(all, f)
	}
	return leave, nil
}
