package cli

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/api"
)

func reloadCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "reload [APP]",
		Short: "Read the configuration anew, or replace an app's workers",
		Long: "Without an app, read the configuration anew and put it in force: changed apps are replaced, others are not\n" +
			"touched; a configuration that is wrong changes nothing, and an included file that is wrong does not keep the others\n" +
			"from coming into force. With an app, replace its workers one by one: each new\n" +
			"one is ready before an old one leaves. It answers when that is done.",
		Example: "  weir reload\n  weir reload photos --reason 'new settings'",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return errors.New("one app is reloaded at a time: write weir reload APP")
			}
			return nil
		},
	}
	f := byHandFlags(c)
	c.ValidArgsFunction = func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return completeApp(c, args, *f.runDir)
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		what, in := "the configuration", api.Reload{By: f.who(), Reason: *f.reason}
		if len(args) == 1 {
			what, in.App = "app "+args[0], args[0]
		}
		return tellKeeper(c, *f.runDir, "/v1/reload", in, "reloaded "+what)
	}
	return c
}
