package journal

import (
	"strconv"
	"strings"
	"time"
)

// Story is one request as it is told after the fact: its line, and when it reached which stage. It owns its texts, and is made
// to be used again: a ring of them is the memory of what was slow or failed.
type Story struct {
	Line  Line
	At    [NumStages]time.Duration // since the request's first byte, -1 for a stage that it did not reach
	text  []byte
	parts []Part // memory of Line's
}

// storyText is how much of one text of a client's a story keeps.
const storyText = 512

// Take makes s the story of a request: of its line, which is copied, and its journal.
func (s *Story) Take(l *Line, j *Journal) {
	s.Line = *l
	s.own(s.text[:0], s.parts[:0])
	s.Line.Name = strings.Clone(l.Name[:min(len(l.Name), storyText)]) // it may be a view as well
	for i := range s.At {
		s.At[i] = -1
		if j.At[i] != 0 && j.At[Begun] != 0 && j.At[i] >= j.At[Begun] {
			s.At[i] = time.Duration(j.At[i] - j.At[Begun])
		}
	}
}

// own has the line's texts stand in text from now on, and its parts in parts.
func (s *Story) own(text []byte, parts []Part) {
	parts = append(parts, s.Line.Parts[:min(len(s.Line.Parts), MaxParts)]...)
	texts := [...]*[]byte{&s.Line.Method, &s.Line.Target, &s.Line.Host, &s.Line.Referer, &s.Line.UserAgent, &s.Line.ID}
	var ends [len(texts) + MaxParts]int
	for i, t := range texts {
		text = append(text, (*t)[:min(len(*t), storyText)]...)
		ends[i] = len(text)
	}
	for i := range parts {
		t := parts[i].Target
		text = append(text, t[:min(len(t), PartText)]...)
		ends[len(texts)+i] = len(text)
	}
	from := 0
	for i, t := range texts {
		*t = text[from:ends[i]:ends[i]]
		from = ends[i]
	}
	for i := range parts {
		end := ends[len(texts)+i]
		parts[i].Target = text[from:end:end]
		from = end
	}
	s.text, s.parts = text, parts
	if s.Line.Parts = parts; len(parts) == 0 {
		s.Line.Parts = nil
	}
}

// Clone returns a story that shares nothing with s.
func (s *Story) Clone() *Story {
	c := *s
	c.own(make([]byte, 0, len(s.text)), nil)
	return &c
}

var stageWords = [NumStages]string{"begun", "head_read", "routed", "body_read", "queued", "picked", "connected", "sent", "first_byte",
	"received", "delivered"}

// String returns the stage as stories spell it.
func (s Stage) String() string { return stageWords[min(s, NumStages-1)] }

// AppendStory appends s as one JSON object and a line feed: what the access log has in JSON, why the cache did what it did
// ("cache_why"), whether it is among the slow or the failed, the first fragments of a page ("parts"), and the stages with their milliseconds
// since the first byte ("stages_ms"), in their order.
func AppendStory(dst []byte, s *Story) []byte {
	dst = AppendJSON(dst, &s.Line)
	dst = dst[:len(dst)-len("}\n")]
	dst = appendText(dst, `,"cache_why":`, s.Line.Why)
	if s.Line.Slow {
		dst = append(dst, `,"slow":true`...)
	}
	if s.Line.Failure {
		dst = append(dst, `,"failed":true`...)
	}
	dst = appendParts(dst, s.Line.Parts)
	dst = append(dst, `,"stages_ms":{`...)
	first := true
	for i, at := range s.At {
		if at < 0 {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(append(dst, '"'), stageWords[i]...), '"', ':')
		dst = appendMillis(dst, at)
	}
	return append(dst, "}}\n"...)
}

func appendParts(dst []byte, parts []Part) []byte {
	if len(parts) == 0 {
		return dst
	}
	dst = append(dst, `,"parts":[`...)
	for i := range parts {
		p := &parts[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendQuoted(append(dst, `{"target":`...), p.Target)
		dst = strconv.AppendInt(append(dst, `,"status":`...), int64(p.Status), 10)
		dst = appendText(dst, `,"cache":`, p.Cache.String())
		dst = append(appendMillis(append(dst, `,"ms":`...), p.Took), '}')
	}
	return append(dst, ']')
}
