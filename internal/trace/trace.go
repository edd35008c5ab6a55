// Package trace reads and writes the fields by which programs tell each other which trace a request is part of (W3C Trace Context,
// traceparent and tracestate). It decides nothing: who is believed, and what is sampled, is said by who uses it.
package trace

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// ID names a trace. The zero value is none.
type ID [16]byte

// SpanID names one span of it. The zero value is none.
type SpanID [8]byte

// Context is which trace a request is part of, and which span of it sent the request.
type Context struct {
	Trace   ID
	Span    SpanID
	Sampled bool
	Random  bool // the trace's id is made of random bits (Trace Context, level 2)
}

// Flags of version 00.
const (
	flagSampled = 1 << 0
	flagRandom  = 1 << 1
)

// Len is how long a traceparent of version 00 is.
const Len = 55

// Parse reads a traceparent. Of versions to come it takes what version 00 has (section 4.3 of the recommendation says so).
func Parse(v []byte) (c Context, ok bool) {
	if len(v) < Len || v[2] != '-' || v[35] != '-' || v[52] != '-' {
		return Context{}, false
	}
	var version, flags [1]byte
	if !unhex(version[:], v[:2]) || !unhex(c.Trace[:], v[3:35]) || !unhex(c.Span[:], v[36:52]) || !unhex(flags[:], v[53:55]) {
		return Context{}, false
	}
	switch {
	case version[0] == 0xff, version[0] == 0 && len(v) != Len, len(v) > Len && v[Len] != '-':
		return Context{}, false
	case c.Trace == ID{}, c.Span == SpanID{}:
		return Context{}, false
	}
	c.Sampled, c.Random = flags[0]&flagSampled != 0, flags[0]&flagRandom != 0
	return c, true
}

// unhex reads lower-case digits: others are not allowed.
func unhex(dst, from []byte) bool {
	for i := range dst {
		a, b := digit(from[2*i]), digit(from[2*i+1])
		if a > 15 || b > 15 {
			return false
		}
		dst[i] = a<<4 | b
	}
	return true
}

func digit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

// Append appends c as a traceparent of version 00.
func (c *Context) Append(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, form...)
	text := (*[Len]byte)(dst[at:])
	hex.Encode(text[3:35], c.Trace[:])
	hex.Encode(text[36:52], c.Span[:])
	if c.Sampled {
		text[54] += flagSampled
	}
	if c.Random {
		text[54] += flagRandom
	}
	return dst
}

// form is a traceparent without its ids and flags.
const form = "00-00000000000000000000000000000000-0000000000000000-00"

// String is the id as text, empty if there is none.
func (id ID) String() string {
	if id == (ID{}) {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// String is the id as text, empty if there is none.
func (id SpanID) String() string {
	if id == (SpanID{}) {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// NewID makes an id.
func NewID() (id ID) {
	for id == (ID{}) {
		binary.LittleEndian.PutUint64(id[:8], rand.Uint64())
		binary.LittleEndian.PutUint64(id[8:], rand.Uint64())
	}
	return id
}

// NewSpanID makes an id.
func NewSpanID() (id SpanID) {
	for id == (SpanID{}) {
		binary.LittleEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}

const (
	maxMembers = 32  // of tracestate (section 3.3.1.1)
	maxState   = 512 // bytes of it that are passed on at least (section 3.3.1.5); more is not
)

// ValidState reports whether one field line of tracestate is such, and short enough to go on. What its members say is not looked at but for
// their form; a list with an empty member in it is one.
func ValidState(v []byte) bool {
	if len(v) > maxState {
		return false
	}
	members := 0
	for len(v) > 0 {
		end := 0
		for end < len(v) && v[end] != ',' {
			end++
		}
		m := trim(v[:end])
		v = v[min(end+1, len(v)):]
		if len(m) == 0 {
			continue
		}
		if members++; members > maxMembers || !validMember(m) {
			return false
		}
	}
	return members > 0
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// validMember is key=value (section 3.3.1.3).
func validMember(m []byte) bool {
	eq := 0
	for eq < len(m) && m[eq] != '=' {
		c := m[eq]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' && c != '*' && c != '/' && c != '@' {
			return false
		}
		eq++
	}
	value := m[min(eq+1, len(m)):]
	if eq == 0 || eq > 256 || eq == len(m) || len(value) == 0 || len(value) > 256 || m[0] == '_' || m[0] == '-' || m[0] == '*' || m[0] == '/' || m[0] == '@' {
		return false
	}
	for _, c := range value {
		if c < ' ' || c > '~' || c == '=' {
			return false
		}
	}
	return true
}
