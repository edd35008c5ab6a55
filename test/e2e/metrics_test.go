package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/weirhq/weir/internal/testkit"
)

// scraped are the metrics at an address, by name{label="value",…}; nil while nobody answers.
func scraped(t *testing.T, address string) map[string]float64 {
	t.Helper()
	resp, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for name, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			key := strings.Join(append([]string{name}, labels...), " ")
			switch {
			case m.Counter != nil:
				all[key] = m.Counter.GetValue()
			case m.Gauge != nil:
				all[key] = m.Gauge.GetValue()
			case m.Histogram != nil:
				all[key] = float64(m.Histogram.GetSampleCount())
			}
		}
	}
	return all
}

// TestMetrics: what was served is told, with the machine, the workers and the app's own numbers; balancers are answered at both ends, and
// are not counted; a desk that is killed loses none of it.
func TestMetrics(t *testing.T) {
	admin := testkit.FreeAddress(t)
	w := testkit.Run(t, testkit.Setup{Config: `listen: "@ADDRESS@"
admin: {listen: "` + admin + `"}
metrics: {listen: "unix:numbers.sock"}
apps: {web: {command: "@HELLO@", workers: 2}}
sites: [{hosts: ["*"], routes: [{name: monitor, match: {path: /-/ready}, monitor: ready}, {name: all, pool: web}]}]
log: {access: {to: none}}
`})
	for range 20 {
		if status, _ := w.Get("/"); status != http.StatusOK {
			t.Fatalf("the app answers %d", status)
		}
		if status, body := w.Get("/-/ready"); status != http.StatusOK || body != "ready\n" {
			t.Fatalf("the monitor answers %d %s", status, body)
		}
	}
	send := func() {
		c, err := net.Dial("unixgram", filepath.Join(w.Dir, "numbers.sock"))
		if err != nil {
			return // it is not there yet
		}
		defer c.Close()
		fmt.Fprint(c, "logins:1|c|#by:mail")
	}
	requests := "weir_route_requests_total site=* route=all class=2xx"
	var got map[string]float64
	testkit.Eventually(t, testkit.Patience, "all is told", func() bool {
		send()
		got = scraped(t, admin)
		return got[requests] >= 20 && got["app_logins_total by=mail"] > 0 && got["weir_pool_servers pool=web state=ready"] == 2
	})
	served := got[requests]
	for _, key := range []string{"weir_process_resident_bytes process=keeper", "weir_process_resident_bytes process=edge", "weir_process_resident_bytes process=desk",
		"weir_process_resident_bytes process=web/1", "weir_process_resident_bytes process=web/2", "weir_node_memory_bytes", "weir_node_cpu_busy_ratio cpu=0",
		"weir_server_up pool=web server=web/1", "weir_server_first_byte_seconds pool=web server=web/2", "weir_route_duration_seconds site=* route=all", "weir_edge_up"} {
		if v, ok := got[key]; !ok || v < 0 {
			t.Errorf("%s is %v (%v)", key, v, ok)
		}
	}
	if got["weir_requests_total class=2xx"] != served || got["weir_route_requests_total site=* route=monitor class=2xx"] != 0 {
		t.Errorf("%v requests, %v of them of the route, %v of the monitor", got["weir_requests_total class=2xx"], served, got["weir_route_requests_total site=* route=monitor class=2xx"])
	}
	for path, want := range map[string]string{"/-/live": "200 live", "/-/ready": "200 ready", "/-/ready?pool=web&min=2": "200 ready", "/-/ready?pool=web&min=3": "503 not ready", "/-/pool/web": "200 up", "/-/pool/no": "404 no such pool"} {
		resp, err := http.Get("http://" + admin + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		first, _, _ := strings.Cut(string(body), "\n")
		if answer := fmt.Sprint(resp.StatusCode, " ", first); err != nil || answer != want {
			t.Errorf("%s: %s, want %s", path, answer, want)
		}
	}

	if err := syscall.Kill(w.Desk().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, testkit.Patience, "another desk tells as much, and takes numbers", func() bool {
		send()
		got := scraped(t, admin)
		return got["weir_process_start_time_seconds process=desk"] > 0 && got[requests] >= served && got["app_logins_total by=mail"] > 0 && got["weir_edge_up"] == 1
	})
	w.Stop()
}
