package cli

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/app"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/edge"
	"github.com/weirhq/weir/internal/keeper"
	"github.com/weirhq/weir/internal/source"
)

func runCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "run FILE",
		Short: "Run a site: its workers, and what serves them",
		Long: "Run everything that a configuration names, until INT or TERM (a second one stops at once). HUP reads the\n" +
			"configuration anew, as `weir reload` does; USR1 opens the access log anew, as `weir reopen` does. The log and the workers' output go to standard error.",
		Example:           "  weir run site.yaml",
		ValidArgsFunction: completeFile,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("one configuration file is run: write weir run FILE")
			}
			return nil
		},
	}
	runDir := runDirFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error { return runSite(c, args[0], *runDir) }
	return c
}

// The main goroutine stays on the main thread, the only one that there is still when another program takes this one's place: see
// runSite.
func init() { runtime.LockOSThread() }

// runSite runs the keeper beside the main goroutine, which has the thread that processes are started from.
func runSite(c *cobra.Command, file, runDir string) error {
	estate := keeper.Estate()
	loops, err := loops()
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 16)
	handle := func() {
		signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGCHLD)
	}
	handle()
	defer signal.Stop(signals)
	outliveReaders()
	above, err := supervisor()
	if err != nil {
		return err
	}
	defer above.close()
	o := keeper.Options{
		Inherited: activation.Files(true), Notify: above.tell, Flush: above.flush, Watchdog: above.watchdog,
		Open:  func(read int64) (*config.Main, error) { return config.OpenFile(file, read, readOptions(runDir)) },
		Loops: loops, Stdout: os.Stdout, Stderr: os.Stderr, Signals: signals, Version: version(), Adopt: true,
		Parse: func(s api.Source) (*config.Main, *config.Config, error) {
			if path, err := filepath.Abs(file); err == nil && path == s.Path {
				s.Path = file // so that places are called as before
			}
			return parseAgain(s, readOptions(runDir))
		},
		Thread: app.NewThread(), Estate: estate,
	}
	if runtime.GOOS != "linux" {
		o.Parse = nil // nobody can take this program's place there
	}
	o.Unhandle = func() func() {
		signal.Ignore(syscall.SIGHUP, syscall.SIGUSR1)
		signal.Stop(signals)
		return handle
	}
	if estate != nil {
		app.Became("weir")
	}
	go func() {
		defer o.Thread.End()
		err = keeper.Run(c.Context(), o)
	}()
	o.Thread.Run()
	return err
}

// parseAgain reads a configuration that is in force, whatever the machine has of it now. What comes later is read by the options.
func parseAgain(s api.Source, o config.Options) (*config.Main, *config.Config, error) {
	o.Env = func(name string) (string, bool) {
		if v, ok := s.Env[name]; ok {
			return v, true
		}
		return os.LookupEnv(name)
	}
	main, err := config.Open(s.Path, []byte(s.Text), s.Read, o)
	if err != nil { // the machine has not everything any more
		o.Strict, o.Also = false, nil
		if main, err = config.Open(s.Path, []byte(s.Text), s.Read, o); err != nil {
			return nil, nil, err
		}
	}
	cfg, err := source.Join(main, &s)
	return main, cfg, err
}

// outliveReaders has writes to an output that nobody reads any more fail, instead of ending this process: a site does not
// go down with what collects its logs. The signal is caught, for what is ignored would be ignored by workers too.
func outliveReaders() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// readOptions say how the configuration of a weir that runs is read: its sockets are where the flag or the environment says.
func readOptions(runDir string) config.Options {
	if runDir == "" {
		runDir = os.Getenv("WEIR_RUN_DIR")
	}
	return config.Options{Env: os.LookupEnv, Strict: true, RunDir: runDir, Also: func(c *config.Config) error {
		if err := edge.Check(c); err != nil {
			return err
		}
		return keeper.Preflight(c)
	}}
}

// loops is how many loops the edge has: WEIR_LOOPS, or one per processor.
func loops() (int, error) {
	text := os.Getenv("WEIR_LOOPS")
	if text == "" {
		return runtime.NumCPU(), nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1024 {
		return 0, fmt.Errorf("WEIR_LOOPS=%s: write a number of loops from 1 to 1024", text)
	}
	return n, nil
}
