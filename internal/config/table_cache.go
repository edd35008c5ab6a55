package config

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

// cacheObject is the store that all routes share.
func cacheObject(t *table) *object[Cache] {
	o := newObject[Cache](t, "cache", "cache", "The shared cache. With it, or with a cache: of its own, a route that a pool answers "+
		"keeps what the app's Cache-Control and Expires allow a shared cache to keep (RFC 9111).")
	add(o, "memory", sizeKind[int64](8<<20, 64<<30), func(c *Cache) *int64 { return &c.Memory }, "256MiB",
		"What it may hold in memory, all told.")
	add(o, "max_object", sizeKind[int64](1<<10, 1<<50), func(c *Cache) *int64 { return &c.MaxObject }, "(an eighth of memory)",
		"The largest response that is kept; a larger one passes by. With a disk, what is over an eighth of memory is kept there alone.")
	disk := newObject[CacheDisk](t, "cache_disk", "cache.disk", "What outlives a restart, and what memory has no room for.")
	add(disk, "path", directoryKind(), func(c *CacheDisk) *string { return &c.Path }, "", "A directory of weir's own, which it keeps others out of: it holds what clients got.")
	disk.must()
	add(disk, "size", sizeKind[int64](16<<20, 1<<50), func(c *CacheDisk) *int64 { return &c.Size }, "", "What all files in it may take together. The oldest are deleted.")
	disk.must()
	add(o, "disk", pointer(disk.kind()), func(c *Cache) **CacheDisk { return &c.Disk }, "", "A second tier on disk.")
	purge := newObject[[]netip.Prefix](t, "cache_purge", "cache.purge", "Who may send the method PURGE.")
	add(purge, "from", list(prefixKind(), "a list of addresses and networks", true, true),
		func(p *[]netip.Prefix) *[]netip.Prefix { return p }, "[127.0.0.1, \"::1\"]", "Their addresses; others get 405.")
	add(o, "purge", purge.kind(), func(c *Cache) *[]netip.Prefix { return &c.PurgeFrom }, "", "Who may send the method PURGE.")
	disk.done = func(d *decoder, _ value, given map[string]value, c *CacheDisk) { d.checkDisk(given, c) }
	o.done = func(d *decoder, at value, given map[string]value, c *Cache) {
		if c.MaxObject == 0 {
			c.MaxObject = c.Memory / 8
		}
		if v, ok := given["memory"]; ok && d.strict {
			if has := d.host.memory(); has > 0 && c.Memory > has {
				d.lacking(v, "memory ("+showSize(c.Memory)+") is more than this machine has ("+showSize(has>>20<<20)+")", "write about half of that, or give the cache a disk")
			}
		}
		for _, p := range c.PurgeFrom {
			if v, ok := given["purge"]; ok && p.Bits() == 0 {
				d.warn(v, "everybody may purge ("+p.String()+")", "name your own addresses in from:")
				break
			}
		}
		if v, ok := given["max_object"]; ok && c.Disk == nil && c.MaxObject > c.Memory/2 {
			d.fail(v, "max_object ("+showSize(c.MaxObject)+") is over half of memory ("+showSize(c.Memory)+")", "make memory larger, or give the cache a disk")
		}
		if v, ok := given["max_object"]; ok && c.Disk != nil && c.Disk.Size > 0 && c.MaxObject > max(c.Disk.Size/4, c.Memory/8) {
			d.fail(v, "max_object ("+showSize(c.MaxObject)+") is over a quarter of the disk ("+showSize(c.Disk.Size)+")", "make disk.size larger")
		}
	}
	return o
}

