package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestPurgeWords: weir purge takes out what its words name, in whatever form they are written, or says that it cannot.
func TestPurgeWords(t *testing.T) {
	a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		fmt.Fprintf(w, "%d", n)
	})
	w := cached(t, a, `{ignore_query: ["utm_*"], sort_query: true}`, "")
	for _, c := range []struct{ kept, args, wrong string }{
		{"/a", "http://e2e.test/a", ""},
		{"/b", "http://E2E.test:8080/b", ""},
		{"/c?a=1&b=2", "http://e2e.test/c?b=2&utm_x=1&a=1", ""},
		{"/d", "http://e2e.test/d?utm_source=mail", ""},
		{"/e%C3%A9", "http://e2e.test/eé", ""},
		{"/f", "http://e2e.test/x/../%66", ""},
		{"/g/h", "--prefix e2e.test:8080/g/", ""},
		{"/h", "--prefix e2e.test/h", ""},
		{"/i/j", "--pattern *2e.test/*/j", ""},
		{"/k", "--pattern e2e.test:8080/k", ""},
		{"/l", "--pattern *:80/l", ""},
		{"/m", "/m", "is no URL"},
		{"/n", "http://e2e.test/n%zz", "is no URL"},
		{"/o", "--prefix /o", "no host and path"},
	} {
		before := get(t, w, c.kept, "")
		_, problem, code := w.Command(append([]string{"purge"}, strings.Fields(c.args)...)...)
		if (code != 0) != (c.wrong != "") || !strings.Contains(problem, c.wrong) {
			t.Errorf("weir purge %s: %d, %q", c.args, code, problem)
		}
		if c.wrong != "" {
			continue
		}
		if after := get(t, w, c.kept, ""); string(after.Body) == string(before.Body) {
			t.Errorf("weir purge %s: %s is still there (%s)", c.args, c.kept, after.Field("Cache-Status"))
		}
	}
}
