package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A kind is a type of value in the file: how it is read, what it is called and how it is described to an editor. All
// kinds together are the table from which the decoder, the JSON schema and the reference come; see adr/0004.
type kind[V any] struct {
	words string // what a user should write: "a time such as 30s"
	zero  V      // the value when nothing is written
	shape *shape
	read  func(*decoder, value) (V, bool) // false: an error was reported
}

// object is a mapping with known keys.
type object[T any] struct {
	info *info
	all  *table
	zero T
	keys []key[T]
	// done, when set, checks what was read as a whole; at is the mapping, given has the values by key.
	done func(d *decoder, at value, given map[string]value, t *T)
	mute bool   // places inside of it are not recorded
	such string // an example of it, for who writes something else; empty: its keys are named
	// short, when set, is the mapping that somebody means who writes a text alone.
	short func(text string) string
}

// key is one key of an object.
type key[T any] struct {
	name string
	read func(*decoder, value, *T)
}

// info describes an object in words.
type info struct {
	name  string // "app": how the schema and the reference call it
	what  string // "an app": how messages call it
	doc   string
	keys  []keyInfo
	later []laterKey
	shape *shape
}

type keyInfo struct {
	name, words, def, doc string
	must                  bool
	shape                 *shape
}

// laterKey is a key that weir will have and this version has not.
type laterKey struct{ name, doc string }

// table builds objects and keeps their descriptions in order.
type table struct {
	objects   []*info
	headers   *object[Headers]   // of sites and of routes
	caching   *kind[CachePolicy] // likewise
	coding    *kind[Compress]    // likewise
	including *kind[ESI]         // likewise
	script    *object[Script]    // of pools and of apps
	tls       *kind[ServerTLS]   // of pools and of servers
	match     *object[Match]     // of routes, and of what a cache passes by
}

// mainObjects are those whose keys people put in the wrong one of, with what a hint calls them.
var mainObjects = map[string]string{"app": "an app", "pool": "a pool", "server": "a server in servers:", "site": "a site", "route": "a route", "match": "a match",
	"cache": "the cache: of the whole file", "cache_policy": "the cache: of a site or a route"}

// owner is the one of them that has a key of this name, in words; "" when it is none or several.
func (t *table) owner(name string) string {
	found := ""
	for _, o := range t.objects {
		if called := mainObjects[o.name]; called != "" && slices.ContainsFunc(o.keys, func(k keyInfo) bool { return k.name == name }) {
			if found != "" {
				return ""
			}
			found = called
		}
	}
	return found
}

func newObject[T any](t *table, name, what, doc string) *object[T] {
	o := &object[T]{all: t, info: &info{name: name, what: what, doc: doc}}
	no := false
	o.info.shape = &shape{Type: "object", Description: doc, AdditionalProperties: &no}
	t.objects = append(t.objects, o.info)
	return o
}

// add gives the object a key of kind k whose value goes where to says. def is the default as it would be written in
// the file, or words in parentheses when it depends on something; doc is a sentence for the reference.
func add[T, V any](o *object[T], name string, k kind[V], to func(*T) *V, def, doc string) {
	addTo(o, name, k, func(t *T, v V) { *to(t) = v }, def, doc)
}

// addTo is add for a value that is not put in one place as it is.
func addTo[T, V any](o *object[T], name string, k kind[V], set func(*T, V), def, doc string) {
	zero := k.zero
	if def != "" && def[0] != '(' {
		zero = readDefault(name, k, def)
	}
	set(&o.zero, zero)
	o.keys = append(o.keys, key[T]{name, func(d *decoder, v value, t *T) {
		if got, ok := k.read(d, v); ok {
			set(t, got)
		}
	}})
	s := *k.shape
	if s.Ref != "" {
		s = shape{AnyOf: []*shape{k.shape}}
	}
	s.Description = doc
	if def != "" && def[0] != '(' {
		s.Default = defaultText(def)
	}
	o.info.keys = append(o.info.keys, keyInfo{name: name, words: k.words, def: def, doc: doc, shape: &s})
	o.info.shape.Properties = append(o.info.shape.Properties, property{name, &s})
}

