package edge

import (
	"os"

	"github.com/weirhq/weir/internal/cgi"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/journal"
)

// findScript settles which program the path names. False means that the request was answered.
func (h *handler) findScript(cfg *config.Script) bool {
	g := h.up.gate
	path := h.x.Req.Path
	if len(h.path) > 0 {
		path = h.path
	}
	text, ok := cgi.AppendDecoded(g.text[:0], path)
	g.text = text
	if !ok {
		h.fail(400, journal.Refused, "the path names no program: decoded, it has a NUL or a dot segment in it")
		return false
	}
	path = text[:len(text):len(text)]
	if cfg == nil || cfg.Root == "" {
		g.told.Script, _ = cgi.Find(cfg, path, nil)
		return true
	}
	if !h.lookFor(cfg, path) {
		h.fail(404, journal.NoScript, "there is no such program")
		return false
	}
	return true
}

// lookFor looks on the disk for the program that a decoded path names.
func (h *handler) lookFor(cfg *config.Script, path []byte) (ok bool) {
	h.t.Do(func() { h.up.gate.told.Script, ok = cgi.Find(cfg, path, isFile) })
	return ok
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
