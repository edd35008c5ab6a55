package cache

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"time"

	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/representation"
)

// A stored head is bytes, so that the store need not know what is in it:
//
//	 0  kind, flags, status and in its upper six bits more flags (2)
//	 4  lengths of reason, host, URL (path and query) (2 each), number of tags (2)
//	12  length of the field lines (4)
//	16  received, age, TTL, while-revalidate, if-error, born (8 each)
//	64  offset and length in the lines of ETag, Last-Modified, Content-Type, Content-Encoding (2 each)
//	80  serial (8)
//	88  reason, host, URL, tags (8 each), field lines
//
// The field lines stand as they go out, so that a hit copies them in one piece.
const (
	storedSize = 88
	maxLines   = 60000
	statusBits = 1<<10 - 1
)

// Kind is what stands under a key.
type Kind uint8

// The kinds.
const (
	Response Kind = 1 + iota
	Variants      // how to find the variant for a request; see variants.go
	Hole          // it cannot be kept: requests for it do not wait for each other
	Part          // a stretch of a response; its Content-Range says which
)

var locations = [...]message.ID{message.ETag, message.LastModified, message.ContentType, message.ContentEncoding}

// Stored is what a head is made of.
type Stored struct {
	Life  Life
	Born  uint64 // the last purge that counts as known
	Host  []byte
	URL   []byte // path and query
	Tags  []uint64
	Strip bool // Set-Cookie is left out
	// Serial tells this response from every other, by chance: what is made of it is kept under a key with it.
	Serial uint64
}

// AppendStored makes the head to be stored of a response. It returns nil when the fields are too many.
func AppendStored(dst []byte, s *Stored, resp *message.Response) []byte {
	from := len(dst)
	dst = append(dst, make([]byte, storedSize)...)
	if len(s.Host) > 0xffff || len(s.URL) > 0xffff || len(s.Tags) > 0xffff || len(resp.Reason) > 0xffff {
		return nil
	}
	dst = append(append(append(dst, resp.Reason...), s.Host...), s.URL...)
	for _, t := range s.Tags {
		dst = binary.LittleEndian.AppendUint64(dst, t)
	}
	d, _ := parseResponse(&resp.Fields)
	lines := len(dst)
	var where [len(locations)][2]int
	for i := range resp.Fields.List {
		l := &resp.Fields.List[i]
		if omits(l, &d, s.Strip) || namedByConnection(&resp.Fields, l) {
			continue
		}
		dst = append(append(append(dst, l.Name...), ": "...), l.Value...)
		for j, id := range locations {
			if l.ID == id && where[j][1] == 0 {
				where[j] = [2]int{len(dst) - len(l.Value) - lines, len(l.Value)}
			}
		}
		dst = append(dst, "\r\n"...)
	}
	if !resp.Fields.Has(message.Date) { // RFC 9110, section 6.6.1
		dst = append(representation.AppendDate(append(dst, "Date: "...), s.Life.Received), "\r\n"...)
	}
	if len(dst)-lines > maxLines {
		return nil
	}
	b := dst[from:]
	b[0], b[1] = byte(Response), byte(s.Life.Flags)
	if s.Life.Status == 206 {
		b[0] = byte(Part)
	}
	le := binary.LittleEndian
	le.PutUint16(b[2:], uint16(s.Life.Status)&statusBits|uint16(s.Life.Flags&^0xff)<<2)
	le.PutUint16(b[4:], uint16(len(resp.Reason)))
	le.PutUint16(b[6:], uint16(len(s.Host)))
	le.PutUint16(b[8:], uint16(len(s.URL)))
	le.PutUint16(b[10:], uint16(len(s.Tags)))
	le.PutUint32(b[12:], uint32(len(dst)-lines))
	putLife(b, &s.Life, s.Born)
	le.PutUint64(b[80:], s.Serial)
	for j, w := range where {
		le.PutUint16(b[64+4*j:], uint16(w[0]))
		le.PutUint16(b[66+4*j:], uint16(w[1]))
	}
	return dst
}

func putLife(b []byte, l *Life, born uint64) {
	le := binary.LittleEndian
	b[1] = byte(l.Flags)
	le.PutUint64(b[16:], uint64(l.Received))
	le.PutUint64(b[24:], uint64(l.Age))
	le.PutUint64(b[32:], uint64(l.TTL))
	le.PutUint64(b[40:], uint64(l.WhileRevalidate))
	le.PutUint64(b[48:], uint64(l.IfError))
	le.PutUint64(b[56:], born)
}

func namedByConnection(f *message.Fields, l *message.Field) bool {
	return f.Has(message.Connection) && listed(f, message.Connection, string(l.Name))
}

