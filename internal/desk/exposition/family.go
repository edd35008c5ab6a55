package exposition

import (
	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/metrics"
	"github.com/weirhq/weir/internal/picture"
)

// Kind is what a metric is.
type Kind uint8

// The kinds.
const (
	Gauge     Kind = iota
	Counter        // it only grows; its name ends in _total
	Histogram      // of seconds
)

var kindWords = [...]string{"gauge", "counter", "histogram"}

// String returns the word of the formats.
func (k Kind) String() string { return kindWords[k] }

// family is one metric with all its samples.
type family struct {
	name   string // as it is asked for; a counter's ends in _total
	kind   Kind
	help   string   // one line
	labels []string // for the reference
	wide   bool     // of weir as a whole: when counting began is told beside it
	coarse bool     // a histogram of many things: every other classic bucket is left out
	each   func(w *walk, f *family)
}

// Family is a metric that another part of the desk adds (see Exposer.Add). Whoever makes one bounds its samples.
type Family struct {
	Name    string // a counter's ends in _total
	Kind    Kind
	Help    string
	Samples []Sample
}

// Sample is one value of a Family. No two of one family have the same labels.
type Sample struct {
	Labels [][2]string // names and values; names are letters, digits and _
	Value  float64
	// Histogram is the value of one, and nobody changes it any more.
	Histogram *metrics.Histogram
}

// set is labels as one of the formats has them.
type set []byte

// encoder is one of the formats.
type encoder interface {
	// label appends one label to a set.
	label(s set, name, value string) set
	begin(f *family)
	// sample tells a value; s may be nil.
	sample(f *family, s set, v float64)
	// by is sample with one more label.
	by(f *family, s set, name, value string, v float64)
	histogram(f *family, s set, h *metrics.Histogram, slow *api.Exemplar)
	end()
	// bytes is all that was told. It is the caller's.
	bytes() []byte
}

// walk goes through a picture. The labels of what is there often are made once.
type walk struct {
	p       *picture.Picture
	enc     encoder
	routes  []set
	tcp     []set
	pools   []set
	servers []serverRow
	apps    []set
	workers []workerRow
	scratch set
	words   []string
}

// render writes a picture in a format.
func render(p *picture.Picture, enc encoder, more []Family) []byte {
	w := newWalk(p, enc)
	for i := range families {
		f := &families[i]
		f.each(w, f)
		enc.end()
	}
	for i := range more {
		m := &more[i]
		if len(m.Samples) == 0 {
			continue
		}
		f := &family{name: m.Name, kind: m.Kind, help: m.Help}
		for _, s := range m.Samples {
			w.scratch = w.scratch[:0]
			for _, l := range s.Labels {
				w.scratch = enc.label(w.scratch, l[0], l[1])
			}
			if f.kind != Histogram {
				w.tell(f, w.scratch, s.Value)
			} else if s.Histogram != nil {
				enc.histogram(f, w.scratch, s.Histogram, nil)
			}
		}
		enc.end()
	}
	return enc.bytes()
}

func newWalk(p *picture.Picture, enc encoder) *walk {
	w := &walk{p: p, enc: enc}
	for i := range p.Routes {
		r := &p.Routes[i]
		w.routes = append(w.routes, enc.label(enc.label(nil, "site", r.Site), "route", r.Name))
	}
	for i := range p.TCP {
		w.tcp = append(w.tcp, enc.label(nil, "address", p.TCP[i].Name))
	}
	for i := range p.Pools {
		w.pools = append(w.pools, enc.label(nil, "pool", p.Pools[i].Name))
	}
	for i := range p.Apps {
		w.apps = append(w.apps, enc.label(nil, "app", p.Apps[i].Name))
	}
	w.gatherServers()
	w.gatherWorkers()
	return w
}

func (w *walk) tell(f *family, s set, v float64) { w.enc.sample(f, s, v) }

func (w *walk) by(f *family, s set, name, value string, v float64) { w.enc.by(f, s, name, value, v) }

// The shapes of families: one value, or one for each of something.

func total(name, help string, of func(p *picture.Picture) uint64) family {
	return family{name: name, kind: Counter, help: help, wide: true, each: func(w *walk, f *family) { w.tell(f, nil, float64(of(w.p))) }}
}

