package filter

import (
	"fmt"
	"regexp/syntax"
)

// A regular expression costs as many steps for each byte that it looks at as it has places: `.{0,900}` has 900, and a hundred of those
// still fit into a filter. Since a filter is asked for every request, on the loop that serves it, steps and bytes are bounded. A thousand
// bytes of an ordinary expression take microseconds, the worst that is allowed about a millisecond.
const (
	MaxSteps = 200 // places in all expressions of one filter
	maxText  = 512 // bytes of a text that an expression is held against: as many as are kept of it (journal.Story)
)

// stepsOf is how many places an expression has, MaxSteps+1 if that are more; 0 if it is none, which regexp says better. It does not build
// the program, which may take a hundred megabytes.
func stepsOf(text string) int {
	re, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return 0
	}
	return places(re)
}

func places(re *syntax.Regexp) int {
	n := 1
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpRepeat:
		n = re.Min + 1 // an end that is open is one more
		if re.Max >= 0 {
			n = re.Max
		}
		n *= 1 + places(re.Sub[0]) // with the fork before each
	default:
		for _, sub := range re.Sub {
			n += places(sub)
			if n > MaxSteps {
				break
			}
		}
	}
	return min(n, MaxSteps+1)
}

// spend takes what an expression costs from what a filter may.
func (p *parser) spend(value string) (wrong string) {
	p.steps += stepsOf(value)
	if p.steps > MaxSteps {
		return fmt.Sprintf("%.40q has too many places: %d are allowed in all regular expressions of a filter, and x{0,50} has 100; write * or + instead, or = with * in it", value, MaxSteps)
	}
	return ""
}
