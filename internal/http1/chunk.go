package http1

import (
	"github.com/weirhq/weir/internal/message"
)

// chunkState is where in the grammar of RFC 9112, section 7.1 the next byte stands. Every byte of a chunk line is
// checked, quoted extensions included: a decoder that only looks for the next LF can be made to see other chunks than
// its neighbour does.
type chunkState uint8

const (
	chunkSize     chunkState = iota
	chunkSpace               // bad white space: ";" must follow
	chunkExt                 // behind ";": a name must follow
	chunkExtName             // within the name
	chunkExtPause            // white space behind the name
	chunkExtEqual            // behind "=": a value must follow
	chunkExtValue            // within a token
	chunkExtQuote            // within a quoted string
	chunkExtPair             // behind "\"
	chunkExtEnd              // behind a quoted string
	chunkLF
	chunkData
	chunkDataCR
	chunkDataLF
	chunkTrailer
	chunkFailed
)

func (d *Decoder) chunked(p []byte) (data []byte, n int, f fault) {
	for n < len(p) {
		switch d.state {
		case chunkData:
			size := int(min(d.left, int64(len(p)-n)))
			data = p[n : n+size : n+size]
			d.left -= int64(size)
			d.total += int64(size)
			if d.left == 0 {
				d.state = chunkDataCR
			}
			return data, n + size, none
		case chunkDataCR:
			if p[n] != '\r' {
				return nil, 0, d.fail(badChunkEnd)
			}
			d.state = chunkDataLF
		case chunkDataLF:
			if p[n] != '\n' {
				return nil, 0, d.fail(badChunkEnd)
			}
			d.state, d.digits, d.line = chunkSize, 0, 0
		case chunkTrailer:
			used, f := d.trailer(p[n:])
			if f != none {
				return nil, 0, d.fail(f)
			}
			return nil, n + used, none
		case chunkFailed:
			return nil, 0, fault(d.digits)
		default:
			if f := d.chunkLine(p[n]); f != none {
				return nil, 0, d.fail(f)
			}
		}
		n++
	}
	return nil, n, none
}

// fail remembers the fault, so that it is the answer to all further input.
func (d *Decoder) fail(f fault) fault {
	d.state, d.digits = chunkFailed, uint8(f)
	return f
}

// chunkLine takes the next byte of "chunk-size [ chunk-ext ] CRLF".
func (d *Decoder) chunkLine(c byte) fault {
	if d.line++; d.line > maxChunkLine {
		return chunkExtTooLong
	}
	if d.state == chunkSize && class[c]&hexDigit != 0 {
		if d.digits++; d.digits > maxSizeDigit || d.left>>(63-4) != 0 {
			return chunkSizeOverflow
		}
		d.left = d.left<<4 | int64(hexValue[c])
		return none
	}
	switch {
	case d.state == chunkLF:
		if c != '\n' {
			return bareCR
		}
		d.state = chunkData
		if d.left == 0 {
			d.state = chunkTrailer
		}
		return none
	case d.state == chunkSize && d.digits == 0:
		return badChunkSize
	case c == '\n':
		return bareLF
	case c == '\r':
		if !d.state.mayEnd() {
			return badChunkExt
		}
		d.state = chunkLF
		return none
	}
	if d.ext++; d.ext > maxChunkExt+d.total/16 {
		return chunkExtTooLong
	}
	state := d.state.extension(c)
	if state == chunkFailed {
		if d.state == chunkSize {
			return badChunkSize
		}
		return badChunkExt
	}
	d.state = state
	return none
}

func (s chunkState) mayEnd() bool {
	switch s {
	case chunkSize, chunkExtName, chunkExtValue, chunkExtEnd:
		return true
	}
	return false
}

// extension returns the state behind c in chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] ) (RFC
// 9112, section 7.1.1). White space is taken only where that allows it, so none before the CRLF.
func (s chunkState) extension(c byte) chunkState {
	switch s {
	case chunkSize, chunkSpace, chunkExtEnd:
		switch {
		case c == ';':
			return chunkExt
		case isSpace(c):
			return chunkSpace
		}
	case chunkExt:
		switch {
		case class[c]&tchar != 0:
			return chunkExtName
		case isSpace(c):
			return s
		}
	case chunkExtName, chunkExtPause:
		switch {
		case c == ';':
			return chunkExt
		case c == '=':
			return chunkExtEqual
		case isSpace(c):
			return chunkExtPause
		case s == chunkExtName && class[c]&tchar != 0:
			return s
		}
	case chunkExtEqual:
		switch {
		case c == '"':
			return chunkExtQuote
		case class[c]&tchar != 0:
			return chunkExtValue
		case isSpace(c):
			return s
		}
	case chunkExtValue:
		switch {
		case c == ';':
			return chunkExt
		case isSpace(c):
			return chunkSpace
		case class[c]&tchar != 0:
			return s
		}
	case chunkExtQuote:
		switch {
		case c == '"':
			return chunkExtEnd
		case c == '\\':
			return chunkExtPair
		case c >= 0x20 && c != 0x7f || c == '\t':
			return s
		}
	case chunkExtPair:
		if c >= 0x20 && c != 0x7f || c == '\t' {
			return chunkExtQuote
		}
	}
	return chunkFailed
}

// trailer takes bytes of the trailer section (RFC 9112, section 7.1.2) and says how many. The section is collected,
// since its fields may come in pieces; most bodies have none, and for these nothing is kept.
func (d *Decoder) trailer(p []byte) (used int, f fault) {
	for used < len(p) {
		room := d.lim.Head - len(d.text)
		if room <= 0 {
			return 0, trailerTooLarge
		}
		rest := p[used:]
		end := len(rest)
		for i, c := range rest {
			if c == '\n' {
				end = i + 1
				break
			}
		}
		end = min(end, room)
		d.text = append(d.text, rest[:end]...)
		used += end
		text := d.text[d.from:]
		if text[0] == '\r' {
			if _, f = endOfLine(text, 0); f == none {
				return used, d.finish()
			}
		} else {
			if d.lines >= d.lim.Fields {
				return 0, trailerTooLarge
			}
			if _, _, f = line(text, 0, d.lines == 0); f == none {
				d.from = len(d.text)
				d.lines++
			}
		}
		if f > more {
			return 0, f
		}
	}
	return used, none
}

// finish parses the collected section once more as a whole, now that it stays where it is.
func (d *Decoder) finish() fault {
	d.done = true
	for i := 0; i < d.from; {
		l, _, f := line(d.text, i, i == 0)
		if f != none {
			return badTrailer
		}
		name, value := d.text[i:l.colon:l.colon], d.text[l.value:l.end:l.end]
		if id := message.Lookup(name); mayTrail(id, name) {
			d.trailers.Add(id, name, value)
		}
		i = l.next
	}
	return none
}

// mayTrail reports whether a field may be sent behind the body. Of those that weir knows only ETag is: the others frame,
// route, authenticate, modify, or are for one hop (RFC 9110, section 6.5.1).
func mayTrail(id message.ID, name []byte) bool {
	if id != message.Other {
		return id == message.ETag
	}
	var a [32]byte
	if len(name) > len(a) {
		return true
	}
	for i, c := range name {
		if class[c]&odd != 0 {
			c = '-'
		}
		a[i] = message.Lower(c)
	}
	n := a[:len(name)]
	switch string(n) {
	case "www-authenticate", "authentication-info", "proxy-authentication-info", "warning", "proxy", "set-cookie2",
		"content-disposition", "content-security-policy", "strict-transport-security":
		return false
	}
	return message.Lookup(n) == message.Other && !told(n)
}
