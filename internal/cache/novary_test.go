package cache

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/message"
)

func noVaryFields(lines ...string) *message.Fields {
	var f message.Fields
	for _, l := range lines {
		f.Add(message.NoVarySearch, []byte("No-Vary-Search"), []byte(l))
	}
	return &f
}

// The draft's own examples (sections 5.2.1 and 5.3.1), and the grammar of dictionaries (RFC 9651, section 3.2).
func TestParseNoVary(t *testing.T) {
	const none = "-"
	for _, c := range []struct{ field, want string }{
		{`key-order`, "order"}, {`params=("a")`, "ignores a"}, {`except=("x")`, "only x"}, {`except=()`, "only"}, {`key-order, except=("x")`, "order only x"},
		{`params=("b" "a" "b")`, "ignores a b"}, {`except=("x"), key-order`, "order only x"}, {`key-order=?1`, "order"},
		{`params=("%C3%A9+%E6%B0%97")`, "ignores é 気"}, {`params=("a%2B")`, "ignores a+"}, {`params=("a%zz")`, "ignores a%zz"}, {`params=("")`, "ignores "},
		{`params=()`, none}, {`key-order=?0`, none}, {`unknown-key`, none}, {``, none},
		{`key-order="not a boolean"`, none}, {`params="not an inner list"`, none}, {`params=(not-a-string)`, none}, {`params=?0`, none}, {`params=?1`, none}, {`params`, none},
		{`params=?1, except=("x")`, none}, {`params=("a"), except=("x")`, none}, {`params=(), except=()`, none},
		{`except="not an inner list"`, none}, {`except=(not-a-string)`, none}, {`except=?1`, none}, {`except=("a" 1)`, none},
		{`params=("a"), future=12.5`, "ignores a"}, {`params=("a");x=1, key-order;y`, "order ignores a"}, {`params=("a";q "b";z=2)`, "ignores a b"},
		{`params=("a"), params=("b")`, "ignores b"}, {`params=("a"), key-order, key-order=?0`, "ignores a"}, {`params=("a")  ,	key-order`, "order ignores a"},
		{`params=("a"),`, none}, {`params=("a" "b"`, none}, {`params=("a""b")`, none}, {`params=('a')`, none}, {`Params=("a")`, none}, {`params = ("a")`, none}, {`params=("a") key-order`, none},
		{`params=("é")`, none}, {`params=("a"), bad=@`, none}, {`params=("a"), d=@1659578233`, "ignores a"},
		{`params=(` + strings.Repeat(`"a" `, 2000) + `)`, none},
	} {
		spec, ok := ParseNoVary(noVaryFields(c.field))
		if got := saying(spec, ok); got != c.want {
			t.Errorf("%.60s: %q, want %q", c.field, got, c.want)
		}
		if ok && !spec.valid() {
			t.Errorf("%s: not valid", c.field)
		}
	}
	if spec, ok := ParseNoVary(noVaryFields("key-order", `params=("a")`)); saying(spec, ok) != "order ignores a" {
		t.Error("two lines are one dictionary")
	}
	if _, ok := ParseNoVary(&message.Fields{}); ok {
		t.Error("no field says something")
	}
	var many []string
	for i := range 65 {
		many = append(many, fmt.Sprintf(`"%d"`, i))
	}
	if _, ok := ParseNoVary(noVaryFields("params=(" + strings.Join(many, " ") + ")")); ok {
		t.Error("more names than a look-up may cost")
	}
}

// saying spells a NoVary out.
func saying(v NoVary, ok bool) string {
	if !ok {
		return "-"
	}
	var out []string
	if v[0]&noVaryOrder != 0 {
		out = append(out, "order")
	}
	word := "ignores"
	if v[0]&noVaryExcept != 0 {
		word = "only"
	}
	if len(v) > 1 || word == "only" {
		out = append(out, word)
	}
	for rest := v[1:]; len(rest) > 0; {
		n := 2 + int(rest[0]) + int(rest[1])<<8
		out = append(out, string(rest[2:n]))
		rest = rest[n:]
	}
	return strings.Join(out, " ")
}

func noVary(t testing.TB, field string) NoVary {
	t.Helper()
	spec, ok := ParseNoVary(noVaryFields(field))
	if !ok {
		t.Fatalf("%s says nothing", field)
	}
	return spec
}

