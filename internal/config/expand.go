package config

import "strings"

// expand puts environment variables in for ${NAME} and ${NAME:-default}. "$${" stands for "${"; every other "$" stays,
// so that $PORT, $SOCKET and $WORKER reach the command. What is put in is never read again, as YAML or for variables.
func (d *decoder) expand(v value, text string) (string, bool) {
	if !strings.Contains(text, "${") {
		return text, true
	}
	var b strings.Builder
	good := true
	for text != "" {
		i := strings.Index(text, "${")
		if i < 0 {
			b.WriteString(text)
			break
		}
		if i > 0 && text[i-1] == '$' {
			b.WriteString(text[:i-1])
			b.WriteString("${")
			text = text[i+2:]
			continue
		}
		b.WriteString(text[:i])
		text = text[i+2:]
		if text != "" && text[0] >= '0' && text[0] <= '9' {
			b.WriteString("${") // ${1} is a group of a pattern, or a shell's
			continue
		}
		end := strings.IndexByte(text, '}')
		if end < 0 {
			d.fail(v, "${ without }", "write ${NAME}, or $${ for ${ itself")
			return "", false
		}
		got, ok := d.variable(v, text[:end])
		good = good && ok
		b.WriteString(got)
		text = text[end+1:]
	}
	return b.String(), good
}

// variable is what one ${…} stands for.
func (d *decoder) variable(v value, inner string) (string, bool) {
	name, fallback, has := strings.Cut(inner, ":-")
	if !isVariableName(name) {
		d.fail(v, "${"+inner+"} is no name of an environment variable",
			"write ${NAME} or ${NAME:-default}, or $${ for ${ itself")
		return "", false
	}
	if got, ok := d.env(name); ok && (got != "" || !has) {
		d.used[name] = got
		if strings.IndexByte(got, 0) >= 0 {
			d.fail(v, "the environment variable "+name+" has a NUL byte in it", "")
			return "", false
		}
		return got, true
	}
	if has {
		return fallback, true
	}
	d.fail(v, "the environment variable "+name+" is not set", "set it, or write ${"+name+":-default}")
	return "", false
}

func isVariableName(s string) bool {
	for i, c := range []byte(s) {
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// word is one word of a command.
type word struct {
	text   string // without its quotes
	quoted bool   // some of it was in quotes: it stays even when it is empty
}

// words splits a command as a shell would: blanks outside of quotes divide, \ keeps the next character (in "…" only a
// few). Nothing is expanded, and a ${…} is never divided. The second result says what is wrong.
func words(command string) ([]word, string) {
	var out []word
	var b strings.Builder
	var quote byte
	open, quoted := false, false
	lastBrace := strings.LastIndexByte(command, '}')
	for i := 0; i < len(command); i++ {
		c := command[i]
		switch {
		case quote == '\'' && c != '\'', quote == '"' && c != '"' && c != '\\':
			b.WriteByte(c)
		case quote != 0 && c == quote:
			quote = 0
		case c == '$' && strings.HasPrefix(command[i:], "${") && i < lastBrace:
			end := i + strings.IndexByte(command[i:], '}')
			b.WriteString(command[i : end+1])
			i, open = end, true
		case c == '\\':
			if i++; i == len(command) {
				return nil, "it ends with \\"
			}
			if quote == '"' && !strings.ContainsRune(`\"$`+"`", rune(command[i])) {
				b.WriteByte('\\')
			}
			b.WriteByte(command[i])
			open = true
		case c == '\'' || c == '"':
			quote, open, quoted = c, true, true
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if open {
				out = append(out, word{b.String(), quoted})
				b.Reset()
				open, quoted = false, false
			}
		default:
			b.WriteByte(c)
			open = true
		}
	}
	if quote != 0 {
		return nil, "a " + string(quote) + " is not closed"
	}
	if open {
		out = append(out, word{b.String(), quoted})
	}
	return out, ""
}
