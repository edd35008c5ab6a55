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
			if _, ok := b.Spend(now, share, reserve); ok {
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
	if _, ok := b.Spend(now, 0, 0); ok {
		t.Error("nothing of nothing was allowed")
	}
}

// One server of three fails each request it gets, and the others answer: however many there are, each is tried again.
func TestAnsweredTriesArePaidBack(t *testing.T) {
	var b Budget
	now := int64(1)
	under := make([]Receipt, 0, 8)
	for i := range 100_000 {
		now += 500_000
		b.Asked(now)
		if i%3 != 0 {
			continue
		}
		r, ok := b.Spend(now, 0, 8)
		if !ok {
			t.Fatalf("try %d was not allowed", i)
		}
		if under = append(under, r); len(under) == cap(under) { // they are answered some ms later, eight at a time
			for i := range under {
				under[i].PayBack()
				under[i].PayBack() // once is enough: the second does nothing
			}
			under = under[:0]
		}
	}
	if b.spent != uint64(len(under)) {
		t.Errorf("%d are spent, %d are under way", b.spent, len(under))
	}
}

// In any ten seconds no more is spent than the share of what was asked for in them and in the second before, and the reserve.
// What is paid back, however late, is as if it had not been.
func TestBudgetHolds(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		var b Budget
		var asked, spent []int64
		var under []Receipt
		now := int64(1)
		for range 20000 {
			now += r.Int64N(1 << r.IntN(28))
			if r.IntN(3) == 0 {
				b.Asked(now)
				asked = append(asked, now)
			} else if receipt, ok := b.Spend(now, 200, 3); ok && r.IntN(2) == 0 {
				under = append(under, receipt)
			} else if ok {
				spent = append(spent, now)
			}
			if len(under) > 0 && r.IntN(3) == 0 {
				i := r.IntN(len(under))
				under[i].PayBack()
				under[i] = under[len(under)-1]
				under = under[:len(under)-1]
			}
			var sum uint64
			for _, s := range b.slots {
				sum += uint64(s.spent)
			}
			if sum != b.spent {
				t.Fatalf("seed %d: the slots have %d spent, together %d", seed, sum, b.spent)
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
