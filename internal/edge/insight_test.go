package edge

import (
	"slices"
	"testing"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/cache/insight"
	"github.com/weirhq/weir/internal/journal"
)

// TestTopMisses: lists of loops are joined, and what is told nowhere is left out.
func TestTopMisses(t *testing.T) {
	noted := func() []insight.Noted {
		return []insight.Noted{{Hash: 1, Count: 2, Text: "a.example/x?token=one&p=1"}, {Hash: 2, Count: 3, Text: "a.example/x?token=two&p=1"}, {Hash: 3, Count: 9, Error: 1, Text: "b.example/"},
			{Hash: 1, Count: 5, Error: 2, Text: "a.example/x?token=one&p=1"}, {Hash: 4, Count: 1, Text: "c.example/reset/secr", Cut: true}}
	}
	all := []api.KeyMisses{{URL: "b.example/", Misses: 9, Error: 1}, {URL: "a.example/x?token=one&p=1", Misses: 7, Error: 2}, {URL: "a.example/x?token=two&p=1", Misses: 3}, {URL: "c.example/reset/secr…", Misses: 1}}
	if got := top(noted(), nil); !slices.Equal(got, all) {
		t.Errorf("%+v", got)
	}
	less := []api.KeyMisses{{URL: "a.example/x?token=***&p=1", Misses: 10, Error: 2}, {URL: "b.example/", Misses: 9, Error: 1}, {URL: "c.example/reset/***…", Misses: 1}}
	if got := top(noted(), journal.NewRedactor(&journal.Redaction{Parameters: []string{"token"}, Paths: []string{"/reset/*"}})); !slices.Equal(got, less) {
		t.Errorf("%+v", got)
	}
	if got := top(noted()[2:3], journal.NewRedactor(&journal.Redaction{Host: true})); got[0].URL != "/" {
		t.Errorf("%+v", got)
	}
}
