package edge

import (
	"log/slog"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/loop"
)

// ownFiles are the descriptors that the edge keeps for itself: sockets it listens on, logs, bodies in files, directories.
const ownFiles = 64

// fileRoom is how many clients the limit on open files has room for: three quarters of it. The rest is for connections to
// servers and for bodies in files: clients that do nothing must not take the descriptors without which none of them is
// served. Of kept connections far fewer than a quarter have a request under way.
func fileRoom() int64 { return max((loop.OpenFiles()-ownFiles)*3/4, 16) }

// roomFor is how many clients' connections there may be.
func (e *Edge) roomFor(cfg *config.Config) int64 {
	if n := int64(cfg.Limits.Connections); n > 0 && n < e.room {
		return n
	}
	return e.room
}

// crowded reports whether sessions of TCP, of which each takes two descriptors, leave no room for a further connection.
func (e *Edge) crowded() bool { return e.connections.Load()+e.relays.Load() >= e.room }

// fullEvery is how often it is said that connections are refused: whoever floods weir does not flood its log.
const fullEvery = 10 * time.Second

// sayFull says that connections are refused, and what to do about it.
func (e *Edge) sayFull(most int64, now time.Time) {
	at, last := now.Unix(), e.fullSaid.Load()
	if at-last < int64(fullEvery/time.Second) || !e.fullSaid.CompareAndSwap(last, at) {
		return
	}
	if most < e.room {
		slog.Warn("connections are refused: as many are open as limits.connections allows", "open", most)
		return
	}
	slog.Warn("connections are refused: no more find room in the limit on open files; raise it (LimitNOFILE= in the systemd unit, or ulimit -n)",
		"open", most)
}
