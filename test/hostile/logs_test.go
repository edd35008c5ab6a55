package hostile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/weirhq/weir/internal/testkit"
)

const manyLogs = `[
  {to: "@DIR@/template.log", format: '{client} {status}|{method}|{target}|{host} "{user_agent}" "{referer} {id}"'},
  {to: "@DIR@/fields.log", format: [status, method, target, path, query, host, user_agent, referer, id]},
  {to: "syslog+unix://@SOCKET@", format: combined}]`

var (
	templated = regexp.MustCompile(`^[0-9.]+ \d{3}\|[^ |]+\|[^ |]+\|[^ |]+ "[^"]*" "[^ "]+ [^ "]+"$`)
	syslogged = regexp.MustCompile(`^<\d+>1 \d{4}-\d\d-\d\dT[0-9:.]+Z [^ ]+ weir \d+ access - `)
)

// TestInjectionIntoEveryLog has clients write into all kinds of logs, and onto the terminal of whoever listens.
func TestInjectionIntoEveryLog(t *testing.T) {
	testkit.Leaks(t)
	o := newRecorder(t)
	dir, err := os.MkdirTemp("", "weir") // the name of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "log")
	ln, err := net.ListenPacket("unixgram", socket) //nolint:noctx // a test's
	if err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	var messages [][]byte
	reading.Go(func() {
		b := make([]byte, 1<<17)
		for {
			n, _, err := ln.ReadFrom(b)
			if err != nil {
				return
			}
			messages = append(messages, bytes.Clone(b[:n]))
		}
	})
	sites := strings.Replace(fmt.Sprintf(injectionSites, "json", "", o.address(), testkit.DeadAddress(t)), `{access: {to: "@DIR@/access.log", format: json}}`,
		"{access: "+strings.ReplaceAll(manyLogs, "@SOCKET@", socket)+"}", 1)
	w := testkit.Run(t, testkit.Setup{Config: sites})
	s := w.Terminal(200, 400, "log") // all of it: loops tell of the last request before what others have yet to tell
	all := append(nastyRequests(), "GET /the-last-one HTTP/1.1\r\n"+host+"Connection: close\r\n\r\n")
	for _, text := range all {
		if _, err := talk(w.Address, text); err != nil {
			t.Errorf("%v\n\t%s", err, short([]byte(text)))
		}
	}
	for _, args := range [][]string{{"--past"}, {"--past", "--story"}, {"--past", "-o", "json"}} {
		out, problem, code := w.Command(append([]string{"log"}, args...)...)
		if bad := unprintable(bytes.ReplaceAll([]byte(out+problem), []byte("\n"), nil)); bad >= 0 || code != 0 || len(out) == 0 {
			t.Errorf("weir log %v: %d, byte %d of %.200q", args, code, bad, out+problem)
		}
		if args[len(args)-1] == "--past" {
			for line := range strings.Lines(out) {
				if !regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d{3} `).MatchString(line) {
					t.Errorf("a line of its own: %q", line)
				}
			}
		}
	}
	s.See("/the-last-one")
	s.Type("\x03")
	if err := s.Wait(patience); err != nil {
		t.Errorf("%v\n%s", err, s.Text())
	}
	w.Stop()
	ln.Close()
	reading.Wait()
	lines := 0
	eachOf(t, filepath.Join(w.Dir, "template.log"), func(l []byte) error {
		lines++
		if !templated.Match(l) {
			return fmt.Errorf("no line of the format")
		}
		return nil
	})
	eachOf(t, filepath.Join(w.Dir, "fields.log"), func(l []byte) error {
		var v map[string]any
		if err := json.Unmarshal(l, &v); err != nil || v["forged"] != nil || v["status"] == nil {
			return fmt.Errorf("no object: %w", err)
		}
		return nil
	})
	for _, m := range messages {
		head := syslogged.Find(m)
		if head == nil || !combined.Match(m[len(head):]) || unprintable(m) >= 0 {
			t.Fatalf("a message of syslog: %s", short(m))
		}
	}
	if len(messages) != lines || lines < len(all) {
		t.Errorf("%d messages, %d lines, %d requests", len(messages), lines, len(all))
	}
}

func eachOf(t *testing.T, file string, judge func([]byte) error) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for l := range bytes.SplitSeq(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
		if err := judge(l); err != nil {
			t.Fatalf("%v: %s", err, short(l))
		}
		if bad := unprintable(l); bad >= 0 {
			t.Fatalf("a terminal obeys byte %d of %s", bad, short(l))
		}
	}
}
