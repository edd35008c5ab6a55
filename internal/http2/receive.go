package http2

import "encoding/binary"

// place is where in a frame the next byte stands.
type place uint8

const (
	atHead     place = iota
	atPad            // the byte that says how much padding there is
	atPriority       // what HEADERS may say of priorities, which is deprecated
	atData
	atBlock
	atFixed   // a payload of a known, small size
	atSetting // one of several
	atSkip
	atFailed
)

// Next takes received bytes: cut at any byte. It returns what the first n of them say. data is a view into p or into the scratch, and
// lives until the next call. Call it again with what is left, until that is nothing. After an error the connection is of no more use.
func (s *Session) Next(p []byte) (e Event, data []byte, n int, err *Error) {
	for n < len(p) {
		var used int
		e, data, used, err = s.step(p[n:])
		n += used
		if err != nil {
			s.at = atFailed
			return Nothing, nil, n, err
		}
		if e != Nothing {
			return e, data, n, nil
		}
	}
	return Nothing, nil, n, nil
}

func (s *Session) step(p []byte) (e Event, data []byte, n int, err *Error) {
	switch s.at {
	case atHead:
		return s.readHead(p)
	case atPad:
		s.pad = int(p[0])
		s.rest--
		if need := s.pad + s.priority(); need > s.rest {
			return Nothing, nil, 1, errPadding
		}
		s.at = s.behindPad()
		e, data, err = s.reached()
		return e, data, 1, err
	case atPriority:
		n = s.skip(p)
		if s.have == s.want {
			s.at, s.have = atBlock, 0
			e, data, err = s.reached()
		}
		return e, data, n, err
	case atData:
		return s.readData(p)
	case atBlock:
		return s.readBlock(p)
	case atFixed, atSetting:
		n = min(s.want-s.have, len(p))
		copy(s.small[s.have:], p[:n])
		s.have += n
		s.rest -= n
		if s.have == s.want {
			err = s.fixed()
		}
		return Nothing, nil, n, err
	case atSkip:
		n = min(s.rest, len(p))
		if s.rest -= n; s.rest == 0 {
			s.at = atHead
		}
		return Nothing, nil, n, nil
	}
	return Nothing, nil, 0, errClosed
}

// skip passes over want bytes, of which have are passed.
func (s *Session) skip(p []byte) int {
	n := min(s.want-s.have, len(p))
	s.have += n
	s.rest -= n
	return n
}

// readHead reads the head of a frame.
func (s *Session) readHead(p []byte) (e Event, data []byte, n int, err *Error) {
	n = copy(s.small[s.have:headSize], p)
	s.have += n
	if !s.greeted && s.have >= 5 && string(s.small[:5]) == "HTTP/" {
		return Nothing, nil, n, errNotHTTP2
	}
	if s.have < headSize {
		return Nothing, nil, n, nil
	}
	s.have = 0
	s.rest = int(s.small[0])<<16 | int(s.small[1])<<8 | int(s.small[2])
	s.kind, s.flags = s.small[3], s.small[4]
	s.id = binary.BigEndian.Uint32(s.small[5:]) & maxStream // the first bit has no meaning
	s.pad = 0
	if err = s.begin(); err != nil {
		return Nothing, nil, n, err
	}
	e, data, err = s.reached()
	return e, data, n, err
}

// begin judges the head of a frame and says what comes next.
func (s *Session) begin() *Error {
	switch {
	case s.rest > frameLimit:
		return errTooLarge
	case !s.greeted && (s.kind != frameSettings || s.flags&flagAck != 0):
		return errGreeting
	case s.block != (s.kind == frameContinuation):
		return errContinuation
	}
	switch s.kind {
	case frameData, frameHeaders, frameContinuation:
		return s.beginMessage()
	case framePriority:
		s.at = atSkip
		return s.sized(5, s.id != 0, noiseFrame)
	case frameReset:
		return s.expect(4, s.opened())
	case frameSettings:
		return s.beginSettings()
	case framePush:
		return errPush
	case framePing:
		return s.expect(8, s.id == 0)
	case frameWindow:
		return s.expect(4, s.id == 0 || s.opened())
	case frameGoAway:
		if s.rest < 8 {
			return errFrameSize
		}
		s.at, s.want = atFixed, 8
		if s.id != 0 {
			return errStreamID
		}
		return s.disturbed(noiseFrame)
	}
	s.at = atSkip // RFC 9113, section 5.5: types that are not known are passed over
	return s.disturbed(noiseFrame)
}

// expect is for frames of one size.
func (s *Session) expect(size int, fits bool) *Error {
	s.at, s.want = atFixed, size
	if s.kind == frameWindow {
		return s.sized(size, fits, noiseWindow)
	}
	return s.sized(size, fits, noiseFrame)
}

