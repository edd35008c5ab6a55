package compress

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain: no encoder may leave a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
