package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/top"
	"golang.org/x/term"
)

// topFlags are those of weir top.
type topFlags struct {
	runDir, url, output, view, filter, sort *string
	once, ascii                             *bool
}

func topCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "top",
		Short: "Show live what weir does: rates, pools, workers, routes, the cache, the log",
		Long: "Show live what weir does, second by second: rates and latencies with graphs, pools and servers, workers, routes, the\n" +
			"cache and why it did not answer, requests as they end, events. Tables are sorted by any column, filtered and looked into; servers are\n" +
			"drained and apps reloaded with a key. Press ? for the keys. The configuration has to have `admin:`.\n\n" +
			"With --once, or where standard output is no terminal, one frame is printed as text. --url shows a weir elsewhere; its token is taken\n" +
			"from WEIR_TOKEN.",
		Example: "  weir top\n  weir top --once --view pools --sort rate\n  WEIR_TOKEN=… weir top --url https://web1.example.com:9443\n  weir top -o json | jq .total.rate",
		Args:    noArguments,
	}
	f := topFlags{
		runDir: runDirFlag(c),
		url:    c.Flags().String("url", "", "address of a status page elsewhere, such as https://web1.example.com:9443"),
		output: c.Flags().StringP("output", "o", "", "json: print what is known now as JSON"),
		view:   c.Flags().String("view", top.Views[0], "which view to begin with: "+strings.Join(top.Views[:], ", ")),
		filter: c.Flags().String("filter", "", "show only what has all these words; in the log, a filter as of weir log"),
		sort:   c.Flags().String("sort", "", "sort by the column of this name; with a minus before it, turned around"),
		once:   c.Flags().Bool("once", false, "print one frame as text"),
		ascii:  c.Flags().Bool("ascii", false, "draw with ASCII alone (also where the locale is not UTF-8)"),
	}
	for flag, words := range map[string][]string{"view": top.Views[:], "output": {"json"}} {
		if err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err) // a flag that is not there: a mistake of ours
		}
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return f.run(c) }
	return c
}

func (f topFlags) run(c *cobra.Command) error {
	if *f.output != "" && *f.output != "json" {
		return fmt.Errorf("--output %s: write json, or leave it out", *f.output)
	}
	desk, err := f.desk(c.Context())
	if err != nil {
		return err
	}
	defer desk.Close()
	ctx, cancel := context.WithTimeout(c.Context(), 10*time.Second)
	defer cancel()
	raw, err := top.Picture(ctx, desk) // so that what is wrong is said before the screen is taken
	if err != nil {
		return f.explain(err)
	}
	if *f.output == "json" {
		var b bytes.Buffer
		if err := json.Indent(&b, raw, "", "  "); err != nil {
			return fmt.Errorf("reading what the desk tells: %w", err)
		}
		b.WriteByte('\n')
		_, err := c.OutOrStdout().Write(b.Bytes())
		return err
	}
	o := top.Options{Desk: desk, ASCII: *f.ascii || !utf8Locale(os.Getenv), View: *f.view, Filter: *f.filter, Sort: *f.sort, Out: c.OutOrStdout()}
	if *f.url == "" && os.Geteuid() == 0 {
		o.Behind = os.Getenv("SUDO_USER")
	}
	terminal := c.OutOrStdout() == os.Stdout && term.IsTerminal(int(os.Stdout.Fd()))
	if terminal {
		o.Ink = inkFor(os.Getenv)
	}
	if *f.once || !terminal {
		o.Width = printWidth(terminal)
		return top.Once(ctx, o)
	}
	if os.Getenv("TERM") == "dumb" {
		return errors.New("this terminal (TERM=dumb) cannot show it: write weir top --once")
	}
	runtime.UnlockOSThread() // see init: this process has no use for it
	runtime.GOMAXPROCS(1)    // traffic needs the processors
	o.In, o.Env = os.Stdin, os.Environ()
	return top.Run(c.Context(), o)
}

// desk is the client of the one that is meant.
func (f topFlags) desk(ctx context.Context) (*api.Client, error) {
	if *f.url != "" {
		return api.NewRemote(*f.url, os.Getenv("WEIR_TOKEN"))
	}
	dir := *f.runDir
	if dir == "" {
		dir = api.DefaultRunDir(os.LookupEnv)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("finding the run directory: %w", err)
	}
	keeper := api.NewClient(api.KeeperSocket(dir))
	defer keeper.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var s api.Status
	if err := keeper.Get(ctx, "/v1/status", &s); err == nil && len(s.Admin) == 0 {
		return nil, fmt.Errorf("%s has no admin: write `admin: {}` into it, and run weir reload", s.File)
	} else if _, statErr := os.Stat(api.DeskSocket(dir)); err != nil && statErr != nil {
		return nil, err
	}
	return api.NewClient(api.DeskSocket(dir)), nil
}

// explain says what to do about a desk that does not answer.
func (f topFlags) explain(err error) error {
	var failed *api.Failed
	var away *api.Unreachable
	switch {
	case errors.As(err, &failed) && (failed.Status == 401 || failed.Status == 403) && os.Getenv("WEIR_TOKEN") == "":
		return fmt.Errorf("%w: put a token of its configuration into WEIR_TOKEN", err)
	case errors.As(err, &away):
		return fmt.Errorf("the desk does not answer on %s: it may be starting anew; the log of weir run says more (%w)", away.Socket, away.Err)
	}
	return err
}

// inkFor are the colours of a terminal.
func inkFor(env func(string) string) top.Ink {
	if env("NO_COLOR") != "" || env("TERM") == "dumb" {
		return top.Mono
	}
	return top.OnDark
}

// utf8Locale reports whether the terminal is taken to know more than ASCII: unless the locale says otherwise, as the C library reads it.
func utf8Locale(env func(string) string) bool {
	for _, name := range [...]string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := env(name); v != "" {
			v = strings.ToLower(v)
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return true
}

// printWidth is how wide a frame is printed.
func printWidth(terminal bool) int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return min(n, 1000)
	}
	if terminal {
		if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return 120
}
