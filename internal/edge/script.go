package edge

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"

	"github.com/weirhq/weir/internal/cgi"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/journal"
)

// maxCandidates is how many segments of a path may look like a program's name.
const maxCandidates = 8

// findScript settles which program the path names. False means that the request was answered.
//
// A program is run only if its file is there. PHP would else take the path apart by itself: asked for /upload/x.jpg/y.php,
// which is not there, it runs /upload/x.jpg, which anybody may have uploaded.
func (h *handler) findScript(cfg *config.Script) bool {
	g := h.up.gate
	path := h.x.Req.Path
	if len(h.path) > 0 {
		path = h.path
	}
	var ok bool
	if g.text, ok = cgi.AppendDecoded(g.text[:0], path); !ok {
		h.fail(400, journal.Refused, "the path names no program: decoded, it has a NUL or a dot segment in it")
		return false
	}
	path = g.text[:len(g.text):len(g.text)]
	s := &g.told.Script
	switch {
	case cfg == nil:
		s.Info = path
		return true
	case cfg.Root == "":
		*s = cgi.Script{Root: filepath.Dir(cfg.File), File: cfg.File, Name: []byte("/" + filepath.Base(cfg.File))}
		return true
	}
	h.t.Do(func() { *s = lookFor(cfg, path) })
	if s.File == "" {
		h.fail(404, journal.NoScript, "there is no such program")
		return false
	}
	return true
}

// lookFor finds the program that a decoded path names. It waits for the disk.
func lookFor(cfg *config.Script, path []byte) cgi.Script {
	found := func(n int, index string) (cgi.Script, bool) {
		name := string(path[:n]) + index
		file := cfg.Root + name
		info, err := os.Stat(file)
		if err != nil || !info.Mode().IsRegular() {
			return cgi.Script{}, false
		}
		return cgi.Script{Root: cfg.Root, File: file, Name: []byte(name), Info: path[n:]}, true
	}
	if !hidden(path) {
		for from, tries := 0, 0; tries < maxCandidates; tries++ {
			n := cgi.Split(path[from:], cfg.Split)
			if n < 0 {
				break
			}
			if s, ok := found(from+n, ""); ok {
				return s
			}
			from += n
		}
		if cfg.Index != "" && path[len(path)-1] == '/' {
			if s, ok := found(len(path), cfg.Index); ok {
				return s
			}
		}
	}
	if cfg.File == "" {
		return cgi.Script{}
	}
	return cgi.Script{Root: cfg.Root, File: cfg.File, Name: []byte(strings.TrimPrefix(cfg.File, strings.TrimSuffix(cfg.Root, "/")))}
}

// hidden reports whether a path leads through a dot file or folder, which nobody means to serve.
func hidden(path []byte) bool { return bytes.Contains(path, []byte("/.")) }
