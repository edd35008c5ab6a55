package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
)

// TestStatusOfFiles: what is not in force as it is on disk is told with its reason and since when; the rest is counted.
func TestStatusOfFiles(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	s := api.Status{Unseen: []string{"/etc/weir/more.d: permission denied"}, Included: []api.FileStatus{
		{Path: "/etc/weir/sites.d/a.yaml", InForce: true, Since: "2026-11-21T11:00:00Z"},
		{Path: "/etc/weir/sites.d/b.yaml", InForce: true, Since: "2026-11-21T11:58:00Z", Problem: "b.yaml:1:1: wrong\n    1 | x\n      | ^"},
		{Path: "/etc/weir/sites.d/c.yaml", Since: "2026-11-21T11:59:55Z", Problem: "c.yaml: the file is empty"},
		{Path: "/etc/weir/sites.d/d.yaml", Since: "2026-11-21T11:59:55Z", Doing: "its apps are being started"},
	}}
	var b strings.Builder
	if err := show(&b, s, now, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"included  4 files, 2 in force, 2 with a problem\n",
		"PROBLEM   /etc/weir/sites.d/b.yaml: its last good version is in force, for 2m00s: b.yaml:1:1: wrong\n              1 | x\n",
		"PROBLEM   /etc/weir/sites.d/c.yaml: not in force, for 5s: c.yaml: the file is empty\n",
		"PROBLEM   /etc/weir/sites.d/d.yaml: not in force, its apps are being started\n",
		"PROBLEM   a folder of included files cannot be listed: /etc/weir/more.d: permission denied\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "a.yaml") {
		t.Error("what is well is told too")
	}
}
