package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Opcodes of RFC 6455 section 5.2.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

const maxFrame = 1 << 20 // bytes of one frame's payload

var errProtocol = errors.New("the peer broke the protocol")

// websocket repeats what it is sent, frame by frame, until the client closes (RFC 6455).
func websocket(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Sec-WebSocket-Key")
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || !names(r.Header["Connection"], "upgrade") || key == "" {
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "this address speaks WebSocket only", http.StatusUpgradeRequired)
		return
	}
	if r.Header.Get("Sec-WebSocket-Version") != "13" {
		w.Header().Set("Sec-WebSocket-Version", "13") // section 4.4: name the version that is spoken
		http.Error(w, "only version 13 is spoken", http.StatusUpgradeRequired)
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "taking over the connection: "+err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept(key))
	if rw.Flush() == nil {
		repeat(conn, rw)
	}
}

// accept proves that the handshake was read (section 4.2.2).
func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// names reports whether a list field has an element, whatever its case.
func names(field []string, element string) bool {
	for _, line := range field {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), element) {
				return true
			}
		}
	}
	return false
}

func repeat(conn net.Conn, rw *bufio.ReadWriter) {
	for {
		conn.SetDeadline(time.Now().Add(10 * time.Minute)) // a peer that fell silent is let go
		first, payload, err := readFrame(rw)
		if errors.Is(err, errProtocol) {
			writeFrame(rw, 0x80|opClose, binary.BigEndian.AppendUint16(nil, 1002))
		}
		if err != nil {
			return
		}
		switch first & 0x0f {
		case opPing:
			first = 0x80 | opPong
		case opPong:
			continue
		case opClose: // section 5.5.1: repeat the status, then close
			writeFrame(rw, 0x80|opClose, payload[:min(2, len(payload))])
			return
		}
		if writeFrame(rw, first, payload) != nil {
			return
		}
	}
}

// readFrame returns a frame's first byte (FIN and opcode) and its payload, unmasked.
func readFrame(r io.Reader) (first byte, payload []byte, err error) {
	var head [14]byte
	if _, err := io.ReadFull(r, head[:2]); err != nil {
		return 0, nil, err
	}
	first = head[0]
	op, length := first&0x0f, uint64(head[1]&0x7f)
	control := op >= opClose
	known := op <= opBinary || (op >= opClose && op <= opPong)
	switch masked := head[1]&0x80 != 0; {
	case !masked: // section 5.1: a client masks every frame
		return 0, nil, fmt.Errorf("%w: a frame without a mask", errProtocol)
	case first&0x70 != 0 || !known:
		return 0, nil, fmt.Errorf("%w: a frame of no known kind", errProtocol)
	case control && (length > 125 || first&0x80 == 0): // section 5.5
		return 0, nil, fmt.Errorf("%w: a long or split control frame", errProtocol)
	}
	extra := 0
	if length == 126 {
		extra = 2
	} else if length == 127 {
		extra = 8
	}
	if _, err := io.ReadFull(r, head[2:2+extra+4]); err != nil {
		return 0, nil, err
	}
	switch extra {
	case 2:
		length = uint64(binary.BigEndian.Uint16(head[2:]))
	case 8:
		length = binary.BigEndian.Uint64(head[2:])
	}
	if length > maxFrame {
		return 0, nil, fmt.Errorf("%w: a frame of %d bytes", errProtocol, length)
	}
	payload = make([]byte, length)
	if _, err := io.ReadFull(r, payload); err != nil {
		return 0, nil, err
	}
	mask := head[2+extra : 2+extra+4]
	for i := range payload {
		payload[i] ^= mask[i&3]
	}
	return first, payload, nil
}

// writeFrame sends one frame; a server's frames are not masked.
func writeFrame(w *bufio.ReadWriter, first byte, payload []byte) error {
	head := []byte{first}
	switch n := len(payload); {
	case n < 126:
		head = append(head, byte(n))
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 127), uint64(n))
	}
	w.Write(head) // a bufio.Writer keeps its first error for Flush
	w.Write(payload)
	return w.Flush()
}
