package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// machine is what a configuration is checked against, so that tests can have another one.
type machine interface {
	stat(path string) (fs.FileInfo, error)
	// read returns a regular file of at most limit bytes.
	read(path string, limit int64) ([]byte, error)
	// readable says why a directory cannot be listed.
	readable(dir string) error
	// writable says why nothing can be made in a directory.
	writable(dir string) error
	// names returns what is in a directory, in no order, until enough says that it has seen enough.
	names(dir string, enough func(name string) bool) error
	// memory is what weir's processes can have, in bytes; 0 when that is not known.
	memory() int64
	// room is how large the file system of a directory is, in bytes; 0 when that is not known.
	room(dir string) int64
	hasUser(name string) error
	uid() int
	userName() string
	cpus() int
	now() time.Time
	temp() string
	// self is the path of this program.
	self() string
}

// here is the machine that weir runs on.
type here struct{}

func (here) stat(path string) (fs.FileInfo, error) { return os.Stat(path) }

func (here) read(path string, limit int64) ([]byte, error) {
	// Stat comes first because opening a pipe would wait for its writer.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, errors.New("it is larger than " + showSize(limit))
	}
	return data, nil
}

func (here) readable(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	_, err = f.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// writable makes a file and takes it away: what else there is to ask does not know of all that keeps one from it.
func (here) writable(dir string) error {
	f, err := os.CreateTemp(dir, ".weir-check-*")
	if errors.Is(err, syscall.ENOSPC) {
		return nil // there may be room when it is wanted
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func (here) names(dir string, enough func(string) bool) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	for err == nil {
		var some []string
		some, err = f.Readdirnames(1000)
		if slices.ContainsFunc(some, enough) {
			break
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

func (here) memory() int64 { return memoryOf("/proc/meminfo", "/sys/fs/cgroup") }

func (here) room(dir string) int64 {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0
	}
	return int64(s.Blocks) * int64(s.Bsize) //nolint:unconvert // the types are not the same everywhere
}

func (here) hasUser(name string) error {
	_, err := user.Lookup(name)
	return err
}

func (here) uid() int { return os.Getuid() }

func (here) userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

func (here) cpus() int { return runtime.NumCPU() }

// temp is on a disk where the file hierarchy standard says so: bodies in /tmp would often be in memory after all.
func (here) temp() string {
	if info, err := os.Stat("/var/tmp"); err == nil && info.IsDir() {
		return "/var/tmp"
	}
	return os.TempDir()
}

// memoryOf is the memory of a machine, or what the control group of this process may have of it.
func memoryOf(meminfo, groups string) int64 {
	most := int64(0)
	text, _ := os.ReadFile(meminfo) // there is none elsewhere than on Linux
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemTotal:" {
			if kib, err := strconv.ParseInt(f[1], 10, 52); err == nil {
				most = kib << 10
			}
		}
	}
	text, _ = os.ReadFile(filepath.Join(groups, "memory.max"))
	if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 && (most == 0 || n < most) {
		most = n
	}
	return most
}

func (here) self() string {
	if path, err := os.Executable(); err == nil {
		return path
	}
	return "weir" // the PATH has it
}

func (here) now() time.Time { return time.Now() }

// nowhere is a machine without files, for the defaults.
type nowhere struct{}

func (nowhere) stat(string) (fs.FileInfo, error)      { return nil, fs.ErrNotExist }
func (nowhere) read(string, int64) ([]byte, error)    { return nil, fs.ErrNotExist }
func (nowhere) readable(string) error                 { return fs.ErrNotExist }
func (nowhere) writable(string) error                 { return fs.ErrNotExist }
func (nowhere) names(string, func(string) bool) error { return fs.ErrNotExist }
func (nowhere) now() time.Time                        { return time.Time{} }
func (nowhere) memory() int64                         { return 0 }
func (nowhere) room(string) int64                     { return 0 }
func (nowhere) hasUser(string) error                  { return fs.ErrNotExist }
func (nowhere) uid() int                              { return 1 }
func (nowhere) userName() string                      { return "" }
func (nowhere) cpus() int                             { return 1 }
func (nowhere) temp() string                          { return "/tmp" }
func (nowhere) self() string                          { return "weir" }

// reason is the end of an error's text: "no such file or directory".
func reason(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err.Error()
	}
	return err.Error()
}

// pathKind is a path, made absolute; nothing has to be there.
func pathKind(words string) kind[string] {
	text := textKind(words)
	return kind[string]{words: words, shape: stringShape(), read: func(d *decoder, v value) (string, bool) {
		s, ok := text.read(d, v)
		if !ok {
			return "", false
		}
		if s == "" {
			d.fail(v, v.name()+" is empty", "write "+words)
			return "", false
		}
		return d.absolute(s), true
	}}
}

// directoryKind is a directory that is there and can be read.
func directoryKind() kind[string] {
	path := pathKind("the path of a directory")
	read := path.read
	path.read = func(d *decoder, v value) (string, bool) {
		dir, ok := read(d, v)
		if ok {
			d.checkDirectory(v, dir)
		}
		return dir, ok
	}
	return path
}

func (d *decoder) checkDirectory(v value, dir string) {
	info, err := d.host.stat(dir)
	switch {
	case err != nil:
		d.lacking(v, "the directory "+dir+" cannot be used: "+reason(err), "make it, or write another")
	case !info.IsDir():
		d.lacking(v, dir+" is no directory", "write the directory that it is in")
	default:
		if err := d.host.readable(dir); err != nil {
			d.lacking(v, "the directory "+dir+" cannot be read: "+reason(err), "let weir's user read it")
		}
	}
}

// defaultPath is where commands are looked for when neither the app's env nor weir's own environment has a PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// checkCommand looks for the program that a command begins with, as the app would.
func (d *decoder) checkCommand(at value, a *App) {
	program := a.Argv[0]
	if strings.Contains(program, "/") {
		full := program
		if !filepath.IsAbs(full) {
			full = filepath.Join(a.Directory, full)
		}
		if why := d.notExecutable(full); why != "" {
			d.lacking(at, "the command "+full+" cannot be run: "+why, commandHint(program))
		}
		return
	}
	path, ok := a.Env["PATH"]
	if !ok {
		if path, ok = d.env("PATH"); !ok || path == "" {
			path = defaultPath
		}
	}
	for _, dir := range filepath.SplitList(path) {
		if dir == "" {
			dir = "."
		}
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(a.Directory, dir)
		}
		if d.notExecutable(filepath.Join(dir, program)) == "" {
			return
		}
	}
	d.lacking(at, "there is no command "+program+" in the PATH ("+path+")", commandHint(program))
}

func (d *decoder) notExecutable(path string) string {
	info, err := d.host.stat(path)
	switch {
	case err != nil:
		return reason(err)
	case info.IsDir():
		return "it is a directory"
	case info.Mode()&0o111 == 0:
		return "it is not executable"
	}
	return ""
}

// commandHint knows the words that are commands only in a shell.
func commandHint(program string) string {
	switch {
	case program == "cd":
		return "write directory: beside the command"
	case program == "exec":
		return "leave exec out: weir starts no shell"
	case program == "source" || program == "." || program == "export" || program == "set" || program == "ulimit":
		return "that is a shell's: write sh -c '…', or env: and nofile: beside the command"
	case strings.HasPrefix(program, "~"):
		return "weir starts no shell: write the whole path, or ${HOME}/…"
	case strings.HasPrefix(program, "$"):
		return "weir starts no shell: write ${NAME} for a variable of the environment"
	case strings.HasPrefix(program, "/"):
		return "install it, or write another"
	case strings.Contains(program, "/"):
		return "a relative path begins at the app's directory"
	}
	return "install it, or write its whole path"
}
