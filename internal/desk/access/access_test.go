package access

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/config"
	"golang.org/x/crypto/bcrypt"
)

const word = "0123456789abcdef"

func admin(t *testing.T) *config.Admin {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("correct horse"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return &config.Admin{Look: config.LookFree, Idle: time.Hour, Tokens: []config.Token{{Name: "deploy", Text: word, Role: config.Operate}, {Name: "prometheus", Text: "fedcba9876543210", Role: config.View}},
		Users: []config.User{{Name: "ann", Password: string(hash), Role: config.Operate}, {Name: "bob", Password: string(hash), Role: config.View}}}
}

// clock is a time that tests set.
type clock struct{ now time.Time }

func newDoor(t *testing.T) (*Door, *clock) {
	t.Helper()
	c := &clock{time.Unix(1_800_000_000, 0)}
	d := New(func() time.Time { return c.now }, nil)
	d.Use(admin(t))
	return d, c
}

func ask(method string, fields ...string) *http.Request {
	r := httptest.NewRequest(method, "http://127.0.0.1:9190/api/v1/x", nil)
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == "Host" {
			r.Host = fields[i+1]
			continue
		}
		r.Header.Set(fields[i], fields[i+1])
	}
	return r
}

// TestWho: who may look and who may act, by what he shows.
func TestWho(t *testing.T) {
	d, _ := newDoor(t)
	signed := admin(t)
	signed.Look = config.LookSigned
	for _, c := range []struct {
		look   string
		fields []string
		name   string
		looks  error
		acts   error
	}{
		{config.LookFree, nil, "", nil, ErrSignIn},
		{config.LookSigned, nil, "", ErrSignIn, nil},
		{config.LookFree, []string{"Host", "localhost:9190"}, "", nil, ErrSignIn},
		{config.LookFree, []string{"Host", "[::1]:9190"}, "", nil, ErrSignIn},
		{config.LookFree, []string{"Host", "evil.example"}, "", ErrHost, nil},
		{config.LookFree, []string{"Host", "127.0.0.1.evil.example:9190"}, "", ErrHost, nil},
		{config.LookSigned, []string{"Authorization", "Bearer " + word, "Host", "weir.example"}, "deploy", nil, nil},
		{config.LookSigned, []string{"Authorization", "bearer  " + word}, "deploy", nil, nil},
		{config.LookSigned, []string{"Authorization", "Bearer fedcba9876543210"}, "prometheus", nil, ErrRole},
		{config.LookFree, []string{"Authorization", "Bearer wrong"}, "", ErrWrong, nil},
		{config.LookFree, []string{"Authorization", "Bearer "}, "", ErrWrong, nil},
		{config.LookFree, []string{"Authorization", "Basic cHJvbWV0aGV1czpmZWRjYmE5ODc2NTQzMjEw"}, "prometheus", nil, ErrRole},
		{config.LookFree, []string{"Cookie", "weir=made-up"}, "", nil, ErrSignIn},
	} {
		d.Use(map[string]*config.Admin{config.LookFree: admin(t), config.LookSigned: signed}[c.look])
		r := ask("GET", c.fields...)
		got, err := d.Who(r)
		if !errors.Is(err, c.looks) || got.Name != c.name {
			t.Errorf("%s, %v: %+v, %v; want %q, %v", c.look, c.fields, got, err, c.name, c.looks)
		}
		if err == nil {
			if err := d.Acts(r, got); !errors.Is(err, c.acts) {
				t.Errorf("%s, %v acts: %v, want %v", c.look, c.fields, err, c.acts)
			}
		}
	}
}

// signIn returns who signed in, and the cookie.
func signIn(t *testing.T, d *Door, r *http.Request, name, password string) (Who, *http.Cookie, error) {
	t.Helper()
	w := httptest.NewRecorder()
	who, err := d.SignIn(w, r, name, password)
	cookies := w.Result().Cookies()
	if err != nil {
		if len(cookies) > 0 {
			t.Errorf("who is refused gets a cookie: %v", cookies)
		}
		return who, nil, err
	}
	return who, cookies[0], nil
}

