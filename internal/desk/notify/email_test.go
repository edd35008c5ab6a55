package notify

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/desk/alert"
	"github.com/weirhq/weir/internal/testkit"
)

// post is a mail server that does what a test wants.
type post struct {
	ln      net.Listener
	tls     *tls.Config // nil: it offers none
	at      bool        // TLS from the first byte
	answers map[string]string
	people  map[string][]string // answers to a whole line
	ways    string              // AUTH

	mu   sync.Mutex
	said []string
	mail string
}

func newPost(t *testing.T, p *post) (*post, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.ln = ln
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			if p.at {
				c = tls.Server(c, p.tls)
			}
			p.serve(c)
			c.Close() //nolint:errcheck // the client looks
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return p, ln.Addr().String()
}

// serve is one session. What answers has for a verb is said instead; "" hangs until the client goes, "-" resets.
func (p *post) serve(c net.Conn) {
	c.SetDeadline(time.Now().Add(20 * time.Second)) //nolint:errcheck // of a test
	r := bufio.NewReader(c)
	say := func(verb, usual string) bool {
		text, is := p.answers[verb]
		switch {
		case !is:
			text = usual
		case text == "":
			io.Copy(io.Discard, r) //nolint:errcheck // until the client goes
			return false
		case text == "-":
			return false
		case text == "flood":
			for {
				if _, err := io.WriteString(c, "250-"+strings.Repeat("x", 1000)+"\r\n"); err != nil {
					return false
				}
			}
		}
		_, err := io.WriteString(c, text+"\r\n")
		return err == nil
	}
	if !say("greeting", "220 mail.example.com ESMTP") {
		return
	}
	secure := p.at
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		p.mu.Lock()
		p.said = append(p.said, line)
		p.mu.Unlock()
		verb := strings.ToUpper(strings.SplitN(line, " ", 2)[0])
		switch verb {
		case "EHLO":
			text := "250-mail.example.com"
			if p.tls != nil && !secure {
				text += "\r\n250-STARTTLS"
			}
			if p.ways != "" && (secure || p.tls == nil) {
				text += "\r\n250-AUTH " + p.ways
			}
			if !say(verb, text+"\r\n250 8BITMIME") {
				return
			}
		case "STARTTLS":
			if !say(verb, "220 go on") {
				return
			}
			s := tls.Server(c, p.tls)
			if s.Handshake() != nil {
				return
			}
			c, r, secure = s, bufio.NewReader(s), true
		case "AUTH":
			if strings.HasPrefix(line, "AUTH LOGIN") {
				for _, ask := range []string{"Username:", "Password:"} {
					fmt.Fprintf(c, "334 %s\r\n", base64.StdEncoding.EncodeToString([]byte(ask))) //nolint:errcheck // the next read tells
					answer, err := r.ReadString('\n')
					if err != nil {
						return
					}
					text, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(answer))
					p.mu.Lock()
					p.said = append(p.said, string(text))
					p.mu.Unlock()
				}
			}
			if !say(verb, "235 welcome") {
				return
			}
		case "DATA":
			if !say(verb, "354 go on") {
				return
			}
			var b strings.Builder
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				b.WriteString(strings.TrimPrefix(line, "."))
			}
			p.mu.Lock()
			p.mail = b.String()
			p.mu.Unlock()
			if !say("END", "250 taken") {
				return
			}
		case "QUIT":
			io.WriteString(c, "221 bye\r\n") //nolint:errcheck // it is the end
			return
		default:
			usual := "250 well"
			if list := p.people[line]; len(list) > 0 { // one after the other, the last one from then on
				if usual = list[0]; len(list) > 1 {
					p.people[line] = list[1:]
				}
			}
			if !say(verb, usual) {
				return
			}
		}
	}
}

func (p *post) heard() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.said, "\n")
}

var example = alert.Message{ID: "m1", Target: "ops", Node: "web-1.example.com", At: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Items: []alert.Item{
	{Rule: "pool_down", Subject: "legacy", State: alert.Firing, Severity: config.Critical, Text: "the pool légacy is down: refused\r\nBcc: all@example.com\r\n\r\n.\r\nEvil", Since: time.Date(2026, 11, 21, 11, 59, 0, 0, time.UTC)},
	{Rule: "disk", Subject: "/var", State: alert.Firing, Severity: config.Warn, Text: ".a line that begins with a dot, and is " + strings.Repeat("long ", 50), Since: time.Date(2026, 11, 21, 11, 59, 0, 0, time.UTC)},
}}

