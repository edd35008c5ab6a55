package app

import "slices"

// Reason is why a worker is to be replaced. The smaller of two is the more urgent one.
type Reason uint8

// The reasons.
const (
	NoReason Reason = iota
	Unwell          // it does not answer its alive check
	Overran         // a request at it took longer than request_timeout
	Renewal         // a reload, or a configuration that changes what its process gets
	TooLarge        // recycle.memory
	TooMany         // recycle.after_requests
	TooOld          // recycle.age
)

// Seat is a place of an app as the budget sees it: with a worker that serves well, with one that the edge gives
// requests to although something is wrong with it, or with none at all.
type Seat struct {
	Good  bool   // a worker of it gets requests, and nothing is known against it
	Gone  bool   // no worker of it gets requests
	Turn  Reason // why its worker is being replaced; NoReason: it is not
	Wants Reason // why its worker is to be replaced; NoReason: it is not
}

// Budget is the one place that decides who of an app's workers may be away, whatever the reason. Two ways lead to a new
// worker, and each has its rule:
//
//   - exchange: the new worker is started and ready before the old one is drained. It takes nothing away, but is allowed
//     only to AtOnce seats at a time, and only while so many others are well: what is started may turn out worse than what
//     there was. A seat that is not good has nothing to lose, and need not wait.
//   - withdrawal: a worker that hangs is drained at once, and its seat is empty until its successor is ready. Allowed
//     while a good seat remains, and no more than AtOnce are empty with it.
//
// So a recycle, a failed alive check, a reload and a request that overran its time never meet on the last good worker.
// It is a value: nothing is remembered between two questions.
type Budget struct {
	AtOnce int
	Seats  []Seat
}

// Turns returns the seats whose workers may be exchanged from now on, the most urgent first.
func (b Budget) Turns() []int {
	busy, renewals := 0, 0
	var wanting []int
	for i, s := range b.Seats {
		if !s.Good || s.Turn != NoReason {
			busy++
		}
		if s.Turn == Renewal {
			renewals++
		}
		if s.Wants != NoReason && s.Turn == NoReason {
			wanting = append(wanting, i)
		}
	}
	slices.SortStableFunc(wanting, func(i, j int) int { return b.rank(i) - b.rank(j) })
	var granted []int
	for _, i := range wanting {
		s := b.Seats[i]
		if s.Wants == Renewal {
			// New code goes to a few first, also where there is nothing to lose.
			if renewals >= b.AtOnce {
				continue
			}
			renewals++
		}
		if s.Good {
			if busy >= b.AtOnce {
				continue
			}
			busy++
		}
		granted = append(granted, i)
	}
	return granted
}

// rank orders seats by their reasons; of equal ones those first that are not good.
func (b Budget) rank(i int) int {
	r := 2 * int(b.Seats[i].Wants)
	if b.Seats[i].Good {
		r++
	}
	return r
}

// Withdraw says whether the worker of seat i, with which something is wrong, may be taken away before its successor is
// ready.
func (b Budget) Withdraw(i int) bool {
	good, gone := 0, 0
	for j, s := range b.Seats {
		switch {
		case j == i && (s.Good || s.Gone):
			return false
		case j == i:
		case s.Good:
			good++
		case s.Gone:
			gone++
		}
	}
	return good > 0 && gone < b.AtOnce
}

// Spare says whether workers beyond these seats may be let go, because fewer are needed: while all that stay are well and
// none of them is being replaced.
func (b Budget) Spare() bool {
	for _, s := range b.Seats {
		if !s.Good || s.Turn != NoReason {
			return false
		}
	}
	return len(b.Seats) > 0
}
