package limit

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestBudget(t *testing.T) {
	const second = int64(time.Second)
	spend := func(b *Budget, now int64, share, reserve, tries int) (got int) {
		for range tries {
			if b.Spend(now, share, reserve) {
				got++
			}
		}
		return got
	}
	ask := func(b *Budget, from int64, seconds, rate int) (now int64) {
		for i := range seconds * rate {
			now = from + int64(i)*second/int64(rate)
			b.Asked(now)
		}
		return from + int64(seconds)*second
	}
	var b Budget
	if got := spend(&b, second, 200, 5, 100); got != 5 {
		t.Errorf("without a request: %d, want the reserve of 5", got)
	}
	b = Budget{}
	now := ask(&b, second, 5, 100)
	if got := spend(&b, now, 200, 5, 1000); got != 105 {
		t.Errorf("after 500 requests: %d, want 105", got)
	}
	if got := spend(&b, now+4*second, 200, 5, 1000); got != 0 {
		t.Errorf("4 s later: %d more, want none", got)
	}
	if got := spend(&b, now+11*second, 200, 5, 1000); got != 5 {
		t.Errorf("when it is forgotten: %d, want 5", got)
	}
	b = Budget{}
	now = ask(&b, second, 60, 10)
	if got := spend(&b, now, 1000, 0, 1000); got < 90 || got > 100 {
		t.Errorf("of 600 requests in a minute, 100 in the last 10 s: %d, want 90 to 100", got)
	}
	if b.Spend(now, 0, 0) {
		t.Error("nothing of nothing was allowed")
	}
}

// In any ten seconds no more is spent than the share of what was asked for in them and in the second before, and the reserve.
func TestBudgetHolds(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		var b Budget
		var asked, spent []int64
		now := int64(1)
		for range 20000 {
			now += r.Int64N(1 << r.IntN(28))
			if r.IntN(3) == 0 {
				b.Asked(now)
				asked = append(asked, now)
			} else if b.Spend(now, 200, 3) {
				spent = append(spent, now)
			}
		}
		within := func(all []int64, from, to int64) (n int) {
			for _, at := range all {
				if at > from && at <= to {
					n++
				}
			}
			return n
		}
		for i := 0; i < len(spent); i += 7 {
			// A window of nine seconds lies within the slots that were counted.
			from, to := spent[i]-9e9, spent[i]
			if got, most := within(spent, from, to), within(asked, to-11e9, to)*200/1000+3+1; got > most {
				t.Fatalf("seed %d: %d spent, at most %d", seed, got, most)
			}
		}
	}
}

func TestTokens(t *testing.T) {
	var k Tokens
	spent := 0
	for range 1000 {
		k.Asked(50)
		if k.Spend() {
			spent++
		}
	}
	if spent != 50 {
		t.Errorf("%d of 1000, want 5 %%", spent)
	}
	for range 100000 {
		k.Asked(50)
	}
	for spent = 0; k.Spend(); spent++ {
	}
	if spent != 10 {
		t.Errorf("%d were kept, want 10", spent)
	}
}

func BenchmarkBudget(b *testing.B) {
	var u Budget
	b.ReportAllocs()
	now := int64(1)
	for b.Loop() {
		now += 100_000
		u.Asked(now)
	}
}
