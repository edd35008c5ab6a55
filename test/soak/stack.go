package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// stack is a proxy with the three places behind it: the Django example, the small app, and three fixed servers.
type stack interface {
	name() string
	address() string
	// faults are the kinds of faults that can be made here. A fault returns when it has been made: whether it was.
	faults() map[string]func(ctx context.Context) (bool, error)
	// recovered waits until all is as before.
	recovered(ctx context.Context) error
	// strays is how many of the POSTs that began between two moments and failed were in the hands of nothing that was killed or ill.
	strays(from, to time.Time) int
	// executed is how often each POST was.
	executed() (map[string]int, error)
	stop() error
}

// place is what both stacks are made of.
type place struct {
	self  string // this program
	root  string // of the repository
	dir   string // of this stack
	addr  string
	ill   []*moody
	fixed *counter
}

func newPlace(dir, root string) (*place, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p := &place{self: self, root: root, dir: dir, addr: addr, fixed: newCounter()}
	for range 3 {
		m, err := newMoody(p.fixed.add)
		if err != nil {
			return nil, errors.Join(err, p.closeServers())
		}
		p.ill = append(p.ill, m)
	}
	return p, os.MkdirAll(dir, 0o755)
}

func (p *place) closeServers() (err error) {
	for _, m := range p.ill {
		err = errors.Join(err, m.close())
	}
	return err
}

// moods is the fault of a fixed server that is ill for a while, and then well again.
func (p *place) moods(is string) func(ctx context.Context) (bool, error) {
	n := 0
	lasts := 3 * time.Second // its check finds it out meanwhile
	if is == hangs {
		lasts = 6 * time.Second
	}
	return func(ctx context.Context) (bool, error) {
		m := p.ill[n%len(p.ill)]
		n++
		m.be(is)
		pause(ctx, lasts)
		m.be(well)
		return true, nil
	}
}

// took is how many POSTs the fixed servers took while they were ill, between two moments.
func (p *place) took(from, to time.Time) (n int) {
	for _, m := range p.ill {
		m.mu.Lock()
		for _, at := range m.took {
			if !at.Before(from) && at.Before(to) {
				n++
			}
		}
		m.mu.Unlock()
	}
	return n
}

// books are what the workers have executed.
func (p *place) books() (map[string]int, error) {
	all := map[string]int{}
	book, err := os.ReadFile(filepath.Join(p.dir, "book"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	// A POST of Django's is the guest's name in the book's table.
	const query = "import sqlite3, sys\nfor (n,) in sqlite3.connect(sys.argv[1]).execute('select name from book_entry'): print(n)"
	entries, err := exec.Command("python3", "-c", query, filepath.Join(p.dir, "django", "db.sqlite3")).Output()
	if err != nil {
		return nil, fmt.Errorf("reading the guest book: %w", err)
	}
	for line := range strings.Lines(string(book) + string(entries)) {
		all[strings.TrimSpace(line)]++
	}
	p.fixed.mu.Lock()
	defer p.fixed.mu.Unlock()
	for id, n := range p.fixed.ids {
		all[id] += n
	}
	return all, nil
}

// answers waits until every place answers.
func answers(ctx context.Context, address string, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for _, host := range []string{djangoHost, appHost, fixedHost} {
		for {
			err := healthy(ctx, "tcp", address, host)
			if err == nil {
				break
			}
			if !pause(ctx, 50*time.Millisecond) {
				return fmt.Errorf("%s does not answer: %w", host, err)
			}
		}
	}
	return nil
}

// healthy asks for /healthz on a connection of its own.
func healthy(ctx context.Context, network, address, host string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	t := &http.Transport{DisableKeepAlives: true, DialContext: dialer(network, address)}
	defer t.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/healthz", nil)
	if err != nil {
		return err
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// pause waits, and says whether it was to the end.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
