package api

import "testing"

func TestFullName(t *testing.T) {
	for _, c := range [][3]string{{"web", "10.0.0.5:80", "web/10.0.0.5:80"}, {"web", "web/2.1", "web/2.1"}, {"web", "website/1", "web/website/1"}, {"a/b", "a/b/1", "a/b/1"}} {
		if got := FullName(c[0], c[1]); got != c[2] {
			t.Errorf("%s of %s is called %s, want %s", c[1], c[0], got, c[2])
		}
	}
}
