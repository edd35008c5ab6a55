package condition

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// maxLength bounds a condition in bytes, maxDepth how deep its parentheses and signs may lie in each other.
const (
	maxLength = 1000
	maxDepth  = 50
)

// Parse reads and checks a condition. The error is an *Error.
func Parse(text string) (*Condition, error) {
	if len(text) > maxLength {
		return nil, &Error{0, 1, "a condition of over 1000 characters", "make two rules of it"}
	}
	p := &parser{text: []rune(text), c: &Condition{}}
	p.next()
	n := p.or()
	if p.err == nil && p.token != "" {
		p.fail("a condition ends before "+strconv.Quote(p.token), "join two with and, or or")
	}
	if p.err == nil && !n.bool {
		p.at, p.width = 0, len(p.text)
		p.fail("there is nothing compared", "write such as site.p95 > 2s")
	}
	if p.err == nil && p.c.of == "" {
		p.at, p.width = 0, len(p.text)
		p.fail("the condition is about nothing", "write one of the numbers of "+kindNames())
	}
	if p.err != nil {
		return nil, p.err
	}
	p.c.root = n.node
	return p.c, nil
}

// typed is a node whose type is known.
type typed struct {
	node
	bool     bool
	unit     Unit
	any      bool // a plain number that is written down: it goes with a share too, and zero goes with all
	at, wide int  // where it stands
}

type parser struct {
	text  []rune
	pos   int // behind the token
	token string
	at    int // where the token begins
	width int
	depth int
	c     *Condition
	err   error
}

func (p *parser) fail(message, hint string) {
	if p.err == nil {
		p.err = &Error{min(p.at, max(len(p.text)-1, 0)), max(p.width, 1), message, hint}
	}
	p.token, p.pos = "", len(p.text) // nothing follows
}

func (p *parser) failAt(t typed, message, hint string) {
	p.at, p.width = t.at, t.wide
	p.fail(message, hint)
}

