package config

import (
	"net/netip"
	"regexp"
	"time"
)

// Config is one checked, complete configuration: every default is filled in, every name resolved, every path
// absolute. It is immutable; whoever holds it may share it.
type Config struct {
	File           string            // the absolute path it was read from
	Text           string            // what was read
	Read           int64             `json:"-"`          // as in File
	Files          []File            `json:",omitempty"` // the included files that are in force, by path
	Include        *Include          `json:",omitempty"` // nil: none are
	UsedEnv        map[string]string // the environment variables that ${NAME} took; what was not set is not in it
	RunDir         string            // where the Unix sockets are
	Listen         []Listen
	ProxyProtocol  *ProxyProtocol `json:",omitempty"` // nil: nobody speaks it
	TrustedProxies []netip.Prefix
	Zone           string  // where this weir stands; empty: it does not say
	Apps           []*App  // in the order of the file
	Pools          []*Pool // named ones in the order of the file, then the apps' own
	Sites          []*Site
	Cache          *Cache // nil: there is none
	Log            Log
	Admin          *Admin        `json:",omitempty"` // nil: there is no desk
	Metrics        *Metrics      `json:",omitempty"` // nil: no numbers go in or out beside /metrics
	Traces         *Traces       `json:",omitempty"` // nil: there are none
	Alerts         *Alerts       `json:",omitempty"` // nil: nobody is told of anything
	Availability   *Availability `json:",omitempty"` // nil: nothing is promised
	Limits         Limits
	Timeouts       Timeouts
	Chaos          bool             // faults may be made on purpose
	Place          map[string]Place // where each key stands, by its path ("apps.web.command"): for errors found later
}

// Place is a position in a configuration file; Line and Column begin at 1.
type Place struct {
	File         string
	Line, Column int
}

// Listen is one address to accept connections on.
type Listen struct {
	Network string // "tcp" or "unix"
	Address string // host:port (host may be empty: every address), or the path of a socket
	Place   Place
	TCP     *TCP `json:",omitempty"` // what becomes of connections there; nil: they speak HTTP
	Desk    bool `json:",omitempty"` // the desk accepts them, and not the edge
}

// App is a command that weir runs as several workers.
type App struct {
	Name      string
	Place     Place
	Command   string   // as written
	Argv      []string // split into words as a shell would (quotes, no expansion); ${…} of the configuration is done; $PORT, $SOCKET and $WORKER are the worker's
	Directory string
	User      string            // empty: weir's own
	Env       map[string]string // added to a small clean environment (PATH, HOME, LANG, TZ)
	Workers   int               // at least 1; the fewest, when MaxWorkers is more
	Socket    bool              // the command takes $SOCKET rather than $PORT (it mentions it, or socket: true)
	Ready     Ready
	Stop      Stop
	Nofile    uint64   // limit on open files, 0: inherited
	Protocol  Protocol // what the workers speak
	Script    *Script  // which program FastCGI workers run; nil: they are one
	Backoff   Backoff

	MaxWorkers     int  // the most workers, as they are needed; not above Workers: their number is fixed
	Handed         bool // the worker is given its listening socket (LISTEN_FDS) instead of making it
	Alive          Alive
	Recycle        Recycle
	RequestTimeout time.Duration // 0: none
	Reload         Reload
	Output         Output
	WarmUp         []string // paths asked for, in order, before a worker counts as ready
	Hooks          Hooks
}

// Alive says how workers in service are checked. Without a Path they are not.
type Alive struct {
	Path    string
	Host    string
	Every   time.Duration
	Timeout time.Duration
	Fall    int // failed checks in a row after which a worker is replaced
}

// Recycle says when a worker that is well is replaced all the same. 0 is never.
type Recycle struct {
	AfterRequests int64
	Memory        int64 // bytes, of the process and all its children
	Age           time.Duration
	Jitter        int // per cent: how much earlier it may be, so that workers do not go together
}

// Reload says how workers are replaced.
type Reload struct {
	AtOnce int    // workers that may be away or being replaced at a time; 0: Share counts
	Share  int    // per cent of the workers, rounded up
	File   string // they are replaced when this file is touched; empty: there is none
}

