package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/app"
	"github.com/weirhq/weir/internal/config"
)

// EstateFormat is the form of an estate. A program takes over only what has its own: a field that can be left out does not change
// it, one that means something else does.
const EstateFormat = 1

// estate is what a keeper leaves to the program that takes its place within the process (docs/adr/0019): all that it knows, and
// the numbers of the descriptors that go with it. Times are nanoseconds from At. It never touches a disk.
type estate struct {
	Format  int    `json:"format"`
	Version string `json:"version"` // of the program that leaves it
	Self    int    `json:"self"`    // that program, which goes on if the other one cannot
	Files   []int  `json:"files"`   // all descriptors
	Back    string `json:"back"`    // why another program could not take over: it comes back to the one that left it

	At      int64            `json:"at"`    // Unix time in nanoseconds
	Since   int64            `json:"since"` // likewise
	RunDir  string           `json:"run_dir"`
	Secret  []byte           `json:"secret,omitempty"`
	Source  api.Source       `json:"source"`
	Reads   int64            `json:"reads"` // how often files have been read
	State   int64            `json:"state"` // version of the one told last
	Lock    int              `json:"lock"`
	API     int              `json:"api"`
	Caller  int              `json:"caller"`  // who waits for the answer
	Program int              `json:"program"` // that edges are started from
	Lent    []int            `json:"lent,omitempty"`
	Listen  []estateListener `json:"listen"`
	Doors   int              `json:"doors"`
	Edge    estateEdge       `json:"edge"`
	Retired []estateEdge     `json:"retired,omitempty"`
	Guard   *estateGuard     `json:"guard,omitempty"`

	Configs []estateConfig         `json:"configs"`
	configs []*config.App          // of those, as they are used
	Apps    []estateApp            `json:"apps"`
	Used    map[string]map[int]int `json:"used,omitempty"`
	Sockets []app.SavedSocket      `json:"sockets,omitempty"`
	Ticket  int                    `json:"ticket"`

	Deaths   int                `json:"deaths"`
	Restarts int                `json:"restarts"`
	Hands    []api.Hand         `json:"hands,omitempty"`
	Done     []api.Intervention `json:"done,omitempty"`
	Faults   []api.Fault        `json:"faults,omitempty"` // that are made on purpose
	Warned   map[string]bool    `json:"warned,omitempty"`
	Problem  string             `json:"problem,omitempty"`
	Told     bool               `json:"told"`
	HUP      bool               `json:"hup,omitempty"`    // a reload is to come
	Reopen   bool               `json:"reopen,omitempty"` // the access log is to be opened anew
}

type estateListener struct {
	Network string `json:"network"`
	Address string `json:"address"`
	At      string `json:"at"` // where it really is
	Lent    bool   `json:"lent,omitempty"`
	Files   []int  `json:"files"`
}

type estateEdge struct {
	PID     int             `json:"pid"`
	Conn    int             `json:"conn"`
	Door    int             `json:"door"`
	Path    string          `json:"path"` // of the door
	Age     int64           `json:"age"`
	Ready   bool            `json:"ready"`
	Problem string          `json:"problem,omitempty"`
	Source  api.Source      `json:"source"` // that it was told
	Apps    map[string]bool `json:"apps"`
	Left    int64           `json:"left,omitempty"` // time that it has, when it has been replaced
}

type estateGuard struct {
	PID  int `json:"pid"`
	Pipe int `json:"pipe"`
}

// estateConfig is an app as workers are made from it. What is in force is better read anew: the next program may know of
// keys that this one does not.
type estateConfig struct {
	App     *config.App `json:"app"`
	InForce bool        `json:"in_force"`
}

type estateApp struct {
	Life      app.SavedLife      `json:"life"`
	Processes []app.SavedProcess `json:"processes,omitempty"`
	Handed    bool               `json:"handed,omitempty"`
	Overrun   int                `json:"overrun,omitempty"`
	Lost      int                `json:"lost,omitempty"`
	Tending   estateTending      `json:"tending"`
}

type estateTending struct {
	Checks  map[string]estateCheck `json:"checks,omitempty"`
	Done    map[string][3]int64    `json:"done,omitempty"` // deaths, before, last
	Scaler  *app.SavedScaler       `json:"scaler,omitempty"`
	File    string                 `json:"file,omitempty"`
	There   bool                   `json:"there,omitempty"`
	At      int64                  `json:"at,omitempty"`
	Size    int64                  `json:"size,omitempty"`
	Touched bool                   `json:"touched,omitempty"`
}

