// Package access decides who may look and who may act at the desk: by the way that somebody came, a token, or a session that began with
// a password. It bounds guessing. It reads no request's body and writes no page.
package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/config"
	"golang.org/x/crypto/bcrypt"
)

// Who is somebody who asks.
type Who struct {
	Name string
	Role config.Role // empty: may not even look
	CSRF string      // what a page has to send along to act, of a session; empty: there is no session
}

// May reports whether somebody has a role, or one that can do more.
func (w Who) May(r config.Role) bool {
	return w.Role == config.Operate || w.Role == config.View && r == config.View
}

// Header is where a page sends the session's CSRF word.
const Header = "X-Weir-CSRF"

// The errors that are for people.
var (
	ErrSignIn  = errors.New("sign in, or send `Authorization: Bearer TOKEN`")
	ErrWrong   = errors.New("the name, the password or the token is wrong")
	ErrTooMany = errors.New("too many wrong words from this address: wait a minute")
	ErrRole    = errors.New("this takes the role operate")
	ErrCSRF    = errors.New("the page is out of date, or another site has made this request: load the page again")
	ErrHost    = errors.New("this name is not the status page's: use 127.0.0.1 or localhost, or sign in")
	ErrBusy    = errors.New("too many people sign in at the same time: try again")
)

const (
	maxSessions = 1000
	maxOwn      = 100    // sessions of one name: nobody drives others out
	maxGuessers = 10_000 // addresses that are remembered
	guesses     = 10     // wrong words from an address in guessTime
	guessTime   = time.Minute
	checkers    = 1 // passwords that are checked at a time: each takes a processor for a tenth of a second, and traffic has the others
)

// Door knows who is let in. Any goroutine may use it.
type Door struct {
	now     func() time.Time
	checks  chan struct{}
	wrongAt func(addr string) // told of each wrong word

	mu       sync.Mutex
	cfg      *config.Admin
	words    map[shown]config.Role // by which one may be let in
	sessions map[[32]byte]*session // by the hash of its cookie
	changed  chan struct{}         // closed when somebody may be let in no more
	guessers map[netip.Prefix]*guesser
}

type session struct {
	name string
	role config.Role
	csrf string
	used time.Time
	by   shown
}

// shown is what somebody was let in by: a hash of a user's name and hashed password, or of a token. Sessions outlive no word: who changes
// a password because others know it wants them out.
type shown [32]byte

func shownBy(kind, name, word string) shown {
	return sha256.Sum256([]byte(kind + "\x00" + name + "\x00" + word))
}

// wordsOf are those by which a configuration lets people in.
func wordsOf(cfg *config.Admin) map[shown]config.Role {
	all := make(map[shown]config.Role, len(cfg.Users)+len(cfg.Tokens))
	for _, u := range cfg.Users {
		all[shownBy("user", u.Name, u.Password)] = u.Role
	}
	for _, t := range cfg.Tokens {
		all[shownBy("token", t.Name, t.Text)] = t.Role
	}
	return all
}

type guesser struct {
	wrong  int
	trying int // passwords that are being checked: each may be one more
	since  time.Time
}

// New returns a door. wrong is told of the address of each wrong word, and may be nil.
func New(now func() time.Time, wrong func(addr string)) *Door {
	return &Door{now: now, wrongAt: wrong, checks: make(chan struct{}, checkers), changed: make(chan struct{}), sessions: map[[32]byte]*session{}, guessers: map[netip.Prefix]*guesser{}}
}

// Use puts a configuration in force. Sessions of people who are no more end, and so do those that began with another password or token.
func (d *Door) Use(cfg *config.Admin) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cfg, d.words = cfg, wordsOf(cfg)
	defer d.change()
	for id, s := range d.sessions {
		role, ok := d.words[s.by]
		if !ok {
			delete(d.sessions, id)
			continue
		}
		s.role = role
	}
}

// Changed returns what is closed when people are let in no more who were: one has signed out, or another configuration is in force.
func (d *Door) Changed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed
}

