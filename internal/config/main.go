package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Options say how a configuration is read.
type Options struct {
	Env    func(string) (string, bool) // where ${NAME} is looked up, as os.LookupEnv
	Strict bool                        // what the machine lacks is an error; else it is only warned of
	RunDir string                      // takes the place of the one in the file; empty: it does not
	Also   func(*Config) error         // what else a configuration has to be good for; its errors name their places; may be nil
	host   machine
}

// File is one file of a configuration as it was read.
type File struct {
	Path string // absolute
	Name string // what messages call it
	Text string
	// Read grows when the file is read anew: what it names (error pages) may have changed where its text has not.
	Read int64
}

// Main is a configuration's own file, read and checked: what the files that it includes are joined with. Its methods may be
// called from any goroutine.
type Main struct {
	o        Options
	path     string // as messages call it
	file     File
	whole    raw
	warnings []Warning
	used     map[string]string
	claims   []claim

	mu    sync.Mutex
	parts map[string]*part // by path, as they were wanted last
}

// Open reads the text of a configuration's own file. Relative paths begin at path's folder. The error is an Errors.
func Open(path string, text []byte, read int64, o Options) (*Main, error) {
	if o.host == nil {
		o.host = here{}
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("finding the folder of %s: %w", path, err)
	}
	m := &Main{o: o, path: path, file: File{Path: absolute, Name: path, Text: string(text), Read: read}, parts: map[string]*part{}}
	d := newDecoder(path, text, o.Env, o.host)
	d.base, d.strict = filepath.Dir(absolute), o.Strict
	if m.whole, err = readTop(d, text, tables().top); err != nil {
		return nil, err
	}
	c := &m.whole.Config
	c.File, c.Text, c.Read, c.UsedEnv, c.Place = absolute, string(text), read, d.used, d.places
	if o.RunDir != "" {
		moved, err := c.WithRunDir(o.RunDir)
		if err != nil {
			return nil, err
		}
		*c = *moved
	}
	if o.Also != nil {
		if err := o.Also(c); err != nil {
			return nil, err
		}
	}
	m.warnings, m.used, m.claims = d.warnings, d.used, d.claims(&m.whole)
	return m, nil
}

// OpenFile is Open on a file that is read first.
func OpenFile(path string, read int64, o Options) (*Main, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, Errors{{Place: Place{File: path}, Message: "the file cannot be read", Hint: reason(err), Width: 1}}
	}
	return Open(path, text, read, o)
}

// readTop reads a whole file.
func readTop(d *decoder, text []byte, top *object[raw]) (r raw, err error) {
	root, wrong := d.src.tree(text)
	if wrong != nil {
		return r, Errors{wrong}
	}
	if v, ok := d.at("", nil, root); ok {
		r, _ = top.read(d, v)
	}
	if len(d.errs) > 0 {
		return r, d.allErrors()
	}
	slices.SortStableFunc(d.warnings, func(a, b Warning) int {
		if a.Place.before(b.Place) {
			return -1
		}
		return 1
	})
	return r, nil
}

// Include says which files belong to the configuration; nil: none.
func (m *Main) Include() *Include { return m.whole.Include }

// List looks which files there are.
func (m *Main) List() Listing {
	if m.whole.Include == nil {
		return Listing{}
	}
	return m.whole.Include.List(m.file.Path)
}

// File is the file itself.
func (m *Main) File() File { return m.file }

// Call returns what messages call an included file: as the configuration's own is called.
func (m *Main) Call(path string) string {
	rel, err := filepath.Rel(filepath.Dir(m.file.Path), path)
	if err != nil || filepath.IsAbs(m.path) || strings.HasPrefix(rel, "../") {
		return shownPath(path)
	}
	return shownPath(filepath.Join(filepath.Dir(m.path), rel))
}

// Version is one version of an included file.
type Version struct {
	Text    string
	Read    int64  // as in File
	Proven  bool   // it is in force: what the machine lacks is only warned of, and no other file takes anything from it
	Missing string // why there is no text
}

