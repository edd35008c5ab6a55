package top

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/picture"
)

// noon is when all fake pictures begin.
var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// wave is a number that goes up and down, the same in each run.
func wave(n, period int, low, high float64) float64 {
	return low + (high-low)*(1+math.Sin(2*math.Pi*float64(n)/float64(period)))/2
}

// fakeTotal is all requests at the n-th second.
func fakeTotal(n int) picture.Flow {
	u := func(v int) uint64 { return uint64(v) }
	f := picture.Flow{Requests: u(2_000_000 + n*1240), Status: [6]uint64{u(12), 0, u(1_900_000 + n*1100), u(50_000 + n*80), u(40_000 + n*55), u(900 + n*5)},
		In: u(3<<30 + n<<20), Out: u(70<<30 + n<<24), Retries: 812, Saved: 41 << 30,
		Whys: map[string]uint64{"uri-miss": u(120_000 + n*150), "stale": u(9000 + n*9), "request": u(80_000 + n*40), "bypass": u(300 + n)},
		Rate: wave(n, 120, 600, 1240), RateMax: 2345, Errors: max(0, wave(n, 40, -3, 4)), OutRate: 17 << 20, InRate: 1 << 20, P50: 12.4, P95: wave(n, 90, 60, 180), P99: 412, HitRatio: 0.83}
	f.Cache[journal.Hit], f.Cache[journal.Miss], f.Cache[journal.Pass] = u(1_500_000+n*900), u(250_000+n*200), u(90_000+n*40)
	f.Cache[journal.Stale], f.Cache[journal.Shared] = u(9000+n*10), u(21_000+n*20)
	return f
}

// fakePicture is the n-th second of a site with so many further servers.
func fakePicture(n, more int) *picture.Picture {
	at := noon.Add(time.Duration(n) * time.Second)
	p := &picture.Picture{At: at, Node: "web1", Version: "v1.4.0", File: "/etc/weir/site.yaml", Since: noon.Add(-76 * time.Hour), Counted: noon.Add(-76 * time.Hour), KeeperPID: 311, DeskPID: 320,
		Edge:  picture.Edge{Up: true, PID: 319, Revision: 4, Connections: 812, Room: 20000, Active: int64(wave(n, 60, 20, 60)), LoopBusy: []float64{0.34, 0.12}},
		Total: fakeTotal(n), Listen: []string{":80", ":443"}}
	p.Pools = []picture.Pool{fakePool(at, n), fakeAppPool(at), fakeTCPPool(at)}
	for i := range more {
		s := picture.Server{Name: fmt.Sprintf("10.1.%d.%d:8080", i/250, i%250+1), State: "ready", Since: noon.Add(-time.Hour), Check: "200 OK in 1.1ms", Weight: 1, Share: 1000,
			Active: int64((i + n) % 7), ActiveMax: 12, Rate: wave(n+i, 60, 1, 30), RateMax: 44, P50: 10, P95: wave(n+i, 33, 20, 90), P99: 120, Requests: uint64(100000 + i*17 + n*9), Out: 1 << 28}
		if i == 0 {
			p.Pools = append(p.Pools, picture.Pool{Name: "many", State: "up"})
		}
		o := &p.Pools[len(p.Pools)-1]
		o.Servers = append(o.Servers, s)
		o.Open++
		o.Rate += s.Rate
	}
	p.Apps = fakeApps(at)
	p.Routes = fakeRoutes(n)
	p.Cache = &picture.Cache{CacheCounters: api.CacheCounters{Objects: 81234, Bytes: 3 << 30, Resident: 3<<30 + 1<<28, Memory: 4 << 30, Evicted: 1234567, Refreshes: 45678, Purges: 12,
		Disk: &api.CacheDisk{Path: "/var/cache/weir", Size: 100 << 30, Bytes: 43 << 30, Objects: 912345, Hits: 4567, Written: 999999}}, HitRatio: 0.83}
	p.Facts = &picture.Facts{CPUs: []float64{0.93, 0.21, 0.18, 0.22}, Load: [3]float64{1.82, 1.4, 0.97}, MemTotal: 16 << 30, MemFree: 7 << 30,
		Disks:     []picture.Disk{{Path: "/", Size: 100 << 30, Free: 61 << 30}, {Path: "/var", Size: 500 << 30, Free: 40 << 30}},
		Words:     []string{"one processor works alone: 93 % on cpu0 while the others idle"},
		Networks:  []picture.Network{{Name: "lo", InRate: 5 << 20}, {Name: "eth0", InRate: 1.2 * (1 << 20), OutRate: 17 << 20, Drops: 3}},
		Processes: []picture.Process{{PID: 319, What: "edge", CPU: 0.46, Memory: 212 << 20, Files: 900, FileMax: 20000}, {PID: 311, What: "keeper", Memory: 31 << 20, Files: 40, FileMax: 1024}, {PID: 320, What: "desk", CPU: 0.01, Memory: 44 << 20, Files: 20, FileMax: 1024}, {PID: 401, What: "photos/1", CPU: 0.42, Memory: 312 << 20, Files: 34, FileMax: 1024, Threads: 9}}}
	p.Hands = []api.Hand{{Pool: "web", Server: "10.0.0.7:8080", State: "drain", By: "ann", Reason: "new disk", Since: at.Add(-130 * time.Second).Format(time.RFC3339)}}
	return p
}

