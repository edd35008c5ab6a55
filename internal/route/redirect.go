package route

import (
	"errors"
	"fmt"
	"strings"

	"github.com/weirhq/weir/internal/exchange"
)

type pieceKind uint8

const (
	text pieceKind = iota
	uriPiece
	pathPiece
	queryPiece
	hostPiece
	schemePiece
)

var pieceNames = map[string]pieceKind{
	"uri": uriPiece, "path": pathPiece, "query": queryPiece, "host": hostPiece, "scheme": schemePiece,
}

var slash = []byte("/")

// piece is a part of a Location: text of the configuration, or what of the request stands there.
type piece struct {
	kind pieceKind
	text string
}

// newRedirect splits a template at its placeholders.
func newRedirect(to string) ([]piece, error) {
	if to == "" {
		return nil, errors.New("redirect has no target: write a URL or a path, as in https://www.example.com{uri}")
	}
	var out []piece
	for rest := to; rest != ""; {
		i := strings.IndexByte(rest, '{')
		if i < 0 {
			i = len(rest)
		}
		if i > 0 {
			out = append(out, piece{text, string(appendURI(nil, []byte(rest[:i])))})
			rest = rest[i:]
			continue
		}
		name, after, ok := strings.Cut(rest[1:], "}")
		kind, known := pieceNames[name]
		if !ok || !known {
			return nil, fmt.Errorf("redirect %q: %q is no placeholder; there are {uri}, {path}, {query}, {host} and {scheme}", to, rest[:len(rest)-len(after)])
		}
		if err := opens(kind, to[:len(to)-len(rest)]); err != nil {
			return nil, fmt.Errorf("redirect %q: %w", to, err)
		}
		out = append(out, piece{kind: kind})
		rest = after
	}
	return out, nil
}

// opens refuses a placeholder where the client's text would choose the host: an open redirect.
func opens(kind pieceKind, before string) error {
	switch {
	case kind == queryPiece && !strings.Contains(before, "?"):
		return errors.New("{query} stands after a \"?\", else the client chooses where the redirect goes")
	case (kind == uriPiece || kind == pathPiece) && strings.HasSuffix(before, "//"):
		return errors.New("a host is missing before the path, so the client would choose it")
	}
	return nil
}

// Redirect appends the Location of the route's redirect. Whatever the client sent, the result has no control
// character, no space and no byte that is not ASCII, a path always begins with a single "/", and a host ends where
// the template ends it: no request can add a field to the response or send another client elsewhere.
func (r *Route) Redirect(dst []byte, x *exchange.Exchange) []byte {
	start := len(dst)
	for i := range r.redirect {
		switch p := &r.redirect[i]; p.kind {
		case text:
			dst = append(dst, p.text...)
		case uriPiece:
			dst = appendTarget(dst, start, x.Req.Path)
			if x.Req.HasQuery {
				dst = appendQuery(append(dst, '?'), x.Req.Query)
			}
		case pathPiece:
			dst = appendTarget(dst, start, x.Req.Path)
		case queryPiece:
			dst = appendQuery(dst, x.Req.Query)
		case hostPiece:
			dst = appendHost(dst, x.Req.Host)
		case schemePiece:
			dst = appendHost(dst, x.Scheme)
		}
	}
	return dst
}

// appendTarget appends the path of a request. The asterisk form has none. Two slashes in a row are made one, within
// the path and with what stands before it: "//name" would be another host (RFC 3986, section 4.2).
func appendTarget(dst []byte, start int, path []byte) []byte {
	if len(path) == 0 || path[0] != '/' {
		path = slash
	}
	for len(path) > 1 && path[1] == '/' {
		path = path[1:]
	}
	if len(dst) > start && dst[len(dst)-1] == '/' {
		path = path[1:]
	}
	for _, c := range path {
		if pathByte[c] || c == '%' {
			dst = append(dst, c)
		} else {
			dst = appendEscape(dst, c)
		}
	}
	return dst
}

func appendQuery(dst, query []byte) []byte {
	for _, c := range query {
		if pathByte[c] || c == '%' || c == '?' {
			dst = append(dst, c)
		} else {
			dst = appendEscape(dst, c)
		}
	}
	return dst
}

func appendHost[T []byte | string](dst []byte, host T) []byte {
	for i := range len(host) {
		if c := host[i]; unreserved[c] || c == ':' || c == '[' || c == ']' {
			dst = append(dst, c)
		} else {
			dst = appendEscape(dst, c)
		}
	}
	return dst
}

// appendURI appends text of the configuration with what may not stand in a URI escaped.
func appendURI(dst, b []byte) []byte {
	for _, c := range b {
		if pathByte[c] || c == '%' || c == '?' || c == '#' || c == '[' || c == ']' {
			dst = append(dst, c)
		} else {
			dst = appendEscape(dst, c)
		}
	}
	return dst
}
