package app

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/weirhq/weir/internal/config"
)

// What one program leaves to the one that takes its place, of an app's life. Times are as long ago, or as far ahead, as they are
// when it is saved, in nanoseconds. Apps are the numbers that whoever saves gives them: workers may be made from different
// ones.

// SavedLife is a Life.
type SavedLife struct {
	App    int           `json:"app"`
	Size   int           `json:"size"`
	Used   map[int]int   `json:"used"`
	Timer  int           `json:"timer"`            // the last one's ID
	Timers map[int]int64 `json:"timers,omitempty"` // those that count still: when they are due
	Wish   *SavedWish    `json:"wish,omitempty"`
	Places []SavedPlace  `json:"places"`
}

// SavedWish is what is being done for a ticket.
type SavedWish struct {
	Ticket   int  `json:"ticket"`
	App      int  `json:"app"`
	Replaced int  `json:"replaced,omitempty"`
	Total    int  `json:"total,omitempty"`
	Sized    bool `json:"sized,omitempty"`
}

// SavedPlace is a place of an app.
type SavedPlace struct {
	Number   int           `json:"number"`
	Cur      *SavedWorker  `json:"cur,omitempty"`
	Next     *SavedWorker  `json:"next,omitempty"`
	Old      []SavedWorker `json:"old,omitempty"`
	Retired  bool          `json:"retired,omitempty"`
	Proved   bool          `json:"proved,omitempty"`
	Deaths   int           `json:"deaths,omitempty"`
	Restarts int           `json:"restarts,omitempty"`
	Last     string        `json:"last,omitempty"`
	Lines    []string      `json:"lines,omitempty"`
	Failing  *int64        `json:"failing,omitempty"` // for how long
	Backoff  int           `json:"backoff,omitempty"`
	Renew    bool          `json:"renew,omitempty"`
	Turn     Reason        `json:"turn,omitempty"`
	Heir     string        `json:"heir,omitempty"`
	Misses   int           `json:"misses,omitempty"`
	Pause    int           `json:"pause,omitempty"`
}

// SavedWorker is a worker.
type SavedWorker struct {
	Name     string `json:"name"`
	App      int    `json:"app"`
	State    State  `json:"state"`
	Since    int64  `json:"since"` // for how long
	Address  string `json:"address,omitempty"`
	PID      int    `json:"pid,omitempty"` // 0: it has not been started yet
	Doomed   string `json:"doomed,omitempty"`
	Drained  bool   `json:"drained,omitempty"`
	Told     bool   `json:"told,omitempty"`
	Kill     int    `json:"kill,omitempty"`
	Well     int    `json:"well,omitempty"`
	Age      int    `json:"age,omitempty"`
	Gen      int    `json:"gen"`
	Due      Reason `json:"due,omitempty"`
	DueWhy   string `json:"due_why,omitempty"`
	Heir     string `json:"heir,omitempty"`
	Requests int64  `json:"requests,omitempty"`
	Memory   int64  `json:"memory,omitempty"`
}

// Save returns what another program has to know to go on with the life. It cannot while the app is being stopped. Workers that were asked
// for and have no process yet must not get one from this program any more; those of them that leave are forgotten.
func (l *Life) Save(now time.Time, number func(*config.App) int) (SavedLife, error) {
	if l.stop != nil {
		return SavedLife{}, fmt.Errorf("app %s is being stopped", l.app.Name)
	}
	s := SavedLife{App: number(l.app), Size: l.size, Used: maps.Clone(l.used), Timer: l.timers, Timers: map[int]int64{}}
	if w := l.wish; w != nil {
		s.Wish = &SavedWish{w.ticket, number(w.app), w.replaced, w.total, w.sized}
	}
	timer := func(id int) int {
		if due, ok := l.due[id]; ok {
			s.Timers[id] = int64(due.Sub(now))
			return id
		}
		return 0
	}
	worker := func(w *worker) *SavedWorker {
		if w == nil {
			return nil
		}
		return &SavedWorker{
			Name: w.name, App: number(w.app), State: w.state, Since: int64(now.Sub(w.since)), Address: w.address, PID: w.pid, Doomed: w.doomed,
			Drained: w.drained, Told: w.told, Kill: timer(w.kill), Well: timer(w.well), Age: timer(w.age), Gen: w.gen, Due: w.due, DueWhy: w.dueWhy,
			Heir: w.heir, Requests: w.requests, Memory: w.memory,
		}
	}
	for _, p := range l.places {
		o := SavedPlace{
			Number: p.number, Cur: worker(p.cur), Next: worker(p.next), Retired: p.retired, Proved: p.proved, Deaths: p.deaths, Restarts: p.restarts,
			Last: p.last, Lines: p.lines, Backoff: timer(p.backoff), Renew: p.renew, Turn: p.turn, Heir: p.heir, Misses: p.misses, Pause: timer(p.pause),
		}
		if !p.failing.IsZero() {
			failing := int64(now.Sub(p.failing))
			o.Failing = &failing
		}
		for _, w := range p.old {
			if w.pid != 0 {
				o.Old = append(o.Old, *worker(w))
			}
		}
		s.Places = append(s.Places, o)
	}
	return s, nil
}

