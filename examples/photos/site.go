package main

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"runtime"
	"strconv"
	"time"
)

//go:embed templates static
var embedded embed.FS

// site answers requests.
type site struct {
	store    *store
	pages    map[string]*template.Template
	versions map[string]string // of static files, by name: a part of their hash
	drawing  chan struct{}     // bounds the pictures that are drawn at a time
	now      func() time.Time
}

func newSite(s *store) *site {
	t := &site{store: s, pages: map[string]*template.Template{}, versions: map[string]string{},
		drawing: make(chan struct{}, runtime.NumCPU()), now: time.Now}
	names, err := fs.Glob(embedded, "static/*")
	for _, name := range names {
		text, e := embedded.ReadFile(name)
		err = errors.Join(err, e)
		sum := sha256.Sum256(text)
		t.versions[path.Base(name)] = hex.EncodeToString(sum[:6])
	}
	functions := template.FuncMap{"static": t.staticAddress, "day": day, "moment": moment, "count": count,
		"demoName": func() string { name, _ := madeName(1); return name }, "demoPassword": func() string { return demoPassword }}
	layout := template.Must(template.New("").Funcs(functions).ParseFS(embedded, "templates/layout.html", "templates/grid.html"))
	for _, name := range []string{"front", "user", "photo", "signin", "signup", "upload", "error"} {
		t.pages[name] = template.Must(template.Must(layout.Clone()).ParseFS(embedded, "templates/"+name+".html"))
	}
	if err != nil {
		panic(err) // what is compiled in cannot be read
	}
	return t
}

// handler has all addresses.
func (t *site) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", t.page(t.front))
	mux.Handle("GET /u/{name}", t.page(t.user))
	mux.Handle("GET /p/{id}", t.page(t.photo))
	mux.Handle("POST /p/{id}/comments", t.page(t.addComment))
	mux.Handle("GET /images/{file}", t.page(t.image))
	mux.Handle("GET /signin", t.page(t.signInForm))
	mux.Handle("POST /signin", t.page(t.signIn))
	mux.Handle("GET /signup", t.page(t.signUpForm))
	mux.Handle("POST /signup", t.page(t.signUp))
	mux.Handle("POST /signout", t.page(t.signOut))
	mux.Handle("GET /upload", t.page(t.uploadForm))
	mux.Handle("POST /upload", t.page(t.upload))
	mux.Handle("GET /static/{file}", t.page(t.static))
	mux.Handle("GET /healthz", t.page(t.healthz))
	mux.Handle("/", t.page(func(http.ResponseWriter, *http.Request) error { return errNone }))
	return secure(mux)
}

// secure says to browsers what this site never does. Other sites' forms are refused here already (by Sec-Fetch-Site and
// Origin); each form's token is the second lock.
func secure(next http.Handler) http.Handler {
	next = http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'; form-action 'self'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// refusal is an error that is the visitor's, with what to tell them.
type refusal struct {
	status int
	text   string
}

func (e refusal) Error() string { return e.text }

// page turns a handler's error into a page; the handler has then written nothing.
func (t *site) page(handle func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := handle(w, r)
		var mine refusal
		switch {
		case err == nil || r.Context().Err() != nil: // done, or nobody is there any more
			return
		case errors.Is(err, errNone):
			mine = refusal{http.StatusNotFound, "There is nothing at this address."}
		case !errors.As(err, &mine):
			slog.Error("answering", "method", r.Method, "path", r.URL.Path, "error", err)
			mine = refusal{http.StatusInternalServerError, "Something broke on our side. It has been written down."}
		}
		w.Header().Set("Cache-Control", "no-store")
		// Without the visitor: what broke may be the very database that says who it is.
		if err := t.write(w, mine.status, "error", view{Title: http.StatusText(mine.status), Data: mine.text}); err != nil {
			slog.Error("writing the error page", "error", err)
		}
	})
}

// view is what a template sees.
type view struct {
	Title   string
	Visitor *session // nil: not signed in
	Token   string   // for forms
	Data    any
}

// show writes a page for a visitor.
func (t *site) show(w http.ResponseWriter, v visitor, status int, name, title string, data any) error {
	// Everyone who is not signed in sees the same pages, so anybody may keep one for a moment.
	w.Header().Set("Vary", "Cookie")
	switch {
	case v.session != nil || v.private:
		w.Header().Set("Cache-Control", "private, no-cache")
	case status == http.StatusOK:
		w.Header().Set("Cache-Control", "public, max-age=5")
	}
	return t.write(w, status, name, view{Title: title, Visitor: v.session, Token: v.formToken, Data: data})
}

func (t *site) write(w http.ResponseWriter, status int, name string, data view) error {
	var out bytes.Buffer // a template's error must not leave half a page
	if err := t.pages[name].ExecuteTemplate(&out, "layout.html", data); err != nil {
		return fmt.Errorf("writing the page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(out.Len()))
	w.WriteHeader(status)
	w.Write(out.Bytes()) // an error is the client's leaving
	return nil
}

func (t *site) staticAddress(name string) string { return "/static/" + name + "?v=" + t.versions[name] }

// static serves the embedded files. An address with the right version never changes what it means.
func (t *site) static(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("file")
	version, ok := t.versions[name]
	if !ok {
		return errNone
	}
	text, err := embedded.ReadFile("static/" + name)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	if r.FormValue("v") == version {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	w.Header().Set("ETag", `"`+version+`"`)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(text))
	return nil
}

// healthz is well when the database answers.
func (t *site) healthz(w http.ResponseWriter, r *http.Request) error {
	var one int
	if err := t.store.db.QueryRowContext(r.Context(), "SELECT 1").Scan(&one); err != nil {
		return fmt.Errorf("asking the database: %w", err)
	}
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprintln(w, "ok")
	return nil
}

func day(at time.Time) string { return at.Format("2 January 2006") }

func moment(at time.Time) string { return at.Format(time.RFC3339) }

// count writes 12345 as 12,345.
func count(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
