package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const (
	testUsers  = 40
	testPhotos = 600
)

func TestMain(m *testing.M) {
	passwordCost = 1000
	slog.SetDefault(slog.New(slog.DiscardHandler))
	if os.Getenv("PHOTOS_IS_THE_PROGRAM") == "1" { // see process_test.go
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// databases are where the tests run: SQLite always, PostgreSQL when PHOTOS_TEST_POSTGRES has the URL of an empty one.
func database(t *testing.T) string {
	t.Helper()
	if where := os.Getenv("PHOTOS_TEST_POSTGRES"); where != "" {
		return where
	}
	return filepath.Join(t.TempDir(), "photos.db")
}

// browser is a visitor with cookies.
type browser struct {
	t      *testing.T
	base   string
	client *http.Client
}

func startSite(t *testing.T) (*store, *browser) {
	t.Helper()
	s, err := openStore(t.Context(), database(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close() })
	if err := s.fill(t.Context(), testUsers, testPhotos, &bar{}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(newSite(s).handler())
	t.Cleanup(server.Close)
	return s, newBrowser(t, server.URL, server.Client().Transport)
}

func newBrowser(t *testing.T, base string, transport http.RoundTripper) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, base, &http.Client{Jar: jar, Transport: transport, Timeout: 20 * time.Second}}
}

// do returns the final answer after redirects, and its body.
func (b *browser) do(req *http.Request) (*http.Response, string) {
	b.t.Helper()
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp, string(body)
}

func (b *browser) get(path string) (*http.Response, string) {
	b.t.Helper()
	req, err := http.NewRequest("GET", b.base+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(req)
}

func (b *browser) post(path string, form url.Values) (*http.Response, string) {
	b.t.Helper()
	req, err := http.NewRequest("POST", b.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(req)
}

var tokenForm = regexp.MustCompile(`name="token" value="([^"]+)"`)

// token is that of the first form of a page.
func (b *browser) token(path string) string {
	b.t.Helper()
	_, body := b.get(path)
	found := tokenForm.FindStringSubmatch(body)
	if found == nil {
		b.t.Fatalf("no form on %s: %.500s", path, body)
	}
	return found[1]
}

func (b *browser) signIn(name, password string) (*http.Response, string) {
	b.t.Helper()
	return b.post("/signin", url.Values{"token": {b.token("/signin")}, "name": {name}, "password": {password}, "next": {"/u/" + name}})
}

// send uploads a file by the form.
func (b *browser) send(token, title string, file []byte) (*http.Response, string) {
	b.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	w.WriteField("token", token)
	w.WriteField("title", title)
	part, err := w.CreateFormFile("photo", "a.png")
	if err != nil {
		b.t.Fatal(err)
	}
	part.Write(file)
	w.Close()
	req, err := http.NewRequest("POST", b.base+"/upload", &body)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", w.FormDataContentType())
	return b.do(req)
}

func TestPages(t *testing.T) {
	_, b := startSite(t)
	name, shown := madeName(1)
	tests := []struct {
		path   string
		status int
		want   string
	}{
		{"/", 200, fmt.Sprintf(`href="/p/%d"`, testPhotos)},
		{"/?before=11", 200, `href="/p/1"`},
		{"/?after=1", 200, `href="/p/2"`},
		{"/?before=1", 404, "nothing at this address"},
		{"/?before=x", 400, "no photo"},
		{"/?before=-1", 400, "no photo"},
		{"/u/" + name, 200, "<h1>" + shown + "</h1>"},
		{"/u/nobody", 404, "nothing at this address"},
		{"/p/1", 200, "<h1>"},
		{"/p/0", 404, "nothing"},
		{"/p/01", 404, "nothing"},
		{"/p/99999999999999999999", 404, "nothing"},
		{"/signin", 200, "Welcome back"},
		{"/signup", 200, "Join Heliograph"},
		{"/upload", 200, "Welcome back"}, // after a redirect
		{"/healthz", 200, "ok\n"},
		{"/static/none", 404, "nothing"},
		{"/images/1.png", 404, "nothing"},
		{"/none", 404, "nothing"},
	}
	for _, test := range tests {
		resp, body := b.get(test.path)
		if resp.StatusCode != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%s: %d, no %q in %.300s", test.path, resp.StatusCode, test.want, body)
		}
	}
}

var photoLink = regexp.MustCompile(`<li><a href="/p/(\d+)"`)

// TestPagination walks through all of a user's photos and back again.
func TestPagination(t *testing.T) {
	_, b := startSite(t)
	name, _ := madeName(1) // the first user has most
	next := regexp.MustCompile(`rel="next" href="([^"]+)"`)
	previous := regexp.MustCompile(`rel="prev" href="([^"]+)"`)
	walk := func(from string, link *regexp.Regexp) (pages []string, last string) {
		for path := from; ; {
			_, body := b.get("/u/" + name + path)
			var ids []string
			for _, id := range photoLink.FindAllStringSubmatch(body, -1) {
				ids = append(ids, id[1])
			}
			pages = append(pages, strings.Join(ids, " "))
			found := link.FindStringSubmatch(body)
			if found == nil || len(pages) > 50 {
				return pages, path
			}
			path = found[1]
		}
	}
	older, last := walk("", next)
	newer, _ := walk(last, previous)
	if len(older) < 3 || len(older) != len(newer) {
		t.Fatalf("%d pages there, %d back", len(older), len(newer))
	}
	seen := map[string]bool{}
	for i, page := range older {
		if back := newer[len(newer)-1-i]; i < len(older)-1 && i > 0 && back == "" {
			t.Errorf("page %d is empty on the way back", i)
		}
		for _, id := range strings.Fields(page) {
			if seen[id] {
				t.Errorf("photo %s is on two pages", id)
			}
			seen[id] = true
		}
	}
	_, body := b.get("/u/" + name)
	if !strings.Contains(body, fmt.Sprintf("<p>%d photos", len(seen))) {
		t.Errorf("%d photos were seen, the page says otherwise", len(seen))
	}
}

func TestImage(t *testing.T) {
	s, b := startSite(t)
	first, body := b.get("/images/7.jpg")
	if first.StatusCode != 200 || first.Header.Get("Content-Type") != "image/jpeg" || !strings.Contains(first.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("%s %v", first.Status, first.Header)
	}
	p, err := s.photo(t.Context(), 7)
	if err != nil {
		t.Fatal(err)
	}
	img, err := jpeg.Decode(strings.NewReader(body))
	if err != nil || img.Bounds().Dx() != p.Width || img.Bounds().Dy() != p.Height {
		t.Errorf("%v, %v", img.Bounds(), err)
	}
	kept, err := s.picture(t.Context(), 7)
	if err != nil || string(kept.Data) != body {
		t.Errorf("the picture was not kept: %v", err)
	}
	if _, again := b.get("/images/7.jpg"); again != body {
		t.Error("the second look differs")
	}
	req, err := http.NewRequest("GET", b.base+"/images/7.jpg", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("If-None-Match", first.Header.Get("ETag"))
	if resp, body := b.do(req); resp.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("unchanged: %s", resp.Status)
	}
}

func TestSession(t *testing.T) {
	_, b := startSite(t)
	name, shown := madeName(3)
	if resp, body := b.signIn(name, "wrong"); resp.StatusCode != 403 || !strings.Contains(body, "do not belong together") {
		t.Errorf("wrong password: %s", resp.Status)
	}
	if resp, _ := b.signIn("nobody", demoPassword); resp.StatusCode != 403 {
		t.Errorf("nobody: %s", resp.Status)
	}
	resp, body := b.signIn(name, demoPassword)
	if resp.StatusCode != 200 || !strings.Contains(body, "Sign out") || !strings.Contains(body, shown) {
		t.Fatalf("signed in: %s %.500s", resp.Status, body)
	}
	if resp.Header.Get("Cache-Control") != "private, no-cache" {
		t.Error("a member's page may be shared")
	}
	at, _ := url.Parse(b.base)
	for _, cookie := range b.client.Jar.Cookies(at) {
		if cookie.Name == formCookie {
			t.Error("the form's cookie is still there")
		}
	}
	if resp, _ := b.post("/signout", url.Values{"token": {"wrong"}}); resp.StatusCode != 403 {
		t.Errorf("signing out without the token: %s", resp.Status)
	}
	if _, body := b.post("/signout", url.Values{"token": {b.token("/")}}); !strings.Contains(body, "Sign in") {
		t.Error("still signed in")
	}
}

func TestFormsOfOthersAreRefused(t *testing.T) {
	_, b := startSite(t)
	name, _ := madeName(3)
	form := url.Values{"token": {b.token("/signin")}, "name": {name}, "password": {demoPassword}}
	stranger := newBrowser(t, b.base, b.client.Transport) // has the token, but not the cookie
	if resp, _ := stranger.post("/signin", form); resp.StatusCode != 403 {
		t.Errorf("a token without its cookie: %s", resp.Status)
	}
	req, err := http.NewRequest("POST", b.base+"/signin", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	if resp, _ := b.do(req); resp.StatusCode != 403 {
		t.Errorf("from another site: %s", resp.Status)
	}
	form.Set("name", strings.Repeat("x", maxForm))
	if resp, _ := b.post("/signin", form); resp.StatusCode != 413 {
		t.Errorf("a huge form: %s", resp.Status)
	}
}

func TestSignUp(t *testing.T) {
	s, b := startSite(t)
	t.Cleanup(func() { s.db.Exec("DELETE FROM sessions"); s.db.Exec("DELETE FROM users WHERE name = 'new.one'") })
	taken, _ := madeName(1)
	tests := []struct {
		name, shown, password string
		status                int
		want                  string
	}{
		{"Big", "x", "0123456789", 400, "small letters"},
		{"a", "x", "short", 400, "10 to 200"},
		{"a", " ", "0123456789", 400, "what to call you"},
		{taken, "x", "0123456789", 409, "has that name"},
		{"new.one", "<b>New</b>", "0123456789", 200, "&lt;b&gt;New&lt;/b&gt;"},
	}
	for _, test := range tests {
		resp, body := b.post("/signup", url.Values{"token": {b.token("/signup")}, "name": {test.name}, "shown": {test.shown},
			"password": {test.password}, "next": {"//elsewhere.example"}})
		if resp.StatusCode != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%+v: %s", test, resp.Status)
		}
	}
	if resp, _ := newBrowser(t, b.base, b.client.Transport).signIn("new.one", "0123456789"); resp.StatusCode != 200 {
		t.Errorf("signing in afterwards: %s", resp.Status)
	}
}

func TestComment(t *testing.T) {
	s, b := startSite(t)
	name, shown := madeName(3)
	if resp, _ := b.post("/p/5/comments", url.Values{"body": {"x"}}); resp.StatusCode != 403 {
		t.Errorf("not signed in: %s", resp.Status)
	}
	b.signIn(name, demoPassword)
	token := b.token("/p/5")
	_, body := b.post("/p/5/comments", url.Values{"token": {token}, "body": {" <i>fine</i> "}})
	if !strings.Contains(body, "<p>&lt;i&gt;fine&lt;/i&gt;</p>") || !strings.Contains(body, shown+"</a>, <time") {
		t.Errorf("not shown: %.2000s", body)
	}
	list, err := s.comments(t.Context(), 5, 1)
	if err != nil || len(list) != 1 || list[0].Body != "<i>fine</i>" || list[0].Author.Name != name {
		t.Errorf("%+v, %v", list, err)
	}
	for want, form := range map[int]url.Values{
		400: {"token": {token}, "body": {strings.Repeat("x", maxRemark+1)}},
		403: {"token": {"x"}, "body": {"x"}},
	} {
		if resp, _ := b.post("/p/5/comments", form); resp.StatusCode != want {
			t.Errorf("got %s, want %d", resp.Status, want)
		}
	}
	if resp, _ := b.post("/p/9999999/comments", url.Values{"token": {token}, "body": {"x"}}); resp.StatusCode != 404 {
		t.Errorf("on no photo: %s", resp.Status)
	}
}

func TestUpload(t *testing.T) {
	s, b := startSite(t)
	if resp, _ := b.send("x", "x", nil); resp.StatusCode != 403 {
		t.Errorf("not signed in: %s", resp.Status)
	}
	name, _ := madeName(3)
	b.signIn(name, demoPassword)
	img := image.NewNRGBA(image.Rect(0, 0, 2*maxSide, 100))
	for x := range 2 * maxSide {
		for y := range 50 {
			img.Set(x, y, color.NRGBA{R: 255, A: 255})
		}
	}
	var file bytes.Buffer
	if err := png.Encode(&file, img); err != nil {
		t.Fatal(err)
	}
	token := b.token("/upload")
	resp, body := b.send(token, "Half red & half nothing", file.Bytes())
	if resp.StatusCode != 200 || !strings.Contains(body, "<h1>Half red &amp; half nothing</h1>") {
		t.Fatalf("%s %.500s", resp.Status, body)
	}
	id := strings.TrimPrefix(resp.Request.URL.Path, "/p/")
	_, data := b.get("/images/" + id + ".jpg")
	got, err := jpeg.Decode(strings.NewReader(data))
	if err != nil || got.Bounds().Size() != image.Pt(maxSide, 50) {
		t.Fatalf("%v, %v", got.Bounds(), err)
	}
	for at, want := range map[image.Point][3]uint32{{X: 9, Y: 5}: {255, 0, 0}, {X: 9, Y: 45}: {255, 255, 255}} {
		r, g, bl, _ := got.At(at.X, at.Y).RGBA()
		for i, part := range [3]uint32{r >> 8, g >> 8, bl >> 8} {
			if max(part, want[i])-min(part, want[i]) > 6 {
				t.Errorf("at %v: %d %d %d, want about %v", at, r>>8, g>>8, bl>>8, want)
				break
			}
		}
	}
	if _, front := b.get("/"); !strings.Contains(front, "/p/"+id+`"`) {
		t.Error("it is not on the front page")
	}
	var before int
	s.db.QueryRow("SELECT count(*) FROM photos").Scan(&before)
	huge := bytes.Clone(file.Bytes())
	copy(huge[16:], "\x00\x01\x00\x00\x00\x01\x00\x00") // a header of 65,536 × 65,536; its checksum is found wrong first, or its size
	bad := []struct {
		name, token, title string
		file               []byte
		status             int
	}{
		{"text", token, "x", []byte("no picture"), 415},
		{"cut off", token, "x", file.Bytes()[:60], 422},
		{"no title", token, " ", file.Bytes(), 400},
		{"no token", "", "x", file.Bytes(), 403},
		{"too large", token, "x", make([]byte, maxUpload+1), 413},
		{"a bomb", token, "x", huge, 415},
	}
	for _, test := range bad {
		if resp, body := b.send(test.token, test.title, test.file); resp.StatusCode != test.status {
			t.Errorf("%s: %s, want %d: %.1200s", test.name, resp.Status, test.status, body)
		}
	}
	var after int
	s.db.QueryRow("SELECT count(*) FROM photos").Scan(&after)
	if before != after {
		t.Errorf("%d bad uploads were stored", after-before)
	}
}

func TestStatic(t *testing.T) {
	_, b := startSite(t)
	_, body := b.get("/")
	address := regexp.MustCompile(`/static/style\.css\?v=\w+`).FindString(body)
	if resp, _ := b.get(address); resp.StatusCode != 200 || !strings.Contains(resp.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("%s: %s %v", address, resp.Status, resp.Header)
	}
	if resp, _ := b.get("/static/style.css?v=old"); strings.Contains(resp.Header.Get("Cache-Control"), "immutable") {
		t.Error("an old address is for ever")
	}
}

func TestLocal(t *testing.T) {
	for next, want := range map[string]string{
		"": "/", "/p/1": "/p/1", "/p/1?a=b#c": "/p/1?a=b#c", "//x.example": "/", "https://x.example/": "/", `/\x.example`: "/", "p": "/", "/\x00": "/",
	} {
		if got := local(next); got != want {
			t.Errorf("%q: got %q", next, got)
		}
	}
}

func TestPassword(t *testing.T) {
	hash, err := hashPassword(t.Context(), "secret")
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]bool{"secret": true, "Secret": false, "": false} {
		if got, err := checkPassword(t.Context(), hash, password); err != nil || got != want {
			t.Errorf("%q: %t, %v", password, got, err)
		}
	}
	for _, bad := range []string{"", "x$1$a$b", "pbkdf2-sha256$0$a$b", "pbkdf2-sha256$1$!$b", "pbkdf2-sha256$1$AAAA$!"} {
		if ok, err := checkPassword(t.Context(), bad, ""); ok || err == nil {
			t.Errorf("the hash %q was taken", bad)
		}
	}
	if _, err := checkPassword(t.Context(), strings.Replace(nobody, "600000", "10", 1), "x"); err != nil {
		t.Errorf("nobody's hash: %v", err)
	}
}

func TestMadeNamesDiffer(t *testing.T) {
	seen := map[string]bool{}
	for i := 1; i <= 20_000; i++ {
		name, _ := madeName(i)
		if seen[name] {
			t.Fatalf("user %d: %s is there already", i, name)
		}
		if !regexp.MustCompile(`^[a-z]+\.[a-z]+\d*$`).MatchString(name) {
			t.Fatalf("user %d: odd name %q", i, name)
		}
		seen[name] = true
	}
}

func TestDrawIsTheSameAgain(t *testing.T) {
	for seed := range int64(12) {
		a, err := draw(seed, 120, 90)
		if err != nil {
			t.Fatal(err)
		}
		b, err := draw(seed, 120, 90)
		if err != nil || !bytes.Equal(a.Data, b.Data) {
			t.Errorf("seed %d: two pictures, %v", seed, err)
		}
	}
}

func BenchmarkDraw(b *testing.B) {
	b.ReportAllocs()
	for i := range b.N {
		if _, err := draw(int64(i), 640, 480); err != nil {
			b.Fatal(err)
		}
	}
}
