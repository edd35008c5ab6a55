package cli

import (
	"context"
	"runtime"

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
			runtime.UnlockOSThread() // see init: this process has no use for it
			runtime.GOMAXPROCS(1)    // traffic needs the processors
			return asChild(func(ctx context.Context) error { return desk.Main(ctx, version()) })
		},
	}
}
