package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/edge"
	"github.com/weirhq/weir/internal/keeper"
)

// takeoverCommand says whether this program could take the place of the one that asks, which would run it with the arguments. What
// that would leave comes on standard input.
func takeoverCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "takeover -- ARGUMENTS",
		Short:  "Say whether this program could take the place of a weir that runs",
		Hidden: true,
		Args:   cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := runnable(args); err != nil {
				return err
			}
			if _, err := loops(); err != nil {
				return err
			}
			err := keeper.Trial(c.InOrStdin(), func(s api.Source) (*config.Main, *config.Config, error) {
				main, cfg, err := parseAgain(s, config.Options{})
				if err == nil {
					err = edge.Check(cfg)
				}
				return main, cfg, err
			})
			if err != nil {
				return err
			}
			return json.NewEncoder(c.OutOrStdout()).Encode(api.Takeover{Version: version(), Format: keeper.EstateFormat})
		},
	}
}

// runnable says whether arguments are such that this program would run a site with them.
func runnable(args []string) error {
	root := rootCommand()
	to, rest, err := root.Find(args)
	if err == nil && to.Name() != "run" {
		err = fmt.Errorf("%s runs no site", to.CommandPath())
	}
	if err == nil {
		err = to.ParseFlags(rest)
	}
	if err == nil {
		err = to.ValidateArgs(to.Flags().Args())
	}
	return err
}