// change tells of that. Under mu.
func (d *Door) change() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// Who says who asks. Who came by the Unix socket is let in by its permissions, and named by the caller. The error is ErrSignIn,
// ErrWrong, ErrTooMany or ErrHost, and nobody may look then.
func (d *Door) Who(r *http.Request) (Who, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if word, ok := bearer(r); ok {
		if d.tooMany(r) {
			return Who{}, ErrTooMany
		}
		if w, _ := d.token(word); w.Role != "" {
			return w, nil
		}
		d.guessed(r)
		return Who{}, ErrWrong
	}
	if s := d.session(r); s != nil {
		return Who{s.name, s.role, s.csrf}, nil
	}
	if d.cfg.Look != config.LookFree {
		return Who{}, ErrSignIn
	}
	// A page of somebody else's, in a browser on this machine, could have its own name lead here.
	if !ownName(r.Host) {
		return Who{}, ErrHost
	}
	return Who{"", config.View, ""}, nil
}

// Acts says whether a request may change something: the role is there, and a browser's page has sent its session's word along.
func (d *Door) Acts(r *http.Request, w Who) error {
	switch {
	case w.Role == "" || w.Role == config.View && w.Name == "":
		return ErrSignIn
	case !w.May(config.Operate):
		return ErrRole
	case w.CSRF != "" && subtle.ConstantTimeCompare([]byte(r.Header.Get(Header)), []byte(w.CSRF)) != 1:
		return ErrCSRF
	}
	return nil
}

func bearer(r *http.Request) (string, bool) {
	scheme, word, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(word), true
	}
	if _, password, ok := r.BasicAuth(); ok { // what many programs that fetch metrics can do
		return password, true
	}
	return "", false
}

// token returns whose a token is, nobody if it is nobody's.
func (d *Door) token(word string) (found Who, by shown) {
	got := sha256.Sum256([]byte(word))
	for _, t := range d.cfg.Tokens {
		want := sha256.Sum256([]byte(t.Text))
		if subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
			found, by = Who{Name: t.Name, Role: t.Role}, shownBy("token", t.Name, t.Text)
		}
	}
	return found, by
}

// ownName reports whether a host is one that only this machine, or an address, can mean.
func ownName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	_, err := netip.ParseAddr(host)
	return err == nil || strings.EqualFold(host, "localhost") || host == ""
}

// cookie is the session's name in the browser. With TLS a prefix keeps other hosts from setting it (RFC 6265bis, section 4.1.3).
func cookie(r *http.Request) string {
	if r.TLS != nil {
		return "__Host-weir"
	}
	return "weir"
}

func (d *Door) session(r *http.Request) *session {
	c, err := r.Cookie(cookie(r))
	if err != nil {
		return nil
	}
	id := sha256.Sum256([]byte(c.Value))
	s := d.sessions[id]
	now := d.now()
	if s == nil {
		return nil
	}
	if now.Sub(s.used) > d.cfg.Idle {
		delete(d.sessions, id)
		return nil
	}
	s.used = now
	return s
}

// SignIn begins a session for who knows a user's password, or with an empty name a token, and sets its cookie. It takes a tenth of a second.
func (d *Door) SignIn(w http.ResponseWriter, r *http.Request, name, word string) (Who, error) {
	d.mu.Lock()
	cfg, err := d.cfg, d.begin(r)
	d.mu.Unlock()
	if err != nil {
		return Who{}, err
	}
	who, by, err := d.check(r, cfg, name, word)
	d.mu.Lock()
	defer d.mu.Unlock()
	if g := d.guessers[network(r)]; g != nil && g.trying > 0 { // it may have been forgotten meanwhile
		g.trying--
	}
	if err == nil {
		var still bool // another configuration may have come in force while it was checked
		if who.Role, still = d.words[by]; !still {
			err = ErrWrong
		}
	}
	if err != nil {
		if errors.Is(err, ErrWrong) {
			d.guessed(r)
		}
		return Who{}, err
	}
	d.makeRoom(who.Name)
	id, csrf := random(), random()
	who.CSRF = csrf
	d.sessions[sha256.Sum256([]byte(id))] = &session{who.Name, who.Role, csrf, d.now(), by}
	http.SetCookie(w, &http.Cookie{Name: cookie(r), Value: id, Path: "/", HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode})
	return who, nil
}

// nobody is compared with where a name is unknown, so that it takes as long as one that is known.
const nobody = "$2a$10$7EqJtq98hPqEX7fNZaFWoOa1dWTXyZkKd1v6pW7bJQ3c1Fq8o3K3e"

