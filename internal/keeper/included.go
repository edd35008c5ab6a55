package keeper

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
)

// included is what the keeper knows of the files that the configuration includes. Each file has at most one version in force, at
// most one on disk that differs from it, and at most one change under way, on a goroutine of its own:
//
//	found on disk, settled → good together with all others? → its new apps are started → the edge takes it → its changed
//	apps are replaced → those that it has no more are stopped
//
// Whatever goes wrong ends the change of that one file, and leaves in force what was. Which versions go together is decided by
// config.Main; nothing else is decided here than what is to be tried, and when.
type included struct {
	k     *keeper
	watch *watch
	main  atomic.Pointer[config.Main] // in force; it is changed with the token

	asks  chan chan error // somebody wants to know when all that is on disk has been tried
	stirs chan struct{}   // a change has ended
	anew  atomic.Bool     // something has come into force: what was in another's way may fit now
	heir  bool            // another program has begun: what it was about to start or to stop is stopped, and begins again if a file wants it

	mu     sync.Mutex // what follows is read by the status
	files  map[string]*file
	reread int64 // what was read earlier has to be read again when somebody asks
	unseen []config.Unseen
}

// file is one included file.
type file struct {
	path    string
	force   *config.File // in force; nil: no version is
	since   time.Time    // when it came into force
	disk    *onDisk      // what was found last; nil: nothing
	change  *filing      // under way; nil: there is none
	problem string       // why what is on disk is not in force
	at      time.Time    // since when
	failed  onDisk       // that it is of
	final   bool         // the problem is of a kind that only another text, or somebody who asks for it, can end
}

// onDisk is what a file was found to be.
type onDisk struct {
	text    string
	missing string // why it cannot be read
}

// retry is how often versions are tried again that are wrong, or were when they were tried: what a file names may have come
// meanwhile. It costs reading these files again.
const retry = 10 * time.Second

// readAll reads a configuration as it is on disk, for a start.
func readAll(o Options) (*included, *config.Config, []config.Warning, error) {
	if o.Open == nil {
		cfg, warnings, err := o.Load()
		return nil, cfg, warnings, err
	}
	main, err := o.Open(1)
	if err != nil {
		return nil, nil, nil, err
	}
	f := newIncluded(main)
	joined, err := main.Join(f.readDisk())
	if err != nil {
		return nil, nil, nil, err
	}
	f.took(joined)
	return f, joined.Config, joined.Warnings, nil
}

func newIncluded(main *config.Main) *included {
	f := &included{watch: newWatch(), asks: make(chan chan error), stirs: make(chan struct{}, 1), files: map[string]*file{}}
	f.main.Store(main)
	return f
}

// asInForce is what is known of the files when cfg is in force already: what has changed on disk follows by itself.
func asInForce(main *config.Main, cfg *config.Config) *included {
	f := newIncluded(main)
	f.heir = true
	for _, of := range cfg.Files {
		f.files[of.Path] = &file{path: of.Path, disk: &onDisk{text: of.Text}}
	}
	f.took(&config.Joined{Config: cfg})
	return f
}

// readDisk reads all files that there are.
func (f *included) readDisk() []config.Choice {
	listing := f.main.Load().List()
	f.unseen = listing.Unseen
	choices := make([]config.Choice, len(listing.Paths))
	for i, path := range listing.Paths {
		is := f.watch.readNow(path, time.Now())
		f.files[path] = &file{path: path, disk: is}
		choices[i] = config.Choice{Path: path, Versions: []config.Version{{Text: is.text, Missing: is.missing, Read: 1}}}
	}
	return choices
}

// took notes what came of a join that is in force. With the token, or before there is one.
func (f *included) took(j *config.Joined) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for _, of := range j.Config.Files {
		s := f.files[of.Path]
		if s.force == nil || *s.force != of {
			s.force, s.since = &of, now
		}
		if s.disk != nil && s.disk.missing == "" && s.disk.text == of.Text {
			s.problem = ""
		}
	}
	f.refused(j, now)
}