// checkDisk asks the machine about the directory.
func (d *decoder) checkDisk(given map[string]value, c *CacheDisk) {
	v, ok := given["path"]
	if info, err := d.host.stat(c.Path); !ok || c.Path == "" || !d.strict || err != nil || !info.IsDir() {
		return
	}
	switch err := d.host.writable(c.Path); {
	case errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EIO):
		// A disk that fails is no reason to keep a site down: the cache will do without.
		d.warn(v, "the directory "+c.Path+" cannot be written to: "+reason(err), "the cache will work in memory alone; mend the disk, or write another")
		return
	case err != nil:
		d.lacking(v, "the directory "+c.Path+" cannot be written to: "+reason(err), "let weir's user write there, or write another")
		return
	}
	if info, err := d.host.stat(c.Path); err == nil && info.Mode().Perm()&0o002 != 0 {
		d.warn(v, "everybody may write in the directory "+c.Path+", and so put anything before your visitors", "chmod 700 "+c.Path)
	}
	alien := ""
	if err := d.host.names(c.Path, func(name string) bool {
		if !cacheFile().MatchString(name) {
			alien = name
		}
		return alien != ""
	}); err == nil && alien != "" {
		d.warn(v, "the directory "+c.Path+" has something else in it ("+alien+")", "give the cache a directory of its own")
	}
	if v, ok := given["size"]; ok && c.Size > 0 {
		if has := d.host.room(c.Path); has > 0 && c.Size > has {
			d.warn(v, "size ("+showSize(c.Size)+") is more than the file system of "+c.Path+" has ("+showSize(has>>20<<20)+")",
				"write less than that: the cache would fill it")
		}
	}
}

// cacheFile is what the cache has in its directory, and what a file system of its own has.
var cacheFile = lazily(`^([0-9]{10}\.(seg|idx|idx\.new|body)|(secret|purges)(\.new)?|lock|probe|lost\+found|\.weir-check-.*)$`)

// cachePolicy is what a site or a route says of its own caching.
func cachePolicy(t *table) kind[CachePolicy] {
	if t.caching == nil {
		k := cachePolicyKind(t)
		t.caching = &k
	}
	return *t.caching
}

func cachePolicyKind(t *table) kind[CachePolicy] {
	o := newObject[CachePolicy](t, "cache_policy", "a cache policy", "What of a route's responses is kept, under which key and for how long.")
	globs := func(what string) kind[[]string] {
		return distinct(list(globOf(), "a list of names of "+what, true, true), maxGlobs, equal)
	}
	addKeyParts(t, o, globs)
	low := durationKind(0)
	add(o, "default_ttl", low, func(p *CachePolicy) *time.Duration { return &p.DefaultTTL }, "0s",
		"How long a response is fresh that says nothing of it itself. 0s: it is not kept. Nor is it when the app saw cookies that are no part of the key: it may be for one visitor.")
	add(o, "ttl", list(ttlKind(t), "a list of rules", true, true), func(p *CachePolicy) *[]TTLRule { return &p.TTL }, "[]",
		"How long responses of a status or a media type are fresh; the first rule that matches counts. As with default_ttl, none counts when the app saw cookies that are no part of the key, unless it has force.")
	add(o, "grace", low, func(p *CachePolicy) *time.Duration { return &p.Grace }, "0s",
		"How long after its end a response is still served while a new one is fetched, or while the app is down. must-revalidate of the app forbids it.")
	add(o, "grace_on_error", low, func(p *CachePolicy) *time.Duration { return &p.IfError }, "0s",
		"How long after its end a response is still served when the app is down or answers with 5xx, and only then. A longer grace counts for this too.")
	add(o, "hit_for_miss", low, func(p *CachePolicy) *time.Duration { return &p.HitForMiss }, "60s",
		"How long requests for what could not be kept do not wait for each other. The first response that may be kept ends that.")
	add(o, "heuristic", boolKind(), func(p *CachePolicy) *bool { return &p.Heuristic }, "false",
		"A response with Last-Modified alone is fresh for a tenth of its age, at most a day (RFC 9111, section 4.2.2).")
	add(o, "reload", enumKind("revalidate", "ignore"), func(p *CachePolicy) *string { return &p.Reload }, "revalidate",
		"What a client's Cache-Control of no-cache, max-age, min-fresh or max-stale does: what RFC 9111 says, or nothing.")
	add(o, "set_cookie", enumKind("pass", "strip", "keep"), func(p *CachePolicy) *string { return &p.SetCookie }, "pass",
		"What a Set-Cookie in a response does: it is not kept, or kept without the field, or kept with it and sent to all (RFC 9111, section 7.3).")
	add(o, "bypass", pointer(matchObject(t).kind()), func(p *CachePolicy) **Match { return &p.Bypass }, "",
		"Requests that neither get what is kept nor leave anything, such as {header: {X-No-Cache: \"*\"}, client: 10.0.0.0/8}.")
	o.done = func(d *decoder, at value, given map[string]value, p *CachePolicy) {
		_, p.OnlyQuery = given["keep_query"]
		if v, both := given["ignore_query"]; both && p.OnlyQuery {
			d.failKey(v, "keep_query and ignore_query together", "take one out: what is not kept is ignored")
		}
		d.checkCookies(given, p)
		if v, ok := given["bypass"]; ok && p.Bypass.everything() {
			d.warn(v, "bypass holds for every request, so nothing is kept", "write a condition, or cache: off")
		}
		d.checkRules(given, p.TTL)
	}
	return short(o.kind(), enumKind("on", "off"), false, func(_ *decoder, _ value, word string) CachePolicy {
		p := o.zero
		p.Off = word == "off"
		return p
	})
}

