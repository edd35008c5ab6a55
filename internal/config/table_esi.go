package config

import "strings"

// esiKind is on, off, or a mapping with more.
func esiKind(t *table) kind[ESI] {
	if t.including != nil {
		return *t.including
	}
	o := newObject[ESI](t, "esi", "esi", "Edge Side Includes: <esi:include src=\"/box\"/> in a page of an app is replaced by the response to a request "+
		"for /box, as each client gets the page. Page and box are cached each by its own rule.")
	host := scalar(`a host such as boxes.example.com or "*.example.com"`, stringShape(), func(s string) (string, *complaint) {
		if s == "*" {
			return "", &complaint{"", "write the hosts whose boxes may be included"}
		}
		return parseHost(s)
	})
	add(o, "hosts", list(host, "a list of hosts", true, true), func(e *ESI) *[]string { return &e.Hosts }, "[]",
		"Hosts, beside the page's own, whose responses may be included. They are sites of this configuration: nothing else is ever asked.")
	media := scalar("a media type such as text/html or *+xml", stringShape(), func(s string) (string, *complaint) {
		kind, sub, ok := strings.Cut(s, "/")
		suffix, isSuffix := strings.CutPrefix(s, "*+")
		if isSuffix && tokenForm().MatchString(suffix) && !strings.Contains(suffix, "*") {
			return s, nil
		}
		if !ok || !tokenForm().MatchString(kind) || strings.Contains(kind, "*") || sub != "*" && (!tokenForm().MatchString(sub) || strings.Contains(sub, "*")) {
			return "", &complaint{}
		}
		return strings.ToLower(s), nil
	})
	add(o, "types", list(media, "a list of media types", true, false), func(e *ESI) *[]string { return &e.Types }, "[text/html, application/xhtml+xml]",
		"The media types that are looked into. A response whose Surrogate-Control says content=\"ESI/1.0\" is, whatever its type; one whose Surrogate-Control does not say it is not.")
	add(o, "depth", intKind(1, 10), func(e *ESI) *int { return &e.Depth }, "5", "How many levels of boxes may lie in each other.")
	add(o, "max_includes", intKind(1, 10000), func(e *ESI) *int { return &e.Includes }, "256", "How many boxes a page may have, with theirs; further ones count as failed.")
	k := short(o.kind(), enumKind("on", "off"), false, func(_ *decoder, _ value, word string) ESI {
		e := o.zero
		e.Off = word == "off"
		return e
	})
	t.including = &k
	return k
}
