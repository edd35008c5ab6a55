package keeper

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/weirhq/weir/internal/config"
)

// filing is a change of one file's version, under way.
type filing struct {
	is     onDisk
	doing  string
	cancel chan struct{} // closed when the file has changed once more, or is gone
	known  chan struct{} // closed when it is known what comes of it, at least for now
	kept   []string      // apps that must not be stopped while it is
}

// turn looks what is on disk and begins what follows from it. forced: it is read at once, and all is tried; again: what was wrong
// is tried. It returns when to look again.
func (f *included) turn(forced, again bool, retried func()) time.Duration {
	main := f.main.Load()
	include := main.Include()
	if include == nil || !include.Watch && !forced {
		return time.Hour
	}
	begun := time.Now()
	listing := main.List()
	before := f.unseen
	f.mu.Lock()
	f.unseen = listing.Unseen
	f.mu.Unlock()
	f.sayUnseen(before)
	soon, leaves := f.look(&listing, forced, include)
	took := time.Since(begun)
	wanted, removed := f.wants(again, forced, leaves)
	if again && len(wanted) > 0 {
		retried()
	}
	if len(wanted)+len(removed) > 0 && f.take() {
		if f.main.Load() != main { // a reload had the token: what is wanted is another matter now
			f.release()
			return f.turn(forced, again, retried)
		}
		f.try(wanted, removed)
		f.release()
	}
	if soon > 0 {
		return soon
	}
	return max(lookEvery, 500*took) // looking costs time: a small part of it
}

