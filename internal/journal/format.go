package journal

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Format is how a line is written: JSON, combined, JSON with some fields, or text with fields in it. Any goroutine may use it.
type Format struct {
	append func(dst []byte, l *Line) []byte
}

// Append appends a line, with its line feed. Whatever a client sent, it is one line, and no text of a client's passes for another
// field.
func (f *Format) Append(dst []byte, l *Line) []byte { return f.append(dst, l) }

// ParseFormat reads a format: "json", "combined", "json:" with names of fields joined by commas, or text with {FIELD} in it, where {{
// and }} stand for braces. The error says what to write.
func ParseFormat(text string) (*Format, error) {
	switch {
	case text == "json" || text == "":
		return &Format{AppendJSON}, nil
	case text == "combined":
		return &Format{AppendCombined}, nil
	case strings.HasPrefix(text, "json:"):
		return parseFields(strings.Split(text[len("json:"):], ","))
	case !strings.Contains(text, "{"):
		return nil, fmt.Errorf("%q is no format: write json, combined, a list of fields, or text with fields in it such as '{client} {status} \"{target}\"'", text)
	}
	return parseTemplate(text)
}

// field is one thing that a line can say. One of text and number is set.
type field struct {
	name   string
	text   func(l *Line) []byte
	words  func(l *Line) string
	number func(dst []byte, l *Line) []byte
	ours   bool                       // a text that no client can choose, and that has no space in it
	none   func(l *Line) bool         // it is left out of JSON
	raw    func([]byte, *Line) []byte // ours: how it is appended
}

func text(name string, of func(l *Line) []byte) field  { return field{name: name, text: of} }
func words(name string, of func(l *Line) string) field { return field{name: name, words: of} }

func integer(name string, of func(l *Line) int64) field {
	return field{name: name, number: func(dst []byte, l *Line) []byte { return strconv.AppendInt(dst, of(l), 10) }}
}

// counted is left out of JSON when it is zero.
func counted(name string, of func(l *Line) int64) field {
	f := integer(name, of)
	f.none = func(l *Line) bool { return of(l) == 0 }
	return f
}

func phase(name string, of func(l *Line) time.Duration) field {
	return field{name: name, none: func(l *Line) bool { return of(l) <= 0 }, number: func(dst []byte, l *Line) []byte { return appendMillis(dst, of(l)) }}
}

func ours(name string, f func(dst []byte, l *Line) []byte) field {
	return field{name: name, ours: true, raw: f}
}

