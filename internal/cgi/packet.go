package cgi

import (
	"bytes"
	"path/filepath"
	"strings"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/fcgi"
	"github.com/weirhq/weir/internal/scgi"
	"github.com/weirhq/weir/internal/uwsgi"
)

// AppendPacket appends to an empty dst what goes before a request's body in a protocol. vars are those of Vars. With keep a FastCGI
// server is asked to leave the connection open. False when a limit of the protocol forbids it.
func AppendPacket(dst []byte, p config.Protocol, keep bool, vars []Var) (_ []byte, ok bool) {
	switch p {
	case config.FastCGI:
		var params fcgi.Params
		dst = params.Begin(fcgi.AppendBegin(dst, keep))
		for i := range vars {
			if dst, ok = params.Append(dst, vars[i].Name, vars[i].Value); !ok {
				return dst, false
			}
		}
		return params.End(dst), true
	case config.UWSGI:
		dst = uwsgi.Begin(dst)
		for i := range vars {
			if dst, ok = uwsgi.Append(dst, vars[i].Name, vars[i].Value); !ok {
				return dst, false
			}
		}
		return dst, uwsgi.End(dst, 0)
	case config.SCGI:
		for i := range vars {
			if dst, ok = scgi.Append(dst, vars[i].Name, vars[i].Value); !ok {
				return dst, false
			}
			if i == 0 {
				dst, _ = scgi.Append(dst, scgiName, scgiVersion)
			}
		}
		return scgi.End(dst, 0), true
	}
	return dst, false
}

var scgiName, scgiVersion = []byte("SCGI"), []byte("1")

// maxCandidates is how many segments of a path may look like a program's name.
const maxCandidates = 8

// Find finds the program that a decoded path names. isFile says whether there is a regular file; it may wait for the disk. False
// when there is no program for the path.
//
// A program is found only if its file is there. PHP would else take the path apart by itself: asked for /upload/x.jpg/y.php, which
// is not there, it runs /upload/x.jpg, which anybody may have uploaded. What lies in dot folders is never run.
func Find(cfg *config.Script, path []byte, isFile func(string) bool) (Script, bool) {
	if cfg == nil {
		return Script{Info: path}, true
	}
	if cfg.Root == "" {
		return Script{Root: filepath.Dir(cfg.File), File: cfg.File, Name: []byte("/" + filepath.Base(cfg.File))}, true
	}
	root := strings.TrimSuffix(cfg.Root, "/")
	if !bytes.Contains(path, []byte("/.")) {
		for from, tries := 0, 0; tries < maxCandidates; tries++ {
			n := Split(path[from:], cfg.Split)
			if n < 0 {
				break
			}
			from += n
			if name := path[:from]; isFile(root + string(name)) {
				return Script{Root: cfg.Root, File: root + string(name), Name: name, Info: path[from:]}, true
			}
		}
		if cfg.Index != "" && bytes.HasSuffix(path, []byte("/")) {
			if name := string(path) + cfg.Index; isFile(root + name) {
				return Script{Root: cfg.Root, File: root + name, Name: []byte(name)}, true
			}
		}
	}
	if cfg.File == "" {
		return Script{}, false
	}
	return Script{Root: cfg.Root, File: cfg.File, Name: []byte(strings.TrimPrefix(cfg.File, root))}, true
}
