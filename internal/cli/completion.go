package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/api"
)

// completeFile completes a configuration, the first argument, and nothing after it.
func completeFile(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

// completeApp completes the name of an app of the weir that runs with a run directory. If none answers there is nothing
// to complete.
func completeApp(c *cobra.Command, args []string, runDir string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	client, err := keeperClient(runDir)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(c.Context(), time.Second) // somebody has pressed a key
	defer cancel()
	var s api.Status
	if err := client.Get(ctx, "/v1/status", &s); err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, a := range s.Apps {
		names = append(names, a.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
