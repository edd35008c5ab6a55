package keeper

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/app"
	"github.com/weirhq/weir/internal/config"
)

// reload does what was asked for and answers when it is done. One at a time; from a goroutine of its own.
func (k *keeper) reload(r api.Reload) error {
	if err := k.take(); err != nil {
		return err
	}
	return k.reloadNow(r)
}

// take takes the token. Who has it for an included file is waited for.
func (k *keeper) take() error {
	for k.filing.Load() > 0 && !k.upgrading.Load() {
		select {
		case k.op <- struct{}{}:
			return nil
		case <-k.ended:
			return errStopping
		case <-time.After(tokenPoll): // an upgrade may have it by now, in whose way no call is to be
		}
	}
	select { // after the look at filing, which falls when the token is free again
	case k.op <- struct{}{}:
		return nil
	default:
		return errBusy
	}
}

// tokenPoll is how often it is looked who has the token.
const tokenPoll = 5 * time.Millisecond

// reloadNow is reload for who has the token, and lets it go.
func (k *keeper) reloadNow(r api.Reload) error {
	begun := time.Now()
	var err, files error
	if r.App != "" {
		err = k.replace(r.App)
	} else {
		k.notify("RELOADING=1")
		err = k.reloadAll()
	}
	what, problem := "the configuration", "reload: "
	if r.App != "" {
		what, problem = "app "+r.App, "reload of the app "+r.App+": "
	}
	took := time.Since(begun).Round(time.Millisecond)
	called := k.call(func() {
		var none noApp
		done := api.Intervention{Do: "reload", What: what, By: r.By, Reason: r.Reason, At: begun.UTC().Format(time.RFC3339)}
		attrs := append([]any{"after", took}, who(r.By, r.Reason)...)
		switch {
		case errors.As(err, &none): // a slip of whoever asked, who is told: the site has no problem by it, and nothing was done
			k.log.Warn("reloading " + what + ": " + err.Error())
			return
		case err != nil:
			done.What += ", which failed"
			k.problem = problem + err.Error()
			k.log.Error("reloading "+what+" failed", attrs...)
			k.sayLines(err.Error())
		default:
			// New workers of an app do not bring a configuration into force that was refused.
			if r.App == "" || strings.HasPrefix(k.problem, problem) {
				k.problem = ""
			}
			k.log.Info("reloaded "+what, attrs...)
		}
		k.people.note(done)
	})
	<-k.op // now, when what came of it is known: what comes of the next one must not be overwritten with it
	if r.App == "" && err == nil && k.included != nil {
		files = k.included.readAgain()
	}
	called = errors.Join(called, k.call(k.notifyAgain))
	return errors.Join(err, files, called) // of files, the log and the status tell by themselves
}

// noApp is the answer to who names an app that is not there.
type noApp struct {
	name string
	have []string
}

func (n noApp) Error() string {
	if len(n.have) == 0 {
		return fmt.Sprintf("there is no app %q: the configuration has none", n.name)
	}
	return fmt.Sprintf("there is no app %q: there is %s", n.name, strings.Join(n.have, ", "))
}

// replace gives an app new workers, one by one.
func (k *keeper) replace(name string) error {
	return k.wait(func() (*running, func(int) app.Event, error) {
		r := k.find(name)
		if r == nil {
			names := make([]string, 0, len(k.apps))
			for _, r := range k.apps {
				names = append(names, r.life.App().Name)
			}
			return nil, nil, noApp{name, names}
		}
		return r, func(t int) app.Event { return app.Replace{Ticket: t} }, nil
	})
}

// wait gives a life the event that f returns and waits for its answer. What the life is doing for somebody else (it begins, or its file
// has changed) comes to its end first.
func (k *keeper) wait(f func() (*running, func(int) app.Event, error)) error {
	for {
		var answer <-chan string
		var err error
		if called := k.call(func() {
			if k.stopping {
				err = errStopping
				return
			}
			r, event, e := f()
			if err = e; err == nil && r.life.Wished() == 0 {
				answer = k.wish(r, event)
			}
		}); called != nil {
			return called
		}
		if err != nil {
			return err
		}
		if answer != nil {
			return k.answer(answer)
		}
		select {
		case <-time.After(wishPoll):
		case <-k.ended:
			return errStopping
		}
	}
}

// wishPoll is how often it is looked whether an app is done with what it was about.
const wishPoll = 20 * time.Millisecond

