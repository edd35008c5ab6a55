package stage

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/picture"
)

// begin makes a site: a photo site with an app, a shop, an old system and a database.
func begin(s *Stage, pools, servers int) *picture.Picture {
	now := time.Now()
	p := &picture.Picture{At: now, Node: "web1.example.com", Version: "0.5.0", File: "/etc/weir/production.yaml", Since: now.Add(-76 * time.Hour),
		Counted: now.Add(-12 * 24 * time.Hour), KeeperPID: 801, DeskPID: 822, Listen: []string{":80", ":443", "127.0.0.1:9190"},
		Edge: picture.Edge{Up: true, PID: 817, Revision: 14, Connections: 412, Room: 19588, Accepted: 8_123_456, LoopBusy: []float64{.31, .28}}}
	p.Cache = &picture.Cache{CacheCounters: api.CacheCounters{Objects: 48_211, Bytes: 1_412 << 20, Memory: 2 << 30, Resident: 1_500 << 20, Disk: &api.CacheDisk{Size: 50 << 30, Bytes: 31 << 30}}}
	for _, site := range []string{"www.example.com", "shop.example.com", "api.example.com", "static.example.com"} {
		p.Sites = append(p.Sites, picture.Site{Name: site, Hosts: []string{site}})
	}
	route := func(site, name, pool string) {
		p.Routes = append(p.Routes, picture.Route{Site: site, Name: name, Pool: pool, Flow: picture.Flow{Whys: map[string]uint64{}, Causes: map[string]uint64{}}})
	}
	route("www.example.com", "www.example.com/static/*", "")
	route("www.example.com", "www.example.com/admin/*", "photos")
	route("www.example.com", "www.example.com/upload", "photos")
	route("www.example.com", "www.example.com#4", "photos")
	route("shop.example.com", "shop.example.com/checkout/*", "shop")
	route("shop.example.com", "shop.example.com#2", "shop")
	route("api.example.com", "api.example.com/v1/*", "api")
	route("static.example.com", "static.example.com#1", "")
	for i := range p.Routes {
		s.count(&p.Routes[i].Flow, uint64(400_000/(i+1)))
	}
	workers := func(app string, n int) {
		o := picture.Pool{Name: app, App: app, State: "up", MaxConn: 4, QueueSize: 1000}
		a := picture.App{Name: app, Live: n}
		for i := range n {
			name := fmt.Sprintf("%s/%d", app, i+1)
			srv := s.server(name, fmt.Sprintf("unix:/run/weir/%s-%d.sock", app, i+1))
			srv.Limit, srv.Checks, srv.Check = 4, 0, ""
			o.Servers = append(o.Servers, srv)
			a.Workers = append(a.Workers, picture.Worker{WorkerStatus: api.WorkerStatus{Name: name, PID: 1200 + i*7, State: "live", Since: srv.Since.Format(time.RFC3339), Requests: 18_000, Memory: int64(180+i*11) << 20}, CPU: .4})
		}
		p.Pools, p.Apps = append(p.Pools, o), append(p.Apps, a)
	}
	named := func(pool string, addresses ...string) {
		o := picture.Pool{Name: pool, State: "up", QueueSize: 1000, MaxConn: 60}
		for _, a := range addresses {
			o.Servers = append(o.Servers, s.server(a, a))
		}
		p.Pools = append(p.Pools, o)
	}
	workers("photos", 4)
	named("shop", "10.0.0.21:8080", "10.0.0.22:8080", "10.0.0.23:8080")
	named("api", "10.0.1.5:9000", "10.0.1.6:9000", "10.0.1.7:9000", "10.0.1.8:9000")
	named("legacy", "10.0.0.5:8080", "10.0.0.6:8080", "10.0.0.9:8080")
	p.Pools[3].Servers[2].Backup = true
	named("postgres", "10.0.2.1:5432", "10.0.2.2:5432")
	p.Pools[4].TCP = true
	for i := range pools {
		var all []string
		for j := range servers {
			all = append(all, fmt.Sprintf("10.%d.%d.%d:8080", 3+i/250, i%250, j+1))
		}
		named(fmt.Sprintf("pool-%03d", i+1), all...)
		route("api.example.com", fmt.Sprintf("api.example.com/p%03d/*", i+1), fmt.Sprintf("pool-%03d", i+1))
	}
	p.Facts = &picture.Facts{CPUs: []float64{.3, .2, .9, .4, .1, .3, .2, .2}, Load: [3]float64{2.1, 1.8, 1.6}, MemTotal: 32 << 30, MemFree: 19 << 30, Files: 4120, FilesMax: 400_000, Uptime: 4e6,
		Disks: []picture.Disk{{Path: "/", Size: 80 << 30, Free: 51 << 30, Busy: .02}, {Path: "/var/cache/weir", Size: 200 << 30, Free: 140 << 30, Busy: .08}}, Networks: []picture.Network{{Name: "eth0", InRate: 900_000, OutRate: 12e6}},
		Processes: []picture.Process{{PID: 817, What: "edge", CPU: .58, Memory: 1_690 << 20, Files: 601}, {PID: 801, What: "keeper", CPU: .002, Memory: 19 << 20, Files: 31}, {PID: 822, What: "desk", CPU: .006, Memory: 24 << 20, Files: 22}}}
	return p
}

