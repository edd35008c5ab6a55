package insight

const (
	// Tracked is how many keys a Top keeps count of.
	Tracked  = 256
	maxText  = 256 // bytes of a key that are kept
	homes    = 2 * Tracked
	ageAfter = 1 << 20
	noEntry  = ^uint16(0)
)

// Top keeps count of the keys that are noted most often: Space-Saving (Metwally, Agrawal, El Abbadi: "Efficient Computation
// of Frequent and Top-k Elements in Data Streams", ICDT 2005). A key that is not among those tracked takes the place of
// the one with the lowest count, and its count too: what is noted more often than one time in Tracked is there for
// certain, and no count is too high by more than its error. It is for one goroutine at a time, and allocates nothing.
// The zero value is not usable: see NewTop.
type Top struct {
	entries [Tracked]hitter
	heap    [Tracked]uint16 // entries, the lowest count first
	at      [Tracked]uint16 // the place of an entry in heap
	table   [homes]uint16   // entries by hash, with linear probing
	n       int
	noted   uint64
}

type hitter struct {
	hash         uint64
	count, error uint64
	n            uint16 // bytes of text
	cut          bool
	text         [maxText]byte
}

// NewTop returns a Top that has nothing.
func NewTop() *Top {
	t := &Top{}
	for i := range t.table {
		t.table[i] = noEntry
	}
	return t
}

// Note counts a key, whose text is the parts in turn; so much of it is kept as there is room for.
func (t *Top) Note(hash uint64, parts ...[]byte) {
	if t.noted++; t.noted >= ageAfter {
		t.age()
	}
	if e := t.find(hash); e != noEntry {
		t.entries[e].count++
		t.down(int(t.at[e]))
		return
	}
	var e uint16
	if t.n < Tracked {
		e = uint16(t.n)
		t.heap[t.n], t.at[e] = e, e
		t.n++
	} else {
		e = t.heap[0]
		t.unlink(t.entries[e].hash)
	}
	h := &t.entries[e]
	h.hash, h.error = hash, h.count
	h.count++
	h.n, h.cut = 0, false
	for _, p := range parts {
		m := copy(h.text[h.n:], p)
		h.n += uint16(m)
		h.cut = h.cut || m < len(p)
	}
	t.link(hash, e)
	t.up(int(t.at[e]))
	t.down(int(t.at[e]))
}

// age halves all counts: what was asked for long ago counts less.
func (t *Top) age() {
	t.noted /= 2
	for i := range t.n {
		t.entries[i].count /= 2
		t.entries[i].error /= 2
	}
}

func home(hash uint64) int { return int(hash>>20) % homes }

func (t *Top) find(hash uint64) uint16 {
	for i := home(hash); ; i = (i + 1) % homes {
		if e := t.table[i]; e == noEntry || t.entries[e].hash == hash {
			return e
		}
	}
}

func (t *Top) link(hash uint64, e uint16) {
	i := home(hash)
	for t.table[i] != noEntry {
		i = (i + 1) % homes
	}
	t.table[i] = e
}

// unlink takes a hash out of the table and moves those up that had to go past its place.
func (t *Top) unlink(hash uint64) {
	i := home(hash)
	for t.entries[t.table[i]].hash != hash {
		i = (i + 1) % homes
	}
	for j := (i + 1) % homes; t.table[j] != noEntry; j = (j + 1) % homes {
		// It may go to i if its home is not behind i on the way to j.
		if from := home(t.entries[t.table[j]].hash); (j-from+homes)%homes >= (j-i+homes)%homes {
			t.table[i], i = t.table[j], j
		}
	}
	t.table[i] = noEntry
}

func (t *Top) less(i, j int) bool {
	return t.entries[t.heap[i]].count < t.entries[t.heap[j]].count
}

func (t *Top) swap(i, j int) {
	t.heap[i], t.heap[j] = t.heap[j], t.heap[i]
	t.at[t.heap[i]], t.at[t.heap[j]] = uint16(i), uint16(j)
}

func (t *Top) up(i int) {
	for i > 0 && t.less(i, (i-1)/2) {
		t.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (t *Top) down(i int) {
	for {
		c := 2*i + 1
		if c >= t.n {
			return
		}
		if c+1 < t.n && t.less(c+1, c) {
			c++
		}
		if !t.less(c, i) {
			return
		}
		t.swap(i, c)
		i = c
	}
}

// Noted is a key that was noted often.
type Noted struct {
	Hash  uint64
	Count uint64
	Error uint64 // Count is at most so much too high
	Text  string
	Cut   bool // there was more of the text
}

// Append appends all that are tracked, in no order.
func (t *Top) Append(dst []Noted) []Noted {
	for i := range t.n {
		h := &t.entries[i]
		dst = append(dst, Noted{h.hash, h.count, h.error, string(h.text[:h.n]), h.cut})
	}
	return dst
}
