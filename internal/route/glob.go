package route

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// glob matches canonical paths: "?" is one character, "*" any number of them, "[a-z]" and "[!a-z]" one of a class,
// all within a segment; "**" is any text at all.
//
// A search that goes back can be made to try the same thing over and over by a path with many beginnings; so all
// attempts are made at once, each a bit in a set, and a character moves them all with a shift. What the pattern begins and
// ends with, up to its first and from its last wildcard, is compared as it is.
type glob struct {
	prefix, suffix string
	tokens         []token
	stars          states      // which tokens are "*" or "**"
	takes          [128]states // which tokens take an ASCII character
}

// A set of states is two words, with a bit for the end.
const maxTokens = 127

type tokenKind uint8

const (
	char tokenKind = iota
	one
	class
	star
	starstar
)

type token struct {
	kind   tokenKind
	char   rune
	not    bool
	ranges [][2]rune
}

// newGlob reads a pattern. An escape in it stands for the character itself, never for a wildcard.
func newGlob(text string) (*glob, error) {
	var tokens []token
	for p := newGlobText(text); len(p.bytes) > 0; {
		t, err := p.token()
		if err != nil {
			return nil, fmt.Errorf("path %q: %w", text, err)
		}
		// Stars in a row are the strongest of them.
		if n := len(tokens); n > 0 && t.kind >= star && tokens[n-1].kind >= star {
			tokens[n-1].kind = max(tokens[n-1].kind, t.kind)
			continue
		}
		tokens = append(tokens, t)
	}
	g := &glob{}
	for len(tokens) > 0 && tokens[0].kind == char {
		g.prefix += string(appendChar(nil, tokens[0].char))
		tokens = tokens[1:]
	}
	for len(tokens) > 0 && tokens[len(tokens)-1].kind == char {
		g.suffix = string(appendChar(nil, tokens[len(tokens)-1].char)) + g.suffix
		tokens = tokens[:len(tokens)-1]
	}
	if len(tokens) > maxTokens {
		return nil, fmt.Errorf("path %q: from its first to its last wildcard a glob has at most %d characters", text, maxTokens)
	}
	g.tokens = tokens
	for i := range tokens {
		if tokens[i].kind >= star {
			g.stars.add(i)
		}
	}
	for c := range g.takes {
		g.takes[c] = g.who(rune(c))
	}
	return g, nil
}

// who returns which tokens take a character.
func (g *glob) who(c rune) (set states) {
	for i := range g.tokens {
		if g.tokens[i].takes(c) {
			set.add(i)
		}
	}
	return set
}

// globText is a pattern in canonical form; literal says of each byte that it was escaped.
type globText struct {
	bytes   []byte
	literal []bool
}

func newGlobText(s string) (p globText) {
	for i := 0; i < len(s); i++ {
		unit, escaped := s[i:i+1], s[i] == '%'
		if _, ok := escape([]byte(s[i:min(len(s), i+3)])); ok {
			unit, i = s[i:i+3], i+2
		}
		for _, c := range canonical(nil, []byte(unit)) {
			p.bytes = append(p.bytes, c)
			p.literal = append(p.literal, escaped)
		}
	}
	return p
}

// is reports whether the next byte is c and means what it means in a glob.
func (p *globText) is(c byte) bool { return len(p.bytes) > 0 && p.bytes[0] == c && !p.literal[0] }

func (p *globText) skip(n int) { p.bytes, p.literal = p.bytes[n:], p.literal[n:] }

func (p *globText) char() rune {
	r, n := decode(p.bytes)
	p.skip(n)
	return r
}

func (p *globText) token() (token, error) {
	switch {
	case p.is('*'):
		if p.skip(1); p.is('*') {
			p.skip(1)
			return token{kind: starstar}, nil
		}
		return token{kind: star}, nil
	case p.is('?'):
		p.skip(1)
		return token{kind: one}, nil
	case p.is('['):
		p.skip(1)
		return p.class()
	}
	return token{kind: char, char: p.char()}, nil
}

// class reads a class after its "[".
func (p *globText) class() (token, error) {
	t := token{kind: class}
	if p.is('!') || p.is('^') {
		p.skip(1)
		t.not = true
	}
	for first := true; ; first = false {
		if len(p.bytes) == 0 {
			return t, errors.New("a class has no end: close it with \"]\"")
		}
		if p.is(']') && !first {
			p.skip(1)
			return t, nil
		}
		r := [2]rune{0: p.char()}
		r[1] = r[0]
		if p.is('-') && len(p.bytes) > 1 && !(p.bytes[1] == ']' && !p.literal[1]) {
			p.skip(1)
			if r[1] = p.char(); r[1] < r[0] {
				return t, fmt.Errorf("the range %c-%c of a class ends before it begins", r[0], r[1])
			}
		}
		t.ranges = append(t.ranges, r)
	}
}

func appendChar(dst []byte, c rune) []byte {
	if c < 0 {
		return append(dst, byte(-1-c))
	}
	return utf8.AppendRune(dst, c)
}

// decode takes a character; a byte that is not UTF-8 is a character of its own, below 0.
func decode(b []byte) (rune, int) {
	if b[0] < utf8.RuneSelf {
		return rune(b[0]), 1
	}
	r, n := utf8.DecodeRune(b)
	if r == utf8.RuneError && n <= 1 {
		return -1 - rune(b[0]), 1
	}
	return r, n
}

// takes reports whether a token takes a character.
func (t *token) takes(c rune) bool {
	switch t.kind {
	case char:
		return c == t.char
	case starstar:
		return true
	case class:
		if c == '/' {
			return false
		}
		for _, r := range t.ranges {
			if r[0] <= c && c <= r[1] {
				return !t.not
			}
		}
		return t.not
	}
	return c != '/'
}

// states is a set of positions in the tokens: bit i is there when the first i tokens have matched.
type states [2]uint64

func (s *states) add(i int) { s[i>>6] |= 1 << (i & 63) }

// step moves the attempts over those tokens of which each took a character; one at a star also stays, and a star
// may stand for nothing.
func (s states) step(took, stars states) states {
	at := states{s[0] & took[0], s[1] & took[1]}
	next := at.shift()
	next[0] |= at[0] & stars[0]
	next[1] |= at[1] & stars[1]
	return next.open(stars)
}

// open adds what is reached when stars stand for nothing; no two stars follow each other.
func (s states) open(stars states) states {
	over := states{s[0] & stars[0], s[1] & stars[1]}.shift()
	return states{s[0] | over[0], s[1] | over[1]}
}

func (s states) shift() states { return states{s[0] << 1, s[1]<<1 | s[0]>>63} }

// matches reports whether the glob is the whole of a canonical path.
func (g *glob) matches(path []byte) bool {
	n := len(path) - len(g.suffix)
	if n < len(g.prefix) || string(path[:len(g.prefix)]) != g.prefix || string(path[n:]) != g.suffix {
		return false
	}
	now := states{1, 0}.open(g.stars)
	for path = path[len(g.prefix):n]; len(path) > 0; {
		took := states{}
		if c := path[0]; c < utf8.RuneSelf {
			took, path = g.takes[c], path[1:]
		} else {
			r, size := decode(path)
			took, path = g.who(r), path[size:]
		}
		if now = now.step(took, g.stars); now == (states{}) {
			return false
		}
	}
	end := len(g.tokens)
	return now[end>>6]&(1<<(end&63)) != 0
}
