package esi

import "bytes"

// A Parser reads one document. It is a pull parser, so that its user can stop at a fragment, fetch it, and go on:
//
//	for {
//		ev, n := p.Next(in)
//		in = in[n:]
//		…ev.Kind == More: read more into in, or at the end go over to p.Finish()
//	}
//
// It holds back only what it cannot judge yet: the beginning of a tag, at most Limits.Tag bytes. Everything else is
// returned as views into the input. The zero value must be Reset before use; a parser can be reset and used again and
// keeps its memory. It belongs to one task at a time.
type Parser struct {
	page  *Page
	depth int

	state      state
	tail       [2]byte // the last two bytes of a comment or CDATA section
	unwrapping bool    // in <!--esi
	removing   bool    // in <esi:remove>

	// What was taken from the input and is not judged yet is held[off:]. Of a tag, scanned bytes have been looked at, and
	// quote is the one that was open there.
	held    []byte
	off     int
	scanned int
	quote   byte

	// The open blocks, each by the Kind that opened it; tried has the blocks' bits of tries that have had their
	// attempt. Those of tries above the limit are counted in ignored.
	blocks  [2 * mostBlocks]Kind
	tried   uint64
	open    int
	ignored int

	// Events that are due before anything else is read: ends down to this many open blocks, then a start.
	closeTo int
	start   Kind

	fragment Fragment
	values   []byte // the decoded values of fragment
	offset   int64  // of the next byte to be judged, in the document
}

type state uint8

const (
	inText state = iota
	inComment
	inCDATA
)

const notClosing = 1 << 30

// Reset makes the parser ready for a document of a page. depth is 0 for the document that was asked for, and one more
// than its parent's for a fragment.
func (p *Parser) Reset(page *Page, depth int) {
	*p = Parser{page: page, depth: depth, held: p.held[:0], values: p.values[:0], closeTo: notClosing}
}

// Fork makes to read on from where p is, with memory of its own and the counts of another page: for a look at what is to
// come, which is then read again by p. What p returned last is not to's.
func (p *Parser) Fork(to *Parser, page *Page) {
	held, values := append(to.held[:0], p.held...), to.values[:0]
	*to = *p
	to.page, to.held, to.values, to.fragment = page, held, values, Fragment{}
}

// Next returns the next event of the document and how many bytes of in it took; the rest is to be given again, with or
// without more. It takes everything before it returns More. It allocates nothing except, once, memory for what it
// holds back.
func (p *Parser) Next(in []byte) (Event, int) {
	taken := 0
	for {
		if ev := p.due(); ev.Kind != None {
			return ev, taken
		}
		if p.off < len(p.held) {
			n, ev, more := p.step(p.held[p.off:])
			p.off += n
			if ev.Kind != None {
				return ev, taken
			}
			if more {
				if taken == len(in) {
					return Event{Kind: More}, taken
				}
				taken += p.hold(in[taken:])
			}
			continue
		}
		if taken == len(in) {
			return Event{Kind: More}, taken
		}
		n, ev, more := p.step(in[taken:])
		taken += n
		if ev.Kind != None {
			return ev, taken
		}
		if more {
			p.held, p.off = append(p.held[:0], in[taken:]...), 0
			return Event{Kind: More}, len(in)
		}
	}
}

// hold takes from the input what may decide about the bytes that are held, and no more: what follows a tag is to stay
// a view.
func (p *Parser) hold(in []byte) int {
	n := 1
	if p.scanned > 0 {
		for n = 0; n < len(in); n++ {
			if in[n] == '>' || in[n] == '<' {
				n++
				break
			}
		}
		// A tag above the limit is noticed with its first byte too many.
		n = min(n, max(1, p.page.limits.Tag+1-(len(p.held)-p.off)))
	}
	if p.off > 0 {
		p.held = p.held[:copy(p.held, p.held[p.off:])]
		p.off = 0
	}
	p.held = append(p.held, in[:n]...)
	return n
}

// Finish returns the events that are left when the document's last byte has been taken; the last is End.
func (p *Parser) Finish() Event {
	if ev := p.due(); ev.Kind != None {
		return ev
	}
	if p.off < len(p.held) {
		rest := p.held[p.off:]
		if p.scanned > 0 {
			p.page.Warn(Unclosed, p.offset)
		}
		p.off = len(p.held)
		if ev := p.text(rest); ev.Kind != None {
			return ev
		}
	}
	if p.removing || p.unwrapping || p.state != inText || p.open > 0 || p.ignored > 0 {
		p.page.Warn(Unclosed, p.offset)
		p.removing, p.unwrapping, p.state, p.ignored = false, false, inText, 0
		p.closeTo = 0
		if ev := p.due(); ev.Kind != None {
			return ev
		}
	}
	return Event{Kind: End}
}

