package edge

import (
	"slices"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
)

// reading is the configuration's own file as it was read last, with what is known of the files that it includes: of many files,
// only those that have changed are read anew.
type reading struct {
	main   *config.Main
	path   string
	runDir string
	env    map[string]string // of the source that is being read
}

// sameSource reports whether two sources make the same tree.
func sameSource(a, b *api.Source) bool {
	return a.Revision == b.Revision && a.Text == b.Text && slices.Equal(a.Files, b.Files)
}

// read makes a configuration of its source. e.mu is held.
func (e *Edge) read(s *api.Source, runDir string) (*config.Config, error) {
	r := &e.reading
	r.env = s.Env
	if r.main == nil || r.path != s.Path || r.runDir != runDir || r.main.File().Text != s.Text || r.main.File().Read != s.Read {
		main, err := config.Open(s.Path, []byte(s.Text), s.Read, config.Options{RunDir: runDir, Env: func(name string) (string, bool) {
			v, ok := r.env[name]
			return v, ok
		}})
		if err != nil {
			return nil, err
		}
		r.main, r.path, r.runDir = main, s.Path, runDir
	}
	choices := make([]config.Choice, len(s.Files))
	for i, f := range s.Files {
		choices[i] = config.Choice{Path: f.Path, Versions: []config.Version{{Text: f.Text, Read: f.Read, Proven: true}}}
	}
	j, err := r.main.Join(choices)
	if err != nil {
		return nil, err
	}
	return j.Config, nil
}
