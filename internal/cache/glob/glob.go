// Package glob matches names and paths against patterns in which "*" stands for any text at all, slashes included, and
// every other byte for itself. It cannot backtrack: between its stars a pattern is plain text, and the leftmost place
// where a piece fits is always as good as a later one, so each piece is searched once. It has no classes and no
// single-character wildcard; routes, where a "*" ends at a slash, have their own (see route).
package glob

import (
	"bytes"
	"strings"
)

// Glob is a compiled pattern. It does not change and is safe for any number of goroutines. The zero value matches the
// empty text only.
type Glob struct {
	prefix string
	suffix string
	pieces [][]byte // what stands between two stars
	star   bool     // there is one: without it prefix is the whole
}

// New compiles a pattern. Every text is one.
func New(pattern string) Glob {
	parts := strings.Split(pattern, "*")
	g := Glob{prefix: parts[0]}
	if len(parts) == 1 {
		return g
	}
	g.star = true
	g.suffix = parts[len(parts)-1]
	for _, p := range parts[1 : len(parts)-1] {
		if p != "" {
			g.pieces = append(g.pieces, []byte(p))
		}
	}
	return g
}

// Match reports whether the pattern is the whole of b. Its time is linear in the length of b for a given pattern.
func (g *Glob) Match(b []byte) bool {
	if !g.star {
		return string(b) == g.prefix
	}
	if len(b) < len(g.prefix)+len(g.suffix) || string(b[:len(g.prefix)]) != g.prefix || string(b[len(b)-len(g.suffix):]) != g.suffix {
		return false
	}
	b = b[len(g.prefix) : len(b)-len(g.suffix)]
	for _, p := range g.pieces {
		i := bytes.Index(b, p)
		if i < 0 {
			return false
		}
		b = b[i+len(p):]
	}
	return true
}

// All reports whether the pattern matches every text.
func (g *Glob) All() bool { return g.star && g.prefix == "" && g.suffix == "" && len(g.pieces) == 0 }

// String returns the pattern, several stars in a row as one.
func (g *Glob) String() string {
	if !g.star {
		return g.prefix
	}
	var b strings.Builder
	b.WriteString(g.prefix)
	b.WriteByte('*')
	for _, p := range g.pieces {
		b.Write(p)
		b.WriteByte('*')
	}
	b.WriteString(g.suffix)
	return b.String()
}

// Set is a list of patterns of which any may match.
type Set []Glob

// NewSet compiles patterns.
func NewSet(patterns []string) Set {
	var s Set
	for _, p := range patterns {
		s = append(s, New(p))
	}
	return s
}

// Match reports whether any pattern is the whole of b.
func (s Set) Match(b []byte) bool {
	for i := range s {
		if s[i].Match(b) {
			return true
		}
	}
	return false
}
