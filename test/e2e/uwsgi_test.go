package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

const wsgiApp = `
import hashlib

def application(env, start):
    path, h, n = env['PATH_INFO'], hashlib.sha256(), 0
    while True:
        b = env['wsgi.input'].read(65536)
        if not b:
            break
        h.update(b)
        n += len(b)
    if path == '/long':
        start('200 OK', [('Content-Type', 'text/plain')])
        return (b'x' * 65536 for _ in range(32))
    if path == '/echo-fields':
        text = '\n'.join('%s=%s' % (k, v) for k, v in sorted(env.items()) if isinstance(v, str))
    elif path == '/fail':
        print('it failed on purpose', file=env['wsgi.errors'], flush=True)
        raise ValueError('on purpose')
    else:
        text = '%s %s %d %s' % (env['REQUEST_METHOD'], path, n, h.hexdigest())
    start('404 Not Here' if path == '/none' else '200 OK', [('Content-Type', 'text/plain; charset=utf-8')])
    return [text.encode()]
`

// TestUWSGI: workers of uWSGI, by both of its protocols.
func TestUWSGI(t *testing.T) {
	for _, protocol := range []string{"uwsgi", "scgi"} {
		t.Run(protocol, func(t *testing.T) {
			w := testkit.Run(t, testkit.Setup{Plain: true, Ready: "/healthz", Within: time.Minute, Files: map[string]string{"app.py": wsgiApp}, Config: `
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
apps:
  site:
    command: uwsgi_python3 --` + protocol + `-socket $SOCKET --wsgi-file app.py --processes 2 --master --die-on-term --worker-reload-mercy 5 --disable-logging
    workers: 2
    protocol: ` + protocol + `
    ready: /healthz
pools:
  site: {app: site, max_conn: 2}
`})
			if status, text := w.Get("/a%20b?c"); status != 200 || !strings.HasPrefix(text, "GET /a b 0 ") {
				t.Errorf("got %d %s", status, text)
			}
			if status, text := w.Get("/none"); status != 404 || !strings.HasPrefix(text, "GET /none") {
				t.Errorf("got %d %s", status, text)
			}
			if status, text := w.Get("/long"); status != 200 || len(text) != 2*mib {
				t.Errorf("got %d with %d bytes", status, len(text))
			}
			if _, text := w.Get("/echo-fields"); !strings.Contains(text, "\nREQUEST_URI=/echo-fields\n") || !strings.Contains(text, "\nREMOTE_ADDR=127.0.0.1\n") {
				t.Errorf("got %s", text)
			}
			for _, size := range []int{1, 3000, 100_000, 5 * mib} {
				body := strings.Repeat("x", size)
				for _, framing := range []string{fmt.Sprintf("Content-Length: %d\r\n\r\n%s", size, body), fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", size, body)} {
					c := w.Dial()
					c.Send("POST /sum HTTP/1.1\r\nHost: a\r\n" + framing)
					if m := c.Response("POST"); m.Status != 200 || !strings.HasPrefix(string(m.Body), fmt.Sprintf("POST /sum %d ", size)) {
						t.Errorf("%d bytes: got %d %s", size, m.Status, m.Body)
					}
					c.Close()
				}
			}
			if status, _ := w.Get("/fail"); status != 500 && status != 502 {
				t.Errorf("got %d", status)
			}
			testkit.Eventually(t, testkit.Patience, "the log has what the app said", func() bool { return strings.Contains(w.Output(), "it failed on purpose") })
			load := testkit.Load{Address: w.Address, Conns: 4, Path: "/page", Pause: 5 * time.Millisecond, Limit: 30 * time.Second}.Start(t)
			load.After(t, 50)
			w.Do("reload", "site")
			load.After(t, 50)
			for _, p := range testkit.Tree(waitWorkers(t, w, "site", 2)[0].PID) {
				p.KillIfThere(t, syscall.SIGKILL)
			}
			load.After(t, 50)
			noneFailed(t, "GET while workers are reloaded and die", load.Stop(), 150)
			// uWSGI hears no TERM while it starts, nor do its processes while they do: those it kills after its mercy.
			waitWorkers(t, w, "site", 2)
		})
	}
}
