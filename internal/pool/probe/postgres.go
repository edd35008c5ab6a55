package probe

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // the protocol's
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/loop"
)

// found is what a check of a database found out.
type found struct {
	said    string
	term    uint64 // of a primary: one that was promoted later has more; 0: it cannot be told
	certain bool   // the server has told its role
}

// roleError says that a server has another role than it should.
func wrongRole(is, want string) error {
	if want == config.Primary {
		return fmt.Errorf("it is a %s, not the primary", is)
	}
	return fmt.Errorf("it is a %s, not a %s", is, want)
}

// What of a PostgreSQL server's words is read at the most.
const (
	maxMessagePG = 32 << 10
	maxTotalPG   = 256 << 10
)

// sslRequest asks whether a server would do TLS: a question that needs no login, and is answered with one byte.
var sslRequest = []byte{0, 0, 0, 8, 4, 210, 22, 47}

// roleQuery asks for the role, and for the timeline on which a primary writes: each promotion begins a higher one.
const roleQuery = "SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN '' ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END"

func checkPostgres(ctx context.Context, to loop.Addr, h *config.Health) (found, error) {
	c, err := dial(ctx, to)
	if err != nil {
		return found{}, err
	}
	defer c.Close() //nolint:errcheck // all that counts has been read
	return askPostgres(c, h)
}

// askPostgres speaks the frontend/backend protocol, version 3.0 (PostgreSQL documentation, chapter "Frontend/Backend Protocol").
func askPostgres(c io.ReadWriter, h *config.Health) (found, error) {
	p := &postgres{out: c, in: bufio.NewReader(io.LimitReader(c, maxTotalPG)), health: h}
	if h.User == "" {
		return p.knock()
	}
	if err := p.login(); err != nil {
		return found{}, err
	}
	recovering, timeline, err := p.role()
	if err != nil {
		return found{}, err
	}
	c.Write([]byte{'X', 0, 0, 0, 4}) //nolint:errcheck // a farewell, so that the server's log has no complaint
	f := found{said: "primary, timeline " + strconv.FormatUint(timeline, 10), term: timeline, certain: true}
	if recovering {
		f = found{said: "replica", certain: true}
	}
	switch {
	case h.Role == config.Primary && recovering:
		return f, wrongRole(config.Replica, h.Role)
	case h.Role == config.Replica && !recovering:
		return f, wrongRole(config.Primary, h.Role)
	}
	return f, nil
}

// postgres is one conversation.
type postgres struct {
	out    io.Writer
	in     *bufio.Reader
	health *config.Health
}

// knock asks for no more than a sign of life.
func (p *postgres) knock() (found, error) {
	if _, err := p.out.Write(sslRequest); err != nil {
		return found{}, err
	}
	b, err := p.in.ReadByte()
	switch {
	case err != nil:
		return found{}, ended(err)
	case b != 'S' && b != 'N':
		return found{}, errNoPostgres
	}
	return found{said: "answers"}, nil
}

var (
	errNoPostgres = errors.New("what it says is not PostgreSQL's protocol")
	errCut        = errors.New("it closed the connection without an answer")
)

// ended says what the end of what is read means.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCut
	}
	return err
}

// next reads one message.
func (p *postgres) next() (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(p.in, head[:]); err != nil {
		return 0, nil, ended(err)
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size < 4 || size > maxMessagePG {
		return 0, nil, errNoPostgres
	}
	body = make([]byte, size-4)
	if _, err := io.ReadFull(p.in, body); err != nil {
		return 0, nil, ended(err)
	}
	return head[0], body, nil
}

// send sends one message; kind 0 is the first, which has none.
func (p *postgres) send(kind byte, body []byte) error {
	var b []byte
	if kind != 0 {
		b = append(b, kind)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)+4))
	_, err := p.out.Write(append(b, body...))
	return err
}

// login begins a session and waits until it is ready for a query.
func (p *postgres) login() error {
	hello := binary.BigEndian.AppendUint32(nil, 3<<16)
	for _, s := range []string{"user", p.health.User, "database", p.health.Database, "application_name", "weir-check", ""} {
		hello = append(append(hello, s...), 0)
	}
	if err := p.send(0, hello); err != nil {
		return err
	}
	var s scram
	for {
		kind, body, err := p.next()
		if err != nil {
			return err
		}
		switch kind {
		case 'R':
			if err := p.authenticate(&s, body); err != nil {
				return err
			}
		case 'E':
			return refusal(body)
		case 'Z':
			return nil
		case 'S', 'K', 'N', 'v': // what the session is like
		default:
			return errNoPostgres
		}
	}
}

