// Package api holds what weir's processes and the command line say to each other: JSON over HTTP on Unix sockets in
// the run directory, and the way listening sockets are handed down. It decides nothing.
//
// The keeper answers on RUNDIR/weir.sock, an edge on a RUNDIR/edge-N.sock of its own; RUNDIR/edge.sock is a link to that of
// the one that accepts. The keeper starts an edge as `weir edge` with
// file descriptor 3, one end of a SOCK_SEQPACKET pair: each message from the keeper is a Handover with its sockets
// (SCM_RIGHTS); the edge answers with Report messages: Ready once it serves, or could, or an Error and then its exit. When the
// pair closes, the keeper is gone, and the edge drains and stops.
package api

import "strings"

// Source is a configuration as it was read, so that the edge parses what the keeper checked and not a later edit.
type Source struct {
	Path string `json:"path"`
	Text string `json:"text"`
	// Revision grows with each reload: the files that a configuration names may have changed where its text has not.
	Revision int64             `json:"revision"`
	Env      map[string]string `json:"env,omitempty"`   // what ${NAME} stands for
	Read     int64             `json:"read,omitempty"`  // the revision with which Text was read
	Files    []SourceFile      `json:"files,omitempty"` // the included files that are in force, by path
}

// SourceFile is an included file as it was read. What has the same text and the same number is the same.
type SourceFile struct {
	Path string `json:"path"`
	Text string `json:"text"`
	Read int64  `json:"read"`
}

// Worker is one worker of an app as the edge should see it.
type Worker struct {
	App     string `json:"app"`
	Name    string `json:"name"`    // "web/1"; unique while it lives, never reused within an edge's life: "web/1.3" is the third process in place 1
	Address string `json:"address"` // "unix:/run/weir/web-1.3.sock" or "127.0.0.1:40123"
	State   string `json:"state"`   // "ready" or "leaving"
}

// EdgeState is everything that the edge needs to serve. POST /v1/state replaces it whole; the answer is 200 when it
// is in force, 422 with an Error when it cannot be, and then nothing changed.
type EdgeState struct {
	Version int64    `json:"version"`
	Source  Source   `json:"source"`
	Workers []Worker `json:"workers"`
	Hands   []Hand   `json:"hands,omitempty"`
	Faults  []Fault  `json:"faults,omitempty"`  // that it is to make on purpose
	RunDir  string   `json:"run_dir,omitempty"` // for what is to last longer than an edge; empty: nothing does
	// Secret is what edges that follow one another have in common: 16 random bytes of the keeper's. A cache without a disk
	// makes its keys with it, so that what one edge purges is what the next one keeps.
	Secret []byte `json:"secret,omitempty"`
}

// Handover is one message to the edge, with sockets as rights.
type Handover struct {
	Kind    string `json:"kind"`              // "listener": rights are one socket per loop; "control": the socket of the edge's API; "state": its right is read to the end by ReadState and holds an EdgeState as JSON; "start": all has been said
	Hold    bool   `json:"hold,omitempty"`    // with "start": be ready, and accept nothing before POST /v1/serve
	Network string `json:"network,omitempty"` // of a listener
	Address string `json:"address,omitempty"` // as in config.Listen
}

// Report is one message from the edge.
type Report struct {
	Ready   bool     `json:"ready,omitempty"` // it serves, or would if it were not to hold
	Error   string   `json:"error,omitempty"`
	Overrun *Overrun `json:"overrun,omitempty"`
}

// Overrun says that requests at a worker took longer than its app's request_timeout. Their clients have been answered.
type Overrun struct {
	Worker   string `json:"worker"`
	Requests int    `json:"requests"`
	Lost     int    `json:"lost"` // of those, such as must not be repeated
}

// Error is the body of a failed call.
type Error struct {
	Error string `json:"error"`
}

// Drain asks the edge to give a worker no new requests: POST /v1/drain answers when none is under way, or with
// Left > 0 when Within (milliseconds) is over. The worker must be "leaving" or gone in the state in force.
type Drain struct {
	Worker string `json:"worker"`
	Within int64  `json:"within_ms"`
}

