package app

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/weirhq/weir/internal/config"
)

// seats reads one word for each: + is good, ! serves although it is bad, - is empty; then "*" a turn, and why: u(nwell), o(verran),
// r(enewal), m(emory), n(umber of requests), a(ge).
func seats(words ...string) []Seat {
	reasons := map[byte]Reason{'u': Unwell, 'o': Overran, 'r': Renewal, 'm': TooLarge, 'n': TooMany, 'a': TooOld}
	var all []Seat
	for _, w := range words {
		s := Seat{Good: w[0] == '+', Gone: w[0] == '-'}
		switch {
		case len(w) == 3:
			s.Turn = reasons[w[2]]
		case len(w) == 2:
			s.Wants = reasons[w[1]]
		}
		all = append(all, s)
	}
	return all
}

func TestTurns(t *testing.T) {
	for _, c := range []struct {
		atOnce int
		seats  []Seat
		want   []int
	}{
		{1, seats("+", "+"), nil},
		{1, seats("+m", "+m"), []int{0}},
		{2, seats("+m", "+m", "+m"), []int{0, 1}},
		{1, seats("+a", "+n", "+m"), []int{2}},
		{1, seats("+m", "-"), nil},          // one is away already
		{2, seats("+m", "-"), []int{0}},     //
		{1, seats("+*m", "+r"), nil},        // one by one, whatever the reason
		{1, seats("+m", "+r"), []int{1}},    // new code before a recycle
		{1, seats("!u", "+r"), []int{0}},    // the bad one first, and it counts
		{1, seats("!u", "+*r"), []int{0}},   // it has nothing to lose
		{1, seats("!u", "!u"), []int{0, 1}}, //
		{1, seats("-r", "+r"), []int{0}},    // an empty one first: nothing is lost if the new code is bad
		{1, seats("-r", "-r"), []int{0}},    // new code goes to one at a time even so
		{1, seats("-r", "-*r"), nil},        //
		{3, seats("+r", "+r", "+r", "+r"), []int{0, 1, 2}},
	} {
		if got := (Budget{c.atOnce, c.seats}).Turns(); !slices.Equal(got, c.want) {
			t.Errorf("%d at once, %+v: turns for %v, want %v", c.atOnce, c.seats, got, c.want)
		}
	}
}

func TestWithdraw(t *testing.T) {
	for _, c := range []struct {
		atOnce int
		seats  []Seat
		i      int
		want   bool
	}{
		{1, seats("!u"), 0, false}, // the last one stays
		{1, seats("!u", "+"), 0, true},
		{1, seats("!u", "!u"), 0, false},
		{1, seats("!u", "-"), 0, false},
		{1, seats("!u", "-", "+"), 0, false},
		{2, seats("!u", "-", "+"), 0, true},
		{1, seats("!u", "+*r"), 0, true}, // a worker that is being exchanged serves
		{1, seats("+m", "+"), 0, false},  // nothing is wrong with it
		{1, seats("-", "+"), 0, false},
	} {
		if got := (Budget{c.atOnce, c.seats}).Withdraw(c.i); got != c.want {
			t.Errorf("%d at once, %+v: %v", c.atOnce, c.seats, got)
		}
	}
}

func TestAtOnce(t *testing.T) {
	for _, c := range [][4]int{{1, 0, 8, 1}, {3, 0, 8, 3}, {0, 25, 1, 1}, {0, 25, 4, 1}, {0, 25, 5, 2}, {0, 25, 8, 2}, {0, 0, 8, 1}} {
		if got := atOnce(c[0], c[1], c[2]); got != c[3] {
			t.Errorf("%v: %d", c, got)
		}
	}
}

// Workers that were started together do not reach their limits together: with eight of them and a tenth of jitter, any two
// lie at least half a hundredth of the limit apart, and none is above the limit.
func TestJitterSpreads(t *testing.T) {
	a := &config.App{Recycle: config.Recycle{Jitter: 10}}
	var all []int64
	for n := 1; n <= 8; n++ {
		all = append(all, early(&worker{app: a, number: n, gen: 1}, int64(100000)))
	}
	slices.Sort(all)
	if all[0] < 90000 || all[7] > 100000 {
		t.Error(all)
	}
	for i := 1; i < len(all); i++ {
		if all[i]-all[i-1] < 500 {
			t.Errorf("two of %v are close together", all)
		}
	}
}

