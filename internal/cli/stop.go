package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/api"
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
	within := c.Flags().Duration("within", 0, "time for requests under way (default: timeouts.drain of the configuration)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *within < 0 {
			return fmt.Errorf("--within %v: write a time such as 10s", *within)
		}
		client, err := keeperClient(*runDir)
		if err != nil {
			return err
		}
		defer client.Close()
		in := api.Stop{Within: -1}
		if c.Flags().Changed("within") {
			in.Within = int64(*within / time.Millisecond)
		}
		if err := client.Post(c.Context(), "/v1/stop", in, nil); err != nil {
			return err
		}
		_, err = fmt.Fprintln(c.OutOrStdout(), "stopped")
		return err
	}
	return c
}