// look brings what is known of the disk up to date. It returns in what time something will have settled; 0: nothing is to. leaves
// says that a file in force seems to be gone.
func (f *included) look(listing *config.Listing, forced bool, include *config.Include) (soon time.Duration, leaves bool) {
	now := time.Now()
	sooner := func(wait time.Duration) {
		if wait > 0 && (soon == 0 || wait < soon) {
			soon = wait
		}
	}
	found := make(map[string]bool, len(listing.Paths))
	for _, path := range listing.Paths {
		found[path] = true
		var is *onDisk
		if forced {
			is = f.watch.readNow(path, now)
		} else {
			var wait time.Duration
			is, wait = f.watch.read(path, now)
			sooner(wait)
		}
		if is == nil {
			continue // as it was, or it is being written
		}
		f.mu.Lock()
		if f.files[path] == nil {
			f.files[path] = &file{path: path}
		}
		f.files[path].disk = is
		f.mu.Unlock()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for path, s := range f.files {
		if found[path] || listing.Keeps(path) {
			continue
		}
		if gone, wait := f.watch.gone(path, now); gone || forced {
			s.disk = nil
		} else {
			leaves = leaves || s.force != nil
			sooner(wait)
		}
	}
	f.watch.follow(include, listing)
	return soon, leaves
}

// wants is what is to be tried: the files that are on disk as they are not in force, and those that are gone. While one
// leaves, new ones wait: it may be the same under another name, whose workers are to go on.
func (f *included) wants(again, forced, leaves bool) (wanted map[string]config.Version, removed []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wanted = map[string]config.Version{}
	for path, s := range f.files {
		switch {
		case s.disk == nil:
			if s.change != nil {
				s.change.stop()
			} else if s.problem = ""; s.force != nil {
				removed = append(removed, path)
			} else {
				delete(f.files, path)
				f.watch.forget(path)
			}
		case s.change != nil:
			if s.change.is != *s.disk {
				s.change.stop()
			}
		case s.disk.missing == "" && s.force != nil && s.force.Text == s.disk.text:
			if s.failed.text != s.disk.text {
				s.problem = "" // what was wrong has been taken back
			}
			if forced && s.force.Read < f.reread || again && s.problem != "" {
				wanted[path] = config.Version{Text: s.disk.text, Read: f.k.reads.Add(1)}
			}
		case leaves && s.force == nil:
		case s.problem != "" && s.failed == *s.disk && (s.final && !forced || !again):
		default:
			wanted[path] = config.Version{Text: s.disk.text, Missing: s.disk.missing, Read: f.k.reads.Add(1)}
		}
	}
	slices.Sort(removed)
	return wanted, removed
}

// stop has a change end as soon as it can.
func (c *filing) stop() {
	select {
	case <-c.cancel:
	default:
		close(c.cancel)
	}
}

// try tries versions of files, and takes others out. With the token.
func (f *included) try(wanted map[string]config.Version, removed []string) {
	of := map[string][]config.Version{}
	f.mu.Lock()
	for path, v := range wanted {
		of[path] = append([]config.Version{v}, f.files[path].inForce()...)
	}
	for _, path := range removed {
		of[path] = nil
	}
	choices := f.choices(of)
	f.mu.Unlock()
	joined, err := f.main.Load().Join(choices)
	if err != nil { // what is in force goes together
		f.k.log.Error("the included files do not go together", "error", err)
		return
	}
	f.mu.Lock()
	news := f.refused(joined, time.Now())
	f.mu.Unlock()
	for _, s := range news {
		f.say(s)
	}
	light, heavy := f.divide(joined, wanted)
	for path := range wanted {
		if v, ok := light[path]; ok {
			of[path] = append([]config.Version{v}, of[path][1:]...)
		} else {
			delete(of, path)
		}
	}
	f.put(light, removed, of)
	for path, v := range heavy {
		f.begin(path, v)
	}
}

// divide tells those files apart whose version can be put in force at once from those for which apps have to be started first.
func (f *included) divide(j *config.Joined, wanted map[string]config.Version) (light, heavy map[string]config.Version) {
	light, heavy = map[string]config.Version{}, map[string]config.Version{}
	apps := appsByFile(j.Config)
	running := map[string]bool{}
	if f.k.call(func() {
		for _, r := range f.k.apps {
			running[r.life.App().Name] = !r.coming && r.leaving == nil
		}
	}) != nil {
		return light, heavy
	}
	for _, of := range j.Config.Files {
		v, ok := wanted[of.Path]
		if !ok || v.Read != of.Read {
			continue // an earlier version has to do
		}
		if slices.ContainsFunc(apps[of.Name], func(a *config.App) bool { return !running[a.Name] }) {
			heavy[of.Path] = v
		} else {
			light[of.Path] = v
		}
	}
	return light, heavy
}

func appsByFile(cfg *config.Config) map[string][]*config.App {
	apps := map[string][]*config.App{}
	for _, a := range cfg.Apps {
		apps[a.Place.File] = append(apps[a.Place.File], a)
	}
	return apps
}

// put puts versions in force for which nothing has to be started; if the edge does not want them all, each by itself. With the
// token.
func (f *included) put(light map[string]config.Version, removed []string, of map[string][]config.Version) {
	if len(light)+len(removed) == 0 {
		return
	}
	was := f.forces(light)
	begun := time.Now()
	joined, err := f.apply(of)
	if err != nil && len(light)+len(removed) > 1 && !errors.Is(err, errStopping) {
		for path, v := range light {
			f.put(map[string]config.Version{path: v}, nil, map[string][]config.Version{path: of[path]})
		}
		for _, path := range removed {
			f.put(nil, []string{path}, map[string][]config.Version{path: nil})
		}
		return
	}
	if err != nil {
		for path, v := range light {
			f.fail(path, onDisk{text: v.Text}, err.Error(), true)
		}
		for _, path := range removed {
			f.k.log.Error("an included file is gone, and its sites could not be taken out", "file", f.call(path), "error", err)
		}
		return
	}
	f.mu.Lock()
	for _, path := range removed {
		delete(f.files, path)
		f.watch.forget(path)
	}
	f.mu.Unlock()
	for _, path := range removed {
		f.k.log.Info("an included file is gone: its sites are taken out", "file", f.call(path))
	}
	f.sayInForce(light, was, begun)
	apps := appsByFile(joined.Config)
	for path := range light {
		f.replace(path, was[path], apps[f.call(path)], nil)
	}
	f.sweep()
}

// sayInForce tells which files have come into force.
func (f *included) sayInForce(light map[string]config.Version, was map[string]*config.File, begun time.Time) {
	took := time.Since(begun).Round(time.Millisecond)
	news := slices.DeleteFunc(slices.Sorted(maps.Keys(light)), func(path string) bool {
		return was[path] != nil && was[path].Text == light[path].Text // it was only read again
	})
	if len(news) > 5 {
		f.k.log.Info(fmt.Sprintf("%d included files are in force", len(news)), "after", took)
		return
	}
	for _, path := range news {
		f.k.log.Info("an included file is in force", "file", f.call(path), "after", took)
	}
}

// forces are the versions of files that are in force.
func (f *included) forces(of map[string]config.Version) map[string]*config.File {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := map[string]*config.File{}
	for path := range of {
		was[path] = f.files[path].force
	}
	return was
}

// apply has the edge take files in the versions given, and all others as they are. With the token.
func (f *included) apply(of map[string][]config.Version) (*config.Joined, error) {
	f.mu.Lock()
	choices := f.choices(of)
	f.mu.Unlock()
	joined, err := f.main.Load().Join(choices)
	if err != nil {
		return nil, err
	}
	for _, r := range joined.Refused {
		if of[r.Path] != nil {
			return nil, errors.New(r.Errors.Brief())
		}
	}
	if err := f.k.propose(joined.Config); err != nil {
		return nil, err
	}
	if err := f.k.call(func() { f.k.warn(joined.Config, joined.News) }); err != nil {
		return nil, err
	}
	f.took(joined)
	f.anew.Store(true)
	f.stir()
	return joined, nil
}

// sweep stops the apps that no file names any more. With the token.
func (f *included) sweep() {
	f.mu.Lock()
	kept := map[string]bool{}
	for _, s := range f.files {
		if s.change != nil {
			for _, name := range s.change.kept {
				kept[name] = true
			}
		}
	}
	f.mu.Unlock()
	var apps []*running
	if f.k.call(func() {
		if f.k.stopping {
			return
		}
		apps = slices.DeleteFunc(f.k.unnamed(f.k.cfg), func(r *running) bool { return kept[r.life.App().Name] })
		for _, r := range apps {
			r.leaving = make(chan struct{})
		}
	}) != nil || len(apps) == 0 {
		return
	}
	f.k.goes(func() {
		if err := f.k.remove(apps); err != nil && !errors.Is(err, errStopping) {
			f.k.log.Error("apps of a file that is gone could not be stopped", "error", err)
		}
		f.stir() // a file may wait for a name
	})
}

// fail ends what is tried of a file, for now.
func (f *included) fail(path string, is onDisk, problem string, final bool) {
	f.mu.Lock()
	s := f.files[path]
	news := s != nil && s.fails(is, problem, final, time.Now())
	f.mu.Unlock()
	if news {
		f.say(s)
	}
}

// open begins a change; nil if there is one other than that which it follows.
func (f *included) open(path string, is onDisk, doing string, follows *filing) *filing {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.files[path]
	if s == nil || s.change != follows {
		return nil
	}
	s.change = &filing{is: is, doing: doing, cancel: make(chan struct{}), known: make(chan struct{})}
	s.problem = ""
	return s.change
}

// close ends it.
func (f *included) close(path string, c *filing) {
	f.mu.Lock()
	if s := f.files[path]; s != nil && s.change == c {
		s.change = nil
	}
	c.tell()
	f.mu.Unlock()
	f.stir()
}

// tell says that it is known what comes of it. f.mu is held.
func (c *filing) tell() {
	select {
	case <-c.known:
	default:
		close(c.known)
	}
}

// replace gives the changed apps of a file that has just come into force their new workers. If one of them cannot be had, the
// file's former version is put in force again. With the token; it goes on without. follows is the change that the file has, nil if none.
func (f *included) replace(path string, was *config.File, apps []*config.App, follows *filing) {
	var changed []*config.App
	former := map[string]*config.App{}
	if f.k.call(func() {
		for _, a := range apps {
			if r := f.k.find(a.Name); r != nil && !reflect.DeepEqual(r.life.App(), a) {
				changed, former[a.Name] = append(changed, a), r.life.App()
			}
		}
	}) != nil || len(changed) == 0 {
		return
	}
	f.mu.Lock()
	is := onDisk{text: f.files[path].force.Text}
	f.mu.Unlock()
	c := f.open(path, is, "its workers are being replaced", follows)
	if c == nil {
		return
	}
	if was != nil {
		c.kept = f.appsOf(was)
	}
	f.k.goes(func() {
		defer f.close(path, c)
		var done []*config.App
		for _, a := range changed {
			err := f.k.update(a)
			if err == nil {
				done = append(done, a)
				continue
			}
			if !errors.Is(err, errStopping) {
				f.revert(path, is, was, fmt.Errorf("%v: app %s is as it was: %w", a.Place, a.Name, err))
				for _, d := range done {
					if err := f.k.update(former[d.Name]); err != nil {
						f.k.log.Error("an app could not be made as it was", "app", d.Name, "error", err)
					}
				}
			}
			break
		}
		c.kept = nil
		if f.take() {
			f.sweep()
			f.release()
		}
	})
}

// appsOf are the names of the apps of a version that was in force.
func (f *included) appsOf(was *config.File) (names []string) {
	j, err := f.main.Load().Join([]config.Choice{{Path: was.Path, Versions: []config.Version{{Text: was.Text, Read: was.Read, Proven: true}}}})
	if err != nil {
		return nil
	}
	for _, a := range appsByFile(j.Config)[was.Name] {
		names = append(names, a.Name)
	}
	return names
}

// revert puts a file's former version in force again.
func (f *included) revert(path string, is onDisk, was *config.File, why error) {
	if was != nil && f.take() {
		_, err := f.apply(map[string][]config.Version{path: {{Text: was.Text, Read: was.Read, Proven: true}}})
		if f.release(); err != nil {
			f.k.log.Error("the former version of an included file could not be put in force again", "file", f.call(path), "error", err)
		}
	}
	f.fail(path, is, why.Error(), true)
}
