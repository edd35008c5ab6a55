package testkit

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// TCPPool is the text of a configuration's pool p of these servers, for TCP; more is put into it.
func TCPPool(more string, servers ...string) string {
	if more != "" {
		more = ", " + more
	}
	return "pools: {p: {protocol: tcp, servers: ['" + strings.Join(servers, "', '") + "']" + more + "}}\n"
}

// Greets is a server that begins with a word and repeats what it is sent.
func Greets(t testing.TB, network, word string) *Origin {
	return ServeOrigin(t, network, func(_ int, c *Conn) {
		c.Send(word)
		for c.More() {
			c.Send(c.Read(1))
		}
	})
}

// Lines waits for so many lines of a log, and returns what it has then.
func Lines(t *testing.T, file string, lines int) (text string) {
	t.Helper()
	Eventually(t, Patience, "the log has its lines", func() bool {
		b, err := os.ReadFile(file)
		text = string(b)
		return err == nil && strings.Count(text, "\n") >= lines
	})
	return text
}

// FirstFlight is what a TLS client sends first.
func FirstFlight(t testing.TB, cfg *tls.Config) []byte {
	t.Helper()
	a, b := net.Pipe()
	done := make(chan struct{})
	go func() { defer close(done); tls.Client(b, cfg).Handshake() }() //nolint:errcheck // it is cut off
	a.SetDeadline(time.Now().Add(Patience))
	head := make([]byte, 5)
	if _, err := io.ReadFull(a, head); err != nil {
		t.Fatal(err)
	}
	rest := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(a, rest); err != nil {
		t.Fatal(err)
	}
	a.Close()
	b.Close()
	<-done
	return append(head, rest...)
}
