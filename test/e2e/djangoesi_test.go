package e2e

import (
	"strings"
	"testing"
)

// TestDjangoPersonalBox: a page of a Django site is made once for all; who one is stands in it all the same.
func TestDjangoPersonalBox(t *testing.T) {
	w := cachedDjango(t)
	names := []string{"Ada-Lovelace", "Grace-Hopper", "nobody"}
	sessions := []string{login(t, w, names[0]), login(t, w, names[1]), ""}
	page := ""
	for range 3 {
		for i, name := range names {
			lines := ""
			if sessions[i] != "" {
				lines = "Cookie: csrftoken=" + name + "; sessionid=" + sessions[i] + "\r\n"
			}
			m := get(t, w, "/front/", lines)
			body := string(m.Body)
			if m.Status != 200 || strings.Count(body, "You are "+name+".") != 1 || strings.Contains(body, "esi:") || strings.Contains(body, "would say") {
				t.Fatalf("%s gets %d %s", name, m.Status, body)
			}
			around := strings.Replace(body, name, "", 1)
			if page == "" {
				page = around
			}
			if around != page {
				t.Errorf("the page was made anew for %s: %s, was %s", name, around, page)
			}
		}
	}
}
