package config

import (
	"strings"
	"time"
)

var (
	plainMethods = []string{"round_robin", "least_conn", "random_two", "source_hash", "uri_hash"}
	namedMethods = []string{"header_hash", "cookie_hash"}
)

// balanceKind is the name of a method, or a mapping from it to what it goes by.
func balanceKind() kind[balancing] {
	words := oneOf(plainMethods) + ", {header_hash: NAME} or {cookie_hash: NAME}"
	plain := enumKind(plainMethods...)
	field := scalar("the name of a field", textShape(), func(s string) (string, *complaint) {
		if !tokenForm().MatchString(s) {
			return "", &complaint{", which is no name of a field", ""}
		}
		return s, nil
	})
	of := map[string]kind[string]{
		"header_hash": field,
		"cookie_hash": cookieNameKind(),
		"uri_hash":    enumKind("path"),
		"random_two":  enumKind("latency"),
	}
	all := &shape{AnyOf: []*shape{plain.shape}}
	for _, m := range []string{"random_two", "uri_hash", "header_hash", "cookie_hash"} {
		no := false
		all.AnyOf = append(all.AnyOf, &shape{Type: "object", AdditionalProperties: &no, Required: []string{m},
			Properties: properties{{m, of[m].shape}}})
	}
	k := kind[balancing]{words: words, shape: all}
	k.read = func(d *decoder, v value) (balancing, bool) {
		if v.isScalar() {
			for _, m := range namedMethods {
				if v.node.Value == m {
					d.fail(v, m+" without a name", "write {"+m+": NAME}")
					return balancing{}, false
				}
			}
			m, ok := plain.read(d, v)
			return balancing{method: m}, ok
		}
		entries, ok := d.entries(v, words)
		if !ok {
			return balancing{}, false
		}
		if len(entries) != 1 {
			d.fail(v, "balance with "+itoa(len(entries))+" methods", "write "+words)
			return balancing{}, false
		}
		e := entries[0]
		b := balancing{method: e.key.Value}
		by, known := of[b.method]
		if !known {
			hint := "write " + words
			if n := Nearest(b.method, append(plainMethods, namedMethods...)); n != "" {
				hint = "did you mean \"" + n + "\"?"
			}
			d.failKey(e, "there is no method "+b.method+" that goes by something", hint)
			return balancing{}, false
		}
		b.hashOf, ok = by.read(d, e)
		if b.method == "random_two" {
			b.byLatency, b.hashOf = true, ""
		}
		return b, ok
	}
	return k
}

func cookieNameKind() kind[string] {
	return scalar("the name of a cookie", textShape(), func(s string) (string, *complaint) {
		if !tokenForm().MatchString(s) {
			return "", &complaint{", which is no name of a cookie", "write letters, digits, - and _"}
		}
		return s, nil
	})
}

// zoneKind is a name of a place.
func zoneKind() kind[string] {
	return scalar("the name of a zone, such as rack-1", textShape(), func(s string) (string, *complaint) {
		if c := checkName(s); c != nil {
			return "", c
		}
		return s, nil
	})
}

func stickyObject(t *table) *object[Sticky] {
	o := newObject[Sticky](t, "sticky", "sticky", "Keeps the requests of one session at one server. One of cookie, learn and source says how "+
		"sessions are known. A session whose server is gone moves to another, once.")
	add(o, "cookie", cookieNameKind(), func(s *Sticky) *string { return &s.Cookie }, "",
		"The name of a cookie that weir sets and the app never sees. Its value is signed and says nothing of the servers.")
	add(o, "learn", cookieNameKind(), func(s *Sticky) *string { return &s.Learn }, "",
		"The name of the app's own session cookie: the server that sets a value gets the requests that have it.")
	add(o, "source", boolKind(), func(s *Sticky) *bool { return &s.Source }, "false",
		"By the client's address, of IPv6 by its network (/64). What many share behind one address is one session.")
	add(o, "secret", textKind("text of at least 16 characters"), func(s *Sticky) *string { return &s.Secret }, "(one of this machine's own)",
		"Signs the cookie. Several machines with one secret know each other's sessions, if their servers have the same addresses.")
	add(o, "same_site", enumKind("lax", "strict", "none"), func(s *Sticky) *string { return &s.SameSite }, "lax",
		"SameSite of the cookie.")
	secure := enumKind("auto", "true", "false")
	secure.shape = &shape{AnyOf: []*shape{boolShape(), enumShape([]string{"auto"})}}
	add(o, "secure", secure, func(s *Sticky) *string { return &s.Secure }, "auto",
		"Whether the cookie is for https alone. auto: when the request that it answers came by https.")
	add(o, "max_age", durationKind(0), func(s *Sticky) *time.Duration { return &s.MaxAge }, "0s",
		"How long the browser keeps the cookie. 0s: until it is closed.")
	add(o, "size", intKind(1, 1<<24), func(s *Sticky) *int { return &s.Size }, "100000",
		"How many sessions are remembered, for learn and source; beyond it those that were idle longest are forgotten. One takes 16 bytes.")
	add(o, "drain", durationKind(0), func(s *Sticky) *time.Duration { return &s.Drain }, "1h",
		"How long a server that is drained keeps its sessions.")
	o.done = (*decoder).finishSticky
	return o
}

