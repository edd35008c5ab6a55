// Package filter is the language in which people say which requests they want to see, such as
//
//	status>=500 or time>1s and not path=/static/*
//
// It turns a text into a decision on a journal.Line, or into an error that points at the column. It reads nothing and
// writes nothing.
package filter

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/weirhq/weir/internal/journal"
)

// MaxLength is how long a filter may be, in bytes. It bounds the work for one request.
const MaxLength = 2000

// maxDepth is how deep parentheses and nots may go.
const maxDepth = 50

// Filter decides for each line. Any goroutine may use it.
type Filter struct {
	root  match
	steps int
}

// match is one decision. It allocates nothing and keeps nothing of the line.
type match func(*journal.Line) bool

// Match reports whether the line is wanted. A nil filter wants all.
func (f *Filter) Match(l *journal.Line) bool { return f == nil || f.root(l) }

// Steps is how many places its regular expressions have, of MaxSteps at the most: what a byte of a text may cost.
func (f *Filter) Steps() int {
	if f == nil {
		return 0
	}
	return f.steps
}

// Error is a filter that is wrong.
type Error struct {
	Column int // of the text, in characters, from 1
	Text   string
	Field  string // that there is none of; empty: something else is wrong
}

func (e *Error) Error() string { return fmt.Sprintf("filter, column %d: %s", e.Column, e.Text) }

// Parse reads a filter: comparisons, joined by and, or, not and parentheses; "and" binds closer than "or". A comparison is
// FIELD OP VALUE with = != < <= > >= ~ (regular expression) !~. An empty text is a nil filter. Errors are of type *Error.
func Parse(text string) (*Filter, error) {
	if len(text) > MaxLength {
		return nil, &Error{Column: MaxLength, Text: fmt.Sprintf("longer than %d bytes: write less", MaxLength)}
	}
	p := parser{text: text}
	p.next()
	if p.token.kind == end {
		return nil, nil
	}
	root := p.or(0)
	if p.err == nil && p.token.kind != end {
		p.fail(p.token, fmt.Sprintf("%s where the filter should end: join comparisons with and, or", p.token.quoted()))
	}
	if p.err != nil {
		return nil, p.err
	}
	return &Filter{root, p.steps}, nil
}

type kind uint8

const (
	end kind = iota
	word
	quotedWord
	operator
	open
	closing
)

type token struct {
	kind kind
	text string
	at   int // offset in bytes
}

func (t token) quoted() string {
	if t.kind == end {
		return "the end"
	}
	return fmt.Sprintf("%q", t.text)
}

// is reports whether the token is one of the language's words.
func (t token) is(names ...string) bool {
	for _, n := range names {
		if t.kind == word && strings.EqualFold(t.text, n) || t.kind == operator && t.text == n {
			return true
		}
	}
	return false
}

type parser struct {
	text  string
	at    int
	token token
	steps int // of regular expressions so far
	err   *Error
}

// fail keeps the first error, and ends the reading.
func (p *parser) fail(t token, text string) match {
	if p.err == nil {
		p.err = &Error{Column: utf8.RuneCountInString(p.text[:t.at]) + 1, Text: text}
	}
	p.at, p.token = len(p.text), token{kind: end, at: len(p.text)}
	return nil
}

// value says that the next token is a value: it may have signs in it that are operators elsewhere.
func (p *parser) value() token {
	p.scan(true)
	return p.token
}

func (p *parser) next() { p.scan(false) }

