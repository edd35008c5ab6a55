// Package scgi is SCGI on the wire, from both sides: the netstring of headers that goes before a request's body. What comes back has
// no framing of its own; see package cgi. It does no I/O and has no policy.
package scgi

import (
	"bytes"
	"strconv"
)

// Append appends one header to dst, in which nothing but headers may stand behind those before. False, and nothing appended,
// when a NUL is in it: that would end it early and begin another.
//
// The first header must be CONTENT_LENGTH, and SCGI must be there with the value 1: so says the specification.
func Append(dst, name, value []byte) ([]byte, bool) {
	if len(name) == 0 || bytes.IndexByte(name, 0) >= 0 || bytes.IndexByte(value, 0) >= 0 {
		return dst, false
	}
	dst = append(append(dst, name...), 0)
	return append(append(dst, value...), 0), true
}

// End makes a netstring of the headers that begin at dst[at].
func End(dst []byte, at int) []byte {
	n := len(dst) - at
	var digits [20]byte
	prefix := append(strconv.AppendInt(digits[:0], int64(n), 10), ':')
	dst = append(dst, prefix...) // room
	copy(dst[at+len(prefix):], dst[at:at+n])
	copy(dst[at:], prefix)
	return append(dst, ',')
}

// Error says what is wrong with a request.
type Error struct{ Reason string }

// Error implements error.
func (e *Error) Error() string { return e.Reason }

var (
	errLength = &Error{"a request that does not begin with a netstring"}
	errLarge  = &Error{"headers larger than the limit"}
	errComma  = &Error{"a netstring without its comma"}
	errPairs  = &Error{"headers that are no pairs of names and values"}
	errFirst  = &Error{"the first header is not CONTENT_LENGTH"}
	errBody   = &Error{"CONTENT_LENGTH is no number"}
	errMark   = &Error{"the header SCGI is not 1"}
	errTwice  = &Error{"a header that is there twice"}
)

// Header is one header, in views into what was parsed.
type Header struct{ Name, Value []byte }

// Parse reads the headers at the front of b, at most max bytes of them. n is how many bytes they take with their framing; when it
// is 0 and err nil, more is needed. body is the length of what follows.
func Parse(b []byte, max int) (headers []Header, body int64, n int, err *Error) {
	i, size := 0, 0
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		if i == 1 && b[0] == '0' {
			return nil, 0, 0, errLength
		}
		if size = size*10 + int(b[i]-'0'); size > max {
			return nil, 0, 0, errLarge
		}
		i++
	}
	if i == len(b) {
		return nil, 0, 0, nil
	}
	if i == 0 || b[i] != ':' {
		return nil, 0, 0, errLength
	}
	i++
	if len(b) <= i+size {
		return nil, 0, 0, nil
	}
	if b[i+size] != ',' {
		return nil, 0, 0, errComma
	}
	if headers, err = pairs(b[i : i+size]); err != nil {
		return nil, 0, 0, err
	}
	if body, err = judge(headers); err != nil {
		return nil, 0, 0, err
	}
	return headers, body, i + size + 1, nil
}

func pairs(b []byte) (headers []Header, err *Error) {
	for len(b) > 0 {
		name, rest, ok := bytes.Cut(b, []byte{0})
		value, rest, ok2 := bytes.Cut(rest, []byte{0})
		if !ok || !ok2 || len(name) == 0 {
			return nil, errPairs
		}
		headers = append(headers, Header{name, value})
		b = rest
	}
	return headers, nil
}

// judge looks for what the specification demands.
func judge(headers []Header) (body int64, err *Error) {
	if len(headers) == 0 || string(headers[0].Name) != "CONTENT_LENGTH" {
		return 0, errFirst
	}
	v := string(headers[0].Value)
	body, bad := strconv.ParseInt(v, 10, 64)
	if bad != nil || v[0] < '0' || v[0] > '9' {
		return 0, errBody
	}
	marked := false
	seen := make(map[string]bool, len(headers))
	for _, h := range headers {
		if seen[string(h.Name)] {
			return 0, errTwice
		}
		seen[string(h.Name)] = true
		marked = marked || string(h.Name) == "SCGI" && string(h.Value) == "1"
	}
	if !marked {
		return 0, errMark
	}
	return body, nil
}
