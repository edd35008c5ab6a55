// Package journal holds what each stage decided about one request, when and why: a small fixed record that the
// exchange carries. The access log, `weir explain`, samples and histograms read it; nothing is computed twice.
// The access log is made and written here too (Line, Log). The package decides nothing and knows no stage.
package journal

import "time"

// Stage is a step on a request's way.
type Stage uint8

// The stages, in the order in which a request passes them.
const (
	Begun     Stage = iota // first byte of the head was there
	HeadRead               // the head is whole and valid
	Routed                 // site and route are known
	BodyRead               // the body was collected (buffered pools only)
	Queued                 // it waits for a place at a server
	Picked                 // a server was picked
	Connected              // a connection to the server is there
	Sent                   // head and body have been sent to the server
	FirstByte              // the response's head is whole
	Received               // the server's response is whole
	Delivered              // the client has it all
	NumStages
)

// Cause says why a request ended as it did when the application did not decide it. The word goes into the access log.
type Cause uint8

// The causes.
const (
	NoCause Cause = iota
	BadRequest
	BadResponse
	NoSite
	NoRoute
	NoServer
	QueueFull
	QueueTimeout
	ConnectError
	ConnectTimeout
	EmptyResponse
	ServerReset
	FirstByteTimeout
	BetweenBytesTimeout
	RequestTimeout
	HeadTimeout
	BodyTimeout
	SendTimeout
	ClientGone
	BodyTooLarge
	ResponseTooLarge
	Refused
	Panicked
	Stopping
	Internal
	NoScript
	Overloaded
	BreakerOpen
	IdleTimeout // of a session of TCP: silent in both directions
	ServerDown  // its server must have no sessions any more
	BadHello    // what came first is no hello of TLS, or no PROXY header
	numCauses
)

var causes = [numCauses]string{"", "bad_request", "bad_response", "no_site", "no_route", "no_server", "queue_full",
	"queue_timeout", "connect_error", "connect_timeout", "empty_response", "server_reset", "first_byte_timeout",
	"between_bytes_timeout", "request_timeout", "head_timeout", "body_timeout", "send_timeout", "client_gone",
	"body_too_large", "response_too_large", "refused", "panic", "stopping", "internal",
	"no_script", "overloaded", "breaker_open", "idle_timeout", "server_down", "bad_hello"}

// String returns the cause as the access log spells it, "" for NoCause.
func (c Cause) String() string {
	if c >= numCauses {
		return "internal"
	}
	return causes[c]
}

// Cache says what the cache did for a request. The word goes into the access log.
type Cache uint8

// What the cache may do.
const (
	NoCache     Cache = iota // the route has none
	Pass                     // nothing: the request, or what is known of the response, forbids it
	Miss                     // a server was asked
	Hit                      // from what is kept
	Stale                    // likewise, past its time
	Shared                   // from another request's fetch, as it came
	Revalidated              // a server said that what is kept still holds
	numCaches
)

var cacheWords = [numCaches]string{"", "pass", "miss", "hit", "stale", "shared", "revalidated"}

// String returns the word as the access log spells it, "" for NoCache.
func (c Cache) String() string {
	if c >= numCaches {
		return ""
	}
	return cacheWords[c]
}

// Session says what became of the request's session, in a pool that keeps sessions at one server. The word goes into the access log.
type Session uint8

// What may become of a session.
const (
	NoSession    Session = iota // the pool keeps none together, or the request has nothing to know one by
	SessionNew                  // it begins at the server
	SessionKept                 // it is at the server
	SessionMoved                // its server is gone: it is at this one from now on
	SessionAway                 // its server had no room: this request alone went elsewhere
	numSessions
)

var sessionWords = [numSessions]string{"", "new", "kept", "moved", "away"}

// String returns the word as the access log spells it, "" for NoSession.
func (s Session) String() string {
	if s >= numSessions {
		return ""
	}
	return sessionWords[s]
}

// Hedge says what became of a second request to another server. The word goes into the access log.
type Hedge uint8

// What may become of it.
const (
	NoHedge   Hedge = iota // there was none
	HedgeLost              // the first server answered first, or the second did not at all
	HedgeWon
)

var hedgeWords = [...]string{"", "lost", "won"}

// String returns the word as the access log spells it, "" for NoHedge.
func (h Hedge) String() string { return hedgeWords[min(h, HedgeWon)] }

// Journal is the record of one request. The strings belong to the configuration and outlive it. Times are the
// loop's monotonic nanoseconds, 0 for a stage that was not reached.
type Journal struct {
	Start   time.Time // wall clock of Begun
	At      [NumStages]int64
	Site    string // first host of the site
	Route   string // the route's name
	Pool    string
	Server  string // address, or app/worker
	Cause   Cause
	Detail  string // a constant text: which rule of the wire, which limit
	Cache   Cache
	Session Session
	Retries int
	Hedge   Hedge
	// Of a page with fragments: how many it asked for, and how many of them failed.
	Includes, Failed int

	Trace  [16]byte // that the request is part of; zero: none
	Status int      // sent to the client; 0 when nothing was sent
	In     int64    // body bytes from the client
	Out    int64    // body bytes to the client
}

// Mark notes when a stage was reached.
func (j *Journal) Mark(s Stage, now int64) { j.At[s] = now }

// Between returns the time from one stage to another, 0 when either was not reached.
func (j *Journal) Between(from, to Stage) time.Duration {
	if j.At[from] == 0 || j.At[to] == 0 || j.At[to] < j.At[from] {
		return 0
	}
	return time.Duration(j.At[to] - j.At[from])
}

// Causes returns the words of all causes. The slice is not the caller's to change; nor are those of the other words.
func Causes() []string { return causes[1:] }

// CacheWords returns the words for what the cache does.
func CacheWords() []string { return cacheWords[1:] }

// SessionWords returns the words for what becomes of a session.
func SessionWords() []string { return sessionWords[1:] }

// HedgeWords returns the words for what becomes of a hedge.
func HedgeWords() []string { return hedgeWords[1:] }
