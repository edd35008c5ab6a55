package config

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxErrors is how many errors are kept; a file with more has one cause for most of them.
const maxErrors = 200

// decoder reads one file. It collects what is wrong instead of stopping at the first.
type decoder struct {
	src        *source
	base       string // the absolute folder that relative paths begin at
	env        func(string) (string, bool)
	used       map[string]string
	host       machine
	strict     bool // what the machine lacks is an error; else a warning
	errs       Errors
	left       int // errors that were not kept
	said       map[said]bool
	warnings   []Warning
	places     map[string]Place
	muted      int // above 0: places are not recorded
	visits     int // values that may still be read; only aliases can use them up
	exhausted  int // the error that says that visits ran out
	nesting    int // of matches in matches
	poolRefs   []reference
	cgis       []cgiRoute
	bound      map[string]bound // explicit addresses in commands, by Listen.socket
	pages      map[string]page  // error pages that were read
	hosts      map[string]Place // the site that has a host
	hostAt     map[string]hostAt
	routeNames map[string]Place
	lacks      bool   // the machine lacks something that the file names
	outer      *Main  // that includes this file; nil: it is the configuration's own
	stem       string // of this file's own names
}

// said is what makes an error the same as another.
type said struct {
	line, column int
	message      string
}

// reference is a name that something else in the file must define.
type reference struct {
	name string
	at   value
}

// value is one value of the file and where it stands.
type value struct {
	node *yaml.Node // never an alias
	key  *yaml.Node // the key before it; nil for a list's element and the root
	path string     // "apps.web.command"
	void bool       // the key is given, or was meant, but there is no value to be used; that is reported
}

// name is what messages call the value: its key, or the list's key with the element's number.
func (v value) name() string {
	i := strings.LastIndexByte(v.path, '.')
	if v.key != nil {
		return v.key.Value
	}
	if v.path == "" {
		return "a configuration"
	}
	return v.path[i+1:]
}

// at is the value with its aliases followed; false when it may not be used (then the error is reported).
func (d *decoder) at(path string, key, node *yaml.Node) (value, bool) {
	d.visits--
	if d.visits == 0 {
		d.exhausted = min(len(d.errs), maxErrors-1)
		d.errs = d.errs[:d.exhausted]
		d.fail(value{node: node}, "aliases make this file grow beyond all measure", "use fewer *aliases inside &anchors")
	}
	if d.visits <= 0 {
		return value{}, false
	}
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	v := value{node: node, key: key, path: path}
	return v, node != nil && d.tagged(v)
}

// tagged refuses tags: nothing here has a type that the key does not already say.
func (d *decoder) tagged(v value) bool {
	tag := v.node.ShortTag()
	switch tag {
	case "", "!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq", "!!timestamp", "!!merge", "!":
		return true
	case "!secret":
		d.fail(v, "`!secret` is not in this version of weir yet", "take the value from the environment with ${NAME}")
	default:
		if d.secret(v) {
			tag = "that begins with its !"
		}
		d.fail(v, "a value with the tag "+tag, "write the value without it, or quotes around it")
	}
	return false
}

// record notes where the value stands, for errors that are found when the configuration is in use.
func (d *decoder) record(v value) {
	if d.muted > 0 {
		return
	}
	n := v.key
	if n == nil {
		n = v.node
	}
	d.places[v.path] = d.place(n)
}

func (d *decoder) place(n *yaml.Node) Place {
	return Place{File: d.src.name, Line: n.Line, Column: n.Column}
}

// placeOf is where the value's key is, or the value when it has none.
func (d *decoder) placeOf(v value) Place {
	if v.key != nil {
		return d.place(v.key)
	}
	return d.place(v.node)
}

// full says that further errors are only counted, so that what costs time to say of them need not be found out.
func (d *decoder) full() bool { return len(d.errs) >= maxErrors }

// fail reports what is wrong with a value.
func (d *decoder) fail(v value, message, hint string) {
	n := v.node
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" && n.Value == "" && v.key != nil {
		n = v.key // a value that is not there has no place of its own
	}
	d.failNode(n, message, hint)
}

