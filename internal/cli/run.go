package cli

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/edge"
	"github.com/weirhq/weir/internal/keeper"
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

func runSite(c *cobra.Command, file, runDir string) error {
	loops, err := loops()
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGCHLD)
	defer signal.Stop(signals)
	outliveReaders()
	above, err := supervisor()
	if err != nil {
		return err
	}
	defer above.close()
	return keeper.Run(c.Context(), keeper.Options{
		Inherited: activation.Files(true), Notify: above.tell, Watchdog: above.watchdog,
		Open:  func(read int64) (*config.Main, error) { return openMain(file, runDir, read, keeper.Preflight) },
		Loops: loops, Stdout: os.Stdout, Stderr: os.Stderr, Signals: signals, Version: version(), Adopt: true,
	})
}

// outliveReaders has writes to an output that nobody reads any more fail, instead of ending this process: a site does not
// go down with what collects its logs. The signal is caught, for what is ignored would be ignored by workers too.
func outliveReaders() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// openMain reads a configuration's own file, and puts its sockets where the flag or the environment says. also is what it has
// to be good for besides, with each file that it includes.
func openMain(file, runDir string, read int64, also func(*config.Config) error) (*config.Main, error) {
	if runDir == "" {
		runDir = os.Getenv("WEIR_RUN_DIR")
	}
	return config.OpenFile(file, read, config.Options{Env: os.LookupEnv, Strict: true, RunDir: runDir, Also: func(c *config.Config) error {
		if err := edge.Check(c); err != nil {
			return err
		}
		return also(c)
	}})
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
