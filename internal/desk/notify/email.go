package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/desk/alert"
	"github.com/weirhq/weir/internal/notice"
)

// smtpRead bounds what a mail server may say in one session.
const smtpRead = 256 << 10

// email sends by a mail server (RFC 5321).
type email struct {
	to   []string
	smtp config.SMTP
	node string
	tls  *tls.Config // for tests; nil: the machine's authorities

	mu   sync.Mutex
	last string          // the message that some have, while others are to be asked again
	have map[string]bool // who has it
}

func newEmail(to []string, s config.SMTP, node string) *email {
	if s.From == "" {
		s.From = "weir@" + domain(node)
	}
	return &email{to: to, smtp: s, node: node}
}

// domain is a machine's name as it may stand in an address.
func domain(node string) string {
	name := strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, node)
	if name = strings.Trim(name, ".-"); name == "" {
		return "localhost"
	}
	return name
}

// bounded is a connection of which not more than so much is read.
type bounded struct {
	net.Conn
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("the mail server says too much")
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func (e *email) send(ctx context.Context, m *alert.Message) error {
	err := e.session(ctx, m)
	if ctx.Err() != nil && err != nil {
		return errors.New("the mail server did not answer in time")
	}
	if some := (partly{}); errors.As(err, &some) {
		return err
	}
	if said := (*textproto.Error)(nil); errors.As(err, &said) && said.Code/100 == 5 {
		return never{err}
	}
	return err
}

func (e *email) session(ctx context.Context, m *alert.Message) (err error) {
	host, _, err := net.SplitHostPort(e.smtp.Server)
	if err != nil {
		return never{fmt.Errorf("the mail server's address: %w", err)}
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", e.smtp.Server)
	if err != nil {
		return fmt.Errorf("connecting to the mail server: %w", err)
	}
	defer conn.Close()                                                           //nolint:errcheck // all that counts has been answered
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })() //nolint:errcheck // a closed one is as good
	secure := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if e.tls != nil {
		secure = e.tls.Clone()
		secure.ServerName = host
	}
	var wire net.Conn = &bounded{conn, smtpRead}
	if e.smtp.TLS == config.SMTPTLS {
		wire = tls.Client(wire, secure)
	}
	c, err := smtp.NewClient(wire, host)
	if err != nil {
		return fmt.Errorf("the mail server's greeting: %w", err)
	}
	if err := c.Hello(domain(e.node)); err != nil {
		return fmt.Errorf("greeting the mail server: %w", err)
	}
	if e.smtp.TLS == config.SMTPStart {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return never{errors.New("the mail server offers no STARTTLS: nothing was sent (smtp: {tls: off} sends unencrypted)")}
		}
		if err := c.StartTLS(secure); err != nil {
			return fmt.Errorf("encrypting: %w", err)
		}
	}
	if e.smtp.User != "" {
		if err := c.Auth(auth(e.smtp, host, c)); err != nil {
			err = fmt.Errorf("signing in at the mail server: %w", err)
			if said := (*textproto.Error)(nil); errors.As(err, &said) && said.Code/100 == 4 {
				return err
			}
			return never{err}
		}
	}
	return e.deliver(c, m)
}

// deliver sends to those who have not got the message yet. Whom the server does not take for now, such as one that greylists, gets it
// by another try, and the others do not get it twice.
func (e *email) deliver(c *smtp.Client, m *alert.Message) error {
	if err := c.Mail(e.smtp.From); err != nil {
		return fmt.Errorf("the mail server does not take the sender %s: %w", e.smtp.From, err)
	}
	have := e.who(m.ID)
	var taken []string
	var forNow, forGood error
	for _, to := range e.to {
		if have[to] {
			continue
		}
		err := c.Rcpt(to)
		if err == nil {
			taken = append(taken, to)
			continue
		}
		refused := fmt.Errorf("the mail server does not take the recipient %s: %w", to, err)
		if said := (*textproto.Error)(nil); errors.As(err, &said) && said.Code/100 == 5 {
			forGood = refused
		} else {
			forNow = refused
		}
	}
	if len(taken) > 0 {
		if err := e.data(c, m); err != nil {
			return err
		}
	}
	for _, to := range taken {
		have[to] = true
	}
	switch {
	case forNow != nil:
		e.mu.Lock()
		defer e.mu.Unlock()
		e.last, e.have = m.ID, have
		return forNow
	case forGood != nil && len(have) > 0:
		return partly{forGood}
	}
	return forGood
}