// TestMailIsWhole: what a server gets is a message as RFC 5322 wants it, and what came from elsewhere is only in its subject and body.
func TestMailIsWhole(t *testing.T) {
	authority := testkit.NewAuthority(t)
	cert, key := authority.Issue("mail", "127.0.0.1", nil)
	pool := x509.NewCertPool()
	ca, err := os.ReadFile(authority.CA)
	if err != nil || !pool.AppendCertsFromPEM(ca) {
		t.Fatal(err)
	}
	secure := authority.Server(cert, key, false)
	for _, c := range []struct {
		name string
		post *post
		smtp config.SMTP
		auth string
	}{
		{"plain", &post{}, config.SMTP{TLS: config.SMTPPlain}, ""},
		{"starttls", &post{tls: secure, ways: "PLAIN LOGIN"}, config.SMTP{TLS: config.SMTPStart, User: "weir", Password: "s3cret"}, "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00weir\x00s3cret"))},
		{"tls", &post{tls: secure, at: true, ways: "LOGIN"}, config.SMTP{TLS: config.SMTPTLS, User: "weir", Password: "s3cret"}, "AUTH LOGIN\nweir\ns3cret"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, address := newPost(t, c.post)
			c.smtp.Server = address
			c.smtp.From = "weir@example.com"
			e := newEmail([]string{"ops@example.com", "night@example.com"}, c.smtp, "web-1.example.com")
			e.tls = &tls.Config{RootCAs: pool}
			if err := e.send(t.Context(), &example); err != nil {
				t.Fatal(err)
			}
			heard := p.heard()
			for _, want := range []string{"EHLO web-1.example.com", c.auth, "MAIL FROM:<weir@example.com> BODY=8BITMIME", "RCPT TO:<ops@example.com>\nRCPT TO:<night@example.com>\nDATA"} {
				if !strings.Contains(heard, want) {
					t.Errorf("not said: %s\n%s", want, heard)
				}
			}
			read(t, p.mail)
		})
	}
}

