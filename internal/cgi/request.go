// Package cgi is the form in which programs behind a gateway see a request, and answer it: variables, and a head of fields
// (RFC 3875). CGI itself, FastCGI, SCGI and uwsgi have it in common; how the variables travel is their own packages' affair. It
// does no I/O and starts no process.
package cgi

import (
	"bytes"

	"github.com/weirhq/weir/internal/message"
)

// Var is one variable. The slices are views into what it was made from.
type Var struct{ Name, Value []byte }

// Script is the program that a path names. All may be empty.
type Script struct {
	Root string // the directory that paths begin at
	File string // the program's file
	Name []byte // the part of the path that names the program, decoded; it begins with a slash if there is one
	Info []byte // the rest of the path, decoded
}

// Gateway is what the program is told beside what the request itself says.
type Gateway struct {
	Scheme     string // "http" or "https"
	Minor      uint8  // of the client's HTTP/1.x
	Client     []byte // the address of who asks
	ClientPort []byte // empty: not known
	Script     Script
}

// Request makes variables. It is to be used again: it keeps its memory. The zero value is ready.
type Request struct {
	fields []message.Field
	text   []byte // names and joined values
	vars   []Var
}

// Vars makes the variables of a request. head is its head in the form of HTTP/1.1, made by weir itself: well-formed, one Host, the
// length of a body in Content-Length. The variables live until the next call, or as long as head and g.
//
// A field whose name has anything but letters, digits and "-" in it is left out: as a variable it could not be told from
// another. So is Proxy, which programs would take for the environment's HTTP_PROXY (CVE-2016-5385), and what speaks of the
// connection. Lines of one name become one value (section 4.1.18).
func (r *Request) Vars(head []byte, g *Gateway) []Var {
	r.vars, r.text = r.vars[:0], r.text[:0]
	method, target := r.split(head)
	path, query, _ := bytes.Cut(target, []byte("?"))
	host := r.value(message.Host)
	name, port := splitPort(host)
	if len(port) == 0 {
		port = port80
		if g.Scheme == "https" {
			port = port443
		}
	}
	// SCGI wants the length first, and there at any rate.
	length := r.value(message.ContentLength)
	if len(length) == 0 {
		length = zero
	}
	r.add("CONTENT_LENGTH", length)
	r.add("REQUEST_METHOD", method)
	r.add("QUERY_STRING", query)
	r.add("CONTENT_TYPE", r.value(message.ContentType))
	r.add("REQUEST_URI", target)
	r.script(&g.Script, path)
	r.add("SERVER_PROTOCOL", protocols[min(g.Minor, 1)])
	r.addText("REQUEST_SCHEME", g.Scheme)
	if g.Scheme == "https" {
		r.add("HTTPS", on)
	}
	r.add("GATEWAY_INTERFACE", gateway)
	r.add("SERVER_SOFTWARE", software)
	r.add("SERVER_NAME", name)
	r.add("SERVER_PORT", port)
	r.add("REMOTE_ADDR", g.Client)
	if len(g.ClientPort) > 0 {
		r.add("REMOTE_PORT", g.ClientPort)
	}
	for i := range r.fields {
		r.field(i)
	}
	return r.vars
}

var (
	port80, port443 = []byte("80"), []byte("443")
	zero, on        = []byte("0"), []byte("on")
	protocols       = [2][]byte{[]byte("HTTP/1.0"), []byte("HTTP/1.1")}
	gateway         = []byte("CGI/1.1")
	software        = []byte("weir")
	status200       = []byte("200")
)

func (r *Request) add(name string, value []byte) {
	r.vars = append(r.vars, Var{r.keep(name), value})
}

func (r *Request) addText(name, value string) {
	r.vars = append(r.vars, Var{r.keep(name), r.keep(value)})
}

// keep copies a text. What was kept before stays where it is, in memory that grows away from under it or not.
func (r *Request) keep(text string) []byte {
	from := len(r.text)
	r.text = append(r.text, text...)
	return r.text[from:len(r.text):len(r.text)]
}

// script adds what says which program is asked, and where its files are.
func (r *Request) script(s *Script, path []byte) {
	name, info := s.Name, s.Info
	if s.File == "" && len(name)+len(info) == 0 {
		info = path
	}
	r.add("SCRIPT_NAME", name)
	r.add("PATH_INFO", info)
	from := len(r.text)
	r.text = append(append(r.text, name...), info...)
	r.vars = append(r.vars, Var{r.keep("DOCUMENT_URI"), r.text[from : from+len(name)+len(info)]})
	if s.Root != "" {
		r.addText("DOCUMENT_ROOT", s.Root)
	}
	if s.File != "" {
		r.addText("SCRIPT_FILENAME", s.File)
		r.add("REDIRECT_STATUS", status200) // php-cgi answers nobody without it
	}
	if s.Root != "" && len(s.Info) > 0 {
		from := len(r.text)
		r.text = append(append(r.text, s.Root...), s.Info...)
		r.vars = append(r.vars, Var{r.keep("PATH_TRANSLATED"), r.text[from : from+len(s.Root)+len(s.Info)]})
	}
}

