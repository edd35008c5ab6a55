package http2

import "encoding/binary"

const (
	// window is what a server may send before we say that it may send more, of a stream and of a connection. It is no
	// limit that a download would meet: as there is one request on a connection, a client that is slow
	// holds the server back through TCP, to the byte.
	window = 1 << 30
	// frameLimit is the largest frame that a server may send. Larger ones save nothing any more.
	frameLimit = 64 << 10

	// What carries nothing costs so much, of an allowance that Calm renews: 1,000 pings, or 100,000 updates of windows.
	noiseLimit  = 100_000
	noiseFrame  = 100
	noiseWindow = 1

	outLimit = 4 << 10 // bytes of answers to control frames that wait to be sent
)

// greeting is what a client's connection begins with (RFC 9113, section 3.4).
const greeting = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Event says what was received.
type Event uint8

// The events.
const (
	Nothing  Event = iota // all was used up
	Head                  // a head, an interim one or the final one, as text in the form of HTTP/1
	Body                  // data
	Trailers              // the lines of the trailer section, and an empty one
)

// State is how far the request under way has come.
type State uint8

// The states.
const (
	Idle      State = iota // none is under way
	Open                   // no final head yet
	Answering              // the final head is there
	Ended                  // the response is whole
	Refused                // it was not begun: it may go to another server, whatever its method (RFC 9113, section 8.7)
	Broken                 // the server ended it, with Code
)

// Scratch is what reading a response takes beside the session, which needs none while it rests.
type Scratch struct {
	block []byte // a header block that came in pieces
	text  []byte // what was made of it
}

// Session is one connection to a server, with one request at a time. It belongs to one task at a time; the zero value is to be opened.
type Session struct {
	out     []byte // control frames to be sent
	lim     Limits
	scratch *Scratch

	// The server's settings and what else it said of the connection.
	greeted    bool
	acked      bool // our settings
	leaving    bool // GOAWAY: no request after this one
	tableSize  bool // it set one: the next block says that we use none
	maxFrame   int
	maxList    uint64
	maxStreams uint32
	initial    int64

	// The request under way.
	stream   uint32
	state    State
	code     Code
	bodiless bool // its response has no content, whatever its head says
	sent     bool // to its end
	left     int64
	owed     bool // an earlier one was left when only its end was missing

	sendWindow, streamWindow int64 // what may be sent
	taken, streamTaken       int64 // what came since we last said that more may
	noise                    int

	// The frame being read.
	at    place
	small [headSize]byte
	have  int // of small
	want  int
	kind  byte
	flags byte
	id    uint32
	rest  int // of its payload
	pad   int

	// The header block being read, which nothing may interrupt.
	block     bool
	blockID   uint32
	blockEnd  bool // it has END_STREAM
	blockSize int
}

// Open begins a connection: what it has to say first stands in Out.
func (s *Session) Open(lim Limits) {
	*s = Session{out: s.out[:0], lim: lim, maxFrame: minFrame, maxList: 1<<64 - 1, maxStreams: maxStream, initial: 65535, sendWindow: 65535, tableSize: true}
	s.out = append(s.out, greeting...)
	s.out = appendFrame(s.out, 5*6, frameSettings, 0, 0)
	for _, v := range [...]struct {
		id    uint16
		value uint32
	}{{settingTableSize, 0}, {settingPush, 0}, {settingWindow, window}, {settingMaxFrame, frameLimit}, {settingMaxList, uint32(lim.Head)}} {
		s.out = binary.BigEndian.AppendUint16(s.out, v.id)
		s.out = binary.BigEndian.AppendUint32(s.out, v.value)
	}
	s.out = appendWindow(s.out, 0, window-65535)
}

func appendWindow(dst []byte, stream, n uint32) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(dst, 4, frameWindow, 0, stream), n)
}

func appendReset(dst []byte, stream uint32, code Code) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(dst, 4, frameReset, 0, stream), uint32(code))
}

// Options of a request.
type Options struct {
	HTTPS    bool // its scheme
	Trailers bool // say that trailers are welcome
	Bodiless bool // its response has no content: the method is HEAD
	End      bool // it has no content
}

