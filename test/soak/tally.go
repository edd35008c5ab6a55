package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// outcome is what a client saw of a request.
type outcome uint8

const (
	good     outcome = iota // answered as it should be, and the body is the one that belongs to it
	bad502                  // 502 Bad Gateway
	bad503                  // 503 Service Unavailable
	bad504                  // 504 Gateway Timeout
	other                   // another status
	wrong                   // a body that does not belong to the request
	cut                     // the connection ended before the first byte of an answer
	broken                  // the connection ended within the answer
	refused                 // no connection was to be had
	silent                  // no answer in time
	outcomes                // how many there are
)

var outcomeNames = [outcomes]string{"good", "502", "503", "504", "another status", "wrong body", "cut off", "broken off", "refused", "no answer"}

func (o outcome) String() string { return outcomeNames[o] }

// result is one request.
type result struct {
	post     bool
	id       string
	outcome  outcome // of the last try
	repeated bool    // a GET whose connection was cut was sent once more, as browsers do
	took     time.Duration
	detail   string // of a failure, for people
}

// tally is what became of the requests that began during one kind of fault.
type tally struct {
	kind string
	made int // faults

	under atomic.Int64 // way
	stall atomic.Int64 // nanoseconds: the longest for which this process did not run though it should have

	mu       sync.Mutex
	get      [outcomes]int
	post     [outcomes]int
	repeated int // GETs
	took     []time.Duration
	posts    map[string]outcome // by id
	details  map[string]int
	unsent   int            // requests that the client could not send, since too many were under way
	each     map[string]int // faults made, by kind

	// What the apps say afterwards.
	doubled  int // POSTs executed more than once
	vanished int // POSTs answered as good, and not executed
	unknown  int // POSTs that failed and were executed
	strays   int // POSTs that failed though neither their server was ill nor their worker killed

	began, ended time.Time // between which its requests begin
}

func newTally(kind string) *tally {
	return &tally{kind: kind, posts: map[string]outcome{}, each: map[string]int{}, details: map[string]int{}, began: time.Now()}
}

// maxDetails bounds how many kinds of failures are told apart.
const maxDetails = 50

func (t *tally) add(r result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.post {
		t.post[r.outcome]++
		t.posts[r.id] = r.outcome
	} else {
		t.get[r.outcome]++
	}
	if r.repeated {
		t.repeated++
	}
	if r.outcome == good {
		t.took = append(t.took, r.took)
	} else if len(t.details) < maxDetails || t.details[r.detail] > 0 {
		t.details[r.detail]++
	}
}

// check holds the POSTs against what the apps have executed.
func (t *tally) check(executed map[string]int) {
	for id, o := range t.posts {
		switch n := executed[id]; {
		case n > 1:
			t.doubled++
		case n == 0 && o == good:
			t.vanished++
		case n == 1 && o != good:
			t.unknown++
		}
	}
}

// sum adds up outcomes, all but good ones.
func sum(by *[outcomes]int) (n int) {
	for o := good + 1; o < outcomes; o++ {
		n += by[o]
	}
	return n
}

func (t *tally) sentGET() int  { return t.get[good] + sum(&t.get) }
func (t *tally) sentPOST() int { return t.post[good] + sum(&t.post) }
func (t *tally) lostGET() int  { return sum(&t.get) }

// quantile is a time that so many of a hundred good answers do not exceed.
func (t *tally) quantile(part float64) time.Duration {
	if len(t.took) == 0 {
		return 0
	}
	slices.Sort(t.took)
	return t.took[int(part*float64(len(t.took)-1))]
}

// failures says what failed, the most frequent first.
func (t *tally) failures() (all []string) {
	keys := slices.SortedFunc(maps.Keys(t.details), func(a, b string) int { return t.details[b] - t.details[a] })
	for _, k := range keys {
		all = append(all, fmt.Sprintf("%d × %s", t.details[k], k))
	}
	return all
}

// promise is what a kind of fault may cost.
type promise struct {
	cuts  bool // connections are cut: the process that has them is killed
	posts bool // POSTs in the hands of a worker or a server that is killed or ill end with 502 or 504
}

// breaches are the promises that a tally breaks.
func (t *tally) breaches(p promise) (all []string) {
	say := func(n int, format string, args ...any) {
		if n > 0 {
			all = append(all, fmt.Sprintf("%s: %d ", t.kind, n)+fmt.Sprintf(format, args...))
		}
	}
	say(t.lostGET(), "GETs lost")
	say(t.doubled, "POSTs executed twice")
	say(t.vanished, "POSTs answered, and not executed")
	say(t.strays, "POSTs failed at servers that were well")
	for o := good + 1; o < outcomes; o++ {
		switch {
		case p.cuts && (o == cut || o == broken), p.posts && (o == bad502 || o == bad504):
		default:
			say(t.post[o], "POSTs: %v", o)
		}
	}
	if !p.cuts {
		say(t.repeated, "connections cut under a GET")
	}
	return all
}
