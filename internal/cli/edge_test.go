package cli

import (
	"os"
	"syscall"
	"testing"
)

// TestEdgeByHand: descriptor 3 of a process that the keeper did not start is somebody else's.
func TestEdgeByHand(t *testing.T) {
	const handover = 3
	f, err := os.Open(os.DevNull) // takes the lowest number that is free
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var is syscall.Stat_t
	if _, err := say(t, "edge"); err == nil {
		t.Error("it serves")
	}
	if err := syscall.Fstat(handover, &is); err != nil {
		t.Errorf("descriptor %d: %v", handover, err)
	}
}
