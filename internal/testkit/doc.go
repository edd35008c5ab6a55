// Package testkit is what tests play with: peers that speak scripted bytes (Conn, Origin, Dial), a clock that a test
// moves, checks for leaked goroutines and descriptors, a load generator that accounts for every request, and the
// real binary with its processes (Weir).
//
// It is for tests only: it imports testing, and nothing that is shipped may import it. Everything that waits has a
// deadline; nothing sleeps for a fixed time in the hope that something has happened.
package testkit
