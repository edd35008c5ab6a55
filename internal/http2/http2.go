// Package http2 is HTTP/2 on the wire from a client's side, after RFC 9113 and RFC 7541: frames and compressed field
// sections to the text of HTTP/1 heads and back, and the state of one connection. It does no I/O and has no policy: bytes go in,
// bytes to be sent come out.
//
// A connection carries one request at a time (docs/adr/0023-http2-to-servers.md says why), and no dynamic table in either direction: we
// set its size to 0 for the server, and use none ourselves. So a field section is read by itself, whatever came
// before it; nothing that a server sends makes memory grow beyond the limits of one head.
package http2

// The types of frames (RFC 9113, section 6).
const (
	frameData         = 0
	frameHeaders      = 1
	framePriority     = 2
	frameReset        = 3
	frameSettings     = 4
	framePush         = 5
	framePing         = 6
	frameGoAway       = 7
	frameWindow       = 8
	frameContinuation = 9
)

// The flags of frames.
const (
	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

// The settings (RFC 9113, section 6.5.2).
const (
	settingTableSize  = 1
	settingPush       = 2
	settingMaxStreams = 3
	settingWindow     = 4
	settingMaxFrame   = 5
	settingMaxList    = 6
)

const (
	headSize  = 9 // of a frame
	minFrame  = 16 << 10
	maxFrame  = 1<<24 - 1
	maxWindow = 1<<31 - 1
	maxStream = 1<<31 - 1
)

// Code is an error code (RFC 9113, section 7).
type Code uint32

// The codes that are told apart here.
const (
	NoError          Code = 0x0
	ProtocolError    Code = 0x1
	InternalError    Code = 0x2
	FlowControl      Code = 0x3
	StreamClosed     Code = 0x5
	FrameSize        Code = 0x6
	RefusedStream    Code = 0x7
	Cancel           Code = 0x8
	Compression      Code = 0x9
	EnhanceYourCalm  Code = 0xb
	HTTP11Required   Code = 0xd
	firstUnknownCode Code = 0xe
)

var codeNames = [firstUnknownCode]string{"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
	"STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
	"INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"}

// String returns the code's name, for logs. It does not allocate.
func (c Code) String() string {
	if c < firstUnknownCode {
		return codeNames[c]
	}
	return "an unknown code"
}

// Error is a rule that a server broke. The connection cannot be used any longer: there is only one stream that it could be about. The values
// are made once and are fit for comparison by pointer.
type Error struct {
	Code   Code
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return e.Reason }

// What a server may do wrong.
var (
	errNotHTTP2     = &Error{ProtocolError, "the server does not speak HTTP/2 with prior knowledge: it answered in HTTP/1"}
	errGreeting     = &Error{ProtocolError, "HTTP/2: the server does not begin with SETTINGS"}
	errFrameSize    = &Error{FrameSize, "HTTP/2: a frame of a size that its type does not have"}
	errTooLarge     = &Error{FrameSize, "HTTP/2: a frame larger than was allowed"}
	errStreamID     = &Error{ProtocolError, "HTTP/2: a frame on a stream where it must not be"}
	errIdleStream   = &Error{ProtocolError, "HTTP/2: a frame on a stream that was not opened"}
	errClosed       = &Error{StreamClosed, "HTTP/2: a frame on a stream behind its end"}
	errPush         = &Error{ProtocolError, "HTTP/2: PUSH_PROMISE, which was turned off"}
	errContinuation = &Error{ProtocolError, "HTTP/2: a header block that is interrupted, or continued without a beginning"}
	errPadding      = &Error{ProtocolError, "HTTP/2: padding longer than its frame"}
	errSetting      = &Error{ProtocolError, "HTTP/2: a setting with a value that it cannot have"}
	errWindow       = &Error{FlowControl, "HTTP/2: a flow-control window that overflows"}
	errOverrun      = &Error{FlowControl, "HTTP/2: more data than the flow-control window allows"}
	errNoIncrement  = &Error{ProtocolError, "HTTP/2: WINDOW_UPDATE with an increment of 0"}
	errAck          = &Error{ProtocolError, "HTTP/2: an acknowledgement of SETTINGS that were not sent"}
	errFlood        = &Error{EnhanceYourCalm, "HTTP/2: too many frames that carry nothing"}
	errCompression  = &Error{Compression, "HTTP/2: a malformed field section"}
	errTable        = &Error{Compression, "HTTP/2: a dynamic table, which was turned off"}
	errHeadSize     = &Error{EnhanceYourCalm, "HTTP/2: header section too large"}
	errFields       = &Error{EnhanceYourCalm, "HTTP/2: too many fields"}
	errName         = &Error{ProtocolError, "HTTP/2: a field name with a forbidden byte"}
	errValue        = &Error{ProtocolError, "HTTP/2: a field value with a forbidden byte"}
	errPseudo       = &Error{ProtocolError, "HTTP/2: a pseudo-header field where it must not be"}
	errStatus       = &Error{ProtocolError, "HTTP/2: a malformed :status, or none"}
	errSwitch       = &Error{ProtocolError, "HTTP/2: the status 101"}
	errConnField    = &Error{ProtocolError, "HTTP/2: a field that speaks of an HTTP/1 connection"}
	errInterimEnd   = &Error{ProtocolError, "HTTP/2: a stream that ends with an informational response"}
	errNoHead       = &Error{ProtocolError, "HTTP/2: data, or an end, before a final head"}
	errTrailers     = &Error{ProtocolError, "HTTP/2: a second final head"}
	errLength       = &Error{ProtocolError, "HTTP/2: malformed Content-Length"}
	errMore         = &Error{ProtocolError, "HTTP/2: more content than Content-Length says"}
	errLess         = &Error{ProtocolError, "HTTP/2: less content than Content-Length says"}
)