func gauge(name, help string, of func(p *picture.Picture) float64) family {
	return family{name: name, help: help, each: func(w *walk, f *family) { w.tell(f, nil, of(w.p)) }}
}

func perRoute(kind Kind, name, help string, of func(r *picture.Route) uint64) family {
	return family{name: name, kind: kind, help: help, labels: []string{"site", "route"}, each: func(w *walk, f *family) {
		for i := range w.p.Routes {
			w.tell(f, w.routes[i], float64(of(&w.p.Routes[i])))
		}
	}}
}

func perTCP(name, help string, of func(r *picture.Route) uint64) family {
	return family{name: name, kind: Counter, help: help, labels: []string{"address"}, each: func(w *walk, f *family) {
		for i := range w.p.TCP {
			w.tell(f, w.tcp[i], float64(of(&w.p.TCP[i])))
		}
	}}
}

func perPool(kind Kind, name, help string, of func(p *picture.Pool) float64) family {
	return family{name: name, kind: kind, help: help, labels: []string{"pool"}, each: func(w *walk, f *family) {
		for i := range w.p.Pools {
			w.tell(f, w.pools[i], of(&w.p.Pools[i]))
		}
	}}
}

func perServer(kind Kind, name, help string, of func(r *serverRow) float64) family {
	return family{name: name, kind: kind, help: help, labels: []string{"pool", "server"}, each: func(w *walk, f *family) {
		for i := range w.servers {
			w.tell(f, w.servers[i].set, of(&w.servers[i]))
		}
	}}
}

func perApp(kind Kind, name, help string, of func(a *picture.App) float64) family {
	return family{name: name, kind: kind, help: help, labels: []string{"app"}, each: func(w *walk, f *family) {
		for i := range w.p.Apps {
			w.tell(f, w.apps[i], of(&w.p.Apps[i]))
		}
	}}
}

func perWorker(kind Kind, name, help string, of func(r *workerRow) float64) family {
	return family{name: name, kind: kind, help: help, labels: []string{"app", "worker"}, each: func(w *walk, f *family) {
		for i := range w.workers {
			w.tell(f, w.workers[i].set, of(&w.workers[i]))
		}
	}}
}

func ofCache(kind Kind, name, help string, of func(c *picture.Cache) float64) family {
	return family{name: name, kind: kind, help: help, each: func(w *walk, f *family) {
		if w.p.Cache != nil {
			w.tell(f, nil, of(w.p.Cache))
		}
	}}
}

func ofDisk(kind Kind, name, help string, of func(c *api.CacheDisk) float64) family {
	return ofCacheDisk(family{name: name, kind: kind, help: help}, of)
}

func ofCacheDisk(f family, of func(c *api.CacheDisk) float64) family {
	f.each = func(w *walk, f *family) {
		if w.p.Cache != nil && w.p.Cache.Disk != nil {
			w.tell(f, nil, of(w.p.Cache.Disk))
		}
	}
	return f
}

func ofFacts(name, help string, of func(x *picture.Facts) float64) family {
	return family{name: name, help: help, each: func(w *walk, f *family) {
		if w.p.Facts != nil {
			w.tell(f, nil, of(w.p.Facts))
		}
	}}
}

func perDisk(name, help string, of func(d *picture.Disk) float64) family {
	return family{name: name, help: help, labels: []string{"path"}, each: func(w *walk, f *family) {
		if w.p.Facts == nil {
			return
		}
		for i := range w.p.Facts.Disks {
			d := &w.p.Facts.Disks[i]
			w.by(f, nil, "path", d.Path, of(d))
		}
	}}
}

func perNetwork(kind Kind, name, help string, of func(n *picture.Network) float64) family {
	return family{name: name, kind: kind, help: help, labels: []string{"device"}, each: func(w *walk, f *family) {
		if w.p.Facts == nil {
			return
		}
		for i := range w.p.Facts.Networks {
			n := &w.p.Facts.Networks[i]
			w.by(f, nil, "device", n.Name, of(n))
		}
	}}
}

func perProcess(name, help string, of func(p *picture.Process) float64) family {
	return family{name: name, help: help, labels: []string{"process"}, each: func(w *walk, f *family) {
		if w.p.Facts == nil {
			return
		}
		for _, r := range w.processes() {
			w.by(f, nil, "process", r.place, of(r.p))
		}
	}}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
