// Package clienthello reads what a TLS client says first (RFC 8446, section 4.1.2; RFC 5246, section 7.4.1.2): the name of the
// server that it wants and the protocols that it offers. It decrypts nothing, changes no byte, and needs no more of a stream than its
// beginning: so a connection can be led to a server that has the certificate. It is not for ending TLS.
//
// What two programs could read in two ways is refused: the server behind must not find another name than the one by which the
// connection was led to it.
package clienthello

import "errors"

// MaxSize is how many bytes of a stream may be needed until its hello is whole. Hellos with keys that resist quantum
// computers and with encrypted ones in them have less than 4 KiB.
const MaxSize = 16 << 10

// maxRecords is over how many records a hello may be spread. Some clients divide it in two or three on purpose.
const maxRecords = 64

// Errors of Parse. ErrMore says that the hello is not whole yet; the others are final.
var (
	ErrMore      = errors.New("the hello is not whole")
	ErrNotTLS    = errors.New("it is no TLS")
	ErrSSLv2     = errors.New("it is a hello of SSL 2")
	ErrTooLarge  = errors.New("the hello is too large")
	ErrMalformed = errors.New("the hello is malformed")
	ErrName      = errors.New("the name in the hello is none")
)

// Hello is what was read of a hello. The slices are views into what was parsed, or into memory that was made for
// a hello in several records.
type Hello struct {
	Name string // of the server, lower case; empty: the client named none, or an address
	ALPN []byte // the protocols that it offers, each behind a byte with its length; empty: none
	// Encrypted says that the name is that of a front, and the real one is encrypted to it (ECH, RFC 9849). Some clients send
	// what looks so and is not (GREASE).
	Encrypted bool
}

// Offers reports whether the client offers a protocol, such as "h2".
func (h *Hello) Offers(protocol string) bool {
	for list := h.ALPN; len(list) > 0; list = list[1+int(list[0]):] {
		if string(list[1:1+int(list[0])]) == protocol {
			return true
		}
	}
	return false
}

// Content and handshake types, and extensions.
const (
	handshake   = 22
	clientHello = 1

	extServerName = 0
	extALPN       = 16
	extECH        = 0xfe0d
)

// Parse reads the hello at the beginning of stream, which is all that came so far. ErrMore: ask again with more; what comes
// behind the hello is not looked at.
func Parse(stream []byte) (Hello, error) {
	message, err := gather(stream)
	if err != nil {
		return Hello{}, err
	}
	return parseHello(message[4:])
}

// gather returns the handshake message in the records at the beginning of a stream.
func gather(stream []byte) ([]byte, error) {
	var message []byte // of more than one record
	for rest, records := stream, 0; ; records++ {
		fragment, n, err := record(rest, records == 0)
		if err != nil {
			return nil, more(err, stream)
		}
		if records >= maxRecords {
			return nil, ErrTooLarge
		}
		whole := fragment
		if message != nil || records > 0 {
			message = append(message, fragment...)
			whole = message
		}
		size, err := messageSize(whole)
		switch {
		case err == nil && len(whole) == size:
			return whole, nil
		case err == nil && len(whole) > size:
			return nil, ErrMalformed // nothing may follow before the server has answered
		case err != nil && err != ErrMore:
			return nil, err
		}
		if records == 0 {
			message = append(make([]byte, 0, 1<<10), fragment...)
		}
		rest = rest[n:]
	}
}

// more turns ErrMore into ErrTooLarge when more would be too much.
func more(err error, stream []byte) error {
	if err == ErrMore && len(stream) >= MaxSize {
		return ErrTooLarge
	}
	return err
}

// record reads one record and returns its fragment and the bytes that it took. What is wrong is told as early as it shows.
func record(b []byte, first bool) (fragment []byte, n int, err error) {
	if len(b) > 0 && b[0] != handshake {
		switch {
		case !first:
			return nil, 0, ErrMalformed // a message in several records has none of another type between (RFC 8446, section 5.1)
		case b[0]&0x80 != 0 && (len(b) < 3 || b[2] == clientHello):
			if len(b) < 3 {
				return nil, 0, ErrMore
			}
			return nil, 0, ErrSSLv2
		}
		return nil, 0, ErrNotTLS
	}
	if len(b) > 1 && b[1] != 3 {
		return nil, 0, ErrNotTLS
	}
	if len(b) < 5 {
		return nil, 0, ErrMore
	}
	size := int(b[3])<<8 | int(b[4])
	switch {
	case size == 0 || size > 1<<14:
		return nil, 0, ErrMalformed // RFC 8446, section 5.1
	case size > MaxSize-5:
		return nil, 0, ErrTooLarge
	case first && len(b) > 5 && b[5] != clientHello:
		return nil, 0, ErrMalformed
	case len(b) < 5+size:
		return nil, 0, ErrMore
	}
	return b[5 : 5+size], 5 + size, nil
}

