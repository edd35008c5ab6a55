// Package pages writes the bodies of the answers that weir gives by itself when something went wrong: a plain page
// for people, JSON for programs, or a site's own file with its placeholders filled in. It decides no status and sends
// nothing.
package pages

import (
	"bytes"
	"strconv"
	"strings"
)

// HTML and JSON are the Content-Types of what AppendHTML and AppendJSON write.
const (
	HTML = "text/html; charset=utf-8"
	JSON = "application/json"
)

// said is what a status is called (RFC 9110, section 15, and the specifications that it names) and what it means to
// someone who knows nothing of HTTP.
type said struct{ title, sentence string }

var statuses = map[int]said{
	400: {"Bad Request", "The request could not be understood."},
	401: {"Unauthorized", "You need to sign in to see this."},
	403: {"Forbidden", "You may not see this page."},
	404: {"Not Found", "There is no page at this address."},
	405: {"Method Not Allowed", "This address does not take that kind of request."},
	406: {"Not Acceptable", "There is nothing here in a form that your program accepts."},
	408: {"Request Timeout", "The request took too long to arrive."},
	409: {"Conflict", "The request does not fit what is there now."},
	410: {"Gone", "This page was here, and is gone for good."},
	411: {"Length Required", "The request does not say how long it is."},
	412: {"Precondition Failed", "What you have is no longer what is here. Reload the page."},
	413: {"Content Too Large", "What you sent is larger than this site takes."},
	414: {"URI Too Long", "The address is too long."},
	415: {"Unsupported Media Type", "This address does not take that kind of content."},
	416: {"Range Not Satisfiable", "The file is shorter than the part that was asked for."},
	417: {"Expectation Failed", "The request expects something that this site does not do."},
	421: {"Misdirected Request", "This server does not answer for that name."},
	429: {"Too Many Requests", "You have asked for a lot in a short time. Wait a moment, then try again."},
	431: {"Request Header Fields Too Large", "Your browser sent too much with the request. Clearing this site's cookies often helps."},
	500: {"Internal Server Error", "Something went wrong here. It is not your fault."},
	501: {"Not Implemented", "This server does not do what the request asks."},
	502: {"Bad Gateway", "The site gave no usable answer. Try again in a moment."},
	503: {"Service Unavailable", "The site is very busy or being worked on. Try again in a moment."},
	504: {"Gateway Timeout", "The site took too long to answer. Try again in a moment."},
	505: {"HTTP Version Not Supported", "This server does not speak that version of HTTP."},
}

// Title returns what a status is called, never "".
func Title(status int) string {
	if s, ok := statuses[status]; ok {
		return s.title
	}
	if status >= 500 {
		return "Server Error"
	}
	return "Error"
}

func sentence(status int) string {
	if s, ok := statuses[status]; ok {
		return s.sentence
	}
	if status >= 500 {
		return statuses[500].sentence
	}
	return statuses[400].sentence
}

// AppendHTML appends the page of a status. id is the request's id, which the page shows for 5xx only, where someone
// will be asked for it. It may hold anything. The detail that programs get is not on
// the page.
func AppendHTML[T []byte | string](dst []byte, status int, _ string, id T) []byte {
	dst = append(dst, pageHead...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, Title(status)...)
	dst = append(dst, pageStyle...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, "</b><h1>"...)
	dst = append(dst, Title(status)...)
	dst = append(dst, "</h1><p>"...)
	dst = append(dst, sentence(status)...)
	dst = append(dst, "</p>"...)
	if status >= 500 && len(id) > 0 {
		dst = append(dst, "<small>Request <code>"...)
		dst = appendEscaped(dst, id)
		dst = append(dst, "</code></small>"...)
	}
	return append(dst, "</main></body></html>\n"...)
}

// AppendOwn appends a site's own page: {status}, {title} and {id} stand for the status, what it is called and the
// request's id, escaped for HTML. Other braces stay as they are, since styles and scripts are full of them.
func AppendOwn[T []byte | string](dst, template []byte, status int, id T) []byte {
	for {
		i := bytes.IndexByte(template, '{')
		if i < 0 {
			return append(dst, template...)
		}
		dst = append(dst, template[:i]...)
		template = template[i:]
		switch {
		case bytes.HasPrefix(template, []byte("{status}")):
			dst, template = strconv.AppendInt(dst, int64(status), 10), template[len("{status}"):]
		case bytes.HasPrefix(template, []byte("{title}")):
			dst, template = append(dst, Title(status)...), template[len("{title}"):]
		case bytes.HasPrefix(template, []byte("{id}")):
			dst, template = appendEscaped(dst, id), template[len("{id}"):]
		default:
			dst, template = append(dst, '{'), template[1:]
		}
	}
}

// AppendJSON appends the same for programs: {"error":{"status":502,"title":…,"detail":…,"request_id":…}}. When detail is
// empty, what the page says stands there. detail and id may hold anything.
func AppendJSON[T []byte | string](dst []byte, status int, detail string, id T) []byte {
	if detail == "" {
		detail = sentence(status)
	}
	dst = append(dst, `{"error":{"status":`...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, `,"title":`...)
	dst = appendString(dst, Title(status))
	dst = append(dst, `,"detail":`...)
	dst = appendString(dst, detail)
	if len(id) > 0 {
		dst = append(dst, `,"request_id":`...)
		dst = appendString(dst, string(id))
	}
	return append(dst, "}}\n"...)
}

// appendString appends a JSON string (RFC 8259, section 7). "<" is escaped too, for what may be read as HTML.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range []byte(strings.ToValidUTF8(s, "\ufffd")) {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20 || c == '<' || c == '>' || c == '&' || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

func appendEscaped[T []byte | string](dst []byte, s T) []byte {
	for i := range len(s) {
		switch c := s[i]; c {
		case '<':
			dst = append(dst, "&lt;"...)
		case '>':
			dst = append(dst, "&gt;"...)
		case '&':
			dst = append(dst, "&amp;"...)
		case '"':
			dst = append(dst, "&#34;"...)
		case '\'':
			dst = append(dst, "&#39;"...)
		default:
			if c >= ' ' && c != 0x7f {
				dst = append(dst, c)
			}
		}
	}
	return dst
}
