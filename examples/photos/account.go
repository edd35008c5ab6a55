package main

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	sessionCookie = "session"
	formCookie    = "form" // for forms of those who are not signed in: it and the form's token must be the same
	sessionLife   = 30 * 24 * time.Hour
	maxForm       = 64 << 10 // bytes of a form without a file
)

// visitor is who asks.
type visitor struct {
	session   *session // nil: not signed in
	token     string   // the session's, hashed
	formToken string
	private   bool // the page is for this visitor alone although they are not signed in
}

// visitor reads who asks. A cookie of a session that is over is as good as none.
func (t *site) visitor(r *http.Request) (visitor, error) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil { // there is none
		return visitor{}, nil
	}
	token := hashed(cookie.Value)
	s, err := t.store.session(r.Context(), token, t.now())
	if errors.Is(err, errNone) {
		return visitor{}, nil
	}
	if err != nil {
		return visitor{}, err
	}
	return visitor{session: &s, token: token, formToken: s.FormToken}, nil
}

// member is the visitor of a POST that only those who are signed in may make, with the token of one of our forms.
func (t *site) member(w http.ResponseWriter, r *http.Request) (visitor, error) {
	v, err := t.visitor(r)
	if err != nil {
		return v, err
	}
	if v.session == nil {
		return v, refusal{http.StatusForbidden, "Sign in first."}
	}
	return v, checkForm(w, r, v.formToken, maxForm)
}

// checkForm reads a form of at most limit bytes, and checks its token.
func checkForm(w http.ResponseWriter, r *http.Request, token string, limit int64) error {
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	if err := r.ParseForm(); err != nil {
		return unreadable(err)
	}
	got := r.PostFormValue("token")
	if token == "" || subtle.ConstantTimeCompare([]byte(got), []byte(token)) != 1 {
		return refusal{http.StatusForbidden, "This form is not from here, or too old. Go back, load the page anew and try again."}
	}
	return nil
}

func unreadable(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return refusal{http.StatusRequestEntityTooLarge, "That is too large."}
	}
	return refusal{http.StatusBadRequest, "The form could not be read."}
}

// entry is a form to come in by.
type entry struct {
	Name, Shown string // as typed before
	Next        string // where to go then
	Wrong       string // what to correct
}

func (t *site) signInForm(w http.ResponseWriter, r *http.Request) error {
	return t.entryForm(w, r, http.StatusOK, "signin", entry{Next: local(r.FormValue("next"))})
}

func (t *site) signUpForm(w http.ResponseWriter, r *http.Request) error {
	return t.entryForm(w, r, http.StatusOK, "signup", entry{Next: local(r.FormValue("next"))})
}

func (t *site) entryForm(w http.ResponseWriter, r *http.Request, status int, name string, data entry) error {
	token := formToken(r)
	if token == "" {
		token = rand.Text()
		setCookie(w, r, formCookie, token, 0)
	}
	title := map[string]string{"signin": "Sign in", "signup": "Join"}[name]
	return t.show(w, visitor{formToken: token, private: true}, status, name, title, data)
}

func formToken(r *http.Request) string {
	if cookie, err := r.Cookie(formCookie); err == nil {
		return cookie.Value
	}
	return ""
}

// nobody is whose password is checked when there is no such user, so that the answer comes no faster.
const nobody = "pbkdf2-sha256$600000$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func (t *site) signIn(w http.ResponseWriter, r *http.Request) error {
	if err := checkForm(w, r, formToken(r), maxForm); err != nil {
		return err
	}
	data := entry{Name: strings.TrimSpace(r.PostFormValue("name")), Next: local(r.PostFormValue("next"))}
	u, hash, err := t.store.userByName(r.Context(), strings.ToLower(data.Name))
	if errors.Is(err, errNone) {
		hash, err = nobody, nil
	}
	if err != nil {
		return err
	}
	right, err := checkPassword(r.Context(), hash, r.PostFormValue("password"))
	if err != nil {
		return err
	}
	if !right || u.ID == 0 {
		data.Wrong = "Name and password do not belong together."
		return t.entryForm(w, r, http.StatusForbidden, "signin", data)
	}
	return t.begin(w, r, u.ID, data.Next)
}

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9]*([._-][a-z0-9]+)*$`)

func (t *site) signUp(w http.ResponseWriter, r *http.Request) error {
	if err := checkForm(w, r, formToken(r), maxForm); err != nil {
		return err
	}
	data := entry{Name: strings.TrimSpace(r.PostFormValue("name")), Shown: strings.TrimSpace(r.PostFormValue("shown")), Next: local(r.PostFormValue("next"))}
	password := r.PostFormValue("password")
	switch {
	case !nameForm.MatchString(data.Name) || len(data.Name) > 40:
		data.Wrong = "A name has up to 40 small letters and digits, with single dots or hyphens between them."
	case data.Shown == "" || utf8.RuneCountInString(data.Shown) > 80 || !utf8.ValidString(data.Shown):
		data.Wrong = "Tell us what to call you, in up to 80 characters."
	case utf8.RuneCountInString(password) < 10 || len(password) > 200:
		data.Wrong = "A password has 10 to 200 characters."
	}
	if data.Wrong != "" {
		return t.entryForm(w, r, http.StatusBadRequest, "signup", data)
	}
	hash, err := hashPassword(r.Context(), password)
	if err != nil {
		return err
	}
	id, err := t.store.addUser(r.Context(), data.Name, data.Shown, hash, t.now())
	if errors.Is(err, errNone) {
		data.Wrong = "Someone has that name already."
		return t.entryForm(w, r, http.StatusConflict, "signup", data)
	}
	if err != nil {
		return err
	}
	return t.begin(w, r, id, data.Next)
}

// begin starts a session. Its token is new: one that the visitor came with could be known to someone else.
func (t *site) begin(w http.ResponseWriter, r *http.Request, userID int64, next string) error {
	token, now := rand.Text(), t.now()
	if err := t.store.addSession(r.Context(), hashed(token), userID, rand.Text(), now, now.Add(sessionLife)); err != nil {
		return err
	}
	setCookie(w, r, sessionCookie, token, sessionLife)
	setCookie(w, r, formCookie, "", -1)
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

func (t *site) signOut(w http.ResponseWriter, r *http.Request) error {
	v, err := t.member(w, r)
	if err != nil {
		return err
	}
	if err := t.store.endSession(r.Context(), v.token); err != nil {
		return err
	}
	setCookie(w, r, sessionCookie, "", -1)
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

// setCookie sets a cookie that scripts do not see. A life of 0 is until the browser ends, a negative one takes it away.
func setCookie(w http.ResponseWriter, r *http.Request, name, value string, life time.Duration) {
	age := int(life / time.Second)
	if life < 0 {
		age = -1
	}
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"})
}

func hashed(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// local lets a redirect lead only to a path of this site.
func local(next string) string {
	u, err := url.Parse(next)
	if err != nil || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.Contains(next, `\`) || u.Host != "" {
		return "/"
	}
	return next
}
