package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/notice"
)

func statusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show apps, workers, pools and the edge",
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
		ctx, cancel := context.WithTimeout(c.Context(), 10*time.Second)
		defer cancel()
		var s api.Status
		if err := client.Get(ctx, "/v1/status", &s); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), s)
		}
		return show(c.OutOrStdout(), s, time.Now(), notice.FormFor(os.Stdout, os.Getenv).Colour)
	}
	return c
}

// showWhat asks the keeper for something, and shows it to people, or as JSON to programs.
func showWhat[T any](c *cobra.Command, runDir, path string, asJSON bool, show func(io.Writer, T) error) error {
	client, err := keeperClient(runDir)
	if err != nil {
		return err
	}
	defer client.Close()
	var what T
	if err := client.Get(c.Context(), path, &what); err != nil {
		return err
	}
	if asJSON {
		return printJSON(c.OutOrStdout(), what)
	}
	return show(c.OutOrStdout(), what)
}

// printJSON writes a value for programs.
func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// show writes a status for people.
func show(out io.Writer, s api.Status, now time.Time, colour bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "weir %s, process %d, up %s\n", s.Version, s.PID, ago(s.Since, now))
	fmt.Fprintf(&b, "file      %s\nlistens   %s\n", s.File, orNone(strings.Join(s.Listen, ", ")))
	if len(s.Admin) > 0 {
		fmt.Fprintf(&b, "page      %s\n", strings.Join(s.Admin, ", "))
	}
	showEdge(&b, s)
	for _, f := range s.Faults {
		fmt.Fprintf(&b, "CHAOS     fault %d: %s, by %s, made %d times, %v left\n", f.ID, faultText(f), f.By, f.Made, timeLeft(f, now))
	}
	if len(s.Included) > 0 {
		fmt.Fprintf(&b, "included  %s\n", inForce(s.Included))
	}
	for _, a := range s.Apps {
		if a.Overrun > 0 {
			fmt.Fprintf(&b, "overran   %s at %s took longer than request_timeout, %d of them must not be repeated\n", count(a.Overrun, "request"), a.Name, a.Lost)
		}
	}
	for _, p := range append(problems(s), filesOut(s, now)...) {
		line := "PROBLEM   " + strings.ReplaceAll(strings.TrimSpace(p), "\n", "\n          ")
		if colour {
			line = "\x1b[1;31m" + line + "\x1b[0m"
		}
		fmt.Fprintln(&b, line)
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return err
	}
	if err := showWorkers(out, s.Apps, now); err != nil {
		return err
	}
	if s.Edge == nil {
		return nil
	}
	return showPools(out, s.Edge.Pools, now)
}

// problems are what must not be overlooked.
func problems(s api.Status) []string {
	var all []string
	if s.Problem != "" {
		all = append(all, s.Problem)
	}
	if s.Edge != nil {
		for _, l := range s.Edge.Logs {
			if l.Problem != "" {
				all = append(all, fmt.Sprintf("access log to %s: %s; %s dropped", l.To, l.Problem, count(l.Dropped, "line")))
			}
		}
	}
	for _, a := range s.Apps {
		looping, last := 0, ""
		for _, w := range a.Workers {
			if w.Looping {
				looping++
				last = w.Last
			}
		}
		if looping > 0 {
			all = append(all, fmt.Sprintf("CRASH LOOP: %d of %d workers of %s die again and again: %s", looping, len(a.Workers), a.Name, last))
		}
	}
	return all
}

// inForce counts included files.
func inForce(files []api.FileStatus) string {
	good, wrong := 0, 0
	for _, f := range files {
		if f.InForce {
			good++
		}
		if f.Problem != "" {
			wrong++
		}
	}
	text := count(len(files), "file") + ", " + fmt.Sprint(good) + " in force"
	if wrong > 0 {
		text += fmt.Sprintf(", %d with a problem", wrong)
	}
	return text
}

// filesOut says which files are not in force as they are on disk, since when and why.
func filesOut(s api.Status, now time.Time) (all []string) {
	for _, f := range s.Included {
		what := "not in force"
		if f.InForce {
			what = "its last good version is in force"
		}
		switch {
		case f.Problem != "":
			all = append(all, fmt.Sprintf("%s: %s, for %s: %s", f.Path, what, ago(f.Since, now), f.Problem))
		case f.Doing != "":
			all = append(all, fmt.Sprintf("%s: %s, %s", f.Path, what, f.Doing))
		}
	}
	for _, u := range s.Unseen {
		all = append(all, "a folder of included files cannot be listed: "+u)
	}
	return all
}

