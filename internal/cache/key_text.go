package cache

import (
	"encoding/binary"
	"strconv"
)

// AppendKeyText appends for people what the key of the last request was made of: the URL as the app gets it, then every
// other part. The value of a session cookie is shown as a digest, enough to tell two apart.
func (k *Keyer) AppendKeyText(dst []byte, r *KeyedRequest) []byte {
	if r.Pass != NoPass {
		return append(append(dst, "passes: "...), r.Pass.String()...)
	}
	var scope, host, port, path []byte
	rest, name := r.text[:r.base], "//"
	if len(rest) > 0 && rest[0] == partScope {
		_, scope, rest = takePart(rest)
	}
	if len(rest) > 1 && rest[0] == partScheme {
		name = "http://"
		if rest[1] == scheme(true) {
			name = "https://"
		}
		rest = rest[2:]
	}
	_, host, rest = takePart(rest)
	if len(rest) > 0 && rest[0] == partPort {
		_, port, rest = takePart(rest)
	}
	_, path, rest = takePart(rest)
	dst = append(append(dst, name...), host...)
	if len(port) > 0 {
		dst = append(append(dst, ':'), port...)
	}
	dst = append(dst, path...)
	if query, has := r.Query(); has {
		dst = append(append(dst, '?'), query...)
	}
	if len(scope) > 0 {
		dst = strconv.AppendQuote(append(dst, " scope "...), string(scope))
	}
	for len(rest) > 0 {
		dst, rest = k.appendPartText(dst, rest)
	}
	return dst
}

// appendPartText appends the part that rest begins with.
func (k *Keyer) appendPartText(dst, rest []byte) ([]byte, []byte) {
	kind, number := rest[0], 0
	if kind != partDevice {
		number, rest = int(rest[1]), rest[2:]
	}
	var value []byte
	_, value, rest = takePart(rest)
	switch kind {
	case partDevice:
		dst = append(dst, " device "...)
		if len(value) == 0 {
			return append(dst, "other"...), rest
		}
		return append(dst, value...), rest
	case partHeader:
		dst = append(append(append(dst, " header "...), k.headers[number].name...), '=')
	case partCookie:
		dst = append(dst, " cookie "...)
	case partPrivate:
		digest := k.seed.hash(value)
		dst = append(append(append(dst, " private "...), k.private[number]...), "=#"...)
		return appendHex(dst, digest[:4]), rest
	case partForwarded:
		dst = append(dst, " forwarded "...)
		if number == 2 {
			dst = append(append(dst, value...), '=')
			_, value, rest = takePart(rest)
		}
	}
	return strconv.AppendQuote(dst, string(value)), rest
}

// takePart is the reverse of appendPart.
func takePart(b []byte) (kind byte, value, rest []byte) {
	n := 5 + int(binary.LittleEndian.Uint32(b[1:]))
	return b[0], b[5:n], b[n:]
}

func appendHex(dst, b []byte) []byte {
	const digits = "0123456789abcdef"
	for _, c := range b {
		dst = append(dst, digits[c>>4], digits[c&15])
	}
	return dst
}

// String returns a key in hexadecimal digits, for logs.
func (k Key) String() string { return string(appendHex(nil, k[:])) }
