package cli

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/api"
)

func upgradeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "upgrade",
		Short: "Put the program that is on the disk now in force",
		Long: "Have the program that is on the disk now take the place of the one that runs: no connection is refused, no request is\n" +
			"lost, no worker is touched. The new program is tried first; one that cannot take over changes nothing. `weir run` goes\n" +
			"on in the same process, then a new process begins to serve, and the old one answers once more on each connection that\n" +
			"it has, and gets timeouts.hard_stop for what takes longer. The answer comes when the new one serves.",
		Args: noArguments,
	}
	runDir := runDirFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := keeperClient(*runDir)
		if err != nil {
			return err
		}
		defer client.Close()
		var done api.Upgraded
		if err := client.Post(c.Context(), "/v1/upgrade", struct{}{}, &done); err != nil {
			return err
		}
		if done.Version == "" { // a weir that runs from before it could say so
			_, err = fmt.Fprintln(c.OutOrStdout(), "upgraded the process that serves")
			return err
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "upgraded: weir %s is in service (it was %s)\n", done.Version, done.Was)
		return err
	}
	return c
}
