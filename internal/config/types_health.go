package config

import (
	"regexp"
	"time"
)

// Health says how a pool's servers are checked.
type Health struct {
	Type    string // "http", "tcp", "tls", "command", "postgres" or "redis"; empty: Track counts
	Path    string
	Method  string
	Host    string      // Host field, or the name that the certificate must be for
	Headers []NameValue // of the request
	Status  []StatusRange
	Body    string         // must be in the answer's body; empty: whatever
	Pattern *regexp.Regexp // likewise; nil: whatever
	Every   time.Duration
	Fast    time.Duration // while a change is in the air
	Timeout time.Duration
	Rise    int
	Fall    int
	Port    int      // 0: the server's own
	Argv    []string // of a command, divided into words
	Track   Tracked  // do as that one's checks say

	// Of a database's server.
	Role                     string // what it has to be: Primary, Replica or AnyRole; empty: it is none
	User, Password, Database string
}

// Tracked is whose checks count for a pool's servers: those of the server of that name, or where that is empty, each of the
// server there of the same address or at least the same host.
type Tracked struct{ Pool, Server string }

// Eject says when a server that fails is left alone for a while. Shares are in thousandths.
type Eject struct {
	After  int // errors in a row; 0: however many
	Rate   int // share of errors among at least Of requests of the last ten seconds; 0: whatever share
	Of     int
	Slow   int // how many times the pool's median, in thousandths; 0: however slow
	For    time.Duration
	AtMost int // share of the servers that may be closed
}

// Agent says where an app asks for less traffic.
type Agent struct {
	Header  string // field of its responses; empty: none
	Path    string // of what answers by HTTP; empty: none
	Port    int    // where that is, or without Path, where a word is sent to whoever connects; 0: the server's own
	Every   time.Duration
	Timeout time.Duration
}
