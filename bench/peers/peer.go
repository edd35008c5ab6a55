package main

import (
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

// peer is one proxy that can be run.
type peer struct {
	name    string
	config  string // its template in configs
	ask     string // the argument that prints its version
	argv    func(program, config, dir string) []string
	logs    bool // its standard output is its access log
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
		path, err := lookPath(p.name)
		if p.name == "weir" {
			if path, err = filepath.Abs(o.weir); err == nil {
				_, err = os.Stat(path)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%w; build weir with make build, leave it out with -only nginx,haproxy", err)
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

// lookPath finds a program; the distribution's daemons are in /usr/sbin, which is not in everyone's PATH.
func lookPath(name string) (string, error) {
	for _, try := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(try); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed: run scripts/need nginx-light haproxy wrk", name)
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

// setup fills a configuration template.
type setup struct {
	Dir            string
	Listen, Origin string // host:port
	Log            string // path of the access log; empty: none
	Body           string // the origin's
	Worker         string // a command that weir runs as a worker in place of Origin
	Threads        int
	Root           bool
}

//go:embed configs
var configs embed.FS

var templates = template.Must(template.New("").ParseFS(configs, "configs/*"))

// write fills a template into a file of the same name in Dir and returns its path.
func (s setup) write(name string) (string, error) {
	s.Root = os.Getuid() == 0
	s.Threads = threads
	path := filepath.Join(s.Dir, name)
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	err = templates.ExecuteTemplate(f, name, s)
	if e := f.Close(); err == nil {
		err = e
	}
	return path, err
}

// running is a peer at work.
type running struct {
	*process
	address string
	log     string // its access log; empty: none
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
	s.Listen = address
	r := &running{address: address}
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
func (b *bench) ready(p *peer, origin string, logged bool) (*running, error) {
	r, err := b.launch(p, setup{Origin: origin}, logged)
	if err != nil {
		return nil, err
	}
	if err := r.serves(b.ctx, r.address); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}
