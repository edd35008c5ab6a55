package pool

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
)

// What people decide of servers ("by hand") is a list of api.Hand, one for each server they decided something of. The keeper has
// the list, so that it outlives edges and reloads; a Set is told all of it each time, as it is of workers.

// SetHands says what people decided, all of it. It is in force when this returns.
func (s *Set) SetHands(hs []api.Hand) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advised = true
	if slices.EqualFunc(s.hands, hs, sameHand) {
		return
	}
	s.hands = slices.Clone(hs)
	for _, p := range s.pools {
		if p.c.owner.Load() == s {
			s.applyTo(p)
			p.c.reshare(time.Now())
		}
	}
	for _, c := range s.past {
		c.setHands(s.hands)
	}
}

func sameHand(a, b api.Hand) bool {
	weight := func(h *api.Hand) int {
		if h.Weight == nil {
			return -1
		}
		return *h.Weight
	}
	same := weight(&a) == weight(&b)
	a.Weight, b.Weight = nil, nil
	return same && a == b
}

func (c *core) setHands(all []api.Hand) {
	var own []api.Hand
	for _, h := range all {
		if h.Pool == c.name {
			own = append(own, h)
		}
	}
	c.mu.Lock()
	c.hands = own
	c.mu.Unlock()
}

// obey does what people decided of a server. Under mu.
func (c *core) obey(s *Server) {
	t := &s.vitals
	t.hand = nil
	for i := range c.hands {
		if h := &c.hands[i]; isNamed(s.name, h.Server) {
			t.hand = h
		}
	}
	var why reason
	if t.hand != nil {
		switch t.hand.State {
		case "drain":
			why = drain
		case "maint":
			why = maint
		}
	}
	c.unbar(s, (drain|maint)&^why)
	if c.bar(s, why) && why == maint {
		c.closeKept(s)
		c.cut(s)
	}
}

// isNamed says whether a server is meant by a name: its own, or the host name as configured whose addresses are several.
func isNamed(server, name string) bool {
	rest, ok := strings.CutPrefix(server, name)
	return ok && (rest == "" || rest[0] == '/' && !strings.ContainsRune(name, '/'))
}

// handed is a pool's configuration with the servers that people added and without those they removed.
func handed(cfg *config.Pool, hands []api.Hand) *config.Pool {
	out := cfg
	for _, h := range hands {
		if h.Pool != cfg.Name || h.Listed == "" {
			continue
		}
		if out == cfg {
			o := *cfg
			o.Servers = slices.Clone(cfg.Servers)
			out = &o
		}
		is := func(s config.Server) bool { return strings.EqualFold(s.Address, h.Server) }
		switch {
		case h.Listed == "removed":
			out.Servers = slices.DeleteFunc(out.Servers, is)
		case !slices.ContainsFunc(out.Servers, is):
			w := 1
			if h.Weight != nil {
				w = *h.Weight
			}
			out.Servers = append(out.Servers, config.Server{Address: h.Server, Weight: max(w, 1)})
		}
	}
	return out
}

// Find says which server an intervention is about, in the words that a Hand has for it, or why it cannot be. The intervention itself
// comes into force with SetHands; only what "ready" ends at once (an ejection, a rest) is ended here.
func (s *Set) Find(in api.Intervention) (server string, err error) {
	p := s.names[in.Pool]
	if p == nil {
		names := make([]string, len(s.pools))
		for i, o := range s.pools {
			names[i] = o.cfg.Name
		}
		return "", fmt.Errorf("there is no pool %q: there is %s", in.Pool, strings.Join(names, ", "))
	}
	s.mu.Lock()
	hands := s.hands
	s.mu.Unlock()
	if in.Do == "add" || in.Do == "remove" {
		return findListed(p.cfg, handed(p.cfg, hands), in)
	}
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	var names []string
	for _, sv := range p.c.view.Load().servers {
		names = append(names, sv.name)
	}
	name := in.Server
	switch {
	case slices.ContainsFunc(names, func(n string) bool { return isNamed(n, name) }):
	case p.cfg.App != "" && slices.Contains(names, p.cfg.App+"/"+name):
		name = p.cfg.App + "/" + name
	default:
		// A server that is away for now (a name without addresses, a worker that died) may have been decided of before.
		if !slices.ContainsFunc(hands, func(h api.Hand) bool { return h.Pool == in.Pool && h.Server == name }) &&
			!slices.ContainsFunc(p.cfg.Servers, func(sc config.Server) bool { return sc.Address == name }) {
			return "", fmt.Errorf("the pool %s has no server %q: it has %s", in.Pool, in.Server, orNone(names))
		}
	}
	if in.Do == "ready" {
		for _, sv := range p.c.view.Load().servers {
			if isNamed(sv.name, name) && p.c.unbar(sv, passing) {
				sv.fails.Store(0)
			}
		}
	}
	return name, nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// findListed looks at a server that is to be added or removed.
func findListed(cfg, now *config.Pool, in api.Intervention) (string, error) {
	if cfg.App != "" {
		return "", fmt.Errorf("the servers of the pool %s are the workers of the app %s: its workers: says how many", cfg.Name, cfg.App)
	}
	t, err := parseAddress(in.Server)
	if err != nil {
		return "", err
	}
	there := slices.IndexFunc(now.Servers, func(s config.Server) bool { return strings.EqualFold(s.Address, in.Server) })
	switch {
	case in.Do == "remove" && there < 0:
		names := make([]string, len(now.Servers))
		for i, s := range now.Servers {
			names[i] = s.Address
		}
		return "", fmt.Errorf("the pool %s has no server %q: it has %s", cfg.Name, in.Server, orNone(names))
	case in.Do == "add" && there >= 0:
		return "", fmt.Errorf("the pool %s has the server %s already", cfg.Name, in.Server)
	case in.Do == "remove":
		return now.Servers[there].Address, nil
	}
	for _, s := range cfg.Servers { // one that was removed comes back under its own name
		if strings.EqualFold(s.Address, in.Server) {
			return s.Address, nil
		}
	}
	if t.host != "" {
		return "", fmt.Errorf("a server that is added while weir runs needs an IP address, not the name %q: names belong into the configuration", t.host)
	}
	return in.Server, nil
}

func percent(thousandths int) string {
	return strconv.FormatFloat(float64(thousandths)/10, 'f', -1, 64) + "%"
}