// Drained is the answer to a Drain.
type Drained struct {
	Left int64 `json:"left"`
}

// Stop asks the edge (POST /v1/stop) to stop accepting, finish what is under way within the time, and exit.
type Stop struct {
	Within int64 `json:"within_ms"`
}

// Retire asks the edge (POST /v1/retire) to leave its place to another one. When it has answered it accepts no connection and
// uses neither its cache nor the cache's disk. Each connection that it has gets one more answer. It exits when it has none
// left, or when the time is over.
type Retire struct {
	Successor string `json:"successor"` // the socket of the edge that follows: it is told of purges and counts
	Within    int64  `json:"within_ms"`
}

// Bans are purges that a retired edge was asked for (POST /v1/bans): they hold at its successor when that has answered. The
// fields are those of the cache's own.
type Bans struct {
	Bans []Ban `json:"bans"`
}

// Ban is one of them.
type Ban struct {
	Kind uint8  `json:"kind"`
	Hard bool   `json:"hard,omitempty"`
	Tag  uint64 `json:"tag,omitempty,string"`
	Host string `json:"host,omitempty"`
	Path string `json:"path,omitempty"`
}

// Inherit is what a retired edge leaves to its successor (POST /v1/inherit), more than once: what is newer counts.
type Inherit struct {
	Words  []Counters `json:"words"` // all that this edge has counted, and those before it, each for itself
	Health []Verdict  `json:"health,omitempty"`
	Traces []Spans    `json:"traces,omitempty"` // that nobody has taken yet
	// Heir is the epoch of the edge that took the words the last time, empty the first time. If it was killed, what it had been told is
	// in its own last word, wherever that was read: another edge must not count it once more, and refuses.
	Heir string `json:"heir,omitempty"`
}

// Inherited is the answer to Inherit.
type Inherited struct {
	Heir string `json:"heir"` // the epoch of the edge that answers
}

// Verdict is what an edge has found out about a server that it does not send requests to.
type Verdict struct {
	Pool    string `json:"pool"`
	Server  string `json:"server"`
	Since   int64  `json:"since"`             // Unix milliseconds
	Fails   bool   `json:"fails,omitempty"`   // its check does
	Message string `json:"message,omitempty"` // how the last one ended
	// It is ejected until so many milliseconds (Unix) for requests that failed or were slow; 0: it is not.
	Until int64  `json:"until,omitempty"`
	For   int64  `json:"for_ms,omitempty"` // so long in all
	Times int    `json:"times,omitempty"`  // without a good spell between them
	Why   string `json:"why,omitempty"`
}

// Counts only grow, from one edge to the next.
type Counts struct {
	Accepted  uint64    `json:"accepted"`
	Refused   uint64    `json:"refused"`
	Strange   uint64    `json:"strange"` // connections without the PROXY header that they had to begin with
	Requests  uint64    `json:"requests"`
	Sessions  uint64    `json:"sessions,omitempty"` // of TCP
	Panics    uint64    `json:"panics"`
	Refreshes uint64    `json:"refreshes"`
	Purges    uint64    `json:"purges"`
	Cache     [7]uint64 `json:"cache"`
	Status    [6]uint64 `json:"status"`
}

// Add adds other counts to these.
func (c *Counts) Add(o *Counts) {
	c.Accepted += o.Accepted
	c.Refused += o.Refused
	c.Strange += o.Strange
	c.Requests += o.Requests
	c.Sessions += o.Sessions
	c.Panics += o.Panics
	c.Refreshes += o.Refreshes
	c.Purges += o.Purges
	for i, n := range o.Cache {
		c.Cache[i] += n
	}
	for i, n := range o.Status {
		c.Status[i] += n
	}
}

