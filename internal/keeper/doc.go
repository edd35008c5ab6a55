// Package keeper is the process that supervises: it opens every listening socket, runs the workers of every app, and
// starts the edge and replaces it when it dies, on the same sockets and with the last good state. It answers to the
// command line on a Unix socket. No client's byte goes through it.
//
// All that it knows belongs to one goroutine, which handles one event after the other (keeper.run). What waits (a
// process, a call, a timer) does so on a goroutine of its own and comes back as an event. Reload and stop are written
// top to bottom as goroutines that put their questions to that one.
package keeper
