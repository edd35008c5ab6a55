package cli

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/notice"
)

// storyPrinter writes stories for people. Whatever a client or a server said goes through word or notice.AppendPrintable: a terminal obeys
// what it is shown.
type storyPrinter struct {
	now    func() time.Time
	width  int
	colour bool
}

const (
	faint  = "2"
	green  = "32"
	cyan   = "36"
	yellow = "33"
	red    = "31"
	strong = "1"
)

func (p *storyPrinter) paint(colour, text string) string {
	if !p.colour || colour == "" || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// word is a client's text as one word: what has a space or a quote in it stands in quotes, so that it cannot pass for two.
func word[T string | []byte](text T) string {
	s := string(notice.AppendPrintable(nil, []byte(text)))
	if strings.ContainsAny(s, " \t\"") {
		s = `"` + strings.NewReplacer(`"`, `\"`, "\t", `\t`).Replace(s) + `"`
	}
	return s
}

// statusColour is what a status looks like.
func statusColour(status int) string {
	switch {
	case status >= 500 || status == 0:
		return red
	case status >= 400:
		return yellow
	case status >= 300:
		return cyan
	}
	return green
}

func cacheColour(c journal.Cache) string {
	switch c {
	case journal.Hit, journal.Shared, journal.Revalidated:
		return green
	case journal.Stale:
		return cyan
	}
	return faint
}

// when is a time of today without its date.
func (p *storyPrinter) when(t time.Time) string {
	t, now := t.Local(), p.now().Local()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04:05.000")
	}
	return t.Format("2006-01-02 15:04:05.000")
}

