package keeper

import (
	"errors"
	"fmt"
	"time"

	"github.com/weirhq/weir/internal/app"
	"github.com/weirhq/weir/internal/config"
)

// begin starts the apps that a file's version needs, and puts it in force when they are ready. With the token; it goes on without.
func (f *included) begin(path string, v config.Version) {
	c := f.open(path, onDisk{text: v.Text}, "its apps are being started", nil)
	if c == nil {
		return
	}
	f.k.goes(func() {
		defer f.close(path, c)
		begun := time.Now()
		apps, err := f.launch(path, v, c)
		if err == nil {
			err = f.ready(path, c, apps)
		}
		if err == nil && f.take() {
			err = f.enter(path, v, apps, begun)
			f.release()
		}
		if err == nil || errors.Is(err, errStopping) {
			return
		}
		if !errors.Is(err, errCancelled) {
			f.fail(path, c.is, err.Error(), true)
		}
		if err := f.k.remove(apps); err != nil && !errors.Is(err, errStopping) {
			f.k.log.Error("apps of a file that is not in force could not be stopped", "error", err)
		}
	})
}

var errCancelled = errors.New("the file has changed meanwhile")

// launch starts the apps that a version needs and that do not run. Those of their names that are being stopped are waited for.
func (f *included) launch(path string, v config.Version, c *filing) (started []*running, err error) {
	for {
		f.mu.Lock()
		choices := f.choices(map[string][]config.Version{path: {v}})
		f.mu.Unlock()
		j, err := f.main.Load().Join(choices)
		if err != nil {
			return nil, err
		}
		for _, r := range j.Refused {
			if r.Path == path {
				return nil, r.Errors
			}
		}
		var wait <-chan struct{}
		if err := f.k.call(func() {
			apps := appsByFile(j.Config)[f.call(path)]
			for _, a := range apps {
				if r := f.k.find(a.Name); r != nil && (r.leaving != nil || r.coming) {
					wait = r.leaving
					err = fmt.Errorf("%v: an app %s is being started for another file", a.Place, a.Name)
				}
			}
			if err != nil || f.k.stopping {
				return
			}
			for _, a := range apps {
				if f.k.find(a.Name) == nil {
					r := f.k.add(a)
					r.coming = true
					started = append(started, r)
				}
			}
		}); err != nil {
			return nil, err
		}
		if wait == nil {
			return started, err
		}
		select {
		case <-wait:
		case <-c.cancel:
			return nil, errCancelled
		case <-f.k.ended:
			return nil, errStopping
		}
	}
}

// readyPoll is how often apps are looked at that did not start at first and are tried again.
const readyPoll = 200 * time.Millisecond

// ready begins apps and waits until they are live, however long that takes: a new site whose database comes up late begins by
// itself then.
func (f *included) ready(path string, c *filing, apps []*running) error {
	answers := make(chan error, len(apps))
	for _, r := range apps {
		var answer <-chan string
		if err := f.k.call(func() {
			if !f.k.stopping {
				answer = f.k.wish(r, func(t int) app.Event { return app.Begin{Ticket: t} })
			}
		}); err != nil {
			return err
		}
		if answer == nil {
			return errStopping
		}
		f.k.goes(func() {
			err := f.k.answer(answer)
			if a := r.life.App(); err != nil && !errors.Is(err, errStopping) {
				err = fmt.Errorf("%v: app %s does not start: %w", a.Place, a.Name, err)
			}
			answers <- err
		})
	}
	for range apps {
		select {
		case err := <-answers:
			if err == nil {
				continue
			}
			if errors.Is(err, errStopping) {
				return err
			}
			f.fail(path, c.is, err.Error(), true)
			f.mu.Lock()
			c.doing = "its apps are started again and again"
			c.tell()
			f.mu.Unlock()
		case <-c.cancel:
			return errCancelled
		}
	}
	for {
		live := true
		if err := f.k.call(func() {
			for _, r := range apps {
				live = live && r.life.Live() >= r.life.App().Workers
			}
		}); err != nil {
			return err
		}
		if live {
			return nil
		}
		select {
		case <-time.After(readyPoll):
		case <-c.cancel:
			return errCancelled
		case <-f.k.ended:
			return errStopping
		}
	}
}

// enter puts a version in force whose apps are ready. With the token.
func (f *included) enter(path string, v config.Version, apps []*running, begun time.Time) error {
	f.mu.Lock()
	s := f.files[path]
	if s == nil { // a reload of a configuration without it had the token meanwhile
		f.mu.Unlock()
		return errCancelled
	}
	was := s.force
	versions := append([]config.Version{v}, s.inForce()...)
	f.mu.Unlock()
	j, err := f.apply(map[string][]config.Version{path: versions})
	if err != nil {
		return err
	}
	f.mu.Lock()
	s.problem = ""
	change := s.change // until what follows, which is another, is known: whoever waits for the file waits for that too
	f.mu.Unlock()
	if err := f.k.call(func() {
		for _, r := range apps {
			r.coming = false
		}
	}); err != nil {
		return err
	}
	f.sayInForce(map[string]config.Version{path: v}, nil, begun)
	f.replace(path, was, appsByFile(j.Config)[f.call(path)], change)
	f.sweep()
	f.mu.Lock()
	if s := f.files[path]; s.change == change {
		s.change = nil
	}
	change.tell()
	f.mu.Unlock()
	return nil
}
