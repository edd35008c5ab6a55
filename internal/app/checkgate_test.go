package app

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/config"
)

// gateWorker answers every connection on a socket with a text, once a request has been read that ends in something.
func gateWorker(t *testing.T, ends, answer string) (address string, asked func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			r, text := bufio.NewReader(c), ""
			for !strings.HasSuffix(text, ends) {
				b, err := r.ReadByte()
				if err != nil {
					break
				}
				text += string(rune(b))
			}
			got <- text
			io.WriteString(c, answer) //nolint:errcheck // it may have had enough
			c.Close()                 //nolint:errcheck // likewise
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return "unix:" + path, func() string { return <-got }
}

func gateRecord(kind byte, content string) string {
	head := []byte{1, kind, 0, 1, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(head[4:], uint16(len(content)))
	return string(head) + content
}

// A worker is asked in the protocol that it speaks.
func TestReadyByProtocol(t *testing.T) {
	const noInput = "\x01\x05\x00\x01\x00\x00\x00\x00"
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "well.php"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	end := gateRecord(3, "\x00\x00\x00\x00\x00\x00\x00\x00")
	for _, row := range []struct {
		name     string
		protocol config.Protocol
		script   *config.Script
		path     string
		ends     string
		answer   string
		asked    string // is in the request
		want     string // is in the error
	}{
		{"uwsgi", config.UWSGI, nil, "/healthz?a", "HTTP_USER_AGENT\x0a\x00weir-ready", "HTTP/1.1 200 OK\r\nA: b\r\n\r\nfine", "\x09\x00PATH_INFO\x08\x00/healthz", ""},
		{"scgi", config.SCGI, nil, "/healthz", ",", "Status: 204\r\n\r\n", "PATH_INFO\x00/healthz\x00", ""},
		{"scgi, not well", config.SCGI, nil, "/healthz", ",", "Status: 503 Not yet\r\n\r\n", "", "it answered 503"},
		{"scgi, silent", config.SCGI, nil, "/healthz", ",", "", "", "closed without an answer"},
		{"scgi, text", config.SCGI, nil, "/healthz", ",", "no head\n\n", "", "field line without a colon"},
		{"fastcgi", config.FastCGI, nil, "/healthz", noInput, gateRecord(7, "words") + gateRecord(6, "A: b\r\n") + gateRecord(6, "\r\n") + end, "PATH_INFO/healthz", ""},
		{"fastcgi, a program", config.FastCGI, &config.Script{Root: root, Split: []string{".php"}}, "/well.php", noInput, gateRecord(6, "A: b\n\n") + end, "SCRIPT_NAME/well.php", ""},
		{"fastcgi, PHP-FPM's own", config.FastCGI, &config.Script{Root: root, Split: []string{".php"}}, "/ping", noInput, gateRecord(6, "A: b\n\n") + end, "SCRIPT_NAME/ping", ""},
		{"fastcgi, a front controller", config.FastCGI, &config.Script{Root: root, Split: []string{".php"}, File: root + "/well.php"}, "/healthz", noInput, gateRecord(6, "A: b\n\n") + end, "SCRIPT_NAME/well.php", ""},
		{"fastcgi, ended at once", config.FastCGI, nil, "/healthz", noInput, end, "", "ended the request without an answer"},
		{"fastcgi, text", config.FastCGI, nil, "/healthz", noInput, "HTTP/1.1 200 OK\r\n\r\n", "", "record of another version"},
		{"fastcgi, words without end", config.FastCGI, nil, "/healthz", noInput, strings.Repeat(gateRecord(7, strings.Repeat("x", 60000)), 10), "", "says too much"},
	} {
		t.Run(row.name, func(t *testing.T) {
			address, asked := gateWorker(t, row.ends, row.answer)
			p := &Process{Address: address, app: &config.App{Protocol: row.protocol, Script: row.script}}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			err := p.try(ctx, config.Ready{Path: row.path})
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("got %v, want %q", err, row.want)
			}
			if got := asked(); !strings.Contains(got, row.asked) {
				t.Errorf("asked %q", got)
			}
		})
	}
}
