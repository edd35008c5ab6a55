// Package source makes configurations of what processes hand to each other: texts as they were read once, whatever lies on the disk
// by now. How a text is read is config's business.
package source

import (
	"slices"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
)

// Same reports whether two sources make the same configuration.
func Same(a, b *api.Source) bool {
	return a.Revision == b.Revision && a.Text == b.Text && slices.Equal(a.Files, b.Files)
}

// Join joins a configuration's own file with the included files that are in force.
func Join(main *config.Main, s *api.Source) (*config.Config, error) {
	choices := make([]config.Choice, len(s.Files))
	for i, f := range s.Files {
		choices[i] = config.Choice{Path: f.Path, Versions: []config.Version{{Text: f.Text, Read: f.Read, Proven: true}}}
	}
	j, err := main.Join(choices)
	if err != nil {
		return nil, err
	}
	return j.Config, nil
}

// Reader reads one source after the other: of many included files, only those that have changed are read anew. The zero value is ready.
// One goroutine at a time may use it.
type Reader struct {
	main   *config.Main
	path   string
	runDir string
	env    map[string]string // of the source that is being read
}

// Read makes a configuration of its source. What ${NAME} stands for is the source's, and nothing of this process's.
func (r *Reader) Read(s *api.Source, runDir string) (*config.Config, error) {
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
	return Join(r.main, s)
}