// check returns who is let in by a word, and what it was.
func (d *Door) check(r *http.Request, cfg *config.Admin, name, word string) (Who, shown, error) {
	if name == "" {
		d.mu.Lock()
		defer d.mu.Unlock()
		w, by := d.token(word)
		if w.Role == "" {
			return Who{}, by, ErrWrong
		}
		return w, by, nil
	}
	select {
	case d.checks <- struct{}{}:
		defer func() { <-d.checks }()
	case <-r.Context().Done():
		return Who{}, shown{}, r.Context().Err()
	case <-time.After(5 * time.Second):
		return Who{}, shown{}, ErrBusy
	}
	hash, role := nobody, config.Role("")
	if len(cfg.Users) > 0 {
		hash = cfg.Users[0].Password // which may take another time
	}
	for _, u := range cfg.Users {
		if u.Name == name {
			hash, role = u.Password, u.Role
		}
	}
	if bcrypt.CompareHashAndPassword([]byte(hash), []byte(word)) != nil || role == "" {
		return Who{}, shown{}, ErrWrong
	}
	return Who{Name: name, Role: role}, shownBy("user", name, hash), nil
}

// SignOut ends a session.
func (d *Door) SignOut(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c, err := r.Cookie(cookie(r)); err == nil {
		id := sha256.Sum256([]byte(c.Value))
		if d.sessions[id] != nil {
			delete(d.sessions, id)
			d.change()
		}
	}
	http.SetCookie(w, &http.Cookie{Name: cookie(r), Path: "/", MaxAge: -1, HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode})
}

// makeRoom ends sessions that are over, and when there are too many, or too many of a name, the one of these that was idle longest.
func (d *Door) makeRoom(name string) {
	now := d.now()
	var oldest, own struct {
		id [32]byte
		at time.Time
	}
	owns := 0
	for id, s := range d.sessions {
		if now.Sub(s.used) > d.cfg.Idle {
			delete(d.sessions, id)
			continue
		}
		if oldest.at.IsZero() || s.used.Before(oldest.at) {
			oldest.id, oldest.at = id, s.used
		}
		if s.name != name {
			continue
		}
		if owns++; own.at.IsZero() || s.used.Before(own.at) {
			own.id, own.at = id, s.used
		}
	}
	switch {
	case owns >= maxOwn:
		delete(d.sessions, own.id)
	case len(d.sessions) >= maxSessions:
		delete(d.sessions, oldest.id)
	}
}

func random() string {
	var b [24]byte
	rand.Read(b[:]) //nolint:errcheck // it does not fail
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// network is what counts as one who guesses: an address, of IPv6 its network.
func network(r *http.Request) netip.Prefix {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	ip, bits := a.Addr().Unmap(), 32
	if !ip.Is4() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

func (d *Door) tooMany(r *http.Request) bool {
	g := d.guessers[network(r)]
	return g != nil && g.wrong >= guesses && d.now().Sub(g.since) < guessTime
}

// begin notes that a word is being checked, which takes time: as many may be under way as may turn out wrong.
func (d *Door) begin(r *http.Request) error {
	if d.tooMany(r) {
		return ErrTooMany
	}
	g := d.guesser(r)
	if g.wrong+g.trying >= guesses {
		return ErrBusy
	}
	g.trying++
	return nil
}

func (d *Door) guessed(r *http.Request) {
	if d.wrongAt != nil {
		d.wrongAt(r.RemoteAddr)
	}
	d.guesser(r).wrong++
}

// guesser is what is known of who asks, of this minute.
func (d *Door) guesser(r *http.Request) *guesser {
	now, of := d.now(), network(r)
	g := d.guessers[of]
	if g == nil {
		if len(d.guessers) >= maxGuessers {
			d.forgetGuessers(now)
		}
		g = &guesser{since: now}
		d.guessers[of] = g
	}
	if now.Sub(g.since) >= guessTime {
		*g = guesser{since: now, trying: g.trying}
	}
	return g
}

// forgetGuessers makes room: of those whose time is over, or else of all.
func (d *Door) forgetGuessers(now time.Time) {
	for of, g := range d.guessers {
		if now.Sub(g.since) >= guessTime && g.trying == 0 {
			delete(d.guessers, of)
		}
	}
	if len(d.guessers) >= maxGuessers {
		clear(d.guessers)
	}
}
