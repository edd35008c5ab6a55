package stock

import (
	"log/slog"
	"time"

	"github.com/weirhq/weir/internal/cache/ban"
	"github.com/weirhq/weir/internal/config"
)

// What a reload changes in the cache that is there. Nothing of this stops traffic; purges that come meanwhile wait.

// least is the memory of a cache that rests, in bytes: as little as the store can do with.
const least = 8 << 20

// Become puts a configuration's sizes and its disk in force. A cache that has rested begins anew: it has not seen what was
// changed meanwhile. It blocks; one at a time may be under way.
func (s *Stock) Become(to *config.Cache) {
	if s.resting {
		s.resting = false
		s.forgetAll()
	}
	s.resize(to)
	s.turnTo(to.Disk)
}

// Rest gives up what is kept, and the room it takes, since the configuration has no cache any more. Requests under way may
// still look into it.
func (s *Stock) Rest() {
	if s.resting {
		return
	}
	s.resting = true
	slog.Info("the configuration has no cache any more: what was kept is dropped")
	s.forgetAll()
	s.turning.Lock()
	d := s.second.Swap(nil)
	if err := d.end(true); err != nil {
		slog.Error("giving up the cache's disk: empty the directory", "path", d.options.Dir, "error", err)
	}
	s.turning.Unlock()
	s.resize(&config.Cache{Memory: least, MaxObject: least / 8})
}

// Resting reports whether the configuration in force has no cache. It is for who calls Become and Rest.
func (s *Stock) Resting() bool { return s.resting }

// forgetAll purges everything.
func (s *Stock) forgetAll() {
	if err := s.Purge(ban.Purge{Kind: ban.Everything, Hard: true}); err != nil {
		slog.Error("the cache could not be emptied", "error", err)
	}
}

// turnTo takes another disk, or none. In another directory the cache begins anew, in memory too: what was purged is known
// by numbers, which are a directory's own. With another size nothing is lost but what has no room.
func (s *Stock) turnTo(cfg *config.CacheDisk) {
	old := s.disk()
	if old.is(cfg) {
		return
	}
	s.turning.Lock()
	defer s.turning.Unlock()
	begun := time.Now()
	if err := old.end(false); err != nil {
		slog.Error("closing the cache's disk", "path", old.options.Dir, "error", err)
	}
	if cfg == nil {
		s.second.Store(nil)
		slog.Info("the cache goes without a disk; what is in its directory can be deleted", "path", old.options.Dir)
		return
	}
	same := old != nil && old.options.Dir == cfg.Path
	d := &disk{}
	if same {
		d.missed, d.many = old.missed, old.many
	}
	d.begin(s, cfg, !same)
	s.second.Store(d)
	switch {
	case same:
		slog.Info("the cache's disk has another size", "path", cfg.Path, "size", cfg.Size, "before", old.options.Size, "after", time.Since(begun).Round(time.Millisecond))
	case old != nil:
		slog.Info("the cache begins anew in another directory; the former can be deleted", "path", cfg.Path, "former", old.options.Dir)
	default:
		slog.Info("the cache has got a disk, and begins anew", "path", cfg.Path)
	}
}
