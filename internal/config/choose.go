package config

// Which version of each included file is in force is decided here, of values alone. A file has a version that is in force
// already (it is proven), one that was found on disk, or both. The rules:
//
//  1. What is in force already stays in force: nobody who comes later takes a name or a host from it.
//  2. Among those who come, the first by name has it.
//  3. A version that is wrong, or whose names are taken, is not taken; the file's next version is tried.
//  4. A change by which another file would have none left at all is not taken.

// version is one version of a file.
type version struct {
	proven bool
	// is says whether it cannot be used, whatever the others are, and what it must have for itself: hosts, names. It is asked
	// of those versions alone that come into question.
	is func() (wrong bool, claims []string)
}

// clash says that a version of a file was not taken because of a claim.
type clash struct {
	file, version int
	claim         string
	holder        int // the file that has it; main: the configuration itself
}

// main stands for the configuration's own file.
const main = -1

// choose returns which version of each file is in force, -1 for none; the files are in the order of their names, their versions
// in the order in which they are to be tried. held is what the configuration itself claims. stuck is a proven version that has no place
// left, which only another configuration can cause; then nothing is to be changed.
func choose(held []string, files [][]version) (chosen []int, clashes []clash, stuck *clash) {
	out := map[[2]int]clash{} // versions that would leave another file with none
	for {
		t := trial{held: map[string]int{}, chosen: make([]int, len(files)), out: out}
		for _, c := range held {
			t.held[c] = main
		}
		blocked := t.run(files)
		if blocked == nil {
			return t.chosen, t.clashes, nil
		}
		h := blocked.holder
		if h == main || files[h][t.chosen[h]].proven {
			return t.chosen, t.clashes, blocked
		}
		out[[2]int{h, t.chosen[h]}] = clash{h, t.chosen[h], blocked.claim, blocked.file}
	}
}

// trial is one attempt to give every file a version.
type trial struct {
	held    map[string]int
	chosen  []int
	clashes []clash
	out     map[[2]int]clash
}

// run gives the files their versions, those first that stay as they are, then those that have something to lose, then the
// new ones. It returns what keeps a file from a version that is in force.
func (t *trial) run(files [][]version) (blocked *clash) {
	for turn := range 3 {
		for f, versions := range files {
			if rank(versions) == turn {
				if c := t.give(f, versions); c != nil {
					return c
				}
			}
		}
	}
	return nil
}

func rank(versions []version) int {
	switch {
	case len(versions) > 0 && versions[0].proven:
		return 0
	case len(versions) > 1:
		return 1
	}
	return 2
}

// give finds a file's version. It returns what keeps the file from its proven one, when no other is left.
func (t *trial) give(f int, versions []version) (blocked *clash) {
	t.chosen[f] = -1
	for v, version := range versions {
		wrong, claims := version.is()
		if wrong {
			continue
		}
		if c, no := t.out[[2]int{f, v}]; no {
			t.clashes = append(t.clashes, c)
			continue
		}
		c := t.fits(f, v, claims)
		if c == nil {
			t.chosen[f] = v
			for _, claim := range claims {
				t.held[claim] = f
			}
			return nil
		}
		if t.clashes = append(t.clashes, *c); version.proven {
			blocked = c
		}
	}
	return blocked
}

func (t *trial) fits(f, v int, claims []string) *clash {
	for _, claim := range claims {
		if h, taken := t.held[claim]; taken {
			return &clash{f, v, claim, h}
		}
	}
	return nil
}
