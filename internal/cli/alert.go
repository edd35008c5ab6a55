package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/desk"
	"github.com/weirhq/weir/internal/desk/alert"
	"github.com/weirhq/weir/internal/desk/outage"
	"github.com/weirhq/weir/internal/notice"
)

// deskTime is for the desk to answer; a test waits for somebody else.
const (
	deskTime = 10 * time.Second
	testTime = 2 * time.Minute
)

// deskClient is the client of the desk of a run directory; the default one when dir is empty.
func deskClient(dir string) (*api.Client, error) {
	if dir == "" {
		dir = api.DefaultRunDir(os.LookupEnv)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("finding the run directory: %w", err)
	}
	return api.NewClient(api.DeskSocket(dir)), nil
}

// atDesk does something with the desk.
func atDesk(c *cobra.Command, runDir string, within time.Duration, do func(context.Context, *api.Client) error) error {
	client, err := deskClient(runDir)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(c.Context(), within)
	defer cancel()
	err = do(ctx, client)
	var gone *api.Unreachable
	if !errors.As(err, &gone) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	keeper, wrong := keeperClient(runDir)
	if wrong != nil {
		return wrong
	}
	defer keeper.Close()
	var s api.Status
	if keeper.Get(ctx, "/v1/status", &s) != nil {
		return err // there is no weir at all
	}
	if _, none := os.Stat(gone.Socket); none != nil {
		return fmt.Errorf("%s has neither alerts: nor availability: nor admin:, one of which this needs: write `admin: {}` into it, and run weir reload", s.File)
	}
	return fmt.Errorf("the desk does not answer on %s: it may be starting anew; the log of weir run says more", gone.Socket)
}

func alertCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "alert",
		Short: "Show alerts, and keep them from being told",
		Long: "Show which alerts fire, silence them and acknowledge them, and try whether those who are to be told are told. Who is told of\n" +
			"what stands in the configuration, under alerts:.",
		Args: noCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(alertListCommand(), alertTestCommand(), alertSilenceCommand(), alertAckCommand(), alertUnsilenceCommand(), alertProblemsCommand())
	for _, sub := range c.Commands() {
		sub.ValidArgsFunction = cobra.NoFileCompletions
	}
	return c
}

func alertListCommand() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "Show alerts, silences, and those who are told", Args: noArguments}
	runDir, asJSON := runDirFlag(c), c.Flags().Bool("json", false, "as JSON")
	all := c.Flags().Bool("all", false, "those too that were over within a day")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return atDesk(c, *runDir, deskTime, func(ctx context.Context, client *api.Client) error {
			var a desk.Alerts
			if err := client.Get(ctx, "/api/v1/alerts", &a); err != nil {
				return err
			}
			if *asJSON {
				return printJSON(c.OutOrStdout(), a)
			}
			return showAlerts(c.OutOrStdout(), a, *all, time.Now())
		})
	}
	return c
}

// showAlerts writes alerts for people.
func showAlerts(out io.Writer, a desk.Alerts, over bool, now time.Time) error {
	var b strings.Builder
	shown := 0
	for i := range a.Alerts {
		if x := &a.Alerts[i]; x.State != alert.Resolved || over {
			writeAlert(&b, x, now)
			shown++
		}
	}
	if shown == 0 {
		b.WriteString("nothing fires\n")
	}
	for _, s := range a.Silences {
		what := "all alerts"
		if name := strings.TrimSpace(s.Rule + " " + s.Subject); name != "" {
			what = name
		}
		fmt.Fprintf(&b, "silence %s: %s, for %s more, by %s%s\n", s.ID, what, alert.Length(s.Until.Sub(now)), s.By, after(s.Why))
	}
	if len(a.Targets) == 0 {
		b.WriteString("nobody is told: there are no targets (alerts: {targets: …})\n")
	}
	for _, t := range a.Targets {
		fmt.Fprintf(&b, "target %s (%s): %d sent, %d wait, %d dropped", t.Target, t.How, t.Sent, t.Waiting, t.Dropped)
		if t.Problem != "" {
			fmt.Fprintf(&b, "; the last try failed: %s", t.Problem)
		}
		b.WriteByte('\n')
	}
	_, err := out.Write(printableLines(b.String()))
	return err
}

