//go:build race

package app

// slow divides what is repeated very often: the race detector makes it slow.
const slow = 20
