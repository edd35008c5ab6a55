package app

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/weirhq/weir/internal/config"
)

const (
	workerVariable = "WEIR_WORKER" // "web/1.3"
	runDirVariable = "WEIR_KEEPER" // the run directory

	// socketPathSize is what sun_path takes on Linux without its final NUL (104 elsewhere).
	socketPathSize = 107

	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// Fault is something in an app's configuration that this machine does not have. Key is the one at fault ("command").
type Fault struct {
	App, Key string
	Err      error
}

func (f *Fault) Error() string { return fmt.Sprintf("app %s: %v", f.App, f.Err) }

func (f *Fault) Unwrap() error { return f.Err }

// Preflight looks for what the app needs before anything is started. The error is a *Fault.
func Preflight(a *config.App, runDir string) error {
	id, err := lookup(a.User)
	if err != nil {
		return &Fault{a.Name, "user", err}
	}
	if err := checkDirectory(a.Directory); err != nil {
		return &Fault{a.Name, "directory", err}
	}
	if _, err := findCommand(a, environ(a, id, nil)); err != nil {
		return &Fault{a.Name, "command", err}
	}
	for _, h := range []config.Hook{a.Hooks.BeforeStart, a.Hooks.AfterStop} {
		if len(h.Argv) == 0 {
			continue
		}
		of := *a
		of.Argv = h.Argv
		if _, err := findCommand(&of, environ(a, id, nil)); err != nil {
			return &Fault{a.Name, "hooks", err}
		}
	}
	if a.Socket {
		// A million restarts of the last place fit.
		if path := socketPath(runDir, a.Name, max(a.Workers, a.MaxWorkers), 999999); len(path) > socketPathSize {
			return &Fault{a.Name, "socket", fmt.Errorf("the path of a worker's socket, %s, would be longer than the %d bytes that the system takes: use a shorter run_dir", path, socketPathSize)}
		}
	}
	if err := checkNofile(a.Nofile, id); err != nil {
		return &Fault{a.Name, "nofile", err}
	}
	return nil
}

func checkDirectory(dir string) error {
	if dir == "" {
		return nil
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no directory %s", dir)
	case err != nil:
		return fmt.Errorf("the directory cannot be used: %w", err)
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	}
	return nil
}

// checkNofile looks whether the shell that a worker starts as can set the limit. Being root is not enough: a container's
// root often lacks the capability, and a worker with a user of its own has given it up by then.
func checkNofile(n uint64, id identity) error {
	if n == 0 {
		return nil
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("asking for the limit on open files: %w", err)
	}
	if n <= uint64(limit.Max) || (id.credential == nil && mayRaiseNofile(n)) {
		return nil
	}
	return fmt.Errorf("nofile: %d is above the hard limit of %d that weir runs with: raise that (LimitNOFILE= in its systemd unit, or ulimit -Hn), or ask for less", n, limit.Max)
}

// identity is whom a worker runs as.
type identity struct {
	name, home string
	credential *syscall.Credential // nil: weir's own
}

func lookup(name string) (identity, error) {
	if name == "" {
		u, err := user.Current()
		if err != nil { // a container may run under a number without a name
			return identity{home: "/"}, nil
		}
		return identity{name: u.Username, home: u.HomeDir}, nil
	}
	u, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		return identity{}, fmt.Errorf("there is no user %q on this machine", name)
	}
	if err != nil {
		return identity{}, fmt.Errorf("looking up user %s: %w", name, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return identity{}, fmt.Errorf("user %s: %w", name, err)
	}
	id := identity{name: u.Username, home: u.HomeDir}
	if int(uid) == os.Geteuid() {
		return id, nil
	}
	if os.Geteuid() != 0 {
		return identity{}, fmt.Errorf("weir has to run as root to run workers as user %s: start it as root, or as %s and without `user:`", name, name)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return identity{}, fmt.Errorf("user %s: %w", name, err)
	}
	id.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	groups, err := u.GroupIds()
	if err != nil {
		return identity{}, fmt.Errorf("looking up the groups of user %s: %w", name, err)
	}
	for _, g := range groups {
		n, err := strconv.ParseUint(g, 10, 32)
		if err != nil {
			return identity{}, fmt.Errorf("group %q of user %s: %w", g, name, err)
		}
		id.credential.Groups = append(id.credential.Groups, uint32(n))
	}
	return id, nil
}

// environ is a small clean environment, what the app adds, and what is the worker's own. $PORT, $SOCKET and $WORKER
// stand for the worker's in the app's values too.
func environ(a *config.App, id identity, own map[string]string) map[string]string {
	env := map[string]string{"PATH": defaultPath, "LANG": "C.UTF-8", "HOME": id.home}
	for _, name := range []string{"PATH", "LANG", "TZ"} {
		if v, ok := os.LookupEnv(name); ok {
			env[name] = v
		}
	}
	if id.name != "" {
		env["USER"], env["LOGNAME"] = id.name, id.name
	}
	for k, v := range a.Env {
		env[k] = substitute(v, own)
	}
	maps.Copy(env, own)
	return env
}

// substitute puts in the worker's own $PORT, $SOCKET and $WORKER (or ${PORT} …); other dollars are left alone.
func substitute(s string, own map[string]string) string {
	if !strings.Contains(s, "$") {
		return s
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "$")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		s = after
		name, rest := variable(after)
		if v, ok := own[name]; ok && (name == "PORT" || name == "SOCKET" || name == "WORKER") {
			b.WriteString(v)
			s = rest
			continue
		}
		b.WriteByte('$')
	}
}

