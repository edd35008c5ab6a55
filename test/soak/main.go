// Command soak loads the Django example, a small app and three fixed servers behind weir, and behind HAProxy, breaks one thing after
// the other, and then all at once, and counts what clients lose. It fails when weir breaks a promise of docs/reliability.md.
//
//	go run ./test/soak -weir bin/weir -for 10m -out docs/reliability.md
//	go run ./test/soak -weir bin/weir -for 2m -haproxy=false
//
// It is a test and no part of weir; it measures no speed, only how long clients wait while things break.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The kinds of faults.
const (
	calm      = "nothing"
	rolling   = "rolling reload"
	recycling = "recycling"
	killing   = "worker killed"
	hanging   = "worker stopped"
	proxyDie  = "proxy killed"
	upgrade   = "upgrade"
	reload    = "configuration reload"
	allAtOnce = "all at once"
)

// kinds are in the order in which they are made, with what each may cost.
var kinds = []struct {
	name string
	promise
}{
	{calm, promise{}},
	{rolling, promise{}},
	{recycling, promise{}},
	{upgrade, promise{}},
	{reload, promise{}},
	{killing, promise{posts: true}},
	{hanging, promise{posts: true}},
	{hangs, promise{posts: true}},
	{garbage, promise{posts: true}},
	{resets, promise{posts: true}},
	{proxyDie, promise{cuts: true}},
	{allAtOnce, promise{cuts: true, posts: true}},
}

type options struct {
	weir    string
	out     string
	length  time.Duration
	rate    float64
	haproxy bool
	only    string
	keep    bool
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "worker" {
		if err := runWorker(os.Args[2]); err != nil {
			log.Fatal(err)
		}
		return
	}
	var o options
	flag.StringVar(&o.weir, "weir", "bin/weir", "the binary")
	flag.StringVar(&o.out, "out", "", "page whose tables are written; empty: they are printed only")
	flag.DurationVar(&o.length, "for", 10*time.Minute, "how long weir is loaded")
	flag.Float64Var(&o.rate, "rate", 2000, "requests a second, if this machine carries them")
	flag.BoolVar(&o.haproxy, "haproxy", true, "HAProxy too")
	flag.StringVar(&o.only, "only", "", "kinds of faults, by commas; empty: all")
	flag.BoolVar(&o.keep, "keep", false, "keep the directory with the logs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, o options) (err error) {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(root, "examples/django/start.sh")); err != nil {
		return errors.New("run it in the directory of the repository")
	}
	if o.weir, err = filepath.Abs(o.weir); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "soak-") // short: there are Unix sockets in it
	if err != nil {
		return err
	}
	defer func() {
		if err != nil || o.keep {
			log.Printf("the logs are in %s", dir)
			return
		}
		err = os.RemoveAll(dir)
	}()
	r := &report{began: time.Now(), length: o.length, machine: machine()}
	weir, err := startWeir(ctx, filepath.Join(dir, "weir"), root, o.weir)
	if err != nil {
		return err
	}
	r.rates, r.carries, err = calibrate(ctx, weir, o.rate)
	if err != nil {
		return errors.Join(err, weir.stop())
	}
	log.Printf("%.0f requests a second: Django %.0f of the %.0f it can do, the app %.0f, fixed servers %.0f", r.rates.total(), r.rates.django, r.carries, r.rates.app, r.rates.fixed)
	if r.weir, err = soak(ctx, weir, r.rates, o); err != nil {
		return err
	}
	if o.haproxy {
		h, err := startHAProxy(ctx, filepath.Join(dir, "haproxy"), root)
		if err != nil {
			return err
		}
		if r.haproxy, err = soak(ctx, h, r.rates, o); err != nil {
			return err
		}
		version, err := exec.Command("haproxy", "-v").Output()
		if err != nil {
			return err
		}
		r.version = strings.Fields(string(version))[2]
	}
	fmt.Print(r.text())
	if o.out != "" {
		if err := r.put(o.out); err != nil {
			return err
		}
	}
	return r.judge()
}

// calibrate finds out what this machine can do: Django gets a quarter of what it can answer, so that one worker does it too while another one starts;
// the others share the rest.
func calibrate(ctx context.Context, s stack, want float64) (r rates, carries float64, err error) {
	c := &client{address: s.address(), limit: 30 * time.Second}
	defer c.close()
	if carries, err = capacity(c, 8, 5*time.Second, askDjango); err != nil {
		return r, 0, err
	}
	app, err := capacity(c, 8, 3*time.Second, func(id string, post bool, r *rand.Rand) *ask { return askApp(appHost, id, post, r) })
	if err != nil {
		return r, 0, err
	}
	r.django = min(0.25*carries, want/2)
	// The client, the proxy and the apps share the processors: what Django uses of them is not there for others.
	r.app = min(want-r.django, 0.35*app) / 2
	r.fixed = r.app
	return r, carries, ctx.Err()
}

