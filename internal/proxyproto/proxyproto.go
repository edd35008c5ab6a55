// Package proxyproto is the PROXY protocol's header, versions 1 and 2, read and written: what a balancer that passes bytes on puts in
// front of a connection's first byte, so that the next one learns whose connection it is. The specification is HAProxy's
// proxy-protocol.txt; sections are of that. The package does no I/O, and whom to believe is not decided here.
package proxyproto

import (
	"hash/crc32"
	"net/netip"
)

// Header is what a header says.
type Header struct {
	Kind    Kind
	Version uint8 // 1 or 2
	TLS     bool  // the client came to the sender by TLS (version 2 alone can say so)

	// Source is the client, Destination where it connected to. Valid when Kind is TCP only. IPv4 addresses that were written as
	// IPv6 ones are IPv4 addresses here.
	Source, Destination netip.AddrPort
}

// Kind is whose connection it is.
type Kind uint8

// The kinds.
const (
	Local   Kind = iota // the sender's own, a check: the connection's own addresses count
	Unknown             // a client's, but not by a protocol that the header can name: nothing is known of it
	TCP                 // a client's
	Unix                // a client's that came by a Unix socket: it has no address
)

func (k Kind) String() string {
	return [...]string{Local: "local", Unknown: "unknown", TCP: "tcp", Unix: "unix"}[k]
}

const (
	// MaxSize is how long a header may be. The protocol would allow 64 KiB, all of it TLVs; those that are sent take a few hundred bytes.
	MaxSize = 4 << 10
	// MaxWritten is how long a header that is written here is at the most.
	MaxWritten = maxLine
)

// Error says what is wrong with a header.
type Error struct{ Reason string }

// Error implements error.
func (e *Error) Error() string { return e.Reason }

var (
	errNone        = &Error{"no PROXY header"}
	errLine        = &Error{"a PROXY line without its end"}
	errEnd         = &Error{"a PROXY line that ends in a bare CR or LF"}
	errFamily      = &Error{"a PROXY line of an unknown protocol"}
	errParts       = &Error{"a PROXY line that has not just two addresses and two ports"}
	errAddress     = &Error{"a PROXY line with an address that is none"}
	errPort        = &Error{"a PROXY line with a port that is none"}
	errVersion     = &Error{"a PROXY header of an unknown version"}
	errCommand     = &Error{"a PROXY header with an unknown command"}
	errProtocol    = &Error{"a PROXY header of an unknown address family or protocol"}
	errLarge       = &Error{"a PROXY header larger than 4 KiB"}
	errShort       = &Error{"a PROXY header too short for its addresses"}
	errTLV         = &Error{"a PROXY header with a TLV that reaches beyond its end"}
	errChecksum    = &Error{"a PROXY header with a wrong checksum"}
	errChecksumTLV = &Error{"a PROXY header with two checksums, or one that is not 4 bytes long"}
)

const (
	signature = "\r\n\r\n\x00\r\nQUIT\n"
	fixed     = 16 // a version 2 header without addresses

	local, proxy = 0, 1 // commands

	unspecified, inet, inet6, unix = 0, 1, 2, 3 // address families
	stream, datagram               = 1, 2       // protocols

	typeCRC32C, typeSSL = 0x03, 0x20
	clientTLS           = 0x01 // of what typeSSL says
)

// Parse reads the header at the front of b, in either version. n is how many bytes it takes; when it is 0 and err nil, more is
// needed. Bytes that cannot begin a header are refused as soon as that is seen. It never needs more than MaxSize bytes. It does not
// allocate and keeps nothing of b.
func Parse(b []byte) (h Header, n int, err *Error) {
	if len(b) == 0 {
		return Header{}, 0, nil
	}
	if b[0] == 'P' {
		return parseLine(b)
	}
	return parseBinary(b)
}

// begins reports whether b begins with prefix, or is its beginning.
func begins(b []byte, prefix string) bool {
	n := min(len(b), len(prefix))
	return string(b[:n]) == prefix[:n]
}

func parseBinary(b []byte) (h Header, n int, err *Error) {
	if !begins(b, signature) {
		return Header{}, 0, errNone
	}
	if len(b) > len(signature) && b[len(signature)]>>4 != 2 {
		return Header{}, 0, errVersion
	}
	if len(b) < fixed {
		return Header{}, 0, nil
	}
	command, family, protocol := b[12]&0xf, b[13]>>4, b[13]&0xf
	if n = fixed + int(b[14])<<8 + int(b[15]); n > MaxSize {
		return Header{}, 0, errLarge
	}
	h.Version = 2
	switch {
	case command > proxy:
		return Header{}, 0, errCommand
	case command == proxy && (family > unix || protocol > datagram):
		return Header{}, 0, errProtocol
	case len(b) < n:
		return Header{}, 0, nil
	case command == local: // the rest counts for nothing, the family neither
		return h, n, nil
	case family == unspecified || protocol == 0: // how long addresses would be is not known, so neither is where TLVs begin
		h.Kind = Unknown
		return h, n, nil
	}
	at, ok := h.addresses(b[fixed:n], family)
	if !ok {
		return Header{}, 0, errShort
	}
	if protocol == datagram {
		h = Header{Version: 2, Kind: Unknown} // over a stream: nothing that could be true
	}
	if err = h.vectors(b[:n], fixed+at); err != nil {
		return Header{}, 0, err
	}
	return h, n, nil
}

// addresses takes the addresses of a family, which take n bytes.
func (h *Header) addresses(b []byte, family byte) (n int, ok bool) {
	switch family {
	case inet:
		if len(b) < 12 {
			return 0, false
		}
		h.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b)), port(b[8:]))
		h.Destination = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:])), port(b[10:]))
		n = 12
	case inet6:
		if len(b) < 36 {
			return 0, false
		}
		h.Source = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b)).Unmap(), port(b[32:]))
		h.Destination = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[16:])).Unmap(), port(b[34:]))
		n = 36
	case unix:
		h.Kind = Unix
		return 2 * 108, len(b) >= 2*108
	}
	h.Kind = TCP
	return n, true
}

func port(b []byte) uint16 { return uint16(b[0])<<8 | uint16(b[1]) }

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	zeros      = make([]byte, 4)
)

// vectors looks through the TLVs of a whole header, which begin at b[at].
func (h *Header) vectors(b []byte, at int) *Error {
	sum := 0 // where the checksum stands
	for at < len(b) {
		if len(b)-at < 3 {
			return errTLV
		}
		kind, value := b[at], at+3
		end := value + int(port(b[at+1:]))
		if end > len(b) {
			return errTLV
		}
		switch kind {
		case typeCRC32C:
			if sum != 0 || end-value != 4 {
				return errChecksumTLV
			}
			sum = value
		case typeSSL:
			h.TLS = h.TLS || end > value && b[value]&clientTLS != 0
		}
		at = end
	}
	if sum == 0 {
		return nil
	}
	// Section 2.2.3: the sum of the header with zeros in its place.
	is := crc32.Update(0, castagnoli, b[:sum])
	is = crc32.Update(is, castagnoli, zeros)
	is = crc32.Update(is, castagnoli, b[sum+4:])
	if is != uint32(port(b[sum:]))<<16|uint32(port(b[sum+2:])) {
		return errChecksum
	}
	return nil
}
