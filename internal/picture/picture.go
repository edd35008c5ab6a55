// Package picture is what weir is and does at one moment, as one value: everything that pages, metrics, alerts and the terminal view
// tell is read from it. It is made once a second, of what keeper and edge tell (see Maker), and never changed afterwards, so that
// whoever has one may keep it. It asks nobody and knows no clock.
package picture

import (
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/metrics"
)

// Picture is weir at one moment. All totals only grow, over deaths of the edge and of the desk too; rates are per second.
type Picture struct {
	At      time.Time `json:"at"`
	Node    string    `json:"node"`    // host name
	Version string    `json:"version"` // of weir
	File    string    `json:"file"`
	Since   time.Time `json:"since"`   // weir was started
	Counted time.Time `json:"counted"` // since when totals are counted

	Problem   string           `json:"problem,omitempty"` // e.g. the last reload that was refused, and why
	KeeperPID int              `json:"keeper_pid"`
	DeskPID   int              `json:"desk_pid"`
	Edge      Edge             `json:"edge"`
	Total     Flow             `json:"total"` // of all requests
	Sites     []Site           `json:"sites"`
	Routes    []Route          `json:"routes"`
	TCP       []Route          `json:"tcp,omitempty"` // addresses at which bytes are passed on: Name is the address, requests are sessions
	Pools     []Pool           `json:"pools"`
	Apps      []App            `json:"apps"`
	Cache     *Cache           `json:"cache,omitempty"`
	Listen    []string         `json:"listen"`
	Faults    []api.Fault      `json:"faults,omitempty"` // that weir makes on purpose
	Included  []api.FileStatus `json:"included,omitempty"`
	Hands     []api.Hand       `json:"hands,omitempty"` // what people decided of servers, and holds
	Facts     *Facts           `json:"facts,omitempty"` // of the machine; nil: nobody could tell
}

// Edge is the data plane as a whole.
type Edge struct {
	Up          bool      `json:"up"`
	PID         int       `json:"pid,omitempty"`
	Restarts    int       `json:"restarts"`
	Revision    int64     `json:"revision"` // of the configuration in force
	Connections int64     `json:"connections"`
	Room        int64     `json:"room"`
	Active      int64     `json:"active"`
	SessionsNow int64     `json:"sessions_now"`
	Accepted    uint64    `json:"accepted"`
	Refused     uint64    `json:"refused"`
	Sessions    uint64    `json:"sessions"`
	Panics      uint64    `json:"panics"`
	SlowTurns   uint64    `json:"slow_turns"`
	LogDropped  uint64    `json:"log_dropped"`
	LoopBusy    []float64 `json:"loop_busy,omitempty"` // of each loop, the share of a processor, 0 to 1
}

// Flow is requests and what became of them.
type Flow struct {
	Requests uint64            `json:"requests"`
	Status   [6]uint64         `json:"status"` // by class; [0]: nothing was sent
	In       uint64            `json:"in"`     // bytes of bodies from clients
	Out      uint64            `json:"out"`    // and to them
	Retries  uint64            `json:"retries,omitempty"`
	Causes   map[string]uint64 `json:"causes,omitempty"`
	Cache    [7]uint64         `json:"cache"` // by journal.Cache
	Whys     map[string]uint64 `json:"whys,omitempty"`
	Saved    uint64            `json:"saved,omitempty"`

	Rate     float64 `json:"rate"`     // requests a second, of the last second
	RateMax  float64 `json:"rate_max"` // the most of any second
	Errors   float64 `json:"errors"`   // answers of 500 and above a second, and requests without any answer but for clients that left
	OutRate  float64 `json:"out_rate"` // bytes a second
	InRate   float64 `json:"in_rate"`
	P50      float64 `json:"p50"`       // milliseconds, of the last five to ten seconds; 0: there was no request
	P95      float64 `json:"p95"`       //
	P99      float64 `json:"p99"`       //
	HitRatio float64 `json:"hit_ratio"` // of the last five to ten seconds, of what the cache could have answered: hits, stale and shared; -1: nothing

	Time metrics.Histogram `json:"-"` // of all requests
	Slow *api.Exemplar     `json:"slow,omitempty"`
}

// Site is one site; its flow is that of its routes.
type Site struct {
	Name  string   `json:"name"`
	Hosts []string `json:"hosts"`
	Flow
}

// Route is one route.
type Route struct {
	Site string `json:"site"`
	Name string `json:"name"`
	Pool string `json:"pool,omitempty"`
	Flow
}

// Pool is a pool with its servers.
type Pool struct {
	Name       string            `json:"name"`
	App        string            `json:"app,omitempty"`
	TCP        bool              `json:"tcp,omitempty"`
	State      string            `json:"state"` // "up", "degraded": not all of its servers take requests, "down": none does
	Open       int               `json:"open"`  // servers that take requests
	MaxConn    int               `json:"max_conn"`
	Queued     int64             `json:"queued"`
	QueueMax   int64             `json:"queue_max"`
	QueueSize  int               `json:"queue_size"`
	TimedOut   uint64            `json:"queue_timeouts"`
	Rejected   uint64            `json:"queue_full"`
	Shed       uint64            `json:"shed"`
	Retries    uint64            `json:"retries"`
	Redispatch uint64            `json:"redispatches"`
	NoRetry    uint64            `json:"no_retry"`
	Hedges     [3]uint64         `json:"hedges"`
	Breaker    string            `json:"breaker,omitempty"`
	Requests   uint64            `json:"requests"` // of its servers
	Errors     uint64            `json:"errors"`
	Active     int64             `json:"active"`
	Rate       float64           `json:"rate"`
	ErrorRate  float64           `json:"error_rate"`
	P50        float64           `json:"p50"` // milliseconds to the first byte, of the last five to ten seconds
	P95        float64           `json:"p95"`
	P99        float64           `json:"p99"`
	QueueP95   float64           `json:"queue_p95"` // milliseconds, of those that waited
	Servers    []Server          `json:"servers"`
	Queue      metrics.Histogram `json:"-"`
}

