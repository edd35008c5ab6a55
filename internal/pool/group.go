package pool

import (
	"fmt"
	"slices"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/pool/balance"
)

// group is servers of a pool among which requests are balanced. It is immutable.
type group struct {
	servers []*Server // the i-th is the picker's i-th
	weights []int     // as configured, 1 for none
	shares  []int     // of those weights, in thousandths, for which the picker was made
	picker  balance.Picker
}

func newGroup(cfg *config.Pool, servers []*Server, weights []int) (*group, error) {
	g := &group{servers: servers, weights: weights}
	members := make([]balance.Member, len(servers))
	for i, s := range servers {
		members[i] = balance.Member{Places: &s.places, Weight: weights[i], Key: balance.Hash(0, s.identity)}
		g.shares = append(g.shares, s.places.Share())
	}
	var err error
	if g.picker, err = balance.New(cfg.Balance, cfg.ByLatency, members); err != nil {
		return nil, fmt.Errorf("pool %q: %w", cfg.Name, err)
	}
	return g, nil
}

// take takes a place as the picker says.
func (g *group) take(q *balance.Query, turn *Turn) *Server {
	if len(g.servers) == 0 {
		return nil
	}
	for {
		i := g.picker.Pick(*q)
		if i < 0 {
			return nil
		}
		s := g.servers[i]
		if ok, trial := s.places.Take(q.Limit, q.Any); ok {
			turn.trial = trial
			return s
		}
		// Another loop was faster.
	}
}

// takes says whether any server of the group takes requests; any passes over those that are down.
func (g *group) takes(any bool) bool {
	for _, s := range g.servers {
		if s.places.Takes(any) {
			return true
		}
	}
	return false
}

// half says whether at least half of the group, by weight, is open.
func (g *group) half() bool {
	open, closed := 0, 0
	for i, s := range g.servers {
		switch {
		case s.places.Share() == 0:
		case s.places.Open():
			open += g.weights[i]
		default:
			closed += g.weights[i]
		}
	}
	return open > 0 && open >= closed
}

// stale says whether weights have moved so far that the picker should be made anew.
func (g *group) stale() bool {
	for i, s := range g.servers {
		if balance.Stale(g.shares[i], s.places.Share()) {
			return true
		}
	}
	return false
}

// divide makes the groups of the view's servers.
func (v *view) divide(ws []want) (err error) {
	var main, near, spare []*Server
	var mainWeights, nearWeights, spareWeights []int
	for i, s := range v.servers {
		w := ws[i]
		w.weight = max(w.weight, 1) // one without weight has a share of nothing, so that people can give it more
		if w.backup {
			spare, spareWeights = append(spare, s), append(spareWeights, w.weight)
			continue
		}
		main, mainWeights = append(main, s), append(mainWeights, w.weight)
		if v.cfg.Zone != "" && w.zone == v.cfg.Zone {
			near, nearWeights = append(near, s), append(nearWeights, w.weight)
		}
	}
	if v.main, err = newGroup(v.cfg, main, mainWeights); err != nil {
		return err
	}
	if len(near) > 0 && len(near) < len(main) {
		if v.near, err = newGroup(v.cfg, near, nearWeights); err != nil {
			return err
		}
	}
	if len(spare) > 0 {
		v.spare, err = newGroup(v.cfg, spare, spareWeights)
	}
	return err
}

// current is the group that requests go to: the backups while no other server takes any.
func (v *view) current(any bool) *group {
	if v.spare != nil && !v.main.takes(any) && v.spare.takes(any) {
		return v.spare
	}
	return v.main
}

// takeAny takes a place at whichever server is next.
func (v *view) takeAny(q *balance.Query, turn *Turn) *Server {
	g := v.current(q.Any)
	if v.near != nil && g == v.main && v.near.half() {
		if s := v.near.take(q, turn); s != nil {
			return s
		}
	}
	return g.take(q, turn)
}

// takesTurns says whether a place that comes free at s may be anybody's: that of a backup may not while others are open.
func (v *view) takesTurns(s *Server) bool {
	return v.spare == nil || !slices.Contains(v.spare.servers, s) || v.current(false) == v.spare
}

// setShare says how much of its configured weight the server has, in thousandths: 1000 is all of it, 0 means that no
// request is balanced to it, but who has a session there stays. Not on a loop: hash rings are made anew.
func (s *Server) setShare(thousandths int) {
	c := s.core
	c.mu.Lock()
	s.places.SetShare(thousandths)
	c.weigh(s)
	c.mu.Unlock()
	c.reweigh()
	c.settle()
}

// weigh closes a server without weight for those who have no session there. Under mu.
func (c *core) weigh(s *Server) {
	if s.places.Share() == 0 {
		c.bar(s, weightless)
		return
	}
	c.unbar(s, weightless)
}

// reweigh makes pickers anew that were made for other weights. That takes milliseconds for a large ring, and so it is not done under mu,
// which loops take.
func (c *core) reweigh() {
	for {
		old := c.view.Load()
		next := *old
		changed := false
		for _, g := range []**group{&next.main, &next.near, &next.spare} {
			if *g == nil || !(*g).stale() {
				continue
			}
			made, err := newGroup(old.cfg, (*g).servers, (*g).weights)
			if err != nil {
				panic("pool: a method that was known is not: " + err.Error())
			}
			*g, changed = made, true
		}
		if !changed {
			return
		}
		c.mu.Lock()
		same := c.view.Load() == old
		if same {
			c.view.Store(&next)
		}
		c.mu.Unlock()
		if same {
			return
		}
	}
}
