package series

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/gzip"
)

func TestSaved(t *testing.T) {
	s := New()
	const begin = 1_800_000_000
	for i := range int64(100) {
		s.Look(at(begin+i, float64(i)))
	}
	means := row(t, s, "total", "1w", "rate")
	var file bytes.Buffer
	if err := s.Save(&file); err != nil {
		t.Fatal(err)
	}
	next := New()
	if err := next.Load(bytes.NewReader(file.Bytes())); err != nil {
		t.Fatal(err)
	}
	if r := row(t, next, "total", "1w", "rate"); len(r) != 1 || r[0] != means[0] {
		t.Errorf("the newest mean is %v, it was %v", r, means)
	}
	for i := int64(100); i < 200; i++ {
		next.Look(at(begin+i, float64(i)))
	}
	r := row(t, next, "total", "10m", "rate")
	if len(r) != 200 || r[0] != 0 || r[99] != 99 || r[199] != 199 {
		t.Errorf("%d values, %v", len(r), r)
	}
	if r := row(t, next, "total", "1w", "rate"); len(r) != 1 || r[0] != 99.5 {
		t.Errorf("the mean of both is %v, want 99.5", r)
	}
	for cut := range file.Len() {
		if cut%97 != 0 {
			continue
		}
		if err := next.Load(bytes.NewReader(file.Bytes()[:cut])); err != nil && !errors.Is(err, errDamaged) {
			t.Fatal(err)
		} else if err != nil && len(next.subjects) != 0 {
			t.Fatalf("of a damaged file %d subjects are left", len(next.subjects))
		}
	}
}

// BenchmarkSave is what it costs to write as many series as there may be, full ones. Half of what people have is at rest.
func BenchmarkSave(b *testing.B) {
	s := New()
	for i := range maxSubjects {
		o := &subject{}
		for j := range o.rings {
			r := &o.rings[j]
			r.at, r.points = 1_800_000_000, make([]point, Spans[j].Len)
			for k := range r.points {
				if i%2 == 0 {
					r.points[k] = points(float64(k%97), 0, rand.ExpFloat64(), 3*rand.ExpFloat64(), 9*rand.ExpFloat64(), rand.Float64(), 0, 1, 1e5*rand.Float64())
				}
			}
		}
		s.subjects[fmt.Sprint("route:a.example ", i)] = o
	}
	b.ReportAllocs()
	for b.Loop() {
		var n counted
		z, err := gzip.NewWriterLevel(&n, gzip.BestSpeed)
		if err != nil {
			b.Fatal(err)
		}
		if err := errors.Join(s.Save(z), z.Close()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(n), "bytes")
	}
}

type counted int

func (c *counted) Write(b []byte) (int, error) { *c += counted(len(b)); return len(b), nil }

func FuzzLoad(f *testing.F) {
	var file bytes.Buffer
	s := New()
	s.Look(at(1_800_000_000, 1))
	if err := s.Save(&file); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Add([]byte("\x01\x00a"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := New()
		if s.Load(bytes.NewReader(text)) != nil {
			return
		}
		s.Look(at(1_800_000_000, 1))
		s.Look(at(1_900_000_000, 1))
		for of := range s.subjects {
			for _, span := range Spans {
				got, err := s.Get(of, span.Name)
				if err != nil || len(got.Values[0]) > span.Len {
					t.Fatalf("%s over %s: %v", of, span.Name, err)
				}
			}
		}
	})
}
