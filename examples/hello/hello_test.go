package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestAddress(t *testing.T) {
	tests := []struct{ flag, socket, port, network, address string }{
		{"", "", "", "tcp", "127.0.0.1:8000"},
		{"", "", "81", "tcp", "127.0.0.1:81"},
		{"", "/s", "81", "unix", "/s"},
		{":9", "/s", "81", "tcp", ":9"},
		{"unix:/x", "/s", "81", "unix", "/x"},
	}
	for _, test := range tests {
		env := map[string]string{"SOCKET": test.socket, "PORT": test.port}
		network, address := address(test.flag, func(name string) string { return env[name] })
		if network != test.network || address != test.address {
			t.Errorf("%+v: got %s %s", test, network, address)
		}
	}
}

func TestOpenTakesOverASocket(t *testing.T) {
	path := t.TempDir() + "/s"
	for range 2 {
		l, err := open("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false) // as a killed process leaves it
		l.Close()
	}
}

func TestHandedOnlyToUs(t *testing.T) {
	for _, env := range []map[string]string{{}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}} {
		if l, err := handed(func(name string) string { return env[name] }); l != nil || err != nil {
			t.Errorf("%v: %v %v", env, l, err)
		}
	}
}

func TestPages(t *testing.T) {
	server := httptest.NewServer(handler())
	defer server.Close()
	tests := []struct {
		method, path, body string
		status             int
		want               string // in the body
	}{
		{"GET", "/", "", 200, "hello from process"},
		{"GET", "/healthz", "", 200, "ok"},
		{"GET", "/big?bytes=70", "", 200, "XYZ.\n01234"},
		{"GET", "/big?bytes=0", "", 200, ""},
		{"GET", "/big?bytes=-1", "", 400, "give a number"},
		{"GET", "/grow?mb=1", "", 200, "holds 1 pieces"},
		{"GET", "/grow?mb=x", "", 400, "give a number"},
		{"GET", "/slow?ms=1", "", 200, "waited 1 ms"},
		{"GET", "/slow?ms=x", "", 400, "give a number"},
		{"GET", "/status?code=503", "", 503, ""},
		{"GET", "/status?code=100", "", 400, "200 to 599"},
		{"POST", "/sink?sum", "abc", 200, "3 bytes ba7816bf"},
		{"GET", "/ticks?n=2&ms=0", "", 200, "id: 2\ndata: tick 2\n\n"},
		{"GET", "/ws", "", 426, "WebSocket only"},
		{"GET", "/none", "", 404, ""},
	}
	for _, test := range tests {
		req, err := http.NewRequest(test.method, server.URL+test.path, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != test.status || !strings.Contains(string(body), test.want) {
			t.Errorf("%s %s: %d %.80q, %v", test.method, test.path, resp.StatusCode, body, err)
		}
	}
}

func TestEcho(t *testing.T) {
	server := httptest.NewServer(handler())
	defer server.Close()
	resp, err := http.Post(server.URL+"/echo/a%20b?c=d", "text/x", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got mirror
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Method != "POST" || got.Target != "/echo/a%20b?c=d" || got.Path != "/echo/a b" || got.Body != "body" ||
		got.Length != 4 || got.Fields["Content-Type"][0] != "text/x" {
		t.Errorf("%+v", got)
	}
}

func TestBigHasTheAnnouncedLength(t *testing.T) {
	server := httptest.NewServer(handler())
	defer server.Close()
	for _, query := range []string{"bytes=300000", "bytes=300000&chunked"} {
		resp, err := http.Get(server.URL + "/big?" + query)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || n != 300000 || (resp.ContentLength < 0) != strings.Contains(query, "chunked") {
			t.Errorf("%s: %d bytes, announced %d, %v", query, n, resp.ContentLength, err)
		}
	}
}

// dial opens a WebSocket and returns the connection after the handshake.
func dial(t *testing.T, server *httptest.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(conn, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	head := make([]byte, 0, 256)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		var b [1]byte
		if _, err := io.ReadFull(conn, b[:]); err != nil {
			t.Fatal(err)
		}
		head = append(head, b[0])
	}
	// The key and the answer are the example of RFC 6455 section 1.3.
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) || !bytes.Contains(head, []byte("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")) {
		t.Fatalf("handshake: %s", head)
	}
	return conn
}

func masked(first byte, payload string) []byte {
	frame := []byte{first}
	if len(payload) < 126 {
		frame = append(frame, 0x80|byte(len(payload)))
	} else {
		frame = binary.BigEndian.AppendUint64(append(frame, 0x80|127), uint64(len(payload)))
	}
	mask := [4]byte{1, 2, 3, 4}
	frame = append(frame, mask[:]...)
	for i := range len(payload) {
		frame = append(frame, payload[i]^mask[i&3])
	}
	return frame
}

func TestWebSocketRepeats(t *testing.T) {
	server := httptest.NewServer(handler())
	defer server.Close()
	long := strings.Repeat("x", 300)
	tests := []struct {
		name       string
		sent, want []byte
	}{
		{"text", masked(0x81, "hello"), []byte("\x81\x05hello")},
		{"long binary", masked(0x82, long), append([]byte{0x82, 126, 1, 44}, long...)},
		{"ping", masked(0x89, "p"), []byte("\x8a\x01p")},
		{"close", masked(0x88, "\x03\xe8bye"), []byte("\x88\x02\x03\xe8")},
		{"no mask", []byte("\x81\x01a"), []byte("\x88\x02\x03\xea")},
		{"reserved bit", masked(0xc1, "a"), []byte("\x88\x02\x03\xea")},
		{"too long", []byte("\x82\xff\x00\x00\x00\x00\x7f\x00\x00\x00abcd"), []byte("\x88\x02\x03\xea")},
	}
	for _, test := range tests {
		conn := dial(t, server)
		conn.Write(test.sent)
		got := make([]byte, len(test.want))
		if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, test.want) {
			t.Errorf("%s: got %q, %v", test.name, got, err)
		}
	}
}
