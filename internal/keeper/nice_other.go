//go:build !linux

package keeper

// nicer is for production, which is on Linux.
func nicer(int, int) error { return nil }
