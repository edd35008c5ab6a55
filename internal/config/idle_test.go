package config

import (
	"strings"
	"testing"
)

// What can have no effect in a pool is warned of, and what can have is not.
func TestIdlePoolKeys(t *testing.T) {
	for pool, want := range map[string]string{
		"servers: ['10.0.0.1:80'], hedge: 50ms, sticky: {cookie: SRV}": "hedged",
		"servers: ['10.0.0.1:80'], hedge: 50ms":                        "",
		"servers: ['10.0.0.1:80'], queue: {size: 5}":                   "nobody waits",
		"servers: ['10.0.0.1:80'], queue: {size: 5}, max_conn: 3":      "",
		"servers: ['10.0.0.1:80'], queue: {size: 5}, max_conn: auto":   "",
		"app: web, queue: {size: 5}":                                   "",
	} {
		_, warnings, err := parseFake("apps: {web: {command: serve $PORT}}\npools: {p: {" + pool + "}}\nsites: [{hosts: ['*'], routes: [{pool: p}]}]\n")
		said := ""
		for _, w := range warnings {
			if !strings.Contains(w.String(), "no route leads to the app") {
				said += w.String()
			}
		}
		if err != nil || (said != "") != (want != "") || !strings.Contains(said, want) {
			t.Errorf("%s: warned of %q, %v", pool, said, err)
		}
	}
}

func TestMistakenKeys(t *testing.T) {
	for text, want := range map[string]string{
		"apps: {web: {command: serve $PORT, recycle: {memory: 300}}}\n": "memory is less than any process takes: write a size with its unit, such as 300MiB",
		"pools: {p: {servers: ['10.0.0.1:80'], weight: 3}}\n":           "unknown key \"weight\" in a pool: it belongs into a server in servers:",
		"apps: {web: {command: serve $PORT}}\nlog: stdout\n":            "log is \"stdout\": write {access: stdout}",
	} {
		if _, _, err := parseFake(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