// sized judges a frame whose payload has one size.
func (s *Session) sized(size int, fits bool, cost int) *Error {
	switch {
	case s.rest != size:
		return errFrameSize
	case !fits && s.id == 0:
		return errStreamID
	case !fits && (s.kind == framePing || s.kind == frameSettings):
		return errStreamID
	case !fits:
		return errIdleStream
	}
	return s.disturbed(cost)
}

// opened reports whether the frame's stream is one that we have opened.
func (s *Session) opened() bool { return s.id&1 == 1 && s.id <= s.stream }

func (s *Session) beginSettings() *Error {
	switch {
	case s.id != 0:
		return errStreamID
	case s.flags&flagAck != 0 && s.rest != 0, s.rest%6 != 0:
		return errFrameSize
	case s.flags&flagAck != 0 && s.acked:
		return errAck
	}
	if s.flags&flagAck != 0 {
		s.acked = true
		s.at = atSkip
		return nil
	}
	s.greeted = true
	s.at, s.want = atSetting, 6
	return s.disturbed(noiseFrame + s.rest)
}

// beginMessage judges a frame that carries a part of a message.
func (s *Session) beginMessage() *Error {
	switch {
	case s.id == 0:
		return errStreamID
	case !s.opened():
		return errIdleStream
	case s.kind == frameContinuation:
		if s.id != s.blockID {
			return errContinuation
		}
	case s.id == s.stream && (s.state == Ended || s.state == Refused || s.state == Broken), s.id < s.stream && !s.owed:
		return errClosed
	}
	ours := s.id == s.stream && s.scratch != nil
	switch s.kind {
	case frameData:
		if s.id == s.stream && s.state == Open {
			return errNoHead
		}
		if err := s.took(s.rest, ours); err != nil {
			return err
		}
		s.at = atData
	case frameHeaders:
		s.at, s.block, s.blockID, s.blockEnd, s.blockSize = atBlock, true, s.id, s.flags&flagEndStream != 0, 0
		if s.scratch != nil {
			s.scratch.block = s.scratch.block[:0]
		}
	case frameContinuation:
		s.flags &^= flagPadded | flagPriority | flagEndStream
		s.at = atBlock
		if s.rest == 0 || s.rest < 64 && s.flags&flagEndHeaders == 0 {
			if err := s.disturbed(noiseLimit / 16); err != nil { // small pieces of a block have no use
				return err
			}
		}
	}
	if s.flags&flagPadded != 0 {
		if s.rest == 0 {
			return errPadding
		}
		s.at = atPad
		return nil
	}
	if s.rest < s.priority() {
		return errFrameSize
	}
	s.at = s.behindPad()
	return nil
}

// priority is how many bytes of the payload speak of priorities.
func (s *Session) priority() int {
	if s.kind == frameHeaders && s.flags&flagPriority != 0 {
		return 5
	}
	return 0
}

func (s *Session) behindPad() place {
	switch {
	case s.kind == frameData:
		return atData
	case s.priority() > 0:
		s.have, s.want = 0, 5
		return atPriority
	}
	return atBlock
}

// reached does what is to be done where nothing more of a part is to come.
func (s *Session) reached() (e Event, data []byte, err *Error) {
	switch {
	case s.at == atData && s.rest == s.pad:
		if err = s.disturbed(noiseFrame); err == nil {
			err = s.endData()
		}
		return Nothing, nil, err
	case s.at == atBlock && s.rest == s.pad:
		return s.endFragment(nil)
	case s.at == atSkip && s.rest == 0, s.at == atSetting && s.rest == 0 && s.flags&flagAck != 0:
		s.at = atHead
	case s.at == atSetting && s.rest == 0:
		s.acknowledge()
	}
	return Nothing, nil, nil
}

// readData reads data.
func (s *Session) readData(p []byte) (e Event, data []byte, n int, err *Error) {
	n = min(s.rest-s.pad, len(p))
	s.rest -= n
	data = p[:n:n]
	ours := s.id == s.stream && s.scratch != nil
	if !ours {
		return Nothing, nil, n, errMore // of a response that was whole
	}
	if s.left >= 0 {
		if s.left -= int64(n); s.left < 0 {
			return Nothing, nil, n, errMore
		}
	}
	if s.rest == s.pad {
		if err = s.endData(); err != nil {
			return Nothing, nil, n, err
		}
	}
	return Body, data, n, nil
}

// endData ends the data of a frame: padding may follow.
func (s *Session) endData() *Error {
	s.toSkip()
	if s.flags&flagEndStream != 0 {
		return s.end()
	}
	return nil
}

func (s *Session) toSkip() {
	s.at = atSkip
	if s.rest == 0 {
		s.at = atHead
	}
}

// end ends the stream of a frame.
func (s *Session) end() *Error {
	if s.id != s.stream {
		s.owed = false
		return nil
	}
	if s.left > 0 {
		return errLess
	}
	s.state = Ended
	return nil
}

