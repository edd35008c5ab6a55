package exposition

import (
	"bytes"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/metrics"
	"github.com/weirhq/weir/internal/picture"
)

// Value is one number of a picture, for those who want neither text nor protobuf. Labels holds only until the next one is told.
type Value struct {
	Name      string
	Kind      Kind
	Labels    [][2]string
	Value     float64
	Histogram *metrics.Histogram // of those alone, in place of a value
}

// Each tells all numbers of a picture, in the order of the metrics.
func Each(p *picture.Picture, tell func(v *Value)) { render(p, &flat{tell: tell}, nil) }

// flat passes on. Its sets are names and values, each with a 0 behind it.
type flat struct {
	tell func(*Value)
	v    Value
}

func (*flat) label(s set, name, value string) set {
	s = append(append(s, name...), 0)
	return append(append(s, value...), 0)
}

func (*flat) begin(*family) {}
func (*flat) end()          {}

func (e *flat) take(f *family, s set) {
	e.v = Value{Name: f.name, Kind: f.kind, Labels: e.v.Labels[:0]}
	for len(s) > 0 {
		name, rest, _ := bytes.Cut(s, []byte{0})
		value, rest, _ := bytes.Cut(rest, []byte{0})
		e.v.Labels = append(e.v.Labels, [2]string{string(name), string(value)})
		s = rest
	}
}

func (e *flat) sample(f *family, s set, v float64) {
	e.take(f, s)
	e.v.Value = v
	e.tell(&e.v)
}

func (e *flat) by(f *family, s set, name, value string, v float64) {
	e.take(f, s)
	e.v.Labels = append(e.v.Labels, [2]string{name, value})
	e.v.Value = v
	e.tell(&e.v)
}

func (e *flat) histogram(f *family, s set, h *metrics.Histogram, _ *api.Exemplar) {
	e.take(f, s)
	e.v.Histogram = h
	e.tell(&e.v)
}

func (*flat) bytes() []byte { return nil }
