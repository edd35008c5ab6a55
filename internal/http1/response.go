package http1

import (
	"github.com/weirhq/weir/internal/message"
)

// ParseResponse parses the response head at the start of b, the answer to a request with the method to. n is its length
// with the blank line; when n is 0 and err nil the head is not complete: call again with the same bytes and more. The
// slices of resp are views into b[:n], which is not rewritten. Every error has the status 502.
//
// Interim responses (1xx) are parsed like any other: they have no body, and another head follows but for 101. A response
// without a body by its status that has Content-Length or Transfer-Encoding all the same loses these fields, and its
// connection is not kept.
func ParseResponse(b []byte, to message.Method, resp *message.Response, lim *Limits) (n int, err *Error) {
	fields := resp.Fields
	fields.Reset()
	*resp = message.Response{Fields: fields}

	n, f := parseResponse(b, to, resp, lim)
	if f != none {
		return 0, f.ofResponse()
	}
	return n, nil
}

func parseResponse(b []byte, to message.Method, resp *message.Response, lim *Limits) (int, fault) {
	b = b[:min(len(b), lim.Head)]
	var s section
	i, f := statusLine(b, resp)
	if f == none {
		i, f = s.lines(b, i, lim.Fields, &resp.Fields)
	}
	if f == more && len(b) == lim.Head {
		return 0, headTooLarge
	}
	if f != none {
		return 0, f
	}
	return i, frame(to, resp, &s)
}

// statusLine parses "HTTP-version SP status-code SP [ reason-phrase ] CRLF" (RFC 9112, section 4). The second space may
// be missing when there is no reason: many servers leave it out.
func statusLine(b []byte, resp *message.Response) (int, fault) {
	minor, i, f := version(b, 0, false)
	if f != none {
		return 0, f
	}
	resp.Minor = minor
	for k := range 4 {
		if i+k == len(b) {
			return 0, more
		}
		c := b[i+k]
		if k == 0 && c == ' ' || k > 0 && isDigit(c) {
			continue
		}
		if c == '\n' {
			return 0, bareLF
		}
		return 0, badStatusLine
	}
	resp.Status = int(b[i+1]-'0')*100 + int(b[i+2]-'0')*10 + int(b[i+3]-'0')
	if resp.Status < 100 || resp.Status > 599 {
		return 0, badStatus // RFC 9110, section 15
	}
	i += 4
	if i == len(b) {
		return 0, more
	}
	if b[i] != ' ' {
		if b[i] == '\n' {
			return 0, bareLF
		}
		if b[i] != '\r' {
			return 0, badStatusLine
		}
		return endOfLine(b, i)
	}
	i++
	from := i
	for {
		if i = control(b, i); i == len(b) {
			return 0, more
		}
		if b[i] != '\t' {
			break
		}
		i++
	}
	if b[i] != '\r' {
		if b[i] == '\n' {
			return 0, bareLF
		}
		return 0, badReason
	}
	resp.Reason = b[from:i:i]
	return endOfLine(b, i)
}

// frame decides how the body ends (RFC 9112, section 6.3) and whether the connection is kept.
func frame(to message.Method, resp *message.Response, s *section) (f fault) {
	resp.Body, resp.Length, f = s.framing(resp.Minor)
	if f != none {
		return f
	}
	framed := s.lengths+s.codings > 0
	if !framed {
		resp.Body = message.UntilClose
	}
	keep := true
	switch {
	case resp.Status < 200, resp.Status == 204:
		// RFC 9112, section 6.1 and RFC 9110, section 8.6: these fields must not be here. A server that sends them may
		// well send the body too, so nothing after this head can be trusted.
		if framed {
			keep = resp.Body == message.ByLength && resp.Length == 0
			resp.Fields.Del(message.ContentLength)
			resp.Fields.Del(message.TransferEncoding)
		}
		resp.Body, resp.Length = message.NoBody, 0
	case resp.Status == 304, to == message.HEAD:
		// Here they tell what a GET would have got.
		resp.Body, resp.Length = message.NoBody, 0
	case resp.Body == message.ByLength && resp.Length == 0:
		resp.Body = message.NoBody
	case resp.Body == message.UntilClose:
		keep = false
	}
	var o options
	if s.connections > 0 {
		if o, f = connection(&resp.Fields, false); f != none {
			return f
		}
	}
	resp.KeepAlive = keep && !o.close && (resp.Minor == 1 || o.keepAlive)
	return none
}