// modelEvents is how many random events the model takes.
const modelEvents = 2_000_000

// TestModel lives through random events, with the app's processes and the edge played by the model, and holds after each
// one what Budget promises: nothing that weir does by itself takes the last good worker away, nor leaves more than
// at_once seats empty.
func TestModel(t *testing.T) {
	events := modelEvents / slow
	for seed := uint64(1); events > 0; seed++ {
		m := newModel(t, seed)
		for range 20_000 {
			m.step()
			events--
			if t.Failed() {
				return
			}
		}
		m.heal()
		m.end()
	}
}

// model is a life, and the world around it.
type model struct {
	t      *testing.T
	seed   uint64
	rand   *rand.Rand
	life   *Life
	now    time.Time
	due    []Event // what the world will answer, in any order
	timers map[int]bool
	alive  map[string]bool // processes
	bad    bool            // what is started now never gets ready
	fine   bool            // all goes well from now on
	ticket int
	past   []string
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 4)), now: time.Unix(0, 0), timers: map[int]bool{}, alive: map[string]bool{}}
	a := m.app()
	m.life = NewLife(a, nil)
	m.tell(Begin{m.next()})
	return m
}

func (m *model) next() int { m.ticket++; return m.ticket }

func (m *model) app() *config.App {
	a := testApp(1 + m.rand.IntN(6))
	a.MaxWorkers = a.Workers + m.rand.IntN(3)
	a.Recycle = config.Recycle{AfterRequests: 1000, Memory: 1 << 30, Age: time.Hour, Jitter: 10}
	a.RequestTimeout, a.Alive.Timeout = 30*time.Second, 5*time.Second
	if m.rand.IntN(2) == 0 {
		a.Reload.AtOnce = 1 + m.rand.IntN(3)
	} else {
		a.Reload.Share = 25
	}
	if m.rand.IntN(2) == 0 {
		a.Argv = []string{"serve", fmt.Sprint(m.rand.IntN(3))}
	}
	return a
}

// count says how many workers serve well, those included that are too many but not let go yet, and how many of the seats in
// known have none that serves.
func (m *model) count(known []*place) (good, gone int) {
	for _, p := range m.life.places {
		if !p.retired && p.seat().Good {
			good++
		}
	}
	places, b := m.life.budget()
	for i, s := range b.Seats {
		if s.Gone && slices.Contains(known, places[i]) {
			gone++
		}
	}
	return good, gone
}

// tell gives the life an event and judges what follows.
func (m *model) tell(e Event) {
	m.now = m.now.Add(time.Duration(m.rand.IntN(1000)) * time.Millisecond)
	m.past = append(m.past, fmt.Sprintf("%T%+v", e, e))
	live := map[string]bool{} // that serve and are well
	for _, w := range m.life.all() {
		if w.state == Live {
			live[w.name] = w.due != Unwell && w.due != Overran
		}
	}
	limit := m.limit()
	known, _ := m.life.budget()
	_, goneBefore := m.count(known)
	renewals := m.renewals()
	had := map[*place]Reason{}
	for _, p := range known {
		had[p] = p.turn
	}
	actions := m.life.Step(m.now, e)
	good, gone := m.count(known)
	taken, wells, lost := 0, 0, 0
	for _, w := range m.life.all() {
		if well, was := live[w.name]; was && w.state == Leaving {
			taken++
			if well && w.due != Unwell && w.due != Overran {
				wells++
			}
		}
	}
	if x, ok := e.(Exited); ok && live[x.Worker] {
		lost = 1
	}
	own := lost == 0
	switch e.(type) {
	case Stop, Kill, AliveFailed, Overdue: // they say themselves that there is one less that is good
		own = own && taken > 0
	}
	limit = max(limit, m.limit()) // a new configuration may change it on the way
	stopping := m.life.stop != nil
	if own && taken > 0 && !stopping {
		if good == 0 && (wells > 0 || gone > goneBefore) {
			m.fail("the last good worker was taken away", actions)
		}
		if gone > goneBefore && gone > limit {
			m.fail(fmt.Sprintf("%d seats are empty, %d before, with %d at once", gone, goneBefore, limit), actions)
		}
	}
	if turns := m.renewals(); turns > renewals && turns > limit {
		m.fail(fmt.Sprintf("%d are being renewed with %d at once", turns, limit), actions)
	}
	places, b := m.life.budget()
	busy, begun := 0, false
	for i, s := range b.Seats {
		if (!s.Good || s.Turn != NoReason) && slices.Contains(known, places[i]) {
			busy++
		}
		begun = begun || s.Good && s.Turn != NoReason && s.Turn != had[places[i]]
	}
	if begun && busy > limit {
		m.fail(fmt.Sprintf("a good worker's turn has begun while %d are away or being replaced, with %d at once", busy, limit), actions)
	}
	for _, a := range actions {
		m.act(a)
	}
}

