package files

import (
	"bytes"
	"io/fs"
	"os"

	"github.com/weirhq/weir/internal/message"
)

// The codings that a neighbour can have, the one that packs best first.
var codings = [...]struct{ name, suffix string }{{"zstd", ".zst"}, {"br", ".br"}, {"gzip", ".gz"}}

// none says that the client takes no representation that there is.
const none = "none"

// neighbour opens the precompressed neighbour of a file that the client likes best. vary says that there is one at
// all, so that the answer depends on Accept-Encoding. When the plain file is to be sent, f is nil; coding is then
// none if the client refuses that too.
func (r *Root) neighbour(name string, plain fs.FileInfo, fields *message.Fields) (coding string, f *os.File, info fs.FileInfo, vary bool) {
	want := parseAccepted(fields)
	var there [len(codings)]bool
	for i, c := range codings {
		n, err := r.dir.Stat(name + c.suffix)
		// One that is older than the file was made of an earlier state of it.
		there[i] = err == nil && n.Mode().IsRegular() && !n.ModTime().Before(plain.ModTime())
		vary = vary || there[i]
	}
	for {
		best := -1
		for i := range codings {
			if q := want.q[i]; there[i] && q > 0 && q >= want.identity && (best < 0 || q > want.q[best]) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		f, info, err := r.open(name + codings[best].suffix)
		if err == nil {
			if info.Mode().IsRegular() && !info.ModTime().Before(plain.ModTime()) {
				return codings[best].name, f, info, vary
			}
			_ = f.Close() // nothing was written: there is nothing to lose
		}
		there[best] = false // it went, or cannot be read: the next best will do
	}
	if vary && want.refusesIdentity {
		return none, nil, nil, vary
	}
	return "", nil, nil, vary
}

// accepted is what an Accept-Encoding field says of each coding, in thousandths.
type accepted struct {
	q               [len(codings)]int
	identity        int // how much the plain file was asked for; 0 when nothing was said of it
	refusesIdentity bool
}

// parseAccepted reads Accept-Encoding (RFC 9110, section 12.5.3). Without the field everything is acceptable, and the
// plain file is what every client can read.
func parseAccepted(f *message.Fields) accepted {
	const unsaid = -1
	q := [len(codings)]int{unsaid, unsaid, unsaid}
	identity, star := unsaid, unsaid
	for i := range f.List {
		if f.List[i].ID != message.AcceptEncoding {
			continue
		}
		for item := range bytes.SplitSeq(f.List[i].Value, []byte(",")) {
			name, weight, ok := weighted(item)
			if !ok {
				continue
			}
			switch {
			case message.EqualFold(name, "identity"):
				identity = weight
			case string(name) == "*":
				star = weight
			case message.EqualFold(name, "x-gzip"): // RFC 9110, section 8.4.1.3: the same as gzip
				q[2] = weight
			default:
				for c := range codings {
					if message.EqualFold(name, codings[c].name) {
						q[c] = weight
					}
				}
			}
		}
	}
	var a accepted
	for c := range q {
		if q[c] == unsaid {
			q[c] = max(star, 0)
		}
		a.q[c] = q[c]
	}
	a.identity = max(identity, 0)
	if identity == unsaid {
		a.identity = max(star, 0)
	}
	a.refusesIdentity = identity == 0 || identity == unsaid && star == 0
	return a
}

// weighted splits an element of a list into what is named and its weight in thousandths (RFC 9110, section 12.4.2);
// ok is false when it is malformed.
func weighted(item []byte) (name []byte, q int, ok bool) {
	name, param, has := bytes.Cut(item, []byte(";"))
	name = bytes.Trim(name, " \t")
	if len(name) == 0 {
		return nil, 0, false
	}
	if !has {
		return name, 1000, true
	}
	param = bytes.Trim(param, " \t")
	if len(param) < 3 || message.Lower(param[0]) != 'q' || param[1] != '=' {
		return nil, 0, false
	}
	q, ok = qvalue(param[2:])
	return name, q, ok
}

func qvalue(b []byte) (q int, ok bool) {
	if len(b) > 5 || b[0] != '0' && b[0] != '1' || len(b) > 1 && b[1] != '.' {
		return 0, false
	}
	q = int(b[0]-'0') * 1000
	unit := 100
	for _, c := range b[min(2, len(b)):] {
		if c < '0' || c > '9' {
			return 0, false
		}
		q += int(c-'0') * unit
		unit /= 10
	}
	return q, q <= 1000
}
