package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/api"
)

// handFlags are those of all verbs by which people intervene.
type handFlags struct {
	runDir     *string
	by, reason *string
}

func byHandFlags(c *cobra.Command) handFlags {
	return handFlags{
		runDir: runDirFlag(c),
		by:     c.Flags().String("by", "", "who does it, if not you"),
		reason: c.Flags().String("reason", "", "why, for those who read the log"),
	}
}

// who is who does it.
func (f handFlags) who() string { return cmp.Or(*f.by, myself()) }

// myself is who runs the command: behind sudo, whoever called that.
func myself() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return os.Getenv("USER")
}

// do has the keeper intervene, and warns of a pool that has nobody left for new requests then.
func (f handFlags) do(c *cobra.Command, in api.Intervention) (api.Intervention, error) {
	ctx := c.Context()
	client, err := keeperClient(*f.runDir)
	if err != nil {
		return in, err
	}
	defer client.Close()
	in.By, in.Reason = f.who(), *f.reason
	var out api.Intervention
	if err = client.Post(ctx, "/v1/intervention", in, &out); err != nil {
		return out, err
	}
	if in.Do == "ready" || in.Do == "add" || in.Do == "weight" && (in.Weight == nil || *in.Weight > 0) {
		return out, nil
	}
	var s api.Status
	if err := client.Get(ctx, "/v1/status", &s); err != nil {
		return out, fmt.Errorf("it is done; looking at what is left: %w", err)
	}
	if s.Edge != nil && slices.ContainsFunc(s.Edge.Pools, func(p api.PoolStatus) bool { return p.Name == out.Pool && !takesRequests(p) }) {
		c.PrintErrf("warning: no server of the pool %s takes new requests now\n", out.Pool)
	}
	return out, nil
}

// takesRequests says whether any server of a pool does, other than those of sessions that are there.
func takesRequests(p api.PoolStatus) bool {
	return slices.ContainsFunc(p.Servers, func(s api.ServerStatus) bool { return s.State == "ready" || s.State == "starting" })
}

// poolServer reads POOL/SERVER. A server's name may have slashes in it, a pool's has none.
func poolServer(arg string) (pool, server string, err error) {
	pool, server, ok := strings.Cut(arg, "/")
	if !ok || pool == "" || server == "" {
		return "", "", fmt.Errorf("%q is not POOL/SERVER, as `weir status` shows them", arg)
	}
	return pool, server, nil
}

func drainCommand() *cobra.Command {
	c := stateCommand("drain", "Give a server no new sessions, and let those it has end",
		"Give a server no new sessions. Requests under way end as they would, and who has a session there may keep it. It holds\n"+
			"over reloads, until `weir ready`. --wait answers when no request is under way there.", "drained")
	c.Example = "  weir drain web/10.0.0.5:8080 --reason 'new disk'\n  weir drain photos/photos/2 --wait 1m"
	return c
}

func maintCommand() *cobra.Command {
	return stateCommand("maint", "Give a server nothing at all",
		"Give a server nothing at all: sessions move to other servers. Requests under way end as they would. It holds over\n"+
			"reloads, until `weir ready`. --wait answers when no request is under way there.", "in maintenance")
}

func readyCommand() *cobra.Command {
	return stateCommand("ready", "Give a server requests again",
		"Take back `weir drain` and `weir maint`, and end an ejection, or the rest after a failed connect, before its time. A\n"+
			"server whose check fails gets requests when it passes.", "ready")
}

