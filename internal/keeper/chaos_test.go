package keeper

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/weirhq/weir/internal/api"
)

func TestCheckFault(t *testing.T) {
	for name, row := range map[string]struct {
		give, want api.Fault
		wrong      string
	}{
		"a worker, once":        {api.Fault{Do: "kill-worker", App: "web", By: "ann"}, api.Fault{Do: "kill-worker", App: "web", By: "ann", For: 60000}, ""},
		"workers":               {api.Fault{Do: "kill-worker", Every: 100, For: 1000, Share: 5}, api.Fault{Do: "kill-worker", Every: 100, By: "somebody", For: 1000}, ""},
		"too many workers":      {api.Fault{Do: "kill-worker", Every: 99}, api.Fault{}, "kill-worker every 100ms at the most"},
		"too many edges":        {api.Fault{Do: "kill-edge", Every: 999}, api.Fault{}, "kill-edge every 1s at the most"},
		"backwards":             {api.Fault{Do: "kill-edge", Every: -1}, api.Fault{}, "kill-edge every 1s at the most"},
		"for ever":              {api.Fault{Do: "kill-edge", For: 3600001}, api.Fault{}, "ends after 1h0m0s at the latest"},
		"ended before it began": {api.Fault{Do: "kill-edge", For: -1}, api.Fault{}, "ends after 1h0m0s at the latest"},
		"latency": {api.Fault{Do: "latency", Route: "a/*", Add: 200, Jitter: 200, Status: 1, App: "x", By: "a\nb", Reason: "\x1b[2J"},
			api.Fault{Do: "latency", Route: "a/*", Add: 200, Jitter: 200, Share: 10000, By: "a b", Reason: "[2J", For: 60000}, ""},
		"no latency":           {api.Fault{Do: "latency", Route: "a/*"}, api.Fault{}, "latency adds more than 0"},
		"too much":             {api.Fault{Do: "latency", Route: "a/*", Add: 60001}, api.Fault{}, "at most 1m0s"},
		"too much jitter":      {api.Fault{Do: "latency", Route: "a/*", Add: 1, Jitter: 2}, api.Fault{}, "its jitter is not more than that"},
		"errors":               {api.Fault{Do: "errors", Pool: "p", Server: "s", Status: 503, Add: 5, Share: 500}, api.Fault{Do: "errors", Pool: "p", Server: "s", Status: 503, Share: 500, By: "somebody", For: 60000}, ""},
		"what is no error":     {api.Fault{Do: "errors", Pool: "p", Server: "s", Status: 200}, api.Fault{}, "from 400 to 599"},
		"nobody's":             {api.Fault{Do: "errors", Status: 503}, api.Fault{}, "for a route (HOST/PATH) or for a server"},
		"half a server's":      {api.Fault{Do: "errors", Pool: "p", Status: 503}, api.Fault{}, "for a route (HOST/PATH) or for a server"},
		"both's":               {api.Fault{Do: "errors", Pool: "p", Server: "s", Route: "a/", Status: 503}, api.Fault{}, "for a route (HOST/PATH) or for a server"},
		"a host":               {api.Fault{Do: "errors", Route: "a.test", Status: 503}, api.Fault{}, "write a.test/* for all of a host"},
		"more than all":        {api.Fault{Do: "errors", Route: "a/", Status: 503, Share: 10001}, api.Fault{}, "at most 100%"},
		"something else":       {api.Fault{Do: "explode"}, api.Fault{}, `"explode" is no fault`},
		"somebody with a name": {api.Fault{Do: "kill-edge", By: strings.Repeat("x", 101)}, api.Fault{}, "too long"},
		"a very long route":    {api.Fault{Do: "errors", Status: 503, Route: "a/" + strings.Repeat("x", 500)}, api.Fault{}, "too long"},
	} {
		got := row.give
		err := checkFault(&got)
		if row.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), row.wrong) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
}
