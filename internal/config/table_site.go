package config

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// siteDraft is a site before its headers are put into its routes.
type siteDraft struct {
	Site
	headers Headers
	cache   *CachePolicy
	encode  *Compress
	include *ESI
}

func siteObject(t *table) *object[siteDraft] {
	o := newObject[siteDraft](t, "site", "a site", "Host names and their ordered routes: the first route that matches answers.")
	add(o, "hosts", list(hostKind(), `a list of hosts such as [example.com, "*.example.com"], or ["*"]`, true, false),
		func(s *siteDraft) *[]string { return &s.Hosts }, "", `Its names. "*.example.com" is every name below example.com, "*" every host no other site has.`)
	o.must()
	add(o, "routes", list(pointer(routeObject(t).kind()), "a list of routes", false, false),
		func(s *siteDraft) *[]*Route { return &s.Routes }, "", "What answers, in order. A request that no route matches gets 404.")
	o.must()
	add(o, "errors", errorPagesKind(), func(s *siteDraft) *[]ErrorPage { return &s.Errors }, "{}",
		"The site's own pages for errors that weir answers with: a status, a class such as 5xx or a range such as 500-503, and a file.")
	add(o, "headers", headersObject(t).kind(), func(s *siteDraft) *Headers { return &s.headers }, "",
		"Changes to the fields of every response of the site.")
	add(o, "cache", pointer(cachePolicy(t)), func(s *siteDraft) **CachePolicy { return &s.cache }, "",
		"How the responses of its routes are cached: on, off, or a policy. A route's own takes its place.")
	add(o, "compress", pointer(compressKind(t)), func(s *siteDraft) **Compress { return &s.encode }, "",
		"Compression of what its apps send plain: codings in order of preference, or more. A route's own takes its place.")
	add(o, "esi", pointer(esiKind(t)), func(s *siteDraft) **ESI { return &s.include }, "off",
		"Edge Side Includes in the pages of its apps: on, off, or more. A route's own takes its place.")
	o.done = (*decoder).finishSite
	return o
}

func routeObject(t *table) *object[Route] {
	o := newObject[Route](t, "route", "a route", "A match and what answers: exactly one of pool, files, cgi, redirect, respond and monitor.")
	add(o, "name", scalar("a name of letters, digits, . _ : / # and -", stringShape(), checkRouteName), func(r *Route) *string { return &r.Name },
		"(the site's first host, # and the route's number)", "What logs and weir explain call it.")
	add(o, "match", pointer(matchObject(t).kind()), func(r *Route) **Match { return &r.Match }, "",
		"Which requests it is for; without it, all.")
	addAnswers(t, o)
	add(o, "rewrite", rewriteObject(t).kind(), func(r *Route) *Rewrite { return &r.Rewrite }, "",
		"Changes to the path that the servers or the files see.")
	add(o, "headers", headersObject(t).kind(), func(r *Route) *Headers { return &r.Headers }, "",
		"Changes to the fields of its responses, after the site's.")
	add(o, "allow", pointer(allowKind(t)), func(r *Route) **Allow { return &r.Allow }, "", "Only these clients are let in.")
	add(o, "body", sizeKind[int64](0, 1<<50), func(r *Route) *int64 { return &r.Body }, "(limits.body)",
		"Limit on a request's body; a larger one gets 413. 0: no limit.")
	o.zero.Body = -1
	add(o, "forwarded", boolKind(), func(r *Route) *bool { return &r.ForwardedField }, "false",
		"Servers get the field Forwarded (RFC 7239) beside X-Forwarded-For, -Proto and -Host.")
	cases := []string{"encoded_slash", "encoded_nul", "backslash", "encoded_control"}
	unclean := convert(list(enumKind(cases...), "a list of "+oneOf(cases), true, true), func(got []string) Unclean {
		return Unclean{slices.Contains(got, cases[0]), slices.Contains(got, cases[1]), slices.Contains(got, cases[2]), slices.Contains(got, cases[3])}
	})
	add(o, "unclean", unclean, func(r *Route) *Unclean { return &r.Unclean }, "[]",
		"Paths that are let pass although two programs may read them in two ways: %2F, %00, \\ and other encoded control characters.")
	add(o, "cache", pointer(cachePolicy(t)), func(r *Route) **CachePolicy { return &r.Cache }, "(the site's)",
		"How its responses are cached: on, off, or a policy.")
	o.later("limit", "rate limits")
	add(o, "compress", pointer(compressKind(t)), func(r *Route) **Compress { return &r.Compress }, "(the site's)",
		"Compression of what its app sends plain.")
	add(o, "esi", pointer(esiKind(t)), func(r *Route) **ESI { return &r.ESI }, "(the site's)",
		"Edge Side Includes in the pages of its app: on, off, or more.")
	add(o, "priority", priorityKind(), func(r *Route) *int { return &r.Priority }, "normal",
		"high, normal or low: who comes first in the queue of its pool, and who makes room when that is full.")
	o.later("sticky", "sticky sessions")
	o.mute = true
	o.done = (*decoder).finishRoute
	return o
}

