package edge

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/config"
)

// TestCheckedPoliciesCompile: what the configuration lets pass the cache takes; else `weir check` would find good what no
// edge starts with.
func TestCheckedPoliciesCompile(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	names := []string{"a", "b", `"a*"`, `"*"`, "session", `""`, "Cookie", "X-A", "x-a", "Range", "Mobile"}
	lists := []string{"pass_if_cookie: [%s]", "ignore_cookies: [%s]", "ignore_query: [%s]", "keep_query: [%s]", "private: [%s]",
		"key: {cookie: [%s]}", "key: {header: [%s]}", "key: {device: [{name: d, words: [%s]}]}"}
	passed := 0
	for range 3000 {
		var policy []string
		for _, i := range rng.Perm(len(lists))[:1+rng.IntN(3)] {
			var some []string
			n := 1 + rng.IntN(3)
			if rng.IntN(20) == 0 {
				n = 15 + rng.IntN(60)
			}
			for j := range n {
				name := names[rng.IntN(len(names))]
				if n > 3 {
					name = fmt.Sprintf("n%d", j)
				}
				some = append(some, name)
			}
			policy = append(policy, fmt.Sprintf(lists[i], strings.Join(some, ", ")))
		}
		text := "pools: {p: {servers: [\"127.0.0.1:1\"]}}\nsites: [{hosts: [\"*\"], routes: [{pool: p, cache: {" + strings.Join(policy, ", ") + "}}]}]\n"
		cfg, _, err := config.Parse("weir.yaml", []byte(text), func(string) (string, bool) { return "", false })
		if err != nil {
			continue
		}
		passed++
		if _, err := newRouteCache(cfg.Sites[0].Routes[0], cache.Seed{}); err != nil {
			t.Errorf("%v: %v", policy, err)
		}
	}
	if passed < 300 {
		t.Errorf("%d of them were looked at", passed)
	}
}
