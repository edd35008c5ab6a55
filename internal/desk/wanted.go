package desk

import (
	"os"
	"path/filepath"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/desk/facts"
	"github.com/weirhq/weir/internal/picture"
)

// manyWorkers bounds those that are looked at each second.
const manyWorkers = 500

// wanted is what of the machine is of interest: weir's processes, the workers, and where either of them writes.
func wanted(cfg *config.Config, runDir string, told *picture.Told) (w facts.Wanted) {
	w.Processes = append(w.Processes, facts.Named{PID: os.Getpid(), What: "desk"})
	if e := told.Edge; e != nil {
		w.Processes = append(w.Processes, facts.Named{PID: e.PID, What: "edge"})
	}
	if k := told.Keeper; k != nil {
		w.Processes = append(w.Processes, facts.Named{PID: k.PID, What: "keeper"})
		for _, a := range k.Apps {
			for _, worker := range a.Workers {
				if worker.PID > 0 && len(w.Processes) < manyWorkers {
					w.Processes = append(w.Processes, facts.Named{PID: worker.PID, What: worker.Name, App: a.Name})
				}
			}
		}
	}
	w.Paths = append(w.Paths, runDir)
	if cfg.Cache != nil && cfg.Cache.Disk != nil {
		w.Paths = append(w.Paths, cfg.Cache.Disk.Path)
	}
	for _, log := range cfg.Log.Access {
		if filepath.IsAbs(log.To) {
			w.Paths = append(w.Paths, filepath.Dir(log.To))
		}
	}
	for _, a := range cfg.Apps {
		w.Paths = append(w.Paths, a.Directory)
	}
	return w
}