func (m *model) limit() int {
	return atOnce(m.life.app.Reload.AtOnce, m.life.app.Reload.Share, m.life.size)
}

func (m *model) renewals() (n int) {
	for _, p := range m.life.places {
		if p.turn == Renewal && !p.retired {
			n++
		}
	}
	return n
}

func (m *model) fail(why string, actions []Action) {
	m.t.Helper()
	m.t.Errorf("seed %d: %s\nafter %v\nit did %v\nevents: %v", m.seed, why, m.past[len(m.past)-1], actions, m.past[max(0, len(m.past)-40):])
}

// act plays the keeper.
func (m *model) act(a Action) {
	switch a := a.(type) {
	case Spawn:
		if !m.fine && m.rand.IntN(20) == 0 {
			m.due = append(m.due, StartFailed{Worker: a.Worker, Why: "no memory"})
			return
		}
		m.alive[a.Worker] = true
		m.due = append(m.due, Started{a.Worker, "127.0.0.1:1", 1 + m.rand.IntN(1000)})
	case Check:
		if m.bad || !m.fine && m.rand.IntN(10) == 0 {
			m.due = append(m.due, ReadyFailed{a.Worker, "no answer"})
		} else {
			m.due = append(m.due, ReadyOK(a))
		}
	case Announce:
		for _, w := range m.life.Serving() {
			s := Ready
			if w.State == "leaving" {
				s = Leaving
			}
			m.due = append(m.due, Announced{w.Name, s})
		}
	case Drain:
		m.due = append(m.due, Drained{a.Worker, int64(m.rand.IntN(2))})
	case Signal:
		if m.alive[a.Worker] && (a.Name == "KILL" || m.rand.IntN(3) > 0) {
			m.dies(a.Worker)
		}
	case SetTimer:
		m.timers[a.ID] = true
	}
}

func (m *model) dies(worker string) {
	delete(m.alive, worker)
	m.due = append(m.due, Exited{Worker: worker, How: "signal: killed"})
}

// step lets something happen: mostly an answer, sometimes an accident or a wish.
func (m *model) step() {
	if n := len(m.due); n > 0 && m.rand.IntN(4) > 0 {
		i := m.rand.IntN(n)
		e := m.due[i]
		m.due[i] = m.due[n-1]
		m.due = m.due[:n-1]
		m.tell(e)
		return
	}
	names := slices.Sorted(maps.Keys(m.alive))
	pick := func() string {
		if len(names) == 0 {
			return "nobody"
		}
		return names[m.rand.IntN(len(names))]
	}
	switch n := m.rand.IntN(100); {
	case n < 40:
		if ids := slices.Sorted(maps.Keys(m.timers)); len(ids) > 0 {
			id := ids[m.rand.IntN(len(ids))]
			delete(m.timers, id)
			m.tell(Timer{id})
		}
	case n < 50:
		m.tell(Measured{pick(), int64(m.rand.IntN(1200)), int64(m.rand.IntN(1100)) << 20})
	case n < 60:
		m.tell(AliveFailed{pick(), "does not answer"})
	case n < 70:
		m.tell(AliveOK{pick()})
	case n < 75:
		m.tell(Overdue{pick()})
	case n < 80:
		if w := pick(); w != "nobody" {
			m.dies(w)
		}
	case n < 84:
		m.tell(Replace{m.next()})
	case n < 88:
		m.tell(Update{m.next(), m.app()})
	case n < 93:
		m.tell(Resize{1 + m.rand.IntN(9), "as the model likes"})
	case n < 95:
		m.bad = !m.bad
	case n < 96:
		m.succeed()
	}
}

