package keeper

import (
	"fmt"
	"os"
	"strings"
)

// program is the file that edges and guards are started from. It is held open: what is put in its place on the disk comes into
// use with weir upgrade, and not by chance when a process dies.
type program struct{ file *os.File }

const self = "/proc/self/exe"

// thisProgram is what this process runs.
func thisProgram() *program {
	f, err := os.Open(self)
	if err != nil {
		return nil // a system without it: the file on the disk has to do
	}
	return programOf(f)
}

func programOf(f *os.File) *program { return &program{f} }

// nextProgram is what is on the disk now where this process was started from.
func nextProgram() (*program, error) {
	f, err := os.Open(where())
	if err != nil {
		return nil, fmt.Errorf("the program to upgrade to: %w", err)
	}
	return &program{f}, nil
}

// where is this program's place on the disk, which may have another file by now.
func where() string {
	path, err := os.Executable()
	if err != nil {
		return self
	}
	return strings.TrimSuffix(path, " (deleted)")
}

// path is what to start it by.
func (p *program) path() string {
	if p == nil {
		return where()
	}
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), p.file.Fd())
}

func (p *program) close() {
	if p != nil {
		p.file.Close() //nolint:errcheck // only read
	}
}
