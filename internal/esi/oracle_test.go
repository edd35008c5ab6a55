package esi

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// A node is part of a random page: text, a fragment, or a try.
type node struct {
	text             string
	src              string // "ok…" can be had, "no…" cannot, "in…" has a page of its own
	goesOn           bool
	attempt, excepts []node
	hasExcept        bool
	try              bool
}

func grow(r *rand.Rand, depth int, fragments map[string][]node) []node {
	var list []node
	for range r.IntN(4) {
		switch k := r.IntN(10); {
		case k < 4 || depth == 0:
			list = append(list, node{text: string(rune('a' + r.IntN(26)))})
		case k < 7:
			n := node{src: []string{"ok", "no", "in"}[r.IntN(3)] + fmt.Sprint(len(fragments)), goesOn: r.IntN(4) == 0}
			if n.src[0] == 'i' {
				fragments[n.src] = nil // its name is taken
				fragments[n.src] = grow(r, depth-1, fragments)
			}
			list = append(list, n)
		default:
			n := node{try: true, attempt: grow(r, depth-1, fragments), hasExcept: r.IntN(4) > 0}
			if n.hasExcept {
				n.excepts = grow(r, depth-1, fragments)
			}
			list = append(list, n)
		}
	}
	return list
}

func write(list []node) string {
	var b strings.Builder
	for _, n := range list {
		switch {
		case n.try:
			b.WriteString("<esi:try><esi:attempt>" + write(n.attempt) + "</esi:attempt>")
			if n.hasExcept {
				b.WriteString("<esi:except>" + write(n.excepts) + "</esi:except>")
			}
			b.WriteString("</esi:try>")
		case n.src != "":
			fmt.Fprintf(&b, `<esi:include src="%s"`, n.src)
			if n.goesOn {
				b.WriteString(` onerror="continue"`)
			}
			b.WriteString("/>")
		default:
			b.WriteString(n.text)
		}
	}
	return b.String()
}

// evaluate says what a page is to look like, by what try means and not by how it is done. In an attempt the first failure is
// the end of it; outside, a failure leaves a gap.
func evaluate(list []node, fragments map[string][]node, inAttempt bool) (string, bool) {
	var b strings.Builder
	for _, n := range list {
		out, ok := "", true
		switch {
		case n.try:
			if out, ok = evaluate(n.attempt, fragments, true); !ok && n.hasExcept {
				out, ok = evaluate(n.excepts, fragments, inAttempt)
			}
		case strings.HasPrefix(n.src, "ok"):
			out = "[" + n.src + "]"
		case strings.HasPrefix(n.src, "in"):
			out, ok = evaluate(fragments[n.src], fragments, inAttempt)
		case n.src != "":
			ok = n.goesOn
		default:
			out = n.text
		}
		if !ok && inAttempt {
			return "", false
		}
		if ok {
			b.WriteString(out)
		}
	}
	return b.String(), true
}

func TestAssemblyAgainstMeaning(t *testing.T) {
	tries, failures := 0, 0
	for seed := range uint64(5000) {
		r := rand.New(rand.NewPCG(seed, 3))
		fragments := map[string][]node{}
		list := grow(r, 4, fragments)
		want, _ := evaluate(list, fragments, false)
		bodies := map[string]string{}
		for name, f := range fragments {
			bodies[name] = write(f)
		}
		doc := write(list)
		for n := range 60 {
			bodies[fmt.Sprint("ok", n)] = fmt.Sprintf("[ok%d]", n)
		}
		x := renderer{t: t, fragments: bodies}
		x.page.Reset(Limits{Depth: 20})
		x.asm.Reset(&x.page)
		x.document(doc, 0)
		if got := x.out.String(); got != want {
			t.Fatalf("seed %d: %s\nwith %v\nbecame %q\nwant   %q", seed, doc, bodies, got, want)
		}
		if x.page.Warned {
			t.Fatalf("seed %d: %s: warned of %v", seed, doc, x.page.First)
		}
		if x.asm.Mark() != 0 {
			t.Fatalf("seed %d: %d blocks are open", seed, x.asm.Mark())
		}
		tries += strings.Count(doc, "<esi:try>")
		failures += strings.Count(doc, `"no`)
	}
	if tries < 1000 || failures < 1000 {
		t.Errorf("the pages had %d tries and %d failing fragments: too few to mean anything", tries, failures)
	}
}