// Choice is an included file with its versions, in the order in which they are to be tried.
type Choice struct {
	Path     string // absolute
	Versions []Version
}

// Joined is a configuration with its included files.
type Joined struct {
	Config   *Config
	Warnings []Warning // of the configuration's own file, and of what was not in force yet
	News     []Warning // the latter alone
	Refused  []Refused // versions that were tried and not taken, by file
}

// Refused says why a version of a file is not in force.
type Refused struct {
	Path    string
	Version int // of the Choice's
	Proven  bool
	Passing bool // it may be good another time, though its text is the same
	Errors  Errors
}

// Join puts the files together with the configuration's own: of each file the first version that will do, or nothing of it. The
// choices are in the order of their paths. The error is of a proven version that has no place in the configuration any more.
func (m *Main) Join(choices []Choice) (*Joined, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	parts := make([][]*part, len(choices))
	versions := make([][]version, len(choices))
	kept, room := make(map[string]*part, len(choices)), maxIncludedText
	for i, c := range choices {
		parts[i] = make([]*part, len(c.Versions))
		for n, v := range c.Versions {
			if n == 0 {
				room -= len(v.Text)
			}
			full := room < 0 && !v.Proven
			versions[i] = append(versions[i], version{proven: v.Proven, is: func() (bool, []string) {
				if parts[i][n] == nil {
					parts[i][n] = m.part(c.Path, v, full)
				}
				return len(parts[i][n].errs) > 0, parts[i][n].names
			}})
		}
	}
	held := make([]string, len(m.claims))
	for i, c := range m.claims {
		held[i] = c.name()
	}
	chosen, clashes, stuck := choose(held, versions)
	if stuck != nil {
		return nil, Errors{m.clashError(*stuck, parts, chosen)}
	}
	for i, c := range choices {
		if n := slices.IndexFunc(c.Versions, func(v Version) bool { return v.Proven }); chosen[i] < 0 && n >= 0 {
			return nil, parts[i][n].errs // what is in force needs something that this configuration has no more
		}
		kept[c.Path] = parts[i][max(chosen[i], 0)]
	}
	m.parts = kept
	j := &Joined{}
	for i, c := range choices {
		for v, p := range parts[i] {
			if v == chosen[i] {
				break
			}
			errs, passing := p.errs, p.passing
			if at := slices.IndexFunc(clashes, func(c clash) bool { return c.file == i && c.version == v }); at >= 0 && len(errs) == 0 {
				errs, passing = Errors{m.clashError(clashes[at], parts, chosen)}, true
			}
			if len(errs) > 0 {
				j.Refused = append(j.Refused, Refused{c.Path, v, c.Versions[v].Proven, passing, errs})
			}
		}
	}
	j.Config = m.assemble(choices, parts, chosen, j)
	return j, nil
}

// assemble makes one configuration of the parts.
func (m *Main) assemble(choices []Choice, parts [][]*part, chosen []int, j *Joined) *Config {
	c := m.whole.Config
	j.Warnings = slices.Clone(m.warnings)
	if len(choices) == 0 {
		return &c
	}
	c.Apps, c.Pools, c.Sites = slices.Clone(c.Apps), slices.Clone(c.Pools), slices.Clone(c.Sites)
	c.Place, c.UsedEnv = maps.Clone(c.Place), maps.Clone(c.UsedEnv)
	for i, f := range choices {
		if chosen[i] < 0 {
			continue
		}
		v, p := f.Versions[chosen[i]], parts[i][chosen[i]]
		c.Apps = append(c.Apps, p.raw.Apps...)
		c.Pools = append(c.Pools, p.raw.Pools...)
		c.Sites = append(c.Sites, p.raw.Sites...)
		maps.Copy(c.UsedEnv, p.used)
		maps.Copy(c.Place, p.places)
		c.Files = append(c.Files, File{f.Path, m.Call(f.Path), v.Text, v.Read})
		if !v.Proven {
			j.News = append(j.News, p.warnings...)
		}
	}
	j.Warnings = append(j.Warnings, j.News...)
	return &c
}

