package esi

// block obeys a tag of try, attempt or except; kind is the one of its start.
func (p *Parser) block(kind Kind, closing, empty bool) (Event, Warning) {
	switch {
	case closing && empty:
		return Event{}, Malformed
	case p.ignored > 0:
		// In a try above the limit: its tags are dropped, its insides are text.
		if kind == TryStart && closing {
			p.ignored--
		} else if kind == TryStart && !empty {
			p.ignored++
		}
		return Event{}, TooNested
	case closing:
		return p.closeBlock(kind)
	case empty:
		return Event{}, Misplaced
	}
	top := None
	if p.open > 0 {
		top = p.blocks[p.open-1]
	}
	switch kind {
	case TryStart:
		if p.tries() >= p.page.limits.Blocks {
			p.ignored = 1
			return Event{}, TooNested
		}
	case AttemptStart:
		if top != TryStart || p.tried&(1<<(p.open-1)) != 0 {
			return Event{}, Malformed
		}
		p.tried |= 1 << (p.open - 1)
	case ExceptStart:
		if top == AttemptStart || top == ExceptStart {
			// Someone forgot an end. To take the fallback for a part of the attempt would show both.
			p.closeTo, p.start = p.open-1, kind
			return Event{}, Unclosed
		}
		if top != TryStart {
			return Event{}, Malformed
		}
	}
	p.push(kind)
	return Event{Kind: kind}, NumWarnings
}

// tries returns how many tries are open.
func (p *Parser) tries() int {
	n := 0
	for _, k := range p.blocks[:p.open] {
		if k == TryStart {
			n++
		}
	}
	return n
}

func (p *Parser) push(kind Kind) {
	p.blocks[p.open] = kind
	p.open++
}

// closeBlock closes the innermost open block of a kind, with what is open in it.
func (p *Parser) closeBlock(kind Kind) (Event, Warning) {
	for i := p.open - 1; i >= 0; i-- {
		if p.blocks[i] != kind {
			continue
		}
		w := NumWarnings
		if i < p.open-1 {
			w = Unclosed
		}
		p.closeTo = i
		return p.due(), w
	}
	return Event{}, Malformed
}

// due returns an event that comes before anything that is still to be read.
func (p *Parser) due() Event {
	if p.open > p.closeTo {
		p.open--
		p.tried &^= 1 << p.open
		return Event{Kind: p.blocks[p.open] + 1} // each end follows its start
	}
	p.closeTo = notClosing
	if kind := p.start; kind != None {
		p.start = None
		p.push(kind)
		return Event{Kind: kind}
	}
	return Event{}
}
