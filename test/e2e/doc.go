// Package e2e holds the tests of the whole: the real binary with real workers, asked by clients that repeat nothing.
// Each test is a user's expectation. It has no code of its own.
package e2e