type estateCheck struct {
	Next   int64 `json:"next"`
	Failed int   `json:"failed,omitempty"`
	Unwell bool  `json:"unwell,omitempty"`
}

// descriptor is the number of an open file or connection. File.Fd would have it block.
func descriptor(f syscall.Conn) (n int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	return n, raw.Control(func(fd uintptr) { n = int(fd) })
}

// bequest is an estate that is being put together.
type bequest struct {
	estate
	err error
}

// file notes a descriptor that is to be kept.
func (b *bequest) file(f syscall.Conn) int {
	n, err := descriptor(f)
	if err != nil {
		b.err = errors.Join(b.err, err)
		return 0
	}
	b.Files = append(b.Files, n)
	return n
}

// leaves puts together what another program needs to go on. On trial it is to be looked at only: secrets, processes and descriptors are
// missing. As an event, and unless on trial only while the starter is still.
func (k *keeper) leaves(trial bool) (*estate, error) {
	if k.stopping {
		return nil, errStopping
	}
	if k.edge == nil || k.coming != nil || k.former != nil || !k.edge.ready {
		return nil, errBetweenEdges
	}
	now := time.Now()
	b := bequest{estate: estate{
		Format: EstateFormat, Version: k.opts.Version, At: now.UnixNano(), Since: k.since.UnixNano(), RunDir: k.runDir, Source: k.source, Reads: k.reads.Load(), State: k.version, Doors: k.doors,
		Used: k.used, Ticket: k.ticket, Deaths: k.deaths, Restarts: k.restarts, Hands: k.people.hands, Done: k.people.done, Faults: k.chaos.faults, Warned: k.warned, Problem: k.problem, Told: k.told, HUP: k.hup,
	}}
	number := b.numbers(k.cfg)
	for _, r := range k.apps {
		life, err := r.life.Save(now, number)
		if err != nil {
			return nil, err
		}
		o := estateApp{Life: life, Handed: r.handed, Overrun: r.overrun, Lost: r.lost, Tending: r.tend.save(now)}
		for _, name := range slices.Sorted(maps.Keys(r.procs)) {
			if !trial {
				p := r.procs[name].Save(number)
				b.Files = append(b.Files, p.Pipe)
				o.Processes = append(o.Processes, p)
			}
		}
		b.Apps = append(b.Apps, o)
	}
	if !trial {
		k.leaveFiles(&b, now)
	}
	return &b.estate, b.err
}

// leaveFiles notes what has descriptors.
func (k *keeper) leaveFiles(b *bequest, now time.Time) {
	b.Secret = k.secret
	b.Lock, b.API = b.file(k.lock), b.file(k.apiFile)
	b.Self, b.Program = b.file(k.self.file), b.file(k.program.file)
	for _, i := range k.inherited {
		b.Lent = append(b.Lent, b.file(i.file))
	}
	for _, name := range slices.Sorted(maps.Keys(k.listeners)) {
		l := k.listeners[name]
		o := estateListener{Network: l.spec.Network, Address: l.spec.Address, At: l.addr, Lent: l.lent}
		for _, f := range l.files {
			o.Files = append(o.Files, b.file(f))
		}
		b.Listen = append(b.Listen, o)
	}
	b.Edge = b.edge(k.edge, now)
	for _, e := range k.retired {
		b.Retired = append(b.Retired, b.edge(e, now))
	}
	if g := k.guard; g != nil {
		b.Guard = &estateGuard{g.cmd.Process.Pid, b.file(g.pipe)}
	}
	b.Sockets = k.starter.Sockets()
	for _, s := range b.Sockets {
		b.Files = append(b.Files, s.File)
	}
}

func (b *bequest) edge(e *edge, now time.Time) estateEdge {
	o := estateEdge{
		PID: e.cmd.Process.Pid, Conn: b.file(e.conn), Door: b.file(e.door.file), Path: e.door.path, Age: int64(now.Sub(e.started)), Ready: e.ready, Problem: e.problem,
		Source: e.told.state.Source, Apps: e.told.apps,
	}
	if !e.until.IsZero() {
		o.Left = int64(e.until.Sub(now))
	}
	return o
}

