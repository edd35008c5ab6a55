// Command peers runs weir, nginx, HAProxy and, where caches are compared, Varnish on the same work in turns and writes what it saw as a table.
//
// The load generator, the proxy and the origin share the machine's cores, so requests per second say as much about the
// other two as about the proxy. The figure that counts is processor time per request of the proxy's whole process tree,
// and its ratio to the best peer in the same run: machines differ, and one machine differs from hour to hour. Therefore
// peers take turns, each with a fresh process, and medians are reported with their range.
//
// It is a tool for people at this repository's root; nothing of it is part of weir.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/weirhq/weir/bench/section"
)

// options are the command line's.
type options struct {
	only, what     []string
	turns, seconds int
	connections    int    // kept ones under load
	idle           int    // idle ones
	weir, floor    string // programs
	out            string
}

func init() {
	// A child's death signal is tied to the thread that started it: all children are started from the main thread.
	runtime.LockOSThread()
}

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = run(ctx, o)
		release()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func parse(args []string, usage io.Writer) (options, error) {
	var o options
	var only, what string
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&only, "only", "", "peers to run, by commas: "+strings.Join(peerNames(), ", ")+" (default: all)")
	flags.StringVar(&what, "what", "", "work to do, by commas: "+strings.Join(scenarioNames(), ", ")+" (default: all)")
	flags.IntVar(&o.turns, "turns", 3, "turns for each peer; medians are reported")
	flags.IntVar(&o.seconds, "seconds", 5, "seconds of load in a turn")
	flags.IntVar(&o.connections, "connections", 64, "kept connections under load")
	flags.IntVar(&o.idle, "idle", 10000, "idle connections")
	flags.StringVar(&o.weir, "weir", "bin/weir", "the weir to run")
	flags.StringVar(&o.floor, "floor", "bin/floor", "bench/floor, built")
	flags.StringVar(&o.out, "out", "", "file for the report (default: standard output)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q; all is said by flags, see -h", flags.Arg(0))
	}
	var err error
	if o.only, err = choose("only", only, peerNames()); err != nil {
		return o, err
	}
	if o.what, err = choose("what", what, scenarioNames()); err != nil {
		return o, err
	}
	for name, value := range map[string]int{"turns": o.turns, "seconds": o.seconds, "connections": o.connections, "idle": o.idle} {
		if value < 1 || value > 20000 {
			return o, fmt.Errorf("-%s %d: give a number of 1 to 20000", name, value)
		}
	}
	return o, nil
}

// choose splits a list of names; an empty one means all.
func choose(flag, list string, all []string) ([]string, error) {
	if list == "" {
		return all, nil
	}
	names := strings.Split(list, ",")
	for _, name := range names {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("-%s %s: there is %s", flag, name, strings.Join(all, ", "))
		}
	}
	return names, nil
}

// bench is one run: the origins and a directory of its own.
type bench struct {
	options
	ctx    context.Context
	dir    string
	small  string // the address of the origin of 1 KiB bodies
	large  string // the address of the origin that takes and gives large ones
	worker string // the path of examples/hello, built
}

func run(ctx context.Context, o options) error {
	peers, err := find(o)
	if err != nil {
		return err
	}
	if err := raiseFiles(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{options: o, ctx: ctx, dir: dir}
	stop, err := b.origins()
	defer stop()
	if err != nil {
		return err
	}
	began := time.Now()
	results, err := b.turnsOf(peers)
	if err != nil {
		return err
	}
	text := report(machine(), o, peers, results, began)
	if o.out == "" {
		_, err = os.Stdout.WriteString(text)
		return err
	}
	return section.PutBefore(o.out, text)
}

// turnsOf does all the work: for each scenario each turn lets every peer run once.
func (b *bench) turnsOf(peers []*peer) (results, error) {
	all := results{}
	for _, s := range scenarios {
		if !slices.Contains(b.what, s.name) {
			continue
		}
		turns := b.turns * max(s.times, 1)
		for turn := range turns {
			for _, p := range peers {
				if !p.does(s) {
					continue
				}
				sample, err := s.run(b, p)
				if err == nil {
					err = b.ctx.Err()
				}
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", s.name, p.name, err)
				}
				all.add(s.name, p.name, sample)
				fmt.Fprintf(os.Stderr, "turn %d/%d  %-9s %-8s %s\n", turn+1, turns, s.name, p.name, s.line(sample))
			}
		}
	}
	return all, nil
}

// origins starts what the peers proxy to; stop ends it, also after an error.
func (b *bench) origins() (stop func(), err error) {
	var running []*process
	stop = func() {
		for _, p := range running {
			p.stop()
		}
	}
	b.worker = filepath.Join(b.dir, "hello")
	build := exec.CommandContext(b.ctx, "go", "build", "-o", b.worker, "./examples/hello")
	if out, err := build.CombinedOutput(); err != nil {
		return stop, fmt.Errorf("building the origin of large bodies (run this at the repository's root): %w\n%s", err, out)
	}
	if b.small, err = freeAddress(); err != nil {
		return stop, err
	}
	s := setup{Dir: b.dir, Listen: b.small, Body: strings.Repeat("x", bodySize)}
	if err := os.WriteFile(filepath.Join(b.dir, "large"), bytes.Repeat([]byte("y"), largeHit), 0o644); err != nil {
		return stop, err
	}
	if err := os.Chmod(b.dir, 0o755); err != nil { // the origin's workers may be another user's
		return stop, err
	}
	config, err := s.write("origin.conf")
	if err != nil {
		return stop, err
	}
	nginx, err := lookPath("nginx")
	if err != nil {
		return stop, err
	}
	p, err := start([]string{nginx, "-p", b.dir, "-e", b.dir + "/origin.err", "-c", config}, b.dir+"/origin.out")
	if err != nil {
		return stop, err
	}
	running = append(running, p)
	if b.large, err = freeAddress(); err != nil {
		return stop, err
	}
	if p, err = start([]string{b.worker, "-listen", b.large}, b.dir+"/large.out"); err != nil {
		return stop, err
	}
	running = append(running, p)
	if err := running[0].serves(b.ctx, b.small); err != nil {
		return stop, err
	}
	return stop, running[1].serves(b.ctx, b.large)
}
