package probe

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/pool/health"
)

// fakePG is a server of PostgreSQL as far as a check sees it.
type fakePG struct {
	auth     string // "trust", "md5", "scram", "clear", "odd"
	password string
	wrong    bool   // it does not know the password itself
	refuses  string // the answer to the hello
	column   string // whether it is in recovery
	timeline string
	flood    bool // notices without end
}

func pgMessage(kind byte, body []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))
	return append(b, body...)
}

func pgAuth(kind uint32, rest ...byte) []byte {
	return pgMessage('R', append(binary.BigEndian.AppendUint32(nil, kind), rest...))
}

func pgError(code, text string) []byte {
	return pgMessage('E', []byte("SFATAL\x00C"+code+"\x00M"+text+"\x00\x00"))
}

func (f *fakePG) serve(c net.Conn) {
	in := bufio.NewReader(c)
	hello := readSized(in)
	if len(hello) == 4 { // SSLRequest
		c.Write([]byte("N"))
		return
	}
	if f.refuses != "" {
		c.Write(pgError("57P03", f.refuses))
		return
	}
	if f.flood {
		for {
			if _, err := c.Write(pgMessage('N', make([]byte, 1000))); err != nil {
				return
			}
		}
	}
	if !f.login(c, in) {
		return
	}
	c.Write(slices.Concat(pgAuth(0), pgMessage('S', []byte("server_version\x0015\x00")), pgMessage('K', make([]byte, 8)), pgMessage('Z', []byte("I"))))
	in.ReadByte()
	readSized(in)
	row := binary.BigEndian.AppendUint16(nil, 2)
	for _, v := range []string{f.column, f.timeline} {
		row = append(binary.BigEndian.AppendUint32(row, uint32(len(v))), v...)
	}
	c.Write(slices.Concat(pgMessage('T', []byte{0, 2}), pgMessage('D', row), pgMessage('C', []byte("SELECT 1\x00")), pgMessage('Z', []byte("I"))))
	io.Copy(io.Discard, in)
}

// readSized reads what begins with its length.
func readSized(in *bufio.Reader) []byte {
	var size [4]byte
	if _, err := io.ReadFull(in, size[:]); err != nil {
		return nil
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:])-4)
	io.ReadFull(in, b)
	return b
}

func (f *fakePG) login(c net.Conn, in *bufio.Reader) bool {
	answer := func() string { in.ReadByte(); return string(readSized(in)) }
	refuse := func() bool {
		c.Write(pgError("28P01", `password authentication failed for user "check"`))
		return false
	}
	switch f.auth {
	case "clear":
		c.Write(pgAuth(3))
		answer()
	case "odd":
		c.Write(pgAuth(7))
		answer()
	case "md5":
		c.Write(pgAuth(5, 1, 2, 3, 4))
		if answer() != "md5"+md5Hex(md5Hex(f.password+"check")+"\x01\x02\x03\x04")+"\x00" {
			return refuse()
		}
	case "scram":
		return f.scram(c, answer, refuse)
	}
	return true
}