// numbers returns what gives each app that workers are made from a number.
func (b *bequest) numbers(cfg *config.Config) func(*config.App) int {
	known := map[*config.App]int{}
	return func(a *config.App) int {
		n, ok := known[a]
		if !ok {
			n = len(b.Configs)
			known[a] = n
			b.Configs = append(b.Configs, estateConfig{a, slices.Contains(cfg.Apps, a)})
		}
		return n
	}
}

func (t *tending) save(now time.Time) estateTending {
	o := estateTending{Checks: map[string]estateCheck{}, Done: map[string][3]int64{}, Scaler: t.scaler.Save(now), File: t.file, There: t.stamp.there, At: t.stamp.at, Size: t.stamp.size, Touched: t.touched}
	for w, c := range t.checks {
		o.Checks[w] = estateCheck{int64(c.next.Sub(now)), c.failed, c.unwell}
	}
	for w, d := range t.done {
		o.Done[w] = [3]int64{int64(d.deaths), d.before, d.last}
	}
	return o
}

func (o *estateTending) restore(saved time.Time) tending {
	t := newTending()
	t.scaler = app.RestoreScaler(o.Scaler, saved)
	t.file, t.stamp, t.touched = o.File, stamp{o.There, o.At, o.Size}, o.Touched
	for w, d := range o.Done {
		t.done[w] = &done{int(d[0]), d[1], d[2]}
	}
	for w, c := range o.Checks {
		t.checks[w] = &aliveness{next: saved.Add(time.Duration(c.Next)), failed: c.Failed, unwell: c.Unwell, did: t.did(w)}
	}
	return t
}

// maxEstate bounds an estate in bytes: mostly texts of configurations.
const maxEstate = 1 << 30

// readEstate reads an estate and sees whether it is of a kind that this program knows.
func readEstate(r io.Reader) (*estate, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxEstate))
	if err != nil {
		return nil, fmt.Errorf("reading what the old program left: %w", err)
	}
	var e estate
	var kind struct{ Format int }
	if err := json.Unmarshal(text, &kind); err != nil {
		return nil, fmt.Errorf("reading what the old program left: %w", err)
	}
	if kind.Format != EstateFormat {
		return nil, fmt.Errorf("what the program that runs leaves has format %d, and this one knows format %d only: stop weir and start it again", kind.Format, EstateFormat)
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, fmt.Errorf("reading what the old program left: %w", err)
	}
	return &e, nil
}

// heirs makes the apps of an estate, and what is to be done to go on with them. It touches nothing.
func (e *estate) heirs(cfg *config.Config, now time.Time) (apps []*running, err error) {
	saved := e.savedAt(now)
	configs := make([]*config.App, len(e.Configs))
	for n, c := range e.Configs {
		if configs[n] = c.App; c.App == nil {
			return nil, errors.New("an app without a configuration")
		}
		i := slices.IndexFunc(cfg.Apps, func(a *config.App) bool { return a.Name == c.App.Name })
		if c.InForce && i >= 0 && app.SameProcess(cfg.Apps[i], c.App) {
			configs[n] = cfg.Apps[i]
		}
	}
	for i := range e.Apps {
		o := &e.Apps[i]
		r := &running{procs: map[string]*app.Process{}, checks: map[string]context.CancelFunc{}, handed: o.Handed, overrun: o.Overrun, lost: o.Lost, tend: o.Tending.restore(saved)}
		if r.life, r.todo, err = app.RestoreLife(o.Life, saved, now, configs); err != nil {
			return nil, err
		}
		for _, p := range o.Processes {
			if p.App < 0 || p.App >= len(configs) {
				return nil, fmt.Errorf("the process of %s is of app %d of %d", p.Worker, p.App, len(configs))
			}
		}
		apps = append(apps, r)
		e.configs = configs
	}
	return apps, nil
}

// savedAt is when an estate was put together, by this program's clock. One that was set meanwhile is not believed.
func (e *estate) savedAt(now time.Time) time.Time {
	const most = time.Minute
	ago := now.Sub(time.Unix(0, e.At))
	return now.Add(-min(max(ago, 0), most))
}

// Trial says whether this program could take over what r has of an estate.
func Trial(r io.Reader, parse func(api.Source) (*config.Main, *config.Config, error)) error {
	e, err := readEstate(r)
	if err != nil {
		return err
	}
	_, cfg, err := parse(e.Source)
	if err != nil {
		return err
	}
	if _, err = cfg.WithRunDir(e.RunDir); err != nil {
		return err
	}
	_, err = e.heirs(cfg, time.Now())
	return err
}