// variable returns the name at the beginning of what follows a dollar, and what follows the name.
func variable(s string) (name, rest string) {
	if inner, ok := strings.CutPrefix(s, "{"); ok {
		name, rest, ok = strings.Cut(inner, "}")
		if !ok {
			return "", s
		}
		return name, rest
	}
	i := strings.IndexFunc(s, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
	if i < 0 {
		i = len(s)
	}
	return s[:i], s[i:]
}

func list(env map[string]string) []string {
	all := make([]string, 0, len(env))
	for _, k := range slices.Sorted(maps.Keys(env)) {
		all = append(all, k+"="+env[k])
	}
	return all
}

// findCommand finds the program as the worker would: in the app's own PATH, or relative to its directory.
func findCommand(a *config.App, env map[string]string) (string, error) {
	if len(a.Argv) == 0 {
		return "", errors.New("the command is empty")
	}
	name := a.Argv[0]
	if strings.Contains(name, "/") {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(a.Directory, path)
		}
		return path, executable(path)
	}
	var denied error
	for _, dir := range filepath.SplitList(env["PATH"]) {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(a.Directory, dir)
		}
		path := filepath.Join(dir, name)
		err := executable(path)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			denied = err
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", fmt.Errorf("there is no command %q in PATH (%s)", name, env["PATH"])
}

func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no command %s: %w", path, fs.ErrNotExist)
	case err != nil:
		return fmt.Errorf("the command cannot be used: %w", err)
	case info.IsDir():
		return fmt.Errorf("the command %s is a directory", path)
	case info.Mode()&0o111 == 0:
		return fmt.Errorf("the command %s is not executable (chmod +x)", path)
	}
	return nil
}

// socketPath is where a worker answers. Each app has a directory, which belongs to the user it runs as.
func socketPath(runDir, app string, place, gen int) string {
	return filepath.Join(runDir, "apps", app, fmt.Sprintf("%d.%d.sock", place, gen))
}

// makeSocket prepares the place of a worker's socket and returns its path.
func makeSocket(runDir string, a *config.App, place, gen int, id identity) (string, error) {
	path := socketPath(runDir, a.Name, place, gen)
	if len(path) > socketPathSize {
		return "", fmt.Errorf("the path of its socket, %s, is longer than the %d bytes that the system takes: use a shorter run_dir", path, socketPathSize)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("making the directory of its socket: %w", err)
	}
	if c := id.credential; c != nil {
		if err := os.Chown(dir, int(c.Uid), int(c.Gid)); err != nil {
			return "", fmt.Errorf("giving the directory of its socket to user %s: %w", id.name, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("removing an old socket: %w", err)
	}
	return path, nil
}
