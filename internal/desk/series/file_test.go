package series

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestSaved(t *testing.T) {
	s := New()
	const begin = 1_800_000_000
	for i := range int64(100) {
		s.Look(at(begin+i, float64(i)))
	}
	var file bytes.Buffer
	if err := s.Save(&file); err != nil {
		t.Fatal(err)
	}
	next := New()
	if err := next.Load(bytes.NewReader(file.Bytes())); err != nil {
		t.Fatal(err)
	}
	for i := int64(100); i < 200; i++ {
		next.Look(at(begin+i, float64(i)))
	}
	r := row(t, next, "total", "10m", "rate")
	if len(r) != 200 || r[0] != 0 || r[99] != 99 || r[199] != 199 {
		t.Errorf("%d values, %v", len(r), r)
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

func FuzzLoad(f *testing.F) {
	var file bytes.Buffer
	s := New()
	s.Look(at(1_800_000_000, 1))
	if err := s.Save(&file); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Add([]byte(form))
	f.Add([]byte(strings.Repeat(form, 3)))
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