// field adds the variable of a field, unless it was added with an earlier line of the same name.
func (r *Request) field(i int) {
	f := &r.fields[i]
	if !passes(f) {
		return
	}
	for k := range i {
		if message.EqualFold(r.fields[k].Name, f.Name) {
			return
		}
	}
	value := f.Value
	for k := i + 1; k < len(r.fields); k++ {
		if !message.EqualFold(r.fields[k].Name, f.Name) {
			continue
		}
		from := len(r.text)
		r.text = append(r.text, value...)
		if f.ID == message.Cookie {
			r.text = append(r.text, "; "...) // RFC 6265bis, section 5.8.3: of cookies a comma would be a part
		} else {
			r.text = append(r.text, ", "...)
		}
		r.text = append(r.text, r.fields[k].Value...)
		value = r.text[from:]
	}
	from := len(r.text)
	r.text = append(r.text, "HTTP_"...)
	for _, c := range f.Name {
		switch {
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case c == '-':
			c = '_'
		}
		r.text = append(r.text, c)
	}
	r.vars = append(r.vars, Var{r.text[from:len(r.text):len(r.text)], value})
}

// passes reports whether a field becomes a variable.
func passes(f *message.Field) bool {
	switch f.ID {
	case message.ContentLength, message.ContentType, message.Connection, message.KeepAlive, message.ProxyConnection, message.TE,
		message.Trailer, message.TransferEncoding, message.Upgrade, message.Expect, message.ProxyAuthorization:
		return false
	case message.Other:
	default:
		return true
	}
	for _, c := range f.Name {
		if c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return !message.EqualFold(f.Name, "Proxy")
}

// split takes the head apart.
func (r *Request) split(head []byte) (method, target []byte) {
	r.fields = r.fields[:0]
	line, rest, _ := bytes.Cut(head, crlf)
	method, target, _ = bytes.Cut(line, []byte(" "))
	if i := bytes.LastIndexByte(target, ' '); i >= 0 {
		target = target[:i]
	}
	for {
		line, rest, _ = bytes.Cut(rest, crlf)
		if len(line) == 0 {
			return method, target
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		r.fields = append(r.fields, message.Field{ID: message.Lookup(name), Name: name, Value: trim(value)})
	}
}

var crlf = []byte("\r\n")

func (r *Request) value(id message.ID) []byte {
	for i := range r.fields {
		if r.fields[i].ID == id {
			return r.fields[i].Value
		}
	}
	return nil
}

func splitPort(host []byte) (name, port []byte) {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
		return host[:i], host[i+1:]
	}
	return host, nil
}

// AppendDecoded appends a path with its percent-encoding taken off. False when what comes out is not one path for everybody: it
// has a NUL in it, which ends texts of C, or segments that climb ("/..") or stand ("/.") behind what was encoded.
func AppendDecoded(dst, path []byte) ([]byte, bool) {
	from := len(dst)
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' && i+2 < len(path) {
			h, ok1 := hex(path[i+1])
			l, ok2 := hex(path[i+2])
			if !ok1 || !ok2 {
				return dst[:from], false
			}
			c = h<<4 | l
			i += 2
		}
		if c == 0 {
			return dst[:from], false
		}
		dst = append(dst, c)
	}
	if climbs(dst[from:]) {
		return dst[:from], false
	}
	return dst, true
}

func hex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}

// climbs reports whether a decoded path has a dot segment. A backslash counts as a slash: some programs take it for one.
func climbs(path []byte) bool {
	for len(path) > 0 {
		i := bytes.IndexAny(path, `/\`)
		segment := path
		if i >= 0 {
			segment, path = path[:i], path[i+1:]
		} else {
			path = nil
		}
		if string(segment) == "." || string(segment) == ".." {
			return true
		}
	}
	return false
}

// Split returns where in a decoded path the name of the program ends: behind the first segment that ends in one of the
// extensions. -1: no segment does.
func Split(path []byte, extensions []string) int {
	for i := 0; i < len(path); {
		end := len(path)
		if k := bytes.IndexByte(path[i+1:], '/'); k >= 0 {
			end = i + 1 + k
		}
		for _, e := range extensions {
			if s := path[i:end]; len(s) > len(e)+1 && string(s[len(s)-len(e):]) == e {
				return end
			}
		}
		i = end
	}
	return -1
}