// stateCommand is a verb that changes whether a server takes requests.
func stateCommand(do, short, long, done string) *cobra.Command {
	c := &cobra.Command{Use: do + " POOL/SERVER", Short: short, Long: long, Args: needs(1, "which server? Write POOL/SERVER, as `weir status` shows them")}
	f := byHandFlags(c)
	var wait *time.Duration
	if do != "ready" {
		wait = durationFlag(c, "wait", 0, "wait as long until no request is under way there")
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		pool, server, err := poolServer(args[0])
		if err != nil {
			return err
		}
		in, err := f.do(c, api.Intervention{Do: do, Pool: pool, Server: server})
		if err != nil {
			return err
		}
		if wait != nil && *wait > 0 {
			if err := f.awaitIdle(c.Context(), in, *wait); err != nil {
				return err
			}
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s is %s\n", api.FullName(in.Pool, in.Server), done)
		return err
	}
	return c
}

// idleEvery is how often it is looked whether a server has become idle.
const idleEvery = 100 * time.Millisecond

// awaitIdle waits until no request is under way at the servers that in is about.
func (f handFlags) awaitIdle(ctx context.Context, in api.Intervention, within time.Duration) error {
	client, err := keeperClient(*f.runDir)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(idleEvery)
	defer tick.Stop()
	for active := int64(-1); ; {
		var s api.Status
		switch err := client.Get(ctx, "/v1/status", &s); {
		case err != nil && ctx.Err() == nil:
			return err
		case err == nil && s.Edge != nil:
			if active = activeAt(s.Edge.Pools, in); active == 0 {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %d requests are still under way after %v", api.FullName(in.Pool, in.Server), max(active, 0), within)
		}
	}
}

func activeAt(pools []api.PoolStatus, in api.Intervention) (n int64) {
	for _, p := range pools {
		for _, s := range p.Servers {
			if p.Name == in.Pool && (s.Name == in.Server || strings.HasPrefix(s.Name, in.Server+"/")) {
				n += s.Active
			}
		}
	}
	return n
}

func weightCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "weight POOL/SERVER N",
		Short: "Give a server another share of the requests",
		Long: "Give a server another weight in place of the configured one, from 0 (no new sessions) to 1000, or with `reset` the\n" +
			"configured one again. It holds over reloads.",
		Example: "  weir weight web/10.0.0.5:8080 3\n  weir weight web/10.0.0.5:8080 reset",
		Args:    needs(2, "write POOL/SERVER, as `weir status` shows them, and a weight from 0 to 1000"),
	}
	f := byHandFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		pool, server, err := poolServer(args[0])
		if err != nil {
			return err
		}
		in := api.Intervention{Do: "weight", Pool: pool, Server: server}
		if args[1] != "reset" {
			var n int
			if _, err := fmt.Sscanf(args[1], "%d", &n); err != nil || fmt.Sprint(n) != args[1] || n < 0 || n > 1000 {
				return fmt.Errorf("the weight is %q: write a whole number from 0 to 1000, or reset", args[1])
			}
			in.Weight = &n
		}
		if in, err = f.do(c, in); err != nil {
			return err
		}
		text := "its configured weight again"
		if in.Weight != nil {
			text = fmt.Sprintf("the weight %d", *in.Weight)
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s has %s\n", api.FullName(in.Pool, in.Server), text)
		return err
	}
	return c
}

func serverCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "server",
		Short: "Add a server to a pool, or remove one",
		Long: "Add a server to a pool, or remove one, while weir runs. It holds over reloads, until it is undone or weir is started\n" +
			"anew; what is to last belongs into the configuration.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("weir server has add and remove, not %q", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(listCommand("add", "Add a server to a pool", "is added to"), listCommand("remove", "Remove a server from a pool: requests under way there end", "is removed from"))
	return c
}

func listCommand(do, short, done string) *cobra.Command {
	c := &cobra.Command{Use: do + " POOL ADDRESS", Short: short, Args: needs(2, "write the pool's name and the server's address")}
	f := byHandFlags(c)
	var weight *int
	if do == "add" {
		weight = c.Flags().Int("weight", 1, "its share of the requests, against the others' weights")
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		in, err := f.do(c, api.Intervention{Do: do, Pool: args[0], Server: args[1], Weight: weight})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s %s %s\n", in.Server, done, in.Pool)
		return err
	}
	return c
}

// needs refuses any other number of arguments with a hint.
func needs(n int, hint string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return errors.New(hint)
		}
		return nil
	}
}

func interventionsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "interventions",
		Short: "Show what people did: to servers, reloads, purges; and what of it holds",
		Args:  noArguments,
	}
	runDir := runDirFlag(c)
	asJSON := c.Flags().Bool("json", false, "as JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return showWhat(c, *runDir, "/v1/interventions", *asJSON, showInterventions)
	}
	return c
}

func showInterventions(out io.Writer, all api.Interventions) error {
	if len(all.Done) == 0 {
		_, err := fmt.Fprintln(out, "nobody intervened since weir was started")
		return err
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WHEN\tWHO\tWHAT\tSUBJECT\tREASON") //nolint:errcheck // Flush tells
	for _, i := range all.Done {
		what := i.Do
		if i.Weight != nil {
			what += fmt.Sprintf(" %d", *i.Weight)
		}
		place := api.FullName(i.Pool, i.Server)
		if i.Pool == "" {
			place = i.What
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", i.At, i.By, what, place, i.Reason) //nolint:errcheck // Flush tells
	}
	if len(all.Hands) > 0 {
		fmt.Fprintln(t, "\nHOLDS\tSINCE\tBY\tREASON") //nolint:errcheck // Flush tells
	}
	for _, h := range all.Hands {
		fmt.Fprintf(t, "%s %s\t%s\t%s\t%s\n", api.FullName(h.Pool, h.Server), holding(h), h.Since, h.By, h.Reason) //nolint:errcheck // Flush tells
	}
	return t.Flush()
}

// holding says what was decided of a server.
func holding(h api.Hand) string {
	var all []string
	if h.Listed != "" {
		all = append(all, h.Listed)
	}
	if h.State != "" {
		all = append(all, h.State)
	}
	if h.Weight != nil {
		all = append(all, fmt.Sprintf("weight %d", *h.Weight))
	}
	return strings.Join(all, ", ")
}
