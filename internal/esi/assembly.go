package esi

// An Assembly decides what of a page reaches the client. It stands between a Parser and the client: what the parser
// tells of blocks goes to Block, text and the bodies of fragments go through Text, a fragment that failed for good to
// Fail. One assembly serves a page with all its fragments, whose blocks lie in those of their parents.
//
// What lies in an attempt is held back until the attempt ends, then passed on; or dropped when a fragment in it fails,
// and the except is carried out instead. That makes try all or nothing, as its author means it. The memory for it is bounded
// by Limits.Held: an attempt that outgrows it is passed on as far as it is and streams from there on, so that a page
// with a large attempt that works is delivered as it should be; the price is that a later failure in it leaves a gap
// where the except would have been. To fail such attempts instead would put the fallback on pages on which nothing is
// wrong.
//
// The zero value must be Reset before use. It belongs to one task at a time.
type Assembly struct {
	page   *Page
	frames []frame
	held   []byte
	// free says that held was handed out and is to be emptied at the next call.
	free bool
}

// A frame is an open block.
type frame struct {
	kind   Kind
	mute   bool // what is in it goes nowhere
	holds  bool // an attempt whose content is held[start:]
	failed bool // of a try: its attempt failed and no except took over yet
	start  int
}

// mostKept is how much memory an assembly keeps for the next page.
const mostKept = 64 << 10

// Reset makes the assembly ready for a page.
func (a *Assembly) Reset(page *Page) {
	held := a.held[:0]
	if cap(held) > mostKept {
		held = nil
	}
	*a = Assembly{page: page, frames: a.frames[:0], held: held}
}

// Text takes bytes of a document or of a fragment and returns what is to be sent now: before first, then now, each
// possibly empty. now is b or nothing; before lives until the next call.
func (a *Assembly) Text(b []byte) (before, now []byte) {
	a.release()
	if !a.Wanted() {
		return nil, nil
	}
	if !a.holding() {
		return nil, b
	}
	if len(a.held)+len(b) <= a.page.limits.Held {
		a.held = append(a.held, b...)
		return nil, nil
	}
	a.page.Warn(TooLarge, 0)
	for i := range a.frames {
		a.frames[i].holds = false
	}
	return a.hand(), b
}

// Block takes the start or end of a block and returns what is to be sent now; that lives until the next call.
func (a *Assembly) Block(kind Kind) (now []byte) {
	a.release()
	switch kind {
	case TryStart, AttemptStart, ExceptStart:
		a.begin(kind)
	case TryEnd, AttemptEnd, ExceptEnd:
		return a.end()
	}
	return nil
}

func (a *Assembly) begin(kind Kind) {
	f := frame{kind: kind, mute: !a.Wanted(), start: len(a.held)}
	switch kind {
	case AttemptStart:
		f.holds = !f.mute
	case ExceptStart:
		// Of several excepts the first is carried out: the others find nothing failed.
		if try := a.top(); try != nil && try.failed {
			try.failed = false
		} else {
			f.mute = true
		}
	}
	a.frames = append(a.frames, f)
}

func (a *Assembly) end() []byte {
	n := len(a.frames) - 1
	if n < 0 {
		return nil
	}
	f := a.frames[n]
	a.frames = a.frames[:n]
	if f.kind == TryStart && f.failed && !f.mute {
		// A try without an except does not swallow what went wrong in it.
		a.Fail()
	}
	if f.holds && !a.holding() {
		return a.hand()
	}
	return nil
}

// top returns the innermost block, nil when none is open.
func (a *Assembly) top() *frame {
	if len(a.frames) == 0 {
		return nil
	}
	return &a.frames[len(a.frames)-1]
}

// Wanted reports whether what comes now may reach the client. A fragment that is not wanted need not be fetched.
func (a *Assembly) Wanted() bool {
	f := a.top()
	return f == nil || !f.mute
}

// holding reports whether an attempt that may still fail is open.
func (a *Assembly) holding() bool {
	for i := range a.frames {
		if a.frames[i].holds {
			return true
		}
	}
	return false
}

// Fail says that a fragment failed: neither src nor alt could be had, and it does not continue on errors. It reports
// whether an attempt takes it; if so, what is left of the attempt is dropped. If not, the page has a gap there, and what
// to do about it is up to the caller. A failure in an except is one of the attempt around its try.
func (a *Assembly) Fail() (taken bool) {
	a.release()
	for i := len(a.frames) - 1; i >= 0; i-- {
		f := &a.frames[i]
		if f.kind != AttemptStart || !f.holds {
			continue
		}
		a.held = a.held[:f.start]
		for j := i; j < len(a.frames); j++ {
			a.frames[j].mute, a.frames[j].holds, a.frames[j].failed = true, false, false
		}
		if i > 0 {
			a.frames[i-1].failed = true
		}
		return true
	}
	return false
}

// Mark returns what Unwind needs to come back to where the assembly is now.
func (a *Assembly) Mark() int { return len(a.frames) }

// Unwind forgets the blocks that were opened since a mark, and what they hold. It is for a fragment that broke off: its parser
// is not asked for the ends of its blocks then. Whether the fragment counts as failed is told by Fail, after it.
func (a *Assembly) Unwind(mark int) {
	a.release()
	for len(a.frames) > mark {
		if f := a.top(); f.holds {
			a.held = a.held[:f.start]
		}
		a.frames = a.frames[:len(a.frames)-1]
	}
}

// Held returns how many bytes are held back that may still reach the client.
func (a *Assembly) Held() int {
	if a.free {
		return 0
	}
	return len(a.held)
}

// hand returns what is held, which is the caller's until the next call.
func (a *Assembly) hand() []byte {
	a.free = true
	return a.held
}

func (a *Assembly) release() {
	if a.free {
		a.held, a.free = a.held[:0], false
	}
}
