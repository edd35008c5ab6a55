package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/api"
)

func cacheCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "cache",
		Short: "Show what the cache holds and how often it helps",
		Args:  noArguments,
	}
	runDir := runDirFlag(c)
	asJSON := c.Flags().Bool("json", false, "as JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := keeperClient(*runDir)
		if err != nil {
			return err
		}
		defer client.Close()
		var s api.CacheStatus
		if err := client.Get(c.Context(), "/v1/cache", &s); err != nil {
			return err
		}
		if *asJSON {
			e := json.NewEncoder(c.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(s)
		}
		return showCache(c.OutOrStdout(), s)
	}
	return c
}

// showCache writes what the cache does for people.
func showCache(out io.Writer, s api.CacheStatus) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "holds\t%d objects, %s of %s\n", s.Objects, bytesOf(s.Bytes), bytesOf(s.Memory))
	fmt.Fprintf(w, "hits\t%s (%d of %d; %d of them stale)\n", share(s.Hits+s.Shared, s.Misses), s.Hits+s.Shared, s.Hits+s.Shared+s.Misses, s.Stale)
	fmt.Fprintf(w, "shared\t%d answered by another request's fetch\n", s.Shared)
	fmt.Fprintf(w, "passes\t%d with which the cache has nothing to do\n", s.Passes)
	fmt.Fprintf(w, "refreshes\t%d without a client that waits\n", s.Refreshes)
	fmt.Fprintf(w, "evicted\t%d to make room\n", s.Evicted)
	fmt.Fprintf(w, "purges\t%d\n", s.Purges)
	if d := s.Disk; d != nil {
		fmt.Fprintf(w, "disk\t%d objects, %s of %s in %s; %s of memory for the index\n", d.Objects, bytesOf(d.Bytes), bytesOf(d.Size), d.Path, bytesOf(d.Index))
		fmt.Fprintf(w, "\t%d read, %d written, %d skipped, %d damaged\n", d.Hits, d.Written, d.Skipped, d.Damaged)
		if d.Problem != "" {
			fmt.Fprintf(w, "\tPROBLEM: %s\n", d.Problem)
		}
	}
	if len(s.Routes) > 0 {
		fmt.Fprintf(w, "\nROUTE\tHIT RATIO\tHITS\tMISSES\tPASSES\n")
	}
	for _, r := range s.Routes {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\n", r.Route, share(r.Hits, r.Misses), r.Hits, r.Misses, r.Passes)
	}
	return w.Flush()
}

// share is a of a and b in per cent, to a tenth.
func share(a, b uint64) string {
	if a+b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(a)/float64(a+b))
}

// bytesOf is a number of bytes as the configuration would have it.
func bytesOf(n int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.size), u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}
