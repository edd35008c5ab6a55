package exposition

import (
	"slices"
	"strconv"
	"strings"

	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/picture"
)

// Workers are called by their place, "web/1", and not by the process that is in it, "web/1.3": a process that is replaced is no new
// series. While two are in one place, the newer one counts. To Prometheus its smaller numbers are those of a process that began anew.

// serverRow is a server as metrics tell of it.
type serverRow struct {
	set    set
	s      *picture.Server
	born   int
	active int64 // of all processes in the place
}

// workerRow is a worker as metrics tell of it.
type workerRow struct {
	set  set
	w    *picture.Worker
	born int
}

// placeOf splits the name of a process into its place and which one of the place it is.
func placeOf(name string) (place string, born int) {
	slash := strings.LastIndexByte(name, '/')
	dot := strings.LastIndexByte(name, '.')
	if slash < 0 || dot < slash {
		return name, 1
	}
	n, err := strconv.Atoi(name[dot+1:])
	if err != nil {
		return name, 1
	}
	return name[:dot], n
}

func (w *walk) gatherServers() {
	seen := map[string]int{}
	for i := range w.p.Pools {
		p := &w.p.Pools[i]
		clear(seen)
		for j := range p.Servers {
			s := &p.Servers[j]
			place, born := s.Name, 1
			if p.App != "" {
				place, born = placeOf(s.Name)
			}
			at, again := seen[place]
			if !again {
				at = len(w.servers)
				seen[place] = at
				w.servers = append(w.servers, serverRow{set: w.enc.label(slices.Clone(w.pools[i]), "server", place)})
			}
			row := &w.servers[at]
			row.active += s.Active
			if row.s == nil || born > row.born {
				row.s, row.born = s, born
			}
		}
	}
}

func (w *walk) gatherWorkers() {
	seen := map[string]int{}
	for i := range w.p.Apps {
		a := &w.p.Apps[i]
		clear(seen)
		for j := range a.Workers {
			k := &a.Workers[j]
			place, born := placeOf(k.Name)
			at, again := seen[place]
			if !again {
				at = len(w.workers)
				seen[place] = at
				w.workers = append(w.workers, workerRow{set: w.enc.label(slices.Clone(w.apps[i]), "worker", place)})
			}
			if row := &w.workers[at]; row.w == nil || born > row.born {
				row.w, row.born = k, born
			}
		}
	}
}

type processRow struct {
	place string
	born  int
	p     *picture.Process
}

// processes are those of the facts, by place.
func (w *walk) processes() (rows []processRow) {
	seen := map[string]int{}
	for i := range w.p.Facts.Processes {
		p := &w.p.Facts.Processes[i]
		place, born := placeOf(p.What)
		if at, again := seen[place]; !again {
			seen[place] = len(rows)
			rows = append(rows, processRow{place, born, p})
		} else if born > rows[at].born {
			rows[at] = processRow{place, born, p}
		}
	}
	return rows
}

// classes are those of the statuses.
var classes = [6]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

// byClass tells a count for each class of statuses. What is rare is told once there was one.
func (w *walk) byClass(f *family, s set, n *[6]uint64) {
	for i, c := range n {
		if c > 0 || i >= 2 {
			w.by(f, s, "class", classes[i], float64(c))
		}
	}
}

// causes are the words of the access log.
var causes = func() (all []string) {
	for c := journal.NoCause + 1; c <= journal.Internal || c.String() != journal.Internal.String(); c++ {
		all = append(all, c.String())
	}
	return all
}()

// failures are what of servers is counted apart.
var failures = []string{"connect_error", "empty_response", "bad_response", "timeout", "unavailable", "server_error"}

// other stands for words that this weir does not know: of an edge of another version, say.
const other = "other"

// byWord tells what was counted by fixed words.
func (w *walk) byWord(f *family, s set, label string, words []string, n map[string]uint64) {
	if len(n) == 0 {
		return
	}
	known := 0
	for _, word := range words {
		if c, ok := n[word]; ok {
			known++
			w.by(f, s, label, word, float64(c))
		}
	}
	if known == len(n) {
		return
	}
	rest := uint64(0)
	for word, c := range n {
		if !slices.Contains(words, word) {
			rest += c
		}
	}
	w.by(f, s, label, other, float64(rest))
}

// manyWhys bounds the reasons told of one route.
const manyWhys = 40

// byWhy tells what was counted by reasons, which are words of the edge's own.
func (w *walk) byWhy(f *family, s set, n map[string]uint64) {
	w.words = w.words[:0]
	for word := range n {
		w.words = append(w.words, word)
	}
	slices.Sort(w.words)
	rest, told := uint64(0), 0
	for _, word := range w.words {
		if told >= manyWhys || word == other || len(word) > 60 {
			rest += n[word]
			continue
		}
		told++
		w.by(f, s, "why", word, float64(n[word]))
	}
	if rest > 0 {
		w.by(f, s, "why", other, float64(rest))
	}
}