// addAnswers adds what answers.
func addAnswers(t *table, o *object[Route]) {
	add(o, "pool", textKind("the name of a pool or an app"), func(r *Route) *string { return &r.Pool }, "",
		"The pool, or the app, that answers.")
	add(o, "files", pointer(filesKind(t)), func(r *Route) **Files { return &r.Files }, "", "A directory whose files answer.")
	add(o, "cgi", pointer(cgiKind(t)), func(r *Route) **CGI { return &r.CGI }, "", "Programs that are started for each request.")
	add(o, "redirect", pointer(redirectKind(t)), func(r *Route) **Redirect { return &r.Redirect }, "", "Another place to go to.")
	add(o, "respond", pointer(respondKind(t)), func(r *Route) **Respond { return &r.Respond }, "", "A fixed response.")
	add(o, "monitor", enumKind("live", "ready"), func(r *Route) *string { return &r.Monitor }, "",
		"For balancers in front of weir. live: 200 as long as weir answers. ready: 200 while each pool of the site has a server that takes requests, and weir is not stopping; else 503. Such requests are neither logged nor counted.")
}

var routeNameForm = lazily(`^[A-Za-z0-9._:/#-]{1,80}$`)

func checkRouteName(s string) (string, *complaint) {
	if !routeNameForm().MatchString(s) {
		return "", &complaint{}
	}
	return s, nil
}

func filesKind(t *table) kind[Files] {
	o := newObject[Files](t, "files", "files", "A directory whose files answer GET and HEAD. Dot files are never served, nor what is outside of the directory.")
	add(o, "root", directoryKind(), func(f *Files) *string { return &f.Root }, "", "The directory.")
	o.must()
	index := scalar("the name of a file such as index.html", stringShape(), func(s string) (string, *complaint) {
		if s == "" || strings.ContainsAny(s, "/\x00") || s[0] == '.' {
			return "", &complaint{}
		}
		return s, nil
	})
	add(o, "index", list(index, "a list of names of files", true, true), func(f *Files) *[]string { return &f.Index }, "[index.html]",
		"What answers for a directory: the first of them that is there.")
	add(o, "cache_control", fieldValueKind("a value of Cache-Control"), func(f *Files) *string { return &f.CacheControl }, "",
		"The field Cache-Control of the responses.")
	add(o, "precompressed", boolKind(), func(f *Files) *bool { return &f.Precompressed }, "true",
		"A file's neighbour that ends in .zst, .br or .gz answers for it when the client takes it.")
	return short(o.kind(), directoryKind(), false, func(_ *decoder, _ value, root string) Files {
		f := o.zero
		f.Root = root
		return f
	})
}

var placeholders = []string{"uri", "path", "query", "host", "scheme"}

