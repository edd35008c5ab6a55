// Package cli is weir's command line: one file per verb. It reads flags, calls the process or the client that does the
// work, and shows the result; it decides nothing itself.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
)

// Main runs the command that the arguments name and returns the exit status.
func Main() int {
	root := rootCommand()
	if err := root.ExecuteContext(context.Background()); err != nil {
		var wrong config.Errors
		var one *config.Error
		if errors.As(err, &wrong) || errors.As(err, &one) {
			root.PrintErrln(err) // they begin with the file, as a compiler's do
		} else {
			root.PrintErrln("weir: " + err.Error())
		}
		return 1
	}
	return 0
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "weir",
		Short: "The web tier of a dynamic site in one program",
		Long: "weir runs a site's workers and brings requests to them: it keeps workers, balances, serves files,\n" +
			"and shows what it does. One file says it all: `weir run site.yaml`.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
		Args:          noCommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },

		SuggestionsMinimumDistance: 2,
	}
	root.SetVersionTemplate(versionLine())
	// One line each, in the order in which a newcomer meets them.
	root.AddCommand(
		runCommand(),
		checkCommand(),
		explainCommand(),
		statusCommand(),
		topCommand(),
		logCommand(),
		reloadCommand(),
		reopenCommand(),
		upgradeCommand(),
		purgeCommand(),
		cacheCommand(),
		drainCommand(),
		maintCommand(),
		readyCommand(),
		weightCommand(),
		serverCommand(),
		interventionsCommand(),
		alertCommand(),
		downtimeCommand(),
		chaosCommand(),
		stopCommand(),
		unitCommand(),
		passwordCommand(),
		schemaCommand(),
		versionCommand(),
		edgeCommand(),
		deskCommand(),
		guardCommand(),
		takeoverCommand(),
		cgiCommand(),
	)
	for _, c := range root.Commands() {
		if c.ValidArgsFunction == nil {
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
	root.SetFlagErrorFunc(wrongFlag)
	return root
}

// noCommand answers what is none of the commands.
func noCommand(c *cobra.Command, args []string) error {
	all := fmt.Sprintf(" (`%s --help` shows them all)", c.CommandPath())
	if len(args) == 0 {
		return nil
	}
	if c.SuggestionsMinimumDistance <= 0 {
		c.SuggestionsMinimumDistance = 2
	}
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("there is no command %q: did you mean %s?%s", args[0], strings.Join(near, " or "), all)
	}
	if info, err := os.Stat(args[0]); strings.HasSuffix(args[0], ".yaml") || strings.HasSuffix(args[0], ".yml") || err == nil && info.Mode().IsRegular() {
		return fmt.Errorf("there is no command %q: to run that file, write weir run %s", args[0], args[0])
	}
	return fmt.Errorf("there is no command %q%s", args[0], all)
}

// noArguments is for the commands that take flags only.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no argument, and there is %q", c.CommandPath(), args[0])
	}
	return nil
}

// runDirFlag adds --run-dir to a command and returns where its value will be.
func runDirFlag(c *cobra.Command) *string {
	return c.Flags().String("run-dir", "", "directory of the Unix sockets (default: WEIR_RUN_DIR, /run/weir for root, else $XDG_RUNTIME_DIR/weir)")
}

// keeperClient is the client of the weir that runs with a run directory; the default one when dir is empty.
func keeperClient(dir string) (*api.Client, error) {
	if dir == "" {
		dir = api.DefaultRunDir(os.LookupEnv)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("finding the run directory: %w", err)
	}
	return api.NewClient(api.KeeperSocket(dir)), nil
}

// tellKeeper has the weir of a run directory do something, and says so when it is done.
func tellKeeper(c *cobra.Command, runDir, path string, in any, done string) error {
	client, err := keeperClient(runDir)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Post(c.Context(), path, in, nil); err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), done)
	return err
}