// printableLines keeps what applications and servers said from steering the terminal.
func printableLines(s string) []byte {
	var b []byte
	for line := range strings.Lines(s) {
		b = append(notice.AppendPrintable(b, []byte(strings.TrimSuffix(line, "\n"))), '\n')
	}
	return b
}

func after(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

func writeAlert(b *strings.Builder, a *alert.Alert, now time.Time) {
	switch a.State {
	case alert.Resolved:
		fmt.Fprintf(b, "over      %s, %s ago, after %s\n", a.ID(), alert.Length(now.Sub(a.Ended)), alert.Length(a.Ended.Sub(a.Since)))
		return
	case alert.Pending:
		fmt.Fprintf(b, "pending   %s\n", a.Text)
	default:
		fmt.Fprintf(b, "%-9s %s\n", a.Severity, a.Text)
	}
	fmt.Fprintf(b, "          %s, for %s", a.ID(), alert.Length(now.Sub(a.Since)))
	if a.By != "" {
		fmt.Fprintf(b, ", because of %s", a.By)
	}
	if len(a.Explains) > 0 {
		fmt.Fprintf(b, ", explains %d more", len(a.Explains))
	}
	if a.Silenced != "" {
		fmt.Fprintf(b, ", silenced by %s", a.Silenced)
	}
	if a.Ack != nil {
		fmt.Fprintf(b, ", acknowledged by %s%s", a.Ack.By, after(a.Ack.Why))
	}
	b.WriteByte('\n')
}

func alertTestCommand() *cobra.Command {
	c := &cobra.Command{Use: "test TARGET", Short: "Send a test to a target", Args: needs(1, "which target? Write its name, as in alerts: {targets: …}")}
	runDir := runDirFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return atDesk(c, *runDir, testTime, func(ctx context.Context, client *api.Client) error {
			if err := client.Post(ctx, "/api/v1/alerts/test", desk.Testing{Target: args[0]}, nil); err != nil {
				return err
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "%s took it\n", args[0])
			return err
		})
	}
	return c
}

func alertSilenceCommand() *cobra.Command {
	c := &cobra.Command{Use: "silence RULE [SUBJECT]", Short: "Keep alerts from being told for some time",
		Long:    "Keep alerts of a rule, or of a rule about a subject, from being told for some time. Both may be patterns with * for anything.",
		Example: "  weir alert silence server_down 'legacy/*' --for 2h --why 'new switches'\n  weir alert silence '*' --for 30m",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) > 2:
				return fmt.Errorf("%q is too much: write a rule and maybe a subject, in quotes if it has blanks, and --for 2h for how long", args[2])
			case len(args) < 1:
				return errors.New("which alerts? Write a rule, and maybe a subject, as `weir alert list` shows them; '*' is all")
			}
			return nil
		}}
	runDir := runDirFlag(c)
	long, why := durationFlag(c, "for", time.Hour, "for how long"), c.Flags().String("why", "", "why, for those who read it")
	c.RunE = func(c *cobra.Command, args []string) error {
		if *long <= 0 {
			return errors.New("--for is how long: write such as 30m, 2h or 1d")
		}
		in := desk.Silencing{Rule: args[0], For: long.String(), Why: *why}
		if len(args) > 1 {
			in.Subject = args[1]
		}
		return atDesk(c, *runDir, deskTime, func(ctx context.Context, client *api.Client) error {
			var s alert.Silence
			if err := client.Post(ctx, "/api/v1/alerts/silence", in, &s); err != nil {
				return err
			}
			var a desk.Alerts
			if err := client.Get(ctx, "/api/v1/alerts", &a); err != nil {
				return err
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "silenced until %s, %s; weir alert unsilence %s ends it\n", s.Until.Format("2006-01-02 15:04:05 MST"), silencedNow(a, s.ID), s.ID)
			return err
		})
	}
	return c
}

