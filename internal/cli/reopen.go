package cli

import "github.com/spf13/cobra"

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
		return tellKeeper(c, *runDir, "/v1/reopen", struct{}{}, "opened the access log anew")
	}
	return c
}
