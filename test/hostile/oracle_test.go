package hostile

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// This is a second reading of RFC 9112, written for these tests alone and as narrow as can be: a message that it takes
// has one meaning for everybody. Nothing of internal/http1 is used, so that weir does not judge itself.

var (
	errShort = errors.New("the message does not end")
	errEmpty = errors.New("nothing is there")
)

// A request as a server behind weir sees it.
type request struct {
	method, target string
	fields         []field
	body           string
}

type field struct{ name, value string }

func (r *request) all(name string) (values []string) { return valuesOf(r.fields, name) }

func valuesOf(fields []field, name string) (values []string) {
	for _, f := range fields {
		if strings.EqualFold(f.name, name) {
			values = append(values, f.value)
		}
	}
	return values
}

// String is how rows write a request: "GET /x" and, behind a bar, its body.
func (r *request) String() string {
	if r.body != "" {
		return r.method + " " + r.target + " | " + r.body
	}
	return r.method + " " + r.target
}

const tokenBytes = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func isToken(s string) bool { return s != "" && strings.Trim(s, tokenBytes) == "" }

// splitHead returns the lines of a head and what stands behind it.
func splitHead(b []byte) (lines []string, rest []byte, err error) {
	for {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			if len(b) == 0 && len(lines) == 0 {
				return nil, nil, errEmpty
			}
			return lines, nil, errShort
		}
		if end == 0 || b[end-1] != '\r' {
			return nil, nil, fmt.Errorf("a line ends in a bare LF: %q", b[:end+1])
		}
		line := string(b[:end-1])
		b = b[end+1:]
		if line == "" {
			return lines, b, nil
		}
		for i := range len(line) {
			if c := line[i]; c < ' ' && c != '\t' || c == 0x7f {
				return nil, nil, fmt.Errorf("the control character %#x in %q", c, line)
			}
		}
		lines = append(lines, line)
	}
}

func splitFields(lines []string) (fields []field, err error) {
	for _, l := range lines {
		name, value, ok := strings.Cut(l, ":")
		if !ok || !isToken(name) {
			return nil, fmt.Errorf("no field line: %q", l)
		}
		fields = append(fields, field{name, strings.Trim(value, " \t")})
	}
	return fields, nil
}

// parseRequest reads the request at the front of b. errEmpty: none begins there; errShort: it is not whole.
func parseRequest(b []byte) (r *request, rest []byte, err error) {
	lines, rest, err := splitHead(b)
	if err != nil {
		if err == errShort && len(lines) > 1 { // for whom it is can be told already
			fields, _ := splitFields(lines[1:])
			return &request{fields: fields}, nil, err
		}
		return nil, nil, err
	}
	if len(lines) == 0 {
		return nil, nil, errors.New("an empty line before the request")
	}
	part := strings.Split(lines[0], " ")
	if len(part) != 3 || !isToken(part[0]) || part[2] != "HTTP/1.1" {
		return nil, nil, fmt.Errorf("no request line: %q", lines[0])
	}
	r = &request{method: part[0], target: part[1]}
	if !strings.HasPrefix(r.target, "/") && r.target != "*" {
		return nil, nil, fmt.Errorf("the target is not in origin form: %q", lines[0])
	}
	for i := range len(r.target) {
		if c := r.target[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return nil, nil, fmt.Errorf("the byte %#x in a target: %q", c, lines[0])
		}
	}
	if r.fields, err = splitFields(lines[1:]); err != nil {
		return nil, nil, err
	}
	if hosts := r.all("Host"); len(hosts) != 1 || strings.ContainsAny(hosts[0], " \t,/\\@?#%") {
		return r, nil, fmt.Errorf("its hosts: %q", hosts)
	}
	r.body, _, rest, err = readBody(r.fields, rest, false)
	return r, rest, err
}

// readBody takes a body off the front of b by what the fields say, and only if they say it in one way.
func readBody(fields []field, b []byte, untilClose bool) (body string, framed bool, rest []byte, err error) {
	lengths, codings := valuesOf(fields, "Content-Length"), valuesOf(fields, "Transfer-Encoding")
	for _, f := range fields {
		// A name that some program takes for a framing field.
		plain := strings.ToLower(strings.Trim(strings.NewReplacer("_", "-", ".", "-", "~", "-").Replace(f.name), "-"))
		if (plain == "content-length" || plain == "transfer-encoding") && !strings.EqualFold(plain, f.name) {
			return "", false, nil, fmt.Errorf("a disguised framing field: %q", f.name)
		}
	}
	switch {
	case len(lengths)+len(codings) == 0 && untilClose:
		return string(b), false, nil, nil
	case len(lengths)+len(codings) == 0:
		return "", false, b, nil
	case len(lengths)+len(codings) > 1:
		return "", false, nil, fmt.Errorf("more than one framing: %q %q", lengths, codings)
	case len(codings) == 1:
		if codings[0] != "chunked" {
			return "", false, nil, fmt.Errorf("Transfer-Encoding: %q", codings[0])
		}
		body, rest, err = readChunks(b)
		return body, true, rest, err
	}
	n, err := number(lengths[0], 10)
	if err != nil {
		return "", false, nil, fmt.Errorf("Content-Length: %w", err)
	}
	if n > len(b) {
		return string(b), true, nil, errShort
	}
	return string(b[:n]), true, b[n:], nil
}

