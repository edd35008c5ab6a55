package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/edge"
)

func checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Check a configuration and start nothing",
		Long: "Check a configuration, and that this machine has what it names: commands, directories, users, files.\n" +
			"Everything that is wrong is said at once, with its place and what to write instead. Nothing is started.",
		Example: "  weir check site.yaml",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("one configuration file is checked: write weir check FILE")
			}
			return nil
		},
		SilenceUsage:      true,
		ValidArgsFunction: completeFile,
		RunE:              func(c *cobra.Command, args []string) error { return check(c, args[0]) },
	}
}

func check(c *cobra.Command, path string) error {
	cfg, warnings, err := loadWhole(path)
	for _, w := range warnings {
		c.PrintErrln(w)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s is good: %s\n", path, inventory(cfg))
	return err
}

// loadWhole reads a configuration and checks it, up to what an edge makes of it: what an edge would refuse is not good.
func loadWhole(path string) (*config.Config, []config.Warning, error) {
	return config.Load(path, config.Options{Env: os.LookupEnv, Also: edge.Check})
}

// inventory counts what a configuration has. Pools that apps have without the file's naming them are not counted.
func inventory(cfg *config.Config) string {
	pools, routes := 0, 0
	for _, p := range cfg.Pools {
		if !p.Own {
			pools++
		}
	}
	for _, s := range cfg.Sites {
		routes += len(s.Routes)
	}
	included := ""
	if cfg.Include != nil {
		included = count(len(cfg.Files), "included file") + ", "
	}
	return included + count(len(cfg.Apps), "app") + ", " + count(pools, "pool") + ", " + count(len(cfg.Sites), "site") + ", " + count(routes, "route")
}

func count[N int | int64 | uint64](n N, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprint(n) + " " + noun
}
