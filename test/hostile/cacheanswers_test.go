package hostile

import (
	"fmt"
	"sync"
	"testing"

	"github.com/weirhq/weir/internal/testkit"
)

// TestAnswersKept has a server answer in every way that is none, before a cache that keeps all it may: nothing that broke off
// or broke the rules is there for the one who asks next, or for the one who waits with the first.
func TestAnswersKept(t *testing.T) {
	rows := answerRows()
	const limits = "timeouts: {first_byte: 2s, between_bytes: 2s, connect: 5s}"
	for name, more := range map[string]string{"memory": "", "disk": fmt.Sprintf("disk: {path: %q, size: 64MiB}", t.TempDir()), "hardly any room": "max_object: 4KiB"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newHostileServer(t, rows)
			w := testkit.Run(t, testkit.Setup{Config: fmt.Sprintf(`
listen: {http: ["@ADDRESS@"]}
log: {access: {to: "@DIR@/access.log"}}
pools: {p: {servers: ['%s'], %s}}
sites: [{hosts: ["*"], routes: [{pool: p, cache: {default_ttl: 1m, hit_for_miss: 0s}}]}]
cache:
  memory: 8MiB
  %s
`, s.l.Addr(), limits, more)})
			turns := make(chan struct{}, 8)
			var playing sync.WaitGroup
			for i := range rows {
				if rows[i].method != "" && rows[i].method != "GET" {
					continue
				}
				turns <- struct{}{}
				playing.Go(func() {
					defer func() { <-turns }()
					var together sync.WaitGroup
					for range 2 { // at once, and then again
						together.Go(func() {
							for range 2 {
								if err := askRow(w.Address, i, &rows[i], "GET"); err != nil {
									t.Errorf("%s: %v\n\t%s", rows[i].name, err, short([]byte(rows[i].send)))
								}
							}
						})
					}
					together.Wait()
				})
			}
			playing.Wait()
			checkLog(t, w.Dir+"/access.log")
		})
	}
}