// next reads the next token; "" is the end.
func (p *parser) next() {
	for p.pos < len(p.text) && unicode.IsSpace(p.text[p.pos]) {
		p.pos++
	}
	p.at = p.pos
	if p.pos == len(p.text) {
		p.token, p.width = "", 1
		return
	}
	r := p.text[p.pos]
	switch {
	case isDigit(r):
		for p.pos < len(p.text) && (isWord(p.text[p.pos]) || p.text[p.pos] == '.' || p.text[p.pos] == '%') {
			p.pos++
		}
	case isWord(r):
		for p.pos < len(p.text) && (isWord(p.text[p.pos]) || p.text[p.pos] == '.') {
			p.pos++
		}
	case strings.ContainsRune("<>=!&|", r):
		p.pos++
		if p.pos < len(p.text) && (p.text[p.pos] == '=' || p.text[p.pos] == r && (r == '&' || r == '|')) {
			p.pos++
		}
	default:
		p.pos++
	}
	p.token = string(p.text[p.at:p.pos])
	p.width = p.pos - p.at
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

func isWord(r rune) bool {
	return isDigit(r) || r == '_' || unicode.IsLetter(r)
}

func (p *parser) enter() bool {
	if p.depth++; p.depth > maxDepth {
		p.fail("too many parentheses", "")
		return false
	}
	return true
}

func (p *parser) or() typed  { return p.joined("or", "||", opOr, (*parser).and) }
func (p *parser) and() typed { return p.joined("and", "&&", opAnd, (*parser).not) }

func (p *parser) joined(word, foreign string, o op, part func(*parser) typed) typed {
	a := part(p)
	for p.token == word || p.token == foreign {
		if p.token == foreign {
			p.fail(foreign+" is not of this language", "write "+word)
			return a
		}
		p.condition(a)
		p.next()
		b := part(p)
		p.condition(b)
		a = typed{node: node{op: o, left: copyOf(a), right: copyOf(b)}, bool: true, at: a.at, wide: b.at + b.wide - a.at}
	}
	return a
}

// condition complains of what is a number where a condition has to be.
func (p *parser) condition(t typed) {
	if p.err == nil && !t.bool {
		p.failAt(t, "this is compared with nothing", "write such as "+strings.TrimSpace(string(p.text[t.at:t.at+t.wide]))+" > "+t.unit.example())
	}
}

func (p *parser) not() typed {
	if p.token != "not" && p.token != "!" {
		return p.comparison()
	}
	at := p.at
	if p.token == "!" {
		p.fail("! is not of this language", "write not")
		return typed{}
	}
	if !p.enter() {
		return typed{}
	}
	defer func() { p.depth-- }()
	p.next()
	t := p.not()
	p.condition(t)
	return typed{node: node{op: opNot, left: copyOf(t)}, bool: true, at: at, wide: t.at + t.wide - at}
}

var comparisons = map[string]op{">": opAbove, ">=": opAtLeast, "<": opBelow, "<=": opAtMost, "==": opEqual, "!=": opUnequal}

func (p *parser) comparison() typed {
	a := p.sum()
	if p.token == "=" {
		p.fail("= is not of this language", "write ==")
		return a
	}
	o, is := comparisons[p.token]
	if !is {
		return a
	}
	if a.bool {
		p.fail("a condition cannot be compared", "join two with and, or or")
		return a
	}
	p.next()
	b := p.sum()
	if p.err == nil && b.bool {
		p.failAt(b, "a condition cannot be compared", "join two with and, or or")
	}
	p.same(a, b)
	if _, again := comparisons[p.token]; again {
		p.fail("three numbers in one comparison", "compare two, and join with and")
	}
	return typed{node: node{op: o, left: copyOf(a), right: copyOf(b)}, bool: true, at: a.at, wide: b.at + b.wide - a.at}
}

// same complains of numbers of two units, and returns the one that they have.
func (p *parser) same(a, b typed) Unit {
	if fits(a, b.unit) || p.err != nil {
		return b.unit
	}
	if fits(b, a.unit) {
		return a.unit
	}
	if b.op == opNumber || a.op != opNumber {
		p.failAt(b, "this is "+b.unit.String()+", and what is before it is "+a.unit.String(), "write such as "+a.unit.example())
	} else {
		p.failAt(a, "this is "+a.unit.String()+", and what is behind it is "+b.unit.String(), "write such as "+b.unit.example())
	}
	return a.unit
}

// fits reports whether a value goes with a unit. A plain 5 is no share: who writes it means 5%, and it would never be reached.
func fits(t typed, u Unit) bool {
	if t.unit == u || !t.any {
		return t.unit == u
	}
	written := t.op == opNumber
	return written && t.number == 0 || u == Share && (!written || t.number <= 1)
}

func (p *parser) sum() typed {
	a := p.product()
	for p.token == "+" || p.token == "-" {
		o := opAdd
		if p.token == "-" {
			o = opSubtract
		}
		p.numeric(a)
		p.next()
		b := p.product()
		p.numeric(b)
		u := p.same(a, b)
		a = typed{node: node{op: o, left: copyOf(a), right: copyOf(b)}, unit: u, at: a.at, wide: b.at + b.wide - a.at}
	}
	return a
}

func (p *parser) product() typed {
	a := p.factor()
	for p.token == "*" || p.token == "/" {
		o := opMultiply
		if p.token == "/" {
			o = opDivide
		}
		p.numeric(a)
		p.next()
		b := p.factor()
		p.numeric(b)
		if p.err != nil {
			return a
		}
		u := a.unit
		switch {
		case o == opDivide && a.unit == b.unit:
			u = Plain
		case b.unit == Plain || b.unit == Share:
		case o == opMultiply && (a.unit == Plain || a.unit == Share):
			u = b.unit
		default:
			p.failAt(b, a.unit.String()+" by "+b.unit.String(), "divide by a plain number, or by one of the same unit")
		}
		a = typed{node: node{op: o, left: copyOf(a), right: copyOf(b)}, unit: u, any: u == Plain && a.any, at: a.at, wide: b.at + b.wide - a.at}
	}
	return a
}

func (p *parser) numeric(t typed) {
	if p.err == nil && t.bool {
		p.failAt(t, "a condition is no number", "compare numbers, and join conditions with and, or or")
	}
}

func (p *parser) factor() typed {
	at, token := p.at, p.token
	if p.err != nil || !p.enter() {
		return typed{}
	}
	defer func() { p.depth-- }()
	switch {
	case token == "":
		p.fail("the condition ends too soon", "write a number such as site.rate, or 5%")
		return typed{}
	case token == "(":
		p.next()
		t := p.or()
		if p.err == nil && p.token != ")" {
			p.fail("a parenthesis is not closed", "write )")
		}
		t.at, t.wide = at, p.at+1-at
		p.next()
		return t
	case token == "-":
		p.next()
		t := p.factor()
		p.numeric(t)
		return typed{node: node{op: opNegate, left: copyOf(t)}, unit: t.unit, at: at, wide: t.at + t.wide - at}
	case isDigit([]rune(token)[0]):
		return p.literal(token, at)
	case isWord([]rune(token)[0]):
		return p.name(token, at)
	}
	p.fail(strconv.Quote(token)+" where a number has to be", "write a number such as site.rate, or 5%")
	return typed{}
}

var units = map[string]struct {
	unit Unit
	of   float64
}{
	"": {Plain, 1}, "%": {Share, 0.01},
	"ms": {Time, 1e-3}, "s": {Time, 1}, "m": {Time, 60}, "h": {Time, 3600}, "d": {Time, 86400},
	"B": {Size, 1}, "KiB": {Size, 1 << 10}, "MiB": {Size, 1 << 20}, "GiB": {Size, 1 << 30}, "TiB": {Size, 1 << 40},
	"kB": {Size, 1e3}, "KB": {Size, 1e3}, "MB": {Size, 1e6}, "GB": {Size, 1e9}, "TB": {Size, 1e12},
}

func (p *parser) literal(token string, at int) typed {
	end := len(token)
	for end > 0 && !isDigit(rune(token[end-1])) && token[end-1] != '.' {
		end--
	}
	n, err := strconv.ParseFloat(token[:end], 64)
	u, known := units[token[end:]]
	if err != nil || !known || strings.ContainsAny(token[:end], "xXpP_eE") || math.IsInf(n, 0) {
		p.fail(strconv.Quote(token)+" is no number", "write such as 10, 5%, 300ms, 2s, 5m, 64KiB or 2GB")
		return typed{}
	}
	t := typed{node: node{op: opNumber, number: n * u.of}, unit: u.unit, any: u.unit == Plain, at: at, wide: p.width}
	p.next()
	return t
}

func (p *parser) name(token string, at int) typed {
	switch token {
	case "and", "or", "not":
		p.fail(token+" where a number has to be", "write a number such as site.rate, or 5%")
		return typed{}
	}
	of, name, dotted := strings.Cut(token, ".")
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == of })
	if i < 0 || !dotted {
		p.fail("there is no number "+token, "it begins with what it is of: "+kindNames())
		return typed{}
	}
	k := &kinds[i]
	j := slices.IndexFunc(k.numbers, func(n number) bool { return n.name == name })
	if j < 0 {
		p.fail("there is no number "+token, "a "+of+" has "+numberNames(k))
		return typed{}
	}
	if p.c.of != "" && p.c.of != of {
		p.fail("the condition is about "+of+" and about "+p.c.of, "make two rules of it")
		return typed{}
	}
	p.c.of = of
	if !slices.Contains(p.c.names, name) {
		p.c.names = append(p.c.names, name)
	}
	t := typed{node: node{op: opName, name: name}, unit: k.numbers[j].unit, at: at, wide: p.width}
	p.next()
	return t
}

func kindNames() string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	return strings.Join(names, ", ")
}

func numberNames(k *kind) string {
	names := make([]string, len(k.numbers))
	for i, n := range k.numbers {
		names[i] = n.name
	}
	return strings.Join(names, ", ")
}

func copyOf(t typed) *node { return &t.node }
