package cli

import (
	"os"

	"github.com/weirhq/weir/internal/cgi"
	"github.com/weirhq/weir/internal/config"
)

// speaks says in which protocol the servers of a route's pool are asked, and which program they are told to run for a path. It looks
// at the disk as the edge would.
func (e *explanation) speaks(r *config.Route, path string) {
	if c := r.CGI; c != nil {
		what := "the program that the path names below " + c.Root
		if c.Root == "" {
			what = c.Command
		}
		e.line("cgi", "%s, a process for each request, %d at a time, killed after %s", what, c.AtOnce, c.Timeout)
		return
	}
	for _, p := range e.cfg.Pools {
		if p.Name != r.Pool || p.Protocol == config.HTTP1 {
			continue
		}
		e.line("protocol", "%s", p.Protocol)
		if p.Protocol == config.H2C {
			continue
		}
		decoded, ok := cgi.AppendDecoded(nil, []byte(path))
		if !ok {
			e.line("program", "400: decoded, the path has a NUL or a dot segment in it")
			return
		}
		script, ok := cgi.Find(p.Script, decoded, func(file string) bool {
			info, err := os.Stat(file)
			return err == nil && info.Mode().IsRegular()
		})
		switch {
		case !ok:
			e.line("program", "404: there is none for %s below %s", decoded, p.Script.Root)
		case script.File != "":
			e.line("program", "%s, PATH_INFO %q", script.File, script.Info)
		default:
			e.line("program", "the server's own, PATH_INFO %q", script.Info)
		}
	}
}