// EdgeStatus is what the edge tells of itself (GET /v1/status).
type EdgeStatus struct {
	PID         int          `json:"pid"`
	Version     int64        `json:"version"` // of the state in force
	Connections int64        `json:"connections"`
	Accepted    uint64       `json:"accepted"`
	Requests    uint64       `json:"requests"`
	Active      int64        `json:"active"`
	Status      [6]uint64    `json:"status"`                 // responses by class: [1] is 1xx … [5] is 5xx
	Strange     uint64       `json:"strange,omitempty"`      // connections without the PROXY header that they had to begin with
	Sessions    uint64       `json:"sessions,omitempty"`     // of TCP
	SessionsNow int64        `json:"sessions_now,omitempty"` // of these under way
	Panics      uint64       `json:"panics"`
	SlowTurns   uint64       `json:"slow_turns"`
	LogDropped  uint64       `json:"log_dropped"`
	Logs        []LogStatus  `json:"logs,omitempty"` // access logs with which something is wrong
	Pools       []PoolStatus `json:"pools"`
	Faults      []Fault      `json:"faults,omitempty"` // that it makes on purpose; of those only ID and Made
}

// PoolStatus is a pool and its servers.
type PoolStatus struct {
	Name    string         `json:"name"`
	App     string         `json:"app,omitempty"` // whose workers are the servers
	TCP     bool           `json:"tcp,omitempty"` // what is counted are sessions, not requests
	MaxConn int            `json:"max_conn"`      // per server; 0: no limit
	Queued  int64          `json:"queued"`
	Servers []ServerStatus `json:"servers"`
	Shed    uint64         `json:"shed,omitempty"`    // pushed out of the full queue by requests that came first
	Breaker string         `json:"breaker,omitempty"` // "open", "half open"; empty: closed, or there is none
}

// ServerStatus is one server of a pool.
type ServerStatus struct {
	Name     string `json:"name"`
	Address  string `json:"address"`
	State    string `json:"state"`           // "ready", "starting", "draining", "maint", "down", "leaving"
	Since    string `json:"since,omitempty"` // RFC 3339: since when
	Why      string `json:"why,omitempty"`   // it is not ready
	Check    string `json:"check,omitempty"` // how the last check ended
	Share    *int   `json:"share,omitempty"` // of its weight, in thousandths, when it is not all of it
	Active   int64  `json:"active"`
	Limit    int64  `json:"limit,omitempty"` // max_conn as found by auto
	Idle     int64  `json:"idle"`
	Requests uint64 `json:"requests"`
	Errors   uint64 `json:"errors"`
	In       uint64 `json:"in,omitempty"`  // bytes passed on to it, of sessions of TCP
	Out      uint64 `json:"out,omitempty"` // and from it
}

// FullName is what people call a server: POOL/SERVER, and a worker by its own name, which begins with its app's.
func FullName(pool, server string) string {
	if strings.HasPrefix(server, pool+"/") {
		return server
	}
	return pool + "/" + server
}

// Reason says why a server is not ready: where that is its check, with how the last one ended.
func (s *ServerStatus) Reason() string {
	const fails = "check fails"
	if s.Check == "" {
		return s.Why
	}
	return strings.Replace(s.Why, fails, fails+": "+s.Check, 1)
}

// AppStatus is an app and its workers as the keeper sees them.
type AppStatus struct {
	Name    string         `json:"name"`
	Workers []WorkerStatus `json:"workers"`
	Overrun int            `json:"overrun"` // requests that took longer than request_timeout, since weir was started
	Lost    int            `json:"lost"`    // of those, such as must not be repeated
}

// WorkerStatus is one worker. State is the word of the life: starting, ready, live, leaving, gone, failing.
type WorkerStatus struct {
	Name     string `json:"name"`
	PID      int    `json:"pid,omitempty"`
	State    string `json:"state"`
	Since    string `json:"since"` // RFC 3339
	Restarts int    `json:"restarts"`
	Looping  bool   `json:"looping,omitempty"` // a crash loop
	Last     string `json:"last,omitempty"`    // why it ended the last time, with its last line of output
	Requests int64  `json:"requests"`          // answered since it was started, where that counts for something
	Memory   int64  `json:"memory"`            // bytes, of it and all its children; likewise
	Due      string `json:"due,omitempty"`     // why it is to be replaced as soon as that may be
}