func (s *Stage) server(name, address string) picture.Server {
	return picture.Server{Name: name, Address: address, State: "ready", Since: time.Now().Add(-time.Duration(s.rand.IntN(200_000)) * time.Second), Weight: 1, Share: 1000, Check: "200 OK",
		CheckTime: 1 + 3*s.rand.Float64(), Checks: uint64(40_000 + s.rand.IntN(9000)), Limit: 60, Requests: uint64(100_000 + s.rand.IntN(900_000)), ActiveMax: int64(9 + s.rand.IntN(30)),
		Failures: map[string]uint64{}, Connects: 900, Reused: 99_000, Idle: 12, RateMax: 160 + 50*s.rand.Float64(), In: uint64(s.rand.IntN(1 << 30)), Out: uint64(s.rand.IntN(1 << 34))}
}

// count adds so many requests to a flow.
func (s *Stage) count(f *picture.Flow, n uint64) {
	part := func(share float64) uint64 { return uint64(float64(n)*share + s.rand.Float64()) }
	bad := part(.0008)
	f.Requests += n
	f.Status[2], f.Status[3], f.Status[4], f.Status[5] = f.Status[2]+part(.93), f.Status[3]+part(.04), f.Status[4]+part(.02), f.Status[5]+bad
	f.In, f.Out = f.In+n*300, f.Out+n*15_000
}

// live goes on by a second.
func (s *Stage) live() {
	s.seconds++
	old := s.picture
	p := *old
	p.At = time.Now()
	p.Hands = s.hands
	p.Routes = append([]picture.Route{}, old.Routes...)
	p.Sites = append([]picture.Site{}, old.Sites...)
	p.Pools = append([]picture.Pool{}, old.Pools...)
	p.Total = picture.Flow{Whys: map[string]uint64{}, Causes: map[string]uint64{}, HitRatio: .71 + .05*math.Sin(float64(s.seconds)/9), P50: 2.4, P95: 48 + 9*s.rand.Float64(), P99: 190 + 60*s.rand.Float64()}
	for i := range p.Sites {
		p.Sites[i].Flow = picture.Flow{HitRatio: .7, P50: 2, P95: 40, P99: 170}
	}
	asks := map[string]float64{}
	for i := range p.Routes {
		r := &p.Routes[i]
		s.route(r, i)
		if r.Pool != "" {
			asks[r.Pool] += r.Rate * (1 - max(0, r.HitRatio))
		}
		for j := range p.Sites {
			if p.Sites[j].Name == r.Site {
				add(&p.Sites[j].Flow, &r.Flow)
			}
		}
		add(&p.Total, &r.Flow)
	}
	p.Total.RateMax, p.Total.OutRate, p.Total.InRate = 1842, p.Total.Rate*15_000, p.Total.Rate*300
	p.Edge.Active = 0
	for i := range p.Pools {
		o := &p.Pools[i]
		o.Servers = append([]picture.Server{}, o.Servers...)
		if o.TCP {
			asks[o.Name] = 6 + s.rand.Float64()
		}
		s.pool(o, asks[o.Name])
		p.Edge.Active += o.Active
	}
	s.rates = append(s.rates[1:], p.Total.Rate)
	s.picture = &p
}

