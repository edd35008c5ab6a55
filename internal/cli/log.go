package cli

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/journal/filter"
	"github.com/weirhq/weir/internal/notice"
)

// logFlags are what weir log is asked for.
type logFlags struct {
	runDir                      *string
	story, slow, failed, missed bool
	recent, lines               int
	past                        bool
	form                        string
	filter                      string
}

func logCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "log [FILTER]",
		Short: "Show requests as they end, and why they went as they did",
		Long: "Show requests and sessions of TCP as they end: those that the filter wants, which is applied where they are served. The last\n" +
			"slow, failed and refused ones are always kept: --recent shows them, and id=… finds one of them.\n\n" +
			"A filter is comparisons FIELD OP VALUE with = != < <= > >= ~ (regular expression) !~, joined by and, or, not and\n" +
			"parentheses; * in a value stands for anything. Fields: " + foldFields() + ".",
		Example: "  weir log 'status>=500 or time>1s'\n  weir log --story 'path=/checkout/* and client=192.0.2.0/24'\n" +
			"  weir log --why-miss route=pages\n  weir log --failed --recent 20\n  weir log id=0f3a9c1d2b4e5f60718293a4",
		ValidArgsFunction: completeFilter,
	}
	var o logFlags
	o.runDir = runDirFlag(c)
	f := c.Flags()
	f.BoolVar(&o.story, "story", false, "the whole story of each, with its times")
	f.BoolVar(&o.slow, "slow", false, "only those that took longer than log.slow of the configuration")
	f.BoolVar(&o.failed, "failed", false, "only those that weir or a server failed")
	f.BoolVar(&o.missed, "why-miss", false, "only those that the cache did not answer, with why, and what to change")
	f.IntVar(&o.recent, "recent", 0, "begin with the last N slow, failed and refused ones that are kept")
	f.BoolVar(&o.past, "past", false, "only those that are kept, and then end")
	f.IntVarP(&o.lines, "lines", "n", 0, "end after so many requests")
	f.StringVarP(&o.form, "output", "o", "text", "text or json")
	f.BoolP("follow", "f", true, "")
	c.Flag("follow").Hidden = true // it goes on anyway: for hands that write it with every log
	c.RunE = func(c *cobra.Command, args []string) error {
		o.filter = strings.Join(args, " ")
		return runLog(c, &o)
	}
	return c
}

// foldFields is the fields' names in lines.
func foldFields() string {
	var b strings.Builder
	width := len("parentheses; * in a value stands for anything. Fields: ")
	for i, name := range filter.Fields() {
		if i > 0 {
			b.WriteString(", ")
		}
		if width+len(name) > 110 {
			b.WriteString("\n")
			width = 0
		}
		b.WriteString(name)
		width += len(name) + 2
	}
	return strings.ReplaceAll(b.String(), " \n", "\n")
}

