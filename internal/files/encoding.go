package files

import (
	"io/fs"
	"os"

	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/representation"
)

// suffixes are those of the codings that a neighbour can have, the one that packs best first.
var suffixes = [...]struct {
	coding representation.Coding
	suffix string
}{{representation.Zstd, ".zst"}, {representation.Brotli, ".br"}, {representation.Gzip, ".gz"}}

// none says that the client takes no representation that there is.
const none = "none"

// neighbour opens the precompressed neighbour of a file that the client likes best. vary says that there is one at
// all, so that the answer depends on Accept-Encoding. When the plain file is to be sent, f is nil; coding is then
// none if the client refuses that too.
func (r *Root) neighbour(name string, plain fs.FileInfo, fields *message.Fields) (coding string, f *os.File, info fs.FileInfo, vary bool) {
	want := representation.Accepted(fields)
	var room [len(suffixes)]representation.Coding
	there := room[:0]
	for _, s := range suffixes {
		// One that is older than the file was made of an earlier state of it.
		if n, err := r.dir.Stat(name + s.suffix); err == nil && n.Mode().IsRegular() && !n.ModTime().Before(plain.ModTime()) {
			there = append(there, s.coding)
		}
	}
	vary = len(there) > 0
	for {
		c, ok := want.Choose(there)
		if c == representation.Identity {
			if vary && !ok {
				return none, nil, nil, vary
			}
			return "", nil, nil, vary
		}
		if f, info := r.openCoded(name, c, plain); f != nil {
			return c.String(), f, info, vary
		}
		there = without(there, c) // it went, or cannot be read: the next best will do
	}
}

// openCoded opens a file's neighbour in a coding, nil when there is none.
func (r *Root) openCoded(name string, c representation.Coding, plain fs.FileInfo) (*os.File, fs.FileInfo) {
	for _, s := range suffixes {
		if s.coding != c {
			continue
		}
		f, info, err := r.open(name + s.suffix)
		if err != nil {
			return nil, nil
		}
		if info.Mode().IsRegular() && !info.ModTime().Before(plain.ModTime()) {
			return f, info
		}
		_ = f.Close() // nothing was written: there is nothing to lose
	}
	return nil, nil
}

// without takes one out, in place.
func without(list []representation.Coding, c representation.Coding) []representation.Coding {
	kept := list[:0]
	for _, o := range list {
		if o != c {
			kept = append(kept, o)
		}
	}
	return kept
}