// silencedNow says what a silence does at the moment.
func silencedNow(a desk.Alerts, id string) string {
	n := 0
	for i := range a.Alerts {
		if x := &a.Alerts[i]; x.State == alert.Firing && x.Silenced == id {
			n++
		}
	}
	switch n {
	case 0:
		return "nothing that fires now"
	case 1:
		return "1 alert that fires now"
	}
	return fmt.Sprintf("%d alerts that fire now", n)
}

func alertUnsilenceCommand() *cobra.Command {
	c := &cobra.Command{Use: "unsilence ID", Short: "End a silence", Args: needs(1, "which silence? Write its name, as `weir alert list` shows it")}
	runDir := runDirFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return atDesk(c, *runDir, deskTime, func(ctx context.Context, client *api.Client) error {
			return client.Post(ctx, "/api/v1/alerts/silence", desk.Silencing{End: args[0]}, nil)
		})
	}
	return c
}

func alertAckCommand() *cobra.Command {
	c := &cobra.Command{Use: "ack RULE [SUBJECT]", Short: "Say that somebody knows of an alert: it is not told again",
		Example: "  weir alert ack pool_down legacy --why 'on my way'",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return errors.New("which alert? Write its rule and its subject, as `weir alert list` shows them")
			}
			return nil
		}}
	runDir, why := runDirFlag(c), c.Flags().String("why", "", "why, for those who read it")
	c.RunE = func(c *cobra.Command, args []string) error {
		return atDesk(c, *runDir, deskTime, func(ctx context.Context, client *api.Client) error {
			var out struct{ Acknowledged []string }
			if err := client.Post(ctx, "/api/v1/alerts/acknowledge", desk.Acknowledgement{Alert: strings.Join(args, " "), Why: *why}, &out); err != nil {
				return err
			}
			_, err := c.OutOrStdout().Write(printableLines("acknowledged " + strings.Join(out.Acknowledged, ", ") + "\n"))
			return err
		})
	}
	return c
}

func alertProblemsCommand() *cobra.Command {
	c := &cobra.Command{Use: "problems", Short: "Show application errors by shape", Args: noArguments}
	runDir, asJSON := runDirFlag(c), c.Flags().Bool("json", false, "as JSON")
	sample := c.Flags().Bool("sample", false, "with what was printed the last time")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return atDesk(c, *runDir, deskTime, func(ctx context.Context, client *api.Client) error {
			var p desk.Problems
			if err := client.Get(ctx, "/api/v1/problems", &p); err != nil {
				return err
			}
			if *asJSON {
				return printJSON(c.OutOrStdout(), p)
			}
			return showProblems(c.OutOrStdout(), p, *sample, time.Now())
		})
	}
	return c
}

func showProblems(out io.Writer, p desk.Problems, sample bool, now time.Time) error {
	var b strings.Builder
	if len(p.Problems) == 0 {
		b.WriteString("no error of an application is known\n")
	}
	for _, o := range p.Problems {
		fmt.Fprintf(&b, "%d × %s: %s\n", o.Count, o.App, o.Shape)
		fmt.Fprintf(&b, "    %s, the last %s ago, the first %s ago\n", o.Where, alert.Length(now.Sub(o.Last)), alert.Length(now.Sub(o.First)))
		if sample {
			for _, line := range o.Sample {
				fmt.Fprintf(&b, "    | %s\n", line)
			}
		}
	}
	if p.Missed > 0 {
		fmt.Fprintf(&b, "%d lines of workers were not looked at: there were too many at a time\n", p.Missed)
	}
	_, err := out.Write(printableLines(b.String()))
	return err
}

func downtimeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "downtime [MONTH]",
		Short: "Show how long each site was down this month, and why",
		Long: "Show how long each site was down in a calendar month, and why, against the budget that the configuration's availability: gives\n" +
			"it. A site is down while the process that serves does not answer, while all of its pools are down and nothing else answers, or\n" +
			"while half of its requests of a minute fail (availability: {errors: 50%}). What nobody saw is said, and not counted.",
		Example: "  weir downtime\n  weir downtime 2026-10",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return errors.New("one month is shown at a time: write weir downtime 2026-11")
			}
			if len(args) == 1 {
				if _, err := time.Parse("2006-01", args[0]); err != nil {
					return fmt.Errorf("%q is no month: write such as 2026-11", args[0])
				}
			}
			return nil
		},
	}
	runDir, asJSON := runDirFlag(c), c.Flags().Bool("json", false, "as JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		return atDesk(c, *runDir, deskTime, func(ctx context.Context, client *api.Client) error {
			var r outage.Report
			if err := client.Get(ctx, "/api/v1/downtime?month="+strings.Join(args, ""), &r); err != nil {
				return err
			}
			if *asJSON {
				return printJSON(c.OutOrStdout(), r)
			}
			return showDowntime(c.OutOrStdout(), r)
		})
	}
	return c
}

func inSeconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// showDowntime writes a month for people.
func showDowntime(out io.Writer, r outage.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", r.Month)
	if begin, err := time.ParseInLocation("2006-01", r.Month, r.Since.Location()); err == nil && !begin.AddDate(0, 1, 0).After(r.Since) {
		_, err := fmt.Fprintf(out, "%s: nobody looked; the book begins on %s\n", r.Month, r.Since.Format("2006-01-02 15:04"))
		return err
	} else if err == nil && !r.At.IsZero() && begin.After(r.At) {
		_, err := fmt.Fprintf(out, "%s is to come\n", r.Month)
		return err
	} else if r.Seen == 0 && len(r.Sites) == 0 && !r.At.IsZero() {
		why := "nobody looked"
		if r.Unseen == 0 {
			why = "that was too long ago, and is not known any more"
		}
		_, err := fmt.Fprintf(out, "%s: %s\n", r.Month, why)
		return err
	}
	if r.Since.Format("2006-01") == r.Month {
		fmt.Fprintf(&b, ", from %s on", r.Since.Format("2006-01-02 15:04"))
	}
	b.WriteByte('\n')
	t := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "SITE\tDOWN\tOUTAGES\tBUDGET\tLEFT")
	for _, s := range r.Sites {
		budget, left, now := "-", "-", ""
		if s.Budget != nil {
			budget, left = alert.Length(inSeconds(*s.Budget)), alert.Length(inSeconds(*s.Left))
			if *s.Left < 0 {
				left = "over by " + alert.Length(inSeconds(-*s.Left))
			}
		}
		if s.Now {
			now = "\tDOWN NOW"
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s%s\n", s.Name, alert.Length(inSeconds(s.Down)), s.Count, budget, left, now)
	}
	t.Flush() //nolint:errcheck // a builder takes everything
	for _, s := range r.Sites {
		for _, o := range s.List {
			end := "now"
			if !o.End.IsZero() {
				end = o.End.Format("15:04:05")
			}
			fmt.Fprintf(&b, "%s  %s - %s  %s", s.Name, o.Begin.Format("01-02 15:04:05"), end, o.Cause)
			if o.Open {
				b.WriteString(" (then nobody looked: it may have lasted)")
			}
			b.WriteByte('\n')
		}
	}
	if r.Unseen > 0 {
		fmt.Fprintf(&b, "for %s nobody looked: that is neither up nor down\n", alert.Length(inSeconds(r.Unseen)))
	}
	_, err := out.Write(printableLines(b.String()))
	return err
}
