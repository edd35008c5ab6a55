package representation

import (
	"bytes"

	"github.com/weirhq/weir/internal/message"
)

// Validators are what conditions compare with (RFC 9110, section 8.8): of the representation that was selected, its
// encoding included.
type Validators struct {
	ETag     []byte // as in the field, with W/ when it is weak; empty: none
	Modified int64  // of Last-Modified, Unix seconds; NoTime: none
	Date     int64  // when the response was made, Unix seconds; NoTime: not known
}

// Role is who evaluates conditions.
type Role uint8

// The roles.
const (
	Origin Role = iota // all conditions apply
	Cache              // RFC 9111, section 4.3.2: If-Match and If-Unmodified-Since are not a cache's to evaluate
)

// Precondition is what a request's conditions come to.
type Precondition uint8

// The outcomes of evaluating conditions.
const (
	Proceed     Precondition = iota // answer as if there were no conditions
	NotModified                     // 304
	Failed                          // 412
)

// Evaluate takes the conditions in the order of RFC 9110, section 13.2.2. The caller has made sure that the response
// without them would be a success (section 13.2.1). It does not allocate.
func (v *Validators) Evaluate(q *message.Request, role Role) Precondition {
	f := &q.Fields
	if role == Origin {
		if f.Has(message.IfMatch) { // step 1
			if !v.listed(f, message.IfMatch, strongly) {
				return Failed
			}
		} else if t, ok := v.dateOf(f, message.IfUnmodifiedSince); ok && v.Modified != NoTime && v.Modified > t { // step 2
			return Failed
		}
	}
	reads := q.Method == message.GET || q.Method == message.HEAD
	if f.Has(message.IfNoneMatch) { // step 3
		switch {
		case !v.listed(f, message.IfNoneMatch, weakly):
		case reads:
			return NotModified
		default:
			return Failed
		}
		return Proceed
	}
	modified := v.Modified
	if modified == NoTime && role == Cache {
		modified = v.Date // RFC 9111, section 4.3.2
	}
	if t, ok := v.dateOf(f, message.IfModifiedSince); ok && reads && modified != NoTime && modified <= t { // step 4
		return NotModified
	}
	return Proceed
}

// wanted returns the Range field's value when it is to be heeded: step 5, and RFC 9110, section 14.2.
func (v *Validators) wanted(q *message.Request) []byte {
	f := &q.Fields
	if q.Method != message.GET || f.Count(message.Range) != 1 {
		return nil
	}
	switch f.Count(message.IfRange) {
	case 0:
		return f.Get(message.Range)
	case 1:
		if v.ifRange(f.Get(message.IfRange)) {
			return f.Get(message.Range)
		}
	}
	return nil
}

// ifRange is RFC 9110, section 13.1.5: an entity tag compares strongly; a date must be the very one, and a strong
// validator.
func (v *Validators) ifRange(b []byte) bool {
	if tag, weak, rest, ok := nextTag(b); ok {
		return !weak && len(rest) == 0 && string(tag) == string(v.ETag)
	}
	t, ok := ParseDate(b, v.clock())
	return ok && t == v.Modified && v.strongDate()
}

// strongDate reports whether Last-Modified is a strong validator: what it dates had not changed for a second when it
// was sent (RFC 9110, section 8.8.2.2).
func (v *Validators) strongDate() bool {
	return v.Modified != NoTime && v.Date != NoTime && v.Date-v.Modified >= 1
}

// SameStrong reports whether two responses share a strong validator, so that parts of them may be put together (RFC
// 9110, section 15.3.7.3; RFC 9111, section 3.4).
func SameStrong(a, b *Validators) bool {
	if len(a.ETag) > 0 || len(b.ETag) > 0 {
		_, weak, rest, ok := nextTag(a.ETag)
		return ok && !weak && len(rest) == 0 && string(a.ETag) == string(b.ETag)
	}
	return a.strongDate() && b.strongDate() && a.Modified == b.Modified
}

type comparison bool

const (
	strongly comparison = true
	weakly   comparison = false
)

// listed reports whether a field holds "*" or the entity tag (RFC 9110, section 8.8.3.2). A list that goes wrong counts
// up to where it does; a tag without quotes, which some applications send and clients send back, is compared as a whole
// where a wrong match does no harm.
func (v *Validators) listed(f *message.Fields, id message.ID, how comparison) bool {
	mine, weak := bytes.CutPrefix(v.ETag, []byte("W/"))
	for i := range f.List {
		if f.List[i].ID != id {
			continue
		}
		list := f.List[i].Value
		if string(list) == "*" || how == weakly && len(list) > 0 && string(list) == string(v.ETag) {
			return true
		}
		for len(mine) > 0 {
			list = bytes.TrimLeft(list, ", \t")
			tag, itsWeak, rest, ok := nextTag(list)
			if !ok {
				break
			}
			if string(tag) == string(mine) && !(how == strongly && (weak || itsWeak)) {
				return true
			}
			list = rest
		}
	}
	return false
}

// nextTag takes an entity tag (RFC 9110, section 8.8.3), with its quotes and without its W/.
func nextTag(b []byte) (tag []byte, weak bool, rest []byte, ok bool) {
	if bytes.HasPrefix(b, []byte("W/")) {
		weak, b = true, b[2:]
	}
	if len(b) < 2 || b[0] != '"' {
		return nil, false, nil, false
	}
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return b[:i+1], weak, b[i+1:], true
		case c < 0x21 || c == 0x7f:
			return nil, false, nil, false
		}
	}
	return nil, false, nil, false
}

// clock is the time that years of two digits are read by.
func (v *Validators) clock() int64 {
	if v.Date == NoTime {
		return 0
	}
	return v.Date
}

// dateOf returns the date of a field that has one; a field that comes twice has none.
func (v *Validators) dateOf(f *message.Fields, id message.ID) (int64, bool) {
	if f.Count(id) != 1 {
		return 0, false
	}
	return ParseDate(f.Get(id), v.clock())
}
