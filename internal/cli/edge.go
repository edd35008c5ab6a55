package cli

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/edge"
)

// edgeCommand is the data plane. `weir run` starts it.
func edgeCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "edge",
		Short:  "Serve requests on sockets handed down by weir run",
		Hidden: true,
		Args:   noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			runtime.UnlockOSThread() // see init: this process has no use for it
			loops, err := loops()
			if err != nil {
				return err
			}
			return asChild(func(ctx context.Context) error { return edge.Main(ctx, loops) })
		},
	}
}

// asChild runs a process that the keeper has started, until a signal ends it.
func asChild(run func(context.Context) error) error {
	signal.Ignore(syscall.SIGHUP, syscall.SIGUSR1) // for the keeper; some send them to a whole group
	outliveReaders()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx)
}
