package pool

import "github.com/weirhq/weir/internal/api"

// Counts are the requests, errors and bytes of servers, by pool and server.
type Counts map[[2]string]Count

// Count is one server's.
type Count struct{ Requests, Errors, In, Out uint64 }

// Since returns what servers have counted since an earlier call, and what they had counted by then.
func (s *Set) Since(before Counts) (news []api.PoolStatus, now Counts) {
	now = Counts{}
	news = s.Status()
	for i := range news {
		p := &news[i]
		for j := range p.Servers {
			sv := &p.Servers[j]
			key := [2]string{p.Name, sv.Name}
			now[key] = Count{sv.Requests, sv.Errors, sv.In, sv.Out}
			sv.Requests -= before[key].Requests
			sv.Errors -= before[key].Errors
			sv.In -= before[key].In
			sv.Out -= before[key].Out
		}
	}
	return news, now
}

// Credit adds what servers of the same names have counted elsewhere. Servers that are not there are passed over.
func (s *Set) Credit(pools []api.PoolStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ps := range pools {
		p := s.names[ps.Name]
		if p == nil {
			continue
		}
		p.c.mu.Lock()
		for _, sv := range p.c.all() {
			for _, o := range ps.Servers {
				if sv.name == o.Name && len(sv.lanes) > 0 {
					sv.lanes[0].requests.Add(o.Requests)
					sv.lanes[0].errors.Add(o.Errors)
					sv.lanes[0].in.Add(o.In)
					sv.lanes[0].out.Add(o.Out)
				}
			}
		}
		p.c.mu.Unlock()
	}
}
