package config

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// MaxFile is the size in bytes above which a configuration file is refused.
const MaxFile = 4 << 20

// source is a file's text, for showing its lines.
type source struct {
	name  string // as the user wrote it
	lines []string
	text  []byte
	root  *yaml.Node // once it was read, if it is YAML
	veil  *veil      // once an error was shown
}

func newSource(name string, text []byte) *source {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	return &source{name: name, lines: breaks().Split(string(text), -1), text: text}
}

// breaks are the line breaks of YAML 1.1, by which the reader counts lines.
var breaks = lazily("\r\n|[\n\r\u0085\u2028\u2029]")

func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return s.lines[n-1]
}

// shown is a line as errors show it.
func (s *source) shown(n int) string {
	if line := s.veiled().lines[n]; line != nil {
		return string(line)
	}
	return s.line(n)
}

// veiled finds out once what is not shown.
func (s *source) veiled() *veil {
	if s.veil != nil {
		return s.veil
	}
	if s.root == nil && len(s.text) <= MaxFile && utf8.Valid(s.text) {
		var document yaml.Node
		if loader, err := yaml.NewLoader(bytes.NewReader(s.text)); err == nil && loader.Load(&document) == nil && len(document.Content) == 1 {
			s.root = document.Content[0]
		}
	}
	s.veil = veilOf(s, s.root)
	return s.veil
}

func (s *source) errorAt(line, column, width int, message, hint string) *Error {
	if line < 1 {
		column = 0
	}
	if line > len(s.lines) { // the reader counts the end of a last line without a break as a line of its own
		line = len(s.lines)
		column = utf8.RuneCountInString(s.line(line)) + 1
	}
	return &Error{
		Place:   Place{File: s.name, Line: line, Column: column},
		Message: shorten(message), Hint: shorten(hint), Line: s.shown(line), Width: width,
	}
}

// tree reads the text as YAML: one document, whose root is returned. The error is of the form of every other.
func (s *source) tree(text []byte) (*yaml.Node, *Error) {
	if e := s.unreadable(text); e != nil {
		return nil, e
	}
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		return nil, s.errorAt(0, 0, 1, "cannot be read: "+err.Error(), "")
	}
	var document, second yaml.Node
	if err := loader.Load(&document); errors.Is(err, io.EOF) {
		return nil, s.errorAt(0, 0, 1, "the file is empty", emptyHint)
	} else if err != nil {
		return nil, s.syntaxError(err)
	}
	if err := loader.Load(&second); err == nil {
		return nil, s.errorAt(max(second.Line, 1), max(second.Column, 1), 3, "a second document begins here",
			"a configuration is one document; take the --- before it out")
	} else if !errors.Is(err, io.EOF) {
		return nil, s.syntaxError(err)
	}
	if document.Kind != yaml.DocumentNode || len(document.Content) != 1 {
		return nil, s.errorAt(0, 0, 1, "the file is empty", emptyHint)
	}
	s.root = document.Content[0]
	return s.root, nil
}

const emptyHint = "the least is `apps: {web: {command: …}}`"

// unreadable refuses what YAML should not even look at.
func (s *source) unreadable(text []byte) *Error {
	if len(text) > MaxFile {
		return s.errorAt(0, 0, 1, "the file is larger than 4 MiB", "is it a configuration?")
	}
	if utf8.Valid(text) && bytes.IndexByte(text, 0) < 0 {
		return nil
	}
	line, column := 1, 1
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == 0 || r == utf8.RuneError && size == 1 {
			break
		}
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
		text = text[size:]
	}
	return s.errorAt(line, column, 1, "the file is not UTF-8 text", "save it as UTF-8")
}

// syntaxError gives what the YAML reader says a place and words for those who do not know YAML's grammar.
func (s *source) syntaxError(err error) *Error {
	var load *yaml.LoadError
	if !errors.As(err, &load) {
		return s.errorAt(0, 0, 1, "is not YAML: "+strings.TrimPrefix(err.Error(), "yaml: "), "")
	}
	line, column := load.Mark.Line, load.Mark.Column
	if line == 0 {
		line, column = s.control()
	}
	said := load.Message
	if strings.HasPrefix(said, "unknown anchor ") {
		said = "unknown anchor" // its name may be a password that begins with *
	}
	message := "is not YAML: " + said
	if at, ok := s.at(line, column); ok && strings.Contains(load.Message, "cannot start any token") {
		message = "is not YAML: a value cannot begin with " + strconv.Quote(string(at))
		if at == '\t' {
			message = "is not YAML: a tab"
		}
	}
	if within := strings.TrimPrefix(load.ContextMsg, "while "); within != "" && within != "scanning for the next token" {
		message += " while " + within
		if begin := load.ContextMark.Line; begin > 0 && begin != line {
			message += " that began in line " + itoa(begin)
		}
	}
	return s.errorAt(line, column, 1, message, s.syntaxHint(line, column, load))
}

// control finds the control character that YAML refuses without saying where.
func (s *source) control() (line, column int) {
	for i, l := range s.lines {
		for j, r := range []rune(l) {
			if r < ' ' && r != '\t' && r != '\r' || r >= 0x7f && r < 0xa0 && r != 0x85 || r == 0xfffe || r == 0xffff {
				return i + 1, j + 1
			}
		}
	}
	return 0, 0
}

// at is the character at a place.
func (s *source) at(line, column int) (rune, bool) {
	runes := []rune(s.line(line))
	if column < 1 || column > len(runes) {
		return 0, false
	}
	return runes[column-1], true
}

func (s *source) syntaxHint(line, column int, load *yaml.LoadError) string {
	at, _ := s.at(line, column)
	shown := s.line(line) + s.line(load.ContextMark.Line)
	switch {
	case at == '\t':
		return "indent with spaces, not with tabs"
	case strings.Contains(shown, "${") && strings.Contains(load.ContextMsg, "flow"):
		return "put quotes around a value with ${…} inside { } or [ ]"
	case strings.Contains(load.ContextMsg, "flow mapping"):
		return "close the { with }, or put quotes around a value with one of : , { } [ ] in it"
	case strings.Contains(load.ContextMsg, "flow sequence"):
		return "close the [ with ], or put quotes around a value with one of : , { } [ ] in it"
	case strings.Contains(load.ContextMsg, "quoted scalar") && strings.Contains(load.Message, "end of stream"):
		return "close the quote that is opened in line " + itoa(load.ContextMark.Line)
	case strings.Contains(load.ContextMsg, "block mapping") || strings.Contains(load.Message, "<document start>"):
		return "look at the indentation: keys of one mapping begin in one column"
	case at == '@' || at == '`' || at == '%':
		return "put quotes around a value that begins with " + string(at)
	case strings.Contains(load.Message, "mapping values are not allowed"):
		return "put quotes around a value that has \": \" in it, or look at the indentation"
	case strings.Contains(load.Message, "unknown anchor"):
		return "an anchor (&name) stands before its alias (*name); a value that begins with * needs quotes"
	case strings.Contains(load.Message, "unknown escape"):
		return "use single quotes: nothing is escaped in them"
	}
	return ""
}

// lazily compiles an expression when it is first used. Every process of weir would compile all of them before it begins otherwise.
func lazily(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
