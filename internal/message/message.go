// Package message holds the heads of HTTP messages as every part of weir sees them: method, target, status and
// fields as views into the bytes they came in. It knows RFC 9110's words and has no syntax of any HTTP version
// (see http1), no policy and no I/O.
package message

// Method is a request method that weir treats by itself; MethodOther is every other.
type Method uint8

// The methods of RFC 9110, section 9, and PATCH (RFC 5789).
const (
	MethodOther Method = iota
	GET
	HEAD
	POST
	PUT
	DELETE
	CONNECT
	OPTIONS
	TRACE
	PATCH
)

// Idempotent reports whether sending the request twice means the same as once (RFC 9110, section 9.2.2).
func (m Method) Idempotent() bool {
	switch m {
	case GET, HEAD, PUT, DELETE, OPTIONS, TRACE:
		return true
	}
	return false
}

// Framing says how the end of a body is found (RFC 9112, section 6.3).
type Framing uint8

// The framings. UntilClose is for responses only.
const (
	NoBody Framing = iota
	ByLength
	Chunked
	UntilClose
)

// Form is the form of a request target (RFC 9112, section 3.2). The authority form (CONNECT) is refused.
type Form uint8

// The forms of a target.
const (
	OriginForm Form = iota
	AbsoluteForm
	AsteriskForm
)

// Ambiguity is what a path holds that two programs may read in two ways. Such a request is refused (400) unless its
// route allows it.
type Ambiguity uint8

// What a path may hold that stays ambiguous after normalisation.
const (
	EncodedSlash   Ambiguity = 1 << iota // %2f
	EncodedNUL                           // %00
	Backslash                            // \ or %5c
	EncodedControl                       // %01-%1f, %7f
	DotsWithParams                       // a dot segment with a parameter: /..;a=b/
)

// Request is the head of a request. The slices are views into the connection's buffer and live until the request
// has been answered; keep a copy of what must live longer.
type Request struct {
	Method     Method
	MethodText []byte // as received
	Form       Form
	Target     []byte // normalised like Path, with the query; as received only when the head was refused
	Host       []byte // lower-case, without the port; an IPv6 literal keeps its brackets; empty for an empty Host field
	Port       []byte // digits, empty when none was given
	Path       []byte // normalised, begins with "/"; "*" in asterisk form
	Query      []byte // without the "?"
	HasQuery   bool   // a "?" was there, even with nothing after it
	Ambiguous  Ambiguity
	Minor      uint8 // of HTTP/1.x: 0 or 1
	Body       Framing
	Length     int64 // of the body when ByLength
	KeepAlive  bool  // the client wants the connection kept (RFC 9112, section 9.3)
	Expect100  bool  // Expect: 100-continue
	Upgrade    bool  // Connection names "upgrade" and there is an Upgrade field
	Fields     Fields
}

// Response is the head of a response, with the same life for its slices as Request.
type Response struct {
	Status    int
	Reason    []byte
	Minor     uint8
	Body      Framing
	Length    int64
	KeepAlive bool // the server keeps the connection
	Fields    Fields
}
