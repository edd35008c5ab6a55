package top

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// story is one request as the log tells it. What the edge says more than is known here is shown as it comes.
type story struct {
	key    string
	fields []fact // all, in the order in which they came

	at                        time.Time
	status                    int
	took                      float64 // milliseconds
	method, host, target      string
	server, cache, cause, why string
}

// fact is one thing that is told, by its name.
type fact struct{ name, value string }

// dropped is what the edge says instead of a story when they come faster than they are read.
func (s *story) dropped() (n int) {
	if len(s.fields) == 1 && s.fields[0].name == "dropped" {
		n, _ = strconv.Atoi(s.fields[0].value) // what is no number is 0
	}
	return n
}

const (
	maxStory = 256 << 10
	maxFacts = 200
	maxDepth = 6
)

// readStory reads one line of the log.
func readStory(text []byte, key string) (*story, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	s := &story{key: key}
	if err := s.read(d, "", 0); err != nil {
		return nil, fmt.Errorf("reading a line of the log: %w", err)
	}
	for _, f := range s.fields {
		switch f.name {
		case "time":
			s.at = timeOf(f.value)
		case "status":
			s.status, _ = strconv.Atoi(f.value) // what is no number is 0
		case "total_ms":
			s.took, _ = strconv.ParseFloat(f.value, 64) // likewise
		case "method":
			s.method = f.value
		case "host":
			s.host = f.value
		case "target":
			s.target = f.value
		case "server":
			s.server = f.value
		case "cache":
			s.cache = f.value
		case "cause":
			s.cause = f.value
		case "cache_why":
			s.why = f.value
		case "listen":
			s.method, s.target = "tcp", f.value
		}
	}
	return s, nil
}

// id is what a request is found again by: its own id where it has one.
func (s *story) id() string {
	for _, f := range s.fields {
		if f.name == "id" && f.value != "" {
			return "request " + f.value + " " + s.at.String()
		}
	}
	return fmt.Sprintf("request %p", s)
}

var errNoObject = errors.New("it is no JSON object")

// read takes an object's members, those of objects within by names with a dot.
func (s *story) read(d *json.Decoder, prefix string, depth int) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	if t != json.Delim('{') || depth > maxDepth {
		return errNoObject
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return err
		}
		if len(s.fields) >= maxFacts {
			continue
		}
		if v[0] == '{' {
			in := json.NewDecoder(bytes.NewReader(v))
			in.UseNumber()
			if err := s.read(in, prefix+fmt.Sprint(name)+".", depth+1); err != nil {
				return err
			}
			continue
		}
		var text string
		if json.Unmarshal(v, &text) != nil {
			text = string(v)
		}
		s.fields = append(s.fields, fact{prefix + fmt.Sprint(name), text})
	}
	_, err = d.Token()
	return err
}

func statusStyle(status int) style {
	switch {
	case status == 0 || status >= 500:
		return bad
	case status >= 400:
		return warn
	case status >= 300:
		return dim
	}
	return good
}

var logColumns = []column{
	{head: "TIME", wide: 8, left: true, rank: 1, show: func(it *item) cell { return cell{it.story.at.Local().Format("15:04:05"), dim} }},
	{head: "ST", wide: 3, num: func(it *item) float64 { return float64(it.story.status) }, show: func(it *item) cell {
		if it.story.status == 0 {
			return cell{"---", bad}
		}
		return cell{fmt.Sprint(it.story.status), statusStyle(it.story.status)}
	}},
	{head: "TOOK", wide: 5, num: func(it *item) float64 { return it.story.took }, show: func(it *item) cell {
		if it.story.took < 0.05 {
			return cell{"0ms", dim}
		}
		return cell{millis(it.story.took), shareStyle(it.story.took, 1000, 10000)}
	}},
	{head: "METH", wide: 4, most: 7, left: true, rank: 2, show: func(it *item) cell { return cell{it.story.method, plain} }},
	{head: "ADDRESS", wide: 24, left: true, flex: true, show: func(it *item) cell { return cell{it.story.host + it.story.target, plain} }},
	{head: "CACHE", wide: 5, most: 24, left: true, rank: 4, show: func(it *item) cell {
		return cell{strings.TrimSpace(it.story.cache + " " + it.story.why), dim}
	}},
	{head: "SERVER", wide: 8, most: 24, left: true, rank: 5, show: func(it *item) cell { return cell{it.story.server, dim} }},
	{head: "CAUSE", wide: 5, left: true, rank: 3, show: func(it *item) cell { return cell{it.story.cause, bad} }},
}

// storyLines are all that is known of a request.
func (m *model) storyLines(s *story) []line {
	out := []line{{{s.method + " ", bold}, {s.host + s.target, bold}},
		{{fmt.Sprint(s.status), statusStyle(s.status)}, {" after " + orNone(millis(s.took)), plain}, {m.gap() + s.at.Local().Format("2006-01-02 15:04:05.000"), dim}}, nil}
	if l := m.stages(s); l != nil {
		out = append(append(out, l...), nil)
	}
	var short []fact
	var long []line
	for _, f := range s.fields {
		switch {
		case strings.HasPrefix(f.name, stagePrefix), f.value == "":
		case widthOf(clean(f.value, m.paint.ascii)) > 24:
			long = append(long, m.text(f.name, f.value, plain)...)
		default:
			short = append(short, f)
		}
	}
	return append(append(out, m.facts(short...)...), long...)
}

// stageWords are what passes until a stage is reached.
var stageWords = map[string]string{"head_read": "client's head", "routed": "finding route", "body_read": "client's body", "queued": "to the pool", "picked": "in the queue", "connected": "connecting",
	"sent": "sending", "first_byte": "server works", "received": "server sends", "delivered": "client takes"}

// stagePrefix is what the names of stages begin with.
const stagePrefix = "stages_ms."

// stages draws where the time went, one bar below the other: each from the stage before to the one that it is called after.
func (m *model) stages(s *story) (out []line) {
	if s.took <= 0 {
		return nil
	}
	room := max(min(m.w-28, 60), 8)
	before, last := 0.0, ""
	for _, f := range s.fields {
		name, ok := strings.CutPrefix(f.name, stagePrefix)
		at, err := strconv.ParseFloat(f.value, 64)
		if !ok || err != nil || at-before < 0.01 {
			continue
		}
		if words, ok := stageWords[name]; ok && (name != "delivered" || last == "received" || last == "first_byte") {
			last, name = name, words
		} else if name == "delivered" {
			name = "until its end" // nothing came of the stages between
		}
		from := min(max(int(before/s.took*float64(room)), 0), room-1)
		long := min(max(int(math.Round((at-before)/s.took*float64(room))), 1), room-from)
		out = append(out, line{m.paint.fit(cell{strings.ReplaceAll(name, "_", " "), dim}, 14, true), m.paint.fit(cell{millis(at - before), plain}, 8, false),
			{"  " + strings.Repeat(" ", from) + strings.Repeat(m.paint.mark("█", "#"), long), accent}})
		before = at
	}
	return out
}

func orNone(text string) string {
	if text == "" {
		return "no time"
	}
	return text
}