// refused notes which versions were not taken, and returns what is to be said of it. f.mu is held.
func (f *included) refused(j *config.Joined, now time.Time) (news []*file) {
	for _, r := range j.Refused {
		s := f.files[r.Path]
		if s.disk != nil && !r.Proven && s.fails(*s.disk, r.Errors.Brief(), !r.Passing, now) {
			news = append(news, s)
		}
	}
	return news
}

// fails notes why a version of a file is not in force, and reports whether that is news.
func (s *file) fails(is onDisk, problem string, final bool, now time.Time) bool {
	news := s.problem != problem || s.failed != is
	s.failed, s.problem, s.final = is, problem, final
	if news {
		s.at = now
	}
	return news
}

// say tells what is wrong with a file: where, in one line, and what goes on.
func (f *included) say(s *file) {
	f.mu.Lock()
	problem, inForce := s.problem, s.force != nil
	f.mu.Unlock()
	what := "it is not in force"
	if inForce {
		what = "its last good version stays in force"
	}
	first, _, _ := strings.Cut(problem, "\n")
	f.k.log.Error("an included file is refused: "+first, "file", f.call(s.path), "and", what)
}

// call is what a file is called.
func (f *included) call(path string) string { return f.main.Load().Call(path) }

// sayAll tells of what was wrong at the start.
func (f *included) sayAll() {
	for _, path := range slices.Sorted(maps.Keys(f.files)) {
		if s := f.files[path]; s.problem != "" {
			f.say(s)
		}
	}
	f.sayUnseen(nil)
}

// sayUnseen tells of folders that cannot be listed and could be before.
func (f *included) sayUnseen(before []config.Unseen) {
	for _, u := range f.unseen {
		if !slices.ContainsFunc(before, func(b config.Unseen) bool { return b.Folder == u.Folder }) {
			f.k.log.Warn("a folder of included files cannot be listed: what was in it stays in force", "folder", u.Folder, "error", bare(u.Err))
		}
	}
}

// isIncluded reports whether an app is of an included file.
func isIncluded(cfg *config.Config, a *config.App) bool {
	return slices.ContainsFunc(cfg.Files, func(f config.File) bool { return f.Name == a.Place.File })
}

// status tells of every file. From any goroutine.
func (f *included) status() (all []api.FileStatus, unseen []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, path := range slices.Sorted(maps.Keys(f.files)) {
		s := f.files[path]
		at := s.since
		if s.problem != "" {
			at = s.at
		}
		st := api.FileStatus{Path: path, InForce: s.force != nil, Since: at.UTC().Format(time.RFC3339), Problem: s.problem}
		if s.change != nil {
			st.Doing = s.change.doing
		}
		all = append(all, st)
	}
	for _, u := range f.unseen {
		unseen = append(unseen, fmt.Sprintf("%s: %v", u.Folder, bare(u.Err)))
	}
	return all, unseen
}

// run looks at the files until the keeper ends.
func (f *included) run() {
	defer f.watch.close()
	if f.heir && f.take() {
		f.sweep()
		f.release()
	}
	var retried time.Time
	for {
		next := f.turn(false, f.anew.Swap(false) || time.Since(retried) > retry, func() { retried = time.Now() })
		timer := time.NewTimer(next)
		select {
		case <-f.k.ended:
			timer.Stop()
			return
		case <-timer.C:
		case <-f.watch.stirs():
		case <-f.stirs:
		case answer := <-f.asks:
			f.turn(true, true, func() { retried = time.Now() })
			f.k.goes(func() { answer <- f.outcome() })
		}
		timer.Stop()
	}
}

// readAgain tries all that is on disk, and waits for what comes of it. Without the token.
func (f *included) readAgain() error {
	answer := make(chan error, 1)
	select {
	case f.asks <- answer:
	case <-f.k.ended:
		return errStopping
	}
	select {
	case err := <-answer:
		return err
	case <-f.k.ended:
		return errStopping
	}
}

// fewFiles is of how many files the answer to a reload says what is wrong.
const fewFiles = 20