// View reads a stored head. It is a view: it lives as long as the head. A head that is none has kind 0.
type View struct{ b []byte }

// NewView looks at a head. Lengths that do not fit make it none: it may have come from a disk.
func NewView(b []byte) View {
	if len(b) == 0 || Kind(b[0]) > Part {
		return View{}
	}
	if Kind(b[0]) == Variants && len(b) >= variantsSize {
		return View{b}
	}
	if len(b) < storedSize || Kind(b[0]) == Variants {
		return View{}
	}
	v := View{b}
	if v.linesAt()+int(binary.LittleEndian.Uint32(b[12:])) != len(b) {
		return View{}
	}
	for j := range locations {
		off, n := v.u16(64+4*j), v.u16(66+4*j)
		if v.linesAt()+off+n > len(b) {
			return View{}
		}
	}
	return v
}

func (v View) u16(at int) int   { return int(binary.LittleEndian.Uint16(v.b[at:])) }
func (v View) i64(at int) int64 { return int64(binary.LittleEndian.Uint64(v.b[at:])) }
func (v View) tagsAt() int      { return storedSize + v.u16(4) + v.u16(6) + v.u16(8) }
func (v View) linesAt() int     { return v.tagsAt() + 8*v.u16(10) }

// Kind is what the head is of, 0 for none.
func (v View) Kind() Kind {
	if len(v.b) == 0 {
		return 0
	}
	return Kind(v.b[0])
}

// Status, Reason, Host and URL are the response's, and its request's.
func (v View) Status() int { return v.u16(2) & statusBits }

// Why is the reason of a Hole; Kept when that was not noted.
func (v View) Why() Reason { return Reason(min(v.u16(2), int(Purged)+1)) }

func (v View) Reason() []byte { return v.b[storedSize : storedSize+v.u16(4)] }
func (v View) Host() []byte   { at := storedSize + v.u16(4); return v.b[at : at+v.u16(6)] }
func (v View) URL() []byte    { at := storedSize + v.u16(4) + v.u16(6); return v.b[at : at+v.u16(8)] }

// Lines are the field lines as they go out, each with its line end.
func (v View) Lines() []byte { return v.b[v.linesAt():] }

// AppendLines appends the field lines but for those of some fields.
func (v View) AppendLines(dst []byte, skip ...message.ID) []byte {
	for rest := v.Lines(); len(rest) > 0; {
		name, _, next := takeLine(rest)
		if !slices.Contains(skip, message.Lookup(name)) {
			dst = append(dst, rest[:len(rest)-len(next)]...)
		}
		rest = next
	}
	return dst
}

// Validators are what conditions of a request are compared with.
func (v View) Validators(now time.Time) representation.Validators {
	r := representation.Validators{ETag: v.ETag(), Modified: representation.NoTime, Date: v.Life().Received}
	if t, ok := representation.ParseDate(v.LastModified(), now.Unix()); ok {
		r.Modified = t
	}
	return r
}

// Stretch says which bytes of how many a part has; ok is false for what is none.
func (v View) Stretch() (s representation.Span, size int64, ok bool) {
	if v.Kind() != Part {
		return s, 0, false
	}
	for rest := v.Lines(); len(rest) > 0; {
		name, value, next := takeLine(rest)
		if message.Lookup(name) == message.ContentRange {
			s, size, ok = representation.ParseContentRange(value)
			return s, size, ok && size >= 0
		}
		rest = next
	}
	return s, 0, false
}

// Born is the number of the last purge that was known when the response was asked for.
func (v View) Born() uint64 { return binary.LittleEndian.Uint64(v.b[56:]) }

// Serial is the response's own number.
func (v View) Serial() uint64 { return binary.LittleEndian.Uint64(v.b[80:]) }

// AppendTags appends the tags' hashes.
func (v View) AppendTags(dst []uint64) []uint64 {
	for at := v.tagsAt(); at < v.linesAt(); at += 8 {
		dst = append(dst, binary.LittleEndian.Uint64(v.b[at:]))
	}
	return dst
}

// Life is the response's.
func (v View) Life() Life {
	return Life{Status: v.Status(), Received: v.i64(16), Age: v.i64(24), TTL: v.i64(32), WhileRevalidate: v.i64(40), IfError: v.i64(48), Flags: v.Flags()}
}

// ETag, LastModified, ContentType and ContentEncoding are the fields' values, nil where there is none.
func (v View) ETag() []byte            { return v.field(0) }
func (v View) LastModified() []byte    { return v.field(1) }
func (v View) ContentType() []byte     { return v.field(2) }
func (v View) ContentEncoding() []byte { return v.field(3) }

