package ban

import (
	"strings"

	"github.com/weirhq/weir/internal/cache/glob"
)

// rule is a purge that is compared with host and path. It is small: a first check looks at all that are new.
type rule struct {
	seq     Seq
	hard    bool
	pattern *pattern // nil: host and path are a prefix
	host    string   // "" is any
	path    string
}

type pattern struct{ hosts, paths glob.Glob }

func newRule(p *Purge, seq Seq) rule {
	r := rule{seq: seq, hard: p.Hard, host: p.Host, path: p.Path}
	if p.Kind == Pattern {
		r.pattern = &pattern{glob.New(p.Host), glob.New(p.Path)}
		if p.Host == "" {
			r.pattern.hosts = glob.New("*")
		}
	}
	return r
}

func (r *rule) holds(host, path []byte) bool {
	if r.pattern != nil {
		return r.pattern.hosts.Match(host) && r.pattern.paths.Match(path)
	}
	return (r.host == "" || string(host) == r.host) && len(path) >= len(r.path) && string(path[:len(r.path)]) == r.path
}

// covers reports whether every object that r meets is met by p too, and no more softly.
func (p *Purge) covers(r *rule) bool {
	if r.hard && !p.Hard {
		return false
	}
	if p.Kind == Pattern {
		return r.pattern != nil && p.Host == r.host && p.Path == r.path
	}
	return r.pattern == nil && (p.Host == "" || p.Host == r.host) && strings.HasPrefix(r.path, p.Path)
}

// without returns the rules that a newer purge does not make superfluous: who purges the same prefix each minute holds
// one place. It makes a new slice when it drops any, and leaves room to append otherwise: readers see only as far as
// their own slice goes.
func without(rules []rule, p *Purge) []rule {
	for i := range rules {
		if !p.covers(&rules[i]) {
			continue
		}
		kept := append(make([]rule, 0, len(rules)+1), rules[:i]...)
		for j := i + 1; j < len(rules); j++ {
			if !p.covers(&rules[j]) {
				kept = append(kept, rules[j])
			}
		}
		return kept
	}
	return rules
}
