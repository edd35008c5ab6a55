package health

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestLogIsNearEnough(t *testing.T) {
	last := uint64(0)
	for ns := int64(1); ns < 1<<40; ns += 1 + ns/1000 {
		got := Log(ns)
		if want := math.Log2(float64(ns)) * logUnit; math.Abs(float64(got)-want) > 0.1*logUnit {
			t.Fatalf("Log(%d) = %d, want about %.0f", ns, got, want)
		}
		if got < last {
			t.Fatalf("Log(%d) is less than that of a shorter time", ns)
		}
		last = got
	}
	if Log(-5) != 0 || Log(0) != 0 {
		t.Error("times that cannot be do not count as none")
	}
}

// A few very slow requests do not make a server slow; being slow all the time does.
func TestTypical(t *testing.T) {
	var s Sample
	add := func(d time.Duration, n int) {
		for range n {
			s.Timed++
			s.Logs += Log(int64(d))
		}
	}
	add(10*time.Millisecond, 95)
	add(5*time.Second, 5)
	if got := s.Typical(); got < 9*time.Millisecond || got > 16*time.Millisecond {
		t.Errorf("typical %v, want about 10 to 14 ms", got)
	}
	if (Sample{}).Typical() != 0 {
		t.Error("nothing was timed, and took time")
	}
}

func timed(d time.Duration, n int) Sample {
	return Sample{Requests: uint64(n), Timed: uint64(n), Logs: uint64(n) * Log(int64(d))}
}

func TestOutliers(t *testing.T) {
	const ms = time.Millisecond
	for _, row := range []struct {
		name    string
		rules   Rules
		servers []Sample
		slow    []bool
	}{
		{"off", Rules{}, []Sample{timed(10*ms, 50), timed(900*ms, 50)}, []bool{false, false}},
		{"one of two", Rules{Slow: 3000}, []Sample{timed(10*ms, 50), timed(40*ms, 50)}, []bool{false, true}},
		{"not by as much", Rules{Slow: 3000}, []Sample{timed(10*ms, 50), timed(25*ms, 50)}, []bool{false, false}},
		{"one of four", Rules{Slow: 3000}, []Sample{timed(10*ms, 50), timed(12*ms, 50), timed(100*ms, 50), timed(9*ms, 50)}, []bool{false, false, true, false}},
		{"half of four are quick", Rules{Slow: 3000}, []Sample{timed(10*ms, 50), timed(10*ms, 50), timed(100*ms, 50), timed(100*ms, 50)}, []bool{false, false, true, true}},
		{"alone", Rules{Slow: 3000}, []Sample{timed(900*ms, 50)}, []bool{false}},
		{"hardly asked", Rules{Slow: 3000}, []Sample{timed(10*ms, 50), timed(900*ms, slowOf-1), timed(10*ms, 50)}, []bool{false, false, false}},
		{"noise", Rules{Slow: 3000}, []Sample{timed(ms/10, 50), timed(ms, 50)}, []bool{false, false}},
		{"none asked", Rules{Slow: 3000}, []Sample{{}, {}}, []bool{false, false}},
	} {
		for i, why := range row.rules.Outliers(row.servers) {
			if (why != "") != row.slow[i] {
				t.Errorf("%s: server %d: %q", row.name, i, why)
			}
		}
	}
}

// However often Room is asked, and whatever closed the others: ejecting never passes the share.
func TestRoomHolds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		rules := Rules{AtMost: r.IntN(1001)}
		n := r.IntN(40)
		closed := 0
		for rules.Room(n, closed) {
			closed++
		}
		if closed*1000 > n*rules.AtMost {
			t.Fatalf("%d of %d closed, share %d", closed, n, rules.AtMost)
		}
	}
	if (Rules{AtMost: 500}).Room(1, 0) {
		t.Error("the only server was ejected")
	}
	if !(Rules{AtMost: 500}).Room(2, 0) || (Rules{AtMost: 500}).Room(2, 1) || (Rules{AtMost: 500}).Room(3, 1) {
		t.Error("half of two is one, half of three too")
	}
}

func TestJitterStaysNear(t *testing.T) {
	for _, x := range []float64{0, 0.3, 0.5, 0.999} {
		if d := Jitter(time.Second, x); d < 900*time.Millisecond || d > 1100*time.Millisecond {
			t.Errorf("%v at %v", d, x)
		}
	}
}

func TestShare(t *testing.T) {
	last := 0
	for d := -time.Second; d < 40*time.Second; d += 100 * time.Millisecond {
		s := Share(d, 30*time.Second)
		if s < startShare || s > 1000 || s < last {
			t.Fatalf("%v: share %d after %d", d, s, last)
		}
		last = s
	}
	if Share(0, 0) != 1000 || Share(30*time.Second, 30*time.Second) != 1000 || Share(15*time.Second, 30*time.Second) != 550 {
		t.Error("the curve is another one")
	}
}

func TestParseWish(t *testing.T) {
	for _, row := range []struct {
		text string
		want Wish
		ok   bool
	}{
		{"50%", Wish{500, ""}, true},
		{"50", Wish{500, ""}, true},
		{" 0% \r\n", Wish{0, ""}, true},
		{"250%", Wish{1000, ""}, true},
		{"up 75%\nmore", Wish{750, "up"}, true},
		{"ready,10%", Wish{100, "up"}, true},
		{"drain", Wish{-1, "drain"}, true},
		{"DOWN#disk full", Wish{-1, "down"}, true},
		{"fail", Wish{-1, "down"}, true},
		{"maint", Wish{-1, "maint"}, true},
		{"", Wish{-1, ""}, false},
		{"#", Wish{-1, ""}, false},
		{"-5%", Wish{-1, ""}, false},
		{"+5%", Wish{-1, ""}, false},
		{"5%%", Wish{-1, ""}, false},
		{"%", Wish{-1, ""}, false},
		{"1e3", Wish{-1, ""}, false},
		{"99999999999", Wish{-1, ""}, false},
		{"50% banana", Wish{-1, ""}, false},
	} {
		got, err := ParseWish([]byte(row.text))
		if got != row.want || (err == nil) != row.ok {
			t.Errorf("%q: %+v, %v", row.text, got, err)
		}
	}
}

func FuzzParseWish(f *testing.F) {
	for _, s := range []string{"75%", "up 50%", "drain", "#", "\x00", "maint,5"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		w, err := ParseWish(text)
		if w.Share < -1 || w.Share > 1000 || (err != nil && w != Wish{Share: -1}) || (err == nil && w == Wish{Share: -1}) {
			t.Errorf("%q: %+v, %v", text, w, err)
		}
	})
}
