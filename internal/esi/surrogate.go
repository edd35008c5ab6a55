package esi

import "bytes"

// Capability is the value of Surrogate-Capability with which weir tells a server that it processes ESI (W3C note "Edge
// Architecture Specification", section 2.1). Frameworks (Symfony, Drupal, TYPO3) write esi:include only for those who
// say so, and the content itself for others.
const Capability = `weir="ESI/1.0"`

// Asked reports whether Surrogate-Control, of which value is one line, asks for ESI processing (section 2.2):
// content="ESI/1.0", among other directives and other words. The field is for surrogates; it does not go to clients.
func Asked(value []byte) bool {
	for len(value) > 0 {
		var directive []byte
		directive, value = cutDirective(value)
		name, words, ok := bytes.Cut(directive, []byte("="))
		if !ok || string(bytes.Trim(name, " \t")) != "content" {
			continue
		}
		words = bytes.Trim(words, " \t\"")
		for len(words) > 0 {
			var word []byte
			word, words, _ = bytes.Cut(words, []byte(" "))
			if string(word) == "ESI/1.0" {
				return true
			}
		}
	}
	return false
}

// cutDirective splits a list at its first comma outside quotes.
func cutDirective(b []byte) (directive, rest []byte) {
	quoted := false
	for i, c := range b {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			return b[:i], b[i+1:]
		}
	}
	return b, nil
}