// Status is the whole answer of the keeper (GET /v1/status).
type Status struct {
	Version      string      `json:"version"` // of weir
	PID          int         `json:"pid"`
	File         string      `json:"file"`
	Since        string      `json:"since"`
	Edge         *EdgeStatus `json:"edge,omitempty"`
	EdgeRestarts int         `json:"edge_restarts"`
	Apps         []AppStatus `json:"apps"`
	Listen       []string    `json:"listen"`
	Admin        []string    `json:"admin,omitempty"`   // addresses of the status page
	Problem      string      `json:"problem,omitempty"` // e.g. the last reload that was refused, and why
	Faults       []Fault     `json:"faults,omitempty"`  // that weir makes on purpose

	Included []FileStatus `json:"included,omitempty"` // the included files, by path
	Unseen   []string     `json:"unseen,omitempty"`   // folders of theirs that cannot be listed, and why
}

// FileStatus is an included file. InForce with a Problem means that it is an earlier version of it that is in force.
type FileStatus struct {
	Path    string `json:"path"`
	InForce bool   `json:"in_force"`
	Since   string `json:"since"`             // RFC 3339: of the problem, or of the version in force
	Doing   string `json:"doing,omitempty"`   // what is being done to bring another version into force
	Problem string `json:"problem,omitempty"` // why what is on disk is not in force
}

// Reload asks the keeper (POST /v1/reload) to read the configuration anew, or with App to replace that app's workers one by one. It answers when done.
type Reload struct {
	App    string `json:"app,omitempty"`
	By     string `json:"by,omitempty"`     // who asks
	Reason string `json:"reason,omitempty"` // and why
}

// Upgraded is the answer to POST /v1/upgrade: which program has come into force. It comes when that one serves.
type Upgraded struct {
	Version string `json:"version"`
	Was     string `json:"was"`
}

// Takeover is what a program says of itself that could take the place of the one that runs.
type Takeover struct {
	Version string `json:"version"`
	Format  int    `json:"format"` // of what a keeper leaves, which it knows
}

// Purge asks for what the cache holds to be taken out (POST /v1/purge), or with Soft to be made stale: it is then still
// served while a new response is fetched, and while the app is down. Everything that is named counts. The answer comes when
// no later request can get what was purged, not even from a fetch that is under way.
type Purge struct {
	URLs     []string `json:"urls,omitempty"`     // http://host/path?query, with all their variants
	Tags     []string `json:"tags,omitempty"`     // as in Surrogate-Key, Cache-Tag or xkey of the app's responses
	Prefixes []string `json:"prefixes,omitempty"` // host/path: that path and all that begins with it
	Patterns []string `json:"patterns,omitempty"` // host/path with * for anything
	All      bool     `json:"all,omitempty"`
	Soft     bool     `json:"soft,omitempty"`
	By       string   `json:"by,omitempty"` // who asks; empty: a program, of which no intervention is noted
	Reason   string   `json:"reason,omitempty"`
}

// Purged is the answer to a Purge.
type Purged struct {
	Purges int      `json:"purges"`          // how many of the named things were taken up
	Notes  []string `json:"notes,omitempty"` // what in them can meet nothing, such as the host of no site
}

// CacheStatus is what the cache holds and did (GET /v1/cache).
type CacheStatus struct {
	Objects   int64   `json:"objects"`
	Bytes     int64   `json:"bytes"`     // of responses, heads and bodies
	Resident  int64   `json:"resident"`  // memory that they take, index and all
	Memory    int64   `json:"memory"`    // what that may be
	Evicted   uint64  `json:"evicted"`   // to make room
	Hits      uint64  `json:"hits"`      // from what is kept, stale or not
	Stale     uint64  `json:"stale"`     // of those, stale ones
	Misses    uint64  `json:"misses"`    // a server was asked
	Shared    uint64  `json:"shared"`    // answered by another request's fetch
	Passes    uint64  `json:"passes"`    // that the cache had nothing to do with
	Refreshes uint64  `json:"refreshes"` // fetches without a client
	Purges    uint64  `json:"purges"`
	HitRatio  float64 `json:"hit_ratio"` // hits and shared, of those and misses; 0 to 1

	Routes    []RouteCache     `json:"routes"`              // in the order of the configuration
	TopMisses []KeyMisses      `json:"top_misses"`          // the highest first
	Estimates []MemoryEstimate `json:"estimates,omitempty"` // of the hit ratio of late, by memory; none without requests
	Disk      *CacheDisk       `json:"disk,omitempty"`
	// The estimates are made from this part of all keys.
	SampledKeys float64 `json:"sampled_keys,omitempty"`
}

