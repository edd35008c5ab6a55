package filter

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/journal"
)

// field is what a comparison can be about.
type field struct {
	example string // what a value looks like, with the article
	compile func(op, value string) (m match, wrong string)
}

// wrongOperator begins the errors that are about the operator, not about the value.
const wrongOperator = "cannot be compared so: "

var fields = map[string]field{
	"status":     {"a status such as 404 or a class such as 5xx", status},
	"time":       durationField(func(l *journal.Line) time.Duration { return l.Total }),
	"queue":      durationField(func(l *journal.Line) time.Duration { return l.Queue }),
	"connect":    durationField(func(l *journal.Line) time.Duration { return l.Connect }),
	"first_byte": durationField(func(l *journal.Line) time.Duration { return l.FirstByte }),
	"out":        sizeField(func(l *journal.Line) int64 { return l.Out }),
	"in":         sizeField(func(l *journal.Line) int64 { return l.In }),
	"retries":    sizeField(func(l *journal.Line) int64 { return int64(l.Retries) }),
	"method":     bytesField("a method such as POST", func(l *journal.Line) []byte { return l.Method }),
	"host":       bytesField("a host such as www.example.com or *.example.com", func(l *journal.Line) []byte { return l.Host }),
	"target":     bytesField("a path with its query such as /search?*", func(l *journal.Line) []byte { return l.Target }),
	"path":       bytesField("a path such as /admin/*", path),
	"id":         bytesField("a request's id", func(l *journal.Line) []byte { return l.ID }),
	"user_agent": bytesField("a part of the program's name, such as *bot*", func(l *journal.Line) []byte { return l.UserAgent }),
	"referer":    bytesField("an address such as https://example.com/*", func(l *journal.Line) []byte { return l.Referer }),
	"scheme":     textField("http or https", func(l *journal.Line) string { return l.Scheme }),
	"site":       textField("the first host of a site", func(l *journal.Line) string { return l.Site }),
	"route":      textField("a route's name", func(l *journal.Line) string { return l.Route }),
	"pool":       textField("a pool's name", func(l *journal.Line) string { return l.Pool }),
	"server":     textField("a server such as web/1 or 10.0.0.5:8080", func(l *journal.Line) string { return l.Server }),
	"why":        textField("why the cache did what it did, as in Cache-Status, such as hit-for-miss", func(l *journal.Line) string { return l.Why }),
	"detail":     textField("a rule or a limit, such as *length*", func(l *journal.Line) string { return l.Detail }),
	"listen":     textField("an address of tcp: such as :5432", func(l *journal.Line) string { return l.Listen }),
	"name":       textField("the name in a TLS hello", func(l *journal.Line) string { return l.Name }),
	"slow":       yesField(func(l *journal.Line) bool { return l.Slow }),
	"failed":     yesField(func(l *journal.Line) bool { return l.Failure }),
	"client":     {"an address or a network such as 10.0.0.0/8", client},
	"cache":      wordField(journal.CacheWords(), func(l *journal.Line) string { return l.Cache.String() }),
	"cause":      wordField(journal.Causes(), func(l *journal.Line) string { return l.Cause.String() }),
	"session":    wordField(journal.SessionWords(), func(l *journal.Line) string { return l.Session.String() }),
	"hedge":      wordField(journal.HedgeWords(), func(l *journal.Line) string { return l.Hedge.String() }),
}

// Fields returns the names of all fields, sorted.
func Fields() []string { return slices.Sorted(maps.Keys(fields)) }

func fieldNames() string { return strings.Join(Fields(), ", ") }

// path is the target without its query.
func path(l *journal.Line) []byte {
	p, _, _ := bytes.Cut(l.Target, []byte("?"))
	return p
}

func compare(op string, c int) bool {
	switch op {
	case "=", "==":
		return c == 0
	case "!=":
		return c != 0
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	}
	return c >= 0
}

// ordered is a comparison of numbers.
func ordered(op string, want int64, of func(*journal.Line) int64) (match, string) {
	if strings.HasSuffix(op, "~") {
		return nil, wrongOperator + "it is a number, write = != < <= > or >="
	}
	return func(l *journal.Line) bool {
		switch got := of(l); {
		case got < want:
			return compare(op, -1)
		case got > want:
			return compare(op, 1)
		}
		return compare(op, 0)
	}, ""
}

