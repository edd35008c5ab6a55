package keeper

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/app"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/notice"
)

// A program that takes another's place in the same process finds its estate in a file without a name, whose descriptor an
// environment variable tells. Up to the moment when it goes on with what is there (resume) nothing has been changed, and
// the old program can be brought back.

const estateVariable = "WEIR_ESTATE"

// Estate is what another program has left to this process; nil if nobody has. Once: what this process starts is told nothing of it.
func Estate() *os.File {
	fd, err := strconv.Atoi(os.Getenv(estateVariable))
	os.Unsetenv(estateVariable) //nolint:errcheck // its name is a good one
	if err != nil || fd <= 2 {
		return nil
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "estate")
}

// heir is a program on its way to take over.
type heir struct {
	opts   Options
	estate *estate
	files  map[int]*os.File // every descriptor of the estate
	spare  []int            // those of which something has a duplicate
}

// takeOver makes a keeper of what another program has left. If it cannot, it brings that one back, and returns only if that
// fails too.
func takeOver(o Options) (*keeper, error) {
	h := &heir{opts: o, files: map[int]*os.File{}}
	k, err := h.takeOver()
	if err == nil {
		return k, nil
	}
	back := h.bringBack(err)
	return nil, fmt.Errorf("weir %s could not take over: %w; nor could the one before go on: %w", o.Version, err, back)
}

