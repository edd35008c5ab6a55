package config

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// An error shows the line that it is about, and errors go to terminals, logs and chats. So what stands in a file in place of a
// secret is shown as stars: what its key says is one, or what somebody took for such a key.

// secretWords are what keys of secrets are called, or have in their names.
var secretWords = []string{"token", "secret", "password", "passwd", "passphrase", "authorization", "credential", "api_key", "apikey", "slack", "webhook"}

// secretKey reports whether a key is one of a secret, or is meant for one: a letter may be wrong.
func secretKey(name string) bool {
	name = strings.ToLower(strings.ReplaceAll(name, "-", "_"))
	return slices.ContainsFunc(secretWords, func(w string) bool { return strings.Contains(name, w) || editDistance(name, w, 1) <= 1 })
}

// credentials is an address with a name and a password in it.
var credentials = lazily(`^[A-Za-z][A-Za-z0-9+.-]*://[^/@\s]*:[^/@\s]*@`)

// variableAlone is a value that is taken from the environment whole: its name is no secret.
var variableAlone = lazily(`^\$\{[A-Za-z_][A-Za-z0-9_]*(:-)?\}$`)

// veil is what of a file is not shown.
type veil struct {
	nodes map[*yaml.Node]bool
	lines map[int][]rune // those that are shown otherwise than they are, by number
}

// veilOf finds the secrets of a file. root is nil for one that is not YAML: what looks like a secret is one then.
func veilOf(s *source, root *yaml.Node) *veil {
	v := &veil{nodes: map[*yaml.Node]bool{}, lines: map[int][]rune{}}
	if root != nil {
		v.walk(s, root, false, "")
		return v
	}
	under := -1 // how far in the line of a secret begins that may go on in the next
	for i := range s.lines {
		if line := v.line(s, i+1); under >= 0 && (indent(line) > under || indent(line) == len(line)) {
			stars(line, indent(line), len(line))
			continue
		}
		if under = -1; v.guess(i+1, s.lines[i]) {
			under = indent(v.line(s, i+1))
		}
	}
	return v
}

// walk looks at all values. hidden says that scalars here are secrets; in is the key that they lie under.
func (v *veil) walk(s *source, n *yaml.Node, hidden bool, in string) {
	switch n.Kind {
	case yaml.AliasNode:
		if hidden && n.Alias.Kind == yaml.ScalarNode { // others are looked at where they stand
			v.walk(s, n.Alias, true, in)
		}
	case yaml.ScalarNode:
		if (hidden || credentials().MatchString(n.Value)) && n.Value != "" && !variableAlone().MatchString(n.Value) {
			v.nodes[n] = true
			v.cover(s, n)
		}
	case yaml.SequenceNode:
		for _, e := range n.Content {
			v.walk(s, e, hidden, in)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, val := n.Content[i].Value, n.Content[i+1]
			switch {
			case in == "tokens" || in == "users": // names, and behind each its secret, or a mapping
				v.walk(s, val, val.Kind != yaml.MappingNode, key)
			case in == "targets" && val.Kind == yaml.ScalarNode: // a short form that there is not, most often of a webhook
				v.walk(s, val, strings.Contains(val.Value, "://"), key)
			case in == "webhook" || in == "traces" && strings.HasPrefix(key, "header"): // an address, a word and fields: any may be one
				v.walk(s, val, true, "webhook")
			default:
				v.walk(s, val, secretKey(key), strings.ToLower(key))
			}
		}
	}
}

// line is one that is shown.
func (v *veil) line(s *source, n int) []rune {
	if v.lines[n] == nil {
		v.lines[n] = []rune(s.line(n))
	}
	return v.lines[n]
}

// cover puts stars over a scalar, from its first character to its last.
func (v *veil) cover(s *source, n *yaml.Node) {
	line := v.line(s, n.Line)
	from := min(max(n.Column-1, 0), len(line))
	quote := rune(0)
	if from < len(line) && (line[from] == '"' || line[from] == '\'') {
		quote = line[from]
		from++
	}
	switch {
	case quote != 0:
		for at := n.Line; ; at, from = at+1, 0 {
			if end := closing(v.line(s, at)[from:], quote); end >= 0 || at >= len(s.lines) {
				stars(v.line(s, at), from, from+max(end, 0))
				return
			}
			stars(v.line(s, at), from, len(v.line(s, at)))
		}
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 || !strings.HasPrefix(string(line[from:]), n.Value):
		// Over several lines: as far as they are further in than the one that it begins in.
		stars(line, from, len(line))
		for at, in := n.Line+1, indent(line); at <= len(s.lines); at++ {
			next := v.line(s, at)
			i := indent(next)
			if i < len(next) && i <= in {
				return
			}
			stars(next, min(i, len(next)), len(next))
		}
	default:
		stars(line, from, from+len([]rune(n.Value)))
	}
}

// closing is where a quoted text ends; less than 0: not in this line.
func closing(text []rune, quote rune) int {
	for i := 0; i < len(text); i++ {
		switch {
		case quote == '"' && text[i] == '\\', quote == '\'' && text[i] == '\'' && i+1 < len(text) && text[i+1] == '\'':
			i++
		case text[i] == quote:
			return i
		}
	}
	return -1
}

func indent(line []rune) int {
	n := 0
	for n < len(line) && (line[n] == ' ' || line[n] == '-') {
		n++
	}
	return n
}

func stars(line []rune, from, to int) {
	for i := from; i < min(to, len(line)); i++ {
		line[i] = '*'
	}
}

// keys are what may be keys in a line that nobody could read.
var keys = lazily(`["']?([A-Za-z_][A-Za-z0-9_.-]*)["']?[ \t]*:`)

// guess puts stars over what stands behind keys of secrets, up to the end of what looks like a value. It reports whether the last one
// may go on in the next line.
func (v *veil) guess(number int, text string) (on bool) {
	for _, at := range keys().FindAllStringSubmatchIndex(text, -1) {
		name, value := text[at[2]:at[3]], text[at[1]:]
		begin := at[1] + len(value) - len(strings.TrimLeft(value, " \t"))
		if value = text[begin:]; value == "" || !secretKey(name) && name != "url" && !credentials().MatchString(value) {
			continue
		}
		end := len(text)
		on = true
		switch c := value[0]; {
		case c == '{' || c == '[' || strings.HasPrefix(value, "${"):
			on = false
			continue // what is in it has keys of its own, or is a name
		case c == '"' || c == '\'':
			if i := strings.IndexByte(value[1:], c); i >= 0 {
				end, on = begin+1+i, false
			}
			begin++
		default:
			if i := strings.IndexAny(value, ",}]"); i >= 0 {
				end, on = begin+i, false
			}
		}
		stars(v.lines[number], len([]rune(text[:begin])), len([]rune(text[:end])))
	}
	return on
}
