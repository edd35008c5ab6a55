package main

import (
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// peer is one proxy that can be run.
type peer struct {
	name    string
	config  string // its name in configs
	ask     string // the argument that prints its version
	argv    func(program, config, dir string) []string
	logs    bool // its standard output is its access log
	caches  bool // it is there for its cache alone
	floor   bool // it does nothing: a measure to compare with, not a peer to beat
	program string
	version string
}

var allPeers = []*peer{
	{
		name: "weir", config: "weir.yaml", ask: "version",
		argv: func(program, config, dir string) []string {
			return []string{program, "run", config, "--run-dir", filepath.Join(dir, "run")}
		},
	},
	{
		name: "nginx", config: "nginx.conf", ask: "-v",
		argv: func(program, config, dir string) []string {
			return []string{program, "-p", dir, "-e", dir + "/nginx.err", "-c", config}
		},
	},
	{
		name: "haproxy", config: "haproxy.cfg", ask: "-v", logs: true,
		argv: func(program, config, dir string) []string { return []string{program, "-db", "-f", config} },
	},
	{
		name: "varnishd", config: "varnish.vcl", ask: "-V", caches: true,
		argv: func(program, config, dir string) []string {
			// The address is the file's first line: the language has no place for it.
			return []string{program, "-F", "-n", filepath.Join(dir, "work"), "-a", firstWord(config), "-f", config,
				"-s", "malloc,256m", "-p", "thread_pools=" + strconv.Itoa(threads)}
		},
	},
	{
		name: "floor", config: "floor.conf", ask: "-version", floor: true,
		argv: func(program, config, _ string) []string {
			return []string{program, "-listen", firstWord(config), "-size", strconv.Itoa(bodySize), "-threads", strconv.Itoa(threads)}
		},
	},
}

// does reports whether a peer takes part in a scenario.
func (p *peer) does(s *scenario) bool {
	switch {
	case s.only != "":
		return s.only == p.name
	case p.floor:
		return s.floor
	}
	return !p.caches || s.hits
}

// firstWord returns what stands behind # in a configuration's first line.
func firstWord(config string) string {
	text, err := os.ReadFile(config)
	if err != nil {
		return err.Error() // no address: the program says so
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimPrefix(line, "# ")
}

func peerNames() []string {
	var names []string
	for _, p := range allPeers {
		names = append(names, p.name)
	}
	return names
}

// find returns the chosen peers with their programs and versions.
func find(o options) ([]*peer, error) {
	var found []*peer
	for _, p := range allPeers {
		if !slices.Contains(o.only, p.name) {
			continue
		}
		if !slices.ContainsFunc(scenarios, func(s *scenario) bool { return slices.Contains(o.what, s.name) && p.does(s) }) {
			continue
		}
		path, err := programOf(p, o)
		if err != nil {
			return nil, fmt.Errorf("%w; build weir with make build and the floor with go build -o bin/ ./bench/floor, or leave them out with -only nginx,haproxy", err)
		}
		out, err := exec.Command(path, p.ask).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("asking %s for its version: %w: %s", path, err, out)
		}
		p.program, p.version = path, versionIn(string(out))
		found = append(found, p)
	}
	if _, err := lookPath("wrk"); err != nil {
		return nil, err
	}
	return found, nil
}

// programOf returns the path of a peer's program. This repository's own must have been built.
func programOf(p *peer, o options) (path string, err error) {
	switch {
	case p.name == "weir":
		path, err = filepath.Abs(o.weir)
	case p.floor:
		path, err = filepath.Abs(o.floor)
	default:
		return lookPath(p.name)
	}
	if err == nil {
		_, err = os.Stat(path)
	}
	return path, err
}

// lookPath finds a program; the distribution's daemons are in /usr/sbin, which is not in everyone's PATH.
func lookPath(name string) (string, error) {
	for _, try := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(try); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed: run scripts/need nginx-light haproxy varnish wrk", name)
}

// versionIn picks the version out of what a program says about itself.
func versionIn(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	for word := range strings.FieldsSeq(line) {
		word = strings.TrimPrefix(word, "nginx/")
		if strings.ContainsAny(word, "0123456789") && strings.Trim(word[:1], "v0123456789") == "" {
			return word
		}
	}
	return strings.TrimSpace(line)
}

// setup is what a configuration is filled with.
type setup struct {
	Dir            string
	Listen, Origin string // host:port
	Log            string // path of the access log; empty: none
	Body           string // the origin's
	Worker         string // a command that weir runs as a worker in place of Origin
	Cache          bool   // what may be kept is kept
	Page           string // the address of weir's status page; empty: none
	Collector      string // where it sends traces, beside the page
}

//go:embed configs
var configs embed.FS

// fill puts the values for {Name} into a configuration. A line that begins with ?log, ?root, ?worker, ?page or ?cache is there only
// when there is such a thing, one with ?!log only when there is not. (text/template would do, but is kept out of this
// repository's programs: see test/arch.)
func (s setup) fill(text string) (string, error) {
	host, port, _ := strings.Cut(s.Origin, ":")
	values := strings.NewReplacer("{Dir}", s.Dir, "{Listen}", s.Listen, "{Origin}", s.Origin, "{OriginHost}", host, "{OriginPort}", port, "{Log}", s.Log, "{Body}", s.Body,
		"{Worker}", s.Worker, "{Page}", s.Page, "{Collector}", s.Collector, "{Threads}", strconv.Itoa(threads))
	conditions := map[string]bool{"log": s.Log != "", "worker": s.Worker != "", "cache": s.Cache, "page": s.Page != "", "root": os.Getuid() == 0}
	var out strings.Builder
	for line := range strings.Lines(text) {
		if rest, is := strings.CutPrefix(line, "?"); is {
			name, body, _ := strings.Cut(rest, " ")
			name, not := strings.CutPrefix(name, "!")
			holds, known := conditions[name]
			if !known {
				return "", fmt.Errorf("unknown condition %q", name)
			}
			if holds == not {
				continue
			}
			line = body
		}
		out.WriteString(values.Replace(line))
	}
	return out.String(), nil
}

// write fills a configuration into a file of the same name in Dir and returns its path.
func (s setup) write(name string) (string, error) {
	text, err := configs.ReadFile("configs/" + name)
	if err != nil {
		return "", err
	}
	filled, err := s.fill(string(text))
	if err != nil {
		return "", fmt.Errorf("configs/%s: %w", name, err)
	}
	path := filepath.Join(s.Dir, name)
	return path, os.WriteFile(path, []byte(filled), 0o644)
}

// running is a peer at work.
type running struct {
	*process
	address string
	log     string // its access log; empty: none
	dir     string
}

// launch starts a peer on a free port before origin; it may not serve yet.
func (b *bench) launch(p *peer, s setup, logged bool) (*running, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	if s.Dir, err = os.MkdirTemp(b.dir, p.name+"-"); err != nil {
		return nil, err
	}
	if err := os.Chmod(s.Dir, 0o755); err != nil { // Varnish reads its configuration as another user
		return nil, err
	}
	s.Listen = address
	r := &running{address: address, dir: s.Dir}
	output := filepath.Join(s.Dir, "output")
	if logged {
		r.log = filepath.Join(s.Dir, "access.log")
		s.Log = r.log
		if p.logs {
			output = r.log
		}
	}
	config, err := s.write(p.config)
	if err != nil {
		return nil, err
	}
	r.process, err = start(p.argv(p.program, config, s.Dir), output)
	return r, err
}

// ready starts a peer and waits until it serves.
func (b *bench) ready(p *peer, s setup, logged bool) (*running, error) {
	r, err := b.launch(p, s, logged)
	if err != nil {
		return nil, err
	}
	if err := r.serves(b.ctx, r.address); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}