// Brief is the first few errors, for where a person looks at more than this file.
func (es Errors) Brief() string {
	const few = 5
	if len(es) <= few {
		return es.Error()
	}
	return es[:few].Error() + fmt.Sprintf("\n%d more errors are not shown: weir check says them all", len(es)-few)
}

// clashError says of a version that what it wants is somebody else's.
func (m *Main) clashError(c clash, parts [][]*part, chosen []int) *Error {
	p := parts[c.file][c.version]
	at := p.claims[slices.Index(p.names, c.claim)]
	others := m.claims
	if c.holder != main {
		others = nil
		if v := chosen[c.holder]; v >= 0 {
			others = parts[c.holder][v].claims
		} else {
			for _, o := range parts[c.holder] {
				if o != nil {
					others = append(others, o.claims...)
				}
			}
		}
	}
	where := ""
	if i := slices.IndexFunc(others, func(o claim) bool { return o.name() == c.claim }); i >= 0 {
		where = others[i].at.String()
	}
	return p.src.errorAt(at.at.Line, at.at.Column, at.width, fmt.Sprintf(claimed[at.kind].message, at.what), fmt.Sprintf(claimed[at.kind].hint, where))
}

// textOf is what a file of the configuration says.
func (c *Config) textOf(name string) string {
	for _, f := range c.Files {
		if f.Name == name {
			return f.Text
		}
	}
	return c.Text
}

// Load reads a configuration with all that it includes, checks it, and checks that the machine has what it names: commands,
// directories, users, files. The error is an Errors with everything that is wrong, of any of the files; the warnings, which
// there are only without an error, are of things that are allowed and probably not meant.
func Load(path string, o Options) (*Config, []Warning, error) {
	o.Strict = true
	m, err := OpenFile(path, 1, o)
	if err != nil {
		return nil, nil, err
	}
	j, all, err := m.Read()
	if err == nil && len(all) > 0 {
		err = all.limited()
	}
	if err != nil {
		return nil, nil, err
	}
	return j.Config, j.Warnings, nil
}

// Read joins the configuration with the files that there are. Besides it returns all that is wrong in them.
func (m *Main) Read() (*Joined, Errors, error) {
	l := m.List()
	choices := make([]Choice, len(l.Paths))
	for i, path := range l.Paths {
		choices[i] = Choice{path, []Version{{Read: m.file.Read}}}
		v := &choices[i].Versions[0]
		var err error
		if v.Text, err = ReadIncluded(path); err != nil {
			v.Missing = err.Error()
		}
	}
	j, err := m.Join(choices)
	if err != nil {
		return nil, nil, err
	}
	var all Errors
	for _, u := range l.Unseen {
		e := m.unseen(u)
		if errors.Is(u.Err, fs.ErrNotExist) {
			j.Warnings = append(j.Warnings, Warning(*e)) // it may come
			continue
		}
		all = append(all, e)
	}
	for _, r := range j.Refused {
		all = append(all, r.Errors...)
	}
	return j, all, nil
}

// unseen says that a folder with included files cannot be listed.
func (m *Main) unseen(u Unseen) *Error {
	return m.whole.ErrorAtPlace(m.whole.Include.Place, "the folder "+shownPath(u.Folder)+" cannot be listed: "+reason(u.Err), "")
}

// limited is the errors without those that nobody would read.
func (es Errors) limited() Errors {
	if len(es) <= maxErrors {
		return es
	}
	more := len(es) - maxErrors
	return append(es[:maxErrors:maxErrors], &Error{Place: Place{File: es[maxErrors].Place.File}, Message: fmt.Sprintf("%d more errors are not shown", more), Width: 1})
}

// Parse reads a configuration's own text without what it includes, and only warns of what the machine lacks.
func Parse(path string, text []byte, env func(string) (string, bool)) (*Config, []Warning, error) {
	m, err := Open(path, text, 1, Options{Env: env})
	if err != nil {
		return nil, nil, err
	}
	j, err := m.Join(nil)
	if err != nil {
		return nil, nil, err
	}
	return j.Config, j.Warnings, nil
}
