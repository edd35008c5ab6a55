package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// headless answers in chunks. The first time that it is asked for a path below /die/ it sends its head and kills itself. It takes its
// processor for itself where it may, lest a busy machine come between the two for longer than heads are held.
const headless = `#!/usr/bin/python3
import os, signal, socket, sys
try:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
except OSError:
    pass
ears = socket.socket(socket.AF_UNIX)
ears.bind(sys.argv[1])
ears.listen(64)
while True:
    c, _ = ears.accept()
    with c, c.makefile("rb") as f:
        path = f.readline().split(b" ")[1].decode() if f.peek(1) else ""
        while path and f.readline() not in (b"\r\n", b""):
            pass
        if not path:
            continue
        c.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        if path.startswith("/die/"):
            try:
                os.close(os.open("@DIR@/died" + path.replace("/", "."), os.O_CREAT | os.O_EXCL))
                os.kill(os.getpid(), signal.SIGKILL)
            except FileExistsError:
                pass
        text = path.encode()
        c.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(text), text))
`

// TestWorkersDieBehindTheirHeads: a worker that is killed between its head and the first chunk costs no GET.
func TestWorkersDieBehindTheirHeads(t *testing.T) {
	const deaths = 20
	w := testkit.Run(t, testkit.Setup{Plain: true, Ready: "/ready", Files: map[string]string{"app.py": headless}, Config: `
listen: {http: ["@ADDRESS@"]}
log: {access: {to: "@DIR@/access.log"}}
apps:
  web:
    command: "@DIR@/app.py $SOCKET"
    workers: 4
    ready: {path: /ready, within: 20s, every: 20ms}
    backoff: {min: 20ms, max: 200ms}
sites:
  - hosts: ["*"]
    routes: [{pool: web}]
`})
	waitWorkers(t, w, "web", 4)
	// Others want the same workers meanwhile. (What may be tried again is a share of them.)
	load := testkit.Load{Address: w.Address, Conns: 4, Path: "/page", Pause: 2 * time.Millisecond, Check: func(_ string, m *testkit.Message) error {
		if m.Status != 200 || m.Body != "/page" {
			return fmt.Errorf("%d %.100q", m.Status, m.Body)
		}
		return nil
	}}.Start(t)
	c := w.Dial()
	for i := range deaths {
		// One after the other: whoever loses a worker for each of its tries gets nothing from any of them.
		load.After(t, 20)
		waitWorkers(t, w, "web", 4)
		path := fmt.Sprintf("/die/%d", i)
		if m := request(c, path); m.Status != 200 || m.Body != path {
			t.Errorf("death %d: got %d %.100q", i, m.Status, m.Body)
		}
	}
	load.After(t, 20)
	noneFailed(t, "GET", load.Stop(), 20*deaths)
	text, err := os.ReadFile(filepath.Join(w.Dir, "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, `"status":200,`) || strings.Contains(line, `"cause"`) {
			t.Error(line)
		}
	}
	if died, err := filepath.Glob(filepath.Join(w.Dir, "died.die.*")); err != nil || len(died) != deaths {
		t.Errorf("%d workers died, %v", len(died), err)
	}
	waitWorkers(t, w, "web", 4)
}