// must says that the key last added has to be given.
func (o *object[T]) must() {
	k := &o.info.keys[len(o.info.keys)-1]
	k.must = true
	o.info.shape.Required = append(o.info.shape.Required, k.name)
}

// later names a key that is not in this version.
func (o *object[T]) later(name, doc string) {
	o.info.later = append(o.info.later, laterKey{name, doc})
}

// readDefault reads a default as if it stood in a file. A default that cannot be read is a mistake in the table.
func readDefault[V any](name string, k kind[V], def string) V {
	n, err := defaultNode(def)
	if err != nil {
		panic(fmt.Sprintf("the default of %s is not YAML: %v", name, err))
	}
	d := newDecoder("default", nil, func(string) (string, bool) { return "", false }, nowhere{})
	v, ok := d.at(name, nil, n)
	if !ok {
		panic("the default of " + name + " is odd")
	}
	got, ok := k.read(d, v)
	if !ok || len(d.errs) > 0 {
		panic(fmt.Sprintf("the default of %s: %v", name, d.errs))
	}
	return got
}

// defaultNode is a default as YAML has it. Most are a word or a number, for which a parser would take most of the time in which a
// process begins.
func defaultNode(text string) (*yaml.Node, error) {
	tag := ""
	switch digits := strings.TrimLeft(text, "0123456789"); {
	case text == "true", text == "false":
		tag = "!!bool"
	case text != "" && digits == "":
		tag = "!!int"
	case digits != "" && strings.IndexFunc(text, notInWord) < 0 && digits[0] >= 'a' && digits[0] <= 'z' && !slices.Contains(otherWords, text):
		tag = "!!str"
	}
	if tag != "" {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text, Line: 1, Column: 1}, nil
	}
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		return nil, err
	}
	if len(n.Content) != 1 {
		return nil, errors.New("there is nothing, or more than one thing")
	}
	return n.Content[0], nil
}

// otherWords mean something else to YAML, at least as it once was.
var otherWords = []string{"null", "yes", "no", "on", "off", "y", "n"}

func notInWord(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '-'
}

// kind makes a kind of the object.
func (o *object[T]) kind() kind[T] {
	return kind[T]{words: "a mapping", zero: o.zero, shape: &shape{Ref: "#/$defs/" + o.info.name}, read: o.read}
}

// read is false only when there is no mapping: a mapping with mistakes in it (which are reported) still counts for
// what the rest of the file says of it.
func (o *object[T]) read(d *decoder, v value) (T, bool) {
	t := o.zero
	if o.mute {
		d.muted++
		defer func() { d.muted-- }()
	}
	if !v.isMap() && !v.isNull() {
		if o.short != nil && v.isScalar() {
			d.wrong(v, o.short(v.node.Value))
		} else {
			d.wrong(v, o.words())
		}
		return t, false
	}
	entries, _ := d.allEntries(v, o.words())
	given := make(map[string]value, len(entries))
	for _, e := range entries {
		given[e.key.Value] = e
		i := slices.IndexFunc(o.keys, func(k key[T]) bool { return k.name == e.key.Value })
		switch {
		case i >= 0 && !e.void:
			o.keys[i].read(d, e, &t)
		case i < 0:
			// A key that was meant counts as given, lest one slip be reported as two.
			if meant := o.unknown(d, e); meant != "" && given[meant].node == nil {
				e.void = true
				given[meant] = e
			}
		}
	}
	for _, k := range o.info.keys {
		if _, ok := given[k.name]; k.must && !ok {
			d.failKey(v, o.info.what+" without "+k.name, "write "+k.name+": "+k.words)
		}
	}
	if o.done != nil {
		o.done(d, v, given, &t)
	}
	return t, true
}

// words say what to write.
func (o *object[T]) words() string {
	if o.such != "" {
		return "a mapping such as " + o.such
	}
	return "a mapping (" + oneOf(o.names()) + ")"
}