// step judges the beginning of b, which is not empty: n bytes of it are done with, and told of by the event if there
// is anything to tell. more says that what follows those n bytes (none, then) cannot be judged without more bytes.
func (p *Parser) step(b []byte) (n int, ev Event, more bool) {
	if p.state != inText {
		n = p.verbatim(b)
		return n, p.text(b[:n]), false
	}
	i, lead := p.find(b)
	if i > 0 {
		return i, p.text(b[:i]), false
	}
	switch lead {
	case undecided:
		return 0, Event{}, true
	case unwrapEnd:
		p.unwrapping = false
		n = len("-->")
	case unwrapStart:
		n = len("<!--esi")
		if p.unwrapping || p.removing {
			p.page.Warn(Misplaced, p.offset)
		}
		p.unwrapping = true
	case comment:
		n = len("<!--")
		// So that <!--> and <!---> close themselves, as they do in HTML.
		p.state, p.tail, p.unwrapping = inComment, [2]byte{'-', '-'}, false
		return n, p.text(b[:n]), false
	case cdata:
		n = len("<![CDATA[")
		p.state, p.tail = inCDATA, [2]byte{}
		return n, p.text(b[:n]), false
	default:
		return p.tag(b, lead)
	}
	p.offset += int64(n)
	return n, Event{}, false
}

// text makes an event of bytes to pass on, none when they are to be dropped.
func (p *Parser) text(b []byte) Event {
	p.offset += int64(len(b))
	if p.removing || len(b) == 0 {
		return Event{}
	}
	return Event{Kind: Text, Text: b}
}

// verbatim returns how many bytes of b belong to the comment or CDATA section that is open, and closes it at its end.
func (p *Parser) verbatim(b []byte) int {
	last := byte('-')
	if p.state == inCDATA {
		last = ']'
	}
	for i := 0; ; i++ {
		j := bytes.IndexByte(b[i:], '>')
		if j < 0 {
			break
		}
		i += j
		x, y := p.tail[0], p.tail[1]
		switch {
		case i >= 2:
			x, y = b[i-2], b[i-1]
		case i == 1:
			x, y = y, b[0]
		}
		if x == last && y == last {
			p.state = inText
			return i + 1
		}
	}
	if n := len(b); n >= 2 {
		p.tail = [2]byte{b[n-2], b[n-1]}
	} else {
		p.tail = [2]byte{p.tail[1], b[0]}
	}
	return len(b)
}

// A lead is what markup of ours begins with.
type lead uint8

const (
	nothing lead = iota
	undecided
	openTag     // <esi:
	closeTag    // </esi:
	unwrapStart // <!--esi
	unwrapEnd   // --> of <!--esi
	comment     // <!--
	cdata       // <![CDATA[
)

// find returns where the first lead begins that b has or may have when it goes on, len(b) if none. This is the hot
// loop: ordinary pages are walked from < to <. Each byte is looked at once, however much is found in b.
func (p *Parser) find(b []byte) (int, lead) {
	for i := 0; i < len(b); i++ {
		end := len(b)
		if j := bytes.IndexByte(b[i:], '<'); j >= 0 {
			end = i + j
		}
		if p.unwrapping {
			if k, l := dashes(b, i, end); l != nothing {
				return k, l
			}
		}
		if i = end; i+1 < len(b) {
			if c := b[i+1]; c != 'e' && c != '/' && c != '!' && c != 'E' || c == '/' && i+2 < len(b) && b[i+2]|0x20 != 'e' {
				continue
			}
		}
		if i < len(b) {
			if l := p.lead(b[i:], p.offset+int64(i)); l != nothing {
				return i, l
			}
		}
	}
	return len(b), nothing
}

// dashes returns where in b[from:to] the first --> begins that b has or may have when it goes on.
func dashes(b []byte, from, to int) (int, lead) {
	for i := from; i < to; i++ {
		j := bytes.IndexByte(b[i:to], '-')
		if j < 0 {
			break
		}
		i += j
		switch rest := b[i:]; {
		case hasPrefix(rest, "-->"):
			return i, unwrapEnd
		case isPrefix(rest, "-->"):
			return i, undecided
		}
	}
	return to, nothing
}

// lead says what b, which begins with <, leads to. at is its offset in the document.
func (p *Parser) lead(b []byte, at int64) lead {
	if len(b) == 1 {
		return undecided
	}
	switch b[1] {
	case 'e', 'E':
		return p.element(b[1:], openTag, at)
	case '/':
		return p.element(b[2:], closeTag, at)
	case '!':
		const opening, word, section = "<!--", "<!--esi", "<![CDATA["
		switch {
		case hasPrefix(b, section):
			return cdata
		case isPrefix(b, section) || len(b) <= len(word) && isPrefix(b, word):
			return undecided
		case hasPrefix(b, word) && !nameByte(b[len(word)]):
			return unwrapStart
		case hasPrefix(b, opening):
			return comment
		}
	}
	return nothing
}

// element returns kind if b begins with esi:.
func (p *Parser) element(b []byte, kind lead, at int64) lead {
	const prefix = "esi:"
	for i := range len(prefix) {
		if i == len(b) {
			return undecided
		}
		if b[i] != prefix[i] && b[i]|0x20 != prefix[i] {
			return nothing
		}
	}
	if !hasPrefix(b, prefix) {
		p.page.Warn(OtherCase, at)
		return nothing
	}
	return kind
}

func hasPrefix(b []byte, s string) bool { return len(b) >= len(s) && string(b[:len(s)]) == s }

// isPrefix reports whether b is the beginning of s or all of it.
func isPrefix(b []byte, s string) bool { return len(b) <= len(s) && string(b) == s[:len(b)] }

// nameByte reports whether a name would go on with c: <!--esiwhat is an ordinary comment.
func nameByte(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '_' || c == ':' || c == '.' || c >= 0x80
}
