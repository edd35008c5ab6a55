package app

import (
	"fmt"
	"time"

	"github.com/weirhq/weir/internal/api"
)

// of returns the workers of a place.
func (p *place) of() []*worker {
	ws := make([]*worker, 0, len(p.old)+2)
	for _, w := range append([]*worker{p.cur, p.next}, p.old...) {
		if w != nil {
			ws = append(ws, w)
		}
	}
	return ws
}

func (l *Life) all() []*worker {
	var ws []*worker
	for _, p := range l.places {
		ws = append(ws, p.of()...)
	}
	return ws
}

func (l *Life) find(name string) (*place, *worker) {
	for _, p := range l.places {
		for _, w := range p.of() {
			if w.name == name {
				return p, w
			}
		}
	}
	return nil, nil
}

// Serving returns the workers as the edge should see them.
func (l *Life) Serving() []api.Worker {
	var ws []api.Worker
	for _, w := range l.all() {
		switch w.state {
		case Ready, Live:
			ws = append(ws, api.Worker{App: l.app.Name, Name: w.name, Address: w.address, State: "ready"})
		case Leaving:
			if w.address != "" {
				ws = append(ws, api.Worker{App: l.app.Name, Name: w.name, Address: w.address, State: "leaving"})
			}
		}
	}
	return ws
}

// Size returns how many workers there are to be now.
func (l *Life) Size() int { return l.size }

// Wished returns the ticket of what is being done; 0: nothing is.
func (l *Life) Wished() int {
	if l.wish == nil {
		return 0
	}
	return l.wish.ticket
}

// Heirs returns the dead workers whose listening sockets are to be kept.
func (l *Life) Heirs() []string {
	var all []string
	for _, p := range l.places {
		if p.heir != "" && !p.retired {
			all = append(all, p.heir)
		}
		for _, w := range p.of() {
			if w.heir != "" && w.state == Starting { // it may not have it yet
				all = append(all, w.heir)
			}
		}
	}
	return all
}

// Live returns how many workers the edge gives requests to.
func (l *Life) Live() int {
	n := 0
	for _, w := range l.all() {
		if w.state == Live {
			n++
		}
	}
	return n
}

// Status returns the app as people see it.
func (l *Life) Status() api.AppStatus {
	s := api.AppStatus{Name: l.app.Name, Workers: []api.WorkerStatus{}}
	for _, p := range l.places {
		row := api.WorkerStatus{Restarts: p.restarts, Looping: p.deaths >= loopDeaths, Last: p.last}
		if p.cur == nil && !p.retired {
			row.Name = fmt.Sprintf("%s/%d", l.app.Name, p.number)
			row.State, row.Since = Failing.String(), p.failing.UTC().Format(time.RFC3339)
			s.Workers = append(s.Workers, row)
		}
		for _, w := range p.of() {
			row.Due, row.Requests, row.Memory = w.dueWhy, w.requests, w.memory
			row.Name, row.PID, row.State = w.name, w.pid, w.state.String()
			row.Since = w.since.UTC().Format(time.RFC3339)
			s.Workers = append(s.Workers, row)
		}
	}
	return s
}