var fields = []field{
	ours("time", func(dst []byte, l *Line) []byte { return appendRFC3339(dst, l.Time) }),
	ours("time_common", func(dst []byte, l *Line) []byte { return appendCommonTime(dst, l.Time) }),
	{name: "time_unix", number: func(dst []byte, l *Line) []byte { // seconds
		ms := max(l.Time.UnixMilli(), 0)
		return appendPadded(append(strconv.AppendInt(dst, ms/1000, 10), '.'), int(ms%1000), 3)
	}},
	ours("client", func(dst []byte, l *Line) []byte { return appendClient(dst, l.Client, "unix") }),
	text("method", func(l *Line) []byte { return l.Method }),
	text("host", func(l *Line) []byte { return l.Host }),
	text("target", func(l *Line) []byte { return l.Target }),
	text("path", func(l *Line) []byte { p, _, _ := bytes.Cut(l.Target, questionMark); return p }),
	text("query", func(l *Line) []byte { _, q, _ := bytes.Cut(l.Target, questionMark); return q }),
	words("protocol", protocolOf),
	words("scheme", func(l *Line) string { return l.Scheme }),
	integer("status", func(l *Line) int64 { return int64(l.Status) }),
	integer("out", func(l *Line) int64 { return l.Out }),
	integer("in", func(l *Line) int64 { return l.In }),
	text("id", func(l *Line) []byte { return l.ID }),
	text("referer", func(l *Line) []byte { return l.Referer }),
	text("user_agent", func(l *Line) []byte { return l.UserAgent }),
	words("listen", func(l *Line) string { return l.Listen }),
	words("name", func(l *Line) string { return l.Name }),
	words("site", func(l *Line) string { return l.Site }),
	words("route", func(l *Line) string { return l.Route }),
	words("pool", func(l *Line) string { return l.Pool }),
	words("server", func(l *Line) string { return l.Server }),
	words("cache", func(l *Line) string { return l.Cache.String() }),
	words("cache_why", func(l *Line) string { return l.Why }),
	words("session", func(l *Line) string { return l.Session.String() }),
	words("cause", func(l *Line) string { return l.Cause.String() }),
	words("detail", func(l *Line) string { return l.Detail }),
	counted("retries", func(l *Line) int64 { return int64(l.Retries) }),
	words("hedge", func(l *Line) string { return l.Hedge.String() }),
	counted("includes", func(l *Line) int64 { return int64(l.Includes) }),
	counted("includes_failed", func(l *Line) int64 { return int64(l.Failed) }),
	{name: "total_ms", number: func(dst []byte, l *Line) []byte { return appendMillis(dst, l.Total) }},
	{name: "total_s", number: func(dst []byte, l *Line) []byte { return appendSeconds(dst, l.Total) }},
	phase("queue_ms", func(l *Line) time.Duration { return l.Queue }),
	phase("connect_ms", func(l *Line) time.Duration { return l.Connect }),
	phase("first_byte_ms", func(l *Line) time.Duration { return l.FirstByte }),
	{name: "sample", none: func(l *Line) bool { return l.Sample == "" }, number: appendSample},
}

var questionMark = []byte("?")

// FormatFields returns the names that a format may have, in their order in JSON.
func FormatFields() []string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = f.name
	}
	return all
}

func protocolOf(l *Line) string {
	switch {
	case l.Listen != "":
		return "TCP"
	case l.Minor == 0:
		return "HTTP/1.0"
	case l.Minor == 1:
		return "HTTP/1.1"
	}
	return ""
}

func appendSeconds(dst []byte, d time.Duration) []byte {
	ms := max(d, 0) / time.Millisecond
	return appendPadded(append(strconv.AppendInt(dst, int64(ms/1000), 10), '.'), int(ms%1000), 3)
}

// appendSample appends the share of lines like this one that are written.
func appendSample(dst []byte, l *Line) []byte {
	if l.Sample == "" {
		return append(dst, '1')
	}
	return append(dst, l.Sample...)
}

func fieldNamed(name string) (*field, error) {
	i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
	if i < 0 {
		return nil, fmt.Errorf("no field %q: there is %s", name, strings.Join(FormatFields(), ", "))
	}
	return &fields[i], nil
}

