//go:build race

package testkit

// raceFlag makes the programs under test look for races when the test does.
var raceFlag = []string{"-race"}
