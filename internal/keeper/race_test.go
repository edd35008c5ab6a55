//go:build race

package keeper

// slow is how much longer things may take under the race detector.
const slow = 5
