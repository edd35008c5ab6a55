package desk

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/desk/events"
	"github.com/weirhq/weir/internal/desk/exposition"
	"github.com/weirhq/weir/internal/desk/facts"
	"github.com/weirhq/weir/internal/desk/otlp"
	"github.com/weirhq/weir/internal/desk/series"
	"github.com/weirhq/weir/internal/desk/statsd"
	"github.com/weirhq/weir/internal/picture"
	"github.com/weirhq/weir/internal/source"
)

// desk is the running process. Its fields belong to the goroutine that obeys the keeper.
type desk struct {
	version string
	level   *slog.LevelVar
	reader  source.Reader
	cfg     *config.Config
	runDir  string
	offered map[string]*os.File // listening sockets that were handed down, by network and address
	hub     *hub
	door    *door
	traces  *otlp.Sender
	pulse   pulse
}

func newDesk(version string, level *slog.LevelVar) *desk {
	return &desk{version: version, level: level, offered: map[string]*os.File{}, door: newDoor()}
}

// apply puts a state in force. On an error nothing has changed.
func (d *desk) apply(s api.EdgeState) error {
	cfg, err := d.reader.Read(&s.Source, s.RunDir)
	if err != nil {
		return err
	}
	if cfg.Admin == nil {
		return errors.New("the configuration has no admin: any more")
	}
	if d.hub == nil {
		node, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("finding this machine's name: %w", err)
		}
		d.runDir = s.RunDir
		d.hub = d.newHub(cfg, node)
		go d.hub.run()
		d.startTraces(node)
	}
	if err := d.door.use(d, cfg); err != nil {
		return err
	}
	d.forget(cfg)
	d.cfg = cfg
	d.hub.cfg.Store(cfg)
	d.hub.moveTo(lastingDir(cfg, d.runDir))
	d.hub.alarm.use(cfg)
	d.hub.numbers.Use(cfg.Metrics)
	d.traces.Use(cfg.Traces)
	var l slog.Level
	if l.UnmarshalText([]byte(cfg.Log.Level)) == nil {
		d.level.Set(l)
	}
	return nil
}

// forget closes the sockets of addresses that a configuration does not have: as long as one of them is open, clients find somebody there.
func (d *desk) forget(cfg *config.Config) {
	for key, f := range d.offered {
		if !slices.ContainsFunc(cfg.Listen, func(l config.Listen) bool { return l.Desk && l.Network+" "+l.Address == key }) {
			f.Close() //nolint:errcheck // only listened on
			delete(d.offered, key)
		}
	}
}

// startTraces makes ready what sends traces; it does nothing while the configuration has none.
func (d *desk) startTraces(node string) {
	d.traces = otlp.New(api.NewClient(api.EdgeSocket(d.runDir)), d.version, node)
	d.traces.Start()
	d.hub.metrics.Add(d.traceFamilies)
}

// newHub makes what asks keeper and edge, with what the desk before this one has counted. node is the machine's name.
func (d *desk) newHub(cfg *config.Config, node string) *hub {
	h := &hub{
		keeper: api.NewClient(api.KeeperSocket(d.runDir)), edge: api.NewClient(api.EdgeSocket(d.runDir)), series: series.New(),
		end: make(chan struct{}), done: make(chan struct{}), moves: make(chan string, 1), listeners: map[*listener]bool{},
	}
	h.cfg.Store(cfg)
	h.metrics, h.facts, h.runDir = exposition.New(h.now.Load), facts.New(), d.runDir
	h.numbers = statsd.New()
	h.metrics.Add(h.numbers.Families)
	h.watchers = append(h.watchers, h.numbers)
	h.shelf = shelfOf(lastingDir(cfg, d.runDir), d.runDir)
	var book picture.Book
	h.shelf.read("totals", into(&book))
	h.shelf.takeWord(api.LastWord(d.runDir), &book)
	h.shelf.read("graphs", h.series.Load)
	var pushed statsd.Saved
	h.shelf.take("pushed", into(&pushed))
	h.numbers.Load(pushed)
	var happened events.Saved
	h.shelf.read("events", into(&happened))
	h.events = events.New(happened)
	h.maker = picture.NewMaker(node, os.Getpid(), book, time.Now())
	h.alarm = newAlarm(h, node, cfg)
	h.watchers = append(h.watchers, h.alarm, &d.pulse)
	h.alarm.begin()
	return h
}

// lastingDir is where what is to outlive a restart of the machine is kept: the run directory, if there is nothing better.
func lastingDir(cfg *config.Config, runDir string) string {
	dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":") // of systemd, which may name several
	dir = cmp.Or(cfg.Admin.Keep, dir, runDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		slog.Error("what the status page knows will not outlive a restart of the machine", "error", err)
		return runDir
	}
	return dir
}