func fakePool(at time.Time, n int) picture.Pool {
	return picture.Pool{Name: "web", State: "degraded", Open: 2, MaxConn: 50, Queued: 3, QueueMax: 71, QueueSize: 500, Retries: 812, Redispatch: 640, Requests: 1_912_345, Errors: 911, Active: 34,
		Rate: 412.6, ErrorRate: 1.2, P50: 14.2, P95: 97, P99: 340, QueueP95: 12, Servers: []picture.Server{
			{Name: "10.0.0.5:8080", Address: "10.0.0.5:8080", State: "ready", Since: at.Add(-3 * time.Hour), Check: "200 OK in 1.2ms", CheckTime: 1.2, Checks: 5400, CheckFail: 2, Downs: 1, DownFor: 12, Weight: 2, Share: 1000,
				Active: 20, ActiveMax: 50, Limit: 50, Idle: 12, Requests: 1_200_345, Errors: 12, Status: [6]uint64{0, 0, 1_190_000, 9000, 1200, 145}, Connects: 1200, Reused: 1_199_145, In: 1 << 30, Out: 40 << 30,
				Rate: wave(n, 60, 250, 290), RateMax: 801, P50: 12.1, P95: 81, P99: 300},
			{Name: "10.0.0.6:8080", Address: "10.0.0.6:8080", State: "down", Since: at.Add(-72 * time.Second), Why: "check fails: no answer within 1s", Check: "no answer within 1s", Checks: 5400, CheckFail: 44, Downs: 3, DownFor: 4210, Weight: 1, Share: 1000,
				ActiveMax: 50, Limit: 50, Requests: 400_000, Errors: 880, Status: [6]uint64{0, 0, 399_000, 100, 20, 880}, Failures: map[string]uint64{"connect_error": 800, "timeout": 80}, In: 1 << 28, Out: 11 << 30},
			{Name: "10.0.0.7:8080", Address: "10.0.0.7:8080", State: "draining", Since: at.Add(-130 * time.Second), Why: "drained by hand (ann: new disk)", Check: "200 OK in 1.4ms", Weight: 1, Share: 1000,
				Active: 4, ActiveMax: 48, Limit: 50, Requests: 310_000, Errors: 19, Out: 9 << 30, Rate: 3.2, RateMax: 400, P50: 15, P95: 101, P99: 420},
			{Name: "10.0.0.8:8080", Address: "10.0.0.8:8080", State: "starting", Since: at.Add(-9 * time.Second), Weight: 1, Share: 370, Check: "200 OK in 1.4ms", Active: 10, ActiveMax: 10, Limit: 50, Requests: 2210, Rate: 140, RateMax: 141, ErrorRate: 1.2, P50: 22, P95: 240, P99: 800},
		}}
}

func fakeAppPool(at time.Time) picture.Pool {
	o := picture.Pool{Name: "photos", App: "photos", State: "up", Open: 3, Requests: 80123, Active: 2, Rate: 88.1, P50: 31, P95: 140, P99: 910}
	for i := 1; i <= 3; i++ {
		o.Servers = append(o.Servers, picture.Server{Name: fmt.Sprintf("photos/%d", i), Address: fmt.Sprintf("unix:/run/weir/photos-%d.sock", i), State: "ready", Since: at.Add(-20 * time.Minute),
			Weight: 1, Share: 1000, Active: 1, ActiveMax: 4, Limit: 1, Requests: uint64(26000 + i), Rate: 29.3, RateMax: 60, P50: 31, P95: 140, P99: 910, Out: 1 << 30})
	}
	return o
}