func (h *heir) takeOver() (k *keeper, err error) {
	defer func() {
		if r := recover(); r != nil { // the old program does better
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	text, err := io.ReadAll(io.NewSectionReader(h.opts.Estate, 0, maxEstate))
	if err != nil {
		return nil, fmt.Errorf("reading what the old program left: %w", err)
	}
	if h.estate, err = readEstate(bytes.NewReader(text)); err != nil {
		return nil, err
	}
	e := h.estate
	for _, fd := range e.Files {
		var is syscall.Stat_t
		if err := syscall.Fstat(fd, &is); err != nil || fd <= 2 {
			return nil, fmt.Errorf("descriptor %d is missing", fd)
		}
		syscall.CloseOnExec(fd)
		h.files[fd] = os.NewFile(uintptr(fd), fmt.Sprint("inherited-", fd))
	}
	main, cfg, err := h.opts.Parse(e.Source)
	if err != nil {
		return nil, err
	}
	if cfg, err = cfg.WithRunDir(e.RunDir); err != nil {
		return nil, err
	}
	if k, err = h.keeper(cfg); err != nil || main == nil {
		return k, err
	}
	k.included = asInForce(main, cfg)
	k.included.k = k
	return k, nil
}

// file is a descriptor of the estate.
func (h *heir) file(fd int) (*os.File, error) {
	if f := h.files[fd]; f != nil {
		return f, nil
	}
	return nil, fmt.Errorf("descriptor %d was not left", fd)
}

// bringBack has the program that was before take its place again.
func (h *heir) bringBack(why error) error {
	text, err := io.ReadAll(io.NewSectionReader(h.opts.Estate, 0, maxEstate))
	if err != nil {
		return err
	}
	// Whatever else is in it stays as it is.
	var all map[string]json.RawMessage
	var known struct {
		Self  int
		Files []int
		Back  string
	}
	if err := errors.Join(json.Unmarshal(text, &all), json.Unmarshal(text, &known)); err != nil {
		return err
	}
	if known.Back != "" {
		return errors.New("it came back already")
	}
	if all["back"], err = json.Marshal(why.Error()); err != nil {
		return err
	}
	if text, err = json.Marshal(all); err != nil {
		return err
	}
	f, err := app.MemoryFile("estate", text)
	if err != nil {
		return err
	}
	starter, err := app.NewStarterOn(h.opts.Thread, false)
	if err != nil {
		return err
	}
	last := func() (func(), error) { // there is no way back: what comes now is lost
		if h.opts.Unhandle != nil {
			h.opts.Unhandle()
		}
		return func() {}, nil
	}
	return become(starter, last, &program{os.NewFile(uintptr(known.Self), "self")}, f, known.Files)
}

// become has a program take this one's place. It returns only if it cannot.
func become(s *app.Starter, last func() (func(), error), p *program, estate *os.File, files []int) error {
	fd, err := descriptor(estate)
	if err != nil {
		return err
	}
	env := append(os.Environ(), estateVariable+"="+strconv.Itoa(fd))
	return s.Become(p.path(), os.Args, env, append(files, fd), last)
}

// keeper makes the keeper, which has not begun anything.
func (h *heir) keeper(cfg *config.Config) (*keeper, error) {
	e, o := h.estate, h.opts
	now := time.Now()
	k := newKeeper(o, cfg)
	k.reads.Store(e.Reads)
	k.since, k.secret, k.source, k.version, k.doors = time.Unix(0, e.Since), e.Secret, e.Source, e.State, e.Doors
	k.ticket, k.deaths, k.restarts, k.problem, k.told = e.Ticket, e.Deaths, e.Restarts, e.Problem, e.Told
	k.people.hands, k.people.done = e.Hands, e.Done
	for name, used := range e.Used {
		k.used[name] = used
	}
	for name := range e.Warned {
		k.warned[name] = true
	}
	var err error
	if k.apps, err = e.heirs(cfg, now); err != nil {
		return nil, err
	}
	if err := h.openAll(k); err != nil {
		return nil, err
	}
	if k.edge, err = h.edge(e.Edge, now); err != nil {
		return nil, err
	}
	k.door = k.edge.door
	for _, r := range e.Retired {
		retired, err := h.edge(r, now)
		if err != nil {
			return nil, err
		}
		k.retired = append(k.retired, retired)
	}
	if k.starter, err = app.NewStarterOn(o.Thread, o.Adopt); err != nil {
		return nil, err
	}
	for _, s := range e.Sockets {
		f, err := h.file(s.File)
		if err != nil {
			return nil, err
		}
		k.starter.Hold(s, f)
	}
	k.sink = app.NewSink(o.Stderr, notice.FormFor(o.Stderr, os.Getenv))
	k.log = k.sink.Logger("weir", k.level)
	k.heir = h
	return k, nil
}

// openAll takes the descriptors that need nothing else.
func (h *heir) openAll(k *keeper) error {
	e := h.estate
	var program *os.File
	for to, fd := range map[**os.File]int{&k.lock: e.Lock, &k.apiFile: e.API, &program: e.Program} {
		f, err := h.file(fd)
		if err != nil {
			return err
		}
		*to = f
	}
	k.program = programOf(program)
	h.spare = append(h.spare, e.Self)
	var lent []*os.File
	for _, fd := range e.Lent {
		f, err := h.file(fd)
		if err != nil {
			return err
		}
		lent = append(lent, f)
	}
	var err error
	if k.inherited, err = inherit(lent); err != nil {
		return err
	}
	for _, o := range e.Listen {
		l := &listener{spec: config.Listen{Network: o.Network, Address: o.Address}, addr: o.At, lent: o.Lent}
		for _, c := range k.cfg.Listen {
			if key(c) == key(l.spec) {
				l.spec = c
			}
		}
		for _, fd := range o.Files {
			f, err := h.file(fd)
			if err != nil {
				return err
			}
			l.files = append(l.files, f)
		}
		k.listeners[key(l.spec)] = l
	}
	return k.serveAPI()
}

// edge makes an edge, which nobody attends to yet.
func (h *heir) edge(o estateEdge, now time.Time) (*edge, error) {
	at, err := h.file(o.Door)
	if err != nil {
		return nil, err
	}
	conn, err := h.file(o.Conn)
	if err != nil {
		return nil, err
	}
	c, err := net.FileConn(conn) // of a duplicate
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("descriptor %d is no connection to an edge", o.Conn), c.Close())
	}
	h.spare = append(h.spare, o.Conn)
	saved := h.estate.savedAt(now)
	e := &edge{
		child: child{cmd: &exec.Cmd{Process: &os.Process{Pid: o.PID}}, conn: u, started: saved.Add(-time.Duration(o.Age)), exited: make(chan struct{})},
		door:  &door{file: at, path: o.Path, client: api.NewClient(o.Path)}, ready: o.Ready, problem: o.Problem, is: make(chan struct{}),
		told: snapshot{state: api.EdgeState{Source: o.Source}, apps: o.Apps},
	}
	if o.Left != 0 {
		e.until = saved.Add(time.Duration(o.Left))
	}
	if e.ready {
		close(e.is)
	}
	return e, nil
}

