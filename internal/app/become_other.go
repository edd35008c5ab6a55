//go:build !linux

package app

import (
	"errors"
	"os"
)

var errNotHere = errors.New("weir can take the place of another on Linux only")

// awaitEnd does nothing here: nobody asks Still.
func awaitEnd(int) {}

// Become is not to be had here.
func (s *Starter) Become(string, []string, []string, []int, func() (func(), error)) error {
	return errNotHere
}

// Became does nothing here.
func Became(string) {}

// CanBecome says that none can.
func CanBecome(*os.File) error { return errNotHere }

// MemoryFile is not to be had here.
func MemoryFile(string, []byte) (*os.File, error) { return nil, errNotHere }
