package app

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/notice"
)

func TestFeedIsReadAtAnyPace(t *testing.T) {
	f := &feed{base: 1000, next: 1000}
	lines, missed, news := f.since(0, 10)
	if lines != nil || missed != 0 || news == nil {
		t.Fatal(lines, missed, news)
	}
	f.add(Said{Worker: "web/1", Text: "one"})
	select {
	case <-news:
	default:
		t.Fatal("who waits was not told")
	}
	for i := range 3 {
		f.add(Said{Text: fmt.Sprint(i)})
	}
	for _, c := range []struct {
		seq  uint64
		most int
		want string
	}{
		{0, 10, "one 0 1 2"},    // a number of before
		{9999, 10, "one 0 1 2"}, // of another weir
		{1000, 2, "one 0"},
		{1002, 10, "1 2"},
		{1004, 10, ""},
	} {
		lines, missed, news := f.since(c.seq, c.most)
		var got []string
		for _, l := range lines {
			got = append(got, l.Text)
		}
		if strings.Join(got, " ") != c.want || missed != 0 || (news != nil) != (c.want == "") {
			t.Errorf("since %d: %v, %d missed, want %q", c.seq, got, missed, c.want)
		}
	}
}

// TestFeedIsBounded: neither many lines nor long ones make it grow, and who comes late is told how many are gone.
func TestFeedIsBounded(t *testing.T) {
	f := &feed{base: 5, next: 5}
	for range feedLines + 100 {
		f.add(Said{Text: "x"})
	}
	lines, missed, _ := f.since(5, feedLines*2)
	if len(lines) != feedLines || missed != 100 || lines[0].Seq != 105 {
		t.Errorf("%d lines from %d, %d missed", len(lines), lines[0].Seq, missed)
	}
	long := strings.Repeat("x", lineSize)
	for range 2 * feedBytes / lineSize {
		f.add(Said{Text: long})
	}
	if f.bytes > feedBytes || len(f.lines) > feedBytes/lineSize+1 {
		t.Errorf("%d bytes in %d lines", f.bytes, len(f.lines))
	}
}

// TestOutputIsBounded: a worker that prints without end costs what it may, and what is left out is counted.
func TestOutputIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := NewSink(&out, notice.Form{})
		o := &output{who: "web/1", sink: s, app: &config.App{Output: config.Output{Rate: 1000, Burst: 20000}}}
		line := []byte(strings.Repeat("x", 99) + "\n")
		for range 500 { // 50,000 bytes at once
			o.take(line)
		}
		time.Sleep(rateSaid) // and 10,000 a little later
		synctest.Wait()
		for range 500 {
			o.take(line)
		}
		time.Sleep(rateSaid)
		synctest.Wait()
		o.end()
		s.Flush(time.Second)
		s.Close(time.Second)
		text := out.String()
		passed := strings.Count(text, "xxx\n")
		if passed != 300 {
			t.Errorf("%d lines were passed on, want 300", passed)
		}
		for _, want := range []string{
			"web/1: warning: prints more than 1000 bytes a second: what is more is left out (output: {rate: …} of the app)\n",
			"web/1: warning: 300 lines (30000 bytes) of its output were left out\n",
			"web/1: warning: 400 lines (40000 bytes) of its output were left out\n",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("not said: %s", want)
			}
		}
		if n := strings.Count(text, "warning"); n != 4 {
			t.Errorf("%d warnings", n)
		}
		if said, _, _ := s.Said(0, 10000); len(said) != passed {
			t.Errorf("%d lines are told, %d passed on", len(said), passed)
		}
	})
}

func TestOutputWithoutABound(t *testing.T) {
	var out bytes.Buffer
	s := NewSink(&out, notice.Form{})
	o := &output{who: "web/1", sink: s, app: &config.App{}}
	for range 1000 {
		o.take([]byte("a line\n"))
	}
	o.end()
	s.Flush(time.Second)
	s.Close(time.Second)
	if n := strings.Count(out.String(), "a line"); n != 1000 {
		t.Errorf("%d lines", n)
	}
}
