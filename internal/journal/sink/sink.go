// Package sink is where a log's records go that is more than an open file: files that rotate by themselves, syslog and journald. A sink takes
// whole records and may block; it is its log's goroutine that waits. It knows nothing of what a record says.
package sink

import (
	"bytes"
	"io"
)

// Sink takes records. Write takes some or all of them, in whole records, and returns how many bytes those were; what it returns an error for is
// offered again later. One goroutine may use it.
type Sink interface {
	io.WriteCloser
	// Reopen begins anew: a file that was renamed, a connection to a program that was restarted.
	Reopen() error
}

// record returns the first record of b and its length, which is that of all where no end is in sight. A record ends in a line feed, or in two
// where it is of several lines.
func record(b, end []byte) (text []byte, length int) {
	if i := bytes.Index(b, end); i >= 0 {
		return b[:i], i + len(end)
	}
	return b, len(b)
}

var lineEnd, entryEnd = []byte("\n"), []byte("\n\n")
