// Package uwsgi is the uwsgi protocol on the wire, from the side of a web server: the packet of variables that goes before a
// request's body. What comes back has no framing of its own; see package cgi. It does no I/O and has no policy.
package uwsgi

import "encoding/binary"

const (
	headSize = 4
	maxSize  = 1<<16 - 1
)

// Begin opens a packet for a program of the usual interface (modifiers 0), to be closed by End.
func Begin(dst []byte) []byte { return append(dst, 0, 0, 0, 0) }

// Append appends one variable. False, and nothing appended, when a length does not fit into its 16 bits.
func Append(dst, name, value []byte) ([]byte, bool) {
	if len(name) > maxSize || len(value) > maxSize {
		return dst, false
	}
	dst = append(binary.LittleEndian.AppendUint16(dst, uint16(len(name))), name...)
	return append(binary.LittleEndian.AppendUint16(dst, uint16(len(value))), value...), true
}

// End closes the packet that begins at dst[at]. False when it has more than its 65,535 bytes.
func End(dst []byte, at int) bool {
	n := len(dst) - at - headSize
	if n > maxSize {
		return false
	}
	binary.LittleEndian.PutUint16(dst[at+1:], uint16(n))
	return true
}
