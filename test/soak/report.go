package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// report is what is written of a run.
type report struct {
	began   time.Time
	length  time.Duration
	machine string
	rates   rates
	carries float64 // requests a second that Django can answer
	version string  // of HAProxy
	weir    []*tally
	haproxy []*tally
}

func machine() string {
	return fmt.Sprintf("%d processors (%s/%s)", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
}

const columns = "| fault | how many | GET sent | lost | repeated | POST sent | 502 | 504 | cut | else | executed twice | p99, ms |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n"

// row is a line of the table.
func (t *tally) row() string {
	elsewise := sum(&t.post) - t.post[bad502] - t.post[bad504] - t.post[cut] - t.post[broken]
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d | %.0f |\n", t.kind, t.made, t.sentGET(), t.lostGET(), t.repeated, t.sentPOST(),
		t.post[bad502], t.post[bad504], t.post[cut]+t.post[broken], elsewise, t.doubled, t.quantile(0.99).Seconds()*1000)
}

// total adds all kinds up.
func total(all []*tally) *tally {
	sum := newTally("**all**")
	for _, t := range all {
		sum.made += t.made
		sum.repeated += t.repeated
		sum.doubled += t.doubled
		sum.vanished += t.vanished
		sum.unknown += t.unknown
		sum.unsent += t.unsent
		for o := range outcomes {
			sum.get[o] += t.get[o]
			sum.post[o] += t.post[o]
		}
		sum.took = append(sum.took, t.took...)
	}
	return sum
}

func (r *report) table(b *strings.Builder, name string, all []*tally) {
	fmt.Fprintf(b, "### %s\n\n%s", name, columns)
	for _, t := range all {
		b.WriteString(t.row())
	}
	whole := total(all)
	b.WriteString(whole.row())
	fmt.Fprintf(b, "\n%d POSTs were answered as good and never executed. Of those that failed, %d had been executed all the same.", whole.vanished, whole.unknown)
	if whole.unsent > 0 {
		fmt.Fprintf(b, " %d requests were not sent, because %d were under way already.", whole.unsent, mostUnder)
	}
	b.WriteString("\n\n")
}

// text is the part of the page that a run writes.
func (r *report) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Made by `make soak` on %s, %s, %v under weir: %.0f requests a second, of which Django gets %.0f (alone, it can answer %.0f here), the small app %.0f, and three fixed servers %.0f; one in %d is a POST.\n\n",
		r.began.Format("2006-01-02"), r.machine, r.length, r.rates.total(), r.rates.django, r.carries, r.rates.app, r.rates.fixed, postShare)
	r.table(&b, "weir", r.weir)
	if r.haproxy != nil {
		r.table(&b, "HAProxy "+r.version, r.haproxy)
	}
	return b.String()
}

var (
	beginMark = []byte("<!-- soak: begin -->\n")
	endMark   = []byte("<!-- soak: end -->")
)

// put writes the text into the page, between the marks.
func (r *report) put(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(text, beginMark)
	_, after, ok2 := bytes.Cut(rest, endMark)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no place for the tables: %q and %q", path, beginMark, endMark)
	}
	page := bytes.Join([][]byte{before, beginMark, []byte("\n" + r.text()), endMark, after}, nil)
	return os.WriteFile(path, page, 0o644)
}

// judge is an error when weir broke a promise.
func (r *report) judge() error {
	var all []string
	for _, t := range r.weir {
		for _, k := range kinds {
			if k.name == t.kind {
				all = append(all, t.breaches(k.promise)...)
			}
		}
		if t.made == 0 && t.kind != calm {
			all = append(all, t.kind+": it was not made once")
		}
	}
	if len(all) > 0 {
		return errors.New("weir broke its promises:\n\t" + strings.Join(all, "\n\t"))
	}
	return nil
}