func (p *parser) scan(value bool) {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
	start := p.at
	if start == len(p.text) {
		p.token = token{end, "", start}
		return
	}
	switch c := p.text[start]; {
	case c == '(' && !value:
		p.at++
		p.token = token{open, "(", start}
	case c == ')':
		p.at++
		p.token = token{closing, ")", start}
	case c == '"' || c == '\'':
		n := strings.IndexByte(p.text[start+1:], c)
		if n < 0 {
			p.fail(token{at: start}, fmt.Sprintf("the %c has no counterpart: close the quotes", c))
			return
		}
		p.at = start + n + 2
		p.token = token{quotedWord, p.text[start+1 : p.at-1], start}
	case !value && strings.IndexByte("=!<>~&|", c) >= 0:
		for p.at < len(p.text) && p.at < start+2 && strings.IndexByte("=!<>~&|", p.text[p.at]) >= 0 {
			p.at++
		}
		if t := p.text[start:p.at]; len(t) == 2 && !twoSigns[t] {
			p.at-- // such as "!" before "(" or a comparison
		}
		p.token = token{operator, p.text[start:p.at], start}
	case value:
		p.at += valueLength(p.text[start:])
		p.token = token{word, p.text[start:p.at], start}
	default:
		for p.at < len(p.text) && strings.IndexByte(" \t\r\n()=!<>~&|\"'", p.text[p.at]) < 0 {
			p.at++
		}
		p.token = token{word, p.text[start:p.at], start}
	}
}

// valueLength is how much of the text is a value without quotes: up to a space, or to a ")" that has no "(" in it.
func valueLength(text string) int {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case ' ', '\t', '\r', '\n':
			return i
		case '(':
			depth++
		case ')':
			if depth--; depth < 0 {
				return i
			}
		}
	}
	return len(text)
}

var twoSigns = map[string]bool{"==": true, "!=": true, "<=": true, ">=": true, "!~": true, "&&": true, "||": true}

func (p *parser) or(depth int) match {
	left := p.and(depth)
	for p.err == nil && p.token.is("or", "||") {
		p.next()
		a, b := left, p.and(depth)
		left = func(l *journal.Line) bool { return a(l) || b(l) }
	}
	return left
}

func (p *parser) and(depth int) match {
	left := p.not(depth)
	for p.err == nil && p.token.is("and", "&&") {
		p.next()
		a, b := left, p.not(depth)
		left = func(l *journal.Line) bool { return a(l) && b(l) }
	}
	return left
}

func (p *parser) not(depth int) match {
	if depth > maxDepth {
		return p.fail(p.token, "parentheses too deep: write it simpler")
	}
	t := p.token
	switch {
	case t.is("not", "!"):
		p.next()
		in := p.not(depth + 1)
		return func(l *journal.Line) bool { return !in(l) }
	case t.kind == open:
		p.next()
		in := p.or(depth + 1)
		if p.err == nil && p.token.kind != closing {
			return p.fail(p.token, p.token.quoted()+` where a ")" should be`)
		}
		p.next()
		return in
	case t.kind == word:
		return p.comparison(t)
	}
	return p.fail(t, t.quoted()+" where a comparison should be: write one such as status>=500")
}

func (p *parser) comparison(name token) match {
	f, ok := fields[strings.ToLower(name.text)]
	if !ok {
		p.fail(name, fmt.Sprintf("no field %q: there is %s", name.text, fieldNames()))
		p.err.Field = name.text
		return nil
	}
	p.next()
	op := p.token
	if op.kind != operator || !isComparison[op.text] {
		return p.fail(op, fmt.Sprintf("%s where = != < <= > >= ~ or !~ should be", op.quoted()))
	}
	v := p.value()
	if v.kind != word && v.kind != quotedWord {
		return p.fail(v, fmt.Sprintf("%s where a value should be: write %s", v.quoted(), f.example))
	}
	if op.is("~", "!~") {
		if wrong := p.spend(v.text); wrong != "" {
			return p.fail(v, wrong)
		}
	}
	m, wrong := f.compile(op.text, v.text)
	if wrong != "" {
		at := v
		if m == nil && strings.HasPrefix(wrong, wrongOperator) {
			at = op
		}
		return p.fail(at, wrong)
	}
	p.next()
	return m
}

var isComparison = map[string]bool{"=": true, "==": true, "!=": true, "<": true, "<=": true, ">": true, ">=": true, "~": true, "!~": true}
