package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

func availabilityKind(t *table) kind[*Availability] {
	const words = "a mapping from hosts of sites to {budget: 45m}"
	o := newObject[budget](t, "budget", "a budget", "How long a site may be down in a month.")
	o.such = "{budget: 45m}"
	add(o, "budget", budgetKind(), func(b *budget) *time.Duration { return &b.budget }, "", "How long the site may be down in a calendar month.")
	o.must()
	short := short(o.kind(), budgetKind(), false, func(_ *decoder, _ value, t time.Duration) budget { return budget{t} })
	s := &shape{Type: "object", Additional: &shape{AnyOf: []*shape{durationKind(0).shape, textShape(), o.kind().shape}}}
	return kind[*Availability]{words: words, shape: s, read: func(d *decoder, v value) (*Availability, bool) {
		a := &Availability{Place: d.placeOf(v), Budget: map[string]time.Duration{}, Errors: 0.5}
		if v.isScalar() || v.isList() {
			d.wrong(v, words)
			return nil, false
		}
		entries, ok := d.entries(v, words)
		for _, e := range entries {
			if e.key.Value == "errors" {
				if text, good := d.text(e, "a share such as 50%"); good {
					if n, good := d.limit(e, "share", text, 0.5); good {
						a.Errors = n
					}
				}
				continue
			}
			if b, good := short.read(d, e); good {
				a.Budget[strings.ToLower(e.key.Value)] = b.budget // as hosts are
				if lower := join(v.path, strings.ToLower(e.key.Value)); lower != e.path {
					d.places[lower] = d.places[e.path]
				}
			}
		}
		return a, ok
	}}
}

type budget struct{ budget time.Duration }

// month is the longest that one may be down in.
const month = 31 * 24 * time.Hour

// budgetKind is a time in a month. A share of it, in nines, is answered with the time that it leaves.
func budgetKind() kind[time.Duration] {
	k := noLonger(durationKind(0), month)
	read := k.read
	k.read = func(d *decoder, v value) (time.Duration, bool) {
		if text, is := strings.CutSuffix(v.node.Value, "%"); v.isScalar() && is {
			if n, err := strconv.ParseFloat(text, 64); err == nil && n > 50 && n <= 100 {
				left := time.Duration((100 - n) / 100 * float64(30*24*time.Hour)).Round(time.Minute)
				d.fail(v, v.name()+" is "+strconv.Quote(v.node.Value)+", a share", "write the time that it may be down in a month: "+showDuration(left))
				return 0, false
			}
		}
		return read(d, v)
	}
	return k
}

// noLonger bounds a time.
func noLonger(k kind[time.Duration], most time.Duration) kind[time.Duration] {
	read := k.read
	k.read = func(d *decoder, v value) (time.Duration, bool) {
		t, ok := read(d, v)
		if ok && t > most {
			shown := showDuration(most)
			if days := most / (24 * time.Hour); days > 0 {
				shown = itoa(int(days)) + "d"
			}
			d.fail(v, v.name()+" is "+strconv.Quote(v.node.Value)+", which is too long", "write at most "+shown)
			return 0, false
		}
		return t, ok
	}
	return k
}

// checkAvailability looks whether its sites are there.
func (d *decoder) checkAvailability(r *raw) {
	if r.Availability != nil {
		for _, host := range slices.Sorted(maps.Keys(r.Availability.Budget)) {
			if !slices.ContainsFunc(r.Sites, func(s *Site) bool { return slices.Contains(s.Hosts, host) }) && r.Include == nil {
				d.failAt(d.places["availability."+host], len(host), "no site has the host "+host, hostHint(host, r.Sites))
			}
		}
	}
}

func hostHint(host string, sites []*Site) string {
	var all []string
	for _, s := range sites {
		all = append(all, s.Hosts...)
	}
	if n := Nearest(host, all); n != "" {
		return "did you mean " + strconv.Quote(n) + "?"
	}
	return "write a host of a site, as in its hosts:"
}