// Begin appends the frames of a request's head, made of the text of an HTTP/1 head, with what is to be sent before it. False, and
// nothing appended, when the server has said that it takes no head as large. The last request must be over: see Reusable.
func (s *Session) Begin(dst, text []byte, o Options, scratch *Scratch) ([]byte, bool) {
	began := len(dst)
	dst = append(dst, s.out...)
	stream := s.stream + 2
	if s.stream == 0 {
		stream = 1
	} else if s.state != Ended {
		dst = appendReset(dst, s.stream, Cancel) // its response is whole, and its end has not come
		s.owed = true
	}
	at := len(dst)
	w := writer{dst: append(dst, make([]byte, headSize)...)}
	if s.tableSize {
		w.dst = append(w.dst, 0x20) // RFC 7541, section 4.2
	}
	w.request(text, o.HTTPS, o.Trailers)
	if w.size > s.maxList {
		return w.dst[:began], false
	}
	flags := byte(0)
	if o.End {
		flags = flagEndStream
	}
	dst = appendBlock(w.dst, at, s.maxFrame, flags, stream)
	s.out, s.tableSize = s.out[:0], false
	s.stream, s.state, s.code, s.bodiless, s.sent, s.left = stream, Open, NoError, o.Bodiless, o.End, -1
	s.streamWindow, s.streamTaken, s.noise, s.scratch = s.initial, 0, 0, scratch
	return dst, true
}

// Room is how many bytes of data may be sent now, in one frame. The windows of a server that makes them smaller afterwards may be below 0.
func (s *Session) Room() int {
	return int(max(0, min(s.sendWindow, s.streamWindow, int64(s.maxFrame))))
}

// AppendData appends the head of a frame of n bytes of data, Room at most, which go behind it, with what is to be sent before it.
func (s *Session) AppendData(dst []byte, n int, end bool) []byte {
	dst = s.TakeOut(dst)
	flags := byte(0)
	if end {
		flags, s.sent = flagEndStream, true
	}
	s.sendWindow -= int64(n)
	s.streamWindow -= int64(n)
	s.noise = max(0, s.noise-n/1024) // each KiB may be answered by an update of windows
	return appendFrame(dst, n, frameData, flags, s.stream)
}

// AppendTrailers ends a request with trailers: lines as they are in HTTP/1, and an empty one.
func (s *Session) AppendTrailers(dst, lines []byte) []byte {
	dst = s.TakeOut(dst)
	at := len(dst)
	w := writer{dst: append(dst, make([]byte, headSize)...)}
	if s.tableSize {
		w.dst, s.tableSize = append(w.dst, 0x20), false
	}
	w.lines(lines)
	s.sent = true
	return appendBlock(w.dst, at, s.maxFrame, flagEndStream, s.stream)
}

// TakeOut appends what is to be sent besides requests, and forgets it.
func (s *Session) TakeOut(dst []byte) []byte {
	dst = append(dst, s.out...)
	s.out = s.out[:0]
	return dst
}

// HasOut reports whether there is something for TakeOut.
func (s *Session) HasOut() bool { return len(s.out) > 0 }

// State is how far the request has come.
func (s *Session) State() State { return s.state }

// Code is why the server ended the request before its end.
func (s *Session) Code() Code { return s.code }

// Leaving reports whether the server has said that it takes no further request on this connection.
func (s *Session) Leaving() bool { return s.leaving }

// Calm renews the allowance for what carries nothing. To be called about once a second.
func (s *Session) Calm() { s.noise = 0 }

// Finish ends the use of the scratch, and reports whether another request may follow. The response must be whole.
func (s *Session) Finish() bool {
	s.scratch = nil
	whole := s.state == Ended || s.state == Answering && s.left == 0
	return whole && s.sent && !s.leaving && !s.block && s.maxStreams > 0 && s.stream < maxStream-2 && !(s.owed && s.state != Ended)
}

// Goodbye appends what tells the server why we leave.
func (s *Session) Goodbye(dst []byte, code Code) []byte {
	dst = appendFrame(dst, 8, frameGoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, 0)
	return binary.BigEndian.AppendUint32(dst, uint32(code))
}

// took counts data that came, and lets the server send more when half of what it may is there.
func (s *Session) took(n int, ours bool) *Error {
	if s.taken += int64(n); s.taken > window {
		return errOverrun
	}
	if s.taken > window/2 {
		s.out = appendWindow(s.out, 0, uint32(s.taken))
		s.taken = 0
	}
	if !ours || s.state == Ended {
		return nil
	}
	if s.streamTaken += int64(n); s.streamTaken > window {
		return errOverrun
	}
	if s.streamTaken > window/2 {
		s.out = appendWindow(s.out, s.stream, uint32(s.streamTaken))
		s.streamTaken = 0
	}
	return nil
}

func (s *Session) disturbed(cost int) *Error {
	if s.noise += cost; s.noise > noiseLimit || len(s.out) > outLimit {
		return errFlood
	}
	return nil
}

// Within reports whether the last bytes ended within a frame or a header block.
func (s *Session) Within() bool { return s.at != atHead || s.have > 0 || s.block }
