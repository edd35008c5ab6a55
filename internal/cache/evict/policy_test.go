package evict

import "testing"

func TestVictimIsWorthLeast(t *testing.T) {
	p := New(1000)
	p.Add(0, 10, 100)
	p.Add(1, 11, 1)
	p.Add(2, 12, 100)
	p.Hit(0)
	for _, want := range []uint32{2, 0, 1} {
		if got, ok := p.Victim(); !ok || got != want {
			t.Fatalf("got %d, %v, want %d", got, ok, want)
		}
	}
	if _, ok := p.Victim(); ok || p.Len() != 0 || p.Used() != 0 {
		t.Fatal("the policy is not empty")
	}
}
