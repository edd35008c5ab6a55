package journal

import (
	"bytes"
	"net/netip"
	"strings"
)

// Redaction says what of requests is told to nobody: no access log, no listener, and not the memory of what was slow.
type Redaction struct {
	Client    ClientRule
	Host      bool
	Query     bool // all of it, of the referer too
	Referer   bool
	UserAgent bool
	// Parameters are names of parameters of queries, whose values are left out, in the target and in the referer; * is anything. Letters
	// count in either case.
	Parameters []string
	// Paths are such as /reset/*: what stands for * is left out, in the target and the referer.
	Paths []string
}

// ClientRule says how much of a client's address is told.
type ClientRule uint8

// The rules.
const (
	ClientWhole ClientRule = iota
	ClientTruncated
	ClientHidden
)

// hidden stands where something was left out.
const hidden = "***"

// Redactor redacts the lines of one loop. Only that loop may use it.
type Redactor struct {
	rules      Redaction
	parameters [][]string // each in its parts between stars, in lower case
	paths      [][]string
	line       Line
	text       []byte
	name       []byte
	parts      []Part
}

// NewRedactor returns nil for a redaction that leaves nothing out.
func NewRedactor(r *Redaction) *Redactor {
	if r == nil || r.Client == ClientWhole && !r.Host && !r.Query && !r.Referer && !r.UserAgent && len(r.Parameters)+len(r.Paths) == 0 {
		return nil
	}
	d := &Redactor{rules: *r}
	for _, p := range r.Parameters {
		d.parameters = append(d.parameters, strings.Split(strings.ToLower(p), "*"))
	}
	for _, p := range r.Paths {
		d.paths = append(d.paths, strings.Split(p, "*"))
	}
	return d
}

// Show returns the line as it may be told. It is good until the next call. A nil redactor shows all.
func (d *Redactor) Show(l *Line) *Line {
	if d == nil {
		return l
	}
	d.line = *l
	out := &d.line
	switch {
	case d.rules.Client == ClientTruncated:
		out.Client = Truncate(l.Client)
	case d.rules.Client == ClientHidden && l.Client.IsValid():
		out.Client = netip.IPv4Unspecified()
	}
	if d.rules.Host {
		out.Host, out.Name = nil, ""
	}
	if d.rules.Referer {
		out.Referer = nil
	}
	if d.rules.UserAgent {
		out.UserAgent = nil
	}
	d.text = d.text[:0]
	out.Target = d.address(l.Target, 0)
	out.Referer = d.address(out.Referer, pathOf(out.Referer))
	d.parts = append(d.parts[:0], l.Parts...)
	for i := range d.parts {
		d.parts[i].Target = d.address(d.parts[i].Target, 0)
	}
	out.Parts = d.parts
	return out
}

// pathOf is where the path of an absolute address begins.
func pathOf(s []byte) int {
	i := bytes.Index(s, []byte("://"))
	if i < 0 {
		return 0
	}
	if k := bytes.IndexByte(s[i+3:], '/'); k >= 0 {
		return i + 3 + k
	}
	return len(s)
}

// address redacts an address whose path begins at from.
func (d *Redactor) address(s []byte, from int) []byte {
	begin := len(d.text)
	path, query, has := bytes.Cut(s, questionMark)
	if from > len(path) {
		from = len(path)
	}
	d.text = append(d.text, path[:from]...)
	d.path(path[from:])
	switch {
	case !has:
	case d.rules.Query:
		d.text = append(d.text, "?"+hidden...)
	default:
		d.text = append(d.text, '?')
		d.query(query)
	}
	return d.text[begin:len(d.text):len(d.text)]
}

// path appends a path; what stands for a star of the first pattern that it meets is left out.
func (d *Redactor) path(path []byte) {
	for _, parts := range d.paths {
		if !alike(path, parts) {
			continue
		}
		for i, part := range parts {
			if i > 0 {
				d.text = append(d.text, hidden...)
			}
			d.text = append(d.text, part...)
		}
		return
	}
	d.text = append(d.text, path...)
}

// query appends a query without the values that are not to be told. Either separator counts, whichever the app goes by.
func (d *Redactor) query(query []byte) {
	for len(query) > 0 {
		i := bytes.IndexAny(query, "&;")
		if i < 0 {
			i = len(query)
		}
		pair := query[:i]
		if eq := bytes.IndexByte(pair, '='); eq >= 0 && d.secret(pair[:eq]) {
			d.text = append(append(d.text, pair[:eq+1]...), hidden...)
		} else {
			d.text = append(d.text, pair...)
		}
		if i < len(query) {
			d.text = append(d.text, query[i])
			i++
		}
		query = query[i:]
	}
}

// secret reports whether a parameter's value is not to be told. The name is read as an app reads it: %XX and + are what they stand for.
func (d *Redactor) secret(name []byte) bool {
	if len(d.parameters) == 0 {
		return false
	}
	d.name = d.name[:0]
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(name) && unhex(name[i+1]) < 16 && unhex(name[i+2]) < 16:
			c = unhex(name[i+1])<<4 | unhex(name[i+2])
			i += 2
		}
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		d.name = append(d.name, c)
	}
	d.name = bytes.TrimLeft(d.name, " ") // PHP's apps do not see these
	for _, parts := range d.parameters {
		if alike(d.name, parts) {
			return true
		}
	}
	return false
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}

// alike reports whether s is the parts with anything between them.
func alike(s []byte, parts []string) bool {
	if len(parts) == 1 {
		return string(s) == parts[0]
	}
	first, last := parts[0], parts[len(parts)-1]
	if len(s) < len(first)+len(last) || string(s[:len(first)]) != first || string(s[len(s)-len(last):]) != last {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, p := range parts[1 : len(parts)-1] {
		i := indexOf(s, p)
		if i < 0 {
			return false
		}
		s = s[i+len(p):]
	}
	return true
}

// indexOf is bytes.Index of a string.
func indexOf(s []byte, part string) int {
	for i := 0; i+len(part) <= len(s); i++ {
		if string(s[i:i+len(part)]) == part {
			return i
		}
	}
	return -1
}