// outcome waits until nothing is under way but what has failed once, and says what is not in force.
func (f *included) outcome() error {
	for {
		f.mu.Lock()
		var wait <-chan struct{}
		for _, s := range f.files {
			if s.change != nil && s.problem == "" {
				wait = s.change.known
				break
			}
		}
		if wait == nil {
			defer f.mu.Unlock()
			break
		}
		f.mu.Unlock()
		select {
		case <-wait:
		case <-f.k.ended:
			return errStopping
		}
	}
	var problems []string
	for _, path := range slices.Sorted(maps.Keys(f.files)) {
		if s := f.files[path]; s.problem != "" {
			problems = append(problems, s.problem)
		}
	}
	n := len(problems)
	if n == 0 {
		return nil
	}
	if n > fewFiles {
		problems = append(problems[:fewFiles], "weir status shows the others")
	}
	return fmt.Errorf("the configuration is in force, but not %d of the files that it includes:\n%s", n, strings.Join(problems, "\n"))
}

// take takes the token for a file's sake. False: it is the end.
func (f *included) take() bool {
	f.k.filing.Add(1) // who asks meanwhile waits instead of being refused
	select {
	case f.k.op <- struct{}{}:
		return true
	case <-f.k.ended:
		return false
	}
}

func (f *included) release() {
	<-f.k.op
	f.k.filing.Add(-1) // after it: at no time does a token seem to be somebody else's
}

// stir has the files looked at again, soon.
func (f *included) stir() {
	select {
	case f.stirs <- struct{}{}:
	default:
	}
}

// inForce is the version of a file that is in force, as one to choose from.
func (s *file) inForce() []config.Version {
	if s.force == nil {
		return nil
	}
	return []config.Version{{Text: s.force.Text, Read: s.force.Read, Proven: true}}
}

// choices are all files with the versions that they are to have; others have the one in force. f.mu is held.
func (f *included) choices(of map[string][]config.Version) (all []config.Choice) {
	for _, path := range slices.Sorted(maps.Keys(f.files)) {
		versions, ok := of[path]
		if !ok {
			versions = f.files[path].inForce()
		}
		if len(versions) > 0 {
			all = append(all, config.Choice{Path: path, Versions: versions})
		}
	}
	return all
}

// reloadMain reads the configuration's own file anew and puts it in force with the files as they are, or where they do not go
// with it any more, as they are on disk. With the token.
func (f *included) reloadMain() error {
	reread := f.k.reads.Add(1)
	main, err := f.k.opts.Open(reread)
	if err != nil {
		return err
	}
	listing := main.List()
	of := map[string][]config.Version{}
	now := time.Now()
	f.mu.Lock()
	there := map[string]bool{}
	for _, path := range listing.Paths {
		there[path] = true
		s := f.files[path]
		if s == nil || s.force == nil {
			continue // it comes by itself
		}
		is, versions := f.watch.readNow(path, now), s.inForce()
		s.disk = is
		switch again := (config.Version{Text: is.text, Read: reread}); {
		case is.missing != "" || s.change != nil:
		case is.text == s.force.Text: // what it names may have changed
			versions = append([]config.Version{again}, versions...)
		default:
			versions = append(versions, again)
		}
		of[path] = versions
	}
	var gone []string
	for path, s := range f.files {
		// One that is not in force and is not found goes by itself, if anybody looks again.
		if (s.force != nil || main.Include() == nil) && !there[path] && !listing.Keeps(path) {
			of[path], gone = nil, append(gone, path)
		}
	}
	choices := f.choices(of)
	f.mu.Unlock()
	joined, err := main.Join(choices)
	if err != nil {
		return err
	}
	return f.k.become(joined.Config, joined.Warnings, func() {
		f.main.Store(main)
		f.took(joined)
		f.mu.Lock()
		f.reread = reread
		defer f.mu.Unlock()
		for _, path := range gone {
			if s := f.files[path]; s != nil && s.change != nil {
				s.change.stop()
			}
			delete(f.files, path)
			f.watch.forget(path)
		}
	})
}