// TestSessions: they begin with a password or a token, act only with their word, and end.
func TestSessions(t *testing.T) {
	d, clock := newDoor(t)
	for _, c := range []struct {
		name, password string
		want           error
		role           config.Role
	}{
		{"ann", "correct horse", nil, config.Operate},
		{"bob", "correct horse", nil, config.View},
		{"", word, nil, config.Operate},
		{"ann", "wrong", ErrWrong, ""},
		{"nobody", "correct horse", ErrWrong, ""},
		{"", "correct horse", ErrWrong, ""},
		{"", "", ErrWrong, ""},
	} {
		who, _, err := signIn(t, d, ask("POST"), c.name, c.password)
		if !errors.Is(err, c.want) || who.Role != c.role {
			t.Errorf("%q: %+v, %v", c.name, who, err)
		}
	}
	who, cookie, err := signIn(t, d, ask("POST"), "ann", "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Secure {
		t.Errorf("the cookie is %v", cookie)
	}
	r := ask("POST", "Host", "weir.example")
	r.AddCookie(cookie)
	got, err := d.Who(r)
	if err != nil || got != who {
		t.Fatalf("%+v, %v", got, err)
	}
	if err := d.Acts(r, got); !errors.Is(err, ErrCSRF) {
		t.Errorf("without the word: %v", err)
	}
	r.Header.Set(Header, who.CSRF)
	if err := d.Acts(r, got); err != nil {
		t.Errorf("with the word: %v", err)
	}
	clock.now = clock.now.Add(50 * time.Minute)
	if got, _ = d.Who(r); got.Name != "ann" {
		t.Error("a session that is used has ended")
	}
	clock.now = clock.now.Add(61 * time.Minute)
	if got, _ = d.Who(r); got.Name == "ann" {
		t.Error("a session that was idle goes on")
	}
	_, cookie, err = signIn(t, d, ask("POST"), "ann", "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	r = ask("GET")
	r.AddCookie(cookie)
	fewer := admin(t)
	fewer.Users = fewer.Users[1:]
	d.Use(fewer)
	if got, _ = d.Who(r); got.Name == "ann" {
		t.Error("the session of somebody who is no more goes on")
	}
	_, cookie, err = signIn(t, d, ask("POST"), "bob", "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	r = ask("POST")
	r.AddCookie(cookie)
	d.SignOut(httptest.NewRecorder(), r)
	if got, _ = d.Who(r); got.Name == "bob" {
		t.Error("who has signed out is still in")
	}
}

// TestSecure: over TLS the cookie is for TLS only, and for this host alone.
func TestSecure(t *testing.T) {
	d, _ := newDoor(t)
	r := ask("POST")
	r.TLS = &tls.ConnectionState{}
	_, cookie, err := signIn(t, d, r, "ann", "correct horse")
	if err != nil || !cookie.Secure || cookie.Name != "__Host-weir" || cookie.Path != "/" || cookie.Domain != "" {
		t.Errorf("%v, %v", cookie, err)
	}
}

// TestGuessing: after ten wrong words an address waits, whatever it says; others do not, and the list of guessers does not grow.
func TestGuessing(t *testing.T) {
	d, clock := newDoor(t)
	from := func(addr, token string) error {
		r := ask("GET", "Authorization", "Bearer "+token)
		r.RemoteAddr = addr
		_, err := d.Who(r)
		return err
	}
	for i := range guesses {
		if err := from("[2001:db8::1]:1234", "wrong"); !errors.Is(err, ErrWrong) {
			t.Fatalf("guess %d: %v", i, err)
		}
	}
	for addr, want := range map[string]error{"[2001:db8::1]:99": ErrTooMany, "[2001:db8::ffff:2]:99": ErrTooMany, "[2001:db8:0:1::1]:99": nil, "192.0.2.1:99": nil} {
		if err := from(addr, word); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", addr, err, want)
		}
	}
	r := ask("POST")
	r.RemoteAddr = "[2001:db8::1]:99"
	if _, _, err := signIn(t, d, r, "ann", "correct horse"); !errors.Is(err, ErrTooMany) {
		t.Errorf("by password: %v", err)
	}
	clock.now = clock.now.Add(guessTime)
	if err := from("[2001:db8::1]:99", word); err != nil {
		t.Errorf("later: %v", err)
	}
	for i := range 3 * maxGuessers {
		if err := from(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255), "wrong"); !errors.Is(err, ErrWrong) {
			t.Fatal(err)
		}
	}
	if len(d.guessers) > maxGuessers {
		t.Errorf("%d guessers are remembered", len(d.guessers))
	}
}

