package files

import (
	"bytes"
	"fmt"
	"io/fs"
	"time"

	"github.com/weirhq/weir/internal/message"
)

// The forms of a date (RFC 9110, section 5.6.7); the first is the one that is sent.
const timeFormat = "Mon, 02 Jan 2006 15:04:05 GMT"

var timeFormats = [...]string{timeFormat, "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC}

// validators are what conditions compare with: of the representation that was chosen, encoding included.
type validators struct {
	etag     string
	modified time.Time
	now      time.Time
}

// validatorsOf makes a strong entity tag of size and time of change. Not of the inode: several nodes that hold the
// same release are to agree.
func validatorsOf(info fs.FileInfo, encoding string, now time.Time) validators {
	tag := fmt.Sprintf("%x-%x", info.Size(), info.ModTime().UnixNano())
	if encoding != "" {
		tag += "-" + encoding
	}
	return validators{etag: `"` + tag + `"`, modified: modifiedOf(info, now), now: now}
}

// evaluate takes the conditions in the order of RFC 9110, section 13.2.2: 412, 304, or 0 to go on.
func (v *validators) evaluate(q *message.Request) int {
	f := &q.Fields
	if f.Has(message.IfMatch) { // steps 1 and 2
		if !v.listed(f, message.IfMatch, strongly) {
			return 412
		}
	} else if t, ok := dateOf(f, message.IfUnmodifiedSince); ok && v.modified.After(t) {
		return 412
	}
	if f.Has(message.IfNoneMatch) { // steps 3 and 4; only GET and HEAD come here
		if v.listed(f, message.IfNoneMatch, weakly) {
			return 304
		}
	} else if t, ok := dateOf(f, message.IfModifiedSince); ok && !v.modified.After(t) {
		return 304
	}
	return 0
}

// rangesOf returns the Range field's value when it is to be heeded: step 5, and RFC 9110, section 14.2.
func (v *validators) rangesOf(q *message.Request) []byte {
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

// ifRange is RFC 9110, section 13.1.5: an entity tag compares strongly, a date must be the very one, and is a strong
// validator only when the file had not changed within the second in which it was sent (section 8.8.2.2).
func (v *validators) ifRange(b []byte) bool {
	if tag, weak, rest, ok := nextTag(b); ok {
		return !weak && len(rest) == 0 && string(tag) == v.etag
	}
	t, ok := date(b)
	return ok && t.Equal(v.modified) && (v.now.IsZero() || v.now.Sub(v.modified) >= time.Second)
}

type comparison bool

const (
	strongly comparison = true
	weakly   comparison = false
)

// listed reports whether a field holds "*" or the entity tag (RFC 9110, section 8.8.3.2). A list that goes wrong counts
// up to where it does.
func (v *validators) listed(f *message.Fields, id message.ID, how comparison) bool {
	for i := range f.List {
		if f.List[i].ID != id {
			continue
		}
		list := f.List[i].Value
		if string(list) == "*" {
			return true
		}
		for {
			list = bytes.TrimLeft(list, ", \t")
			tag, weak, rest, ok := nextTag(list)
			if !ok {
				break
			}
			if string(tag) == v.etag && !(weak && how == strongly) {
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

// dateOf returns the date of a field that has one; a field that comes twice has none.
func dateOf(f *message.Fields, id message.ID) (time.Time, bool) {
	if f.Count(id) != 1 {
		return time.Time{}, false
	}
	return date(f.Get(id))
}

func date(b []byte) (time.Time, bool) {
	if len(b) > 40 { // no form is longer
		return time.Time{}, false
	}
	for _, form := range timeFormats {
		if t, err := time.Parse(form, string(b)); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