func add(sum, f *picture.Flow) {
	sum.Requests += f.Requests
	for i, n := range f.Status {
		sum.Status[i] += n
	}
	for i, n := range f.Cache {
		sum.Cache[i] += n
	}
	sum.In, sum.Out, sum.Rate, sum.Errors, sum.RateMax = sum.In+f.In, sum.Out+f.Out, sum.Rate+f.Rate, sum.Errors+f.Errors, sum.RateMax+f.RateMax
	for why, n := range f.Whys {
		if sum.Whys == nil {
			sum.Whys = map[string]uint64{}
		}
		sum.Whys[why] += n
	}
	for cause, n := range f.Causes {
		if sum.Causes == nil {
			sum.Causes = map[string]uint64{}
		}
		sum.Causes[cause] += n
	}
}

func (s *Stage) route(r *picture.Route, i int) {
	rates := []float64{210, 3, 6, 390, 14, 95, 120, 66}
	base := 4.0
	if i < len(rates) {
		base = rates[i]
	}
	r.Rate = math.Round(base * (.92 + .16*s.rand.Float64()))
	r.RateMax = base * 1.8
	r.P50, r.P95, r.P99, r.HitRatio = 3+float64(i%5)*9, 30+float64(i%5)*44, 90+float64(i%5)*170, -1
	n := uint64(r.Rate)
	s.count(&r.Flow, n)
	r.Errors = 0
	if s.rand.IntN(4) == 0 && i == 3 {
		r.Errors = 1
	}
	whys, causes := map[string]uint64{}, map[string]uint64{}
	for k, v := range r.Whys {
		whys[k] = v
	}
	for k, v := range r.Causes {
		causes[k] = v
	}
	r.Whys, r.Causes = whys, causes
	if i != 3 && i != 5 && i != 6 {
		return
	}
	r.HitRatio = .72
	hits := n * 70 / 100
	r.Cache[3], r.Cache[2], r.Cache[1], r.Cache[5], r.Cache[4] = r.Cache[3]+hits, r.Cache[2]+n*14/100, r.Cache[1]+n*11/100, r.Cache[5]+n*3/100, r.Cache[4]+n*2/100
	for k, share := range map[string]uint64{"uri-miss": 9, "cookie": 8, "set-cookie": 3, "no-store": 2, "vary-miss": 1, "expired": 1} {
		whys[k] += n*share/100 + 1
	}
	causes["client_gone"] += n / 60
	causes["queue_timeout"] += n / 200
	causes["first_byte_timeout"] += n / 300
}