// Hooks are commands run beside a worker's own, with its user, directory and environment.
type Hooks struct {
	BeforeStart Hook // before the worker is started; if it fails, so has the start
	AfterStop   Hook // when the worker has ended, however it did
}

// Hook is one such command; without Argv there is none.
type Hook struct {
	Command string
	Argv    []string
	Within  time.Duration // then it is killed
}

// Ready says when a worker gets traffic: when Path answers 2xx, or when it accepts connections if Path is empty.
type Ready struct {
	Path   string
	Host   string // Host field of the check; default "localhost"
	Within time.Duration
	Every  time.Duration
}

// Stop says how a worker is ended: the signal to its process group, then KILL.
type Stop struct {
	Signal string // "TERM", "INT", "QUIT", "USR1" …
	Within time.Duration
}

// Backoff is the wait between a worker's death and its next start: it doubles from Min to Max; a worker that lived longer
// than Reset begins again at Min.
type Backoff struct{ Min, Max, Reset time.Duration }

// Pool is servers among which requests are balanced.
type Pool struct {
	Name     string
	Place    Place  // its app's when the file does not name the pool
	Own      bool   // made for an app that the file gives no pool of the app's name
	App      string // its workers are the servers; empty when Servers are given
	Servers  []Server
	Protocol Protocol // what its servers speak
	Script   *Script  // which program FastCGI servers run; nil: they are one
	Balance  string   // "round_robin", "least_conn", "random_two", "source_hash", "uri_hash", "header_hash" or "cookie_hash"
	HashOf   string   // whose value is hashed: a field's or a cookie's name; with uri_hash "path" leaves the query out
	// ByLatency lets random_two take the faster of two servers with equally many requests.
	ByLatency bool
	Backup    string  // the pool that is used while no server of this one is open; empty: none
	Zone      string  // where weir stands: servers of that zone are preferred; empty: zones do not count
	Sticky    *Sticky // nil: requests of one session may go to different servers
	MaxConn   int     // requests at a time per server, 0: no limit
	Queue     Queue
	Retry     Retry
	Buffer    Buffer
	Timeouts  PoolTimeouts
	Keep      int        // idle connections kept per server and loop
	SendProxy int        `json:",omitempty"` // the version of the PROXY protocol by which servers are told whose connection it is; 0: none
	TLS       *ServerTLS `json:",omitempty"` // to servers that people add; nil: none. Those of the file have theirs

	Health    *Health // nil: no checks
	Eject     *Eject  // nil: none is ejected
	SlowStart time.Duration
	Agent     *Agent // nil: the app has no say

	TotalConn int       // requests at a time at all servers, 0: no limit
	AutoConn  *AutoConn // MaxConn is found; nil: it is given
	Breaker   *Breaker  // nil: there is none
	Hedge     *Hedge    // nil: no request is sent twice at a time

	CloseOnDown bool // sessions of TCP end with their server's check
}

// Server is one fixed server of a pool.
type Server struct {
	Address string // host:port or "unix:" and a path
	Weight  int    // 0: no request is balanced to it
	Backup  bool   // it is used while no other server is open
	Zone    string
	TLS     *ServerTLS `json:",omitempty"` // nil: none
}

// Sticky keeps the requests of one session at one server. One of Cookie, Learn and Source says how they are known.
type Sticky struct {
	Cookie   string        // the name of a cookie that weir sets
	Learn    string        // the name of a cookie that the app sets
	Source   bool          // by the client's address
	Secret   string        // signs Cookie; empty: one of this machine's own
	SameSite string        // of Cookie: "lax", "strict" or "none"
	Secure   string        // of Cookie: "auto", "true" or "false"; auto: over https
	MaxAge   time.Duration // of Cookie; 0: until the browser is closed
	Size     int           // how many sessions are remembered, for Learn and Source
	Drain    time.Duration // how long a server that drains keeps its sessions
}

// Queue bounds the requests that wait for a place at a server.
type Queue struct {
	Size    int
	Timeout time.Duration
	Order   string // "fifo" or AdaptiveLIFO
	Fair    bool   // between clients' addresses
}

