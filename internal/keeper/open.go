package keeper

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/app"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/notice"
)

// open makes everything that can fail before anything is started. On an error nothing of it is left.
func open(o Options) (*keeper, error) {
	files, cfg, warnings, err := readAll(o)
	if err != nil {
		return nil, err
	}
	if err := Preflight(cfg); err != nil {
		return nil, err
	}
	k := newKeeper(o, cfg)
	k.reads.Store(1)
	k.source, k.secret, k.program = sourceOf(cfg, 1), make([]byte, secretSize), thisProgram()
	if _, err := rand.Read(k.secret); err != nil {
		k.letGo()
		return nil, err
	}
	if k.included = files; files != nil {
		files.k = k
	}
	k.level.Set(levelOf(cfg.Log.Level))
	if err := k.openAll(); err != nil {
		k.letGo()
		return nil, err
	}
	k.sink = app.NewSink(o.Stderr, notice.FormFor(o.Stderr, os.Getenv))
	k.log = k.sink.Logger("weir", k.level)
	k.warn(cfg, warnings)
	if files != nil {
		files.sayAll()
	}
	k.unclaimed()
	return k, nil
}

// newKeeper makes one that has nothing yet.
func newKeeper(o Options, cfg *config.Config) *keeper {
	if o.Loops == 0 {
		o.Loops = runtime.NumCPU()
	}
	if o.Pulse == 0 {
		o.Pulse = defaultPulse
	}
	k := &keeper{
		opts: o, since: time.Now(), runDir: cfg.RunDir, level: &slog.LevelVar{}, cfg: cfg,
		events: make(chan func()), ended: make(chan struct{}), finished: make(chan struct{}), released: make(chan struct{}), now: make(chan struct{}),
		op: make(chan struct{}, 1), listeners: map[string]*listener{}, used: map[string]map[int]int{}, tickets: map[int]chan string{}, warned: map[string]bool{},
		self: thisProgram(),
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k
}

func (k *keeper) openAll() error {
	if err := k.lockRunDir(); err != nil {
		return err
	}
	var err error
	if k.inherited, err = inherit(k.opts.Inherited); err != nil {
		return err
	}
	for _, l := range k.cfg.Listen {
		opened, err := k.listen(l)
		if err != nil {
			return k.cfg.ErrorAtPlace(l.Place, err.Error(), "")
		}
		k.listeners[key(l)] = opened
	}
	if k.door, err = k.makeDoor(); err != nil {
		return err
	}
	if err := k.pointTo(k.door); err != nil {
		return err
	}
	if k.opts.Thread != nil {
		k.starter, err = app.NewStarterOn(k.opts.Thread, k.opts.Adopt)
	} else {
		k.starter, err = app.NewStarter(k.opts.Adopt)
	}
	if err != nil {
		return err
	}
	return k.openAPI()
}

// lockRunDir makes the run directory and takes its lock, which the kernel lets go when this process ends.
func (k *keeper) lockRunDir() error {
	const hint = "name another by --run-dir, WEIR_RUN_DIR or run_dir in the file"
	if err := os.MkdirAll(k.runDir, 0o755); err != nil {
		return fmt.Errorf("the run directory %s cannot be made: %w: %s", k.runDir, bare(err), hint)
	}
	info, err := os.Stat(k.runDir)
	if err != nil {
		return fmt.Errorf("the run directory %s cannot be used: %w: %s", k.runDir, bare(err), hint)
	}
	if err := checkOwner(info, os.Geteuid()); err != nil {
		return fmt.Errorf("the run directory %s %w, so that its sockets would not be safe: %s", k.runDir, err, hint)
	}
	f, err := takeLock(k.runDir)
	// The guard of a weir that was killed holds it for a moment, at the very end.
	for end := time.Now().Add(lockWait); errors.Is(err, syscall.EWOULDBLOCK) && time.Now().Before(end); f, err = takeLock(k.runDir) {
		time.Sleep(lockWait / 20)
	}
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		pid, _ := os.ReadFile(lockPath(k.runDir)) // only to say more
		return fmt.Errorf("another weir (process %s) runs with the run directory %s: stop it, or %s", strings.TrimSpace(string(pid)), k.runDir, hint)
	case err != nil:
		return fmt.Errorf("the run directory %s cannot be written to: %w: %s", k.runDir, bare(err), hint)
	}
	k.lock = f
	if err := errors.Join(f.Truncate(0), writePID(f)); err != nil {
		return fmt.Errorf("the run directory %s cannot be written to: %w", k.runDir, err)
	}
	// Under the lock all that lies in this directory is of an earlier weir, even if its edge, which finishes what it has,
	// answers there still.
	doors, err := filepath.Glob(filepath.Join(escapeGlob(k.runDir), "edge-*.sock"))
	if err != nil {
		return err
	}
	for _, name := range contents {
		doors = append(doors, filepath.Join(k.runDir, name))
	}
	for _, path := range doors {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("the run directory %s cannot be cleaned: %w", k.runDir, bare(err))
		}
	}
	return nil
}

// contents of a run directory, but for the lock file.
var contents = []string{"weir.sock", "edge.sock", "apps"}

const lockWait = 200 * time.Millisecond

