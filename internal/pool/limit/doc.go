// Package limit decides how much a pool takes on when more is asked of it than it can do: who is next in its queue and who has to
// leave it, how many requests at a time are good for a server, whether one more try is in the budget, whether the pool
// is asked at all. Everything here takes values and times and returns values. It owns no lock, no clock and no
// goroutine: package pool guards what several loops share, and does what is decided here.
package limit
