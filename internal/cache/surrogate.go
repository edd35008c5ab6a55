package cache

import (
	"bytes"

	"github.com/weirhq/weir/internal/message"
)

// parseSurrogate reads what Surrogate-Control says of keeping ("Edge Architecture Specification", W3C note, section 2.2):
// max-age, in seconds, with the seconds behind a plus for which it may be served stale meanwhile; no-store. A directive may
// be for one surrogate alone (";weir"); then those for all do not count. ok is false when it says nothing of keeping.
func parseSurrogate(f *message.Fields) (r responseDirectives, ok bool) {
	all, own := noDirectives, noDirectives
	d := directives{f: f, id: message.SurrogateControl}
	for d.next() {
		name, value := d.name, d.value
		r := &all
		if to := target(&name, &value); to != nil {
			if !message.EqualFold(to, "weir") {
				continue
			}
			r = &own
		}
		switch {
		case message.EqualFold(name, "max-age"):
			life, more, two := bytes.Cut(value, []byte("+"))
			n, ok := deltaSeconds(trimSpace(life))
			if !ok {
				n = 0 // it was meant to limit
			}
			r.maxAge, r.said = n, true
			if n, ok := deltaSeconds(trimSpace(more)); two && ok {
				r.whileRevalidate, r.ifError = n, n
			}
		case message.EqualFold(name, "no-store"):
			r.noStore, r.said = true, true
		}
	}
	if own.said {
		return own, true
	}
	return all, all.said
}

// target cuts ";name" off a directive and returns the name; nil when there is none.
func target(name, value *[]byte) []byte {
	from := value
	if *value == nil {
		from = name
	}
	head, to, ok := bytes.Cut(*from, []byte(";"))
	if !ok {
		return nil
	}
	*from = trimSpace(head)
	if to = trimSpace(to); to == nil {
		to = []byte{}
	}
	return to
}