func fakeTCPPool(at time.Time) picture.Pool {
	return picture.Pool{Name: "db", TCP: true, State: "down", Servers: []picture.Server{{Name: "10.0.9.1:5432", Address: "10.0.9.1:5432", State: "down", Since: at.Add(-3 * time.Minute), Why: "it is no primary", Weight: 1, Share: 1000, Downs: 1, DownFor: 180}}}
}

func fakeApps(at time.Time) []picture.App {
	w := func(name string, pid int, state, last string, restarts int) picture.Worker {
		return picture.Worker{WorkerStatus: api.WorkerStatus{Name: name, PID: pid, State: state, Since: at.Add(-20 * time.Minute).Format(time.RFC3339), Restarts: restarts, Last: last, Requests: 26001, Memory: int64(300+pid%40) << 20}, CPU: 0.42}
	}
	crashing := w("mail/1", 0, "failing", "exit status 1: ImportError: No module named 'smtp\x1b[2Jlib'", 17)
	crashing.Looping = true
	crashing.CPU, crashing.Memory, crashing.Requests = 0, 0, 0
	due := w("photos/3", 403, "live", "", 0)
	due.Due = "it has answered 20000 requests"
	return []picture.App{{Name: "photos", Live: 3, Overrun: 2, Lost: 1, Workers: []picture.Worker{w("photos/1", 401, "live", "", 0), w("photos/2", 402, "live", "killed: a request took longer than 30s", 2), due}},
		{Name: "mail", Workers: []picture.Worker{crashing}}}
}

func fakeRoutes(n int) []picture.Route {
	total := fakeTotal(n)
	share := func(site, name, pool string, part float64, p95 float64, hit float64) picture.Route {
		f := picture.Flow{Requests: uint64(float64(total.Requests) * part), Rate: total.Rate * part, RateMax: 900, P50: p95 / 6, P95: p95, P99: p95 * 3, HitRatio: hit, OutRate: 4 << 20 * part, Out: 9 << 30}
		f.Status[2] = f.Requests
		if hit >= 0 {
			f.Cache[journal.Hit], f.Cache[journal.Miss] = uint64(float64(f.Requests)*hit), uint64(float64(f.Requests)*(1-hit))
		}
		return picture.Route{Site: site, Name: name, Pool: pool, Flow: f}
	}
	all := []picture.Route{share("www.example.com", "/static/*", "", 0.5, 2, 0.99), share("www.example.com", "/api/*", "web", 0.2, 210, -1), share("www.example.com", "*", "web", 0.2, 97, 0.71),
		share("photos.example.com", "/写真/*", "photos", 0.1, 140, 0.4)}
	all[1].Errors = 1.2
	all[1].Status[5] = 900
	all[2].Whys = map[string]uint64{"uri-miss": 100_000, "stale": 900}
	all[1].Slow = &api.Exemplar{ID: "6f1c2a", At: noon.Add(-40 * time.Second).UnixMilli(), Took: 4.2}
	return all
}

func fakeSeries(of, span string) *Series {
	step := map[string]int64{"10m": 1, "3h": 10, "1d": 60, "1w": 600}[span]
	s := &Series{Of: of, Step: step, End: noon.Unix(), Names: []string{"rate", "errors", "p50", "p95", "p99", "hit", "queue", "active", "out"}}
	for row := range s.Names {
		var all []*float64
		for i := range 600 {
			v := wave(i, 100+20*row, 10, 40*float64(row+1))
			if s.Names[row] == "out" {
				v = wave(i, 220, 8<<20, 19<<20)
			}
			if s.Names[row] == "rate" {
				v = wave(i, 300, 500, 1300)
			}
			if s.Names[row] == "hit" {
				v = wave(i, 200, 0.6, 0.9)
			}
			if s.Names[row] == "errors" {
				v = max(0, wave(i, 300, -30, 3))
			}
			if i < 100 {
				all = append(all, nil)
				continue
			}
			all = append(all, &v)
		}
		s.Values = append(s.Values, all)
	}
	return s
}

func fakeEvents() []Event {
	return []Event{
		{At: noon.Add(-3 * time.Hour), Kind: "reload", Text: "another configuration is in force"},
		{At: noon.Add(-20 * time.Minute), Kind: "worker", Subject: "photos/2", Text: "started again: killed: a request took longer than 30s"},
		{At: noon.Add(-3 * time.Minute), Kind: "pool", Subject: "db", Text: "is down: none of its 1 servers takes requests"},
		{At: noon.Add(-130 * time.Second), Kind: "intervention", Subject: "web/10.0.0.7:8080", Text: "drain: new disk", By: "ann"},
		{At: noon.Add(-72 * time.Second), Kind: "server", Subject: "web/10.0.0.6:8080", Text: "is down: check fails: no answer within 1s"},
	}
}

