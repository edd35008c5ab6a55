package edge

import (
	"os"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/cache"
)

// TestDetailsAreDocumented: whatever Cache-Status may say as detail is in the reference.
func TestDetailsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/reference/cache-status.md")
	if err != nil {
		t.Fatal(err)
	}
	tokens := []string{noteConfigured, noteHandedOver, noteNoStore, noteOnlyIfCached, noteHitForMiss, noteNotShared, noteHead, noteRange, noteContended, noteIfError}
	for r := cache.Kept + 1; r.String() != ""; r++ {
		tokens = append(tokens, r.String())
	}
	for p := cache.NoPass + 1; p.String() != ""; p++ {
		tokens = append(tokens, p.String())
	}
	tokens = append(tokens, forwardedWords[1:]...)
	for _, w := range tokens {
		if !strings.Contains(string(text), "`"+w+"`") && !strings.Contains(string(text), "fwd="+w) {
			t.Errorf("docs/reference/cache-status.md does not have %q", w)
		}
	}
}