func (s *Stage) pool(o *picture.Pool, asks float64) {
	open := 0
	for i := range o.Servers {
		if o.Servers[i].State == "ready" && !o.Servers[i].Backup {
			open++
		}
	}
	o.Active, o.Open, o.Rate, o.Requests, o.ErrorRate = 0, 0, asks, o.Requests+uint64(asks), 0
	o.P50, o.P95, o.P99, o.QueueMax = 9+2*s.rand.Float64(), 50+9*s.rand.Float64(), 180+20*s.rand.Float64(), 37
	fit := 0
	for i := range o.Servers {
		v := &o.Servers[i]
		v.Rate, v.ErrorRate, v.P50, v.P95, v.P99 = 0, 0, 0, 0, 0
		if !v.Backup {
			fit++
		}
		if v.State == "down" {
			v.DownFor++
			continue
		}
		if v.State != "ready" {
			continue
		}
		o.Open++
		if v.Backup || open == 0 {
			continue
		}
		v.Rate = asks / float64(open) * (.95 + .1*s.rand.Float64())
		v.Active = int64(math.Min(float64(v.Limit), v.Rate*.06*(.6+.8*s.rand.Float64())))
		v.P50, v.P95, v.P99 = o.P50*(.9+.2*s.rand.Float64()), o.P95*(.9+.2*s.rand.Float64()), o.P99*(.9+.2*s.rand.Float64())
		v.Requests += uint64(v.Rate)
		v.Status[2] += uint64(v.Rate)
		o.Active += v.Active
	}
	switch {
	case o.Open == 0:
		o.State = "down"
	case o.Open < fit:
		o.State = "degraded"
	default:
		o.State = "up"
	}
}

// past is what happened before anybody looked.
func (s *Stage) past() {
	at := func(ago time.Duration) time.Time { return time.Now().Add(-ago) }
	for _, e := range []struct {
		ago                 time.Duration
		kind, subject, text string
	}{{9 * time.Hour, "upgrade", "", "weir 0.5.0 took over from 0.4.2"}, {3 * time.Hour, "server", "legacy/10.0.0.6:8080", "is down: connection refused"}, {2 * time.Hour, "server", "legacy/10.0.0.6:8080", "is ready"},
		{8 * time.Minute, "reload", "", "another configuration is in force"}, {5 * time.Minute, "worker", "photos/2", "is replaced: over 600 MiB"}, {290 * time.Second, "worker", "photos/2", "is live (process 1207)"},
		{2 * time.Minute, "intervention", "legacy/10.0.0.9:8080", "drain: disk is replaced"}} {
		s.events = append(s.events, map[string]any{"at": at(e.ago), "kind": e.kind, "subject": e.subject, "text": e.text})
	}
	s.done = []api.Intervention{{Do: "drain", Pool: "legacy", Server: "10.0.0.9:8080", By: "jonas", Reason: "disk is replaced", At: at(2 * time.Minute).Format(time.RFC3339)}}
	s.hands = []api.Hand{{Pool: "legacy", Server: "10.0.0.9:8080", State: "drain", By: "jonas", Reason: "disk is replaced", Since: at(2 * time.Minute).Format(time.RFC3339)}}
	for i, story := range []map[string]any{
		{"status": 504, "method": "GET", "host": "www.example.com", "target": "/search?q=rivers", "cause": "first_byte_timeout", "total_ms": 30004.2, "pool": "photos", "server": "photos/3", "route": "www.example.com#4",
			"stages_ms": map[string]float64{"head_read": .1, "routed": .12, "queued": .2, "picked": 2100, "connected": 2100.4, "sent": 2101, "delivered": 30004}},
		{"status": 503, "method": "GET", "host": "shop.example.com", "target": "/offers", "cause": "queue_timeout", "total_ms": 5000.9, "pool": "shop", "route": "shop.example.com#2", "queue_ms": 5000.1,
			"stages_ms": map[string]float64{"head_read": .1, "routed": .1, "queued": .2, "delivered": 5000.8}},
		{"status": 500, "method": "POST", "host": "shop.example.com", "target": "/checkout/pay", "total_ms": 212.5, "pool": "shop", "server": "10.0.0.22:8080", "route": "shop.example.com/checkout/*",
			"stages_ms": map[string]float64{"head_read": .1, "routed": .2, "body_read": 14, "queued": 14, "picked": 14.1, "connected": 15.2, "sent": 15.6, "first_byte": 210, "received": 211, "delivered": 212}},
		{"status": 200, "method": "GET", "host": "www.example.com", "target": "/photos/8812", "cache": "miss", "cache_why": "uri-miss", "total_ms": 1840.1, "pool": "photos", "server": "photos/1", "route": "www.example.com#4",
			"stages_ms": map[string]float64{"head_read": .1, "routed": .2, "queued": .2, "picked": 1210, "connected": 1210, "sent": 1211, "first_byte": 1820, "received": 1830, "delivered": 1840}},
	} {
		story["time"], story["id"], story["client"] = at(time.Duration(i*47+9)*time.Second), fmt.Sprintf("%024x", i+1), "192.0.2.7"
		s.log = append(s.log, story)
	}
}