// succeed has another program go on with what this one leaves: whatever was asked for and not answered is lost, and processes that
// have not been heard of yet have not been started.
func (m *model) succeed() {
	m.t.Helper()
	if m.life.stop != nil {
		return
	}
	var apps []*config.App
	saved, err := m.life.Save(m.now, func(a *config.App) int {
		if i := slices.Index(apps, a); i >= 0 {
			return i
		}
		apps = append(apps, a)
		return len(apps) - 1
	})
	if err != nil {
		m.t.Fatal(err)
	}
	text, err := json.Marshal(saved)
	if err != nil {
		m.t.Fatal(err)
	}
	var read SavedLife
	if err := json.Unmarshal(text, &read); err != nil {
		m.t.Fatal(err)
	}
	unborn := map[string]bool{}
	for _, w := range m.life.all() {
		unborn[w.name] = w.pid == 0
	}
	m.due = slices.DeleteFunc(m.due, func(e Event) bool {
		x, ok := e.(Exited)
		return !ok || unborn[x.Worker]
	})
	maps.DeleteFunc(m.alive, func(w string, _ bool) bool { return unborn[w] })
	m.timers = map[int]bool{}
	same, err := restoreLife(read, m.now, apps)
	if err != nil {
		m.t.Fatal(err)
	}
	if again, err := same.Save(m.now, func(a *config.App) int { return slices.Index(apps, a) }); err != nil || !cmp.Equal(again, read, cmpopts.EquateEmpty()) {
		m.t.Fatalf("seed %d: %v: what was restored is not what was saved: %s", m.seed, err, cmp.Diff(read, again, cmpopts.EquateEmpty()))
	}
	m.now = m.now.Add(time.Second)
	life, actions, err := RestoreLife(read, m.now, m.now, apps)
	if err != nil {
		m.t.Fatal(err)
	}
	m.life = life
	m.past = append(m.past, "another program")
	for _, a := range actions {
		m.act(a)
	}
}

// heal lets all go well from now on: what was wished for comes to an end, and everybody is live and well.
func (m *model) heal() {
	m.bad, m.fine = false, true
	for range 100_000 {
		places, b := m.life.budget()
		if m.life.wish == nil && len(m.due) == 0 && b.Spare() && len(places) == m.life.size {
			return
		}
		for w := range m.alive {
			if _, x := m.life.find(w); x != nil && x.due == Unwell {
				m.tell(AliveOK{w})
			}
		}
		m.settle()
	}
	m.t.Errorf("seed %d: it does not heal: wish %+v, %+v\nevents: %v", m.seed, m.life.wish, m.life.Status().Workers, m.past[max(0, len(m.past)-40):])
}

// settle lets what is due happen, then all timers.
func (m *model) settle() {
	if len(m.due) > 0 {
		e := m.due[0]
		m.due = m.due[1:]
		m.tell(e)
		return
	}
	for _, id := range slices.Sorted(maps.Keys(m.timers)) {
		delete(m.timers, id)
		m.tell(Timer{id})
	}
}

// end stops the app: every process goes, and every ticket has been answered.
func (m *model) end() {
	m.tell(Stop{m.next()})
	for range 100_000 {
		if m.life.stopped {
			if len(m.alive) > 0 {
				m.t.Errorf("seed %d: stopped, and these live: %v", m.seed, m.alive)
			}
			return
		}
		m.settle()
	}
	m.t.Errorf("seed %d: it does not stop", m.seed)
}
