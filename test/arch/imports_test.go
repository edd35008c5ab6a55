package arch

import (
	"go/ast"
	"strings"
	"testing"
)

// tiers is the import law: a package may import packages of the tiers below its own, none of its own tier and none
// above. A package below another in the tree (pool/balance) is part of it. Tier 0 are the leaves.
var tiers = map[string]int{
	"cli":     6,
	"keeper":  5,
	"edge":    5,
	"desk":    5,
	"route":   4,
	"files":   4,
	"cache":   4,
	"pool":    4,
	"app":     4,
	"http1":   3,
	"http2":   3,
	"loop":    1,
	"config":  1,
	"api":     1,
	"message": 0,
	"journal": 0,
	"pages":   0,
	"metrics": 0,
	"trace":   0,
	"notice":  0,

	// Conditions of rules: config checks them, the desk asks them.
	"condition": 0,

	// What a TLS client says first.
	"clienthello": 0,
	// Bytes alone: the edge reads and writes these headers, and probes write them.
	"proxyproto": 0,

	// What the desk, its pages and the terminal view read: made of what api tells.
	"picture": 2,
	// How processes hand a configuration on: keeper's api and config meet there.
	"source": 2,
	// The terminal view is a client of the desk.
	"top": 5,

	// Of the tier of cache: the edge joins them.
	"esi":      4,
	"compress": 4,

	// How variables travel: cgi joins them.
	"fcgi":  2,
	"uwsgi": 2,
	"scgi":  2,

	// Of the tier of http1; they are made of leaves.
	"exchange":       3,
	"cgi":            3,
	"representation": 3,
}

var tierNames = []string{"the leaves", "{loop, config, api}", "{fcgi, uwsgi, scgi, picture, source}", "{http1, http2, cgi, exchange, representation}", "{route, files, cache, pool, app}",
	"{keeper, edge, desk, top}", "cli"}

