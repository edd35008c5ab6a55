package top

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func readEvents(text string) (all []string, err error) {
	r := &eventReader{in: bufio.NewReaderSize(strings.NewReader(text), 64)}
	for {
		name, data, err := r.next()
		if err != nil {
			return all, err
		}
		all = append(all, fmt.Sprintf("%s|%s", name, data))
	}
}

func TestEventReader(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for _, c := range []struct{ text, want string }{
		{"retry: 1000\n\nevent: picture\ndata: {}\n\n", "[| picture|{}]"},
		{":\n\nevent:picture\r\ndata:{\r\ndata: }\r\n\r\n", "[| picture|{}]"},
		{"event: picture\ndata: " + long + "\n\n", "[picture|" + long + "]"},
		{"event: picture\ndata: cut off", "[]"},
		{"", "[]"},
		{"nothing\n\n", "[|]"},
	} {
		got, err := readEvents(c.text)
		if fmt.Sprint(got) != c.want || !errors.Is(err, io.EOF) {
			t.Errorf("%.60q: %.100v, %v", c.text, got, err)
		}
	}
}

// endless never ends a line.
type endless struct{ n int }

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	e.n += len(b)
	return len(b), nil
}

func TestEventReaderIsBounded(t *testing.T) {
	e := &endless{}
	r := &eventReader{in: bufio.NewReaderSize(e, 64<<10)}
	if _, _, err := r.next(); !errors.Is(err, errTooLong) {
		t.Error(err)
	}
	if e.n > maxFrame+1<<20 {
		t.Errorf("%d bytes were read", e.n)
	}
}

func FuzzEventReader(f *testing.F) {
	f.Add("retry: 1000\n\nevent: picture\ndata: {}\n\n")
	f.Add(":\n\nevent:event\r\ndata:{\r\ndata: }\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := readEvents(text)
		if err == nil || len(all) > strings.Count(text, "\n") {
			t.Errorf("%q: %q, %v", text, all, err)
		}
	})
}