// The requests of an Authentication message.
const (
	authOK           = 0
	authCleartext    = 3
	authMD5          = 5
	authSASL         = 10
	authSASLContinue = 11
	authSASLFinal    = 12
)

// authenticate answers one of them.
func (p *postgres) authenticate(s *scram, body []byte) error {
	if len(body) < 4 {
		return errNoPostgres
	}
	kind, rest := binary.BigEndian.Uint32(body), body[4:]
	if kind != authOK && p.health.Password == "" {
		return errors.New("it asks for a password: write password: in health")
	}
	switch kind {
	case authOK:
		return s.over()
	case authMD5:
		if len(rest) != 4 {
			return errNoPostgres
		}
		return p.send('p', append([]byte("md5"+md5Hex(md5Hex(p.health.Password+p.health.User)+string(rest))), 0))
	case authSASL:
		if !offersSCRAM(rest) {
			return errors.New("it offers no login with SCRAM-SHA-256")
		}
		first := s.first()
		answer := append([]byte("SCRAM-SHA-256"), 0)
		answer = binary.BigEndian.AppendUint32(answer, uint32(len(first)))
		return p.send('p', append(answer, first...))
	case authSASLContinue:
		final, err := s.final(rest, p.health.Password)
		if err != nil {
			return err
		}
		return p.send('p', final)
	case authSASLFinal:
		return s.verify(rest)
	case authCleartext:
		return errors.New("it asks for the password in clear, which weir does not send: use scram-sha-256 in its pg_hba.conf")
	}
	return errors.New("it asks for a way to log in that checks do not have: use scram-sha-256, md5 or trust in its pg_hba.conf")
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s)) //nolint:gosec // the protocol's
	return hex.EncodeToString(sum[:])
}

// refusal is what an ErrorResponse says. Servers do not repeat passwords.
func refusal(body []byte) error {
	fields := map[byte]string{}
	for len(body) > 1 {
		end := bytes.IndexByte(body, 0)
		if end < 1 {
			break
		}
		fields[body[0]] = string(body[1:end])
		body = body[end+1:]
	}
	if fields['M'] == "" {
		return errNoPostgres
	}
	return fmt.Errorf("it says: %s", fields['M'])
}

// role asks for the server's.
func (p *postgres) role() (recovering bool, timeline uint64, err error) {
	if err := p.send('Q', append([]byte(roleQuery), 0)); err != nil {
		return false, 0, err
	}
	has := false
	for {
		kind, body, err := p.next()
		if err != nil {
			return false, 0, err
		}
		switch kind {
		case 'D':
			if has {
				return false, 0, errNoPostgres
			}
			if recovering, timeline, err = parseRole(body); err != nil {
				return false, 0, err
			}
			has = true
		case 'E':
			return false, 0, refusal(body)
		case 'Z':
			if !has {
				return false, 0, errNoPostgres
			}
			return recovering, timeline, nil
		case 'T', 'C', 'N', 'S':
		default:
			return false, 0, errNoPostgres
		}
	}
}

// parseRole reads the row that answers roleQuery.
func parseRole(row []byte) (recovering bool, timeline uint64, err error) {
	if len(row) < 2 || binary.BigEndian.Uint16(row) != 2 {
		return false, 0, errNoPostgres
	}
	row = row[2:]
	var columns [2]string
	for i := range columns {
		if len(row) < 4 {
			return false, 0, errNoPostgres
		}
		n := binary.BigEndian.Uint32(row)
		if row = row[4:]; uint64(n) > uint64(len(row)) {
			return false, 0, errNoPostgres // a NULL has no such length either
		}
		columns[i], row = string(row[:n]), row[n:]
	}
	switch {
	case len(row) > 0:
	case columns[0] == "t":
		return true, 0, nil
	case columns[0] == "f":
		timeline, err := strconv.ParseUint(columns[1], 16, 32)
		if err != nil {
			return false, 0, errNoPostgres
		}
		return false, timeline, nil
	}
	return false, 0, errNoPostgres
}
