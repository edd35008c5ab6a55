package cache

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/dunglas/httpsfv"

	"github.com/weirhq/weir/internal/message"
)

// No-Vary-Search (draft-ietf-httpbis-no-vary-search, as it went to the RFC editor): a response says which parameters of
// the query do not matter to it, so that requests which differ in them share one object. The cache learns that only
// with the response, when the key is long made. So:
//
//	store:    a response with the field goes under NoVaryKey(what it says), and what it says goes to the front of a
//	          small marker, one for each path, under NoVaryMarkerKey.
//	look up:  the key of the URL as it is; when nothing is there, the marker of the path; for each thing said in it, most
//	          recent first, its NoVaryKey. A fetch after all that is registered under the first of these, so that
//	          visitors with a cold cache and different tracking parameters wait for one fetch.
//
// A hit without the field costs nothing more; a miss costs one look-up, which the cache may spare itself until it has
// written its first marker. The marker's epoch is part of the keys: with the marker gone all that was stored under it is
// out of reach, also when a marker is written anew.
//
// Two things are narrower here than the equivalence of the draft, which a cache may always be: octets that are no UTF-8
// stay what they are instead of becoming U+FFFD (the draft's security considerations warn of that), and a query with
// a ";" is not looked into, because some applications begin a parameter there: "?utm=1;page=2" would be "?utm=3" to the
// cache and page 2 to the app.

// NoVary is what a No-Vary-Search field says, in a form of its own: flags, then the names in order, decoded, each after
// its length. Equal sayings are equal bytes. It does not change.
type NoVary []byte

const (
	noVaryOrder  = 1 << 0 // the order of parameters does not matter
	noVaryExcept = 1 << 1 // the names are those that matter; else, those that do not

	maxNoVaryNames = 64
	maxNoVaryField = 4 << 10
	maxNoVarySpecs = 4 // in a marker
)

// ParseNoVary reads the No-Vary-Search field of a response (draft, sections 4 and 5). ok is false when the URL is to
// be compared as it is: there is no field, it is not a well-formed dictionary, says something of another type than it
// must be, or says nothing.
func ParseNoVary(f *message.Fields) (spec NoVary, ok bool) {
	if !f.Has(message.NoVarySearch) {
		return nil, false
	}
	var lines []string
	size := 0
	for i := range f.List {
		if l := &f.List[i]; l.ID == message.NoVarySearch {
			lines = append(lines, string(l.Value))
			size += len(l.Value)
		}
	}
	if len(lines) == 0 || size > maxNoVaryField {
		return nil, false
	}
	dict, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil {
		return nil, false // section 5.2: what cannot be parsed is as if it were not there
	}
	return newNoVary(dict)
}

// newNoVary is section 5.1, step by step: strict, since the fallback costs a hit and an error would serve a wrong page.
func newNoVary(dict *httpsfv.Dictionary) (NoVary, bool) {
	flags := byte(0)
	if m, there := dict.Get("key-order"); there {
		item, _ := m.(httpsfv.Item)
		ignored, isBool := item.Value.(bool)
		if !isBool {
			return nil, false
		}
		if ignored {
			flags |= noVaryOrder
		}
	}
	params, hasParams := dict.Get("params")
	except, hasExcept := dict.Get("except")
	if hasParams && hasExcept {
		return nil, false
	}
	names, valid := [][]byte(nil), true
	switch {
	case hasParams:
		names, valid = noVaryNames(params)
	case hasExcept:
		names, valid = noVaryNames(except)
		flags |= noVaryExcept
	}
	if !valid || len(names) > maxNoVaryNames || flags == 0 && len(names) == 0 {
		return nil, false
	}
	spec := NoVary{flags}
	for _, n := range names {
		spec = append(binary.LittleEndian.AppendUint16(spec, uint16(len(n))), n...)
	}
	return spec, true
}

// noVaryNames reads an inner list of strings and decodes each as section 5.3 says.
func noVaryNames(m httpsfv.Member) (names [][]byte, ok bool) {
	list, isList := m.(httpsfv.InnerList)
	if !isList {
		return nil, false
	}
	for _, item := range list.Items {
		s, isString := item.Value.(string)
		if !isString {
			return nil, false
		}
		names = append(names, appendForm(nil, []byte(s)))
	}
	slices.SortFunc(names, bytes.Compare)
	return slices.CompactFunc(names, bytes.Equal), true
}

// matters reports whether a parameter of this name, decoded, counts.
func (v NoVary) matters(name []byte) bool {
	listed := false
	for rest := v[1:]; len(rest) >= 2 && !listed; {
		n := 2 + int(binary.LittleEndian.Uint16(rest))
		listed = string(rest[2:n]) == string(name)
		rest = rest[n:]
	}
	return listed == (v[0]&noVaryExcept != 0)
}

// valid reports whether bytes from a store have the form of a NoVary.
func (v NoVary) valid() bool {
	if len(v) == 0 || v[0]&^(noVaryOrder|noVaryExcept) != 0 {
		return false
	}
	rest := v[1:]
	for len(rest) >= 2 {
		n := 2 + int(binary.LittleEndian.Uint16(rest))
		if n > len(rest) {
			return false
		}
		rest = rest[n:]
	}
	return len(rest) == 0
}

