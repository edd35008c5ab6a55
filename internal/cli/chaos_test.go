package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
)

func TestShareOf(t *testing.T) {
	for text, want := range map[string]int{"100%": 10000, "10%": 1000, "0.5%": 50, "0.01%": 1, "33.33%": 3333,
		"0%": 0, "0.001%": 0, "101%": 0, "-1%": 0, "10": 0, "": 0, "%": 0, "NaN%": 0, "Inf%": 0, "x%": 0} {
		got, err := shareOf(text)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}

func TestChaosWrongUse(t *testing.T) {
	t.Setenv("WEIR_RUN_DIR", t.TempDir())
	for args, want := range map[string]string{
		"chaos explode":                                  `weir chaos has kill-worker, kill-edge, latency, errors, list and stop, not "explode"`,
		"chaos kill-worker a b":                          "weir chaos kill-worker [APP]",
		"chaos kill-worker --every -1s":                  "--every -1s: write a time such as",
		"chaos kill-edge web":                            "takes no argument",
		"chaos kill-edge --for 0s":                       "--for: write a time such as 1m",
		"chaos latency --route a/*":                      "--add 200ms",
		"chaos latency --add 1s":                         "whose requests?",
		"chaos latency --add 1s --route a/ --server b/c": "whose requests?",
		"chaos latency --add 1s --server b":              `"b" is not POOL/SERVER`,
		"chaos errors --route a/ --share 5":              "--share 5: write more than 0% and at most 100%",
		"chaos errors --route a/":                        "no weir answers",
		"chaos stop one":                                 `"one" is no number of a fault`,
		"chaos stop 1 2":                                 "write weir chaos stop for all faults",
	} {
		if _, err := say(t, strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestShowFaults(t *testing.T) {
	now := time.UnixMilli(1000000)
	all := []api.Fault{
		{ID: 1, Do: "kill-worker", App: "web", Every: 2000, By: "ann", Made: 3, Ends: 1090000},
		{ID: 2, Do: "kill-edge", By: "bob", Ends: 900000},
		{ID: 3, Do: "latency", Route: "a.test/x*", Add: 200, Jitter: 50, Share: 1000, By: "ann", Reason: "drill", Ends: 1001000},
		{ID: 4, Do: "errors", Pool: "web", Server: "web/1", Status: 503, Share: 50, By: "ann", Ends: 1001000},
	}
	var out strings.Builder
	if err := showFaults(&out, all, now); err != nil {
		t.Fatal(err)
	}
	want := `FAULT  WHAT                                      MADE  LEFT   BY   REASON
1      kill-worker web every 2s                  3     1m30s  ann  
2      kill-edge                                 0     0s     bob  
3      latency +200ms±50ms for 10% of a.test/x*  0     1s     ann  drill
4      errors 503 for 0.5% of web/1              0     1s     ann  
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
	out.Reset()
	if err := show(&out, api.Status{Faults: all[:1]}, now, false); err != nil || !strings.Contains(out.String(), "CHAOS     fault 1: kill-worker web every 2s, by ann, made 3 times, 1m30s left\n") {
		t.Errorf("%v\n%s", err, out.String())
	}
	out.Reset()
	if err := showFaults(&out, nil, now); err != nil || out.String() != "no fault is made on purpose\n" {
		t.Error(out.String(), err)
	}
}
