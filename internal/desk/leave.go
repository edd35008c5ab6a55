package desk

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/picture"
)

// How often what the desk knows is left for the next one, unless the file is large (see shelfRate). Where only the desk dies, the edge
// still has what it counted, and the keeper the last 4,096 lines that workers printed; both gone, as when the power fails, this is what is lost at the most.
const (
	totalsEvery   = time.Minute
	graphsEvery   = time.Minute
	eventsEvery   = 10 * time.Second
	alertsEvery   = time.Minute
	downtimeEvery = 5 * time.Second // a longer time of which nobody knows would be in the book of downtime
)

// leaveBehind leaves what the next desk has to know: what is due; the totals also when another edge counts, since what the one before
// has counted is known to nobody else from then on; at the end everything.
func (h *hub) leaveBehind(now time.Time, another, end bool) {
	due := func(name string, after time.Duration) bool { return end || h.shelf.due(name, now, after) }
	if another || due("totals", totalsEvery) {
		h.shelf.leave("totals", now, asJSON(h.maker.Book()))
	}
	if due("graphs", graphsEvery) {
		h.shelf.leave("graphs", now, h.series.Save)
	}
	if times := h.events.Times(); times != h.told && due("events", eventsEvery) || end {
		h.told = times
		h.shelf.leave("events", now, asJSON(h.events.Save()))
	}
	h.alarm.leave(now, due)
	if end {
		h.shelf.leave("pushed", now, asJSON(h.pushed))
	}
}

// takeWord adds to a book what an edge has left that stopped when the desk was gone already. Once only: after many other edges it would
// not be known again.
func (s *shelf) takeWord(path string, book *picture.Book) {
	if s.lock == nil {
		return
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var c api.Counters
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err = errors.Join(err, os.Remove(path)); err != nil || len(c.Epochs) == 0 {
		slog.Warn("what was answered in the last second before weir stopped is in no total", "error", err)
		return
	}
	book.Take(&c)
}

// asJSON returns what writes a value that nobody changes any more.
func asJSON(v any) func(io.Writer) error {
	return func(w io.Writer) error { return json.NewEncoder(w).Encode(v) }
}

// moveTo has what is left kept in another folder from now on.
func (h *hub) moveTo(dir string) {
	select {
	case <-h.moves: // which is out of date
	default:
	}
	h.moves <- dir
}

// move is moveTo in the hub's goroutine.
func (h *hub) move(dir string) {
	if dir == h.shelf.dir {
		return
	}
	s := openShelf(dir, "", h.runDir, 0) // pictures wait
	if s.lock == nil {
		told := []any{"folder", h.shelf.dir}
		if s.other != "" {
			told = append(told, "wanted", dir, "other_run_dir", s.other)
		}
		slog.Error("what the status page knows stays where it is: give each weir a folder of its own in admin.keep", told...)
		s.close() //nolint:errcheck // nothing was written
		return
	}
	old := h.shelf
	h.shelf = s
	h.leaveBehind(time.Now(), true, true)
	if err := old.close(); err != nil {
		slog.Error("leaving a folder", "folder", old.dir, "error", err)
	}
}