const fakeLog = `{"time":"2026-03-14T11:59:57.120Z","client":"192.0.2.7","method":"GET","host":"www.example.com","target":"/album/7?page=2","protocol":"HTTP/1.1","scheme":"https","status":200,"out":18231,"in":0,"id":"01HX1","site":"www.example.com","route":"*","pool":"web","server":"10.0.0.5:8080","cache":"miss","total_ms":84.2,"queue_ms":1.1,"connect_ms":0.4,"first_byte_ms":71.3,"cache_why":"uri-miss","stages_ms":{"begun":0,"head_read":0.02,"routed":0.03,"queued":0.1,"picked":1.2,"connected":1.6,"sent":1.7,"first_byte":73,"received":84.1,"delivered":84.2}}
{"time":"2026-03-14T11:59:58.004Z","client":"192.0.2.9","method":"POST","host":"www.example.com","target":"/api/order","protocol":"HTTP/2","scheme":"https","status":504,"out":120,"in":900,"id":"01HX2","site":"www.example.com","route":"/api/*","pool":"web","server":"10.0.0.6:8080","cause":"first_byte_timeout","retries":1,"total_ms":30004,"queue_ms":2,"connect_ms":1.2,"first_byte_ms":30000,"failed":true,"slow":true,"stages_ms":{"begun":0,"head_read":0.5,"body_read":800.1,"queued":800.2,"picked":802.2,"connected":803.4,"sent":804,"delivered":30004}}
{"time":"2026-03-14T11:59:59.900Z","client":"192.0.2.9","method":"GET","host":"photos.example.com","target":"/写真/\u001b[31mred\u009b2J","protocol":"HTTP/1.1","scheme":"https","status":404,"out":12,"in":0,"id":"01HX3","site":"photos.example.com","route":"/写真/*","pool":"photos","server":"photos/2","cache":"hit","total_ms":0.3,"stages_ms":{"begun":0,"head_read":0.2,"delivered":0.3}}

{"dropped":3}
`

// fakeAlerts is the desk's answer, with alerts that are not to be seen.
const fakeAlerts = `{"alerts":[{"id":"1","rule":"pool_down","subject":"db","state":"firing","severity":"critical","text":"no server of the pool db takes requests","since":"2026-03-14T11:57:00Z","fired":"2026-03-14T11:57:01Z"},
{"rule":"server_down","subject":"db/10.0.9.1:5432","state":"firing","severity":"critical","text":"explained by another","by":"1"},{"rule":"disk","state":"firing","severity":"warning","text":"silenced","silenced":"s1"},
{"rule":"errors","subject":"www.example.com","state":"pending","severity":"warning","text":"pending"},
{"rule":"disk","subject":"/var","state":"firing","severity":"warning","text":"/var is 92 % full","fired":"2026-03-14T09:00:00Z","acknowledged":{"by":"ann","at":"2026-03-14T09:10:00Z"}}],"silences":[],"targets":[]}`

func fakeCacheStatus() *api.CacheStatus {
	return &api.CacheStatus{TopMisses: []api.KeyMisses{{URL: "www.example.com/search?q=new+year", Misses: 91234}, {URL: "www.example.com/account", Misses: 4021}},
		Estimates: []api.MemoryEstimate{{Memory: 2 << 30, HitRatio: 0.78}, {Memory: 4 << 30, HitRatio: 0.83}, {Memory: 8 << 30, HitRatio: 0.86}}}
}

// fakeAnswer is what the desk would answer to what a model asks.
func fakeAnswer(what any) any {
	switch what := what.(type) {
	case askMe:
		return gotMe{Me{Name: "root", Role: "operate"}}
	case askEvents:
		return gotEvents{fakeEvents(), true}
	case askSeries:
		return gotSeries{of: what.of, span: what.span, series: fakeSeries(what.of, what.span)}
	case askCache:
		return gotCache{cache: fakeCacheStatus()}
	case askLog:
		var lot [][]byte
		for _, l := range splitLines(fakeLog) {
			lot = append(lot, []byte(l))
		}
		return storiesOf(what.run, lot, 0)
	}
	return nil
}

func splitLines(s string) (all []string) {
	for from, i := 0, 0; i < len(s); i++ {
		if s[i] == '\n' {
			if i > from {
				all = append(all, s[from:i])
			}
			from = i + 1
		}
	}
	return all
}

func fakeJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
