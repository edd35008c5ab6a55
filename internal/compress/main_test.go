package compress

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/representation"
)

// TestMain: no encoder may leave a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fields makes a section of name, value pairs.
func fields(pairs ...string) *message.Fields {
	var f message.Fields
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Add(message.Lookup(pairs[i]), []byte(pairs[i]), []byte(pairs[i+1]))
	}
	return &f
}

var all = []representation.Coding{representation.Zstd, representation.Brotli, representation.Gzip}
