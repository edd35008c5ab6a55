package balance

// alias draws an index with a chance in proportion to its weight, at one look whatever the number of indices: the alias method
// (A. J. Walker 1977; built as M. D. Vose 1991 shows). Each of n cells is divided between its own index and one other.
type alias struct {
	n     uint32
	cells []aliasCell // nil: all weights are equal
}

type aliasCell struct {
	own   uint32 // what of the cell is its own index's, of 2^32
	other uint32
}

// newAlias takes weights in any unit. Without any weight above 0 it draws every index alike.
func newAlias(ws []uint64) alias {
	a := alias{n: uint32(len(ws))}
	var total float64
	equal := true
	for _, w := range ws {
		total += float64(w)
		equal = equal && w == ws[0]
	}
	if equal || total == 0 {
		return a
	}
	a.cells = make([]aliasCell, len(ws))
	scaled := make([]float64, len(ws)) // 1 is one cell
	var poor, rich []uint32
	for i, w := range ws {
		scaled[i] = float64(w) / total * float64(len(ws))
		if scaled[i] < 1 {
			poor = append(poor, uint32(i))
		} else {
			rich = append(rich, uint32(i))
		}
	}
	for len(poor) > 0 && len(rich) > 0 {
		p, r := poor[len(poor)-1], rich[len(rich)-1]
		poor = poor[:len(poor)-1]
		a.cells[p] = aliasCell{own: uint32(scaled[p] * (1 << 32)), other: r}
		if scaled[r] -= 1 - scaled[p]; scaled[r] < 1 {
			rich = rich[:len(rich)-1]
			poor = append(poor, r)
		}
	}
	for _, i := range append(poor, rich...) { // what is left is one but for rounding
		a.cells[i] = aliasCell{own: 1<<32 - 1, other: i}
	}
	return a
}

// draw makes an index of 64 random bits.
func (a *alias) draw(r uint64) uint32 {
	i := uint32(r >> 32 * uint64(a.n) >> 32)
	if a.cells == nil {
		return i
	}
	if c := a.cells[i]; uint32(r) >= c.own {
		return c.other
	}
	return i
}
