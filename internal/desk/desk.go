package desk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/desk/events"
	"github.com/weirhq/weir/internal/desk/exposition"
	"github.com/weirhq/weir/internal/desk/facts"
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
	offered map[string]net.Listener // handed down
	lock    *os.File                // of the book
	hub     *hub
	door    *door
}

func newDesk(version string, level *slog.LevelVar) *desk {
	return &desk{version: version, level: level, offered: map[string]net.Listener{}, door: newDoor()}
}

// Check looks whether a configuration is one that the desk can serve. Its errors have places.
func Check(cfg *config.Config) error {
	if cfg.Admin == nil || cfg.Admin.TLS == nil {
		return nil
	}
	if _, err := loadCertificate(cfg.Admin.TLS); err != nil {
		return cfg.ErrorAt("admin.tls", err.Error(), "write the paths of a certificate and its key, both in PEM form")
	}
	return nil
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
		d.runDir = s.RunDir
		if d.hub, err = d.newHub(cfg); err != nil {
			return err
		}
		go d.hub.run()
	}
	if err := d.door.use(d, cfg); err != nil {
		return err
	}
	d.cfg = cfg
	d.hub.cfg.Store(cfg)
	d.hub.numbers.Use(cfg.Metrics)
	var l slog.Level
	if l.UnmarshalText([]byte(cfg.Log.Level)) == nil {
		d.level.Set(l)
	}
	return nil
}

// newHub makes what asks keeper and edge, with what the desk before this one has counted.
func (d *desk) newHub(cfg *config.Config) (*hub, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("finding this machine's name: %w", err)
	}
	book := d.openBook()
	h := &hub{
		keeper: api.NewClient(api.KeeperSocket(d.runDir)), edge: api.NewClient(api.EdgeSocket(d.runDir)),
		maker: picture.NewMaker(host, os.Getpid(), book, time.Now()), series: series.New(), events: &events.Log{},
		end: make(chan struct{}), done: make(chan struct{}), listeners: map[*listener]bool{}, book: book,
	}
	h.cfg.Store(cfg)
	h.metrics, h.facts, h.runDir = exposition.New(h.now.Load), facts.New(), d.runDir
	h.numbers = statsd.New()
	h.metrics.Add(h.numbers.Families)
	h.watchers = append(h.watchers, &bookkeeper{d: d, h: h}, h.numbers)
	return h, nil
}

// The book lies in the run directory, so that the next desk goes on counting. Who has its lock may write it.

const (
	bookWait  = 3 * time.Second  // for the desk before this one to leave it
	bookEvery = 10 * time.Second // it is written
)

func (d *desk) bookPath() string { return filepath.Join(d.runDir, "desk.book") }

// openBook reads what another desk has left. Without it counting begins anew.
func (d *desk) openBook() (b picture.Book) {
	d.takeBookLock()
	text, err := os.ReadFile(d.bookPath())
	if errors.Is(err, fs.ErrNotExist) {
		return b
	}
	if err == nil {
		err = json.Unmarshal(text, &b)
	}
	if err != nil {
		slog.Warn("what was counted before cannot be read: counting begins anew", "error", err)
		return picture.Book{}
	}
	return b
}

// keepBook writes the book: aside, then in its place.
func (d *desk) keepBook() error {
	if d.hub == nil || d.lock == nil {
		return nil
	}
	d.hub.mu.Lock()
	text, err := json.Marshal(d.hub.book)
	d.hub.mu.Unlock()
	if err != nil {
		return fmt.Errorf("writing what was counted: %w", err)
	}
	aside := d.bookPath() + ".new"
	if err := errors.Join(os.WriteFile(aside, text, 0o600), os.Rename(aside, d.bookPath())); err != nil {
		return fmt.Errorf("writing what was counted: %w", err)
	}
	return nil
}

// bookkeeper has the book written now and then, lest a desk that is killed takes all with it.
type bookkeeper struct {
	d      *desk
	h      *hub
	last   time.Time
	failed bool
}

// Look writes the book when it is time.
func (b *bookkeeper) Look(p *picture.Picture) {
	if p.At.Sub(b.last) < bookEvery {
		return
	}
	b.last = p.At
	err := b.d.keepBook()
	if err != nil && !b.failed {
		slog.Error("what is counted will not outlive this process", "error", err)
	}
	b.failed = err != nil
}