// resume goes on with everything, with the token. As the first event.
func (k *keeper) resume() {
	h := k.heir
	k.heir = nil
	e := h.estate
	k.level.Set(levelOf(k.cfg.Log.Level))
	k.log.Info(fmt.Sprintf("weir %s goes on in place of %s", k.opts.Version, e.Version), "pid", os.Getpid())
	if k.opts.Watchdog > 0 {
		k.notify("WATCHDOG=1")
	}
	k.resumeEdges()
	k.resumeGuard(h)
	for i, r := range k.apps {
		k.resumeApp(h, r, e.Apps[i].Processes)
	}
	k.goes(k.starter.Reap)
	k.dirty = true
	k.resumeChaos(e.Faults)
	if e.HUP {
		k.hangup()
	}
	if e.Reopen {
		k.signal(syscall.SIGUSR1)
	}
	for _, r := range k.apps {
		if r.tend.touched {
			r.tend.touched = false
			k.touched(r, r.tend.file)
		}
	}
	caller := h.files[e.Caller]
	for _, fd := range h.spare {
		h.files[fd].Close() //nolint:errcheck // a duplicate is in use
	}
	h.opts.Estate.Close() //nolint:errcheck // only read
	k.goes(func() {
		err := k.complete(e)
		k.upgrading.Store(false)
		<-k.op // first: who has the answer may ask for the next thing at once
		answerCaller(caller, api.Upgraded{Version: k.opts.Version, Was: e.Version}, err)
	})
}

// resumeEdges attends to the edges that are there.
func (k *keeper) resumeEdges() {
	for _, e := range k.edges() {
		cmd, err := k.starter.Child(e.cmd.Process.Pid)
		if err != nil {
			k.log.Error("an edge was lost", "error", err)
			e.how = err.Error()
			close(e.exited)
			k.after(0, func() { k.edgeExited(e) })
			continue
		}
		e.cmd = cmd
		k.attend(e)
		if e == k.edge {
			k.goes(func() { k.watch(e) })
		} else {
			k.goes(func() { k.limit(e) })
		}
	}
}

// resumeApp goes on with an app: with its processes first, which what is to be done may be about.
func (k *keeper) resumeApp(h *heir, r *running, processes []app.SavedProcess) {
	if r.life.Wished() != 0 {
		answer := make(chan string, 1)
		k.tickets[r.life.Wished()] = answer
		cfg := k.cfg
		k.goes(func() {
			if err := k.answer(answer); err != nil && !k.ending() {
				k.sayError(misses(cfg, r.life.App(), err))
			}
		})
	}
	for _, o := range processes {
		p, err := app.Adopt(k.starter, k.sink, k.runDir, o, h.estate.configs[o.App], h.files[o.Pipe])
		if err != nil { // it is no child of ours: nobody can say how it ended
			k.log.Error("a worker was lost", "worker", o.Worker, "error", err)
			k.after(0, func() { k.step(r, app.Exited{Worker: o.Worker, How: err.Error()}) })
			continue
		}
		r.procs[o.Worker] = p
		k.goes(func() { k.await(r, p) })
	}
	todo := r.todo
	r.todo = nil
	for _, a := range todo {
		k.do(r, a)
	}
}

// resumeGuard lets the guard go on until there is one of this program.
func (k *keeper) resumeGuard(h *heir) {
	o := h.estate.Guard
	if o == nil {
		k.startGuard()
		return
	}
	cmd, err := k.starter.Child(o.PID)
	if err != nil {
		k.log.Error("the guard was lost", "error", err)
		k.startGuard()
		return
	}
	k.guard = &guard{cmd: cmd, pipe: h.files[o.Pipe], news: make(chan []byte, 1), done: make(chan struct{})}
	k.starter.Guarded.Store(true)
	k.attendGuard(k.guard)
	k.replaceGuard()
}