func redirectKind(t *table) kind[Redirect] {
	o := newObject[Redirect](t, "redirect", "a redirect", "Another place to go to.")
	to := scalar("a URL or a path such as https://www.example.com{uri}", stringShape(), parseRedirect)
	add(o, "to", to, func(r *Redirect) *string { return &r.To }, "",
		"Where to. {uri} (path and query), {path}, {query}, {host} and {scheme} stand for the request's.")
	o.must()
	status := scalar("301, 302, 303, 307 or 308", intShape(301, 308), func(s string) (int, *complaint) {
		switch s {
		case "301", "302", "303", "307", "308":
			n, err := strconv.Atoi(s)
			return n, complain(err)
		}
		return 0, &complaint{}
	})
	add(o, "status", status, func(r *Redirect) *int { return &r.Status }, "302",
		"301 and 308 are for ever, 302 and 307 are not; 307 and 308 keep the method, 303 makes it GET.")
	return short(o.kind(), to, false, func(_ *decoder, _ value, to string) Redirect { return Redirect{To: to, Status: 302} })
}

func complain(err error) *complaint {
	if err != nil {
		return &complaint{", " + err.Error(), ""}
	}
	return nil
}

func parseRedirect(s string) (string, *complaint) {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' || c == '\\' {
			return "", &complaint{", which has a character in it that a URL cannot have", "write it as %XX"}
		}
	}
	for rest := s; ; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			break
		}
		end := strings.IndexByte(rest[i:], '}')
		if rest[i] == '}' || end < 0 {
			return "", &complaint{", where { and } are no pair", ""}
		}
		name := rest[i+1 : i+end]
		if !slices.Contains(placeholders, name) {
			hint := "what stands for the request's is {" + strings.Join(placeholders, "}, {") + "}"
			if n := Nearest(name, placeholders); n != "" {
				hint = "did you mean {" + n + "}?"
			}
			return "", &complaint{", and {" + name + "} stands for nothing", hint}
		}
		rest = rest[i+end+1:]
	}
	absolute := regexpAbsolute().MatchString(s) || strings.HasPrefix(s, "{scheme}://")
	if !absolute && !strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "{uri}") && !strings.HasPrefix(s, "{path}") {
		return "", &complaint{"", "write a URL with https:// or a path that begins with /"}
	}
	return s, nil
}

var regexpAbsolute = lazily(`^[A-Za-z][A-Za-z0-9+.-]*://.`)

func respondKind(t *table) kind[Respond] {
	o := newObject[Respond](t, "respond", "a response", "A fixed response.")
	status := statusKind(200, 599)
	add(o, "status", status, func(r *Respond) *int { return &r.Status }, "200", "Its status.")
	add(o, "body", textKind("text"), func(r *Respond) *string { return &r.Body }, "", "Its content.")
	add(o, "type", fieldValueKind("a media type such as text/plain"), func(r *Respond) *string { return &r.Type },
		"text/plain; charset=utf-8", "Its Content-Type, when it has a body.")
	o.done = func(d *decoder, at value, given map[string]value, r *Respond) {
		if v, ok := given["body"]; ok && r.Body != "" && (r.Status == 204 || r.Status == 304) {
			d.failKey(v, "a response "+itoa(r.Status)+" has no body", "take the body out, or write another status")
		}
	}
	return short(o.kind(), status, false, func(_ *decoder, _ value, status int) Respond {
		r := o.zero
		r.Status = status
		return r
	})
}

// maxPattern is the length of a pattern in bytes: every path that it is tried on costs time by it.
const maxPattern = 1000

