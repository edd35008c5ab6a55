package api

import "github.com/weirhq/weir/internal/metrics"

// Counters is all that an edge counts (GET /v1/counters of an edge). Numbers only grow as long as the same epochs are in it: who
// adds them up keeps what the last answer with an epoch said, until an answer has that epoch among its own.
type Counters struct {
	Epochs      []string          `json:"epochs"` // one for each edge whose numbers are in this: its own first, then those of edges that it followed
	At          int64             `json:"at"`     // Unix milliseconds
	PID         int               `json:"pid"`
	Version     int64             `json:"version"`  // of the state in force
	Revision    int64             `json:"revision"` // of its configuration: it grows with each reload
	Counts      Counts            `json:"counts"`
	Active      int64             `json:"active"`      // requests under way
	Connections int64             `json:"connections"` // of clients, open
	Room        int64             `json:"room"`        // for clients' connections at most
	SessionsNow int64             `json:"sessions_now"`
	SlowTurns   uint64            `json:"slow_turns"`
	LogDropped  uint64            `json:"log_dropped"`
	Loops       []LoopCounters    `json:"loops"`
	Routes      []RouteCounters   `json:"routes"`        // in the order of the configuration
	TCP         []RouteCounters   `json:"tcp,omitempty"` // of addresses of TCP: Route is the address, Requests are sessions, Time is how long they were
	Pools       []PoolCounters    `json:"pools"`
	Cache       *CacheCounters    `json:"cache,omitempty"`
	Causes      map[string]uint64 `json:"causes,omitempty"` // requests that ended by other than the application's word, for which no route was found
}

// LoopCounters is what one loop counts of itself.
type LoopCounters struct {
	Turns uint64 `json:"turns"`
	Slow  uint64 `json:"slow"`    // turns that held it up
	Busy  int64  `json:"busy_ns"` // processor time of its thread, as far as that can be told
}

// RouteCounters is what a route's requests came to.
type RouteCounters struct {
	Site     string            `json:"site"` // the first of its hosts
	Route    string            `json:"route"`
	Pool     string            `json:"pool,omitempty"`
	Requests uint64            `json:"requests"`
	Status   [6]uint64         `json:"status"`             // by class; [0]: nothing was sent
	In       uint64            `json:"in"`                 // bytes of bodies from clients
	Out      uint64            `json:"out"`                // and to them
	Retries  uint64            `json:"retries,omitempty"`  // further tries
	Causes   map[string]uint64 `json:"causes,omitempty"`   // of those that ended by other than the application's word, by cause
	Cache    [7]uint64         `json:"cache"`              // by journal.Cache
	Whys     map[string]uint64 `json:"whys,omitempty"`     // of misses and passes, by why, in the words of Cache-Status
	Saved    uint64            `json:"saved,omitempty"`    // bytes of bodies that no server had to send
	Sessions [5]uint64         `json:"sessions,omitempty"` // by journal.Session
	Time     metrics.Histogram `json:"time"`               // first byte of the request to the last of the response
	Slow     *Exemplar         `json:"slow,omitempty"`     // a request that took long, of late
}

// Exemplar is one request that stands for many.
type Exemplar struct {
	ID    string  `json:"id"`
	Trace string  `json:"trace,omitempty"` // the trace that it is part of, 32 hexadecimal digits
	At    int64   `json:"at"`              // Unix milliseconds
	Took  float64 `json:"took"`            // seconds
}

// PoolCounters is a pool, how it is and what it came to.
type PoolCounters struct {
	PoolStatus                   // its Servers are left out
	Size       int               `json:"queue_size"` // what its queue may hold
	QueueMax   int64             `json:"queue_max"`  // the most that have waited at a time
	TimedOut   uint64            `json:"queue_timeouts"`
	Rejected   uint64            `json:"queue_full"`
	Retries    uint64            `json:"retries"`
	Redispatch uint64            `json:"redispatches"` // of those, to another server
	NoRetry    uint64            `json:"no_retry"`     // tries that the budget did not allow
	Hedges     [3]uint64         `json:"hedges"`       // by journal.Hedge
	Queue      metrics.Histogram `json:"queue_time"`   // of those that waited
	Members    []ServerCounters  `json:"members"`
	Sum        ServerCounters    `json:"sum"` // what all its servers came to, those that are gone too: the numbers that only grow
}

// ServerCounters is a server, how it is and what it came to.
type ServerCounters struct {
	ServerStatus
	Weight    int               `json:"weight"`
	Backup    bool              `json:"backup,omitempty"`
	MaxConn   int               `json:"max_conn"`
	ActiveMax int64             `json:"active_max"` // the most at a time
	Status    [6]uint64         `json:"status"`
	Failures  map[string]uint64 `json:"failures,omitempty"` // by kind: connect_error, empty_response, bad_response, timeout, unavailable; server_error is none of the Errors
	Connects  uint64            `json:"connects"`           // connections made
	Reused    uint64            `json:"reused"`             // requests on a kept one
	Checks    uint64            `json:"checks"`
	CheckFail uint64            `json:"check_fail"`
	CheckTime float64           `json:"check_ms"` // what the last check took
	Downs     uint64            `json:"downs"`    // how often it went down
	DownFor   float64           `json:"down_s"`   // seconds that it was down in all, the present time included
	FirstByte metrics.Histogram `json:"first_byte"`
}

// CacheCounters is what the cache holds, and did in these epochs.
type CacheCounters struct {
	Objects   int64      `json:"objects"`
	Bytes     int64      `json:"bytes"`
	Resident  int64      `json:"resident"`
	Memory    int64      `json:"memory"`
	Evicted   uint64     `json:"evicted"`
	Refreshes uint64     `json:"refreshes"`
	Purges    uint64     `json:"purges"`
	Disk      *CacheDisk `json:"disk,omitempty"`
}
