package compress

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/representation"
)

// DefaultTypes are the media types that gain from being compressed. Pictures, films, archives and WOFF fonts
// are compressed already.
var DefaultTypes = []string{"text/*", "*+json", "*+xml", "application/json", "application/javascript",
	"application/x-javascript", "application/xml", "application/wasm", "application/x-ndjson", "application/graphql",
	"application/vnd.ms-fontobject", "font/ttf", "font/otf", "font/collection", "image/bmp", "image/x-icon",
	"image/vnd.microsoft.icon"}

// DefaultMinimum is the length in bytes below which a response is not worth it: it fits a packet either way.
const DefaultMinimum = 512

// A Policy says which responses a route compresses. It is immutable; make it with NewPolicy.
type Policy struct {
	order    []representation.Coding
	minimum  int64
	exact    map[string]bool
	prefixes []string // "text/"
	suffixes []string // "+json"
}

// NewPolicy returns the policy of a route: the codings in the order liked best first, the least length of a response,
// and media types: exact ones, "text/*" and "*+xml". Without types it has DefaultTypes, with a minimum of 0
// DefaultMinimum.
func NewPolicy(order []representation.Coding, minimum int64, types []string) (*Policy, error) {
	p := &Policy{minimum: minimum, exact: map[string]bool{}}
	if minimum == 0 {
		p.minimum = DefaultMinimum
	}
	for _, c := range order {
		if c == representation.Identity || c >= representation.NumCodings {
			return nil, fmt.Errorf("coding %v is none to compress with", c)
		}
		p.order = append(p.order, c)
	}
	if len(types) == 0 {
		types = DefaultTypes
	}
	for _, t := range types {
		lower := strings.ToLower(t)
		main, sub, ok := strings.Cut(lower, "/")
		switch {
		case strings.HasPrefix(lower, "*+") && len(lower) > 2 && !strings.ContainsAny(lower[1:], "*/;, "):
			p.suffixes = append(p.suffixes, lower[1:])
		case !ok || main == "" || sub == "" || strings.ContainsAny(lower, ";, ") || strings.Contains(main, "*"):
			return nil, fmt.Errorf("%q is no media type: write one like text/html, text/* or *+json", t)
		case sub == "*":
			p.prefixes = append(p.prefixes, main+"/")
		case strings.Contains(sub, "*"):
			return nil, fmt.Errorf("%q is no media type: write one like text/html, text/* or *+json", t)
		default:
			p.exact[lower] = true
		}
	}
	return p, nil
}

// Minimum is the length in bytes below which nothing is compressed.
func (p *Policy) Minimum() int64 { return p.minimum }

// Order returns the codings, the one liked best first. It is not to be changed.
func (p *Policy) Order() []representation.Coding { return p.order }

// A Verdict says why a response is or is not compressed. All but the last two make the response the same for every
// Accept-Encoding, so that Vary need not name it.
type Verdict uint8

// Verdicts.
const (
	Off         Verdict = iota // the policy has no codings
	WrongStatus                // a status that has no content, or a part of it
	PartOf                     // Content-Range: the bytes are counted in the coding that it has
	Encoded                    // Content-Encoding is there
	NoTransform                // Cache-Control: no-transform
	WrongType                  // a media type that is not in the list, or none
	TooShort                   // below the minimum
	NotAccepted                // the client accepts no coding of the policy, or likes identity better
	Compress                   // in the coding returned with it
)

var verdictNames = [...]string{"off", "status", "part", "encoded already", "no-transform", "type", "too short", "not accepted", "compress"}

// String returns the verdict in a word or two, as explanations show it.
func (v Verdict) String() string {
	if int(v) >= len(verdictNames) {
		return "unknown verdict"
	}
	return verdictNames[v]
}

// Varies reports whether Vary must name Accept-Encoding: another client would get this response in another coding.
func (v Verdict) Varies() bool { return v == NotAccepted || v == Compress }

