package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// late is an app whose workers take two seconds before they listen.
func late(name string) string {
	return fmt.Sprintf(`  %s: {command: 'sh -c "sleep 2; exec @HELLO@"', socket: true, workers: 1, ready: {path: /healthz, within: 20s, every: 20ms}, stop: {within: 5s}}`+"\n", name)
}

// TestIncludeLeavesWhileFilesChange: a reload takes the include out while files of it have changed, and are about to come into force, with
// new apps and without. They are nobody's business then.
func TestIncludeLeavesWhileFilesChange(t *testing.T) {
	w := emperor(t, "", map[string]string{"b.yaml": oneSite("b", "b.test", "1", ""), "c.yaml": oneSite("c", "c.test", "1", "")})
	waitWorkers(t, w, "b", 2)
	waitWorkers(t, w, "c", 2)
	// The reload is busy with an app that is slow to start, and what the files want comes after it.
	main := strings.Replace(fmt.Sprintf(including, ""), "include:", "#", 1)
	w.Write("weir.yaml", main+"apps:\n"+late("slow")+"sites: [{hosts: ['*'], routes: [{match: {path: /v}, respond: {body: main}}, {pool: slow}]}]\n")
	reloaded := make(chan string, 1)
	go func() {
		out, problem, _ := w.Command("reload")
		reloaded <- out + problem
	}()
	testkit.Eventually(t, testkit.Patience, "the reload starts its app", func() bool { return strings.Contains(w.Do("status"), "slow/1.1") })
	w.Write("sites.d/b.yaml", oneSite("b", "b.test", "2", ""))
	w.Write("sites.d/c.yaml", strings.Replace(oneSite("c", "c.test", "2", ""), "sites:", "  d: {command: '@HELLO@', socket: true}\nsites:", 1))
	if out := <-reloaded; !strings.Contains(out, "reloaded the configuration") {
		t.Fatal(out)
	}
	for _, host := range []string{"a.test", "b.test", "c.test"} {
		comes(t, w, host, "main")
	}
	testkit.Eventually(t, testkit.Patience, "nothing of the files is left", func() bool { s := w.Status(); return len(s.Apps) == 1 && len(s.Included) == 0 })
	for range 5 {
		if got := said(t, w, "c.test"); got != "main" {
			t.Errorf("a file that is not included any more is in force: %s", got)
		}
	}
}

// TestAppMovesIntoMainFile: an app of a file that is gone finishes what it has while a reload names it again, which waits for that.
func TestAppMovesIntoMainFile(t *testing.T) {
	w := emperor(t, "", map[string]string{"b.yaml": oneSite("b", "b.test", "1", "")})
	waitWorkers(t, w, "b", 2)
	slow := make(chan error, 1)
	go func() {
		r, err := http.NewRequest("GET", w.URL("/slow?ms=2000"), nil)
		if err == nil {
			r.Host = "b.test"
			var resp *http.Response
			if resp, err = http.DefaultTransport.(*http.Transport).Clone().RoundTrip(r); err == nil {
				if resp.StatusCode != 200 {
					err = fmt.Errorf("status %d", resp.StatusCode)
				}
				resp.Body.Close()
			}
		}
		slow <- err
	}()
	testkit.Eventually(t, testkit.Patience, "the request is under way", func() bool { s := w.Status(); return s.Edge != nil && s.Edge.Active > 0 })
	text := oneSite("b", "b.test", "2", "")
	if err := os.Remove(filepath.Join(w.Dir, "sites.d/b.yaml")); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, testkit.Patience, "the app leaves", func() bool { return strings.Contains(w.Do("status"), "leaving") })
	w.Write("weir.yaml", fmt.Sprintf(including, text))
	w.Do("reload")
	if err := <-slow; err != nil {
		t.Error(err)
	}
	comes(t, w, "b.test", "b 2")
}

// TestStopIsAnsweredWhenAllIsFree: whoever has stopped weir may start it again at once.
func TestStopIsAnsweredWhenAllIsFree(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: hello(1, "")})
	for range 3 {
		began := time.Now()
		w.Do("stop")
		w = testkit.Run(t, testkit.Setup{Config: hello(1, ""), RunDir: w.RunDir, Address: w.Address})
		t.Logf("stopped and started in %v", time.Since(began).Round(time.Millisecond))
	}
}