// Server is one server. Of an app's pool it is a worker.
type Server struct {
	Name      string            `json:"name"`
	Address   string            `json:"address"`
	State     string            `json:"state"` // "ready", "starting", "draining", "maint", "down", "leaving"
	Since     time.Time         `json:"since,omitzero"`
	Why       string            `json:"why,omitempty"`
	Check     string            `json:"check,omitempty"`
	CheckTime float64           `json:"check_ms,omitempty"`
	Checks    uint64            `json:"checks,omitempty"`
	CheckFail uint64            `json:"check_fail,omitempty"`
	Downs     uint64            `json:"downs"`
	DownFor   float64           `json:"down_s"` // seconds
	Weight    int               `json:"weight"`
	Share     int               `json:"share"` // of the weight that counts, in thousandths
	Backup    bool              `json:"backup,omitempty"`
	Active    int64             `json:"active"`
	ActiveMax int64             `json:"active_max"`
	Limit     int64             `json:"limit"` // requests at a time; 0: none
	Idle      int64             `json:"idle"`
	Requests  uint64            `json:"requests"`
	Errors    uint64            `json:"errors"`
	Status    [6]uint64         `json:"status"`
	Failures  map[string]uint64 `json:"failures,omitempty"`
	Connects  uint64            `json:"connects"`
	Reused    uint64            `json:"reused"`
	In        uint64            `json:"in"`
	Out       uint64            `json:"out"`
	Rate      float64           `json:"rate"`
	RateMax   float64           `json:"rate_max"`
	ErrorRate float64           `json:"error_rate"`
	P50       float64           `json:"p50"`
	P95       float64           `json:"p95"`
	P99       float64           `json:"p99"`
	FirstByte metrics.Histogram `json:"-"`
}

// App is an app and its workers.
type App struct {
	Name    string   `json:"name"`
	Overrun int      `json:"overrun"`
	Lost    int      `json:"lost"`
	Live    int      `json:"live"` // workers that take requests
	Workers []Worker `json:"workers"`
}

// Worker is one worker.
type Worker struct {
	api.WorkerStatus
	CPU float64 `json:"cpu"` // of a processor, 0 to 1 and above; of it and its children
}

// Cache is what the cache holds.
type Cache struct {
	api.CacheCounters
	HitRatio float64 `json:"hit_ratio"` // as in Flow, of all routes
}

// Facts is what is known of the machine and of weir's processes.
type Facts struct {
	CPUs      []float64  `json:"cpus"` // of each processor: the share that it was busy in the last second
	Steal     float64    `json:"steal"`
	Load      [3]float64 `json:"load"`
	MemTotal  int64      `json:"mem_total"`
	MemFree   int64      `json:"mem_available"`
	SwapTotal int64      `json:"swap_total"`
	SwapUsed  int64      `json:"swap_used"`
	Disks     []Disk     `json:"disks,omitempty"`
	Networks  []Network  `json:"networks,omitempty"`
	Files     int64      `json:"files"` // descriptors open on the machine
	FilesMax  int64      `json:"files_max"`
	Uptime    float64    `json:"uptime"`              // seconds
	Processes []Process  `json:"processes,omitempty"` // weir's own, and the workers
	Words     []string   `json:"words,omitempty"`     // what a person should be told of it, such as that one processor works alone
}

// Disk is a file system that weir or its apps use.
type Disk struct {
	Path      string  `json:"path"`
	Size      int64   `json:"size"`
	Free      int64   `json:"free"`
	Inodes    int64   `json:"inodes"`
	InodeFree int64   `json:"inodes_free"`
	ReadRate  float64 `json:"read_rate"` // bytes a second
	WriteRate float64 `json:"write_rate"`
	Busy      float64 `json:"busy"` // share of the last second, 0 to 1
}

// Network is one interface.
type Network struct {
	Name    string  `json:"name"`
	In      uint64  `json:"in"` // bytes
	Out     uint64  `json:"out"`
	InRate  float64 `json:"in_rate"`
	OutRate float64 `json:"out_rate"`
	Errors  uint64  `json:"errors"`
	Drops   uint64  `json:"drops"`
}

// Process is one process and its children.
type Process struct {
	PID     int     `json:"pid"`
	What    string  `json:"what"` // "keeper", "edge", "desk" or a worker's name
	CPU     float64 `json:"cpu"`  // of a processor
	Memory  int64   `json:"memory"`
	Files   int     `json:"files"`
	FileMax int64   `json:"files_max"`
	Threads int     `json:"threads"`
	Since   int64   `json:"since"` // Unix seconds
	Read    float64 `json:"read_rate"`
	Written float64 `json:"write_rate"`
}