func (k *keeper) answer(c <-chan string) error {
	select {
	case problem := <-c:
		if problem != "" {
			return errors.New(problem)
		}
		return nil
	case <-k.ended:
		return errStopping
	}
}

// change is what a new configuration changes.
type change struct {
	cfg            *config.Config
	opened, closed []*listener
	added, removed []*running
	updated        []*config.App
	stranded       []string // what people decided of pools that are no more
}

// reloadAll reads the configuration anew. Up to the moment when the edge takes it, an error changes nothing:
//
//	read and check → open new listeners → start new apps, wait until they are ready → the edge takes it over
//	→ changed apps are replaced worker by worker → removed apps drain and stop
func (k *keeper) reloadAll() error {
	if k.included != nil {
		return k.included.reloadMain()
	}
	cfg, warnings, err := k.opts.Load()
	if err != nil {
		return err
	}
	return k.become(cfg, warnings, func() {})
}

// become puts another configuration in force; then is called when it is, and what follows from that is still to be done.
func (k *keeper) become(cfg *config.Config, warnings []config.Warning, then func()) error {
	c := &change{cfg: cfg}
	if err := k.awaitLeaving(cfg); err != nil {
		return err
	}
	var err error
	called := k.call(func() { err = k.plan(c, warnings) })
	if err = errors.Join(called, err); err != nil {
		return err
	}
	if err := k.prepare(c); err != nil {
		return errors.Join(fmt.Errorf("nothing was changed: %w", err), k.undo(c))
	}
	then()
	return k.finish(c)
}

// awaitLeaving waits until the apps of a configuration that are being stopped, since a file does not name them any more, are gone: they
// begin anew then.
func (k *keeper) awaitLeaving(cfg *config.Config) error {
	for {
		var leaving chan struct{}
		if err := k.call(func() {
			for _, a := range cfg.Apps {
				if r := k.find(a.Name); r != nil && r.leaving != nil {
					leaving = r.leaving
				}
			}
			if k.stopping {
				leaving = nil
			}
		}); err != nil || leaving == nil {
			return err
		}
		select {
		case <-leaving:
		case <-k.ended:
			return errStopping
		}
	}
}

// plan finds out what changes, and opens new listeners. As an event.
func (k *keeper) plan(c *change, warnings []config.Warning) error {
	if k.stopping {
		return errStopping
	}
	cfg := c.cfg
	k.warn(cfg, warnings)
	c.stranded = stranded(k.people.hands, k.cfg, cfg)
	if cfg.RunDir != k.runDir {
		return cfg.ErrorAt("run_dir", fmt.Sprintf("the run directory cannot be changed from %s while weir runs", k.runDir), "stop weir and start it again")
	}
	if err := Preflight(cfg); err != nil {
		return err
	}
	for _, a := range cfg.Apps {
		if r := k.find(a.Name); r != nil && (r.coming || r.leaving != nil) {
			return cfg.ErrorAtPlace(a.Place, "an app "+a.Name+" is being started or stopped for another file", "try again when that is done")
		}
	}
	for _, l := range cfg.Listen {
		var opened *listener
		var err error
		if has := k.listeners[key(l)]; has == nil {
			opened, err = k.listen(l)
		} else if err = otherUse(has, l); err == nil {
			continue
		}
		if err != nil {
			for _, o := range c.opened {
				o.remove()
			}
			return cfg.ErrorAtPlace(l.Place, err.Error(), "")
		}
		c.opened = append(c.opened, opened)
	}
	for name, l := range k.listeners {
		if !slices.ContainsFunc(cfg.Listen, func(n config.Listen) bool { return key(n) == name }) {
			c.closed = append(c.closed, l)
		}
	}
	c.removed = k.unnamed(cfg)
	for _, l := range c.opened {
		k.listeners[key(l.spec)] = l // an edge that is started from now on has it
		if k.edge != nil && !l.spec.Desk {
			if err := k.edge.offer(l); err != nil {
				k.log.Warn("the edge was not given a new listener; it is about to be replaced", "error", err)
			}
		}
	}
	return nil
}

