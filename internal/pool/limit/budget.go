package limit

// Budget allows a share of what was asked for within the last ten seconds, and a few beyond that: tries of requests whose first
// try failed. Retries help when a server dies, and finish off those that are left when all are in trouble: three tries of
// every request are three times the load. (The same in Finagle, RetryBudget: 20 % over 10 s, and 10 a second.) A try that was
// answered is paid back, since it is no load on top: its first try was none. So one bad server among good ones
// uses nothing up, and where tries fail again the load grows by the share, whatever happens. (gRPC's throttle of
// retries, proposal A6, lets successes pay back too.) It counts and does not wait. Not safe for concurrent use: each loop
// has its own. The zero value is ready.
type Budget struct {
	slots        [budgetSlots]spending
	asked, spent uint64 // of all slots
	at           int    // the slot of now
	until        int64  // when that ends
}

type spending struct{ asked, spent uint32 }

const (
	budgetSlots = 10
	budgetSlot  = int64(1e9)
)

// Asked notes a request.
func (b *Budget) Asked(now int64) {
	if now >= b.until {
		b.roll(now)
	}
	b.slots[b.at].asked++
	b.asked++
}

// Receipt is for one try that was allowed. The zero value is for none.
type Receipt struct {
	from  *Budget
	until int64 // the end of the slot that it was spent in
}

// Spend asks for one more try. share is in thousandths of the requests; reserve is how many are allowed in any ten
// seconds, however few requests there were.
func (b *Budget) Spend(now int64, share, reserve int) (Receipt, bool) {
	if now >= b.until {
		b.roll(now)
	}
	if b.spent*1000 >= b.asked*uint64(share)+uint64(reserve)*1000 {
		return Receipt{}, false
	}
	b.slots[b.at].spent++
	b.spent++
	return Receipt{b, b.until}, true
}

// PayBack undoes what was spent for a try, once, on the budget's loop. What ten seconds have forgotten needs none.
func (r *Receipt) PayBack() {
	b := r.from
	if b == nil {
		return
	}
	r.from = nil
	age := (b.until - r.until) / budgetSlot
	if age >= budgetSlots {
		return
	}
	b.slots[(b.at+budgetSlots-int(age))%budgetSlots].spent--
	b.spent--
}

// roll forgets the slots that are over.
func (b *Budget) roll(now int64) {
	n := (now-b.until)/budgetSlot + 1
	if b.until == 0 || n >= budgetSlots {
		*b = Budget{until: now + budgetSlot}
		return
	}
	for range n {
		b.at = (b.at + 1) % budgetSlots
		s := &b.slots[b.at]
		b.asked -= uint64(s.asked)
		b.spent -= uint64(s.spent)
		*s = spending{}
	}
	b.until += n * budgetSlot
}

// Tokens allows a share of what is asked for, at any pace: each request pays a part of a token in, and up to ten are kept. So a
// share of 5 % is one in twenty, also where there is one request a minute. Not safe for concurrent use. The zero value has
// none.
type Tokens struct{ thousandths int }

const maxTokens = 10_000

// Asked pays the share of one request in, in thousandths.
func (t *Tokens) Asked(share int) { t.thousandths = min(t.thousandths+share, maxTokens) }

// Spend takes a token.
func (t *Tokens) Spend() bool {
	if t.thousandths < 1000 {
		return false
	}
	t.thousandths -= 1000
	return true
}