// Section 6 of the draft. A query is written with its "?"; "null" is none.
func TestNoVaryEquivalence(t *testing.T) {
	for _, c := range []struct {
		field, a, b string
		same        bool
	}{
		{"key-order", "null", "?", true}, {"key-order", "?a=x", "?%61=%78", true}, {"key-order", "?a=é", "?a=%C3%A9", true}, {"key-order", "?a=x&&&&", "?a=x", true},
		{"key-order", "?a=", "?a", true}, {"key-order", "?a=%20", "?a= &", true}, {"key-order", "?a=+", "?a= &", true}, {"key-order", "?a=%C3%A9", "?a=e%CC%81", false},
		{"key-order", "?a=%f6", "?a=%ef%bf%bd", false}, // narrower than the draft on purpose
		{"key-order", "?a=1&b=2", "?b=2&a=1", true}, {"key-order", "?a=1&a=2&b", "?a=1&b&a=2", true}, {"key-order", "?a=1&a=2", "?a=2&a=1", false}, {"key-order", "?a=1", "?a=2", false}, {"key-order", "?a=1&b=2", "?a=1", false},
		{`params=("a")`, "?a=1&b=2", "?b=2", true}, {`params=("a")`, "?a=1", "null", true}, {`params=("a")`, "?b=2&c=3", "?c=3&b=2", false}, {`params=("a")`, "?A=1", "null", false}, {`params=("a")`, "?%61=1", "?a", true},
		{`params=("a")`, "?b=2&a=1&c=3", "?b=2&c=3", true}, {`params=("a"), key-order`, "?c=3&a&b=2", "?b=2&c=3", true},
		{`params=("%C3%A9+%E6%B0%97")`, "?é 気=1", "?%C3%A9+%E6%B0%97=4", true}, {`params=("%C3%A9+%E6%B0%97")`, "?%C3%A9%20気=3", "null", true},
		{`except=("x")`, "?x=1&y=2", "?z=3&x=1", true}, {`except=("x")`, "?x=1", "?x=2", false}, {`except=("x")`, "?x=1&x=2", "?x=1", false}, {`except=()`, "?x=1&y", "null", true},
		{`except=("x" "y")`, "?x&y", "?y&x", false}, {`except=("x" "y"), key-order`, "?x&y", "?y&x", true}, {`params=("")`, "?=1&b", "?b", true},
		{`except=("a")`, "?a=b=c", "?a=b%3Dc", true}, {`except=("a")`, "?a=1%26b=2", "?a=1&b=2", false}, {`except=("a")`, "?a=%", "?a=%25", true},
	} {
		k, spec := compile(t, KeyPolicy{}), noVary(t, c.field)
		key := func(query string, host string) Key {
			url := "http://" + host + "/p"
			if query != "null" {
				url += query
			}
			r := keyOf(t, k, keyed(url))
			key, ok := k.NoVaryKey(&r, spec, 1)
			if !ok || key == r.Key {
				t.Fatalf("%s: no key for %s", c.field, query)
			}
			return key
		}
		if got := key(c.a, "h") == key(c.b, "h"); got != c.same {
			t.Errorf("%s: %s and %s are one: %v", c.field, c.a, c.b, got)
		}
		if key(c.a, "h") == key(c.a, "i") {
			t.Errorf("%s: two hosts share objects", c.field)
		}
	}
}

func TestNoVaryStaysAway(t *testing.T) {
	k, spec := compile(t, KeyPolicy{}), noVary(t, `params=("utm"), key-order`)
	for _, url := range []string{"http://a/?utm=1;page=2", "http://a/?" + strings.Repeat("a&", 65)} {
		r := keyOf(t, k, keyed(url))
		if _, ok := k.NoVaryKey(&r, spec, 1); ok {
			t.Errorf("%.40s is taken apart", url)
		}
	}
	r := keyOf(t, k, keyed("http://a/?utm=1&b=2"))
	one, _ := k.NoVaryKey(&r, spec, 1)
	if other, _ := k.NoVaryKey(&r, spec, 2); other == one {
		t.Error("the epoch does not matter")
	}
	if other, _ := k.NoVaryKey(&r, noVary(t, `params=("utm")`), 1); other == one {
		t.Error("what the response said does not matter")
	}
	q := keyOf(t, k, keyed("http://a/"))
	if k.NoVaryMarkerKey(&r) != k.NoVaryMarkerKey(&q) {
		t.Error("the marker depends on the query")
	}
	if q = keyOf(t, k, keyed("http://a/x")); k.NoVaryMarkerKey(&r) == k.NoVaryMarkerKey(&q) {
		t.Error("paths share a marker")
	}
	if before := r.Key; k.seed.hash(r.text) != before {
		t.Error("the text was changed")
	}
}

