package relay

import (
	"strings"
	"time"

	"github.com/weirhq/weir/internal/clienthello"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/edge/tally"
	"github.com/weirhq/weir/internal/pool"
)

// Entry is an address at which TCP is passed on, as one configuration has it. It never changes.
type Entry struct {
	Listen string // the address, for the log
	Tally  int    // its number for counting
	Pool   string // the name of its pool, empty when it goes by name
	config *config.TCP
	head   time.Duration // for what comes first
	pool   *pool.Pool    // nil: by name, and else nobody's
	rules  map[string][]nameRule
}

// Site stands for the site of what is counted of such an address. No site is called so.
const Site = ""

// nameRule is what one rule says of one name.
type nameRule struct {
	alpn []string
	pool *pool.Pool
}

// Entries are those of a configuration, by network and address; names has their numbers for counting.
func Entries(cfg *config.Config, pools *pool.Set, names *tally.Names) map[string]*Entry {
	var all map[string]*Entry
	for _, l := range cfg.Listen {
		if l.TCP == nil {
			continue
		}
		if all == nil {
			all = map[string]*Entry{}
		}
		e := newEntry(l, pools)
		e.head = cfg.Timeouts.Head
		e.Tally = names.Number(Site, e.Listen)
		all[l.Network+" "+l.Address] = e
	}
	return all
}

func newEntry(l config.Listen, pools *pool.Set) *Entry {
	c := l.TCP
	e := &Entry{Listen: l.Address, Pool: c.Pool, config: c}
	if l.Network == "unix" {
		e.Listen = "unix:" + l.Address
	}
	switch {
	case c.Pool != "":
		e.pool = pools.Pool(c.Pool)
		return e
	case c.Else != "":
		e.pool = pools.Pool(c.Else)
	}
	e.rules = map[string][]nameRule{}
	for _, r := range c.SNI {
		for _, name := range r.Names {
			e.rules[name] = append(e.rules[name], nameRule{alpn: r.ALPN, pool: pools.Pool(r.Pool)})
		}
	}
	return e
}

// find is the pool for a hello: by its exact name, then by the longest wildcard, then by "*", then what is left. nil: nobody's.
func (e *Entry) find(h *clienthello.Hello) *pool.Pool {
	if h.Name != "" {
		if p := match(e.rules[h.Name], h); p != nil {
			return p
		}
		for name := h.Name; ; {
			i := strings.IndexByte(name, '.')
			if i < 0 {
				break
			}
			name = name[i+1:]
			if p := match(e.rules["*."+name], h); p != nil {
				return p
			}
		}
		if p := match(e.rules["*"], h); p != nil {
			return p
		}
	}
	return e.pool
}

func match(rules []nameRule, h *clienthello.Hello) *pool.Pool {
	for _, r := range rules {
		if len(r.alpn) == 0 {
			return r.pool
		}
		for _, p := range r.alpn {
			if h.Offers(p) {
				return r.pool
			}
		}
	}
	return nil
}
