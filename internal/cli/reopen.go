package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func reopenCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "reopen",
		Short: "Open the access log anew, after it was rotated",
		Long: "Open the file of the access log anew: for log rotation, which has renamed it. When it answers, the old file is\n" +
			"complete and closed. The signal USR1 to weir run does the same.",
		Args: noArguments,
	}
	runDir := runDirFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := keeperClient(*runDir)
		if err != nil {
			return err
		}
		defer client.Close()
		if err := client.Post(c.Context(), "/v1/reopen", struct{}{}, nil); err != nil {
			return err
		}
		_, err = fmt.Fprintln(c.OutOrStdout(), "opened the access log anew")
		return err
	}
	return c
}
