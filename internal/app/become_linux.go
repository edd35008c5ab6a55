package app

import (
	"errors"
	"os"
	"path/filepath"
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

// held are the signals that wait while one program takes another's place. A signal without a handler yet would be its end.
var held = []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE}

func mask() (set unix.Sigset_t) {
	const word = 8 * unsafe.Sizeof(set.Val[0])
	for _, s := range held {
		set.Val[uintptr(s-1)/word] |= 1 << (uintptr(s-1) % word)
	}
	return set
}

// Become has another program take this one's place: the process, its children and the descriptors in keep stay what they are.
// It returns only if that cannot be, with nothing changed. What this program has not written yet is lost.
func (s *Starter) Become(path string, argv, env []string, keep []int) error {
	var err error
	if e := s.on(func() { err = become(path, argv, env, keep) }); e != nil {
		return e
	}
	return err
}

// become runs on the thread that processes are started from: it is the one that is left, so no child gets a parent-death signal, and no
// process is started that could inherit what is kept.
func become(path string, argv, env []string, keep []int) error {
	set, before := mask(), unix.Sigset_t{}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, &before); err != nil {
		return os.NewSyscallError("holding signals", err)
	}
	defer unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) //nolint:errcheck // it was taken from there
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
	defer syscall.RawSyscall6(syscall.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0) //nolint:errcheck // it was so before
	return os.NewSyscallError("execve", syscall.Exec(path, argv, env))
}

func closeOnExec(all []int) {
	for _, fd := range all {
		syscall.CloseOnExec(fd)
	}
}

// Became is called on the thread of the starter to be, by a program that has taken another's place, once it has handlers for signals. What
// it starts then does not inherit that signals are held. name is what it is called in lists of processes, where it would else be
// a number.
func Became(name string) error {
	set := mask()
	if err := unix.PthreadSigmask(unix.SIG_UNBLOCK, &set, nil); err != nil {
		return os.NewSyscallError("taking signals", err)
	}
	os.WriteFile("/proc/self/comm", []byte(filepath.Base(name)), 0o644) //nolint:errcheck // only for people
	return nil
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