func (v View) field(j int) []byte {
	n := v.u16(66 + 4*j)
	if n == 0 {
		return nil
	}
	at := v.linesAt() + v.u16(64+4*j)
	return v.b[at : at+n]
}

// AppendConditions appends the field lines that ask a server whether a kept response still holds (RFC 9111, section 4.3.1), or
// for what a kept part, which must be of the beginning, lacks (section 3.4).
func (v View) AppendConditions(dst []byte) []byte {
	if v.Kind() == Part {
		// The rest of it, if it is still the same (RFC 9110, section 13.1.5).
		s, _, _ := v.Stretch()
		tag := v.ETag()
		if tag == nil {
			tag = v.LastModified()
		}
		dst = append(strconv.AppendInt(append(dst, "Range: bytes="...), s.End(), 10), "-\r\nIf-Range: "...)
		return append(append(dst, tag...), "\r\n"...)
	}
	if v.Kind() != Response {
		return dst
	}
	if tag := v.ETag(); tag != nil {
		dst = append(append(append(dst, "If-None-Match: "...), tag...), "\r\n"...)
	}
	if at := v.LastModified(); at != nil {
		dst = append(append(append(dst, "If-Modified-Since: "...), at...), "\r\n"...)
	}
	return dst
}

// AppendHole makes the head of what cannot be kept, for so long from now on, and why.
func AppendHole(dst []byte, now time.Time, ttl time.Duration, why Reason) []byte {
	from := len(dst)
	dst = append(dst, make([]byte, storedSize)...)
	dst[from] = byte(Hole)
	binary.LittleEndian.PutUint16(dst[from+2:], uint16(why)) // where a response has its status
	putLife(dst[from:], &Life{Received: now.Unix(), TTL: int64(ttl / time.Second)}, 0)
	return dst
}

// Confirms reports whether a response without content (a 304, or one to a HEAD) is about the kept response (RFC 9111, section
// 4.3.4): one with validators must have one of the kept response's own, or it says that something else is now there. Tags
// are compared weakly, since servers that compress make the strong tag of a 200 weak, and not that of the 304.
func Confirms(resp *message.Response, v View) bool {
	tag, mine := resp.Fields.Get(message.ETag), v.ETag()
	if tag != nil && mine != nil {
		return string(bytes.TrimPrefix(tag, weakTag)) == string(bytes.TrimPrefix(mine, weakTag))
	}
	at, was := resp.Fields.Get(message.LastModified), v.LastModified()
	if at != nil && was != nil {
		return string(at) == string(was)
	}
	return tag == nil && at == nil
}

var weakTag = []byte("W/")

// FreshFields is what a kept response is after a server said that it still holds (RFC 9111, section 4.3.4): fields of the 304
// take the place of those of their name (section 3.2), but for those that speak of the content's bytes, which stay. Its
// slices are views into both.
func FreshFields(resp *message.Response, v View) (fresh message.Response) {
	fresh.Status = v.Status()
	for old := v.Lines(); len(old) > 0; {
		name, value, rest := takeLine(old)
		old = rest
		id := message.Lookup(name)
		if id == message.Date && !resp.Fields.Has(id) {
			continue // RFC 9110, section 6.6.1: it was made when it came; by the old date it would be old at once
		}
		if !replaced(&resp.Fields, id, name) {
			fresh.Fields.Add(id, name, value)
		}
	}
	for i := range resp.Fields.List {
		if l := &resp.Fields.List[i]; !describes(l.ID, l.Name) {
			fresh.Fields.Add(l.ID, l.Name, l.Value)
		}
	}
	return fresh
}

// describes reports whether a field describes the bytes of the content, which a 304 does not bring (RFC 9111, section 3.2: those
// on which the integrity of what is stored depends, and those that are processed here). The media type is not one of them.
func describes(id message.ID, name []byte) bool {
	switch id {
	case message.ContentLength, message.ContentEncoding, message.ContentRange, message.TransferEncoding:
		return true
	case message.Other:
		return message.EqualFold(name, "content-md5") || message.EqualFold(name, "content-digest")
	}
	return false
}

func replaced(f *message.Fields, id message.ID, name []byte) bool {
	if describes(id, name) {
		return false
	}
	if id != message.Other {
		return f.Has(id)
	}
	_, there := f.Named(string(name))
	return there
}

// takeLine takes a line off stored ones.
func takeLine(b []byte) (name, value, rest []byte) {
	i := 0
	for i < len(b) && b[i] != ':' {
		i++
	}
	end := i
	for end < len(b) && b[end] != '\r' {
		end++
	}
	return b[:i], b[min(i+2, end):end], b[min(end+2, len(b)):]
}