// byDefault are the statuses of responses that are kept without being told to (RFC 9110, section 15.1).
var byDefault = []StatusRange{{200, 200}, {203, 204}, {300, 301}, {308, 308}, {404, 405}, {410, 410}, {414, 414}, {501, 501}}

// checkRules looks for rules that are never come to.
func (d *decoder) checkRules(given map[string]value, rules []TTLRule) {
	for i := range rules {
		for j := range rules[:i] {
			if rules[j].covers(&rules[i]) {
				d.warn(elementOf(given["ttl"], i, len(rules)), "no response comes to this rule", "one before it takes them all; put this one first")
				break
			}
		}
	}
}

// covers reports whether all responses that one rule is for are another's.
func (r *TTLRule) covers(o *TTLRule) bool {
	mine, others := r.Status, o.Status
	if len(mine) == 0 {
		mine = byDefault
	}
	if len(others) == 0 {
		others = byDefault
	}
	for _, s := range others {
		if !slices.ContainsFunc(mine, func(m StatusRange) bool { return m.From <= s.From && s.To <= m.To }) {
			return false
		}
	}
	if len(r.Types) == 0 || len(o.Types) == 0 {
		return len(r.Types) == 0
	}
	for _, t := range o.Types {
		kind, _, _ := strings.Cut(t, "/")
		if !slices.Contains(r.Types, t) && !slices.Contains(r.Types, kind+"/*") {
			return false
		}
	}
	return true
}

