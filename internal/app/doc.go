// Package app is the life of an app's workers. Life decides: a pure state machine that takes events and the time and
// returns actions. Beside it stands the I/O that carries actions out: Process (one worker's process group and its
// output), Starter (the thread that workers are children of), Check (is it ready?) and Sink (where output goes).
//
// It does not know the edge, listeners or the configuration file; the keeper brings them together.
package app
