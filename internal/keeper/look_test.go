package keeper

import (
	"testing"
	"time"
)

// TestGlimpse: a file is read once it has stayed as it is, and once only.
func TestGlimpse(t *testing.T) {
	var g glimpse
	at := time.Unix(1000, 0)
	one, two := looks{size: 1}, looks{size: 2}
	for i, s := range []struct {
		after time.Duration
		looks looks
		read  bool
		wait  time.Duration
	}{
		{0, one, false, settle},
		{settle / 2, one, false, settle / 2},
		{0, two, false, settle}, // it is being written
		{settle - 1, two, false, 1},
		{1, two, true, 0},
		{settle, two, false, 0}, // it has been read
		{0, one, false, settle},
		{settle, one, true, 0},
		{0, looks{err: "permission denied"}, false, settle},
		{settle * 9, looks{err: "permission denied"}, true, 0},
		{0, one, false, settle},
		{0, two, false, settle},
		{0, one, false, settle},
		{settle, one, true, 0},
	} {
		at = at.Add(s.after)
		if read, wait := g.sees(at, s.looks); read != s.read || wait != s.wait {
			t.Errorf("step %d: read %v, wait %v", i, read, wait)
		}
	}
	for i, s := range []struct {
		after time.Duration
		gone  bool
		wait  time.Duration
	}{{0, false, settleGone}, {settleGone - 1, false, 1}, {1, true, 0}, {time.Hour, true, 0}} {
		at = at.Add(s.after)
		if gone, wait := g.misses(at); gone != s.gone || wait != s.wait {
			t.Errorf("gone, step %d: %v, %v", i, gone, wait)
		}
	}
	if read, _ := g.sees(at, one); read {
		t.Error("what is back as it was is read again")
	}
	if gone, _ := g.misses(at); gone {
		t.Error("it was there meanwhile")
	}
}
