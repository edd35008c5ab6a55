package cli

import "github.com/spf13/cobra"

func upgradeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "upgrade",
		Short: "Replace the process that serves by a new one",
		Long: "Start the process that serves anew beside the one that runs, and hand over to it: no connection is refused and no\n" +
			"request is lost. The old process answers once more on each connection that it has, and gets timeouts.hard_stop for\n" +
			"what takes longer. It answers when the new one serves. Workers are not touched.",
		Args: noArguments,
	}
	runDir := runDirFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return tellKeeper(c, *runDir, "/v1/upgrade", struct{}{}, "upgraded")
	}
	return c
}
