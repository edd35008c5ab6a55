package edge

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/weirhq/weir/internal/cache/ban"
	"github.com/weirhq/weir/internal/exchange"
	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/message"
)

// A URL as people copy it is not always what its response is kept under: a route may leave fields of the query out, or sort
// them. What of this it does is its policy's to say, so a purge of a URL asks every route that may answer it.

// targets returns what the URL of a request may be kept under: itself, and what each route that may answer it makes of it.
// It allocates.
func (t *tree) targets(x *exchange.Exchange) (all []string, kept bool) {
	req := &x.Req
	whole := append([]byte(nil), req.Path...)
	if req.HasQuery {
		whole = append(append(whole, '?'), req.Query...)
	}
	// Under an earlier configuration it may have been kept so, and a later one may be like that.
	all = append(all, string(whole))
	_, routes := t.table.OfURL(x)
	for _, r := range routes {
		rc := t.routes[r.Index].cache
		if rc == nil {
			continue
		}
		kept = true
		if target := string(rc.keyer.AppendTarget(nil, req.Path, req.Query, req.HasQuery)); !slices.Contains(all, target) {
			all = append(all, target)
		}
	}
	return all, kept
}

// shared reports whether several routes with a cache may answer the URL of a request.
func (t *tree) shared(x *exchange.Exchange) bool {
	if !t.scoped {
		return false
	}
	n := 0
	_, routes := t.table.OfURL(x)
	for _, r := range routes {
		if t.routes[r.Index].cache != nil {
			n++
		}
	}
	return n > 1
}

// urlBans are the purges of a request's URL.
func (t *tree) urlBans(x *exchange.Exchange, hard bool) (all []ban.Purge) {
	if t.dormant {
		// What it was kept under is not known any more, but that it has this path.
		return []ban.Purge{{Kind: ban.Path, Hard: hard, Host: string(x.Req.Host), Path: string(x.Req.Path)}}
	}
	targets, _ := t.targets(x)
	for _, target := range targets {
		all = append(all, ban.Purge{Kind: ban.URL, Hard: hard, Host: string(x.Req.Host), Path: target})
	}
	return all
}

// parseURL reads a URL as the request that a browser makes of it. x has memory of its own.
func (t *tree) parseURL(text string, x *exchange.Exchange) error {
	to, err := url.Parse(text)
	if err != nil || to.Host == "" || to.Scheme != "http" && to.Scheme != "https" {
		return fmt.Errorf("%q is no URL: write it with http:// and a host, as in http://www.example.com/path?query", text)
	}
	if strings.Contains(to.Host+to.Path, "*") {
		return fmt.Errorf("%q: * stands for nothing in a URL: purge the pattern %s (--pattern)", text, to.Host+to.EscapedPath())
	}
	path := to.EscapedPath()
	if path == "" {
		path = "/"
	}
	head := fmt.Appendf(nil, "GET %s", path)
	if to.RawQuery != "" || to.ForceQuery {
		head = appendQuery(append(head, '?'), to.RawQuery)
	}
	head = fmt.Appendf(head, " HTTP/1.1\r\nHost: %s\r\n\r\n", to.Host)
	x.Scheme = to.Scheme
	limits := t.limits
	limits.Line, limits.Head = max(limits.Line, len(head)), max(limits.Head, len(head))
	if n, wrong := http1.ParseRequest(head, &x.Req, &limits); wrong != nil {
		return fmt.Errorf("%q is no URL that weir serves: %s", text, wrong.Reason)
	} else if n != len(head) {
		return fmt.Errorf("%q is no URL that weir serves", text)
	}
	return nil
}

// appendQuery appends a query with what no request can hold escaped, as browsers do.
func appendQuery(dst []byte, query string) []byte {
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"<>`, c) >= 0 {
			dst = fmt.Appendf(dst, "%%%02X", c)
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// bansOfURL are the purges of a URL as it was written; note tells what is odd about it, "" if nothing.
func (t *tree) bansOfURL(text string, hard bool) (all []ban.Purge, note string, err error) {
	var x exchange.Exchange
	if err := t.parseURL(text, &x); err != nil {
		return nil, "", err
	}
	site, _ := t.find(&x)
	_, kept := t.targets(&x)
	switch {
	case site == nil:
		note = fmt.Sprintf("%q: no site has the host %s", text, x.Req.Host)
	case !kept:
		note = fmt.Sprintf("%q: no route that answers it has a cache", text)
	}
	return t.urlBans(&x, hard), note, nil
}

// splitTarget splits "www.example.com/path", the way prefixes and patterns are written. A scheme and a port, which people
// copy along, are no part of what is compared.
func splitTarget(text string) (host, path string, err error) {
	bare := text
	if scheme, rest, ok := strings.Cut(text, "://"); ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")) {
		bare = rest
	}
	host, path, ok := strings.Cut(bare, "/")
	if !ok || host == "" {
		return "", "", fmt.Errorf("%q has no host and path: write www.example.com/path", text)
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 && i+1 < len(host) && strings.Trim(host[i+1:], "0123456789") == "" {
		host = host[:i]
	}
	return strings.ToLower(host), "/" + path, nil
}

// prefixBan is the purge of all that begins with a host and path.
func (t *tree) prefixBan(text string, hard bool) (p ban.Purge, note string, err error) {
	host, path, err := splitTarget(text)
	if err != nil {
		return p, "", err
	}
	if strings.Contains(path, "*") || host != "*" && strings.Contains(host, "*") {
		return p, "", fmt.Errorf("%q: * stands for nothing in a prefix: write --pattern, or leave it out", text)
	}
	p = ban.Purge{Kind: ban.Prefix, Hard: hard, Host: host, Path: path}
	if host == "*" {
		p.Host = ""
		return p, "", nil
	}
	x := exchange.Exchange{Scheme: "http", Req: message.Request{Host: []byte(host), Path: []byte(path)}}
	if site, _ := t.find(&x); site == nil {
		note = fmt.Sprintf("%q: no site has the host %s", text, host)
	}
	return p, note, nil
}

// patternBan is the purge of all that a pattern of host and path meets.
func patternBan(text string, hard bool) (p ban.Purge, err error) {
	host, path, err := splitTarget(text)
	return ban.Purge{Kind: ban.Pattern, Hard: hard, Host: host, Path: path}, err
}

// tagsOf splits what was written for a tag as the fields of responses are split: by commas, and by blanks, which may also be
// part of a tag (Cache-Tag).
func tagsOf(text string) (all []string, err error) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		all = append(all, part)
		if words := strings.Fields(part); len(words) > 1 {
			all = append(all, words...)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%q is no tag: write one that the app's responses carry", text)
	}
	return all, nil
}

// purgeRoute is the route of a PURGE: the one that answers a GET of its URL, if that has a cache.
func (h *handler) purgeRoute() (*siteTree, *routeTree) {
	x := h.x
	x.Req.Method, x.Req.MethodText = message.GET, getMethod
	if site, route := h.tree.find(&x); route != nil && route.cache != nil {
		return site, route
	}
	return h.tree.find(&h.x)
}