// failKey reports what is wrong with a key, or with a value that lacks something.
func (d *decoder) failKey(v value, message, hint string) {
	if v.key != nil {
		d.failNode(v.key, message, hint)
		return
	}
	d.failNode(v.node, message, hint)
}

func (d *decoder) failNode(n *yaml.Node, message, hint string) {
	d.failAt(d.place(n), widthOf(n), message, hint)
}

// failWithin reports what is wrong in a value's text, in a language of its own: column is in characters of the text, from 0. Where the text
// does not stand in the file as it is, for its variables or its lines, the column is said.
func (d *decoder) failWithin(v value, text string, column, width int, message, hint string) {
	at := d.place(v.node)
	line := []rune(d.src.line(at.Line))
	rest := string(line[min(max(at.Column-1, 0), len(line)):])
	switch {
	case strings.HasPrefix(rest, text):
	case len(rest) > 0 && (rest[0] == '"' || rest[0] == '\'') && strings.HasPrefix(rest[1:], text):
		at.Column++
	default:
		d.fail(v, "in column "+itoa(column+1)+" of it: "+message, hint)
		return
	}
	at.Column += column
	d.failAt(at, width, message, hint)
}

func (d *decoder) failAt(p Place, width int, message, hint string) {
	if once := (said{p.Line, p.Column, message}); d.said[once] {
		return // through an alias, a mistake is met again and again
	} else if !d.full() {
		d.said[once] = true
	}
	if d.full() {
		d.left++
		return
	}
	d.errs = append(d.errs, d.src.errorAt(p.Line, p.Column, width, message, hint))
}

func (d *decoder) warn(v value, message, hint string) {
	n := v.node
	if v.key != nil {
		n = v.key
	}
	d.warnAt(d.place(n), widthOf(n), message, hint)
}

func (d *decoder) warnAt(p Place, width int, message, hint string) {
	if len(d.warnings) < maxErrors {
		d.warnings = append(d.warnings, Warning(*d.src.errorAt(p.Line, p.Column, width, message, hint)))
	}
}

// lacking reports that the machine lacks what the file names. It stops a start, but not an edge that comes back with
// a configuration that was checked when it came into force.
func (d *decoder) lacking(v value, message, hint string) {
	d.lacks = true
	if d.strict {
		d.fail(v, message, hint)
		return
	}
	d.warn(v, message, hint)
}

// widthOf is about how many characters a node takes in its line.
func widthOf(n *yaml.Node) int {
	if n.Kind != yaml.ScalarNode || n.Style&(yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) != 0 {
		return 1
	}
	width := len([]rune(n.Value))
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		width += 2
	}
	return max(1, width)
}

// isNull says that nothing is written, or ~ or null.
func (v value) isNull() bool { return v.node.Kind == yaml.ScalarNode && v.node.ShortTag() == "!!null" }

func (v value) isScalar() bool { return v.node.Kind == yaml.ScalarNode && !v.isNull() }
func (v value) isList() bool   { return v.node.Kind == yaml.SequenceNode }
func (v value) isMap() bool    { return v.node.Kind == yaml.MappingNode }

// what is written, for messages.
func (v value) what() string {
	switch {
	case v.isList():
		return "a list"
	case v.isMap():
		return "a mapping"
	case v.isNull():
		return "empty"
	}
	text := v.node.Value
	if len(text) > 60 {
		text = strings.ToValidUTF8(text[:60], "") + "…"
	}
	return strconv.Quote(text)
}

// wrong reports a value of the wrong type.
func (d *decoder) wrong(v value, words string) {
	what := v.what()
	if d.secret(v) {
		what = unsaid
	}
	d.fail(v, v.name()+" is "+what, "write "+words)
}

// unsaid stands for a secret in messages.
const unsaid = `"…"`

// secret reports whether a value is not to be said.
func (d *decoder) secret(v value) bool { return d.src.veiled().nodes[v.node] }

// quoted is a value's text, with its variables put in, as messages say it.
func (d *decoder) quoted(v value, text string) string {
	if d.secret(v) || text != v.node.Value && secretKey(v.name()) {
		return unsaid
	}
	return strconv.Quote(text)
}