func lockPath(runDir string) string { return filepath.Join(runDir, "weir.lock") }

// takeLock takes the lock of a run directory; EWOULDBLOCK says that somebody has it.
func takeLock(runDir string) (*os.File, error) {
	f, err := os.OpenFile(lockPath(runDir), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(os.NewSyscallError("locking", err), f.Close())
	}
	return f, nil
}

// checkOwner refuses a directory in which somebody else could put sockets in place of weir's and its workers': the
// default one of a user without $XDG_RUNTIME_DIR is in the directory for temporary files, where anybody may make it first.
func checkOwner(info fs.FileInfo, euid int) error {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 && int(stat.Uid) != euid {
		return fmt.Errorf("belongs to another user (uid %d)", stat.Uid)
	}
	if mode := info.Mode(); mode&0o002 != 0 && mode&os.ModeSticky == 0 {
		return errors.New("can be written to by everybody")
	}
	return nil
}

func writePID(f *os.File) error {
	_, err := fmt.Fprintln(f, os.Getpid())
	return err
}

// bare takes off the operation and the path that the message has already.
func bare(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func (k *keeper) openAPI() error {
	path := api.KeeperSocket(k.runDir)
	ln, err := listenUnix(path)
	if err != nil {
		return err
	}
	k.apiFile, err = ln.File()
	if err = errors.Join(err, ln.Close(), os.Chmod(path, 0o600)); err != nil {
		return fmt.Errorf("making the control socket: %w", err)
	}
	return k.serveAPI()
}

// warn tells what is allowed and probably not meant.
func (k *keeper) warn(cfg *config.Config, warnings []config.Warning) {
	for _, w := range warnings {
		k.log.Warn(w.Brief())
	}
	if os.Geteuid() == 0 {
		for _, a := range cfg.Apps {
			if a.User == "" && !k.warned[a.Name] {
				k.warned[a.Name] = true
				if a.IsCGI() {
					k.log.Warn(fmt.Sprintf("programs of the route in line %d run as root: give them a user (cgi.user)", a.Place.Line))
					continue
				}
				k.log.Warn(fmt.Sprintf("app %s runs as root: give it a user (apps.%s.user)", a.Name, a.Name))
			}
		}
	}
}

func levelOf(name string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(name)); err != nil {
		return slog.LevelInfo // the configuration was checked: it is empty in a literal one
	}
	return l
}

func sourceOf(cfg *config.Config, revision int64) api.Source {
	s := api.Source{Path: cfg.File, Text: cfg.Text, Env: cfg.UsedEnv, Revision: revision, Read: cfg.Read}
	for _, f := range cfg.Files {
		s.Files = append(s.Files, api.SourceFile{Path: f.Path, Text: f.Text, Read: f.Read})
	}
	return s
}

// placed gives an app's fault the place of the key that it comes from.
func placed(cfg *config.Config, err error) error {
	var f *app.Fault
	if !errors.As(err, &f) {
		return err
	}
	return cfg.ErrorAtApp(f.App, f.Key, f.Error())
}

// misses gives a worker that does not start the place of its command.
func misses(cfg *config.Config, a *config.App, err error) error {
	return fmt.Errorf("%v: app %s does not start: %w", cfg.ErrorAtApp(a.Name, "command", "").Place, a.Name, err)
}

// close ends what still runs, when all workers and the edge are gone.
func (k *keeper) close() {
	// Calls are to get their answers; one that hangs is not waited for.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	close(k.ended)
	k.endGuard()
	for _, server := range []*http.Server{k.server, k.calls} {
		if server == nil {
			continue
		}
		if err := server.Shutdown(ctx); err != nil {
			server.Close() //nolint:errcheck // it is the end
		}
	}
	k.cancel()
	k.work.Wait()
	k.starter.Sweep("")
	k.log.Info("stopped")
	k.sink.Close(time.Second)
	k.letGo()
	k.answerStops()
}

// answerStops has those answered who asked for the stop.
func (k *keeper) answerStops() {
	close(k.released)
	answered := make(chan struct{})
	go func() { defer close(answered); k.stops.Wait() }()
	select {
	case <-answered:
	case <-time.After(time.Second): // a few bytes that a socket does not take
	}
}

// letGo lets go of what open has made.
func (k *keeper) letGo() {
	k.cancel()
	for _, l := range k.listeners {
		l.remove()
	}
	if k.starter != nil {
		k.starter.Close()
	}
	for _, i := range k.inherited {
		i.file.Close() //nolint:errcheck // it stays open where it came from
	}
	k.program.close()
	k.self.close()
	if k.apiFile != nil {
		k.apiFile.Close() //nolint:errcheck // nothing was written to it
	}
	if k.door != nil {
		k.door.close()
	}
	if k.socket != nil {
		k.socket.Close() //nolint:errcheck // the server has closed it if it ran
	}
	if k.lock != nil {
		for _, name := range contents {
			os.RemoveAll(filepath.Join(k.runDir, name)) //nolint:errcheck // the next start clears them too
		}
		// The lock file stays: removing it would let two weirs hold locks on two files of one name.
		k.lock.Close() //nolint:errcheck // its content is for people
	}
}