func (s *Stage) series(w http.ResponseWriter, r *http.Request) any {
	spans := map[string][2]int{"10m": {1, 600}, "3h": {10, 1080}, "1d": {60, 1440}, "1w": {600, 1008}}
	span, ok := spans[r.URL.Query().Get("span")]
	if !ok {
		fail(w, http.StatusUnprocessableEntity, "span is wrong")
		return nil
	}
	values := make([][]any, 9)
	for i := range span[1] {
		v := s.rates[i*len(s.rates)/span[1]]
		if span[0] > 1 {
			v *= 1 - .5*math.Cos(float64(i*span[0])/86400*2*math.Pi)
		}
		errors := math.Max(0, math.Floor(s.rand.ExpFloat64()*.5-.6))
		p50 := 2 + v/700
		for j, n := range []float64{v, errors, p50, 30 + v/50 + 14*s.rand.Float64(), 120 + v/12 + 60*s.rand.Float64(), .66 + .08*math.Sin(float64(i)/90), 0, v / 40, v * 15_000} {
			if i < span[1]/12 && span[0] > 60 {
				values[j] = append(values[j], nil)
				continue
			}
			values[j] = append(values[j], math.Round(n*1000)/1000)
		}
	}
	at := s.picture.At.Unix()
	return map[string]any{"of": r.URL.Query().Get("of"), "step": span[0], "end": at - at%int64(span[0]), "names": []string{"rate", "errors", "p50", "p95", "p99", "hit", "queue", "active", "out"}, "values": values}
}

func (s *Stage) cache(http.ResponseWriter, *http.Request) any {
	return api.CacheStatus{TopMisses: []api.KeyMisses{{URL: "www.example.com/search?q=", Misses: 8123}, {URL: "www.example.com/account", Misses: 4410}, {URL: "shop.example.com/basket", Misses: 2090}}}
}

func (s *Stage) act(w http.ResponseWriter, r *http.Request) any {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return nil
	}
	s.asked = append(s.asked, Asked{r.URL.Path, string(body), r.Header.Get("X-Weir-CSRF")})
	return map[string]any{"purges": 1}
}

func (s *Stage) intervene(w http.ResponseWriter, r *http.Request) any {
	var in api.Intervention
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return nil
	}
	s.asked = append(s.asked, Asked{r.URL.Path, string(body), r.Header.Get("X-Weir-CSRF")})
	states := map[string]string{"drain": "draining", "maint": "maint", "ready": "ready"}
	for i := range s.picture.Pools {
		for j := range s.picture.Pools[i].Servers {
			v := &s.picture.Pools[i].Servers[j]
			if s.picture.Pools[i].Name != in.Pool || v.Name != in.Server {
				continue
			}
			if state := states[in.Do]; state != "" {
				v.State, v.Since, v.Why = state, time.Now(), "by "+Name
			}
			if in.Weight != nil {
				v.Weight = *in.Weight
			}
			in.By, in.At = Name, time.Now().Format(time.RFC3339)
			s.done = append(s.done, in)
			return in
		}
	}
	fail(w, http.StatusNotFound, fmt.Sprintf("the pool %s has no server %s", in.Pool, in.Server))
	return nil
}