// soak loads a stack and breaks one thing after the other.
func soak(ctx context.Context, s stack, to rates, o options) (all []*tally, err error) {
	defer func() { err = errors.Join(err, s.stop()) }()
	var void []*tally
	l := &load{c: &client{address: s.address(), limit: 40 * time.Second}, side: s.name()}
	faults := s.faults()
	first := newTally("warming up")
	l.start(to, first)
	pause(ctx, min(3*time.Second, o.length/20))
	share := o.length / time.Duration(len(kinds)+2) // all at once gets three
	for _, k := range kinds {
		if faults[k.name] == nil && k.name != calm && k.name != allAtOnce || o.only != "" && !strings.Contains(","+o.only+",", ","+k.name+",") {
			continue
		}
		length := share
		if k.name == allAtOnce {
			length *= 3
		}
		for left := anew; ; left-- {
			t := newTally(k.name)
			l.turn(ctx, t)
			err = inflict(ctx, s, t, faults, length)
			err = errors.Join(err, s.recovered(ctx), ctx.Err())
			log.Printf("%s: %s: %d times in %v", s.name(), k.name, t.made, time.Since(t.began).Round(time.Second))
			l.turn(ctx, newTally("between")) // nothing is broken in it
			if still := time.Duration(t.stall.Load()); err == nil && left > 0 && still > standstill && len(t.breaches(k.promise)) > 0 {
				log.Printf("%s: %s: the machine stood still for %v, so this tells nothing: once more. %s", s.name(), k.name, still.Round(time.Millisecond), strings.Join(t.failures(), "; "))
				void = append(void, t)
				continue
			}
			all = append(all, t)
			break
		}
		if err != nil {
			break
		}
	}
	l.stop()
	if err != nil {
		return all, err
	}
	if err := account(s, append(void, all...)); err != nil {
		return all, err
	}
	for _, t := range void { // whatever the machine does, these may not be
		if t.doubled+t.vanished > 0 {
			return all, fmt.Errorf("%s: %d POSTs executed twice, %d answered and not executed", t.kind, t.doubled, t.vanished)
		}
	}
	return all, nil
}

const (
	// standstill is how long this process may be kept from running before what was lost then is put down to the machine: the checks
	// of servers and workers have limits of a few seconds.
	standstill = 400 * time.Millisecond
	anew       = 2 // times that a kind is made once more for that
)

// account adds what the apps and the logs say.
func account(s stack, all []*tally) error {
	executed, err := s.executed()
	if err != nil {
		return err
	}
	for _, t := range all {
		t.check(executed)
		t.strays = s.strays(t.began, t.ended)
		for _, f := range t.failures() {
			log.Printf("%s: %s: %s", s.name(), t.kind, f)
		}
		if t.kind == allAtOnce {
			log.Printf("%s: %v", s.name(), t.each)
		}
	}
	return nil
}

// inflict makes faults of one kind for a time.
func inflict(ctx context.Context, s stack, t *tally, faults map[string]func(context.Context) (bool, error), length time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	switch t.kind {
	case calm:
		pause(ctx, length)
		return nil
	case allAtOnce:
		return inflictAll(ctx, t, faults)
	case recycling:
		if w, ok := s.(*weirStack); ok { // Django workers by what they have answered, those of the app by memory
			if err := w.setting(ctx, "after_requests: 300, jitter: 20%"); err != nil {
				return err
			}
			defer w.setting(context.Background(), "after_requests: 0") // an error shows at the next reload
		}
	}
	return again(ctx, t, t.kind, faults[t.kind], rest(t.kind))
}

// rest is the time between two faults of a kind: for what is to be started again, and for the check to see it.
func rest(kind string) time.Duration {
	switch kind {
	case proxyDie:
		return 5 * time.Second // a GET that is repeated is not to be cut again
	case killing, hanging:
		return 1500 * time.Millisecond
	case hangs, garbage, resets:
		return 1500 * time.Millisecond
	}
	return 500 * time.Millisecond
}

// again makes a fault again and again.
func again(ctx context.Context, t *tally, kind string, f func(context.Context) (bool, error), every time.Duration) error {
	for {
		// What has begun is done to its end.
		made, err := f(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		if made {
			t.mu.Lock()
			t.made++
			t.each[kind]++
			t.mu.Unlock()
		}
		wait := every
		if !made { // something else is under way: soon
			wait = min(wait, 200*time.Millisecond)
		}
		if !pause(ctx, wait) {
			return nil
		}
	}
}

// inflictAll makes all kinds of faults at the same time, each in its own rhythm.
func inflictAll(ctx context.Context, t *tally, faults map[string]func(context.Context) (bool, error)) error {
	rhythm := map[string]time.Duration{rolling: 7 * time.Second, recycling: 9 * time.Second, killing: 5 * time.Second, hanging: 13 * time.Second, proxyDie: 11 * time.Second,
		upgrade: 8 * time.Second, reload: 6 * time.Second, hangs: 10 * time.Second, garbage: 11 * time.Second, resets: 12 * time.Second}
	var all sync.WaitGroup
	errs := make(chan error, len(faults))
	for name, f := range faults {
		all.Go(func() {
			if pause(ctx, rhythm[name]/4) {
				errs <- again(ctx, t, name, f, rhythm[name])
			}
		})
	}
	all.Wait()
	close(errs)
	var err error
	for e := range errs {
		err = errors.Join(err, e)
	}
	return err
}