// addKeyParts adds what makes two requests the same.
func addKeyParts(t *table, o *object[CachePolicy], globs func(string) kind[[]string]) {
	add(o, "pass_if_cookie", globs("cookies"), func(p *CachePolicy) *[]string { return &p.PassIfCookie }, "[]",
		"Requests with one of these cookies go straight to the app.")
	add(o, "ignore_cookies", globs("cookies"), func(p *CachePolicy) *[]string { return &p.IgnoreCookies }, "[]",
		"Cookies that change nothing: they are taken out before the app sees the request, so that all share one response.")
	add(o, "ignore_query", globs("query fields"), func(p *CachePolicy) *[]string { return &p.IgnoreQuery }, "[]",
		"Fields of the query that are no part of the key.")
	add(o, "keep_query", globs("query fields"), func(p *CachePolicy) *[]string { return &p.KeepQuery }, "(all)",
		"The only fields of the query that are part of the key.")
	add(o, "sort_query", boolKind(), func(p *CachePolicy) *bool { return &p.SortQuery }, "false",
		"Queries whose fields differ in their order alone share one response.")
	key := newObject[CacheKey](t, "cache_key", "a cache key", "What is part of the key beside host, path and query.")
	cookies := distinct(list(cookieOf(), "a list of names of cookies", true, true), maxParts, equal)
	add(key, "header", distinct(list(keyField(), "a list of names of fields", true, true), maxParts, strings.EqualFold), func(k *CacheKey) *[]string { return &k.Headers }, "[]",
		"Fields of the request whose values are.")
	add(key, "cookie", cookies, func(k *CacheKey) *[]string { return &k.Cookies }, "[]", "Cookies whose values are.")
	add(key, "device", list(deviceKind(t), "a list of classes", true, true), func(k *CacheKey) *[]Device { return &k.Devices }, "[]",
		"Classes of devices by words in User-Agent; the first that matches is. The app sees its name in the field X-Device.")
	key.done = func(d *decoder, at value, given map[string]value, k *CacheKey) {
		if len(k.Devices) > maxParts {
			d.failKey(given["device"], "device has "+itoa(len(k.Devices))+" classes, and may have "+itoa(maxParts), "put words of several into one")
		}
	}
	add(o, "key", key.kind(), func(p *CachePolicy) *CacheKey { return &p.Key }, "", "What is part of the key beside host, path and query.")
	add(o, "private", cookies, func(p *CachePolicy) *[]string { return &p.Private }, "[]",
		"Cookies that say who is logged in: responses, private ones too, are kept for each value of them apart.")
}

func deviceKind(t *table) kind[Device] {
	o := newObject[Device](t, "device", "a device class", "A class of devices.")
	add(o, "name", scalar("a name of letters, digits, . _ : / # and -", stringShape(), checkRouteName), func(d *Device) *string { return &d.Name }, "", "Its name.")
	o.must()
	word := scalar("a word such as Mobile", textShape(), func(s string) (string, *complaint) {
		if strings.TrimSpace(s) == "" {
			return "", &complaint{", which every client has", ""}
		}
		return s, nil
	})
	add(o, "words", distinct(list(word, "a list of words", true, false), maxGlobs, strings.EqualFold), func(d *Device) *[]string { return &d.Words }, "",
		"It is this class when one of them is in User-Agent.")
	o.must()
	return o.kind()
}

func ttlKind(t *table) kind[TTLRule] {
	o := newObject[TTLRule](t, "ttl_rule", "a rule", "How long responses of a status or a media type are fresh.")
	add(o, "status", list(statusRangeKind(), "a status, a class such as 4xx or a range such as 200-299, or a list of them", true, false),
		func(r *TTLRule) *[]StatusRange { return &r.Status }, "", "The statuses; without it, those that may be kept without being told to (200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501). What a client can bring about by what is no part of the key, such as 400, 401, 403 and 431, is only kept by a rule with force.")
	media := scalar("a media type such as text/css or image/*", stringShape(), func(s string) (string, *complaint) {
		kind, sub, ok := strings.Cut(s, "/")
		if !ok || !tokenForm().MatchString(kind) || !tokenForm().MatchString(sub) {
			return "", &complaint{}
		}
		return strings.ToLower(s), nil
	})
	add(o, "type", list(media, "a list of media types such as image/*", true, false), func(r *TTLRule) *[]string { return &r.Types }, "", "The media types; without it, all.")
	add(o, "for", durationKind(0), func(r *TTLRule) *time.Duration { return &r.TTL }, "", "How long. 0s: it is not kept.")
	o.must()
	add(o, "force", boolKind(), func(r *TTLRule) *bool { return &r.Force }, "false", "Whatever the app says of its life. What is private or no-store, or sets a cookie, is not kept all the same, and no-cache is asked about each time.")
	return o.kind()
}

// statusRangeKind is "404", "5xx" or "200-299" of final statuses.
func statusRangeKind() kind[StatusRange] {
	return scalar("a status, a class such as 4xx or a range such as 200-299", textShape(), func(s string) (StatusRange, *complaint) {
		from, to, ok := statusRange(s)
		if !ok || from < 200 {
			return StatusRange{}, &complaint{}
		}
		return StatusRange{from, to}, nil
	})
}