// AdaptiveLIFO is the order of a queue that serves the newest first while it is overloaded.
const AdaptiveLIFO = "adaptive_lifo"

// Retry says when a request is tried again at another server.
type Retry struct {
	Attempts      int  // further tries after the first
	ConnectError  bool // nothing was sent: every request
	EmptyResponse bool // the server died before the first byte: idempotent requests whose body is held
	Status503     bool // idempotent requests whose body is held
	Budget        int  // further tries in thousandths of the requests
}

// AutoConn bounds a limit on the requests at a time per server that is found by latency.
type AutoConn struct{ Min, Max int }

// Hedge says when a GET or HEAD is sent to a second server too.
type Hedge struct {
	After  time.Duration // 0: what 95 of 100 requests take
	AtMost int           // thousandths of the requests that could be
}

// Breaker keeps requests away from a pool of which most fail.
type Breaker struct {
	Errors int // thousandths of the requests, from which on it opens
	Of     int // of so many requests at least
	For    time.Duration
}

// Buffer says what weir takes over from clients and servers so that a slow client holds no worker.
type Buffer struct {
	Requests  bool  // a body is collected before a server is picked
	Responses bool  // a response is taken as fast as it comes
	Memory    int64 // bytes of one body held in memory
	File      int64 // bytes of one body held in an unlinked temporary file beyond that
	Dir       string
}

// PoolTimeouts limit the phases at a server. 0 is no limit.
type PoolTimeouts struct {
	Connect, FirstByte, BetweenBytes, Request time.Duration
	Idle                                      time.Duration // a session of TCP
	Worker                                    time.Duration // one try at a worker: its app's RequestTimeout
}

// Timeouts limit the phases at a client.
type Timeouts struct {
	Head  time.Duration // from the first byte of a head to its end
	Body  time.Duration // without progress while a body is received
	Send  time.Duration // without progress while a response is sent
	Idle  time.Duration // a kept connection between requests
	Drain time.Duration // requests under way when weir stops
	// HardStop is for connections of an edge that has been replaced.
	HardStop time.Duration
}

// Limits bound what a client can make grow.
type Limits struct {
	RequestLine int   // bytes
	Head        int   // bytes, request line included
	Fields      int   // field lines
	Body        int64 // bytes; 0: no limit
	Connections int   // at a time, over all listeners; 0: no limit
}

// Site is host names and their ordered routes.
type Site struct {
	Place  Place
	Hosts  []string // "example.com", "*.example.com", "*"
	Routes []*Route
	Errors []ErrorPage
}

// ErrorPage is a site's own page for statuses of From to To.
type ErrorPage struct {
	From, To int
	File     string
	Body     []byte // read when the configuration was
}

// Route is a match and what answers.
type Route struct {
	Name           string // given, or "hosts[0]#n" with n from 1
	Place          Place
	Match          *Match // nil: every request
	Rewrite        Rewrite
	Headers        Headers
	Allow          *Allow
	Unclean        Unclean
	Body           int64        // limit on request bodies in bytes; -1: Limits.Body; 0: no limit
	Cache          *CachePolicy // nil: nothing of it is kept
	Compress       *Compress    // nil: nothing is compressed
	ESI            *ESI         // nil: pages go out as they are
	Priority       int          // in its pool's queue: -1 low, 0 normal, 1 high
	ForwardedField bool         // send Forwarded (RFC 7239) too
	// Exactly one of these answers; CGI with the pool of its worker.
	Pool     string
	CGI      *CGI
	Files    *Files
	Redirect *Redirect
	Respond  *Respond
	Monitor  string `json:",omitempty"` // "live" or "ready": whether weir is
}

// Match is a condition: all of what is set must hold. An empty list holds.
type Match struct {
	Path   []PathPattern // any of them
	Method []string      // any of them
	Header []NameValue   // all of them
	Cookie []NameValue   // all
	Query  []NameValue   // all
	Client []netip.Prefix
	Any    []*Match
	All    []*Match
	Not    *Match
}

// PathPattern matches a normalised path: "/a" exactly, "/a/*" the prefix "/a/", any other "*" and "?" and "[…]" as a
// glob in which "*" stays within a segment and "**" does not.
type PathPattern struct {
	Kind string // "exact", "prefix", "glob"
	Text string // without the trailing * of a prefix
}

