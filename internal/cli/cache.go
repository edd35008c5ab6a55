package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/weirhq/weir/internal/api"
)

func cacheCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "cache",
		Short: "Show what the cache holds and how often it helps",
		Long: "Show what the cache holds and how often it helps: in all and by route; which addresses servers are asked for most\n" +
			"often because they are not there or cannot be kept; and what the hit ratio would be with half and with twice the\n" +
			"memory, by a simulation that goes along with a sample of the requests.",
		Args: noArguments,
	}
	runDir := runDirFlag(c)
	asJSON := c.Flags().Bool("json", false, "as JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return showWhat(c, *runDir, "/v1/cache", *asJSON, func(out io.Writer, s api.CacheStatus) error {
			return showCache(out, s, widthOf(out))
		})
	}
	return c
}

// usualWidth is for what is no terminal.
const usualWidth = 100

// widthOf is how many columns what is written may have: COLUMNS if it is set, else the terminal's.
func widthOf(out io.Writer) int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	if f, ok := out.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			return n
		}
	}
	return usualWidth
}

// showCache writes what the cache does for people.
func showCache(out io.Writer, s api.CacheStatus, width int) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "holds\t%d objects of %s, in %s of %s\n", s.Objects, bytesOf(s.Bytes), bytesOf(s.Resident), bytesOf(s.Memory))
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
	if err := w.Flush(); err != nil {
		return err
	}
	for _, part := range []func(io.Writer, *api.CacheStatus, int) error{showRoutes, showMisses, showEstimates} {
		if err := part(out, &s, width); err != nil {
			return err
		}
	}
	return nil
}

// roomy is the width from which on all columns are shown.
const roomy = 100

func showRoutes(out io.Writer, s *api.CacheStatus, width int) error {
	if len(s.Routes) == 0 {
		return nil
	}
	rows := [][]string{{"ROUTE", "REQUESTS", "HITS", "STALE", "SHARED", "MISSES", "PASSES", "SAVED", "RATIO"}}
	for _, r := range s.Routes {
		name := r.Route
		if !strings.HasPrefix(name, r.Site) {
			name = r.Site + " " + name
		}
		rows = append(rows, []string{name, fmt.Sprint(r.Requests), fmt.Sprint(r.Hits), fmt.Sprint(r.Stale), fmt.Sprint(r.Shared), fmt.Sprint(r.Misses),
			fmt.Sprint(r.Passes), bytesOf(int64(r.Saved)), share(r.Hits+r.Shared, r.Misses)})
	}
	if width < roomy {
		for i, row := range rows { // without STALE and SHARED
			rows[i] = append(row[:3:3], row[5:]...)
		}
	}
	return table(out, rows, width)
}

func showMisses(out io.Writer, s *api.CacheStatus, width int) error {
	if len(s.TopMisses) == 0 {
		return nil
	}
	rows := [][]string{{"MISSED MOST", "MISSES"}}
	for _, k := range s.TopMisses {
		n := fmt.Sprint(k.Misses)
		if k.Error > 0 {
			n = fmt.Sprintf("%d to %d", k.Misses-min(k.Error, k.Misses), k.Misses)
		}
		rows = append(rows, []string{k.URL, n})
	}
	return table(out, rows, width)
}

// telling is how many requests make an estimate: of fewer the sample holds next to none.
const telling = 500

func showEstimates(out io.Writer, s *api.CacheStatus, width int) error {
	if len(s.Estimates) == 0 {
		return nil
	}
	if n := s.Hits + s.Shared + s.Misses; n < telling {
		_, err := fmt.Fprintf(out, "\nThe hit ratio with more or less memory is estimated from %d requests on; there were %d.\n", telling, n)
		return err
	}
	rows := [][]string{{"MEMORY", "HIT RATIO (estimated)"}}
	for _, e := range s.Estimates {
		rows = append(rows, []string{bytesOf(e.Memory), fmt.Sprintf("%.1f %%", 100*e.HitRatio)})
	}
	if err := table(out, rows, width); err != nil {
		return err
	}
	if s.SampledKeys == 0 {
		return nil
	}
	disk := ""
	if s.Disk != nil {
		disk = ", of memory alone"
	}
	_, err := fmt.Fprintf(out, "by a simulation with one key in %.0f%s; of about the last million requests\n", 1/s.SampledKeys, disk)
	return err
}

// table writes rows behind an empty line, the first column to the left and cut so that it fits, the others to the right.
func table(out io.Writer, rows [][]string, width int) error {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			if i == 0 {
				cell = printable(cell)
				row[0] = cell
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	const between, least = 2, 16
	rest := 0
	for _, n := range widths[1:] {
		rest += n + between
	}
	widths[0] = max(min(widths[0], width-rest), least)
	var b strings.Builder
	for i, row := range rows {
		b.Reset()
		fmt.Fprintf(&b, "%-*s", widths[0], cutTo(row[0], widths[0]))
		for j, cell := range row[1:] {
			fmt.Fprintf(&b, "%*s", widths[j+1]+between, cell)
		}
		line := strings.TrimRight(b.String(), " ") + "\n"
		if i == 0 {
			line = "\n" + line
		}
		if _, err := io.WriteString(out, line); err != nil {
			return err
		}
	}
	return nil
}

// cutTo takes the middle out of a text that is too long: a URL's end tells as much as its beginning.
func cutTo(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	head := (n - 1) * 2 / 3
	return string(r[:head]) + "…" + string(r[len(r)-(n-1-head):])
}

// printable escapes what a client could do to a terminal: whatever is not a letter, digit or sign of ASCII.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '…' || r >= ' ' && r < 0x7f:
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
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
