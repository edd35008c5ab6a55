package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/api"
)

func chaosCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "chaos",
		Short: "Make faults on purpose, to see what becomes of requests",
		Long: "Make faults on purpose, to see what becomes of requests: kill workers, kill the process that serves, slow answers down,\n" +
			"answer with errors. The configuration has to say `chaos: allow`. Each fault ends by itself, after an hour at the latest; it\n" +
			"goes on over reloads and upgrades, and ends with weir. weir status shows it, and weir's log says who began it.",
		Example: "  weir chaos kill-worker photos --every 2s --for 5m\n" +
			"  weir chaos latency --route 'www.example.com/search*' --add 200ms --jitter 50ms --share 10%\n" +
			"  weir chaos errors --server web/10.0.0.5:8080 --status 503 --share 5% --for 1m\n" +
			"  weir chaos list\n  weir chaos stop",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("weir chaos has kill-worker, kill-edge, latency, errors, list and stop, not %q", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(killWorkerCommand(), killEdgeCommand(), latencyCommand(), errorsCommand(), faultsCommand(), calmCommand())
	return c
}

// faultFlags are those of all verbs that begin a fault.
type faultFlags struct {
	handFlags
	lasts                *time.Duration
	route, server, share *string
}

func byFaultFlags(c *cobra.Command) faultFlags {
	return faultFlags{handFlags: byHandFlags(c), lasts: durationFlag(c, "for", time.Minute, "how long, at most 1h")}
}

// afflictionFlags are those of the faults that requests meet.
func afflictionFlags(c *cobra.Command) faultFlags {
	f := byFaultFlags(c)
	f.route = c.Flags().String("route", "", "requests for HOST/PATH, in which * stands for any text")
	f.server = c.Flags().String("server", "", "requests at POOL/SERVER, as weir status shows it, or at POOL/* for all of a pool")
	f.share = c.Flags().String("share", "100%", "of these requests")
	return f
}

// begin has the keeper begin a fault, and says that it did.
func (f faultFlags) begin(c *cobra.Command, fault api.Fault) error {
	if *f.lasts < time.Millisecond {
		return errors.New("--for: write a time such as 1m")
	}
	if f.share != nil {
		var err error
		if fault.Share, err = shareOf(*f.share); err != nil {
			return err
		}
		switch {
		case (*f.route == "") == (*f.server == ""):
			return errors.New("whose requests? Write --route HOST/PATH, or --server POOL/SERVER")
		case *f.server != "":
			if fault.Pool, fault.Server, err = poolServer(*f.server); err != nil {
				return err
			}
		}
		fault.Route = *f.route
	}
	client, err := keeperClient(*f.runDir)
	if err != nil {
		return err
	}
	defer client.Close()
	fault.By, fault.Reason, fault.For = f.who(), *f.reason, f.lasts.Milliseconds()
	var out api.Fault
	if err := client.Post(c.Context(), "/v1/chaos", fault, &out); err != nil {
		return err
	}
	lasts := fmt.Sprintf(", for %v", *f.lasts)
	if f.share == nil && out.Every == 0 {
		lasts = ", once"
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "fault %d: %s%s\n", out.ID, faultText(out), lasts)
	return err
}

// shareOf reads a share such as 10%, in hundredths of a percent.
func shareOf(text string) (int, error) {
	n, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	share := math.Round(n * 100)
	if err != nil || !strings.HasSuffix(text, "%") || !(share >= 1 && share <= 10000) {
		return 0, fmt.Errorf("--share %s: write more than 0%% and at most 100%%", text)
	}
	return int(share), nil
}

func killWorkerCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "kill-worker [APP]",
		Short: "Kill a worker of an app, or of any, with kill -9",
		Long:  "Kill a worker of an app, or of any app, with kill -9: once, or with --every again and again, one that serves each time.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return errors.New("workers of one app are killed, or of all: write weir chaos kill-worker [APP]")
			}
			return nil
		},
	}
	return killCommand(c, "kill-worker")
}

func killEdgeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "kill-edge",
		Short: "Kill the process that serves, with kill -9",
		Long: "Kill the process that serves with kill -9: once, or with --every again and again. Connections that it has are cut; new ones wait\n" +
			"until the next one serves.",
		Args: noArguments,
	}
	return killCommand(c, "kill-edge")
}

