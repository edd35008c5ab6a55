package top

import (
	"strings"
	"unicode"
)

// field is a line of text that is being written.
type field struct {
	text []rune
	at   int // of the cursor
}

const maxField = 300

func newField(text string) *field {
	f := &field{}
	f.put(text)
	return f
}

// put writes text at the cursor. What is no text becomes a space.
func (f *field) put(text string) {
	for _, r := range text {
		if len(f.text) >= maxField {
			return
		}
		if !unicode.IsPrint(r) {
			r = ' '
		}
		f.text = append(f.text, 0)
		copy(f.text[f.at+1:], f.text[f.at:])
		f.text[f.at] = r
		f.at++
	}
}

// press obeys a key that edits, and reports whether it is one.
func (f *field) press(k key) bool {
	switch k.name {
	case "backspace", "ctrl+h":
		f.erase(f.at - 1)
	case "delete", "ctrl+d":
		f.erase(f.at)
	case "left", "ctrl+b":
		f.at = max(f.at-1, 0)
	case "right", "ctrl+f":
		f.at = min(f.at+1, len(f.text))
	case "home", "ctrl+a":
		f.at = 0
	case "end", "ctrl+e":
		f.at = len(f.text)
	case "ctrl+u":
		f.text, f.at = append([]rune{}, f.text[f.at:]...), 0
	case "ctrl+k":
		f.text = f.text[:f.at]
	case "ctrl+w":
		for f.at > 0 && f.text[f.at-1] == ' ' {
			f.erase(f.at - 1)
		}
		for f.at > 0 && f.text[f.at-1] != ' ' {
			f.erase(f.at - 1)
		}
	default:
		if k.text == "" {
			return false
		}
		f.put(k.text)
	}
	return true
}

func (f *field) erase(i int) {
	if i < 0 || i >= len(f.text) {
		return
	}
	f.text = append(f.text[:i], f.text[i+1:]...)
	if f.at > i {
		f.at--
	}
}

func (f *field) String() string { return string(f.text) }

// show is the text around the cursor in at most w columns, and the cursor's column.
func (f *field) show(w int) (string, int) {
	if w < 2 {
		return "", 0
	}
	from := 0
	for widthOf(string(f.text[from:f.at])) > w-1 {
		from++
	}
	text := cut(string(f.text[from:]), w, "")
	return strings.TrimRight(text, "\n"), widthOf(string(f.text[from:f.at]))
}
