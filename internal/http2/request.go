package http2

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/weirhq/weir/internal/message"
)

// appendFrame appends the head of a frame.
func appendFrame(dst []byte, size int, kind, flags byte, stream uint32) []byte {
	dst = append(dst, byte(size>>16), byte(size>>8), byte(size), kind, flags)
	return binary.BigEndian.AppendUint32(dst, stream)
}

// appendInteger appends an integer with a prefix of so many bits, behind the bits that first has above it.
func appendInteger(dst []byte, first byte, prefix, n int) []byte {
	mask := 1<<prefix - 1
	if n < mask {
		return append(dst, first|byte(n))
	}
	dst = append(dst, first|byte(mask))
	for n -= mask; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}

func appendText(dst, s []byte) []byte {
	return append(appendInteger(dst, 0, 7, len(s)), s...)
}

// appendLine appends a field that is not in the table of either side. secret keeps those who pass it on from putting it into theirs.
func appendLine(dst []byte, index int, name, value []byte, secret bool) []byte {
	first := byte(0)
	if secret {
		first = 0x10
	}
	dst = appendInteger(dst, first, 4, index)
	if index == 0 {
		dst = appendInteger(dst, 0, 7, len(name))
		for _, c := range name {
			dst = append(dst, message.Lower(c))
		}
	}
	return appendText(dst, value)
}

// writer writes one field section.
type writer struct {
	dst  []byte
	size uint64 // as SETTINGS_MAX_HEADER_LIST_SIZE counts
}

func (w *writer) pseudo(index int, name string, value []byte) {
	w.size += uint64(len(name) + len(value) + 32)
	w.dst = appendLine(w.dst, index, nil, value, false)
}

func (w *writer) indexed(index int) {
	w.size += uint64(len(static[index].name) + len(static[index].value) + 32)
	w.dst = append(w.dst, 0x80|byte(index))
}

func (w *writer) line(name, value []byte) {
	id := message.Lookup(name)
	w.size += uint64(len(name) + len(value) + 32)
	secret := id == message.Authorization || id == message.Cookie || id == message.ProxyAuthorization // RFC 7541, section 7.1.3
	w.dst = appendLine(w.dst, int(indexes[id]), name, value, secret)
}

// request writes the head of a request, given as the text of one in HTTP/1 that was made here: it is not judged again. What speaks
// of a connection stays behind; of TE there is "trailers" left, which takes says that we do.
func (w *writer) request(text []byte, https, takes bool) {
	line, rest, _ := bytes.Cut(text, []byte("\r\n"))
	method, line, _ := bytes.Cut(line, []byte(" "))
	target, _, _ := bytes.Cut(line, []byte(" "))
	switch string(method) {
	case "GET":
		w.indexed(indexGET)
	case "POST":
		w.indexed(indexPOST)
	default:
		w.pseudo(indexGET, ":method", method)
	}
	if https {
		w.indexed(indexHTTPS)
	} else {
		w.indexed(indexHTTP)
	}
	if string(target) == "/" {
		w.indexed(indexPath)
	} else {
		w.pseudo(indexPath, ":path", target)
	}
	if host, ok := hostOf(rest); ok {
		w.pseudo(indexAuthority, ":authority", host)
	}
	for {
		if line, rest, _ = bytes.Cut(rest, []byte("\r\n")); len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch message.Lookup(name) {
		case message.Host, message.Connection, message.KeepAlive, message.ProxyConnection, message.TransferEncoding, message.Upgrade,
			message.TE:
		default:
			w.line(name, value)
		}
	}
	if takes {
		w.line([]byte("te"), []byte("trailers"))
	}
}

// hostOf finds the Host of a head; it is the first line in all that weir makes.
func hostOf(lines []byte) ([]byte, bool) {
	for {
		line, rest, _ := bytes.Cut(lines, []byte("\r\n"))
		if len(line) == 0 {
			return nil, false
		}
		if name, value, _ := bytes.Cut(line, []byte(": ")); message.Lookup(name) == message.Host {
			return value, len(value) > 0
		}
		lines = rest
	}
}

// appendBlock makes frames of the block that stands in dst from the place at on, with room for a frame's head before it.
func appendBlock(dst []byte, at, limit int, flags byte, stream uint32) []byte {
	size := len(dst) - at - headSize
	if size <= limit {
		appendFrame(dst[:at], size, frameHeaders, flags|flagEndHeaders, stream)
		return dst
	}
	appendFrame(dst[:at], limit, frameHeaders, flags, stream)
	for at += headSize + limit; ; at += headSize + limit {
		size = len(dst) - at
		flags = 0
		if size <= limit {
			flags = flagEndHeaders
		}
		var head [headSize]byte
		dst = slices.Insert(dst, at, appendFrame(head[:0], min(size, limit), frameContinuation, flags, stream)...)
		if size <= limit {
			return dst
		}
	}
}

// lines writes the lines of trailers.
func (w *writer) lines(text []byte) {
	for {
		line, rest, _ := bytes.Cut(text, []byte("\r\n"))
		if len(line) == 0 {
			return
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		w.line(name, value)
		text = rest
	}
}