// readBlock reads a part of a header block.
func (s *Session) readBlock(p []byte) (e Event, data []byte, n int, err *Error) {
	n = min(s.rest-s.pad, len(p))
	s.rest -= n
	if s.blockSize += n; s.blockSize > s.lim.Head {
		return Nothing, nil, n, errHeadSize
	}
	if s.rest == s.pad && s.flags&flagEndHeaders != 0 && s.blockSize == n {
		e, data, err = s.endFragment(p[:n]) // whole: read where it stands
		return e, data, n, err
	}
	if s.scratch != nil {
		s.scratch.block = append(s.scratch.block, p[:n]...)
	}
	if s.rest == s.pad {
		e, data, err = s.endFragment(nil)
	}
	return e, data, n, err
}

// endFragment ends the part of a header block that stands in a frame. block is all of it, nil when it was gathered.
func (s *Session) endFragment(block []byte) (e Event, data []byte, err *Error) {
	s.toSkip()
	if s.flags&flagEndHeaders == 0 {
		return Nothing, nil, nil
	}
	s.block = false
	if s.id != s.stream || s.scratch == nil { // of a response that was whole: only trailers can come behind it
		if !s.blockEnd {
			return Nothing, nil, errTrailers
		}
		return Nothing, nil, s.end()
	}
	if block == nil {
		block = s.scratch.block
	}
	if e, err = s.message(block); err != nil {
		return Nothing, nil, err
	}
	return e, s.scratch.text, nil
}

// message reads a head or trailers.
func (s *Session) message(block []byte) (Event, *Error) {
	trailers := s.state == Answering
	if trailers && !s.blockEnd {
		return Nothing, errTrailers
	}
	r := section{b: block, dst: s.scratch.text[:0], lim: s.lim}
	h, err := r.read(trailers)
	s.scratch.text = r.dst
	switch {
	case err != nil:
		return Nothing, err
	case trailers:
		return Trailers, s.end()
	case h.status < 200 && s.blockEnd:
		return Nothing, errInterimEnd
	case h.status < 200:
		return Head, s.disturbed(noiseFrame)
	}
	s.state = Answering
	s.left = h.length
	if s.bodiless || h.status == 204 || h.status == 304 {
		s.left = 0
	}
	if s.blockEnd {
		return Head, s.end()
	}
	return Head, nil
}

// fixed takes a payload of a known size, or a setting.
func (s *Session) fixed() *Error {
	s.have = 0
	value := binary.BigEndian.Uint32(s.small[:])
	if s.at == atSetting {
		if err := s.setting(binary.BigEndian.Uint16(s.small[:]), binary.BigEndian.Uint32(s.small[2:])); err != nil {
			return err
		}
		if s.rest == 0 {
			s.acknowledge()
		}
		return nil
	}
	s.toSkip() // GOAWAY may have more to say
	switch s.kind {
	case framePing:
		if s.flags&flagAck == 0 {
			s.out = append(appendFrame(s.out, 8, framePing, flagAck, 0), s.small[:8]...)
		}
	case frameWindow:
		return s.widen(value & maxWindow)
	case frameReset:
		s.reset(Code(value))
	case frameGoAway:
		s.leaving = true
		if last := value & maxStream; s.state == Open && last < s.stream {
			s.state, s.code = Refused, Code(binary.BigEndian.Uint32(s.small[4:]))
		}
	}
	return nil
}

// reset ends the stream of a frame.
func (s *Session) reset(code Code) {
	switch {
	case s.id != s.stream:
		s.owed = false
	case s.state == Ended:
		// The server does not want the rest of the request (RFC 9113, section 8.1).
	case s.state == Open && code == RefusedStream:
		s.state, s.code = Refused, code
	case s.state == Open || s.state == Answering:
		s.state, s.code = Broken, code
	}
}

// widen adds to a window of what we may send.
func (s *Session) widen(n uint32) *Error {
	if n == 0 {
		return errNoIncrement
	}
	w := &s.sendWindow
	switch {
	case s.id == 0:
	case s.id != s.stream:
		return nil // of a stream that is over
	default:
		w = &s.streamWindow
	}
	if *w += int64(n); *w > maxWindow {
		return errWindow
	}
	return nil
}

// setting takes one setting (RFC 9113, section 6.5.2). Those that are not known are passed over.
func (s *Session) setting(id uint16, value uint32) *Error {
	switch id {
	case settingTableSize:
		s.tableSize = true
	case settingPush:
		if value != 0 {
			return errSetting // only a client may
		}
	case settingMaxStreams:
		s.maxStreams = value
	case settingWindow:
		if value > maxWindow {
			return errWindow
		}
		s.streamWindow += int64(value) - s.initial
		s.initial = int64(value)
		if s.streamWindow > maxWindow {
			return errWindow
		}
	case settingMaxFrame:
		if value < minFrame || value > maxFrame {
			return errSetting
		}
		s.maxFrame = int(value)
	case settingMaxList:
		s.maxList = uint64(value)
	}
	return nil
}

func (s *Session) acknowledge() {
	s.at = atHead
	s.out = appendFrame(s.out, 0, frameSettings, flagAck, 0)
}