// read looks at what was sent as a reader of mail would.
func read(t *testing.T, text string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err, text)
	}
	var names []string
	for name := range m.Header {
		names = append(names, name)
		if len(m.Header[name]) != 1 {
			t.Errorf("%s stands twice", name)
		}
	}
	if len(names) != 9 || m.Header.Get("Bcc") != "" {
		t.Errorf("the fields are %v", names)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || !strings.HasPrefix(subject, `[CRITICAL] web-1.example.com: the pool légacy is down: refused\x0d\x0aBcc:`) || !strings.Contains(subject, "(and 1 more)") {
		t.Error(subject, err)
	}
	if to, err := m.Header.AddressList("To"); err != nil || len(to) != 2 {
		t.Error(to, err)
	}
	if _, err := m.Header.Date(); err != nil {
		t.Error(err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil || !bytes.Contains(body, []byte("warning: .a line that begins with a dot")) || !bytes.Contains(body, []byte("pool_down legacy, since 2026-11-21 11:59:00 UTC\r\n")) || !bytes.Contains(body, []byte("légacy")) {
		t.Errorf("%v\n%s", err, body)
	}
	for line := range strings.SplitSeq(text, "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n") {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}

// TestMailServersThatFail: what does not mend itself is not tried again; nothing is said unencrypted that must not be.
func TestMailServersThatFail(t *testing.T) {
	authority := testkit.NewAuthority(t)
	cert, key := authority.Issue("mail", "127.0.0.1", nil)
	secure := authority.Server(cert, key, false)
	for _, c := range []struct {
		name  string
		post  *post
		smtp  config.SMTP
		want  string
		never bool
		not   string // was not said
	}{
		{"no STARTTLS", &post{ways: "PLAIN"}, config.SMTP{TLS: config.SMTPStart, User: "weir", Password: "s3cret"}, "offers no STARTTLS", true, "AUTH"},
		{"another's certificate", &post{tls: secure}, config.SMTP{TLS: config.SMTPStart}, "encrypting: tls: failed to verify certificate", false, "MAIL"},
		{"TLS where there is none", &post{}, config.SMTP{TLS: config.SMTPTLS}, "greeting", false, "MAIL"},
		{"wrong password", &post{ways: "PLAIN", answers: map[string]string{"AUTH": "535 no"}}, config.SMTP{TLS: config.SMTPPlain, User: "weir", Password: "s3cret"}, `signing in at the mail server: 535 "no"`, true, "MAIL"},
		{"cannot sign in now", &post{ways: "PLAIN", answers: map[string]string{"AUTH": "454 later"}}, config.SMTP{TLS: config.SMTPPlain, User: "weir", Password: "s3cret"}, "signing in at the mail server: 454", false, "MAIL"},
		{"sender refused", &post{answers: map[string]string{"MAIL": "553 who?"}}, config.SMTP{TLS: config.SMTPPlain}, `does not take the sender weir@example.com: 553 "who?"`, true, "RCPT"},
		{"all recipients refused", &post{answers: map[string]string{"RCPT": "550 nobody"}}, config.SMTP{TLS: config.SMTPPlain}, "does not take the recipient", true, "DATA"},
		{"later", &post{answers: map[string]string{"RCPT": "451 greylisted"}}, config.SMTP{TLS: config.SMTPPlain}, "451 \"greylisted\"", false, "DATA"},
		{"full", &post{answers: map[string]string{"END": "452 the disk is full"}}, config.SMTP{TLS: config.SMTPPlain}, "sending: 452", false, ""},
		{"hangs", &post{answers: map[string]string{"greeting": ""}}, config.SMTP{TLS: config.SMTPPlain}, "did not answer in time", false, "EHLO"},
		{"hangs later", &post{answers: map[string]string{"DATA": ""}}, config.SMTP{TLS: config.SMTPPlain}, "did not answer in time", false, ""},
		{"closes", &post{answers: map[string]string{"MAIL": "-"}}, config.SMTP{TLS: config.SMTPPlain}, "EOF", false, "RCPT"},
		{"says too much", &post{answers: map[string]string{"EHLO": "flood"}}, config.SMTP{TLS: config.SMTPPlain}, "", false, "MAIL"},
		{"no SMTP", &post{answers: map[string]string{"greeting": "HTTP/1.1 400 Bad Request"}}, config.SMTP{TLS: config.SMTPPlain}, "greeting", false, "EHLO"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, address := newPost(t, c.post)
			c.smtp.Server = address
			c.smtp.From = "weir@example.com"
			ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
			defer cancel()
			if !strings.Contains(c.want, "in time") {
				ctx = t.Context()
			}
			err := newEmail([]string{"ops@example.com"}, c.smtp, "node").send(ctx, &example)
			var dead never
			if err == nil || !strings.Contains(plain(err), c.want) || errors.As(err, &dead) != c.never {
				t.Errorf("%v, never: %v", err, errors.As(err, &dead))
			}
			if c.not != "" && strings.Contains(p.heard(), c.not) {
				t.Errorf("said: %s", p.heard())
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Error("the password is in", err)
			}
		})
	}
	if err := newEmail([]string{"ops@example.com"}, config.SMTP{Server: "127.0.0.1:1"}, "node").send(t.Context(), &example); err == nil || !strings.Contains(err.Error(), "connecting to the mail server") {
		t.Error(err)
	}
}

// TestSomeRecipients: whom the server does not take for now is asked for again, alone; whom it never takes is told of, once the others
// have it. Nobody gets it twice.
func TestSomeRecipients(t *testing.T) {
	p, address := newPost(t, &post{people: map[string][]string{
		"RCPT TO:<grey@example.com>": {"450 greylisted", "450 greylisted", "250 well"},
		"RCPT TO:<gone@example.com>": {"550 nobody"},
	}})
	e := newEmail([]string{"ops@example.com", "grey@example.com", "gone@example.com"}, config.SMTP{Server: address, TLS: config.SMTPPlain}, "n_ö de")
	for i, want := range []struct {
		error string
		mails int
		again bool
	}{{"450", 1, true}, {"450", 1, true}, {"550", 2, false}} {
		err := e.send(t.Context(), &example)
		var dead never
		var some partly
		if err == nil || !strings.Contains(err.Error(), want.error) || errors.As(err, &dead) || errors.As(err, &some) == want.again {
			t.Errorf("try %d: %v", i, err)
		}
		if n := strings.Count(p.heard(), "\nDATA"); n != want.mails {
			t.Errorf("try %d: %d mails:\n%s", i, n, p.heard())
		}
	}
	if n := strings.Count(p.heard(), "RCPT TO:<ops@"); n != 1 {
		t.Errorf("%d times to ops:\n%s", n, p.heard())
	}
	if e.smtp.From != "weir@nde" || !strings.Contains(p.heard(), "EHLO nde") {
		t.Error(e.smtp.From, p.heard())
	}
}

// TestSubjectIsNoCode: what an application has written is not taken for something that mail programs decode.
func TestSubjectIsNoCode(t *testing.T) {
	for _, title := range []string{"=?us-ascii?q?All_is_well?=", "x =?utf-8?b?QWxsIGlzIHdlbGw=?= y", "ü =?us-ascii?q?All_is_well?="} {
		got, err := new(mime.WordDecoder).DecodeHeader(subject(title))
		if err != nil || got != strings.ReplaceAll(title, "=?", "= ?") {
			t.Errorf("%q is read as %q, %v", title, got, err)
		}
	}
}
