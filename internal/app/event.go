package app

import (
	"fmt"
	"time"

	"github.com/weirhq/weir/internal/config"
)

// State is where a worker is in its life.
type State uint8

// The states. A worker goes from Starting to Gone in this order and may skip any; Failing is a place without a
// process that waits for its next start.
const (
	Starting State = iota // its process was asked for or runs, and does not answer its ready check yet
	Ready                 // it answered; the edge does not know yet
	Live                  // the edge gives it requests
	Leaving               // it gets no new requests, finishes what it has, and is stopped
	Gone
	Failing
)

var states = [...]string{"starting", "ready", "live", "leaving", "gone", "failing"}

func (s State) String() string { return states[s] }

// Event is something that happened to an app's workers, to be given to Life.Step.
type Event interface{ event() }

// The events. Worker is a worker's whole name, such as "web/1.3". A Ticket names a wish; its Done action carries it.
type (
	// Begin starts the app; it is done when every worker is live, or one has failed.
	Begin struct{ Ticket int }
	// Started says that the process runs, and where it will answer.
	Started struct {
		Worker, Address string
		PID             int
	}
	// StartFailed says that there was no process to be had.
	StartFailed struct {
		Worker, Why string
		Lines       []string // what its hook printed last
	}
	// ReadyOK says that the ready check was answered.
	ReadyOK struct{ Worker string }
	// ReadyFailed says that it was not, within its time.
	ReadyFailed struct{ Worker, Why string }
	// Announced says that the edge has in force that the worker is ready (State Ready) or leaving.
	Announced struct {
		Worker string
		State  State
	}
	// Drained says that no request is under way at a leaving worker, or how many still are when the time was over.
	Drained struct {
		Worker string
		Left   int64
	}
	// Exited says that the process and its group are gone: how ("exit status 1"), and its last line of output; Lines are
	// the last ones, oldest first.
	Exited struct {
		Worker, How, Words string
		Lines              []string
	}
	// Timer says that the time of a SetTimer has come.
	Timer struct{ ID int }
	// Measured says what a worker has done and takes: requests since it was started, and bytes of memory. Less than 0 is
	// not known.
	Measured struct {
		Worker           string
		Requests, Memory int64
	}
	// AliveFailed says that a worker that serves or leaves has failed its alive check as often as it may.
	AliveFailed struct{ Worker, Why string }
	// AliveOK says that it answers again.
	AliveOK struct{ Worker string }
	// Overdue says that a request at a worker took longer than request_timeout; the client has its answer.
	Overdue struct{ Worker string }
	// Resize wants so many workers, within the app's bounds.
	Resize struct {
		Workers int
		Why     string
	}
	// Replace wants every worker replaced by a new one, one by one.
	Replace struct{ Ticket int }
	// Update wants the app to be as App says. Workers are replaced only if what their processes get has changed.
	Update struct {
		Ticket int
		App    *config.App
	}
	// Stop wants every worker drained and stopped; nothing is started any more.
	Stop struct{ Ticket int }
	// Kill wants every process gone at once, after Stop.
	Kill struct{}
)

func (Begin) event()       {}
func (Started) event()     {}
func (StartFailed) event() {}
func (ReadyOK) event()     {}
func (ReadyFailed) event() {}
func (Announced) event()   {}
func (Drained) event()     {}
func (Exited) event()      {}
func (Timer) event()       {}
func (Measured) event()    {}
func (AliveFailed) event() {}
func (AliveOK) event()     {}
func (Overdue) event()     {}
func (Resize) event()      {}
func (Replace) event()     {}
func (Update) event()      {}
func (Stop) event()        {}
func (Kill) event()        {}

// Action is something that Life wants done.
type Action interface{ action() }

// The actions.
type (
	// Spawn starts a process. Answered by Started or StartFailed.
	Spawn struct {
		Worker     string
		Place, Gen int
		App        *config.App
		Heir       string // the dead worker whose listening socket it takes over, if weir had made it one
	}
	// Check asks until the worker is ready. Answered by ReadyOK or ReadyFailed, or by nothing if it exits before.
	Check struct{ Worker string }
	// Announce tells the edge what Life.Serving returns now. Answered by Announced for every worker in it.
	Announce struct{}
	// Drain asks the edge to finish with a worker. Answered by Drained.
	Drain struct {
		Worker string
		Within time.Duration
	}
	// Signal goes to the process group of a worker: "TERM", "KILL", ….
	Signal struct{ Worker, Name string }
	// SetTimer wants Timer with this ID after some time. Life ignores one that it no longer cares for.
	SetTimer struct {
		ID    int
		After time.Duration
	}
	// Say is a line for the log.
	Say struct {
		Level Level
		Text  string
	}
	// Done answers a wish; Problem is empty if it came true.
	Done struct {
		Ticket  int
		Problem string
	}
)

func (Spawn) action()    {}
func (Check) action()    {}
func (Announce) action() {}
func (Drain) action()    {}
func (Signal) action()   {}
func (SetTimer) action() {}
func (Say) action()      {}
func (Done) action()     {}

// Level says how loud a line is.
type Level uint8

// The levels.
const (
	Info Level = iota
	Warn
	Loud
)

func (l Level) String() string { return [...]string{"info", "warn", "loud"}[l] }

// The actions as golden traces show them.

func (a Spawn) String() string    { return "spawn " + a.Worker }
func (a Check) String() string    { return "check " + a.Worker }
func (a Announce) String() string { return "announce" }
func (a Drain) String() string    { return fmt.Sprintf("drain %s within %v", a.Worker, a.Within) }
func (a Signal) String() string   { return "signal " + a.Worker + " " + a.Name }
func (a SetTimer) String() string { return fmt.Sprintf("timer %d after %v", a.ID, a.After) }
func (a Say) String() string      { return "say " + a.Level.String() + ": " + a.Text }
func (a Done) String() string {
	if a.Problem == "" {
		return fmt.Sprintf("done %d", a.Ticket)
	}
	return fmt.Sprintf("done %d: %s", a.Ticket, a.Problem)
}
