package exposition

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what is generated anew")

const referenceHead = `# Metrics

Generated from the table that weir writes them by. ` + "`GET /metrics`" + ` of the status page's address has them, as Prometheus text, OpenMetrics or
protobuf, whichever is asked for; the guide [Metrics and dashboards](../guide/metrics-and-dashboards.md) shows them in use.

- All values of one answer are of one moment, ` + "`weir_picture_time_seconds`" + `, at most a second old. Totals outlive restarts, reloads and upgrades of weir.
- The labels site, route and pool are names of the configuration. server is an address, or a worker's place, such as web/1: the process that takes
  a dead one's place goes on in the same series. While two are in one place, as during a reload, the newer one is told.
- Histograms have the buckets ` + "`le`" + ` 1/1024 s, 1/512 s, … 32 s (of servers every third of these); over protobuf they are native ones too, of
  schema 3: what is read from them is at most 9 % off.
- Of what is rare (causes, reasons, failures, classes 1xx and none) a series begins when there was one.

`

const referenceTail = `## With metrics: or traces: in the configuration

| name | kind | labels | |
|---|---|---|---|
| ` + "`weir_statsd_lines_total`" + ` | counter |  | Lines of apps that were taken. |
| ` + "`weir_statsd_dropped_total`" + ` | counter | why | Lines that were not: form (no statsd line), value (no number), too_long, kind (the name is another kind of number already), no_room (as many series as there may be), too_many (in one second). |
| ` + "`weir_statsd_series`" + ` | gauge |  | Apps' numbers that are known. |
| ` + "`weir_push_lines_total`" + ` | counter | to | Lines that were sent to statsd or Graphite. |
| ` + "`weir_push_dropped_total`" + ` | counter | to | Lines that could not be sent. |

With ` + "`traces:`" + `:

| name | kind | labels | |
|---|---|---|---|
| ` + "`weir_traces_sent_total`" + ` | counter |  | Spans that the collector has taken. |
| ` + "`weir_traces_dropped_total`" + ` | counter |  | Spans that nobody took in time. |
| ` + "`weir_traces_refused_total`" + ` | counter |  | Spans that the collector would not have. |
| ` + "`weir_traces_waiting`" + ` | gauge |  | Spans that wait for the collector. |

What an app sends as NAME is told beside these, with its tags as labels; what is no letter, digit or _ in a name becomes _.

| sent as | told as |
|---|---|
| ` + "`NAME:1\\|c`" + ` | ` + "`app_NAME_total`" + `, a counter |
| ` + "`NAME:1\\|g`" + ` | ` + "`app_NAME`" + `, a gauge |
| ` + "`NAME:320\\|ms`" + ` | ` + "`app_NAME_seconds`" + `, a histogram |
| ` + "`NAME:7\\|h`" + `, ` + "`NAME:7\\|d`" + ` | ` + "`app_NAME_values_total`" + `, how many, and ` + "`app_NAME_added`" + `, their sum |
| ` + "`NAME:x\\|s`" + ` | ` + "`app_NAME_unique`" + `, how many different ones in ten seconds |
`

// TestReference holds docs/reference/metrics.md to the table.
func TestReference(t *testing.T) {
	var b strings.Builder
	b.WriteString(referenceHead)
	for _, part := range []struct {
		title string
		list  []family
	}{{"weir", weirFamilies}, {"All requests", requestFamilies}, {"Routes", routeFamilies}, {"Addresses of TCP", tcpFamilies}, {"Pools", poolFamilies}, {"Servers", serverFamilies},
		{"Apps and workers", appFamilies}, {"The cache", cacheFamilies}, {"The machine and processes", machineFamilies}} {
		fmt.Fprintf(&b, "## %s\n\n| name | kind | labels | |\n|---|---|---|---|\n", part.title)
		for _, f := range part.list {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.name, f.kind, strings.Join(f.labels, ", "), f.help)
		}
		b.WriteString("\n")
	}
	b.WriteString(referenceTail)
	path := filepath.Join("../../../docs/reference", "metrics.md")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s is not up to date (-file +now); go test -update writes it:\n%s", path, diff)
	}
}
