// Package condition is a small language for conditions on weir's own numbers, such as `site.p95 > 2s and site.rate > 1`: it is parsed
// and checked once, with errors that know their column, and then asked with numbers. What the numbers are, others know. It loops
// over nothing, calls nothing and remembers nothing, so a condition costs what it says.
//
//	condition  = and { "or" and }
//	and        = not { "and" not }
//	not        = "not" not | comparison
//	comparison = sum ( ">" | ">=" | "<" | "<=" | "==" | "!=" ) sum | "(" condition ")"
//	sum        = product { ("+" | "-") product }
//	product    = factor { ("*" | "/") factor }
//	factor     = number [ unit ] | name | "-" factor | "(" sum ")"
package condition

import (
	"fmt"
	"math"
	"slices"
)

// Unit says what a number is a number of. Numbers of two units are neither compared nor added.
type Unit uint8

// The units.
const (
	Plain Unit = iota // a count or a rate
	Share             // 0 to 1, written as 0.05 or as 5%
	Time              // seconds, written as 300ms, 2s, 5m, 1h, 1d
	Size              // bytes, written as 64KiB, 10MiB, 2GB
)

func (u Unit) String() string { return [...]string{"a plain number", "a share", "a time", "a size"}[u] }

// example is how one is written.
func (u Unit) example() string { return [...]string{"10", "5%", "300ms or 2s", "64KiB or 10MiB"}[u] }

// Error is what is wrong in a condition.
type Error struct {
	Column  int // in characters, beginning at 0
	Width   int // characters that are meant, at least 1
	Message string
	Hint    string
}

func (e *Error) Error() string {
	text := fmt.Sprintf("column %d: %s", e.Column+1, e.Message)
	if e.Hint != "" {
		text += ": " + e.Hint
	}
	return text
}

// Truth is what a condition says of some numbers.
type Truth uint8

// What is not known (NaN) makes a condition neither true nor false, unless what is known decides it.
const (
	False Truth = iota
	True
	Unknown
)

// Condition is a checked condition. It never changes.
type Condition struct {
	of    string
	names []string
	root  node
}

// Of is the kind of thing that the condition is about: all its names begin with it.
func (c *Condition) Of() string { return c.of }

// Names are the numbers that it asks for, without what it is about, each once.
func (c *Condition) Names() []string { return slices.Clone(c.names) }

// Test asks the condition. number returns the number with a name; NaN is one that is not known.
func (c *Condition) Test(number func(name string) float64) Truth { return c.root.truth(number) }

// node is a part of a condition: a truth or a number, by its op.
type node struct {
	op          op
	left, right *node
	number      float64 // of opNumber
	name        string  // of opName
}

type op uint8

const (
	opNumber op = iota
	opName
	opNegate
	opAdd
	opSubtract
	opMultiply
	opDivide
	opAbove
	opAtLeast
	opBelow
	opAtMost
	opEqual
	opUnequal
	opNot
	opAnd
	opOr
)

func (n *node) truth(number func(string) float64) Truth {
	switch n.op {
	case opNot:
		switch n.left.truth(number) {
		case True:
			return False
		case False:
			return True
		}
		return Unknown
	case opAnd:
		a, b := n.left.truth(number), n.right.truth(number)
		if a == False || b == False {
			return False
		}
		return max(a, b) // True, unless one is Unknown
	case opOr:
		a, b := n.left.truth(number), n.right.truth(number)
		if a == True || b == True {
			return True
		}
		return max(a, b) // False, unless one is Unknown
	}
	a, b := n.left.value(number), n.right.value(number)
	if math.IsNaN(a) || math.IsNaN(b) {
		return Unknown
	}
	is := false
	switch n.op {
	case opAbove:
		is = a > b
	case opAtLeast:
		is = a >= b
	case opBelow:
		is = a < b
	case opAtMost:
		is = a <= b
	case opEqual:
		is = a == b
	default:
		is = a != b
	}
	if is {
		return True
	}
	return False
}

func (n *node) value(number func(string) float64) float64 {
	switch n.op {
	case opNumber:
		return n.number
	case opName:
		return number(n.name)
	case opNegate:
		return -n.left.value(number)
	}
	a, b := n.left.value(number), n.right.value(number)
	switch n.op {
	case opAdd:
		return a + b
	case opSubtract:
		return a - b
	case opMultiply:
		return a * b
	}
	if b == 0 {
		return math.NaN() // nobody can tell
	}
	return a / b
}
