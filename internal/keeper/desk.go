package keeper

import (
	"fmt"
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/source"
)

const (
	deskYoung = 10 * time.Second // a desk that dies younger than this is a bad sign
	deskGrace = 6 * time.Second  // for a desk to exit that has been let go
	deskTell  = 5 * time.Second  // for it to take what it is told
	deskNice  = 5                // nicer than traffic: where processors are short, that gets three parts of four
)

// desk is the process of everything that people look at. Nothing here waits for it, and nothing is worse for its death.
type desk struct {
	child
	told api.Source
	news chan deskNews // the latest; holds one. Closed when it is let go
	let  bool
}

// deskNews is what it is told: its listening sockets, and the configuration.
type deskNews struct {
	listeners []*listener
	state     api.EdgeState
}

// tendDesk sees to it that there is a desk if there is to be one, and that it knows what is in force. As an event.
func (k *keeper) tendDesk() {
	d := k.desk
	switch wanted := k.cfg.Admin != nil && !k.stopping; {
	case !wanted && d != nil:
		k.letDeskGo(d)
	case wanted && d == nil && !k.deskWaits:
		k.startDesk()
	case wanted && d != nil && !source.Same(&d.told, &k.source):
		k.tellDesk(d)
	}
}

// tellDesk tells it what is in force. What it has not been told yet is out of date.
func (k *keeper) tellDesk(d *desk) {
	n := deskNews{state: api.EdgeState{Version: k.version, Source: k.source, RunDir: k.runDir}}
	for _, name := range slices.Sorted(maps.Keys(k.listeners)) {
		if l := k.listeners[name]; l.spec.Desk {
			n.listeners = append(n.listeners, l)
		}
	}
	d.told = k.source
	select {
	case <-d.news:
	default:
	}
	d.news <- n
}

func (k *keeper) startDesk() {
	d, err := k.launchDesk()
	if err != nil {
		k.deskDied("it cannot be started: " + err.Error())
		return
	}
	k.desk = d
	k.tellDesk(d)
	k.goes(func() { k.talkTo(d) })
	k.goes(func() { k.hearDesk(d) })
	k.reap(&d.child, func() {
		k.closeNews(d)
		if k.desk != d {
			return
		}
		k.desk = nil
		if time.Since(d.started) >= deskYoung {
			k.deskDeaths = 0
		}
		if !k.stopping && k.cfg.Admin != nil {
			k.deskDied(d.how)
		}
	})
}

// deskDied has another one started, later each time.
func (k *keeper) deskDied(how string) {
	wait := edgeWait(k.deskDeaths, false)
	k.deskDeaths++
	k.deskWaits = true
	k.log.Error("the status page's process died; traffic goes on", "how", how, "next_start", wait)
	k.after(wait, func() { k.deskWaits = false })
}

func (k *keeper) launchDesk() (*desk, error) {
	argv := k.opts.Desk
	if argv == nil {
		argv = []string{k.self.path(), "desk"}
	}
	c, err := k.launch(argv, k.opts.Stderr)
	if err != nil {
		return nil, err
	}
	if err := nicer(c.cmd.Process.Pid, deskNice); err != nil {
		k.log.Warn("the status page's process takes as much of the processors as traffic, where they are short", "error", err)
	}
	return &desk{child: c, news: make(chan deskNews, 1)}, nil
}

// talkTo passes on what the desk is told, until it is let go.
func (k *keeper) talkTo(d *desk) {
	offered := map[*listener]bool{}
	for n := range d.news {
		if err := d.tell(n, offered); err != nil {
			if !d.dead() { // which is told already
				k.log.Error("the status page's process takes nothing: it is started again", "error", err)
				d.signal(syscall.SIGKILL)
			}
			break
		}
	}
	d.conn.Close() //nolint:errcheck // it has no other end, or is to see that it is let go
	t := time.NewTimer(deskGrace)
	defer t.Stop()
	select {
	case <-d.exited:
	case <-t.C:
		d.signal(syscall.SIGKILL)
	}
}

func (d *desk) tell(n deskNews, offered map[*listener]bool) error {
	if err := d.conn.SetWriteDeadline(time.Now().Add(deskTell)); err != nil {
		return err
	}
	maps.DeleteFunc(offered, func(l *listener, _ bool) bool { return !slices.Contains(n.listeners, l) })
	for _, l := range n.listeners {
		if offered[l] {
			continue
		}
		offered[l] = true
		if err := api.SendHandover(d.conn, api.Handover{Kind: "listener", Network: l.spec.Network, Address: l.spec.Address}, l.files...); err != nil {
			return fmt.Errorf("handing over %s: %w", l.addr, err)
		}
	}
	return api.SendState(d.conn, n.state)
}

// letDeskGo ends a desk. As an event.
func (k *keeper) letDeskGo(d *desk) {
	if k.desk == d {
		k.desk = nil
	}
	k.closeNews(d)
}

func (k *keeper) closeNews(d *desk) {
	if !d.let {
		d.let = true
		close(d.news)
	}
}

// deskURLs are the addresses of the status page.
func (k *keeper) deskURLs() (all []string) {
	if k.cfg.Admin == nil {
		return nil
	}
	for _, l := range k.cfg.Listen {
		if o := k.listeners[key(l)]; l.Desk && o != nil {
			url := o.url()
			if k.cfg.Admin.TLS != nil && l.Network != "unix" {
				url = "https" + url[len("http"):]
			}
			all = append(all, url)
		}
	}
	return all
}

// otherUse says why an address cannot be listened on that is listened on already, for the other process.
func otherUse(has *listener, want config.Listen) error {
	if has.spec.Desk == want.Desk {
		return nil
	}
	return fmt.Errorf("the address %s cannot change between admin and the sites while weir runs: take another one, or restart weir", want.Address)
}