// scram is the server's side, written from RFC 5802 and not from what it tests.
func (f *fakePG) scram(c net.Conn, answer func() string, refuse func() bool) bool {
	c.Write(pgAuth(10, []byte("SCRAM-SHA-256-PLUS\x00SCRAM-SHA-256\x00\x00")...))
	first := answer()
	_, bare, _ := strings.Cut(first, "n,,")
	_, nonce, _ := strings.Cut(bare, "r=")
	salt := []byte("0123456789abcdef")
	server := "r=" + nonce + "more,s=" + base64.StdEncoding.EncodeToString(salt) + ",i=4096"
	c.Write(pgAuth(11, []byte(server)...))
	final := answer()
	without, proof, _ := strings.Cut(final, ",p=")
	key, _ := pbkdf2.Key(sha256.New, f.password, salt, 4096, 32)
	sum := func(key []byte, text string) []byte {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	all := bare + "," + server + "," + without
	stored := sha256.Sum256(sum(key, "Client Key"))
	got, _ := base64.StdEncoding.DecodeString(proof)
	sig := sum(stored[:], all)
	if len(got) != len(sig) {
		return refuse()
	}
	for i := range got {
		got[i] ^= sig[i]
	}
	if sha256.Sum256(got) != stored && !f.wrong {
		return refuse()
	}
	if f.wrong {
		key = []byte("another")
	}
	c.Write(pgAuth(12, []byte("v="+base64.StdEncoding.EncodeToString(sum(sum(key, "Server Key"), all)))...))
	return true
}

func database(kind, role string) *config.Health {
	return &config.Health{Type: kind, Role: role, User: "check", Password: "s3cret", Database: "postgres", Timeout: 5 * time.Second}
}

func TestPostgres(t *testing.T) {
	primary := fakePG{column: "f", timeline: "0000000A"}
	with := func(change func(*fakePG)) fakePG { f := primary; change(&f); return f }
	replica := with(func(f *fakePG) { f.column, f.timeline = "t", "" })
	for _, row := range []struct {
		name   string
		server fakePG
		role   string
		change func(*config.Health)
		want   health.Result // without its time
	}{
		{"the primary", primary, config.Primary, nil, health.Result{OK: true, Certain: true, Term: 10, Message: "primary, timeline 10"}},
		{"a replica for a primary", replica, config.Primary, nil, health.Result{Certain: true, Message: "it is a replica, not the primary"}},
		{"a replica", replica, config.Replica, nil, health.Result{OK: true, Certain: true, Message: "replica"}},
		{"a primary for a replica", primary, config.Replica, nil, health.Result{Certain: true, Message: "it is a primary, not a replica"}},
		{"either", replica, config.AnyRole, nil, health.Result{OK: true, Certain: true, Message: "replica"}},
		{"md5", with(func(f *fakePG) { f.auth, f.password = "md5", "s3cret" }), config.Primary, nil, health.Result{OK: true, Certain: true, Term: 10, Message: "primary, timeline 10"}},
		{"scram", with(func(f *fakePG) { f.auth, f.password = "scram", "s3cret" }), config.Primary, nil, health.Result{OK: true, Certain: true, Term: 10, Message: "primary, timeline 10"}},
		{"a wrong password", with(func(f *fakePG) { f.auth, f.password = "scram", "other" }), config.Primary, nil, health.Result{Message: `it says: password authentication failed for user "check"`}},
		{"a wrong md5", with(func(f *fakePG) { f.auth, f.password = "md5", "other" }), config.Primary, nil, health.Result{Message: `it says: password authentication failed for user "check"`}},
		{"an impostor", with(func(f *fakePG) { f.auth, f.password, f.wrong = "scram", "x", true }), config.Primary, nil, health.Result{Message: "it does not know the password itself: it is not the server that it should be"}},
		{"in clear", with(func(f *fakePG) { f.auth = "clear" }), config.Primary, nil, health.Result{Message: "it asks for the password in clear, which weir does not send: use scram-sha-256 in its pg_hba.conf"}},
		{"GSS", with(func(f *fakePG) { f.auth = "odd" }), config.Primary, nil, health.Result{Message: "it asks for a way to log in that checks do not have: use scram-sha-256, md5 or trust in its pg_hba.conf"}},
		{"no password", with(func(f *fakePG) { f.auth = "scram" }), config.Primary, func(h *config.Health) { h.Password = "" }, health.Result{Message: "it asks for a password: write password: in health"}},
		{"starting up", with(func(f *fakePG) { f.refuses = "the database system is starting up" }), config.Primary, nil, health.Result{Message: "it says: the database system is starting up"}},
		{"words without end", with(func(f *fakePG) { f.flood = true }), config.Primary, nil, health.Result{Message: "it closed the connection without an answer"}},
		{"an odd row", with(func(f *fakePG) { f.column = "perhaps" }), config.Primary, nil, health.Result{Message: errNoPostgres.Error()}},
		{"an odd timeline", with(func(f *fakePG) { f.timeline = "-1" }), config.Primary, nil, health.Result{Message: errNoPostgres.Error()}},
		{"no login", primary, config.AnyRole, func(h *config.Health) { h.User, h.Password = "", "" }, health.Result{OK: true, Message: "answers"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := database("postgres", row.role)
			if row.change != nil {
				row.change(h)
			}
			expect(t, origin(t, row.server.serve), h, row.want)
		})
	}
	expect(t, origin(t, says("HTTP/1.1 400 Bad Request\r\n\r\n\r\n")), database("postgres", config.Primary), health.Result{Message: "no answer within 300ms"})
}

// expect makes a check and compares what came of it.
func expect(t *testing.T, at Target, h *config.Health, want health.Result) {
	t.Helper()
	if strings.HasPrefix(want.Message, "no answer") {
		h.Timeout = 300 * time.Millisecond
	}
	r, _ := Check(t.Context(), at, h, "")
	r.At = time.Time{}
	if r.OK {
		r.Message, _, _ = strings.Cut(r.Message, " in ")
	}
	if r != want {
		t.Errorf("got %+v, want %+v", r, want)
	}
	if h.Password != "" && strings.Contains(r.Message, h.Password) {
		t.Errorf("the password is in %q", r.Message)
	}
}

// reads answers the words of RESP commands, in order.
func replies(texts ...string) func(net.Conn) {
	return func(c net.Conn) {
		in := bufio.NewReader(c)
		for _, text := range texts {
			if readCommand(in) == nil {
				return
			}
			io.WriteString(c, text)
		}
		io.Copy(io.Discard, in)
	}
}

func readCommand(in *bufio.Reader) (words []string) {
	line, err := in.ReadString('\n')
	if err != nil || line[0] != '*' {
		return nil
	}
	for range int(line[1] - '0') {
		in.ReadString('\n')
		word, _ := in.ReadString('\n')
		words = append(words, strings.TrimSpace(word))
	}
	return words
}

const (
	aMaster = "*3\r\n$6\r\nmaster\r\n:3129659\r\n*1\r\n*3\r\n$9\r\n127.0.0.1\r\n$4\r\n9001\r\n$7\r\n3129242\r\n"
	aSlave  = "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:9000\r\n$9\r\nconnected\r\n:3167038\r\n"
	lonely  = "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:9000\r\n$7\r\nconnect\r\n:-1\r\n"
)

func TestRedis(t *testing.T) {
	for _, row := range []struct {
		name    string
		replies []string
		role    string
		open    bool // no password
		want    health.Result
	}{
		{"the primary", []string{"+OK\r\n", aMaster}, config.Primary, false, health.Result{OK: true, Certain: true, Message: "primary"}},
		{"without a password", []string{aMaster}, config.Primary, true, health.Result{OK: true, Certain: true, Message: "primary"}},
		{"a replica for a primary", []string{aSlave}, config.Primary, true, health.Result{Certain: true, Message: "it is a replica, not the primary"}},
		{"a replica", []string{aSlave}, config.Replica, true, health.Result{OK: true, Certain: true, Message: "replica"}},
		{"a lonely replica", []string{lonely}, config.Replica, true, health.Result{Message: "it is a replica without its primary (connect)"}},
		{"a primary for a replica", []string{aMaster}, config.Replica, true, health.Result{Certain: true, Message: "it is a primary, not a replica"}},
		{"a sentinel", []string{"*2\r\n$8\r\nsentinel\r\n*0\r\n"}, config.Primary, true, health.Result{Message: "it is a sentinel"}},
		{"either", []string{"+PONG\r\n"}, config.AnyRole, true, health.Result{OK: true, Message: "PONG"}},
		{"either, and closed", []string{"-NOAUTH Authentication required.\r\n"}, config.AnyRole, true, health.Result{OK: true, Message: "answers"}},
		{"either, loading", []string{"-LOADING Redis is loading the dataset in memory\r\n"}, config.AnyRole, true, health.Result{Message: "it is loading its data"}},
		{"closed", []string{"-NOAUTH Authentication required.\r\n"}, config.Primary, true, health.Result{Message: "it asks for a password: write password: in health"}},
		{"a wrong password", []string{"-WRONGPASS invalid username-password pair\r\n"}, config.Primary, false, health.Result{Message: "it refused the password, with WRONGPASS"}},
		{"one that repeats it", []string{"-ERR unknown command `AUTH`, with args beginning with: `s3cret`\r\n"}, config.Primary, false, health.Result{Message: "it refused the password, with ERR"}},
		{"one that repeats it first", []string{"-s3cret\r\n"}, config.Primary, false, health.Result{Message: "it refused the password, with an error"}},
		{"a number for a word", []string{":5\r\n"}, config.Primary, true, health.Result{Message: errNoRedis.Error()}},
		{"an endless word", []string{"*3\r\n$999999999\r\n"}, config.Primary, true, health.Result{Message: errNoRedis.Error()}},
		{"a word less than none", []string{"*3\r\n$-1\r\n"}, config.Primary, true, health.Result{Message: errNoRedis.Error()}},
		{"an endless line", []string{strings.Repeat("x", maxTotalRedis+1)}, config.Primary, true, health.Result{Message: errCut.Error()}},
		{"bare LF", []string{"*3\n"}, config.Primary, true, health.Result{Message: errNoRedis.Error()}},
		{"an error with escapes", []string{"-ERR \x1b[2J\r\n"}, config.Primary, true, health.Result{Message: "it says: ERR ?[2J"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := database("redis", row.role)
			if row.open {
				h.User, h.Password = "", ""
			}
			expect(t, origin(t, replies(row.replies...)), h, row.want)
		})
	}
}

// TestRedisAsks: with a user AUTH has two words, and a password with blanks and line ends stays one.
func TestRedisAsks(t *testing.T) {
	var out bytes.Buffer
	h := &config.Health{Role: config.AnyRole, User: "u", Password: "a b\r\nPING"}
	askRedis(struct {
		io.Reader
		io.Writer
	}{strings.NewReader("+OK\r\n+PONG\r\n"), &out}, h)
	if want := "*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$9\r\na b\r\nPING\r\n*1\r\n$4\r\nPING\r\n"; out.String() != want {
		t.Errorf("sent %q", out.String())
	}
}

// TestHangs: a database that says nothing is not waited for longer than the check may take, and a check that is given up ends.
func TestHangs(t *testing.T) {
	for _, kind := range []string{"postgres", "redis"} {
		h := database(kind, config.Primary)
		h.Timeout = 50 * time.Millisecond
		if r, _ := Check(t.Context(), origin(t, func(c net.Conn) { io.Copy(io.Discard, c) }), h, ""); r.OK || r.Message != "no answer within 50ms" {
			t.Errorf("%s: %+v", kind, r)
		}
		ctx, cancel := context.WithCancel(t.Context())
		h.Timeout = time.Minute
		Check(ctx, origin(t, func(c net.Conn) { cancel(); io.Copy(io.Discard, c) }), h, "")
	}
}

// FuzzPostgres: whatever a server says, a check ends, and a role is believed only where one was said.
func FuzzPostgres(f *testing.F) {
	row := binary.BigEndian.AppendUint16(nil, 2)
	row = append(row, 0, 0, 0, 1, 'f', 0, 0, 0, 8, '0', '0', '0', '0', '0', '0', '0', '1')
	f.Add(slices.Concat(pgAuth(0), pgMessage('Z', []byte("I")), pgMessage('D', row), pgMessage('Z', []byte("I"))))
	f.Add(slices.Concat(pgAuth(5, 1, 2, 3, 4), pgError("28P01", "no")))
	f.Add(pgAuth(10, []byte("SCRAM-SHA-256\x00\x00")...))
	f.Add(slices.Concat(pgAuth(10, []byte("SCRAM-SHA-256\x00\x00")...), pgAuth(11, []byte("r=x,s=AAAA,i=1")...), pgAuth(12, []byte("v=AAAA")...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := askPostgres(struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(b), io.Discard}, database("postgres", config.Primary))
		if err == nil && !(got.certain && bytes.Contains(b, []byte{'D'}) && bytes.Contains(b, []byte{'Z'})) {
			t.Errorf("%+v of %q", got, b)
		}
	})
}

// FuzzRedis is the same for Redis.
func FuzzRedis(f *testing.F) {
	f.Add("+OK\r\n" + aMaster)
	f.Add("+OK\r\n" + aSlave)
	f.Add("-NOAUTH x\r\n")
	f.Add("+OK\r\n*3\r\n$-1\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := askRedis(struct {
			io.Reader
			io.Writer
		}{strings.NewReader(s), io.Discard}, database("redis", config.Primary))
		if err == nil && !(got.certain && strings.Contains(s, "master")) {
			t.Errorf("%+v of %q", got, s)
		}
		if err != nil && errors.Is(err, io.EOF) {
			t.Error("an end is not told as such")
		}
	})
}