// messageSize is how long the handshake message is that begins with b, its header included.
func messageSize(b []byte) (int, error) {
	if b[0] != clientHello {
		return 0, ErrMalformed
	}
	if len(b) < 4 {
		return 0, ErrMore
	}
	size := 4 + int(b[1])<<16 + int(b[2])<<8 + int(b[3])
	if size > MaxSize {
		return 0, ErrTooLarge
	}
	if len(b) < size {
		return size, ErrMore
	}
	return size, nil
}

// cutter takes fields off the front of a message; after a field that is not there it is bad and has nothing left.
type cutter struct {
	b   []byte
	bad bool
}

func (c *cutter) take(n int) []byte {
	if n > len(c.b) {
		c.b, c.bad = nil, true
		return nil
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

func (c *cutter) number(bytes int) (n int) {
	for _, b := range c.take(bytes) {
		n = n<<8 | int(b)
	}
	return n
}

// vector takes a field with its length, a number of so many bytes, before it.
func (c *cutter) vector(bytes int) []byte { return c.take(c.number(bytes)) }

func parseHello(b []byte) (h Hello, err error) {
	c := cutter{b: b}
	if version := c.number(2); version>>8 != 3 {
		return h, ErrMalformed
	}
	c.take(32) // random
	session, suites, methods := c.vector(1), c.vector(2), c.vector(1)
	if c.bad || len(session) > 32 || len(suites) == 0 || len(suites)%2 != 0 || len(methods) == 0 {
		return h, ErrMalformed
	}
	if len(c.b) == 0 {
		return h, nil // no extensions: SSL 3 and early TLS
	}
	extensions := cutter{b: c.vector(2)}
	if c.bad || len(c.b) > 0 {
		return h, ErrMalformed
	}
	if err := h.read(&extensions); err != nil {
		return Hello{}, err
	}
	return h, nil
}

// read takes what matters out of the extensions. None may be there twice (RFC 8446, section 4.2).
func (h *Hello) read(list *cutter) error {
	var hasName, hasALPN, hasECH bool
	once := func(has *bool) bool {
		was := *has
		*has = true
		return !was
	}
	for len(list.b) > 0 {
		kind, data := list.number(2), cutter{b: list.vector(2)}
		if list.bad {
			return ErrMalformed
		}
		switch kind {
		case extServerName:
			if !once(&hasName) {
				return ErrMalformed
			}
			if err := h.readName(&data); err != nil {
				return err
			}
		case extALPN:
			if !once(&hasALPN) || !h.readALPN(&data) {
				return ErrMalformed
			}
		case extECH:
			if !once(&hasECH) {
				return ErrMalformed
			}
			h.Encrypted = true
		}
	}
	return nil
}

// readName reads a server_name (RFC 6066, section 3): a list in which each type may be there once; 0 is a host's.
func (h *Hello) readName(data *cutter) error {
	list := cutter{b: data.vector(2)}
	if data.bad || len(data.b) > 0 || len(list.b) == 0 {
		return ErrMalformed
	}
	found := false
	for len(list.b) > 0 {
		kind, name := list.number(1), list.vector(2)
		if list.bad || len(name) == 0 {
			return ErrMalformed
		}
		if kind != 0 {
			continue
		}
		if found {
			return ErrMalformed
		}
		found = true
		var ok bool
		if h.Name, ok = hostName(name); !ok {
			return ErrName
		}
	}
	return nil
}

// readALPN reads the protocols (RFC 7301, section 3.1).
func (h *Hello) readALPN(data *cutter) bool {
	list := cutter{b: data.vector(2)}
	if data.bad || len(data.b) > 0 || len(list.b) == 0 {
		return false
	}
	h.ALPN = list.b
	for len(list.b) > 0 {
		if name := list.vector(1); list.bad || len(name) == 0 {
			return false
		}
	}
	return true
}

// hostName checks a name and returns it in lower case: labels of letters, digits, "-" and "_" with dots between, none at
// its end (RFC 6066, section 3). An address is no name, and clients that send one all the same have named none.
func hostName(b []byte) (string, bool) {
	if len(b) > 253 {
		return "", false
	}
	var lower [253]byte
	label, digits := 0, true
	for i, c := range b {
		switch {
		case 'A' <= c && c <= 'Z':
			c |= 0x20
			digits = false
		case 'a' <= c && c <= 'z', c == '_':
			digits = false
		case c == '-':
			if label == 0 || i == len(b)-1 || b[i+1] == '.' {
				return "", false
			}
			digits = false
		case '0' <= c && c <= '9':
		case c == ':':
			return "", isIPv6(b)
		case c == '.':
			if label == 0 || i == len(b)-1 {
				return "", false
			}
			label = -1
			digits = true
		default:
			return "", false
		}
		lower[i] = c
		if label++; label > 63 {
			return "", false
		}
	}
	if digits {
		return "", true // the last label of no name is a number: it is an IPv4 address
	}
	return string(lower[:len(b)]), true
}

// isIPv6 reports whether what has a colon in it has nothing that an address has not.
func isIPv6(b []byte) bool {
	for _, c := range b {
		if c != ':' && c != '.' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
}
