package cache

import (
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/message"
)

// TestReasonsAreExplained: each reason has a token of its own and words.
func TestReasonsAreExplained(t *testing.T) {
	seen := map[string]bool{}
	for r := Kept + 1; r.String() != ""; r++ {
		if w := r.String(); seen[w] || strings.ContainsAny(w, " ;,\"=") {
			t.Errorf("%d: the token %q is not one, or not its own", r, w)
		}
		seen[r.String()] = true
		if r.Because() == r.String() {
			t.Errorf("%v is not explained", r)
		}
		if r.Change() == "" {
			t.Errorf("%v: nothing says what to change", r)
		}
		if ParseReason(r.String()) != r {
			t.Errorf("%v is not found by its token", r)
		}
	}
	for p := NoPass + 1; p.String() != ""; p++ {
		if w := p.String(); strings.ContainsAny(w, " ;,\"=") {
			t.Errorf("%d: the token %q is none", p, w)
		}
		if p.Because() == p.String() {
			t.Errorf("%v is not explained", p)
		}
		if p.Change() == "" {
			t.Errorf("%v: nothing says what to change", p)
		}
	}
	if len(seen) < 10 {
		t.Errorf("only %d reasons", len(seen))
	}
}

// TestSourceAgreesWithJudge: what is named as the source gives the life that Judge found, over all combinations of what
// gives one.
func TestSourceAgreesWithJudge(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	lives := map[string]int64{"s-maxage": 11, "max-age": 12, "Expires less": 13, "Expires, which": 0, "with force": 14, "a rule of ttl;": 15,
		"default_ttl": 16, "heuristic": 360, "nothing says": 0}
	seen := map[string]int{}
	for n := range 1 << 9 {
		on := func(bit int) bool { return n>>bit&1 == 1 }
		var resp message.Response
		resp.Status = 200
		add := func(id message.ID, value string) { resp.Fields.Add(id, []byte(id.String()), []byte(value)) }
		add(message.Date, "Sun, 01 Mar 2026 12:00:00 GMT")
		add(message.ETag, `"a"`)
		cc := "public"
		if on(0) {
			cc += ", s-maxage=11"
		}
		if on(1) {
			cc += ", max-age=12"
		}
		add(message.CacheControl, cc)
		switch {
		case on(2) && on(3):
			add(message.Expires, "0")
		case on(2):
			add(message.Expires, "Sun, 01 Mar 2026 12:00:13 GMT")
		}
		var p Policy
		if on(4) {
			p.Rules = append(p.Rules, Rule{TTL: 14 * time.Second, Force: true})
		} else if on(5) {
			p.Rules = append(p.Rules, Rule{TTL: 15 * time.Second})
		}
		if on(6) {
			p.DefaultTTL = 16 * time.Second
		}
		if on(7) {
			p.Heuristic = true
			add(message.LastModified, "Sun, 01 Mar 2026 11:00:00 GMT")
		}
		a := Asked{Method: message.GET, Cookies: on(8)}
		life, why := p.Judge(a, &resp, now, now)
		if why != Kept {
			t.Fatalf("%09b: %v", n, why)
		}
		source := p.Source(a, &resp, now)
		found := false
		for begin, ttl := range lives {
			if strings.HasPrefix(source.Text, begin) || strings.Contains(source.Text, begin) && begin == "with force" {
				found = true
				seen[begin]++
				if life.TTL != ttl {
					t.Errorf("%09b: a life of %d s by %q", n, life.TTL, source.Text)
				}
				break
			}
		}
		if !found {
			t.Errorf("%09b: %q", n, source.Text)
		}
	}
	if len(seen) != len(lives) {
		t.Errorf("seen %v", seen)
	}
}
