package top

import (
	"math"
	"slices"

	"github.com/weirhq/weir/internal/picture"
)

// Series is how something went over time, as the desk tells it.
type Series struct {
	Of     string       `json:"of"`
	Step   int64        `json:"step"` // seconds between two values
	End    int64        `json:"end"`  // Unix time of the newest
	Names  []string     `json:"names"`
	Values [][]*float64 `json:"values"` // of each name, the oldest first; nil: not known

	rows map[string][]float64
}

// clone is a copy that goes on by itself.
func (s *Series) clone() *Series {
	c := *s
	c.rows = map[string][]float64{}
	for _, name := range s.Names {
		c.rows[name] = slices.Clone(s.row(name))
	}
	return &c
}

// row returns the values of a name, NaN where nothing is known.
func (s *Series) row(name string) []float64 {
	if s == nil {
		return nil
	}
	if s.rows == nil {
		s.rows = map[string][]float64{}
		for i, n := range s.Names {
			if i >= len(s.Values) {
				break
			}
			row := make([]float64, len(s.Values[i]))
			for j, v := range s.Values[i] {
				row[j] = math.NaN()
				if v != nil {
					row[j] = *v
				}
			}
			s.rows[n] = row
		}
		s.Values = nil
	}
	return s.rows[name]
}

// end is the number of the newest value, counted from the beginning of time.
func (s *Series) end() int64 {
	if s == nil || s.Step < 1 {
		return 0
	}
	return s.End / s.Step
}

// seriesLen is how many seconds the finest series has.
const seriesLen = 600

// add adds what a picture says of all requests.
func (s *Series) add(p *picture.Picture) {
	at := p.At.Unix()
	if at <= s.End || s.Step != 1 {
		return
	}
	skip := at - s.End - 1
	s.End = at
	f := &p.Total
	queued := 0.0
	for i := range p.Pools {
		queued += float64(p.Pools[i].Queued)
	}
	for name, v := range map[string]float64{"rate": f.Rate, "errors": f.Errors, "p50": orUnknown(f.P50, f.Rate), "p95": orUnknown(f.P95, f.Rate), "p99": orUnknown(f.P99, f.Rate),
		"hit": f.HitRatio, "queue": queued, "active": float64(p.Edge.Active), "out": f.OutRate} {
		if !p.Edge.Up || name == "hit" && v < 0 {
			v = math.NaN()
		}
		row := s.row(name)
		for range min(skip, seriesLen) {
			row = append(row, math.NaN())
		}
		row = append(row, v)
		s.rows[name] = row[max(len(row)-seriesLen, 0):]
	}
}

// orUnknown is a quantile, which is not known where there was no request.
func orUnknown(ms, rate float64) float64 {
	if ms == 0 && rate == 0 {
		return math.NaN()
	}
	return ms
}