// parseFields reads JSON with some fields.
func parseFields(names []string) (*Format, error) {
	var all []*field
	for _, name := range names {
		f, err := fieldNamed(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		if slices.Contains(all, f) {
			return nil, fmt.Errorf("the field %q is there twice: write it once", f.name)
		}
		all = append(all, f)
	}
	return &Format{func(dst []byte, l *Line) []byte {
		dst = append(dst, '{')
		for _, f := range all {
			dst = f.appendMember(dst, l)
		}
		if dst[len(dst)-1] == ',' {
			dst = dst[:len(dst)-1]
		}
		return append(dst, "}\n"...)
	}}, nil
}

// appendMember appends "name":value and a comma, or nothing where there is nothing to say.
func (f *field) appendMember(dst []byte, l *Line) []byte {
	before := len(dst)
	dst = append(append(append(dst, '"'), f.name...), '"', ':')
	switch {
	case f.number != nil:
		if f.none != nil && f.none(l) {
			return dst[:before]
		}
		dst = f.number(dst, l)
	case f.ours:
		dst = append(f.raw(append(dst, '"'), l), '"')
	case f.text != nil:
		b := f.text(l)
		if len(b) == 0 {
			return dst[:before]
		}
		dst = appendQuoted(dst, b)
	default:
		s := f.words(l)
		if s == "" {
			return dst[:before]
		}
		dst = appendQuoted(dst, s)
	}
	return append(dst, ',')
}

// piece is a part of a template: text, or a field.
type piece struct {
	literal string
	field   *field
	signs   *[256]bool // that would end the field: they are escaped in it
}

// parseTemplate reads text with fields in it. Between two fields stand signs; what of them a client sends in a field is escaped there, so
// that whoever takes the line apart at these signs finds the fields that were written. Within double quotes, only what stands in the same
// quotes counts, and spaces only where it has spaces.
func parseTemplate(text string) (*Format, error) {
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return nil, fmt.Errorf("the format has a control character in it: a line has its end anyway")
	}
	var pieces []piece
	outside := &[256]bool{' ': true, '\t': true}
	signs := outside
	for len(text) > 0 {
		i := strings.IndexAny(text, `{}"`)
		if i < 0 {
			i = len(text)
		}
		pieces = literal(pieces, text[:i], signs)
		if text = text[i:]; text == "" {
			break
		}
		switch {
		case strings.HasPrefix(text, "{{"), strings.HasPrefix(text, "}}"):
			pieces = literal(pieces, text[:1], signs)
			text = text[2:]
		case text[0] == '"':
			pieces = literal(pieces, `"`, &[256]bool{})
			if signs == outside {
				signs = &[256]bool{}
			} else {
				signs = outside
			}
			text = text[1:]
		case text[0] == '}':
			return nil, fmt.Errorf("a } without its {: write }} for the sign itself")
		default:
			end := strings.IndexByte(text, '}')
			if end < 0 {
				return nil, fmt.Errorf("a { without its }: write {{ for the sign itself")
			}
			f, err := fieldNamed(text[1:end])
			if err != nil {
				return nil, err
			}
			pieces = append(pieces, piece{field: f, signs: signs})
			text = text[end+1:]
		}
	}
	if signs != outside {
		return nil, fmt.Errorf(`a " without its counterpart`)
	}
	return &Format{func(dst []byte, l *Line) []byte {
		for i := range pieces {
			dst = pieces[i].append(dst, l)
		}
		return append(dst, '\n')
	}}, nil
}

// literal appends text to the pieces, and notes its signs.
func literal(pieces []piece, text string, signs *[256]bool) []piece {
	if text == "" {
		return pieces
	}
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			signs[c] = true
		}
	}
	if n := len(pieces); n > 0 && pieces[n-1].field == nil {
		pieces[n-1].literal += text
		return pieces
	}
	return append(pieces, piece{literal: text})
}

func (p *piece) append(dst []byte, l *Line) []byte {
	f := p.field
	switch {
	case f == nil:
		return append(dst, p.literal...)
	case f.number != nil:
		return f.number(dst, l)
	case f.ours:
		return f.raw(dst, l)
	case f.text != nil:
		b := f.text(l)
		if len(b) == 0 {
			return append(dst, '-')
		}
		return appendApart(dst, b, p.signs)
	}
	s := f.words(l)
	if s == "" {
		return append(dst, '-')
	}
	return appendApart(dst, s, p.signs)
}

// appendApart appends s with everything as \xHH that is not plain or is one of some signs.
func appendApart[T []byte | string](dst []byte, s T, signs *[256]bool) []byte {
	from := 0
	for i := range len(s) {
		c := s[i]
		if plain[c] && !signs[c] {
			continue
		}
		dst = append(dst, s[from:i]...)
		dst = append(dst, '\\', 'x', hex[c>>4], hex[c&15])
		from = i + 1
	}
	return append(dst, s[from:]...)
}

// Truncate is a client's address without what tells one client from its neighbours: the first 24 bits of it, or 48 of IPv6.
func Truncate(a netip.Addr) netip.Addr {
	if !a.IsValid() {
		return a
	}
	a = a.Unmap().WithZone("")
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil { // a prefix of these lengths always is one
		return netip.Addr{}
	}
	return p.Addr()
}
