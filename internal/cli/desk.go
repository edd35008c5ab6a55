package cli

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/desk"
)

// deskCommand is what people look at. `weir run` starts it.
func deskCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "desk",
		Short:  "Serve the status page on sockets handed down by weir run",
		Hidden: true,
		Args:   noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			runtime.UnlockOSThread()                       // see init: this process has no use for it
			runtime.GOMAXPROCS(1)                          // traffic needs the processors
			signal.Ignore(syscall.SIGHUP, syscall.SIGUSR1) // for the keeper; some send them to a whole group
			outliveReaders()
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return desk.Main(ctx, version())
		},
	}
}