// who has a message already, by earlier tries.
func (e *email) who(id string) map[string]bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.last != id {
		return map[string]bool{}
	}
	return maps.Clone(e.have)
}

func (e *email) data(c *smtp.Client, m *alert.Message) error {
	w, err := c.Data()
	if err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	_, err = w.Write(e.text(m))
	if err = errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	c.Quit() //nolint:errcheck // it is taken
	return nil
}

// text is the message as it is sent (RFC 5322). What comes from elsewhere stands only in the subject, encoded, and in the body.
func (e *email) text(m *alert.Message) []byte {
	var b bytes.Buffer
	field := func(name, value string) { b.WriteString(name + ": " + value + "\r\n") }
	field("From", "<"+e.smtp.From+">")
	list := make([]string, len(e.to))
	for i, to := range e.to {
		list[i] = "<" + to + ">"
	}
	field("To", strings.Join(list, ",\r\n "))
	field("Subject", subject(m.Title()))
	field("Date", m.At.Format(time.RFC1123Z))
	field("Message-ID", "<"+m.ID+"."+m.Target+"@"+domain(e.node)+">")
	field("Auto-Submitted", "auto-generated")
	field("MIME-Version", "1.0")
	field("Content-Type", "text/plain; charset=utf-8")
	field("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	q := quotedprintable.NewWriter(&b)
	for line := range strings.Lines(m.Text()) {
		q.Write(append(notice.AppendPrintable(nil, []byte(strings.TrimRight(line, "\r\n"))), '\r', '\n')) //nolint:errcheck // a buffer takes everything
	}
	q.Close() //nolint:errcheck // likewise
	return b.Bytes()
}

// subject is a title as a field's value: one printable line, encoded where it has other than ASCII, folded.
func subject(title string) string {
	line := string(notice.AppendPrintable(nil, []byte(title)))
	if len(line) > 200 {
		line = strings.ToValidUTF8(line[:200], "") + "…"
	}
	line = strings.ReplaceAll(line, "\t", " ")
	line = strings.ReplaceAll(line, "=?", "= ?") // an application may have written an encoded word: it is not for mail programs to decode
	coded := mime.QEncoding.Encode("utf-8", line)
	return strings.ReplaceAll(coded, "?= =?", "?=\r\n =?")
}

// auth signs in by PLAIN, or by LOGIN where that is all there is.
func auth(s config.SMTP, host string, c *smtp.Client) smtp.Auth {
	if _, ways := c.Extension("AUTH"); !strings.Contains(" "+ways+" ", " PLAIN ") && strings.Contains(" "+ways+" ", " LOGIN ") {
		return &login{user: s.User, password: s.Password, host: host}
	}
	return smtp.PlainAuth("", s.User, s.Password, host)
}

// login is AUTH LOGIN, which was never a standard and is all that some servers have.
type login struct{ user, password, host string }

func (l *login) Start(info *smtp.ServerInfo) (string, []byte, error) {
	if ip := net.ParseIP(info.Name); !info.TLS && info.Name != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", nil, errors.New("the connection is not encrypted")
	}
	return "LOGIN", nil, nil
}

func (l *login) Next(asked []byte, more bool) ([]byte, error) {
	switch {
	case !more:
		return nil, nil
	case strings.HasPrefix(strings.ToLower(string(asked)), "user"):
		return []byte(l.user), nil
	case strings.HasPrefix(strings.ToLower(string(asked)), "pass"):
		return []byte(l.password), nil
	}
	return nil, errors.New("the mail server asks for something else than a name and a password")
}
