package pages

import "bytes"

// WantsJSON reports whether an Accept field (RFC 9110, section 12.5.1) prefers JSON to HTML. A client that says
// nothing, or "*/*" alone, gets the page: it is a person with a simple tool more often than a program. application/json and
// every type that ends in +json count; the most specific range decides for HTML.
func WantsJSON(accept []byte) bool {
	json, html, htmlRank := 0, 0, -1
	for len(accept) > 0 {
		var item []byte
		item, accept, _ = bytes.Cut(accept, comma)
		name, params, _ := bytes.Cut(item, semicolon)
		name = bytes.Trim(name, " \t")
		q := weight(params)
		switch {
		case equalFold(name, "application/json") || len(name) > 5 && equalFold(name[len(name)-5:], "+json"):
			json = max(json, q)
		case equalFold(name, "text/html"):
			html, htmlRank = rank(html, htmlRank, q, 2)
		case equalFold(name, "text/*"):
			html, htmlRank = rank(html, htmlRank, q, 1)
		case string(name) == "*/*":
			html, htmlRank = rank(html, htmlRank, q, 0)
		}
	}
	// A catch-all beside a named JSON is a fallback, whatever its weight.
	return json > 0 && (json > html || htmlRank < 1)
}

var comma, semicolon = []byte(","), []byte(";")

func rank(best, bestRank, q, r int) (int, int) {
	if r > bestRank {
		return q, r
	}
	return best, bestRank
}

// weight returns the weight among parameters in thousandths: 1000 when there is none, 0 when it is malformed (section
// 12.4.2).
func weight(params []byte) int {
	for len(params) > 0 {
		var p []byte
		p, params, _ = bytes.Cut(params, semicolon)
		p = bytes.Trim(p, " \t")
		if len(p) < 2 || p[0]|0x20 != 'q' || p[1] != '=' {
			continue
		}
		p = p[2:]
		if len(p) == 0 || len(p) > 5 || p[0] != '0' && p[0] != '1' || len(p) > 1 && p[1] != '.' {
			return 0
		}
		q, unit := int(p[0]-'0')*1000, 100
		for _, c := range p[min(2, len(p)):] {
			if c < '0' || c > '9' {
				return 0
			}
			q += int(c-'0') * unit
			unit /= 10
		}
		if q > 1000 {
			return 0
		}
		return q
	}
	return 1000
}

func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range len(s) {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != s[i] {
			return false
		}
	}
	return true
}