// prepare starts new apps and puts the configuration in force.
func (k *keeper) prepare(c *change) error {
	var answers []<-chan string
	if err := k.call(func() {
		for _, a := range c.cfg.Apps {
			if k.stopping {
				return
			}
			if r := k.find(a.Name); r != nil {
				if !isIncluded(c.cfg, a) || !reflect.DeepEqual(r.life.App(), a) { // one that stays as it is may be busy
					c.updated = append(c.updated, a)
				}
				continue
			}
			r := k.add(a)
			c.added = append(c.added, r)
			answers = append(answers, k.wish(r, func(t int) app.Event { return app.Begin{Ticket: t} }))
		}
	}); err != nil {
		return err
	}
	var problems []error
	for i, a := range answers {
		if err := k.answer(a); err != nil {
			problems = append(problems, misses(c.cfg, c.added[i].life.App(), err))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	return k.propose(c.cfg)
}

// propose puts a configuration in force at the edge, and with it here. An edge that dies meanwhile has not refused it: the next one is
// asked, once, for it may be the configuration that it died of.
func (k *keeper) propose(cfg *config.Config) error {
	err := k.proposeOnce(cfg)
	var gone *api.Unreachable
	if !errors.Is(err, errNoEdge) && (!errors.As(err, &gone) || errors.Is(err, context.DeadlineExceeded)) {
		return err
	}
	if late := k.awaitEdge(); late != nil {
		return errors.Join(err, late)
	}
	return k.proposeOnce(cfg)
}

var errNoEdge = errors.New("the edge is down")

func (k *keeper) proposeOnce(cfg *config.Config) error {
	p := &proposal{cfg: cfg, answer: make(chan error, 1)}
	if err := k.call(func() {
		if k.stopping {
			p.answer <- errStopping
			return
		}
		p.source = sourceOf(cfg, k.source.Revision+1)
		k.proposal, k.dirty = p, true
	}); err != nil {
		return err
	}
	select {
	case err := <-p.answer:
		if err != nil {
			return fmt.Errorf("the edge refused the configuration: %w", err)
		}
		return nil
	case <-k.ended:
		return errStopping
	}
}

// unnamed are the apps that a configuration does not name, and that nobody else wants. As an event.
func (k *keeper) unnamed(cfg *config.Config) (all []*running) {
	names := make(map[string]bool, len(cfg.Apps))
	for _, a := range cfg.Apps {
		names[a.Name] = true
	}
	for _, r := range k.apps {
		if !names[r.life.App().Name] && !r.coming && r.leaving == nil {
			all = append(all, r)
		}
	}
	return all
}

// undo takes back what prepare and plan have made.
func (k *keeper) undo(c *change) error {
	err := k.call(func() {
		for _, l := range c.opened {
			delete(k.listeners, key(l.spec))
			l.abolish() // the edge has it too, and would let connections wait on it
		}
	})
	return errors.Join(err, k.remove(c.added))
}

// remove drains and stops apps, all at once, and forgets them.
func (k *keeper) remove(apps []*running) error {
	var answers []<-chan string
	if err := k.call(func() {
		if k.stopping {
			return // stop sees to them
		}
		for _, r := range apps {
			if r.leaving == nil {
				r.leaving = make(chan struct{})
			}
			answers = append(answers, k.wish(r, func(t int) app.Event { return app.Stop{Ticket: t} }))
		}
	}); err != nil {
		return err
	}
	var problems []error
	for _, a := range answers {
		problems = append(problems, k.answer(a))
	}
	return errors.Join(errors.Join(problems...), k.call(func() {
		if k.stopping {
			return
		}
		for _, r := range apps {
			k.used[r.life.App().Name] = r.life.Used()
			close(r.leaving)
		}
		k.apps = slices.DeleteFunc(k.apps, func(r *running) bool { return slices.Contains(apps, r) })
	}))
}

// update gives an app's workers what they are to be made from now.
func (k *keeper) update(a *config.App) error {
	return k.wait(func() (*running, func(int) app.Event, error) {
		r := k.find(a.Name)
		if r == nil {
			return nil, nil, errors.New("it has been taken out meanwhile")
		}
		return r, func(t int) app.Event { return app.Update{Ticket: t, App: a} }, nil
	})
}

// finish does what follows from a configuration that is in force.
func (k *keeper) finish(c *change) error {
	if err := k.call(func() {
		k.level.Set(levelOf(c.cfg.Log.Level))
		for _, text := range c.stranded {
			k.log.Warn(text)
		}
		for _, l := range c.closed {
			delete(k.listeners, key(l.spec))
			l.remove()
		}
	}); err != nil {
		return err
	}
	var problems []error
	for _, a := range c.updated {
		if err := k.update(a); err != nil {
			problems = append(problems, fmt.Errorf("the configuration is in force, but app %s is as it was: %w", a.Name, err))
		}
	}
	return errors.Join(errors.Join(problems...), k.remove(c.removed))
}