const (
	partMarker = 'm'
	partNoVary = 'n'
	partName   = 'N'
	partValue  = 'V'
)

// NoVaryMarkerKey is where the marker of the request's path is, whatever its query.
func (k *Keyer) NoVaryMarkerKey(r *KeyedRequest) Key {
	n := len(r.text)
	text := append(append(r.text, r.text[:r.base]...), partMarker)
	r.text = text[:n]
	return k.seed.hash(text[n:])
}

// NoVaryKey is where a response to the request is that said spec under a marker of this epoch: requests that are
// equivalent by spec (draft, section 6) have one. ok is false when the query is one that is compared as it is.
func (k *Keyer) NoVaryKey(r *KeyedRequest, spec NoVary, epoch uint64) (key Key, ok bool) {
	query, _ := r.Query()
	if bytes.IndexByte(query, ';') >= 0 {
		return key, false
	}
	n, canon := len(r.text), r.canon
	text := append(append(r.text, r.text[:r.base]...), partNoVary)
	text = appendPart(binary.LittleEndian.AppendUint64(text, epoch), partNoVary, []byte(spec))
	text, ok = spec.appendParams(text, r.text[canon:n])
	r.text = text[:n]
	if !ok {
		return key, false
	}
	return k.seed.hash(text[n:]), true
}

// appendParams appends the parameters that count, decoded, in the order that counts.
func (v NoVary) appendParams(dst, query []byte) (_ []byte, ok bool) {
	var list [maxSorted]param
	n := 0
	for p, more := nextParam(query, 0); more; p, more = nextParam(query, int(p.end)) {
		mark := len(dst)
		dst = appendForm(dst, query[p.start:p.name])
		counts := v.matters(dst[mark:])
		dst = dst[:mark]
		if !counts {
			continue
		}
		if n == len(list) {
			return dst, false
		}
		list[n] = p
		n++
	}
	if v[0]&noVaryOrder != 0 {
		sortParams(query, list[:n])
	}
	for _, p := range list[:n] {
		dst = appendFormPart(dst, partName, query[p.start:p.name])
		dst = appendFormPart(dst, partValue, query[min(p.name+1, p.end):p.end])
	}
	return dst, true
}

// appendFormPart is appendPart for what is yet to be decoded.
func appendFormPart(dst []byte, kind byte, b []byte) []byte {
	from := len(dst)
	dst = appendForm(append(dst, kind, 0, 0, 0, 0), b)
	binary.LittleEndian.PutUint32(dst[from+1:], uint32(len(dst)-from-5))
	return dst
}

// NoVaryMarker is a marker as it lies in the store: what responses of one path have said, most recent first.
type NoVaryMarker struct {
	Epoch uint64
	specs []byte
}

const noVaryMagic = 0xa7

// ReadNoVaryMarker reads the bytes of a marker; it keeps them. What is no marker has ok false.
func ReadNoVaryMarker(b []byte) (m NoVaryMarker, ok bool) {
	if len(b) < 9 || b[0] != noVaryMagic {
		return m, false
	}
	m = NoVaryMarker{binary.LittleEndian.Uint64(b[1:]), b[9:]}
	n := 0
	for rest := m; len(rest.specs) > 0; n++ {
		spec := rest.Next()
		if !spec.valid() {
			return NoVaryMarker{}, false
		}
	}
	return m, n > 0 && n <= maxNoVarySpecs
}

// Next takes the next thing said off the marker, nil when there is none.
func (m *NoVaryMarker) Next() NoVary {
	if len(m.specs) < 2 {
		m.specs = nil
		return nil
	}
	n := 2 + int(binary.LittleEndian.Uint16(m.specs))
	if n > len(m.specs) {
		m.specs = nil
		return nil
	}
	spec := NoVary(m.specs[2:n])
	m.specs = m.specs[n:]
	return spec
}

// AppendNoVaryMarker appends a marker with what a response has just said in front of what the one before it holds, of
// which the oldest may fall off. With no marker before it (the zero value) epoch must be one that no marker of the path
// has had: the time in nanoseconds will do. changed is false when the marker would stay as it is.
func AppendNoVaryMarker(dst []byte, before NoVaryMarker, epoch uint64, spec NoVary) (_ []byte, changed bool) {
	if before.specs != nil {
		epoch = before.Epoch
	}
	dst = binary.LittleEndian.AppendUint64(append(dst, noVaryMagic), epoch)
	dst = append(binary.LittleEndian.AppendUint16(dst, uint16(len(spec))), spec...)
	changed = true
	for i, n := 0, 1; n < maxNoVarySpecs; i++ {
		old := before.Next()
		if old == nil {
			break
		}
		if bytes.Equal(old, spec) {
			changed = i > 0
			continue
		}
		dst = append(binary.LittleEndian.AppendUint16(dst, uint16(len(old))), old...)
		n++
	}
	return dst, changed
}
