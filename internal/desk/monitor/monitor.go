// Package monitor answers those who ask whether weir may get traffic: balancers in front of it, and scripts. Each answer is a status, 200 or
// 503, and a few lines that say why. It decides of a picture and a time, and asks nobody.
package monitor

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/picture"
)

// old is the age from which on a picture says nothing of now: one is made each second, and a question may take three.
const old = 10 * time.Second

// mostWhys is how many reasons are told: a query may name many pools.
const mostWhys = 20

// Answer is what one is told.
type Answer struct {
	Status int
	Lines  []string // the first is the answer in a word
	Why    []string // it is not yes; for those alone who may look
}

// Live answers as long as there is somebody to answer: it says nothing of traffic.
func Live(p *picture.Picture) Answer {
	return Answer{Status: http.StatusOK, Lines: append([]string{"live"}, self(p)...)}
}

func self(p *picture.Picture) []string {
	if p == nil {
		return nil
	}
	return []string{"node: " + p.Node, "version: " + p.Version, "revision: " + strconv.FormatInt(p.Edge.Revision, 10)}
}

// Ready answers whether traffic should come here. In the query, pool names one that must have servers (min of them, 1 if that is not said),
// and version is what weir must be.
func Ready(p *picture.Picture, now time.Time, stopping bool, query url.Values) Answer {
	n, err := atLeast(query)
	if err != nil {
		return Answer{Status: http.StatusBadRequest, Lines: []string{err.Error()}}
	}
	var why []string
	switch {
	case stopping:
		why = append(why, "weir is stopping")
	case p == nil:
		why = append(why, "nothing is known yet")
	case now.Sub(p.At) > old:
		why = append(why, fmt.Sprintf("nothing is known since %.0f seconds", now.Sub(p.At).Seconds()))
	case !p.Edge.Up:
		why = append(why, noEdge)
	default:
		why = poolsWhy(p, query["pool"], n)
		if v := query.Get("version"); v != "" && v != p.Version {
			why = append(why, fmt.Sprintf("version is %s, not %.40q", p.Version, v))
		}
	}
	a := Answer{Status: http.StatusOK, Lines: []string{"ready"}, Why: why[:min(len(why), mostWhys)]}
	if len(why) > 0 {
		a.Status, a.Lines = http.StatusServiceUnavailable, []string{"not ready"}
	}
	a.Lines = append(a.Lines, self(p)...)
	return a
}

// poolsWhy says what is wrong with the named pools, or with all of them if none is named.
func poolsWhy(p *picture.Picture, names []string, n int) (why []string) {
	for _, name := range names {
		switch pool := find(p, name); {
		case pool == nil:
			why = append(why, fmt.Sprintf("there is no pool %.40q", name))
		case pool.Open < n:
			why = append(why, fewer(pool, n))
		}
	}
	if len(names) > 0 || len(p.Pools) == 0 {
		return why
	}
	for i := range p.Pools {
		if p.Pools[i].Open > 0 {
			return nil
		}
	}
	return []string{"no pool has a server that takes requests"}
}

const noEdge = "the process that serves does not answer"

func fewer(pool *picture.Pool, n int) string {
	return fmt.Sprintf("pool %s has %d of %d servers that it must have", pool.Name, pool.Open, n)
}

// Pool tells how large a pool is; with min in the query, whether that is enough.
func Pool(p *picture.Picture, now time.Time, name string, query url.Values) Answer {
	n, err := atLeast(query)
	if err != nil {
		return Answer{Status: http.StatusBadRequest, Lines: []string{err.Error()}}
	}
	if p == nil || now.Sub(p.At) > old {
		return Answer{Status: http.StatusServiceUnavailable, Lines: []string{"unknown"}, Why: []string{"nothing is known of now"}}
	}
	pool := find(p, name)
	if pool == nil {
		return Answer{Status: http.StatusNotFound, Lines: []string{"no such pool"}}
	}
	a := Answer{Status: http.StatusOK, Lines: []string{pool.State, "open: " + strconv.Itoa(pool.Open), "servers: " + strconv.Itoa(len(pool.Servers)),
		"active: " + strconv.FormatInt(pool.Active, 10), "queued: " + strconv.FormatInt(pool.Queued, 10)}}
	if pool.Open < n || !p.Edge.Up {
		a.Status = http.StatusServiceUnavailable
		if !p.Edge.Up {
			a.Why = append(a.Why, noEdge)
		} else {
			a.Why = append(a.Why, fewer(pool, n))
		}
		for i := range pool.Servers {
			if s := &pool.Servers[i]; s.State != "ready" {
				a.Why = append(a.Why, strings.TrimSuffix(s.Name+" is "+s.State+": "+s.Why, ": "))
			}
		}
		a.Why = a.Why[:min(len(a.Why), mostWhys)]
	}
	a.Lines = append(a.Lines, self(p)...)
	return a
}

func find(p *picture.Picture, name string) *picture.Pool {
	for i := range p.Pools {
		if p.Pools[i].Name == name {
			return &p.Pools[i]
		}
	}
	return nil
}

// atLeast reads min.
func atLeast(query url.Values) (int, error) {
	text := query.Get("min")
	if text == "" {
		return 1, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("min is %.40q: write how many servers there must be, such as 2", text)
	}
	return n, nil
}

// Write sends an answer. Who may not look is told yes or no, and not why.
func (a *Answer) Write(w http.ResponseWriter, looks bool) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	lines := a.Lines
	if !looks && len(lines) > 0 {
		lines = lines[:1]
	}
	if looks {
		for _, why := range a.Why {
			lines = append(lines, "why: "+why)
		}
	}
	w.WriteHeader(a.Status)
	fmt.Fprintln(w, strings.Join(lines, "\n")) //nolint:errcheck // who asked is gone
}
