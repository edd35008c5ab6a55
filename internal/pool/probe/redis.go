package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/loop"
)

// maxTotalRedis bounds what of a Redis server's words is read.
const maxTotalRedis = 4 << 10

var errNoRedis = errors.New("what it says is not Redis's protocol")

func checkRedis(ctx context.Context, to loop.Addr, h *config.Health) (found, error) {
	c, err := dial(ctx, to)
	if err != nil {
		return found{}, err
	}
	defer c.Close() //nolint:errcheck // all that counts has been read
	return askRedis(c, h)
}

// askRedis speaks RESP2 (Redis serialization protocol).
func askRedis(c io.ReadWriter, h *config.Health) (found, error) {
	r := &redis{out: c, in: bufio.NewReader(io.LimitReader(c, maxTotalRedis))}
	if h.Password != "" {
		if err := r.login(h); err != nil {
			return found{}, err
		}
	}
	if h.Role == config.AnyRole {
		return r.ping()
	}
	return r.role(h.Role)
}

// redis is one conversation.
type redis struct {
	out io.Writer
	in  *bufio.Reader
}

func (r *redis) send(words ...string) error {
	b := append(strconv.AppendInt([]byte{'*'}, int64(len(words)), 10), "\r\n"...)
	for _, w := range words {
		b = append(strconv.AppendInt(append(b, '$'), int64(len(w)), 10), "\r\n"...)
		b = append(append(b, w...), "\r\n"...)
	}
	_, err := r.out.Write(b)
	return err
}

// line reads one line, which ends with CR LF.
func (r *redis) line() (string, error) {
	s, err := r.in.ReadString('\n')
	if err != nil {
		return "", ended(err)
	}
	s, ok := strings.CutSuffix(s, "\r\n")
	if !ok || s == "" {
		return "", errNoRedis
	}
	return s, nil
}

// number reads a line of such a kind, with a number of 0 to most.
func (r *redis) number(kind byte, most int) (int, error) {
	s, err := r.line()
	if err != nil {
		return 0, err
	}
	if s[0] == '-' {
		return 0, complaint(s)
	}
	n, err := strconv.Atoi(s[1:])
	if s[0] != kind || err != nil || n < 0 || n > most {
		return 0, errNoRedis
	}
	return n, nil
}

// text reads a bulk string.
func (r *redis) text() (string, error) {
	n, err := r.number('$', 256)
	if err != nil {
		return "", err
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(r.in, b); err != nil {
		return "", ended(err)
	}
	if string(b[n:]) != "\r\n" {
		return "", errNoRedis
	}
	return string(b[:n]), nil
}

// complaint is what an error reply says.
func complaint(line string) error {
	code, _, _ := strings.Cut(line[1:], " ")
	switch code {
	case "NOAUTH":
		return errors.New("it asks for a password: write password: in health")
	case "LOADING":
		return errors.New("it is loading its data")
	}
	return fmt.Errorf("it says: %s", line[1:])
}

// login sends the password. Of what a server has against it only the first word is passed on: some repeat what they were sent.
func (r *redis) login(h *config.Health) error {
	words := []string{"AUTH", h.User, h.Password}
	if h.User == "" {
		words = []string{"AUTH", h.Password}
	}
	if err := r.send(words...); err != nil {
		return err
	}
	s, err := r.line()
	switch {
	case err != nil:
		return err
	case s == "+OK":
		return nil
	case s[0] == '-':
		code, _, _ := strings.Cut(s[1:], " ")
		if code == "" || len(code) > 16 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			code = "an error"
		}
		return fmt.Errorf("it refused the password, with %s", code)
	}
	return errNoRedis
}

// ping asks for a sign of life. A server that wants a password first has given it.
func (r *redis) ping() (found, error) {
	if err := r.send("PING"); err != nil {
		return found{}, err
	}
	s, err := r.line()
	switch {
	case err != nil:
		return found{}, err
	case s == "+PONG":
		return found{said: "PONG"}, nil
	case strings.HasPrefix(s, "-NOAUTH "):
		return found{said: "answers"}, nil
	case s[0] == '-':
		return found{}, complaint(s)
	}
	return found{}, errNoRedis
}

// role asks for the server's (Redis command ROLE).
func (r *redis) role(want string) (found, error) {
	if err := r.send("ROLE"); err != nil {
		return found{}, err
	}
	n, err := r.number('*', 16)
	if err != nil {
		return found{}, err
	}
	if n < 1 {
		return found{}, errNoRedis
	}
	is, err := r.text()
	switch {
	case err != nil:
		return found{}, err
	case is == "master":
		f := found{said: config.Primary, certain: true}
		if want == config.Replica {
			return f, wrongRole(config.Primary, want)
		}
		return f, nil
	case is != "slave":
		return found{}, fmt.Errorf("it is a %s", is)
	}
	f := found{said: config.Replica, certain: true}
	if want == config.Primary {
		return f, wrongRole(config.Replica, want)
	}
	state, err := r.link(n)
	if err == nil && state != "connected" {
		err = fmt.Errorf("it is a replica without its primary (%s)", state)
	}
	if err != nil {
		return found{}, err
	}
	return f, nil
}

// link reads on in a replica's answer of n elements to how it stands with its primary.
func (r *redis) link(n int) (string, error) {
	if n != 5 {
		return "", errNoRedis
	}
	if _, err := r.text(); err != nil { // the primary's host
		return "", err
	}
	if _, err := r.number(':', 65535); err != nil {
		return "", err
	}
	return r.text()
}
