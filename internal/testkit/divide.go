package testkit

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Most tests that start processes wait for most of their time, and could be run beside each other, but not in one
// process: whether a test leaves goroutines or descriptors behind (Leaks) can be seen of a whole process only, and so
// can what it costs. So each test gets a process of its own, and where the system lets us, a network of its own too
// (network_linux.go): no port that it uses, or lets weir choose, can be another's.
//
// How many run at a time is one number for all packages of a working tree that are tested at the same moment (places.go).

const (
	partVariable     = "WEIR_TEST_PART"     // this process runs one test: "network" if it has a network of its own
	programsVariable = "WEIR_TEST_PROGRAMS" // directory of what Build makes, for all processes of a package
	timesVariable    = "WEIR_TEST_TIMES"    // file that gets a line for each test: seconds, processor time, name
)

// Divide is the first thing in a package's TestMain. The process that `go test` has started does not return from it: it
// runs each test in a process of its own, some at a time, and exits. In each of those it returns, as it does when the
// flags ask for what only one process can do (profiles, coverage, benchmarks, fuzzing, one subtest).
//
// alone are tests that have the processors for themselves: those that measure time, or how much of something fits
// into a time.
func Divide(alone ...string) {
	switch os.Getenv(partVariable) {
	case "":
	case "network":
		if err := loopbackUp(); err != nil {
			fmt.Fprintln(os.Stderr, "a network of its own:", err)
			os.Exit(1)
		}
		return
	default:
		return
	}
	flag.Parse()
	if !divisible() {
		return
	}
	d := &division{alone: alone, began: time.Now()}
	names, err := d.tests()
	if err == nil && len(names) == 0 {
		return // there is a word for it
	}
	if err == nil {
		err = d.run(names)
	}
	if err != nil {
		fmt.Println("dividing the tests:", err)
		d.failed = true
	}
	if d.failed {
		fmt.Println(prefix() + "FAIL")
		os.Exit(1)
	}
	fmt.Println(prefix() + "PASS")
	os.Exit(0)
}

// divisible says whether the flags leave it to us how the tests are run.
func divisible() bool {
	for _, name := range []string{"list", "skip", "bench", "fuzz", "cpuprofile", "memprofile", "blockprofile",
		"mutexprofile", "trace", "coverprofile", "gocoverdir"} {
		if set(name) != "" {
			return false
		}
	}
	return !strings.Contains(set("run"), "/") && set("shuffle") == "off" && set("failfast") == "false"
}

// set returns what a flag of the test is set to.
func set(name string) string {
	f := flag.Lookup("test." + name)
	if f == nil {
		return ""
	}
	return f.Value.String()
}

type division struct {
	alone []string
	began time.Time

	mu     sync.Mutex // guards what follows, and what is written
	failed bool
}

// run runs these tests: first those that may have others beside them.
func (d *division) run(names []string) error {
	dir, err := os.MkdirTemp("", "weir-test-bin-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // temporary
	os.Setenv(programsVariable, dir)
	// The race detector has every process linger for a second at its end: for one, that is nothing.
	os.Setenv("GORACE", strings.TrimSpace("atexit_sleep_ms=20 "+os.Getenv("GORACE")))
	places, err := openPlaces()
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	defer running.Wait()
	for _, name := range names {
		if slices.Contains(d.alone, name) {
			continue
		}
		leave, err := places.enter()
		if err != nil {
			return err
		}
		running.Go(func() {
			defer leave()
			d.test(name)
		})
	}
	running.Wait()
	for _, name := range names {
		if !slices.Contains(d.alone, name) {
			continue
		}
		leave, err := places.enterAlone()
		if err != nil {
			return err
		}
		d.test(name)
		leave()
	}
	return nil
}

// tests lists the tests that -run names, and makes sure that those which are to be alone exist.
func (d *division) tests() (names []string, err error) {
	list := func(pattern string) ([]string, error) {
		cmd := exec.Command(os.Args[0], "-test.list="+pattern)
		cmd.Env = append(os.Environ(), partVariable+"=list")
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("listing them: %w: %s", err, out)
		}
		return slices.DeleteFunc(strings.Fields(string(out)), func(name string) bool {
			return strings.HasPrefix(name, "Benchmark")
		}), nil
	}
	all, err := list(".")
	if err != nil {
		return nil, err
	}
	for _, name := range d.alone {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("there is no test %s", name)
		}
	}
	if set("run") == "" {
		return all, nil
	}
	return list(set("run"))
}

// prefix stands before what `go test -json` takes for the testing package's own words.
func prefix() string {
	if set("v") == "test2json" {
		return "\x16"
	}
	return ""
}

// test runs one test in a process of its own.
func (d *division) test(name string) {
	args := []string{"-test.run=^" + regexp.QuoteMeta(name) + "$"}
	for _, a := range os.Args[1:] {
		if !regexp.MustCompile(`^--?test\.(run|timeout|testlogfile)=`).MatchString(a) {
			args = append(args, a)
		}
	}
	ctx := context.Background()
	if limit, err := time.ParseDuration(set("timeout")); err == nil && limit > 0 {
		// `go test` gives the whole so long; the process shows its goroutines before that.
		left := max(limit-time.Since(d.began)-5*time.Second, time.Second)
		args = append(args, "-test.timeout="+left.String())
		limited, cancel := context.WithTimeout(ctx, left+4*time.Second)
		defer cancel()
		ctx = limited
	}
	began := time.Now()
	out, state, err := d.process(ctx, args)
	d.mu.Lock()
	defer d.mu.Unlock()
	show(out)
	if err != nil {
		d.failed = true
		fmt.Printf("%s: %v\n", name, err)
	}
	d.note(name, time.Since(began), state)
}

// process runs this program with the arguments, in a network of its own where that is permitted, and returns what it wrote.
func (d *division) process(ctx context.Context, args []string) ([]byte, *os.ProcessState, error) {
	var out bytes.Buffer
	start := func(part string, attr *syscall.SysProcAttr) (*exec.Cmd, error) {
		cmd := exec.CommandContext(ctx, os.Args[0], args...)
		cmd.Env = append(os.Environ(), partVariable+"="+part)
		cmd.SysProcAttr = attr
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.WaitDelay = 10 * time.Second // for what it leaves behind with its output open
		return cmd, cmd.Start()
	}
	cmd, err := start("network", ownNetwork())
	if err != nil {
		cmd, err = start("beside", nil)
	}
	if err != nil {
		return nil, nil, err
	}
	err = cmd.Wait()
	return out.Bytes(), cmd.ProcessState, err
}

// show prints what a process has written, but for its last word, which would be about all tests.
func show(out []byte) {
	text, last := out, len(bytes.TrimRight(out, "\n"))
	if i := bytes.LastIndexByte(out[:last], '\n') + 1; i < last {
		if word := strings.TrimPrefix(string(out[i:last]), prefix()); word == "PASS" || word == "FAIL" {
			text = out[:i]
		}
	}
	os.Stdout.Write(text) //nolint:errcheck // there is nobody left to tell
}

// note writes down what a test took.
func (d *division) note(name string, took time.Duration, state *os.ProcessState) {
	path := os.Getenv(timesVariable)
	if path == "" || state == nil {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	busy := state.UserTime() + state.SystemTime()
	fmt.Fprintf(f, "%7.2f s, %7.2f s of processor time: %s %s\n", took.Seconds(), busy.Seconds(), filepath.Base(os.Args[0]), name)
}
