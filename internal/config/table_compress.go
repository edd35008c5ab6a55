package config

import "strings"

// compressKind is a list of codings, or a mapping with more.
func compressKind(t *table) kind[Compress] {
	if t.coding != nil {
		return *t.coding
	}
	o := newObject[Compress](t, "compress", "compress", "Compression of what an app sends plain. What it sends compressed stays as it is.")
	codings := list(enumKind("zstd", "br", "gzip"), "a list of zstd, br and gzip, the best first", true, true)
	add(o, "codings", codings, func(c *Compress) *[]string { return &c.Codings }, "[zstd, br, gzip]",
		"In order of preference; a client gets the first that it takes, unless it prefers another itself.")
	media := scalar("a media type such as text/html, text/* or *+json", stringShape(), func(s string) (string, *complaint) {
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
	add(o, "types", list(media, "a list of media types", true, false), func(c *Compress) *[]string { return &c.Types },
		"(text, JSON, JavaScript, XML, SVG, WebAssembly, fonts that are not compressed already)", "The media types that are compressed.")
	add(o, "min_size", sizeKind[int64](1, 1<<30), func(c *Compress) *int64 { return &c.Minimum }, "512B", "Shorter ones are not.")
	k := short(o.kind(), codings, true, func(_ *decoder, _ value, got []string) Compress {
		c := o.zero
		c.Codings = got
		return c
	})
	t.coding = &k
	return k
}