// CacheDisk is what the cache has on disk.
type CacheDisk struct {
	Path      string `json:"path"`
	Size      int64  `json:"size"`    // what it may hold
	Bytes     int64  `json:"bytes"`   // what it holds
	Objects   int64  `json:"objects"` // of these some may be in memory too
	Index     int64  `json:"index"`   // bytes in memory, beside what Memory counts
	Hits      uint64 `json:"hits"`    // objects read from it
	Written   uint64 `json:"written"`
	Skipped   uint64 `json:"skipped"`           // not written: too much at a time, or the disk failed
	Damaged   uint64 `json:"damaged"`           // dropped because they could not be believed
	Reclaimed uint64 `json:"reclaimed"`         // segments deleted to make room
	Problem   string `json:"problem,omitempty"` // why nothing is written, or the cache works in memory alone
}

// RouteCache is what the cache did for one route. The fields are as in CacheStatus.
type RouteCache struct {
	Site     string  `json:"site"`
	Route    string  `json:"route"`
	Requests uint64  `json:"requests"`
	Hits     uint64  `json:"hits"`
	Stale    uint64  `json:"stale"`
	Shared   uint64  `json:"shared"`
	Misses   uint64  `json:"misses"`
	Passes   uint64  `json:"passes"`
	Saved    uint64  `json:"saved"` // bytes of bodies that no server had to send
	HitRatio float64 `json:"hit_ratio"`
}

// KeyMisses is an address that servers were asked for often, because it was not there or cannot be kept.
type KeyMisses struct {
	URL    string `json:"url"` // host, path and query as they are part of the key, maybe cut off
	Misses uint64 `json:"misses"`
	Error  uint64 `json:"error"` // misses is at most so much too high
}

// MemoryEstimate is what the hit ratio would be with another budget.
type MemoryEstimate struct {
	Memory   int64   `json:"memory"` // bytes
	HitRatio float64 `json:"hit_ratio"`
}

// Look asks what the cache has for a request (POST /v1/cache/look), without sending one.
type Look struct {
	Head   string `json:"head"`   // request line and fields as a client would send them
	Scheme string `json:"scheme"` // "http" or "https"
	Client string `json:"client"` // the address that it would come from
}

// Looked is the answer to a Look. Seconds are as of now.
type Looked struct {
	Passes   string   `json:"passes,omitempty"`   // why the request would not be looked up, as in Cache-Status; then there is no more
	Key      string   `json:"key,omitempty"`      // what names the response, for people
	Found    string   `json:"found,omitempty"`    // "response", "part" of one, "hole" for what is known not to be kept, or "purged"; empty: nothing
	Why      string   `json:"why,omitempty"`      // of a hole, as in Cache-Status
	Variants []string `json:"variants,omitempty"` // the fields by which responses under this key vary, newest first, each list with commas
	Vary     string   `json:"vary,omitempty"`     // those of the variant that was found
	Status   int      `json:"status,omitempty"`
	Age      int64    `json:"age,omitempty"`
	TTL      int64    `json:"ttl"`   // left of its life, below 0 when that is over; of a hole, how long it is one
	Grace    int64    `json:"grace"` // left after its life
	Soft     bool     `json:"soft,omitempty"`
	Size     int64    `json:"size,omitempty"` // bytes of the body
	Hits     uint32   `json:"hits,omitempty"` // how often it was looked up and found
	Disk     bool     `json:"disk,omitempty"` // it is on disk, and not in memory
}
