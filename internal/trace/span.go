package trace

import (
	"encoding/binary"
	"math/bits"
	"strings"
)

// Spans as collectors take them: the messages of OTLP (opentelemetry/proto/trace/v1/trace.proto) in protobuf, appended by hand where they
// come into being. Nobody on their way to the collector reads them again.

// Span is a part of a request's time.
type Span struct {
	Trace      ID
	ID, Parent SpanID // Parent: zero if it has none
	State      []byte // tracestate
	Kind       Kind
	Name, Of   string // it is called by both, with a space between them; Of may be empty
	Start, End int64  // Unix nanoseconds
}

// Kind is who asked whom, in OTLP's numbers.
type Kind byte

// The kinds.
const (
	Internal Kind = 1 // within weir
	Server   Kind = 2 // weir was asked
	Client   Kind = 3 // weir asks
)

// Types of the wire, and the fields of the messages by their tags, which are all of one byte.
const (
	varint, fixed64, sized = 0, 1, 2

	requestResourceSpans  = 1<<3 | sized // of ExportTraceServiceRequest
	resourceSpansResource = 1<<3 | sized
	resourceSpansScope    = 2<<3 | sized
	resourceAttributes    = 1<<3 | sized
	scopeSpansScope       = 1<<3 | sized
	scopeSpansSpans       = 2<<3 | sized
	scopeName             = 1<<3 | sized
	scopeVersion          = 2<<3 | sized

	spanTrace      = 1<<3 | sized
	spanID         = 2<<3 | sized
	spanState      = 3<<3 | sized
	spanParent     = 4<<3 | sized
	spanName       = 5<<3 | sized
	spanKind       = 6<<3 | varint
	spanStart      = 7<<3 | fixed64
	spanEnd        = 8<<3 | fixed64
	spanAttributes = 9<<3 | sized
	spanStatus     = 15<<3 | sized

	statusMessage = 2<<3 | sized
	statusCode    = 3<<3 | varint
	codeError     = 2

	keyName   = 1<<3 | sized
	keyValue  = 2<<3 | sized
	valueText = 1<<3 | sized
	valueInt  = 3<<3 | varint
)

// text is what a protobuf string is made of.
type text interface{ ~string | ~[]byte }

// AppendSpan appends a span, as one of a list: spans that stand one behind the other need nothing between them. What is known of it is
// appended behind it by AppendText, AppendNumber and AppendFailure, and then EndSpan is told how long dst was before the span.
func AppendSpan(dst []byte, s *Span) []byte {
	dst = append(dst, scopeSpansSpans, 0) // EndSpan knows how long
	dst = appendField(dst, spanTrace, s.Trace[:])
	dst = appendField(dst, spanID, s.ID[:])
	if len(s.State) > 0 {
		dst = appendField(dst, spanState, s.State)
	}
	if s.Parent != (SpanID{}) {
		dst = appendField(dst, spanParent, s.Parent[:])
	}
	if s.Of == "" {
		dst = appendField(dst, spanName, s.Name)
	} else {
		dst = appendLen(dst, spanName, len(s.Name)+1+len(s.Of))
		dst = append(append(append(dst, s.Name...), ' '), s.Of...)
	}
	dst = append(dst, spanKind, byte(s.Kind))
	dst = binary.LittleEndian.AppendUint64(append(dst, spanStart), uint64(max(s.Start, 0)))
	return binary.LittleEndian.AppendUint64(append(dst, spanEnd), uint64(max(s.Start, s.End, 0)))
}

// EndSpan ends the span that begins at an offset.
func EndSpan(dst []byte, at int) []byte {
	body := at + 2
	n := len(dst) - body
	var room [binary.MaxVarintLen64]byte
	more := lenLen(n) - 1
	dst = append(dst, room[:more]...)
	copy(dst[body+more:], dst[body:body+n])
	binary.PutUvarint(dst[at+1:], uint64(n))
	return dst
}

// AppendText says of a span that a key has a value, unless it is empty. What is no UTF-8 in it is replaced: collectors refuse it.
func AppendText[T text](dst []byte, key string, value T) []byte {
	if len(value) == 0 {
		return dst
	}
	return appendPair(dst, spanAttributes, key, value)
}

// AppendNumber says of a span that a key has a value.
func AppendNumber(dst []byte, key string, n int64) []byte {
	value := 1 + varintLen(uint64(n))
	dst = appendLen(dst, spanAttributes, fieldLen(len(key))+fieldLen(value))
	dst = appendField(dst, keyName, key)
	dst = appendLen(dst, keyValue, value)
	return binary.AppendUvarint(append(dst, valueInt), uint64(n))
}

// AppendFailure says of a span that it failed, and why.
func AppendFailure(dst []byte, why string) []byte {
	dst = appendLen(dst, spanStatus, fieldLen(len(why))+2)
	dst = appendField(dst, statusMessage, why)
	return append(dst, statusCode, codeError)
}

// Origin is whose spans they are.
type Origin struct {
	Service, Version, Node string
}

// AppendRequest appends a request to a collector (ExportTraceServiceRequest) with lists of spans.
func AppendRequest(dst []byte, from Origin, lists ...[]byte) []byte {
	var resource []byte
	for _, pair := range [...][2]string{{"service.name", from.Service}, {"service.version", from.Version}, {"host.name", from.Node}, {"telemetry.sdk.name", "weir"}} {
		resource = appendPair(resource, resourceAttributes, pair[0], pair[1])
	}
	var scope []byte
	scope = appendField(scope, scopeName, "weir")
	scope = appendField(scope, scopeVersion, valid(from.Version))
	spans := fieldLen(len(scope))
	for _, list := range lists {
		spans += len(list)
	}
	dst = appendLen(dst, requestResourceSpans, fieldLen(len(resource))+fieldLen(spans))
	dst = appendField(dst, resourceSpansResource, resource)
	dst = appendLen(dst, resourceSpansScope, spans)
	dst = appendField(dst, scopeSpansScope, scope)
	for _, list := range lists {
		dst = append(dst, list...)
	}
	return dst
}

// appendPair appends a KeyValue with a text.
func appendPair[T text](dst []byte, tag byte, key string, value T) []byte {
	if !ascii(value) {
		return appendValid(dst, tag, key, valid(string(value)))
	}
	return appendValid(dst, tag, key, value)
}

func appendValid[T text](dst []byte, tag byte, key string, value T) []byte {
	n := fieldLen(len(value))
	dst = appendLen(dst, tag, fieldLen(len(key))+fieldLen(n))
	dst = appendField(dst, keyName, key)
	dst = appendLen(dst, keyValue, n)
	return appendField(dst, valueText, value)
}

// appendField appends a field of so many bytes.
func appendField[T text](dst []byte, tag byte, value T) []byte {
	return append(appendLen(dst, tag, len(value)), value...)
}

// appendLen appends what stands before n bytes of a field.
func appendLen(dst []byte, tag byte, n int) []byte {
	return binary.AppendUvarint(append(dst, tag), uint64(n))
}

// fieldLen is how long a field of n bytes is.
func fieldLen(n int) int { return 1 + lenLen(n) + n }

func lenLen(n int) int { return varintLen(uint64(n)) }

func varintLen(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }

func ascii[T text](v T) bool {
	for i := range len(v) {
		if v[i] >= 0x80 {
			return false
		}
	}
	return true
}

// valid is a text without what is no UTF-8.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