// took is a time with as many digits as tell something.
func took(d time.Duration) string {
	switch {
	case d >= 100*time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 100*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f ms", float64(d)/1e6)
}

// what is asked for.
func asked(l *journal.Line) string {
	if l.Listen != "" {
		text := "TCP " + word(l.Listen)
		if l.Name != "" {
			text += " " + word(l.Name)
		}
		return text
	}
	if len(l.Method) == 0 {
		return "(no request)"
	}
	address := slices.Concat(l.Host, l.Target)
	if !bytes.HasPrefix(l.Target, []byte("/")) {
		address = slices.Concat(l.Host, []byte(" "), l.Target)
	}
	return word(l.Method) + " " + word(address)
}

// pad fills a text up to so many columns, which its colours do not count for.
func (p *storyPrinter) pad(text string, n int, colour string) string {
	return p.paint(colour, text) + strings.Repeat(" ", max(n-utf8.RuneCountInString(text), 0))
}

// line is one request in one line.
func (p *storyPrinter) line(dst []byte, s *journal.Story) []byte {
	l := &s.Line
	status := fmt.Sprintf("%3d", l.Status)
	if l.Status == 0 {
		status = "  –"
	}
	time := took(l.Total)
	time = strings.Repeat(" ", max(8-utf8.RuneCountInString(time), 0)) + time
	colour := ""
	if l.Slow {
		colour = strong + ";" + yellow
	}
	cache := l.Cache.String()
	if l.Listen != "" {
		cache = "tcp"
	}
	server := l.Server
	if server == "" {
		server = l.Pool
	}
	client := "unix"
	if l.Client.IsValid() {
		client = l.Client.String()
	}
	dst = fmt.Appendf(dst, "%s  %s  %s  %s  %s  %s  %s", p.paint(faint, p.when(l.Time)), p.paint(statusColour(l.Status), status), p.paint(colour, time),
		p.pad(client, 13, ""), p.pad(word(server), 8, cyan), p.pad(cache, 6, cacheColour(l.Cache)), asked(l))
	if text := ending(l); text != "" {
		dst = append(append(dst, "  "...), p.paint(red, text)...)
	}
	if l.Retries > 0 {
		dst = append(append(dst, "  "...), p.paint(yellow, retries(l.Retries))...)
	}
	if l.Slow || l.Failure {
		dst = append(append(dst, "  "...), p.paint(faint, "id="+word(l.ID))...)
	}
	return append(dst, '\n')
}

func retries(n int) string {
	if n == 1 {
		return "1 retry"
	}
	return fmt.Sprint(n) + " retries"
}

// ending is why it ended as it did, in a word.
func ending(l *journal.Line) string {
	text := l.Cause.String()
	if l.Detail != "" {
		if text != "" {
			text += ": "
		}
		text += string(notice.AppendPrintable(nil, []byte(l.Detail))) // a constant
	}
	return text
}

// missed is one request in one line, and why the cache did not answer it.
func (p *storyPrinter) missed(dst []byte, s *journal.Story) []byte {
	dst = p.line(dst, s)
	because, change := whyMissed(s.Line.Why)
	dst = p.text(dst, "why", s.Line.Why+": "+because)
	if change != "" {
		dst = p.text(dst, "change", change)
	}
	return dst
}

// margin is where text begins that explains.
const margin = 14

// text writes what is long under a word, in lines that fit.
func (p *storyPrinter) text(dst []byte, name, text string) []byte {
	dst = fmt.Appendf(dst, "    %s", p.pad(name, margin-4, faint))
	column := margin
	for i, w := range strings.Fields(string(notice.AppendPrintable(nil, []byte(text)))) {
		n := utf8.RuneCountInString(w)
		if i > 0 && column+1+n > max(p.width, 60) {
			dst = append(append(dst, '\n'), strings.Repeat(" ", margin)...)
			column = margin
		} else if i > 0 {
			dst = append(dst, ' ')
			column++
		}
		dst = append(dst, w...)
		column += n
	}
	return append(dst, '\n')
}

// whole is the whole story of a request.
func (p *storyPrinter) whole(dst []byte, s *journal.Story) []byte {
	l := &s.Line
	head := fmt.Sprintf("%s  %s", p.paint(faint, p.when(l.Time)), p.paint(strong, asked(l)))
	status := "no answer"
	if l.Status > 0 {
		status = fmt.Sprint(l.Status)
	}
	dst = append(dst, head...)
	dst = fmt.Appendf(dst, "  %s in %s", p.paint(statusColour(l.Status), status), took(l.Total))
	for _, mark := range []struct {
		is   bool
		text string
	}{{l.Failure, "failed"}, {l.Slow, "slow"}} {
		if mark.is {
			dst = append(append(dst, "  "...), p.paint(strong+";"+red, mark.text)...)
		}
	}
	dst = append(dst, '\n')
	dst = p.text(dst, "id", word(l.ID))
	dst = p.text(dst, "client", from(l))
	if len(l.Referer) > 0 {
		dst = p.text(dst, "came from", word(l.Referer))
	}
	dst = p.text(dst, "way", way(l))
	dst = p.text(dst, "bytes", fmt.Sprintf("%s to the client, %s from it", bytesOf(l.Out), bytesOf(l.In)))
	dst = p.facts(dst, l)
	dst = p.stages(dst, s)
	return append(dst, '\n')
}

// facts is what there is to say of the cache and of how it ended.
func (p *storyPrinter) facts(dst []byte, l *journal.Line) []byte {
	if l.Cache != journal.NoCache {
		text := l.Cache.String()
		because, change := whyMissed(l.Why)
		if because != "" {
			text += " (" + l.Why + "): " + because
		}
		dst = p.text(dst, "cache", text)
		if change != "" && (l.Cache == journal.Miss || l.Cache == journal.Pass) {
			dst = p.text(dst, "", "change: "+change)
		}
	}
	if l.Session != journal.NoSession {
		dst = p.text(dst, "session", l.Session.String()+": "+sessionWords[l.Session])
	}
	if l.Hedge != journal.NoHedge {
		dst = p.text(dst, "hedge", "another server was asked too, and "+l.Hedge.String())
	}
	if l.Includes > 0 {
		dst = p.text(dst, "fragments", fmt.Sprintf("%d, of which %d failed", l.Includes, l.Failed))
		dst = p.parts(dst, l)
	}
	if l.Cause != journal.NoCause {
		words := causeWords[l.Cause]
		dst = p.text(dst, "ended", ending(l)+" – "+words.because)
		if words.look != "" {
			dst = p.text(dst, "", "look: "+words.look)
		}
	} else if l.Detail != "" {
		dst = p.text(dst, "ended", word(l.Detail))
	}
	return dst
}

// parts is one line for each fragment that is told of.
func (p *storyPrinter) parts(dst []byte, l *journal.Line) []byte {
	for i := range l.Parts {
		one := &l.Parts[i]
		status, time := "none", took(one.Took)
		if one.Status > 0 {
			status = fmt.Sprint(one.Status)
		}
		dst = fmt.Appendf(dst, "%s%s  %s  %s  %s\n", strings.Repeat(" ", margin), p.pad(status, 4, statusColour(one.Status)), strings.Repeat(" ", max(8-utf8.RuneCountInString(time), 0))+time,
			p.pad(one.Cache.String(), 11, cacheColour(one.Cache)), word(one.Target))
	}
	if len(l.Parts) == journal.MaxParts {
		dst = p.text(dst, "", "what was asked for after these is not told one by one")
	}
	return dst
}

// from is who asked.
func from(l *journal.Line) string {
	text := "a Unix socket"
	if l.Client.IsValid() {
		text = l.Client.String()
	}
	if l.Scheme != "" {
		text += " by " + l.Scheme
		if l.Minor != journal.NoVersion {
			text += fmt.Sprintf(", HTTP/1.%d", l.Minor)
		}
	}
	if len(l.UserAgent) > 0 {
		text += ", " + word(l.UserAgent)
	}
	return text
}

// way is where it went.
func way(l *journal.Line) string {
	var parts []string
	for _, part := range []struct{ name, value string }{{"site", l.Site}, {"route", l.Route}, {"pool", l.Pool}, {"server", l.Server}} {
		if part.value != "" {
			parts = append(parts, part.name+" "+word(part.value))
		}
	}
	if l.Retries > 0 {
		parts = append(parts, "after "+retries(l.Retries))
	}
	if len(parts) == 0 {
		return "no site took it"
	}
	if l.Pool == "" {
		parts = append(parts, "answered by weir itself")
	} else if l.Server == "" && l.Listen == "" && l.Cache != journal.NoCache && l.Cache != journal.Pass && l.Cause == journal.NoCause {
		parts = append(parts, "no server was asked")
	}
	return strings.Join(parts, ", ")
}

// stages draws when it came how far.
func (p *storyPrinter) stages(dst []byte, s *journal.Story) []byte {
	type step struct {
		stage    journal.Stage
		from, to time.Duration
	}
	var steps []step
	for i, at := range s.At {
		if at >= 0 && journal.Stage(i) != journal.Begun {
			steps = append(steps, step{stage: journal.Stage(i), to: at})
		}
	}
	slices.SortStableFunc(steps, func(a, b step) int { return int(a.to - b.to) })
	last := time.Duration(0)
	for i := range steps {
		steps[i].from, last = last, steps[i].to
	}
	steps = slices.DeleteFunc(steps, func(st step) bool { // what takes no time explains none
		d := st.to - st.from
		return d < 20*time.Microsecond && d < last/50
	})
	if len(steps) == 0 {
		return dst
	}
	const names = 22
	room := min(max(p.width-margin-names-12, 10), 60)
	longest := slices.MaxFunc(steps, func(a, b step) int { return int((a.to - a.from) - (b.to - b.from)) })
	word := "time"
	for _, st := range steps {
		d := st.to - st.from
		colour := ""
		if st == longest && last > 0 {
			colour = strong
		}
		t := took(d)
		dst = fmt.Appendf(dst, "    %s%s%s  %s\n", p.pad(word, margin-4, faint), p.pad(stageText[st.stage], names, colour),
			p.paint(colour, strings.Repeat(" ", max(8-utf8.RuneCountInString(t), 0))+t), p.paint(cyan, bar(st.from, st.to, last, room)))
		word = ""
	}
	return dst
}

// bar is a stretch of a whole as signs of an eighth of a column.
func bar(from, to, whole time.Duration, columns int) string {
	if whole <= 0 {
		return ""
	}
	scale := float64(columns) / float64(whole)
	at := min(int(float64(from)*scale), columns-1)
	eighths := int(float64(to-from)*scale*8 + 0.5)
	text := strings.Repeat(" ", at) + strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		text += string([]rune(" ▏▎▍▌▋▊▉")[rest])
	} else if eighths == 0 {
		text += "▏"
	}
	return text
}
