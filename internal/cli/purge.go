package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/api"
)

func purgeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "purge [URL...]",
		Short: "Take responses out of the cache",
		Long: "Take out of the cache what is kept for some URLs (with all their variants), under a tag that the app's responses\n" +
			"carry (Surrogate-Key, Cache-Tag or xkey), or by host and path. When it answers, no later request gets what was\n" +
			"purged, not even from a fetch that is under way. With --soft it is made stale instead: still served while a new\n" +
			"response is fetched, and while the app is down.",
		Example: "  weir purge http://www.example.com/news\n  weir purge --tag article-17 --soft\n  weir purge --prefix www.example.com/static/\n" +
			"  weir purge --pattern '*.example.com/*.css'",
	}
	f := byHandFlags(c)
	var in api.Purge
	c.Flags().StringArrayVar(&in.Tags, "tag", nil, "what carries this tag; may be given again")
	c.Flags().StringArrayVar(&in.Prefixes, "prefix", nil, "what begins with this host and path; may be given again")
	c.Flags().StringArrayVar(&in.Patterns, "pattern", nil, "what this host and path match, with * for anything; may be given again")
	c.Flags().BoolVar(&in.All, "all", false, "everything")
	c.Flags().BoolVar(&in.Soft, "soft", false, "make it stale, so that it still serves until there is something newer")
	c.RunE = func(c *cobra.Command, args []string) error {
		in.URLs, in.By, in.Reason = args, f.who(), *f.reason
		if len(in.URLs)+len(in.Tags)+len(in.Prefixes)+len(in.Patterns) == 0 && !in.All {
			return errors.New("nothing to purge: write a URL, --tag, --prefix, --pattern or --all")
		}
		client, err := keeperClient(*f.runDir)
		if err != nil {
			return err
		}
		defer client.Close()
		var out api.Purged
		if err := client.Post(c.Context(), "/v1/purge", in, &out); err != nil {
			return err
		}
		for _, note := range out.Notes {
			c.PrintErrln("weir: warning: " + note + ": nothing was kept for it")
		}
		_, err = fmt.Fprintln(c.OutOrStdout(), "purged")
		return err
	}
	return c
}