func killCommand(c *cobra.Command, do string) *cobra.Command {
	f := byFaultFlags(c)
	c.ValidArgsFunction = cobra.NoFileCompletions
	if do == "kill-worker" {
		c.ValidArgsFunction = func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return completeApp(c, args, *f.runDir)
		}
	}
	every := durationFlag(c, "every", 0, "kill again and again, with so much time between")
	c.RunE = func(c *cobra.Command, args []string) error {
		fault := api.Fault{Do: do, Every: every.Milliseconds()}
		if *every < 0 || *every > 0 && fault.Every == 0 {
			return errors.New("--every: write a time such as 2s")
		}
		if len(args) == 1 {
			fault.App = args[0]
		}
		return f.begin(c, fault)
	}
	return c
}

func latencyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "latency",
		Short: "Let answers of servers come late",
		Long:  "Let answers of servers come late, as if the servers were slow: limits, hedges and the choice of the next server see it so.",
		Args:  noArguments,
	}
	f := afflictionFlags(c)
	add := durationFlag(c, "add", 0, "how much later, such as 200ms")
	jitter := durationFlag(c, "jitter", 0, "up to so much more or less")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *add < time.Millisecond {
			return errors.New("how much later? Write --add 200ms")
		}
		return f.begin(c, api.Fault{Do: "latency", Add: add.Milliseconds(), Jitter: jitter.Milliseconds()})
	}
	return c
}

func errorsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "errors",
		Short: "Answer with errors instead of the servers",
		Long:  "Answer with errors instead of the servers, as if the servers did: retries, ejection and breakers see it so. The servers are not asked.",
		Args:  noArguments,
	}
	f := afflictionFlags(c)
	status := c.Flags().Int("status", 503, "of the answers, from 400 to 599")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return f.begin(c, api.Fault{Do: "errors", Status: *status})
	}
	return c
}

func faultsCommand() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "Show the faults that are made", Args: noArguments}
	runDir := runDirFlag(c)
	asJSON := c.Flags().Bool("json", false, "as JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return showWhat(c, *runDir, "/v1/chaos", *asJSON, func(out io.Writer, all api.Faults) error {
			return showFaults(out, all.Faults, time.Now())
		})
	}
	return c
}

func showFaults(out io.Writer, all []api.Fault, now time.Time) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "no fault is made on purpose")
		return err
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FAULT\tWHAT\tMADE\tLEFT\tBY\tREASON") //nolint:errcheck // Flush tells
	for _, f := range all {
		fmt.Fprintf(t, "%d\t%s\t%d\t%s\t%s\t%s\n", f.ID, faultText(f), f.Made, timeLeft(f, now), f.By, f.Reason) //nolint:errcheck // Flush tells
	}
	return t.Flush()
}

func timeLeft(f api.Fault, now time.Time) time.Duration {
	return max(time.UnixMilli(f.Ends).Sub(now).Round(time.Second), 0)
}

// faultText says what a fault is.
func faultText(f api.Fault) string {
	switch f.Do {
	case "kill-worker", "kill-edge":
		text := f.Do
		if f.App != "" {
			text += " " + f.App
		}
		if f.Every > 0 {
			text += fmt.Sprintf(" every %v", time.Duration(f.Every)*time.Millisecond)
		}
		return text
	}
	at := f.Route
	if at == "" {
		at = api.FullName(f.Pool, f.Server)
	}
	what := fmt.Sprintf("errors %d", f.Status)
	if f.Do == "latency" {
		what = fmt.Sprintf("latency +%v", time.Duration(f.Add)*time.Millisecond)
		if f.Jitter > 0 {
			what += fmt.Sprintf("±%v", time.Duration(f.Jitter)*time.Millisecond)
		}
	}
	return fmt.Sprintf("%s for %g%% of %s", what, float64(f.Share)/100, at)
}

func calmCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "stop [FAULT]",
		Short: "End all faults, or one by its number",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return errors.New("write weir chaos stop for all faults, or the number of one")
			}
			return nil
		},
	}
	f := byHandFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		in := api.Calm{By: f.who()}
		if len(args) == 1 {
			n, err := strconv.Atoi(args[0])
			if err != nil || n < 1 {
				return fmt.Errorf("%q is no number of a fault: weir chaos list shows them", args[0])
			}
			in.ID = n
		}
		return f.calm(c.Context(), c.OutOrStdout(), in)
	}
	return c
}

func (f handFlags) calm(ctx context.Context, out io.Writer, in api.Calm) error {
	client, err := keeperClient(*f.runDir)
	if err != nil {
		return err
	}
	defer client.Close()
	var ended api.Faults
	if err := client.Post(ctx, "/v1/chaos/stop", in, &ended); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s ended\n", count(len(ended.Faults), "fault"))
	return err
}
