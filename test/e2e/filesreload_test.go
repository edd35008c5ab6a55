package e2e

import (
	"fmt"
	"strings"
	"testing"

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
