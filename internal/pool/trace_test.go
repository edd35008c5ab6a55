package pool

import (
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/testkit"
)

var update = flag.Bool("update", false, "write the traces anew")

// TestTraces plays testdata/traces/*.trace: what happens to a pool, line by line, and behind "→" what came of it: which server a
// request got, and each server with its requests under way and, unless it is ready, its state. Time is fake.
func TestTraces(t *testing.T) {
	testkit.Traces(t, "testdata/traces/*.trace", *update, func(t *testing.T, text string) (got string) {
		synctest.Test(t, func(t *testing.T) {
			p := tracer{t: t, cfg: fixed("p", 0), turns: map[string]*Turn{}}
			got = testkit.PlayLines(text, 28, p.play)
		})
		return got
	})
}

// tracer is a pool as the events of a trace make it.
type tracer struct {
	t     *testing.T
	cfg   *config.Pool
	set   *Set
	hands []api.Hand
	turns map[string]*Turn
}

func (p *tracer) play(words []string) string {
	p.t.Helper()
	out := p.event(words[0], words[1:])
	synctest.Wait()
	if out != "" {
		out += " · "
	}
	return out + p.shows()
}

func (p *tracer) event(what string, args []string) string {
	switch what {
	case "servers": // NAME[:WEIGHT|:backup] …: the configuration names these, also as a reload
		p.servers(args)
	case "max_conn":
		p.cfg.MaxConn = p.number(args[0])
	case "eject": // AFTER FOR: beyond so many errors in a row, for so long; at most half of the servers
		p.cfg.Eject = &config.Eject{After: p.number(args[0]), For: p.time(args[1]), AtMost: 500}
	case "pick": // REQUEST [SESSION]: its session is at that server
		return p.pick(args)
	case "done": // REQUEST OUTCOME
		p.done(args[0], args[1])
	case "connects": // REQUEST: a new connection came about
		s := p.turn(args[0]).server
		s.core.recovered(s)
	case "check": // SERVER ok|bad
		p.reasons(args[0], check, args[1] == "bad")
	case "asks": // SERVER drain|nothing|ready: the app's agent
		p.reasons(args[0], askedDrain, args[1] == "drain")
		p.reasons(args[0], askedDown, args[1] == "nothing")
	case "drain", "maint", "ready": // SERVER: by hand
		p.hand(args[0], what)
	case "wait":
		time.Sleep(p.time(args[0]))
	default:
		p.t.Fatalf("no such event: %q", what)
	}
	return ""
}

func (p *tracer) servers(args []string) {
	cfg := *p.cfg
	for _, a := range args {
		name, more, _ := strings.Cut(a, ":")
		s := config.Server{Address: "10.0.0." + strconv.Itoa(int(name[0]-'a'+1)) + ":80", Weight: 1, Backup: more == "backup"}
		if more != "" && !s.Backup {
			s.Weight = p.number(more)
		}
		cfg.Servers = append(cfg.Servers, s)
	}
	next := build(p.t, pools(&cfg), Env{}, p.set)
	if p.set != nil {
		p.set.Retire(next)
	}
	p.set = next
	c := next.Pool("p").c
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.view.Load().servers {
		if len(s.lanes) == 0 {
			s.lanes = make([]lane, 1) // there is no loop: everything happens in one
			s.core.tallies = make([]tally, 1)
		}
	}
}

func (p *tracer) pick(args []string) string {
	turn := p.turns[args[0]]
	if turn == nil {
		turn = &Turn{}
		p.turns[args[0]] = turn
	}
	if len(args) > 1 {
		turn.Stay(p.server(args[1]))
	}
	c := p.set.Pool("p").c
	c.mu.Lock()
	s := c.view.Load().take(c.shared(), turn)
	c.mu.Unlock()
	if s == nil {
		return "nobody"
	}
	turn.begin(s, 0)
	said := nick(s.name)
	if turn.trial {
		said += ", to try it"
	}
	if turn.Moved() {
		said += ", moved"
	}
	return said
}

func (p *tracer) turn(request string) *Turn {
	p.t.Helper()
	turn := p.turns[request]
	if turn == nil || turn.server == nil {
		p.t.Fatalf("the request %s has no place", request)
	}
	return turn
}

func (p *tracer) done(request, how string) {
	p.t.Helper()
	turn := p.turn(request)
	s := turn.server
	o, ok := map[string]Outcome{"ok": OK, "500": ServerError, "garbage": BadResponse, "closed": EmptyResponse, "late": TimedOut,
		"503": Unavailable, "left": Aborted, "refused": ConnectError}[how]
	if !ok {
		p.t.Fatalf("no such outcome: %s", how)
	}
	if o == ConnectError {
		s.core.failed(s, errors.New("refused"))
	}
	s.Done(turn, o)
}

func (p *tracer) reasons(server string, r reason, holds bool) {
	s := p.server(server)
	c := s.core
	c.mu.Lock()
	if holds {
		c.bar(s, r)
	} else {
		c.unbar(s, r)
	}
	c.mu.Unlock()
	c.settle()
}

func (p *tracer) hand(server, state string) {
	address := p.server(server).name
	hands := p.hands[:0:0]
	for _, h := range p.hands {
		if h.Server != address {
			hands = append(hands, h)
		}
	}
	if state != "ready" {
		hands = append(hands, api.Hand{Pool: "p", Server: address, State: state, By: "ann"})
	}
	p.hands = hands
	p.set.SetHands(hands)
}

func (p *tracer) server(name string) *Server {
	p.t.Helper()
	for _, s := range p.set.Pool("p").c.all() {
		if nick(s.name) == name {
			return s
		}
	}
	p.t.Fatalf("no server %s", name)
	return nil
}

// nick is the name that a trace has for a server: 10.0.0.1:80 is a.
func nick(name string) string {
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(name, "10.0.0."), ":80"))
	if err != nil {
		return name
	}
	return string(rune('a' + n - 1))
}

func (p *tracer) shows() string {
	if p.set == nil {
		return "no servers"
	}
	var all []string
	for _, s := range p.set.Status()[0].Servers {
		one := fmt.Sprintf("%s %d", nick(s.Name), s.Active)
		if s.State != "ready" {
			one += " " + s.State
			if s.Why != "" {
				one += " (" + s.Why + ")"
			}
		}
		all = append(all, one)
	}
	return strings.Join(all, ", ")
}

func (p *tracer) number(s string) int {
	p.t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

func (p *tracer) time(s string) time.Duration {
	p.t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}