func showEdge(b *strings.Builder, s api.Status) {
	e := s.Edge
	if e == nil {
		fmt.Fprintf(b, "edge      DOWN, %s\n", count(s.EdgeRestarts, "restart"))
		return
	}
	fmt.Fprintf(b, "edge      process %d, %s, %s, %s (%d now), 2xx %d, 3xx %d, 4xx %d, 5xx %d\n",
		e.PID, count(s.EdgeRestarts, "restart"), count(e.Connections, "connection"), count(e.Requests, "request"), e.Active, e.Status[2], e.Status[3], e.Status[4], e.Status[5])
	if e.Sessions > 0 {
		fmt.Fprintf(b, "tcp       %s, %d now\n", count(e.Sessions, "session"), e.SessionsNow)
	}
	if e.Strange > 0 {
		fmt.Fprintf(b, "          %s without a good PROXY header\n", count(e.Strange, "connection"))
	}
	if e.Panics+e.SlowTurns+e.LogDropped > 0 {
		fmt.Fprintf(b, "          %s, %s, %s dropped\n", count(e.Panics, "fault"), count(e.SlowTurns, "slow turn"), count(e.LogDropped, "log line"))
	}
}

func showWorkers(out io.Writer, apps []api.AppStatus, now time.Time) error {
	if len(apps) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nWORKER\tSTATE\tFOR\tPROCESS\tRESTARTS\tLAST END") //nolint:errcheck // Flush tells
	for _, a := range apps {
		for _, w := range a.Workers {
			state, pid := w.State, "-"
			if w.Looping {
				state += " CRASH LOOP"
			}
			last := w.Last
			if w.Due != "" {
				last = "to be replaced: " + w.Due
			}
			if w.PID != 0 {
				pid = fmt.Sprint(w.PID)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\n", w.Name, state, ago(w.Since, now), pid, w.Restarts, last) //nolint:errcheck // Flush tells
		}
	}
	return t.Flush()
}

func showPools(out io.Writer, pools []api.PoolStatus, now time.Time) error {
	if len(pools) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nPOOL\tSERVER\tSTATE\tFOR\tACTIVE\tIDLE\tREQUESTS\tERRORS\tQUEUED\tHEALTH") //nolint:errcheck // Flush tells
	for _, p := range pools {
		breaker := p.Breaker
		if breaker != "" {
			breaker = "breaker " + breaker
		}
		fmt.Fprintf(t, "%s\t\t%s\t\t\t\t\t\t%d\t\n", p.Name, breaker, p.Queued) //nolint:errcheck // Flush tells
		for _, s := range p.Servers {
			since := "-"
			if s.Since != "" {
				since = ago(s.Since, now)
			}
			active := fmt.Sprint(s.Active)
			if s.Limit > 0 {
				active += fmt.Sprintf("/%d", s.Limit) // as max_conn: auto found it
			}
			fmt.Fprintf(t, "\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t\t%s\n", s.Name, s.State, since, active, s.Idle, s.Requests, s.Errors, healthOf(s)) //nolint:errcheck // Flush tells
		}
	}
	return t.Flush()
}

// healthOf says why a server is not ready, how its last check ended, and its share when that is not all.
func healthOf(s api.ServerStatus) string {
	var all []string
	why, check := s.Reason(), ""
	if s.Check != "" && why == s.Why {
		check = "check: " + s.Check
	}
	passed := ""
	if s.In+s.Out > 0 {
		passed = fmt.Sprintf("%s in, %s out", bytesOf(int64(s.In)), bytesOf(int64(s.Out)))
	}
	for _, text := range []string{why, check, passed} {
		if text != "" {
			all = append(all, text)
		}
	}
	if s.Share != nil {
		all = append(all, fmt.Sprintf("%g%% of its share", float64(*s.Share)/10))
	}
	return strings.Join(all, "; ")
}

// ago is the time since a moment, as coarse as a person wants it.
func ago(since string, now time.Time) string {
	at, err := time.Parse(time.RFC3339, since)
	if err != nil {
		return "?"
	}
	d := max(now.Sub(at), 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

func orNone(s string) string {
	if s == "" {
		return "nowhere"
	}
	return s
}