func TestNoVaryMarker(t *testing.T) {
	specs := []NoVary{noVary(t, "key-order"), noVary(t, `params=("a")`), noVary(t, `except=()`), noVary(t, `except=("b")`), noVary(t, `params=("c")`)}
	blob, changed := AppendNoVaryMarker(nil, NoVaryMarker{}, 7, specs[0])
	read := func() (m NoVaryMarker) {
		t.Helper()
		m, ok := ReadNoVaryMarker(blob)
		if !ok || m.Epoch != 7 {
			t.Fatalf("%x: %v %v", blob, m, ok)
		}
		return m
	}
	list := func() (out string) {
		for m := read(); ; {
			v := m.Next()
			if v == nil {
				return out
			}
			for i := range specs {
				if bytes.Equal(specs[i], v) {
					out += string(rune('0' + i))
				}
			}
		}
	}
	if !changed || list() != "0" {
		t.Fatal(list())
	}
	for i, want := range map[int]string{0: "0"} {
		if blob, changed = AppendNoVaryMarker(nil, read(), 9, specs[i]); changed || list() != want {
			t.Error(changed, list())
		}
	}
	for _, c := range []struct {
		add     int
		want    string
		changed bool
	}{{1, "10", true}, {1, "10", false}, {0, "01", true}, {2, "201", true}, {3, "3201", true}, {4, "4320", true}, {0, "0432", true}, {1, "1043", true}} {
		if blob, changed = AppendNoVaryMarker(nil, read(), 9, specs[c.add]); changed != c.changed || list() != c.want {
			t.Errorf("adding %d: %s %v", c.add, list(), changed)
		}
	}
	for n := range blob {
		if m, ok := ReadNoVaryMarker(blob[:n]); ok {
			for v := m.Next(); v != nil; v = m.Next() {
				v.matters([]byte("a"))
			}
		}
	}
	for _, b := range [][]byte{nil, {1}, append(bytes.Clone(blob), 0), append(bytes.Clone(blob), 1, 0, 9)} {
		if _, ok := ReadNoVaryMarker(b); ok {
			t.Errorf("%x is taken for a marker", b)
		}
	}
}

func FuzzNoVary(f *testing.F) {
	f.Add(`key-order, params=("a" "%41+")`, "a=1&A+=2&b")
	f.Add(`except=("x");q=1, y=@12`, "x=1&&=;")
	k := compile(f, KeyPolicy{})
	f.Fuzz(func(t *testing.T, field, query string) {
		spec, ok := ParseNoVary(noVaryFields(field))
		if !ok {
			return
		}
		blob, _ := AppendNoVaryMarker(nil, NoVaryMarker{}, 1, spec)
		m, ok := ReadNoVaryMarker(blob)
		if !ok || !bytes.Equal(m.Next(), spec) || m.Next() != nil {
			t.Fatalf("%q: %x", field, blob)
		}
		x := keyed("http://a/")
		x.Req.Query, x.Req.HasQuery = []byte(query), true
		r := keyOf(t, k, x)
		one, ok := k.NoVaryKey(&r, spec, 1)
		if !ok {
			return
		}
		// Written in another way, it is the same.
		other := keyed("http://a/")
		other.Req.HasQuery = true
		for i, c := range []byte(query) {
			if c == '&' || c == '=' && !bytes.Contains([]byte(query[:i]), []byte("=")) || c == '%' || c == '+' || i > 0 && bytes.IndexByte([]byte(query[max(0, i-2):i]), '%') >= 0 {
				other.Req.Query = append(other.Req.Query, c)
				continue
			}
			other.Req.Query = fmt.Appendf(other.Req.Query, "%%%02x", c)
		}
		if strings.Contains(query, "=") && strings.Count(query, "=") > 1 {
			return
		}
		r = keyOf(t, k, other)
		if two, ok := k.NoVaryKey(&r, spec, 1); ok && two != one {
			t.Fatalf("%q: %q and %q differ", field, query, other.Req.Query)
		}
	})
}

func FuzzNoVaryMarker(f *testing.F) {
	f.Add([]byte{noVaryMagic, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, ok := ReadNoVaryMarker(b)
		if !ok {
			return
		}
		n := 0
		for v := m.Next(); v != nil; v = m.Next() {
			v.matters([]byte("a"))
			n++
		}
		if n == 0 || n > maxNoVarySpecs {
			t.Fatalf("%d specs", n)
		}
	})
}
