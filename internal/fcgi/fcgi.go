// Package fcgi is FastCGI 1 on the wire, from the side of a web server that asks a responder: records out of a request, the
// response's streams out of records. It does no I/O, holds no connection and has no policy. One request is under way on a
// connection at a time, always with the same number: no responder in use multiplexes, PHP-FPM ends the connection if asked to.
package fcgi

import "encoding/binary"

const (
	version   = 1
	requestID = 1

	beginRequest = 1
	endRequest   = 3
	params       = 4
	stdin        = 5
	stdout       = 6
	stderr       = 7

	responder = 1
	keepConn  = 1

	headSize = 8

	// MaxContent is how much one record of a stream carries at most, in bytes. It is below the 65,535 of the
	// specification so that records keep to multiples of 8, for which it asks.
	MaxContent = 65528
)

// Error says what is wrong with what a server sent. The values are made once and are fit for comparison by pointer.
type Error struct{ Reason string }

// Error implements error.
func (e *Error) Error() string { return e.Reason }

// What a server may do wrong.
var (
	errVersion = &Error{"a FastCGI record of another version"}
	errID      = &Error{"a FastCGI record of another request"}
	errType    = &Error{"a FastCGI record of a type that was not asked for"}
	errEnd     = &Error{"a FastCGI end record of the wrong length"}
	errStatus  = &Error{"a FastCGI end record with an unknown status"}
)

func appendHead(dst []byte, kind byte, n int) []byte {
	return append(dst, version, kind, requestID>>8, requestID, byte(n>>8), byte(n), 0, 0)
}

// AppendBegin appends the record that begins a request. With keep the server is asked to leave the connection open.
func AppendBegin(dst []byte, keep bool) []byte {
	dst = appendHead(dst, beginRequest, 8)
	var flags byte
	if keep {
		flags = keepConn
	}
	return append(dst, 0, responder, flags, 0, 0, 0, 0, 0)
}

// Params writes the stream of parameters. A pair never stands in two records: PHP reads each record by itself.
type Params struct {
	at int // where the open record begins
}

// Begin opens the stream.
func (p *Params) Begin(dst []byte) []byte {
	p.at = len(dst)
	return appendHead(dst, params, 0)
}

// Append appends one parameter. False, and nothing appended, when it fits into no record.
func (p *Params) Append(dst, name, value []byte) ([]byte, bool) {
	n := lengthSize(len(name)) + lengthSize(len(value)) + len(name) + len(value)
	if n > MaxContent {
		return dst, false
	}
	if len(dst)-p.at-headSize+n > MaxContent {
		p.close(dst)
		dst = p.Begin(dst)
	}
	dst = appendLength(appendLength(dst, len(name)), len(value))
	return append(append(dst, name...), value...), true
}

// End closes the stream.
func (p *Params) End(dst []byte) []byte {
	p.close(dst)
	return appendHead(dst, params, 0)
}

func (p *Params) close(dst []byte) {
	binary.BigEndian.PutUint16(dst[p.at+4:], uint16(len(dst)-p.at-headSize))
}

func lengthSize(n int) int {
	if n < 128 {
		return 1
	}
	return 4
}

func appendLength(dst []byte, n int) []byte {
	if n < 128 {
		return append(dst, byte(n))
	}
	return binary.BigEndian.AppendUint32(dst, uint32(n)|1<<31)
}

// AppendInput appends the head of a record of n bytes of the request's body, at most MaxContent; the bytes go behind it. With
// n = 0 it is the body's end.
func AppendInput(dst []byte, n int) []byte { return appendHead(dst, stdin, n) }

// Stream says where received bytes belong.
type Stream uint8

// The streams.
const (
	None Stream = iota
	Output
	Diagnostics // lines for the log
)

// Status is how the server says that a request ended.
type Status uint8

// The statuses of an end record.
const (
	Complete Status = iota
	NoMultiplexing
	Overloaded
	UnknownRole
)

// Reader takes the records off a response. Input may be cut at any byte. The zero value is ready; it belongs to one task.
type Reader struct {
	head   [headSize]byte
	have   int // bytes of head, or of the end record's content
	left   int // content that is still to come
	pad    int // padding that is still to come
	kind   byte
	inside bool // head is whole
	ended  bool
	status Status
	code   uint32
	end    [8]byte
	err    *Error
}

// Reset makes the reader ready for the response to another request.
func (r *Reader) Reset() { *r = Reader{} }

// Ended reports whether the end record has come.
func (r *Reader) Ended() bool { return r.ended }

// Status is how the request ended, once it has.
func (r *Reader) Status() Status { return r.status }

// Code is the program's exit code, once the request has ended.
func (r *Reader) Code() uint32 { return r.code }

// Next takes received bytes. It returns the content at their front, a view into p, with its stream, and how many bytes of p are
// used up. data may be empty although bytes are used up. Call it again with the rest until none is used up or the response has
// ended; bytes behind the end record are not touched. After an error it answers with that error only.
func (r *Reader) Next(p []byte) (s Stream, data []byte, n int, err *Error) {
	if r.err != nil {
		return None, nil, 0, r.err
	}
	if r.ended {
		return None, nil, 0, nil
	}
	if !r.inside {
		n = copy(r.head[r.have:], p)
		if r.have += n; r.have < headSize {
			return None, nil, n, nil
		}
		if r.err = r.open(); r.err != nil {
			return None, nil, 0, r.err
		}
	}
	m := min(r.left, len(p)-n)
	data = p[n : n+m : n+m]
	n += m
	r.left -= m
	switch r.kind {
	case stdout:
		s = Output
	case stderr:
		s = Diagnostics
	default:
		r.have += copy(r.end[r.have:], data)
		data = nil
	}
	if r.left > 0 {
		return s, data, n, nil
	}
	m = min(r.pad, len(p)-n)
	n += m
	if r.pad -= m; r.pad == 0 {
		r.err = r.close()
	}
	return s, data, n, r.err
}

// open judges a record's head.
func (r *Reader) open() *Error {
	if r.head[0] != version {
		return errVersion
	}
	r.kind = r.head[1]
	r.left, r.pad = int(binary.BigEndian.Uint16(r.head[4:])), int(r.head[6])
	switch r.kind {
	case stdout, stderr:
	case endRequest:
		if r.left != len(r.end) {
			return errEnd
		}
	default:
		return errType
	}
	if binary.BigEndian.Uint16(r.head[2:]) != requestID {
		return errID
	}
	r.inside, r.have = true, 0
	return nil
}

// close ends a record.
func (r *Reader) close() *Error {
	r.inside, r.have = false, 0
	if r.kind != endRequest {
		return nil
	}
	if r.end[4] > byte(UnknownRole) {
		return errStatus
	}
	r.ended, r.status, r.code = true, Status(r.end[4]), binary.BigEndian.Uint32(r.end[:])
	return nil
}