// completeFilter completes the name of a field.
func completeFilter(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var all []string
	for _, name := range filter.Fields() {
		if strings.HasPrefix(name, begun) {
			all = append(all, name+"=")
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// asksForID is a filter that names one request.
var asksForID = regexp.MustCompile(`(?i)^\s*id\s*==?\s*[^*\s]+\s*$`)

// wanted is the whole filter, of what was written and the flags.
func (o *logFlags) wanted() (string, error) {
	if _, err := filter.Parse(o.filter); err != nil {
		return "", pointAt(o.filter, err)
	}
	var parts []string
	if strings.TrimSpace(o.filter) != "" {
		parts = append(parts, "("+o.filter+")")
	}
	switch {
	case o.slow && o.failed:
		parts = append(parts, "(slow=yes or failed=yes)")
	case o.slow:
		parts = append(parts, "slow=yes")
	case o.failed:
		parts = append(parts, "failed=yes")
	}
	if o.missed {
		parts = append(parts, "(cache=miss or cache=pass)")
	}
	whole := strings.Join(parts, " and ")
	if _, err := filter.Parse(whole); err != nil {
		return "", pointAt(whole, err)
	}
	return whole, nil
}

// pointAt shows where a filter is wrong.
func pointAt(text string, err error) error {
	var wrong *filter.Error
	if errors.As(err, &wrong) && wrong.Field != "" {
		if near := config.Nearest(wrong.Field, filter.Fields()); near != "" {
			err = fmt.Errorf("filter, column %d: no field %q: did you mean %s? (`weir log --help` shows them all)", wrong.Column, wrong.Field, near)
		}
	}
	if wrong == nil || strings.ContainsAny(text, "\n\t") || len(text) > 200 {
		return err
	}
	return fmt.Errorf("%w\n  %s\n  %s^", err, printable(text), strings.Repeat(" ", max(wrong.Column-1, 0)))
}

func (o *logFlags) check() error {
	switch {
	case o.form != "text" && o.form != "json":
		return fmt.Errorf("-o %s: write text or json", o.form)
	case o.lines < 0:
		return fmt.Errorf("-n %d: write how many requests, 1 or more", o.lines)
	case o.recent < 0:
		return fmt.Errorf("--recent %d: write how many requests, 1 or more", o.recent)
	case o.form == "json" && o.story:
		return errors.New("-o json has the whole story anyway: leave --story out")
	}
	return nil
}

func runLog(c *cobra.Command, o *logFlags) error {
	if err := o.check(); err != nil {
		return err
	}
	whole, err := o.wanted()
	if err != nil {
		return err
	}
	dir := *o.runDir
	if dir == "" {
		dir = api.DefaultRunDir(os.LookupEnv)
	}
	one := asksForID.MatchString(o.filter)
	if one {
		o.story, o.lines = o.form == "text", 1
		if o.recent == 0 {
			o.recent = math.MaxInt32
		}
	}
	ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	pipe := make(chan os.Signal, 1) // a reader that leaves is no accident: what is written tells of it
	signal.Notify(pipe, syscall.SIGPIPE)
	defer signal.Stop(pipe)
	if o.past && o.recent == 0 {
		o.recent = math.MaxInt32
	}
	src := &logSource{as: rand.Text(), dir: dir, filter: whole, recent: o.recent, say: func(text string) { fmt.Fprintln(c.ErrOrStderr(), "weir: "+text) }}
	w := newLogWriter(c.OutOrStdout(), o)
	if one && !o.past {
		found, err := src.past(ctx)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			src.say("it is not among the slow, failed and refused ones that are kept: waiting for it to end (Ctrl-C ends this)")
		}
	}
	switch {
	case o.past:
		err = src.replay(ctx, w)
	default:
		err = src.follow(ctx, w)
	}
	if err == nil && o.past && !w.shown {
		src.say(nothingKept(whole))
	}
	err = errors.Join(err, w.Flush())
	if errors.Is(err, errEnough) || errors.Is(err, syscall.EPIPE) || ctx.Err() != nil && c.Context().Err() == nil {
		return nil
	}
	return err
}

// nothingKept says why there is nothing to show of what is kept.
func nothingKept(filter string) string {
	const elsewhere = "; all others are in the access log, and in weir log as they end"
	if filter == "" {
		return "no request was slow, failed or was refused since the edge was started" + elsewhere
	}
	return "none of the slow, failed and refused requests that are kept fits the filter" + elsewhere
}

// errEnough ends a log that has shown as many as it was to.
var errEnough = errors.New("enough")

// logWriter shows lines of /v1/log.
type logWriter struct {
	*bufio.Writer
	json  bool
	shown bool // something
	left  int  // that may yet be shown; -1: as many as come
	show  func(dst []byte, s *journal.Story) []byte
	text  []byte
}

func newLogWriter(out io.Writer, o *logFlags) *logWriter {
	w := &logWriter{Writer: bufio.NewWriterSize(out, 32<<10), json: o.form == "json", left: -1}
	if o.lines > 0 {
		w.left = o.lines
	}
	p := storyPrinter{now: time.Now, width: widthOf(out)}
	if f, ok := out.(*os.File); ok {
		p.colour = notice.FormFor(f, os.Getenv).Colour
	}
	switch {
	case o.story:
		w.show = p.whole
	case o.missed:
		w.show = p.missed
	default:
		w.show = p.line
	}
	return w
}

// take shows a line of /v1/log. errEnough: it was the last one.
func (w *logWriter) take(line []byte, s *journal.Story) error {
	w.shown = true
	if w.json {
		w.text = append(append(w.text[:0], line...), '\n')
	} else {
		w.text = w.show(w.text[:0], s)
	}
	if w.Available() < len(w.text) { // a terminal gets whole lines
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if _, err := w.Write(w.text); err != nil {
		return err
	}
	if w.left > 0 {
		if w.left--; w.left == 0 {
			return errEnough
		}
	}
	return nil
}

// dropped tells of lines that came faster than they were read.
func (w *logWriter) dropped(n uint64) error {
	if w.json {
		_, err := fmt.Fprintf(w, "{\"dropped\":%d}\n", n)
		return err
	}
	_, err := fmt.Fprintf(w, "… %s left out: they came faster than they could be shown; a filter makes them fewer\n", count(n, "request"))
	return err
}

// logSource is where lines come from.
type logSource struct {
	dir    string
	filter string
	recent int
	as     string // who listens, for one edge to tell the next
	say    func(string)
	seen   recently
}

func (s *logSource) path(query url.Values) string {
	if s.filter != "" {
		query.Set("filter", s.filter)
	}
	query.Set("as", s.as)
	return "/v1/log?" + query.Encode()
}

// past returns what is kept.
func (s *logSource) past(ctx context.Context) (lines [][]byte, err error) {
	client := api.NewClient(api.EdgeSocket(s.dir))
	defer client.Close()
	body, err := client.Stream(ctx, s.path(url.Values{"recent": {strconv.Itoa(s.recent)}}))
	if err != nil {
		return nil, olderEdge(err)
	}
	defer body.Close() //nolint:errcheck // it was read to its end
	err = eachLine(body, func(line []byte) error {
		lines = append(lines, append([]byte(nil), line...))
		return nil
	})
	return lines, err
}

// replay shows what is kept.
func (s *logSource) replay(ctx context.Context, w *logWriter) error {
	lines, err := s.past(ctx)
	if err != nil {
		return err
	}
	for _, l := range lines {
		if err := s.pass(l, w); err != nil {
			return err
		}
	}
	return nil
}

// pass shows a line unless it has been shown.
func (s *logSource) pass(line []byte, w *logWriter) error {
	if len(line) == 0 {
		return nil // the edge sees whether somebody listens yet
	}
	var d struct{ Dropped uint64 }
	if strings.HasPrefix(string(line), `{"dropped":`) && json.Unmarshal(line, &d) == nil {
		return w.dropped(d.Dropped)
	}
	story, err := journal.ReadStory(line)
	if err != nil {
		return fmt.Errorf("the edge says what is no story: %w", err)
	}
	if !s.seen.first(string(story.Line.ID) + story.Line.Time.String()) {
		return nil
	}
	return w.take(line, story)
}

// olderEdge says of an answer what it means.
func olderEdge(err error) error {
	var f *api.Failed
	if errors.As(err, &f) && f.Status == 404 {
		return errors.New("the edge that runs is of a version that has no log: weir upgrade replaces it")
	}
	return err
}