// TestGuessingAtOnce: who asks many times before the first answer has not more guesses than who waits for each.
func TestGuessingAtOnce(t *testing.T) {
	d, clock := newDoor(t)
	const at = 10 * guesses
	told := make(chan error, at)
	for range at {
		go func() {
			_, _, err := signIn(t, d, ask("POST"), "ann", "wrong")
			told <- err
		}()
	}
	wrong := 0
	for range at {
		switch err := <-told; {
		case errors.Is(err, ErrWrong):
			wrong++
		case !errors.Is(err, ErrTooMany) && !errors.Is(err, ErrBusy):
			t.Error(err)
		}
	}
	if wrong > guesses {
		t.Errorf("%d guesses were answered", wrong)
	}
	clock.now = clock.now.Add(guessTime)
	for range 2 * guesses { // right words do not count
		if _, _, err := signIn(t, d, ask("POST"), "ann", "correct horse"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNobodyDrivesOthersOut: however often one signs in, the others' sessions stay.
func TestNobodyDrivesOthersOut(t *testing.T) {
	d, clock := newDoor(t)
	_, cookie, err := signIn(t, d, ask("POST"), "", word)
	if err != nil {
		t.Fatal(err)
	}
	for range maxSessions + 10 {
		clock.now = clock.now.Add(time.Millisecond)
		if _, _, err := signIn(t, d, ask("POST"), "", "fedcba9876543210"); err != nil {
			t.Fatal(err)
		}
	}
	r := ask("GET")
	r.AddCookie(cookie)
	if who, err := d.Who(r); err != nil || who.Name != "deploy" {
		t.Errorf("%v, %v", who, err)
	}
	if len(d.sessions) != maxOwn+1 {
		t.Errorf("%d sessions", len(d.sessions))
	}
}

// TestManySessions: their number is bounded, and the one that is used stays.
func TestManySessions(t *testing.T) {
	d, clock := newDoor(t)
	var kept *http.Request
	for i := range maxSessions + 10 {
		clock.now = clock.now.Add(time.Millisecond)
		_, cookie, err := signIn(t, d, ask("POST"), "", word)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			kept = ask("GET")
			kept.AddCookie(cookie)
		}
		if who, err := d.Who(kept); err != nil || who.Name != "deploy" {
			t.Fatalf("after %d sessions: %v, %v", i, who, err)
		}
	}
	if len(d.sessions) > maxSessions {
		t.Errorf("%d sessions", len(d.sessions))
	}
}

// TestNobody: an unknown name is looked up as slowly as a known one.
func TestNobody(t *testing.T) {
	if cost, err := bcrypt.Cost([]byte(nobody)); err != nil || cost != bcrypt.DefaultCost {
		t.Errorf("cost %d, %v", cost, err)
	}
	if err := bcrypt.CompareHashAndPassword([]byte(nobody), []byte("x")); !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		t.Errorf("a guess ends with %v: it is not even compared", err)
	}
}

// TestWordsChange: a session ends with the word that it began with, though its name goes on, and has the role that the configuration in force says.
func TestWordsChange(t *testing.T) {
	hash := func(text string) string {
		h, err := bcrypt.GenerateFromPassword([]byte(text), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		return string(h)
	}
	first := config.Admin{Look: config.LookSigned, Idle: time.Hour, Users: []config.User{{Name: "ann", Password: hash("one"), Role: config.Operate}},
		Tokens: []config.Token{{Name: "ann", Text: word, Role: config.View}}}
	for _, c := range []struct {
		name       string
		change     func(a *config.Admin)
		user, prog config.Role // of her session and of her program's; empty: it is over
	}{
		{"nothing", func(*config.Admin) {}, config.Operate, config.View},
		{"another password", func(a *config.Admin) {
			a.Users = []config.User{{Name: "ann", Password: hash("two"), Role: config.Operate}}
		}, "", config.View},
		{"another token", func(a *config.Admin) {
			a.Tokens = []config.Token{{Name: "ann", Text: "another word of hers", Role: config.View}}
		}, config.Operate, ""},
		{"another role", func(a *config.Admin) {
			a.Users = []config.User{{Name: "ann", Password: a.Users[0].Password, Role: config.View}}
		}, config.View, config.View},
		{"no user", func(a *config.Admin) { a.Users = nil }, "", config.View},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, _ := newDoor(t)
			d.Use(&first)
			var asks []*http.Request
			for _, by := range [][2]string{{"ann", "one"}, {"", word}} {
				_, cookie, err := signIn(t, d, ask("POST"), by[0], by[1])
				if err != nil {
					t.Fatal(err)
				}
				r := ask("GET")
				r.AddCookie(cookie)
				asks = append(asks, r)
			}
			next := first
			c.change(&next)
			d.Use(&next)
			for i, want := range []config.Role{c.user, c.prog} {
				if who, err := d.Who(asks[i]); who.Role != want || (err == nil) != (want != "") {
					t.Errorf("session %d: %+v, %v; want the role %q", i, who, err, want)
				}
			}
		})
	}
}

// TestChangeWhileSigningIn: who is let in by a password that is none any more when it has been checked is not.
func TestChangeWhileSigningIn(t *testing.T) {
	d, _ := newDoor(t)
	d.checks <- struct{}{} // somebody else's is being checked
	told := make(chan error)
	go func() {
		_, _, err := signIn(t, d, ask("POST"), "ann", "correct horse")
		told <- err
	}()
	for begun := false; !begun; { // it waits for its turn
		d.mu.Lock()
		for _, g := range d.guessers {
			begun = begun || g.trying > 0
		}
		d.mu.Unlock()
	}
	fewer := admin(t)
	fewer.Users = fewer.Users[1:]
	d.Use(fewer)
	<-d.checks
	if err := <-told; !errors.Is(err, ErrWrong) {
		t.Errorf("signing in ended with %v", err)
	}
}