func rewriteObject(t *table) *object[Rewrite] {
	o := newObject[Rewrite](t, "rewrite", "rewrite", "Changes to the path that the servers or the files see, in this order: "+
		"strip_prefix, pattern and replace, add_prefix.")
	prefix := scalar("a path such as /app", stringShape(), func(s string) (string, *complaint) {
		switch {
		case !strings.HasPrefix(s, "/"), strings.ContainsAny(s, "?#* \x00"):
			return "", &complaint{}
		case strings.HasSuffix(s, "/"):
			return "", &complaint{"", "write it without the / at its end"}
		}
		return s, nil
	})
	add(o, "strip_prefix", prefix, func(r *Rewrite) *string { return &r.StripPrefix }, "", "Taken from the path's beginning, when it is there.")
	add(o, "add_prefix", prefix, func(r *Rewrite) *string { return &r.AddPrefix }, "", "Put before the path.")
	pattern := scalar("a pattern of RE2 such as ^/u/([0-9]+)$", stringShape(), func(s string) (*regexp.Regexp, *complaint) {
		if len(s) > maxPattern {
			return nil, &complaint{", which has over " + itoa(maxPattern) + " bytes", "write a shorter pattern"}
		}
		re, err := regexp.Compile(s)
		if err != nil {
			return nil, &complaint{": " + strings.TrimPrefix(err.Error(), "error parsing regexp: "),
				"write a pattern of RE2 (it has no look-around and no back references)"}
		}
		return re, nil
	})
	add(o, "pattern", pattern, func(r *Rewrite) **regexp.Regexp { return &r.Pattern }, "",
		"A pattern (RE2); each match of it in the path is replaced.")
	add(o, "replace", textKind("what to put there, such as /users/$1"), func(r *Rewrite) *string { return &r.Replace }, "",
		"What each match is replaced with; $1 is the first group, ${1} too.")
	o.done = func(d *decoder, at value, given map[string]value, r *Rewrite) {
		pattern, hasPattern := given["pattern"]
		replace, hasReplace := given["replace"]
		switch {
		case hasPattern && !hasReplace:
			d.failKey(pattern, "a pattern without replace", "write replace: with what goes there")
		case hasReplace && !hasPattern:
			d.failKey(replace, "replace without a pattern", "write pattern: with what it replaces")
		case hasPattern && r.Pattern != nil:
			if wrong, hint := wrongGroup(r.Pattern, r.Replace); wrong != "" {
				d.fail(replace, wrong, hint)
			}
		}
	}
	return o
}

var groupForm = lazily(`\$(\$|\{[^}]*\}|[A-Za-z0-9_]*)`)

// wrongGroup finds $x in a replacement that the pattern has no group for: it would silently be empty.
func wrongGroup(pattern *regexp.Regexp, replace string) (message, hint string) {
	for _, m := range groupForm().FindAllStringSubmatch(replace, -1) {
		name := strings.Trim(m[1], "{}")
		if name == "$" {
			continue
		}
		if n, err := strconv.Atoi(name); err == nil && n <= pattern.NumSubexp() || err != nil && pattern.SubexpIndex(name) >= 0 {
			continue
		}
		hint = "the pattern has " + itoa(pattern.NumSubexp()) + " groups; write $$ for a $"
		if digits := strings.TrimRight(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"); digits != "" && digits != name {
			hint = "write ${" + digits + "}" + name[len(digits):]
		}
		return "$" + m[1] + " is no group of the pattern", hint
	}
	return "", ""
}