// Decide says whether a response to a GET, HEAD or POST is compressed for a client, and in which coding; it is Identity
// unless the verdict is Compress. length is that of the content in bytes, -1 while nobody knows it.
//
// When the verdict is Compress, the caller sets Content-Encoding, replaces the ETag by EncodedETag, removes
// Content-Length, Accept-Ranges, Content-MD5, Digest, Content-Digest and Repr-Digest, and, as for each verdict that Varies, adds
// Vary: Accept-Encoding unless VaryNames says that it is there. For HEAD it does the same, without a body: the fields are to
// be those of GET (RFC 9110, section 9.3.2). For a 304 see EncodedETag.
func (p *Policy) Decide(status int, f *message.Fields, length int64, a representation.Accept) (Verdict, representation.Coding) {
	switch {
	case p == nil || len(p.order) == 0:
		return Off, representation.Identity
	case !hasContent(status):
		return WrongStatus, representation.Identity
	case f.Has(message.ContentRange):
		return PartOf, representation.Identity
	case f.Has(message.ContentEncoding):
		// Even "identity", which section 8.4 forbids in this field: whoever sends it wants the bytes left alone.
		return Encoded, representation.Identity
	case listNames(f, message.CacheControl, "no-transform"):
		return NoTransform, representation.Identity
	case !p.Covers(f.Get(message.ContentType)):
		return WrongType, representation.Identity
	case length >= 0 && length < p.minimum:
		return TooShort, representation.Identity
	}
	c, _ := a.Choose(p.order)
	if c == representation.Identity {
		return NotAccepted, representation.Identity
	}
	return Compress, c
}

// hasContent reports whether a final response of this status has content of its own that is whole (RFC 9110, section
// 6.4.1 and 15.3.7). 416 has none to speak of, and a Content-Range.
func hasContent(status int) bool {
	switch status {
	case 204, 205, 206, 304, 416:
		return false
	}
	return status >= 200
}

// Covers reports whether a media type, as Content-Type has it with its parameters, is in the list.
func (p *Policy) Covers(contentType []byte) bool {
	t, _, _ := bytes.Cut(contentType, []byte(";"))
	t = bytes.Trim(t, " \t")
	var buf [96]byte
	if len(t) == 0 || len(t) > len(buf) {
		return false
	}
	for i, c := range t {
		buf[i] = message.Lower(c)
	}
	t = buf[:len(t)]
	if p.exact[string(t)] {
		return true
	}
	for _, s := range p.prefixes {
		if len(t) > len(s) && string(t[:len(s)]) == s {
			return true
		}
	}
	for _, s := range p.suffixes {
		if len(t) > len(s) && string(t[len(t)-len(s):]) == s {
			return true
		}
	}
	return false
}

// Flushes reports whether each piece of a response must reach the client as it comes: an event stream, or one whose
// server asks for it (X-Accel-Buffering: no). The caller then calls Flush after each piece.
func Flushes(f *message.Fields) bool {
	t, _, _ := bytes.Cut(f.Get(message.ContentType), []byte(";"))
	return message.EqualFold(bytes.Trim(t, " \t"), "text/event-stream") || message.EqualFold(f.Get(message.XAccelBuffering), "no")
}

// VaryNames reports whether Vary names Accept-Encoding already, or *.
func VaryNames(f *message.Fields) bool {
	return listNames(f, message.Vary, "accept-encoding") || listNames(f, message.Vary, "*")
}

// Exposed reports whether the answer to a request is what a BREACH attack measures: it carries credentials, and another site
// made the browser send it. An answer of that kind that is made for this client alone (not one for the shared cache) is
// to be sent plain. Browsers that do not say where a request comes from are old enough not to be worth the loss for
// everyone; other programs are nobody's victim.
func Exposed(request *message.Fields) bool {
	if !request.Has(message.Cookie) && !request.Has(message.Authorization) {
		return false
	}
	site, _ := request.Named("sec-fetch-site")
	return message.EqualFold(site, "cross-site")
}

// listNames reports whether a field that is a list of names or directives has one of them; lower is in lower case.
func listNames(f *message.Fields, id message.ID, lower string) bool {
	if !f.Has(id) {
		return false
	}
	for i := range f.List {
		if f.List[i].ID != id {
			continue
		}
		for rest := f.List[i].Value; len(rest) > 0; {
			var item []byte
			item, rest, _ = bytes.Cut(rest, []byte(","))
			item, _, _ = bytes.Cut(item, []byte("=")) // a directive with an argument it should not have is meant all the same
			if message.EqualFold(bytes.Trim(item, " \t"), lower) {
				return true
			}
		}
	}
	return false
}
