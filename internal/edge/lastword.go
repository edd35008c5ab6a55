package edge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/weirhq/weir/internal/api"
)

// leaveWord leaves what was counted for the next desk, where this edge stops and none follows: what was answered since the desk asked the
// last time, it asks for in vain.
func (e *Edge) leaveWord() {
	t := e.tree.Load()
	if t == nil || t.cfg.Admin == nil || t.cfg.RunDir == "" || e.successor.Load() != nil {
		return
	}
	c, err := e.Counters(context.Background()) // asks nobody: there is no successor
	if err == nil {
		err = writeWord(api.LastWord(t.cfg.RunDir), &c)
	}
	if err != nil {
		slog.Warn("what was answered in the last second is in no total", "error", err)
	}
}

func writeWord(path string, c *api.Counters) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	aside := path + ".new"
	if err = os.WriteFile(aside, text, 0o600); err == nil {
		err = os.Rename(aside, path)
	}
	if err != nil {
		return fmt.Errorf("leaving what was counted: %w", errors.Join(err, os.RemoveAll(aside)))
	}
	return nil
}