// unit returns the part of weir that a package belongs to ("pool" for internal/pool/balance), "" for what is not
// under internal.
func unit(dir string) string {
	rest, ok := strings.CutPrefix(dir, "internal/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// shipped reports whether a package is part of the product: what bin/weir is made of.
func shipped(dir string) bool {
	return (strings.HasPrefix(dir, "internal/") || strings.HasPrefix(dir, "cmd/")) && unit(dir) != "testkit"
}

// TestTiers holds the import law itself.
func TestTiers(t *testing.T) {
	for _, f := range goFiles(t) {
		from := unit(f.dir)
		if f.test || !shipped(f.dir) {
			continue
		}
		level, known := tiers[from]
		if from == "" {
			level, known = len(tierNames), true // cmd
		}
		if !known {
			t.Errorf("%s: the package %s has no place in the import law: give it one in test/arch/imports_test.go and in ARCHITECTURE.md", f.path, f.dir)
			continue
		}
		for _, i := range f.imports {
			to := unit(strings.TrimPrefix(i, module+"/"))
			if !strings.HasPrefix(i, module+"/") || to == from || to == "" {
				continue
			}
			if to == "testkit" {
				t.Errorf("%s imports testkit: it is for tests only, and it links `testing`", f.path)
				continue
			}
			below, ok := tiers[to]
			switch {
			case !ok:
				t.Errorf("%s imports internal/%s, which has no place in the import law", f.path, to)
			case below == level:
				t.Errorf("%s imports internal/%s: packages of one tier (%s) do not import each other; they meet in the process that builds them, through a small interface declared by the one that uses it",
					f.path, to, tierNames[level])
			case below > level:
				t.Errorf("%s imports internal/%s, which is above it: %s may import only what is below", f.path, to, tierNames[level])
			case from == "" && to != "cli":
				t.Errorf("%s imports internal/%s: cmd holds only main, and main calls cli", f.path, to)
			}
		}
	}
}

// A rule allows an import (a path, or everything below it) only in some places.
type rule struct {
	path   string
	only   []string // units or directories; none: nowhere
	tests  bool     // tests may import it anywhere
	reason string
}

var rules = []rule{
	{"golang.org/x/sys/unix", []string{"internal/loop", "internal/cache/store", "internal/app", "internal/testkit"}, true, "only the engine makes raw system calls, the cache's store maps its memory, which lies outside Go's heap, app hands its processes from one program to the next, and testkit brings a loopback up"},
	{"go.yaml.in/yaml", []string{"internal/config"}, false, "the configuration's syntax is config's business alone: others get checked values"},
	{"gopkg.in/yaml.v2", nil, false, "unmaintained: config uses go.yaml.in/yaml/v4"},
	{"gopkg.in/yaml.v3", nil, false, "unmaintained: config uses go.yaml.in/yaml/v4"},
	{"go.opentelemetry.io", []string{"internal/desk/otlp"}, true, "traces are written for collectors in one place: others have api.Span"},
	{"google.golang.org/protobuf", []string{"internal/desk/otlp"}, true, "likewise"},
	{"google.golang.org/grpc", nil, false, "OTLP goes over HTTP: the messages alone are needed"},
	{"github.com/spf13/cobra", []string{"internal/cli"}, false, "verbs and flags are read in one place"},
	{"github.com/coreos/go-systemd", []string{"internal/cli"}, false, "who started weir is the command line's business: the keeper gets sockets and a function"},
	{"github.com/spf13/viper", nil, false, "config decodes strictly and knows the position of each key"},
	{"github.com/valyala/fasthttp", nil, false, "its header model and its limits on streaming are not ours; two HTTP parsers in one program read one message in two ways"},
	{"github.com/panjf2000/gnet", nil, false, "the engine is internal/loop"},
	{"github.com/cloudwego/netpoll", nil, false, "the engine is internal/loop"},
	{"go.uber.org/zap", nil, false, "log/slog is enough"},
	{"github.com/rs/zerolog", nil, false, "log/slog is enough"},
	{"github.com/sirupsen/logrus", nil, false, "log/slog is enough"},
	{"github.com/pkg/errors", nil, false, "fmt.Errorf with %w is enough"},
	{"github.com/stretchr/testify", nil, false, "tests say what they mean in Go; go-cmp shows differences"},
	{"net/http/httputil", nil, true, "a reverse proxy is what weir is"},
	{"html/template", []string{"examples"}, false, "it calls methods by name, which turns the linker's dead code removal off for the whole program"},
	{"text/template", []string{"examples"}, false, "it calls methods by name, which turns the linker's dead code removal off for the whole program"},
	{"plugin", nil, false, "one binary"},
	{"unsafe", []string{"internal/loop", "internal/cache/store", "internal/app", "bench/floor"}, true, "only the engine, memory outside of Go's heap, the limit that a failed exec has changed, and the measure that makes bare system calls need what the compiler cannot check"},
}

// TestPlaces holds the rules about single imports.
func TestPlaces(t *testing.T) {
	for _, f := range goFiles(t) {
		for _, i := range f.imports {
			for _, r := range rules {
				if (i != r.path && !strings.HasPrefix(i, r.path+"/")) || (f.test && r.tests) || within(f.dir, r.only) {
					continue
				}
				where := "nowhere in weir"
				if r.only != nil {
					where = "only in " + strings.Join(r.only, ", ")
				}
				t.Errorf("%s imports %s, which is allowed %s: %s", f.path, i, where, r.reason)
			}
		}
	}
}

func within(dir string, places []string) bool {
	for _, p := range places {
		if dir == p || strings.HasPrefix(dir, p+"/") {
			return true
		}
	}
	return false
}

// TestExamplesStandAlone: the demo is a plain program that knows nothing of weir, as its users' programs are.
func TestExamplesStandAlone(t *testing.T) {
	for _, f := range goFiles(t) {
		if !within(f.dir, []string{"examples"}) {
			continue
		}
		for _, i := range f.imports {
			if strings.HasPrefix(i, module+"/internal") {
				t.Errorf("%s imports %s: an example is a program as users have it and knows nothing of weir", f.path, i)
			}
		}
	}
}

// TestSystemCalls: processes and signals are handled in app and keeper, descriptors are handed from process to process
// by api, a cache's directory is locked by cache/segment, config asks how large its file system is, and the programs of health checks
// are ended by pool/probe, the desk locks its book and asks who is on the other side of its socket; every other system call goes through the engine. Numbers and types of package syscall (ECONNRESET, SIGTERM, Errno) may be named anywhere.
func TestSystemCalls(t *testing.T) {
	allowed := []string{"internal/loop", "internal/app", "internal/keeper", "internal/api", "internal/cache/segment", "internal/config", "internal/pool/probe", "internal/desk"}
	types := map[string]bool{"Errno": true, "Signal": true}
	for _, f := range goFiles(t) {
		if f.test || !shipped(f.dir) || within(f.dir, allowed) {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if s, ok := call.Fun.(*ast.SelectorExpr); ok && !types[s.Sel.Name] {
				if p, ok := s.X.(*ast.Ident); ok && p.Name == "syscall" {
					t.Errorf("%s calls syscall.%s: system calls are made in %s only", f.at(call), s.Sel.Name, strings.Join(allowed, ", "))
				}
			}
			return true
		})
	}
}

// TestLinked looks at everything that would be linked into weir, the dependencies of its dependencies too.
func TestLinked(t *testing.T) {
	seen := map[string]bool{}
	var patterns []string
	for _, f := range goFiles(t) {
		if !f.test && shipped(f.dir) && !seen[f.dir] && f.syntax.Name.Name != "main" || f.dir == "cmd/weir" && !seen[f.dir] {
			seen[f.dir] = true
			patterns = append(patterns, "./"+f.dir)
		}
	}
	banned := map[string]string{
		"testing":                     "it registers flags and is no part of a product",
		"html/template":               "it turns dead code removal off for the whole binary",
		"github.com/valyala/fasthttp": "two HTTP parsers in one program read one message in two ways",
		"github.com/spf13/viper":      "config decodes strictly by itself",
		"go.uber.org/zap":             "log/slog is enough",
		"net/http/pprof":              "it registers handlers on http.DefaultServeMux by being imported",
		"expvar":                      "it registers handlers on http.DefaultServeMux by being imported",
	}
	deps := dependencies(t, patterns...)
	if len(deps) < 20 {
		t.Fatalf("go list named only %d packages", len(deps))
	}
	for p, reason := range banned {
		if by := deps[p]; by != "" {
			t.Errorf("%s is linked into weir, imported by %s: %s", p, by, reason)
		}
	}
}