// number reads digits of a base, without signs, spaces or leading zeros.
func number(s string, base int) (n int, err error) {
	digits := "0123456789abcdef"[:base]
	if s == "" || strings.Trim(s, digits) != "" || len(s) > 9 || len(s) > 1 && s[0] == '0' {
		return 0, fmt.Errorf("%q is no number", s)
	}
	for i := range len(s) {
		n = n*base + strings.IndexByte(digits, s[i])
	}
	return n, nil
}

// readChunks takes chunks without extensions and trailers of plain field lines.
func readChunks(b []byte) (body string, rest []byte, err error) {
	var data []byte
	defer func() { body = string(data) }()
	for {
		end := bytes.Index(b, []byte("\r\n"))
		if end < 0 {
			return "", nil, errShort
		}
		n, err := number(string(b[:end]), 16)
		if err != nil {
			return "", nil, fmt.Errorf("chunk size: %w", err)
		}
		b = b[end+2:]
		if n == 0 {
			break
		}
		if len(b) < n+2 {
			data = append(data, b[:min(n, len(b))]...)
			return "", nil, errShort
		}
		if string(b[n:n+2]) != "\r\n" {
			return "", nil, fmt.Errorf("a chunk ends in %q", b[n:n+2])
		}
		data, b = append(data, b[:n]...), b[n+2:]
	}
	lines, rest, err := splitHead(b)
	if err == errEmpty {
		err = errShort
	}
	if err == nil {
		_, err = splitFields(lines)
	}
	return "", rest, err
}

// A response as a client of weir sees it.
type response struct {
	status int
	fields []field
	body   string
	framed bool // its end was told, so that it is known to be whole
}

func (r *response) String() string {
	if r == nil {
		return "nothing"
	}
	return fmt.Sprintf("%d %q %.100q", r.status, r.fields, r.body)
}

// parseResponse reads the response at the front of b, the answer to a method.
func parseResponse(b []byte, method string) (r *response, rest []byte, err error) {
	lines, rest, err := splitHead(b)
	if err != nil {
		return nil, nil, err
	}
	if len(lines) == 0 || len(lines[0]) < 13 || !strings.HasPrefix(lines[0], "HTTP/1.1 ") || lines[0][12] != ' ' {
		return nil, nil, fmt.Errorf("no status line: %q", lines)
	}
	r = &response{}
	if r.status, err = number(lines[0][9:12], 10); err != nil {
		return nil, nil, err
	}
	if r.fields, err = splitFields(lines[1:]); err != nil {
		return nil, nil, err
	}
	if method == "HEAD" || r.status < 200 || r.status == 204 || r.status == 304 {
		r.framed = true
		return r, rest, nil
	}
	r.body, r.framed, rest, err = readBody(r.fields, rest, true)
	return r, rest, err
}

// parseResponses reads the final responses to the methods; interim ones are passed over. What is left is returned.
func parseResponses(b []byte, methods []string) (all []*response, rest []byte, err error) {
	for i := 0; i < len(methods); {
		r, rest, err := parseResponse(b, methods[i])
		if r != nil && r.status >= 200 {
			all = append(all, r)
			i++
		}
		if err != nil {
			return all, b, err
		}
		b = rest
	}
	return all, b, nil
}

// hopByHop are the fields that speak of one connection: no server gets the client's.
var hopByHop = []string{"Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate", "Trailer", "HTTP2-Settings", "Expect"}

// forwarded judges what weir says in a request, and returns the client's address in it.
func (r *request) forwarded() (client string, err error) {
	once := func(name string) (value string) {
		all := r.all(name)
		if len(all) != 1 {
			err = errors.Join(err, fmt.Errorf("%s: %q", name, all))
			return ""
		}
		return all[0]
	}
	client = once("X-Forwarded-For")
	for _, name := range []string{"X-Forwarded-Proto", "X-Forwarded-Host", "Via", "X-Request-ID"} {
		once(name)
	}
	if strings.ContainsAny(client, ", ") {
		err = errors.Join(err, fmt.Errorf("X-Forwarded-For: %q", client))
	}
	for _, name := range hopByHop {
		if v := r.all(name); v != nil && (name != "Expect" || !slices.Equal(v, []string{"100-continue"})) {
			err = errors.Join(err, fmt.Errorf("%s: %q", name, v))
		}
	}
	for _, v := range r.all("Connection") {
		if v != "upgrade" && v != "TE" {
			err = errors.Join(err, fmt.Errorf("Connection: %q", v))
		}
	}
	for _, v := range r.all("Upgrade") {
		if !strings.EqualFold(v, "websocket") {
			err = errors.Join(err, fmt.Errorf("Upgrade: %q", v))
		}
	}
	return client, err
}