// fixedFields are of the message's framing, or a hop's own: no one but the HTTP code may set them.
var fixedFields = []string{"connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}

func headersObject(t *table) *object[Headers] {
	if t.headers != nil {
		return t.headers
	}
	o := newObject[Headers](t, "headers", "headers", "Changes to the fields of a response: first remove, then set.")
	add(o, "set", fieldsKind(), func(h *Headers) *[]NameValue { return &h.Set }, "{}", "Fields and their values; what is there of the same name goes.")
	name := scalar("the name of a field", stringShape(), checkFieldName)
	names := list(name, "a list of names of fields", true, true)
	names.read = atMost(maxFields, names.read)
	add(o, "remove", names, func(h *Headers) *[]string { return &h.Remove }, "[]", "Fields that go.")
	t.headers = o
	return o
}

func checkFieldName(s string) (string, *complaint) {
	if !tokenForm().MatchString(s) {
		return "", &complaint{"", "the name of a field is letters, digits and -"}
	}
	if slices.Contains(fixedFields, strings.ToLower(s)) {
		return "", &complaint{", which is not for a configuration to change", "take it out: weir sets it itself"}
	}
	return s, nil
}

func atMost[V any](n int, read func(*decoder, value) ([]V, bool)) func(*decoder, value) ([]V, bool) {
	return func(d *decoder, v value) ([]V, bool) {
		got, ok := read(d, v)
		if len(got) > n {
			d.fail(v, v.name()+" has more than "+itoa(n)+" elements", "take some out")
			return nil, false
		}
		return got, ok
	}
}

// maxFields is how many fields may be set; a site's are copied into each of its routes.
const maxFields = 100

func fieldsKind() kind[[]NameValue] {
	const words = "a mapping from names of fields to their values"
	text := fieldValueKind("a field's value")
	return kind[[]NameValue]{words: words, shape: &shape{Type: "object", Additional: text.shape},
		read: func(d *decoder, v value) ([]NameValue, bool) {
			entries, ok := d.entries(v, words)
			if len(entries) > maxFields {
				d.fail(v, "more than "+itoa(maxFields)+" fields", "take some out")
				return nil, false
			}
			var out []NameValue
			for _, e := range entries {
				if _, c := checkFieldName(e.key.Value); c != nil {
					d.failKey(e, "the field "+strconv.Quote(e.key.Value)+c.why, c.hint)
					continue
				}
				if got, good := text.read(d, e); good {
					out = append(out, NameValue{e.key.Value, got})
				}
			}
			return out, ok
		}}
}

func allowKind(t *table) kind[Allow] {
	o := newObject[Allow](t, "allow", "allow", "Only these clients are let in.")
	from := list(prefixKind(), "a list of addresses and networks", true, false)
	add(o, "from", from, func(a *Allow) *[]netip.Prefix { return &a.From }, "", "Their addresses and networks.")
	o.must()
	add(o, "else", statusKind(400, 599), func(a *Allow) *int { return &a.Else }, "403", "What others get.")
	return short(o.kind(), from, true, func(_ *decoder, _ value, from []netip.Prefix) Allow { return Allow{From: from, Else: 403} })
}

// maxErrorPage is the size of the largest error page: it is held in memory.
const maxErrorPage = 1 << 20

// page is an error page that was read, or why it was not. One that several sites share is held once.
type page struct {
	body []byte
	err  error
}

func errorPagesKind() kind[[]ErrorPage] {
	const words = "a mapping from a status, 5xx or 500-503 to a file"
	file := pathKind("the path of a file")
	s := &shape{Type: "object", Additional: file.shape, PropertyNames: &shape{Pattern: "^([45][0-9][0-9](-[45][0-9][0-9])?|[45](xx|XX))$"}}
	return kind[[]ErrorPage]{words: words, shape: s, read: func(d *decoder, v value) ([]ErrorPage, bool) {
		entries, ok := d.entries(v, words)
		var out []ErrorPage
		for _, e := range entries {
			from, to, good := parseStatuses(e.key.Value)
			if !good {
				d.failKey(e, strconv.Quote(e.key.Value)+" is no status of an error", "write 404, 5xx or 500-503")
				continue
			}
			path, good := file.read(d, e)
			if !good {
				continue
			}
			p, had := d.pages[path]
			if !had {
				p.body, p.err = d.host.read(path, maxErrorPage)
				d.pages[path] = p
			}
			if p.err != nil {
				d.lacking(e, "the error page "+path+" cannot be read: "+reason(p.err), "make it, or write another")
			}
			out = append(out, ErrorPage{From: from, To: to, File: path, Body: p.body})
		}
		// The narrowest range that holds a status is the one meant.
		slices.SortStableFunc(out, func(a, b ErrorPage) int { return (a.To - a.From) - (b.To - b.From) })
		return out, ok
	}}
}
