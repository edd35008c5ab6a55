package cli

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
)

func stopCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "stop",
		Short: "Stop weir and its workers in order",
		Long: "Stop accepting, finish the requests under way, stop the workers. It answers when all of that is done. Requests\n" +
			"get the time that the configuration gives them (timeouts.drain), or --within.",
		Args: noArguments,
	}
	runDir := runDirFlag(c)
	within := c.Flags().String("within", "", "`time` for requests under way, such as 10s (default: timeouts.drain of the configuration)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		in := api.Stop{Within: -1}
		if c.Flags().Changed("within") {
			d, ok := config.ParseDuration(*within)
			if !ok {
				return fmt.Errorf("--within %s: write a time such as 10s", *within)
			}
			in.Within = d.Milliseconds()
		}
		return tellKeeper(c, *runDir, "/v1/stop", in, "stopped")
	}
	return c
}
