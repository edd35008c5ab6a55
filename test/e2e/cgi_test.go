package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// TestCGI: programs that are started for each request.
func TestCGI(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Ready: "/one", Within: time.Minute, Config: `
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
sites:
  - hosts: ["*"]
    routes:
      - {match: {path: /one}, cgi: {command: "./site/bin/one.sh argument"}}
      - {match: {path: /slow}, cgi: {command: ./site/bin/slow.sh, timeout: 1s, at_once: 2}}
      - cgi: {root: site, env: {GREETING: hello}}
`, Files: map[string]string{
		"site/bin/one.sh":   "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s %s' \"$1\" \"$PATH_INFO\"\n",
		"site/bin/env.sh":   "#!/bin/sh\necho 'Status: 203 Fine'\necho 'Content-Type: text/plain'\necho\nenv | sort\necho BODY=$(cat)\necho 'words for the log' >&2\n",
		"site/bin/slow.sh":  "#!/bin/sh\necho $$ >>pids\nsleep 1000 &\necho $! >>pids\nsleep 1001\n",
		"site/bin/away.sh":  "#!/bin/sh\necho $$ >pid\nsleep 1002\n",
		"site/bin/none.sh":  "#!/bin/sh\nexit 3\n",
		"site/bin/left.sh":  "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nleft'\nsleep 1003 &\n",
		"site/bin/long.sh":  "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nhead -c 3000000 /dev/zero\n",
		"site/bin/text.txt": "no program",
	}})
	if err := os.Chmod(filepath.Join(w.Dir, "site/bin/text.txt"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/bin/echo", filepath.Join(w.Dir, "site/bin/outside")); err != nil {
		t.Fatal(err)
	}
	if status, text := w.Get("/one"); status != 200 || text != "argument /one" {
		t.Errorf("got %d %s", status, text)
	}
	c := w.Dial()
	c.Send("POST /bin/env.sh/a%20b?c=d HTTP/1.1\r\nHost: a\r\nProxy: evil\r\nX-Foo: bar\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
	m := c.Response("POST")
	text := "\n" + string(m.Body)
	if m.Status != 203 {
		t.Errorf("got %d", m.Status)
	}
	for _, want := range []string{"BODY=hi", "CONTENT_LENGTH=2", "GREETING=hello", "HTTP_X_FOO=bar", "PATH_INFO=/a b", "SCRIPT_NAME=/bin/env.sh", "QUERY_STRING=c=d",
		"SCRIPT_FILENAME=" + w.Dir + "/site/bin/env.sh", "PWD=" + w.Dir + "/site/bin", "REQUEST_METHOD=POST"} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("no %s in %s", want, text)
		}
	}
	for _, no := range []string{"\nHTTP_PROXY=", "\nSOCKET=", "\nWEIR_"} {
		if strings.Contains(text, no) {
			t.Errorf("%s in %s", no, text)
		}
	}
	c.Close()
	testkit.Eventually(t, testkit.Patience, "the log has the words", func() bool { return strings.Contains(w.Output(), "words for the log") })
	for path, want := range map[string]int{"/bin/text.txt": 404, "/bin/outside": 404, "/bin": 404, "/": 404, "/bin/nothing": 404, "/bin/none.sh": 502} {
		if status, text := w.Get(path); status != want {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	if status, text := w.Get("/bin/left.sh"); status != 200 || text != "left" {
		t.Errorf("got %d %s", status, text)
	}
	if status, text := w.Get("/bin/long.sh"); status != 200 || len(text) != 3000000 {
		t.Errorf("got %d with %d bytes", status, len(text))
	}
	if status, _ := w.Get("/slow"); status != 504 {
		t.Errorf("got %d", status)
	}
	gone(t, filepath.Join(w.Dir, "pids"), 2)
	// A client that leaves takes its program with it.
	c = w.Dial()
	c.Send("GET /bin/away.sh HTTP/1.1\r\nHost: a\r\n\r\n")
	testkit.Eventually(t, testkit.Patience, "the program runs", func() bool {
		b, err := os.ReadFile(filepath.Join(w.Dir, "site/bin/pid"))
		return err == nil && strings.HasSuffix(string(b), "\n")
	})
	c.Close()
	gone(t, filepath.Join(w.Dir, "site/bin/pid"), 1)
}

// gone waits until the processes are gone whose numbers stand in a file, n of them.
func gone(t *testing.T, file string, n int) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Fields(string(b))
	if len(all) != n {
		t.Fatalf("%d processes, want %d", len(all), n)
	}
	for _, pid := range all {
		testkit.Eventually(t, testkit.Patience, "process "+pid+" is gone", func() bool {
			_, err := os.Stat("/proc/" + pid)
			return err != nil
		})
	}
}