func status(op, value string) (match, string) {
	of := func(l *journal.Line) int64 { return int64(l.Status) }
	if len(value) == 3 && strings.EqualFold(value[1:], "xx") && value[0] >= '1' && value[0] <= '5' {
		if op != "=" && op != "==" && op != "!=" {
			return nil, wrongOperator + "a class of statuses is equal or not, write = or !="
		}
		return ordered(op, int64(value[0]-'0'), func(l *journal.Line) int64 { return int64(l.Status / 100) })
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > 999 {
		return nil, fmt.Sprintf("%q is no status: write one such as 404, or a class such as 5xx", value)
	}
	return ordered(op, int64(n), of)
}

func durationField(of func(*journal.Line) time.Duration) field {
	const example = "a time such as 250ms or 2s"
	return field{example, func(op, value string) (match, string) {
		d, err := time.ParseDuration(value)
		if err != nil || d < 0 {
			return nil, fmt.Sprintf("%q is no time: write %s", value, example)
		}
		return ordered(op, int64(d), func(l *journal.Line) int64 { return int64(of(l)) })
	}}
}

var units = []struct {
	name string
	size int64
}{{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"b", 1}, {"", 1}}

func sizeField(of func(*journal.Line) int64) field {
	const example = "a number, or a size such as 10KiB"
	return field{example, func(op, value string) (match, string) {
		text, unit := strings.ToLower(value), int64(1)
		for _, u := range units {
			if rest, ok := strings.CutSuffix(text, u.name); ok {
				text, unit = rest, u.size
				break
			}
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 || n > 1<<40 {
			return nil, fmt.Sprintf("%q is no size: write %s", value, example)
		}
		return ordered(op, n*unit, of)
	}}
}

// textual compiles a comparison of texts. same has one decide that is equal, or with * for anything; regular by an expression.
func textual(op, value string, same func(value string) match, regular func(*regexp.Regexp) match) (match, string) {
	var m match
	switch op {
	case "~", "!~":
		re, err := regexp.Compile(value)
		if err != nil {
			return nil, fmt.Sprintf("%q is no regular expression: %s", value, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		}
		m = regular(re)
	case "=", "==", "!=":
		m = same(value)
	default:
		return nil, wrongOperator + "it is a text, write = != ~ or !~"
	}
	if op[0] == '!' {
		in := m
		m = func(l *journal.Line) bool { return !in(l) }
	}
	return m, ""
}

func bytesField(example string, of func(*journal.Line) []byte) field {
	return field{example, func(op, value string) (match, string) {
		return textual(op, value, func(value string) match {
			if parts := bytes.Split([]byte(value), []byte("*")); len(parts) > 1 {
				return func(l *journal.Line) bool { return globs(of(l), parts, bytes.Index) }
			}
			return func(l *journal.Line) bool { return string(of(l)) == value }
		}, func(re *regexp.Regexp) match {
			return func(l *journal.Line) bool {
				text := of(l)
				return re.Match(text[:min(len(text), maxText)])
			}
		})
	}}
}

func textField(example string, of func(*journal.Line) string) field {
	return field{example, func(op, value string) (match, string) {
		return textual(op, value, func(value string) match {
			if parts := strings.Split(value, "*"); len(parts) > 1 {
				return func(l *journal.Line) bool { return globs(of(l), parts, strings.Index) }
			}
			return func(l *journal.Line) bool { return of(l) == value }
		}, func(re *regexp.Regexp) match {
			return func(l *journal.Line) bool {
				text := of(l)
				return re.MatchString(text[:min(len(text), maxText)])
			}
		})
	}}
}

// yesField is what is so or is not.
func yesField(of func(*journal.Line) bool) field {
	return field{"yes or no", func(op, value string) (match, string) {
		if op != "=" && op != "==" && op != "!=" {
			return nil, wrongOperator + "it is so or is not, write = or !="
		}
		if value != "yes" && value != "no" {
			return nil, fmt.Sprintf("%q is neither: write yes or no", value)
		}
		want := (value == "yes") == (op != "!=")
		return func(l *journal.Line) bool { return of(l) == want }, ""
	}}
}

// wordField is one of a few known words, or none.
func wordField(words []string, of func(*journal.Line) string) field {
	example := "one of " + strings.Join(words, ", ")
	return field{example, func(op, value string) (match, string) {
		if op != "~" && op != "!~" && value != "" && !strings.Contains(value, "*") && !slices.Contains(words, value) {
			return nil, fmt.Sprintf("no such word %q: write %s", value, example)
		}
		return textField(example, of).compile(op, value)
	}}
}

func client(op, value string) (match, string) {
	if op != "=" && op != "==" && op != "!=" {
		return nil, wrongOperator + "it is an address, write = or !="
	}
	p, err := netip.ParsePrefix(value)
	if err != nil {
		a, aerr := netip.ParseAddr(value)
		if aerr != nil {
			return nil, fmt.Sprintf("%q is no address: write one, or a network such as 10.0.0.0/8", value)
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p.Addr().Is4In6() {
		p = netip.PrefixFrom(p.Addr().Unmap(), max(p.Bits()-96, 0))
	}
	is := op != "!="
	return func(l *journal.Line) bool { return p.Contains(l.Client.Unmap().WithZone("")) == is }, ""
}

// globs reports whether s is the parts with anything between them. There are two or more. Each is found once, as early as may
// be, in time that grows with the text alone.
func globs[T string | []byte](s T, parts []T, index func(s, part T) int) bool {
	first, last := parts[0], parts[len(parts)-1]
	if len(s) < len(first)+len(last) || string(s[:len(first)]) != string(first) || string(s[len(s)-len(last):]) != string(last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, p := range parts[1 : len(parts)-1] {
		i := index(s, p)
		if i < 0 {
			return false
		}
		s = s[i+len(p):]
	}
	return true
}
