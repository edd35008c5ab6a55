package route

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/weirhq/weir/internal/config"
)

// MaxPath is how long a rewritten path may become, in bytes: it has to fit in a head.
const MaxPath = 8 << 10

// rewrite changes a path in this order: strip, pattern, add.
type rewrite struct {
	strip   string // canonical, without a "/" at its end
	pattern *regexp.Regexp
	replace []byte
	add     string // valid in a path, without a "/" at its end
}

func newRewrite(c config.Rewrite) (rewrite, error) {
	rw := rewrite{pattern: c.Pattern, replace: []byte(c.Replace)}
	var errs []error
	for _, p := range []struct{ key, text string }{{"strip_prefix", c.StripPrefix}, {"add_prefix", c.AddPrefix}} {
		if p.text != "" && p.text[0] != '/' {
			errs = append(errs, fmt.Errorf("%s %q does not begin with \"/\": write %q", p.key, p.text, "/"+p.text))
		}
	}
	if i := strings.IndexAny(c.Replace, "?#"); i >= 0 {
		errs = append(errs, fmt.Errorf("replace %q has a %q: a rewrite changes the path and leaves the query as it is", c.Replace, c.Replace[i]))
	}
	if c.StripPrefix != "" {
		rw.strip = strings.TrimSuffix(string(canonical(nil, tidy(nil, []byte(c.StripPrefix)))), "/")
	}
	if c.AddPrefix != "" {
		rw.add = strings.TrimSuffix(string(tidy(nil, []byte(c.AddPrefix))), "/")
	}
	return rw, errors.Join(errs...)
}

// Rewrites reports whether the route changes paths at all.
func (r *Route) Rewrites() bool {
	return r.rewrite.strip != "" || r.rewrite.add != "" || r.rewrite.pattern != nil
}

// Rewrite appends the path that the server or the files see. path is normalised, and so is the result: it begins
// with "/" and holds no dot segment, no doubled slash and nothing that may not stand in a path. A prefix is stripped
// and added at whole segments. Nothing is appended when the result would be longer than MaxPath: the request is
// then to be refused (414). Only a pattern allocates.
func (r *Route) Rewrite(dst, path []byte) []byte {
	rw := &r.rewrite
	if len(path) == 0 || path[0] != '/' {
		return append(dst, path...) // "*": the server itself is meant, not a path (RFC 9110, section 7.1)
	}
	if rw.strip != "" {
		if rest, ok := cutPrefix(path, rw.strip); ok {
			if path = rest; len(path) == 0 {
				path = slash
			}
		}
	}
	if rw.pattern != nil {
		replaced, ok := rw.byPattern(path)
		if !ok {
			return dst
		}
		path = replaced
	}
	if len(rw.add)+len(path) > MaxPath {
		return dst
	}
	return append(append(dst, rw.add...), path...)
}

// byPattern replaces every match, as regexp.ReplaceAll does, but gives up when the result grows beyond MaxPath: a
// short request could else ask for a long answer many times over. A path that does not match is left as it is.
func (rw *rewrite) byPattern(path []byte) ([]byte, bool) {
	matches := rw.pattern.FindAllSubmatchIndex(path, -1)
	if matches == nil {
		return path, true
	}
	var out []byte
	done := 0
	for _, m := range matches {
		out = append(out, path[done:m[0]]...)
		out = rw.pattern.Expand(out, rw.replace, path, m)
		if done = m[1]; len(out) > MaxPath {
			return nil, false
		}
	}
	out = append(out, path[done:]...)
	out = tidy(nil, out)
	return out, len(out) <= MaxPath
}
