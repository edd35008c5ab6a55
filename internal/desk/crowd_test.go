package desk

import (
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"
)

// TestCrowdGives: who makes room for whom.
func TestCrowdGives(t *testing.T) {
	one, two, three := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::3")
	o := newCrowd(nil, 5)
	at := time.Now()
	in := func(a netip.Addr, asks bool) *guest {
		at = at.Add(time.Second)
		return &guest{in: o, addr: a, since: at, asks: asks}
	}
	enter := func(g *guest, want *guest) {
		t.Helper()
		if leaves := o.enter(g); leaves != want {
			t.Errorf("%v: %+v leaves", g.addr, leaves)
		}
	}
	asks, first, second, lonely := in(one, true), in(one, false), in(one, false), in(two, false)
	later := in(one, true)
	for _, g := range []*guest{asks, first, second, lonely, later} {
		enter(g, nil)
	}
	enter(in(three, false), first)
	enter(in(one, true), second) // its own
	enter(in(one, true), asks)   // of which all are at work
	enter(in(two, false), later)
	if len(o.all) != o.most || o.by[one] != 2 || o.by[two] != 2 || o.by[three] != 1 {
		t.Errorf("%v", o.by)
	}
	o.remove(lonely)
	o.remove(lonely)
	if o.by[two] != 1 {
		t.Errorf("%v", o.by)
	}
}

func TestGuestState(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close() //nolint:errcheck // a pipe
	g := &guest{Conn: a, in: newCrowd(nil, 1)}
	noteState(g, http.StateActive)
	if !g.asks {
		t.Error("it does not ask")
	}
	noteState(g, http.StateIdle)
	noteState(b, http.StateActive) // nobody's
	if g.asks || g.since.IsZero() {
		t.Errorf("%+v", g)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}