// text is the text of a scalar with its variables put in.
func (d *decoder) text(v value, words string) (string, bool) {
	if !v.isScalar() {
		d.wrong(v, words)
		return "", false
	}
	return d.expand(v, v.node.Value)
}

// elements are the values of a list; when single is set, a value that is no list stands for a list of it.
func (d *decoder) elements(v value, single bool, words string) ([]value, bool) {
	if v.isNull() {
		return nil, true
	}
	if !v.isList() {
		if single {
			return []value{v}, true
		}
		d.wrong(v, words)
		return nil, false
	}
	ok := true
	var out []value
	for i, n := range v.node.Content {
		e, good := d.at(v.path+"["+strconv.Itoa(i)+"]", nil, n)
		if !good {
			ok = false
			continue
		}
		d.record(e)
		out = append(out, e)
	}
	return out, ok
}

// maxMerge is how deep << may lie in <<.
const maxMerge = 8

// entries are the keys and values of a mapping in the order of the file, merged ones (<<) after its own. The same key
// twice is an error.
func (d *decoder) entries(v value, words string) ([]value, bool) {
	all, ok := d.allEntries(v, words)
	return slices.DeleteFunc(all, func(e value) bool { return e.void }), ok
}

// allEntries is entries with those that are void.
func (d *decoder) allEntries(v value, words string) ([]value, bool) {
	if v.isNull() {
		return nil, true
	}
	if !v.isMap() {
		d.wrong(v, words)
		return nil, false
	}
	m := merger{d: d, path: v.path, seen: map[string]*yaml.Node{}, ok: true}
	m.add(v.node, 0)
	return m.out, m.ok
}

// merger collects the entries of a mapping and of the mappings merged into it.
type merger struct {
	d    *decoder
	path string
	seen map[string]*yaml.Node
	out  []value
	ok   bool
}

func (m *merger) add(node *yaml.Node, depth int) {
	own := map[string]*yaml.Node{}
	var merged []value
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, val := node.Content[i], node.Content[i+1]
		if key.Kind == yaml.AliasNode && key.Alias != nil {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			m.fail(key, "a key is "+value{node: key}.what(), "a key is one word; text that begins with { or [ needs quotes")
			continue
		}
		if key.Value == "<<" && key.Style == 0 {
			if v, ok := m.d.at(m.path, key, val); ok {
				merged = append(merged, v)
			} else {
				m.ok = false
			}
			continue
		}
		if first := own[key.Value]; first != nil {
			m.fail(key, strconv.Quote(key.Value)+" is given twice", "the first is in line "+itoa(first.Line))
			continue
		}
		own[key.Value] = key
		if m.seen[key.Value] != nil {
			continue // what a mapping says itself wins over what is merged into it
		}
		m.seen[key.Value] = key
		v, ok := m.d.at(join(m.path, key.Value), key, val)
		if ok {
			m.d.record(v)
		} else {
			v, m.ok = value{node: val, key: key, path: m.path, void: true}, false
		}
		m.out = append(m.out, v)
	}
	for _, v := range merged {
		m.merge(v, depth+1)
	}
}

func (m *merger) merge(v value, depth int) {
	switch {
	case depth > maxMerge:
		m.fail(v.key, "<< lies too deep in itself", "")
	case v.isMap():
		m.add(v.node, depth)
	case v.isList():
		for _, n := range v.node.Content {
			if e, ok := m.d.at(m.path, v.key, n); !ok {
				m.ok = false
			} else if !e.isMap() {
				m.fail(v.key, "<< with something that is no mapping", "write <<: *name of an anchor &name of a mapping")
			} else {
				m.merge(e, depth+1)
			}
		}
	default:
		m.fail(v.key, "<< with something that is no mapping", "write <<: *name of an anchor &name of a mapping")
	}
}

func (m *merger) fail(n *yaml.Node, message, hint string) {
	m.ok = false
	m.d.failNode(n, message, hint)
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func itoa(n int) string { return strconv.Itoa(n) }
