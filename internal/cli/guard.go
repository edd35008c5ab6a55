package cli

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/keeper"
)

// guardCommand stops what a weir run that was killed leaves behind. `weir run` starts it.
func guardCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "guard DIR",
		Short:  "Stop what weir run leaves behind when it is killed",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			// It ends when weir run does, by its pipe: whoever signals all of weir's processes signals that one too.
			signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1)
			outliveReaders()
			return keeper.Guard(c.InOrStdin(), args[0], os.Stderr)
		},
	}
}
