package app

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/weirhq/weir/internal/cgi"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/fcgi"
	"github.com/weirhq/weir/internal/message"
)

// try asks the worker once whether it is ready. Without a path it is when it accepts a connection.
func (p *Process) try(ctx context.Context, r config.Ready) error {
	ctx, cancel := context.WithTimeout(ctx, oneTry)
	defer cancel()
	if r.Path != "" {
		return well(p.ask(ctx, r.Host, r.Path, "weir-ready"))
	}
	conn, err := dial(ctx, p.Address)
	if err != nil {
		return plainDial(err)
	}
	return conn.Close()
}

// ask sends one GET to the worker, in the protocol that it speaks, and returns the status of the answer, as a number and in words.
func (p *Process) ask(ctx context.Context, host, path, agent string) (int, string, error) {
	conn, err := dial(ctx, p.Address)
	if err != nil {
		return 0, "", plainDial(err)
	}
	defer conn.Close() //nolint:errcheck // all that counts has been read
	if host == "" {
		host = "localhost"
	}
	if p.app.Protocol.HTTP() {
		return ask(ctx, conn, p.app.Protocol == config.H2C, host, path, agent)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() }) //nolint:errcheck // what is read from it says so
	defer stop()
	status, err := askGate(conn, p.app, host, path, agent)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return status, strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status)), err
}

// askGate sends one GET over conn, in an app's protocol. The path is looked for as a request's is; one that names no program is
// asked for as it stands, which is how PHP-FPM answers for its own ping.path.
func askGate(conn net.Conn, a *config.App, host, target, agent string) (int, error) {
	head := "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: " + agent + "\r\n\r\n"
	path, ok := cgi.AppendDecoded(nil, beforeQuery(target))
	if !ok {
		return 0, errors.New("the path is none of a program")
	}
	script, ok := cgi.Find(a.Script, path, func(file string) bool {
		info, err := os.Stat(file)
		return err == nil && info.Mode().IsRegular()
	})
	if !ok {
		script = cgi.Script{Root: a.Script.Root, File: a.Script.Root + string(path), Name: path}
	}
	var request cgi.Request
	vars := request.Vars([]byte(head), &cgi.Gateway{Scheme: "http", Minor: 1, Client: []byte("127.0.0.1"), Script: script})
	packet, ok := cgi.AppendPacket(nil, a.Protocol, false, vars)
	if !ok {
		return 0, errors.New("the path is too long")
	}
	if a.Protocol == config.FastCGI {
		packet = fcgi.AppendInput(packet, 0)
	}
	if _, err := conn.Write(packet); err != nil {
		return 0, err
	}
	return readStatus(conn, a.Protocol)
}

func beforeQuery(target string) []byte {
	for i := range target {
		if target[i] == '?' {
			return []byte(target[:i])
		}
	}
	return []byte(target)
}

// maxCheckHead bounds the head of an answer to a check in bytes.
const maxCheckHead = 64 << 10

// readStatus reads up to the end of a response's head.
func readStatus(conn io.Reader, p config.Protocol) (int, error) {
	lim := cgi.Limits{Fields: 200, Head: maxCheckHead}
	var records fcgi.Reader
	var head []byte
	buf := make([]byte, 4<<10)
	for total := 0; total < 4*maxCheckHead; {
		n, err := conn.Read(buf)
		total += n
		if n == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the connection was closed without an answer")
			}
			return 0, err
		}
		data := buf[:n]
		if p == config.FastCGI {
			if data, err = unframed(&records, data); err != nil {
				return 0, err
			}
		}
		head = append(head, data...)
		var resp message.Response
		n, wrong := cgi.ParseResponse(head, message.GET, &resp, &lim)
		switch {
		case wrong != nil:
			return 0, wrong
		case n > 0:
			return resp.Status, nil
		case records.Ended():
			return 0, errors.New("it ended the request without an answer")
		}
	}
	return 0, errors.New("it says too much beside its answer")
}

// unframed takes the records off what was read.
func unframed(r *fcgi.Reader, p []byte) (out []byte, err error) {
	for len(p) > 0 {
		s, data, n, wrong := r.Next(p)
		if wrong != nil {
			return nil, wrong
		}
		if n == 0 {
			break
		}
		if s == fcgi.Output {
			out = append(out, data...)
		}
		p = p[n:]
	}
	return out, nil
}