// minSecret is the least length of a secret in bytes.
const minSecret = 16

// finishSticky looks at how sessions are known as a whole.
func (d *decoder) finishSticky(at value, keys map[string]value, s *Sticky) {
	ways := 0
	_, cookie := keys["cookie"]
	_, learn := keys["learn"]
	for _, is := range []bool{cookie, learn, s.Source} {
		if is {
			ways++
		}
	}
	switch {
	case ways == 0:
		d.failKey(at, "sticky does not say how sessions are known", "write cookie: NAME, learn: NAME or source: true")
		return
	case ways > 1:
		d.failKey(at, "sticky with two ways to know a session", "take all but one of cookie, learn and source out")
		return
	}
	for _, k := range []string{"secret", "same_site", "secure", "max_age"} {
		if v, ok := keys[k]; ok && !cookie {
			d.failKey(v, k+" without a cookie of weir's own", "take it out: it is of the cookie that cookie: names")
		}
	}
	if v, ok := keys["size"]; ok && cookie {
		d.failKey(v, "size with a cookie that says where its session is", "take it out: nothing has to be remembered")
	}
	if v, ok := keys["secret"]; ok && len(s.Secret) < minSecret {
		d.failKey(v, "the secret has "+itoa(len(s.Secret))+" characters", "write at least "+itoa(minSecret)+", as in ${STICKY_SECRET}")
	}
	prefixed := strings.HasPrefix(s.Cookie, "__Host-") || strings.HasPrefix(s.Cookie, "__Secure-")
	switch v, ok := keys["secure"]; {
	case s.Secure != "true" && s.SameSite == "none":
		d.failKey(keys["same_site"], "same_site: none without secure: true", "browsers take such a cookie over https alone: write secure: true")
	case prefixed && s.Secure != "true":
		if !ok {
			v = keys["cookie"]
		}
		d.failKey(v, "a cookie named "+s.Cookie+" without secure: true", "browsers take such a name over https alone: write secure: true")
	}
}

// followBackups finds the pools that stand in for others, and those that stand in for themselves in the end.
func (d *decoder) followBackups(r *raw) {
	pools := d.allPools(r)
	names := make([]string, len(pools))
	by := make(map[string]*Pool, len(pools))
	for i, p := range pools {
		names[i], by[p.Name] = p.Name, p
	}
	cookies := map[string]*poolDraft{}
	for _, p := range r.pools {
		if p.Sticky != nil && p.Sticky.Cookie != "" {
			if first := cookies[p.Sticky.Cookie]; first != nil {
				d.warnAt(p.Place, len(p.Name), "the pools "+first.Name+" and "+p.Name+" both set the cookie "+p.Sticky.Cookie,
					"if one host leads to both, give one of them another name: each would replace what the other has set")
			}
			cookies[p.Sticky.Cookie] = p
		}
		if p.Backup == "" {
			continue
		}
		if by[p.Backup] == nil {
			d.undefined(p.backupAt, "there is no pool or app "+p.Backup, p.Backup, names, "pool")
			continue
		}
		for at, n := by[p.Backup], 0; at != nil && n <= len(names); at, n = by[at.Backup], n+1 {
			if at.Name == p.Name {
				d.fail(p.backupAt, "the pool "+p.Name+" stands in for itself in the end", "take backup out of one of them")
				break
			}
		}
	}
}
