package esi

// Limits bound what one page can make the edge do. A zero field means its default.
type Limits struct {
	// Tag is the length of one esi: tag in bytes, from < to >. A longer one is text.
	Tag int
	// Value is the length of one attribute's value in bytes. A tag with a longer one is text.
	Value int
	// Includes is how many fragments one page may ask for, those of its fragments counted in.
	Includes int
	// Depth is how many levels of fragments may lie in each other: 1 allows fragments that include nothing.
	Depth int
	// Blocks is how many try blocks of one document may lie in each other, at most 16. Deeper ones are not obeyed.
	Blocks int
	// Held is how many bytes of attempts a page may hold back until it is known whether they succeed.
	Held int
}

const mostBlocks = 16

// DefaultLimits are what a zero field of Limits stands for. Depth is that of Varnish (max_esi_depth).
var DefaultLimits = Limits{Tag: 8 << 10, Value: 4 << 10, Includes: 256, Depth: 5, Blocks: 8, Held: 256 << 10}

func (l Limits) filled() Limits {
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	d := &DefaultLimits
	set(&l.Tag, d.Tag)
	set(&l.Value, d.Value)
	set(&l.Includes, d.Includes)
	set(&l.Depth, d.Depth)
	set(&l.Blocks, d.Blocks)
	set(&l.Held, d.Held)
	l.Blocks = min(l.Blocks, mostBlocks)
	return l
}

// A Warning is something in a page that its author did not mean.
type Warning uint8

// Warnings. Those that say "text" passed the markup on as it was.
const (
	Malformed   Warning = iota // not readable as a tag, an include without a src, a block where it cannot be: text
	TooLong                    // a tag or a value above the limit: text
	OtherCase                  // esi: in capital letters: text
	Misplaced                  // a tag that is understood and means nothing there: dropped
	Unknown                    // an element that is none of ESI's: tag dropped, inside kept
	Unsupported                // an element of ESI that weir does not have: tag dropped, inside kept
	Attribute                  // an onerror or maxwait that means nothing: ignored
	Unclosed                   // the page ended, or an outer element did, in something open
	TooMany                    // a fragment above Limits.Includes: it counts as failed
	TooNested                  // a fragment above Limits.Depth: failed; a block above Limits.Blocks: its tags are dropped, its insides kept
	TooLarge                   // an attempt above Limits.Held: passed on before it was known to succeed
	Refused                    // a fragment's address that must not be asked for
	NumWarnings
)

var warningNames = [NumWarnings]string{"malformed", "too long", "other case", "misplaced", "unknown element",
	"unsupported element", "attribute", "unclosed", "too many fragments", "nested too deep", "attempt too large", "refused address"}

// String returns the warning in words.
func (w Warning) String() string {
	if w >= NumWarnings {
		return "unknown warning"
	}
	return warningNames[w]
}

// A Page is what the documents that make one response share: the one asked for, its fragments, theirs. It belongs to
// one task at a time.
type Page struct {
	limits   Limits
	includes int

	// Warnings counts the warnings of all documents by kind.
	Warnings [NumWarnings]uint32
	// First is the first warning and FirstAt the offset in bytes of its document where it arose: for the log. They say nothing while
	// Warned is false.
	First   Warning
	FirstAt int64
	Warned  bool
}

// Reset makes the page ready for another response.
func (g *Page) Reset(l Limits) { *g = Page{limits: l.filled()} }

// Warn counts a warning about the byte at an offset of a document.
func (g *Page) Warn(w Warning, at int64) {
	g.Warnings[w]++
	if !g.Warned {
		g.Warned, g.First, g.FirstAt = true, w, at
	}
}

// Includes returns how many fragments were asked for so far.
func (g *Page) Includes() int { return g.includes }
