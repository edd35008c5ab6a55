//go:build !race

package config

// Without the race detector (`make unit` runs it so): reading a file takes one goroutine, and time is what is measured.

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	big = MaxFile / 8
	// bigLimit is far above what such a file takes (0.1 s, most of it in the YAML reader), and below what most take that
	// grow with its square.
	bigLimit = 20 * time.Second
)

// TestBig: large files take bounded time, however odd they are.
func TestBig(t *testing.T) {
	fill := func(head, each string) string {
		var b strings.Builder
		b.WriteString(head)
		for i := 0; b.Len()+len(each)+20 < big; i++ {
			b.WriteString(strings.ReplaceAll(each, "#", fmt.Sprint(i)))
		}
		return b.String()
	}
	const app = "apps: {web: {command: serve}}\n"
	for name, text := range map[string]string{
		"sites":            fill(app+"sites:\n", " - {hosts: [h#.example], routes: [{pool: web}]}\n"),
		"the same host":    fill(app+"sites:\n", " - {hosts: [h.example], routes: [{pool: web}]}\n"),
		"routes":           fill(app+"sites:\n - hosts: [a]\n   headers: {set: {a: b, c: d}, remove: e}\n   routes:\n", "    - {match: {path: /a#}, pool: web, headers: {set: {f: g}}}\n"),
		"unknown pools":    fill("pools:\n p: {servers: [\"a:1\"]}\nsites:\n - hosts: [a]\n   routes:\n", "    - {pool: pool-#}\n"),
		"pools of no app":  fill("pools:\n", " p#: {app: app-#}\n"),
		"apps":             fill("apps:\n", " a#: {command: serve -b :#}\n"),
		"unknown keys":     fill("", "key#: 1\n"),
		"the same key":     fill("", "key: 1\n"),
		"unknown commands": fill("apps:\n", " a#: {command: unknown}\n"),
		"a list":           fill("trusted_proxies: [", "a,"),
		"servers":          fill("pools:\n p:\n  servers:\n", "  - \"h#:1\"\n"),
		"a long word":      "apps: {web: {command: " + strings.Repeat("x", big-100) + "}}\n",
		"many words":       "apps: {web: {command: " + strings.Repeat("x ", big/2-100) + "}}\n",
		"variables":        "apps: {web: {command: '" + strings.Repeat("${A:-}", big/6-100) + "'}}\n",
		"brackets":         strings.Repeat("[", big-1),
		"dollars":          "apps: {web: {command: '" + strings.Repeat("${", big/2-100) + "'}}\n",
		"a pattern":        app + "sites: [{hosts: [a], routes: [{pool: web, rewrite: {pattern: \"" + strings.Repeat("(a*)*", big/5-100) + "\", replace: x}}]}]\n",
		"a glob":           app + "sites: [{hosts: [a], routes: [{pool: web, match: {path: \"/" + strings.Repeat("[a]*", big/4-100) + "\"}}]}]\n",
		"merges":           fill("x: &x {a: b, c: d}\ny: &y {<<: [", "*x,") + "*x]}\n",
		"line breaks":      strings.Repeat("\n", big-10) + "apps: [",
	} {
		begin := time.Now()
		_, _, err := parseFake(text)
		took := time.Since(begin)
		if took > bigLimit {
			t.Errorf("%s took %v", name, took)
		}
		if err != nil && len(err.Error()) > 1<<20 {
			t.Errorf("%s is answered with %d bytes", name, len(err.Error()))
		}
		t.Logf("%-17s %6d ms, error: %v", name, took.Milliseconds(), err != nil)
	}
}