// NameValue is a name and a value; "*" (the default) means: is there. A value may end or begin with "*".
type NameValue struct{ Name, Value string }

// Rewrite changes the path that the server or the files see.
type Rewrite struct {
	StripPrefix, AddPrefix string
	Pattern                *regexp.Regexp // RE2: it cannot backtrack; nil when unused
	Replace                string         // $1 … as regexp.Expand
}

// Headers changes fields of the response: those in Remove go, then those in Set replace what is there. A route's
// Headers hold its site's too.
type Headers struct {
	Set    []NameValue
	Remove []string
}

// Allow lets only these clients in; others get the status.
type Allow struct {
	From []netip.Prefix
	Else int
}

// Unclean lists what a route lets pass that is else refused because two programs may read it in two ways.
type Unclean struct{ EncodedSlash, EncodedNUL, Backslash, EncodedControl bool }

// Files answers from a directory.
type Files struct {
	Root          string
	Index         []string // default index.html
	CacheControl  string
	Precompressed bool // serve .zst, .br, .gz neighbours; default true
}

// Redirect answers with a Location. {uri}, {path}, {query}, {host} and {scheme} in To stand for the request's.
type Redirect struct {
	To     string
	Status int // 301, 302, 303, 307, 308; default 302
}

// Respond answers with a fixed response.
type Respond struct {
	Status int
	Body   string
	Type   string
}

// Compress says which responses that come plain are compressed.
type Compress struct {
	Codings []string // "zstd", "br", "gzip", the best first; empty: none
	Types   []string // media types, "text/*", "*+json"; empty: those of text
	Minimum int64    // bytes
}

// ESI says which pages have fragments put into them as they are delivered, and where those may come from.
type ESI struct {
	Off      bool
	Hosts    []string // beside the page's own; "*.example.com" is every name below
	Types    []string // media types that are looked into
	Depth    int      // levels of fragments in each other
	Includes int      // fragments of one page, theirs counted in
}

// Cache is the store that all routes share.
type Cache struct {
	Memory    int64 // bytes, all told
	MaxObject int64 // bytes of the largest response that is kept
	Disk      *CacheDisk
	PurgeFrom []netip.Prefix // who may send PURGE
}

// CacheDisk is the store's second tier.
type CacheDisk struct {
	Path string
	Size int64 // bytes
}

// CachePolicy is what of a route's responses is kept, under which key and for how long. Names of cookies and query
// fields are globs in which "*" stands for anything.
type CachePolicy struct {
	Off           bool
	PassIfCookie  []string // requests with one of them go straight to the app
	IgnoreCookies []string // taken out of requests
	IgnoreQuery   []string // no part of the key
	KeepQuery     []string // when OnlyQuery, the only parts of the key
	OnlyQuery     bool
	SortQuery     bool
	Key           CacheKey
	Private       []string      // cookies for each of whose values responses are kept apart
	DefaultTTL    time.Duration // for responses that say nothing; 0: they are not kept
	TTL           []TTLRule     // the first that matches counts
	Grace         time.Duration // stale responses are served as long
	IfError       time.Duration // and as long on errors alone
	HitForMiss    time.Duration // how long it is remembered that a response cannot be kept
	Heuristic     bool          // RFC 9111, section 4.2.2
	Reload        string        // "ignore" or "revalidate": what a client's no-cache does
	SetCookie     string        // "pass", "strip" or "keep"
	Bypass        *Match
}

// CacheKey is what is part of the key beside host, path and query.
type CacheKey struct {
	Headers, Cookies []string
	Devices          []Device
}

// Device is a class of devices: one of Words is in User-Agent.
type Device struct {
	Name  string
	Words []string
}

// TTLRule says how long responses of some statuses and media types are fresh.
type TTLRule struct {
	Status []StatusRange // empty: those that are kept by default (RFC 9110, section 15.1)
	Types  []string      // lower case, "image/*" is all of a kind; empty: all
	TTL    time.Duration
	Force  bool // whatever the app says
}

// StatusRange is the statuses of From to To.
type StatusRange struct{ From, To int }
