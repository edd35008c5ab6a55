package app

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// awaitEnd waits until a child has ended, and does not collect it.
func awaitEnd(pid int) {
	for {
		// Whatever else is wrong, whoever collects it finds out.
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// Become has another program take this one's place: the process, its children and the descriptors in keep stay what they are.
// It returns only if that cannot be, with nothing changed. What this program has not written yet is lost. last is called when
// nothing can hinder it any more; its error does, and what it returns undoes what it has done.
func (s *Starter) Become(path string, argv, env []string, keep []int, last func() (undo func(), err error)) error {
	var err error
	if e := s.on(func() { err = become(path, argv, env, keep, last) }); e != nil {
		return e
	}
	return err
}

// become runs on the thread that processes are started from: it is the one that is left, so no child gets a parent-death signal, and no
// process is started that could inherit what is kept.
func become(path string, argv, env []string, keep []int, last func() (undo func(), err error)) error {
	for i, fd := range keep {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			closeOnExec(keep[:i])
			return os.NewSyscallError("keeping a descriptor", err)
		}
	}
	defer closeOnExec(keep)
	// Exec gives back the limit on open files that the program was started with, which is not to be if it fails.
	var limit unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
		return os.NewSyscallError("asking for the limit on open files", err)
	}
	defer func() {
		// Not by way of package syscall, which would have children get this limit too from then on.
		syscall.RawSyscall6(syscall.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0) //nolint:errcheck // it was so before
	}()
	undo, err := last()
	if err != nil {
		return err
	}
	defer undo()
	return os.NewSyscallError("execve", syscall.Exec(path, argv, env))
}

func closeOnExec(all []int) {
	for _, fd := range all {
		syscall.CloseOnExec(fd)
	}
}

// Became gives a program that has taken another's place its name in lists of processes, where it would be a number.
func Became(name string) {
	os.WriteFile("/proc/self/comm", []byte(name), 0o644) //nolint:errcheck // only for people
}

// CanBecome says why a file cannot be the program that takes this one's place. A script could be run, but not by its descriptor.
func CanBecome(f *os.File) error {
	head := make([]byte, 4)
	if n, _ := f.ReadAt(head, 0); !strings.HasPrefix(string(head[:n]), "\x7fELF") {
		return errors.New("it is no program for this machine")
	}
	return nil
}

// MemoryFile returns a file that no disk has, with content.
func MemoryFile(name string, content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.Write(content); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