func (o *object[T]) names() []string {
	out := make([]string, len(o.keys))
	for i, k := range o.keys {
		out[i] = k.name
	}
	return out
}

// knows reports whether there is such a key, or will be.
func (o *object[T]) knows(name string) bool {
	return slices.Contains(o.names(), name) || slices.ContainsFunc(o.info.later, func(l laterKey) bool { return l.name == name })
}

// unknown reports a key that is not known, and returns the one that was probably meant.
func (o *object[T]) unknown(d *decoder, e value) (meant string) {
	name := e.key.Value
	if d.full() {
		d.left++
		return ""
	}
	for _, l := range o.info.later {
		if l.name == name {
			d.failKey(e, "`"+name+"` is not in this version of weir yet", "take it out ("+l.doc+")")
			return ""
		}
	}
	if d.outer != nil && o.info.name == "included_file" && tables().top.knows(name) {
		d.failKey(e, name+" in an included file", "it is for the whole of weir: write it in "+d.outer.path)
		return ""
	}
	hint := "write one of " + oneOf(o.names())
	if meant = Nearest(name, o.names()); meant != "" {
		hint = fmt.Sprintf("did you mean %q?", meant)
	} else if other := o.all.owner(name); other != "" {
		hint = "it belongs into " + other
	} else if name == "host" {
		hint = "hosts: of a site says which hosts it is for"
	}
	message := fmt.Sprintf("unknown key %q in %s", name, o.info.what)
	d.failKey(e, message, hint)
	return meant
}

// pointer is a kind whose value is nil when nothing is written.
func pointer[V any](k kind[V]) kind[*V] {
	return kind[*V]{words: k.words, shape: k.shape, read: func(d *decoder, v value) (*V, bool) {
		got, ok := k.read(d, v)
		return &got, ok
	}}
}

// mapped refuses a scalar in place of a mapping with a hint of its own.
func mapped[T any](k kind[T], hint string) kind[T] {
	read := k.read
	k.read = func(d *decoder, v value) (T, bool) {
		if v.isScalar() {
			d.fail(v, v.name()+" is "+v.what(), hint)
			return k.zero, false
		}
		return read(d, v)
	}
	return k
}

// short lets a scalar (or, for lists, a list) stand for a whole mapping.
func short[T, V any](full kind[T], brief kind[V], lists bool, of func(d *decoder, at value, got V) T) kind[T] {
	return kind[T]{
		words: brief.words + ", or " + full.words,
		zero:  full.zero,
		shape: &shape{AnyOf: []*shape{brief.shape, full.shape}},
		read: func(d *decoder, v value) (T, bool) {
			if v.isScalar() || lists && v.isList() {
				got, ok := brief.read(d, v)
				if !ok {
					return full.zero, false
				}
				return of(d, v, got), true
			}
			return full.read(d, v)
		},
	}
}

// list is values of one kind. With single, one value stands for a list of it. An empty list that is written out is an
// error unless empty is set.
func list[V any](k kind[V], words string, single, empty bool) kind[[]V] {
	s := &shape{Type: "array", Items: k.shape}
	if !empty {
		s.MinItems = 1
	}
	if single {
		s = &shape{AnyOf: []*shape{k.shape, s}}
	}
	return kind[[]V]{words: words, shape: s, read: func(d *decoder, v value) ([]V, bool) {
		elements, ok := d.elements(v, single, words)
		if ok && len(elements) == 0 && !empty {
			d.fail(v, v.name()+" is empty", "write "+words)
			return nil, false
		}
		out := make([]V, 0, len(elements))
		for _, e := range elements {
			got, good := k.read(d, e)
			if good {
				out = append(out, got)
			}
		}
		return out, ok
	}}
}

// convert is a kind whose values are made of those of another kind.
func convert[V, W any](k kind[V], to func(V) W) kind[W] {
	return kind[W]{words: k.words, zero: to(k.zero), shape: k.shape, read: func(d *decoder, v value) (W, bool) {
		got, ok := k.read(d, v)
		return to(got), ok
	}}
}