// RestoreLife returns a life that was saved, and what is to be done to go on with it. saved is when that was. The error says that it
// makes no sense.
func RestoreLife(s SavedLife, saved, now time.Time, apps []*config.App) (*Life, []Action, error) {
	l, err := restoreLife(s, saved, apps)
	if err != nil {
		return nil, nil, err
	}
	l.now = now
	for _, id := range slices.Sorted(maps.Keys(l.due)) {
		l.do(SetTimer{id, max(l.due[id].Sub(now), 0)})
	}
	for _, w := range l.all() {
		l.resumeWorker(w)
	}
	actions := l.out
	return l, append(actions, l.Step(now, Timer{})...), nil
}

func restoreLife(s SavedLife, saved time.Time, apps []*config.App) (*Life, error) {
	r := restorer{apps: apps, saved: saved}
	l := &Life{app: r.app(s.App), size: s.Size, used: map[int]int{}, timers: s.Timer, due: map[int]time.Time{}}
	maps.Copy(l.used, s.Used)
	if w := s.Wish; w != nil {
		l.wish = &wish{w.Ticket, r.app(w.App), w.Replaced, w.Total, w.Sized}
	}
	for _, o := range s.Places {
		p := &place{
			number: o.Number, cur: r.worker(o.Cur, o.Number), next: r.worker(o.Next, o.Number), retired: o.Retired, proved: o.Proved, deaths: o.Deaths, restarts: o.Restarts,
			last: o.Last, lines: o.Lines, backoff: o.Backoff, renew: o.Renew, turn: o.Turn, heir: o.Heir, misses: o.Misses, pause: o.Pause,
		}
		if o.Failing != nil {
			p.failing = saved.Add(-time.Duration(*o.Failing))
		}
		for i := range o.Old {
			p.old = append(p.old, r.worker(&o.Old[i], o.Number))
		}
		if p.number < 1 {
			r.fail("a place %d", p.number)
		}
		l.places = append(l.places, p)
	}
	for id, due := range s.Timers {
		l.due[id] = saved.Add(time.Duration(due))
	}
	return l, r.err
}

// resumeWorker asks again for what has not been answered.
func (l *Life) resumeWorker(w *worker) {
	switch {
	case w.state == Starting && w.pid == 0:
		l.do(Spawn{w.name, w.number, w.gen, w.app, w.heir})
	case w.state == Starting && w.doomed == "":
		l.do(Check{w.name})
	case w.state == Starting:
		l.do(Signal{w.name, "KILL"})
	case w.state == Ready:
		l.do(Announce{})
	case w.state == Leaving && !w.told && w.drained:
		l.do(Drain{w.name, max(w.patience()-l.now.Sub(w.since), 0)})
	case w.state == Leaving && !w.told:
		l.do(Announce{})
	}
}

// restorer makes things of what was saved, and remembers what of it made no sense.
type restorer struct {
	apps  []*config.App
	saved time.Time
	err   error
}

func (r *restorer) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("an app's life that makes no sense: "+format, args...)
	}
}

func (r *restorer) app(n int) *config.App {
	if n < 0 || n >= len(r.apps) || r.apps[n] == nil {
		r.fail("it is of app %d of %d", n, len(r.apps))
		return &config.App{}
	}
	return r.apps[n]
}

func (r *restorer) worker(s *SavedWorker, place int) *worker {
	if s == nil {
		return nil
	}
	if s.Name == "" || s.State > Failing || s.PID < 0 || s.Due > TooOld {
		r.fail("the worker %q", s.Name)
	}
	return &worker{
		name: s.Name, app: r.app(s.App), state: s.State, since: r.saved.Add(-time.Duration(s.Since)), address: s.Address, pid: s.PID, doomed: s.Doomed,
		drained: s.Drained, told: s.Told, kill: s.Kill, well: s.Well, age: s.Age, number: place, gen: s.Gen, due: s.Due, dueWhy: s.DueWhy,
		heir: s.Heir, requests: s.Requests, memory: s.Memory,
	}
}

// SavedScaler is a Scaler.
type SavedScaler struct {
	Busy       float64 `json:"busy"`
	WantMore   *int64  `json:"want_more,omitempty"` // since when
	WantFewer  *int64  `json:"want_fewer,omitempty"`
	MostAtOnce int64   `json:"most_at_once,omitempty"`
	Checked    int64   `json:"checked"`
}

// Save returns what another program has to know to go on; nil if it has not looked yet.
func (s *Scaler) Save(now time.Time) *SavedScaler {
	if !s.looked {
		return nil
	}
	ago := func(t time.Time) *int64 {
		if t.IsZero() {
			return nil
		}
		d := int64(now.Sub(t))
		return &d
	}
	return &SavedScaler{s.busy, ago(s.wantMore), ago(s.wantFewer), s.mostAtOnce, *ago(s.lastChecked)}
}

// RestoreScaler is the way back.
func RestoreScaler(s *SavedScaler, saved time.Time) Scaler {
	if s == nil {
		return Scaler{}
	}
	at := func(ago *int64) (t time.Time) {
		if ago != nil {
			t = saved.Add(-time.Duration(*ago))
		}
		return t
	}
	return Scaler{s.Busy, true, at(s.WantMore), at(s.WantFewer), s.MostAtOnce, at(&s.Checked)}
}
