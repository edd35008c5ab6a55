package files

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/exchange"
	"github.com/weirhq/weir/internal/message"
)

// TestMain checks that the suite leaves no goroutine and no descriptor behind.
func TestMain(m *testing.M) {
	if r, w, err := os.Pipe(); err == nil { // starts the runtime's poller, which keeps two
		_ = r.Close()
		_ = w.Close()
	}
	before := descriptors()
	code := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if after := descriptors(); before >= 0 && after > before {
		fmt.Fprintf(os.Stderr, "%d descriptors open, %d before\n", after, before)
		code = 1
	}
	os.Exit(code)
}

func descriptors() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(list)
}

var (
	changed = time.Date(2024, 3, 1, 12, 0, 0, 500e6, time.UTC)
	now     = time.Date(2024, 3, 2, 12, 0, 0, 0, time.UTC)
)

const changedText = "Fri, 01 Mar 2024 12:00:00 GMT"

// tree makes a directory of files by name and content; "name -> target" makes a link, "name/" a directory.
func tree(t testing.TB, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		name, content, _ := strings.Cut(f, "=")
		if link, target, ok := strings.Cut(name, " -> "); ok {
			must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, link)), 0o755))
			must(t, os.Symlink(target, filepath.Join(dir, link)))
			continue
		}
		full := filepath.Join(dir, name)
		if strings.HasSuffix(name, "/") {
			must(t, os.MkdirAll(full, 0o755))
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(full), 0o755))
		must(t, os.WriteFile(full, []byte(content), 0o644))
		must(t, os.Chtimes(full, changed, changed))
	}
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func root(t testing.TB, dir string) *Root {
	t.Helper()
	r, err := New(&config.Files{Root: dir, Index: []string{"index.html", "index.txt"}, CacheControl: "max-age=60", Precompressed: true})
	must(t, err)
	t.Cleanup(func() { must(t, r.Close()) })
	r.boundary = func() string { return "BOUNDARY" }
	return r
}

func get(method, target string, fields ...string) *exchange.Exchange {
	x := &exchange.Exchange{}
	path, query, has := strings.Cut(target, "?")
	x.Req = message.Request{MethodText: []byte(method), Path: []byte(path), Query: []byte(query), HasQuery: has}
	x.Req.Method = map[string]message.Method{"GET": message.GET, "HEAD": message.HEAD, "POST": message.POST, "OPTIONS": message.OPTIONS}[method]
	x.Journal.Start = now
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		x.Req.Fields.Add(message.Lookup(name), []byte(name), []byte(value))
	}
	return x
}

// body reads what an answer sends, and closes it.
func body(t testing.TB, a *Answer) string {
	t.Helper()
	var b bytes.Buffer
	for _, p := range a.Parts {
		if p.Bytes != nil {
			b.Write(p.Bytes)
			continue
		}
		if _, err := io.Copy(&b, io.NewSectionReader(a.File, p.Off, p.N)); err != nil {
			t.Fatal(err)
		}
	}
	must(t, a.Close())
	must(t, a.Close())
	return b.String()
}

func open(t testing.TB, r *Root, x *exchange.Exchange) (Answer, string) {
	t.Helper()
	a := r.Open(x.Req.Path, x)
	s := body(t, &a)
	if len(a.Parts)+len(s) > 0 && a.Length != int64(len(s)) {
		t.Errorf("%s: length %d of %d bytes", x.Req.Path, a.Length, len(s))
	}
	return a, s
}

func TestFiles(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 4096)
	dir := tree(t, "index.html=home", "a.css=body{}", "big.bin="+big, "empty.txt=", "sub/index.txt=sub", "none/", ".secret=s", ".git/config=s",
		".well-known/acme=ok", "sub/.well-known/x=s", "a b é.txt=odd", "noext=x", "A.JPG=jpg", "100%.txt=percent", `back\slash=b`)
	r := root(t, dir)
	for _, c := range []struct {
		path   string
		status int
		body   string
		typ    string
	}{
		{"/", 200, "home", "text/html; charset=utf-8"},
		{"/index.html", 200, "home", "text/html; charset=utf-8"},
		{"/a.css", 200, "body{}", "text/css; charset=utf-8"},
		{"/big.bin", 200, big, "application/octet-stream"},
		{"/empty.txt", 200, "", "text/plain; charset=utf-8"},
		{"/sub/", 200, "sub", "text/plain; charset=utf-8"},
		{"/sub", 301, "", ""},
		{"/none/", 404, "", ""},
		{"/a.css/", 404, "", ""},
		{"/a.css/x", 404, "", ""},
		{"/nothing", 404, "", ""},
		{"/.secret", 404, "", ""},
		{"/.git/config", 404, "", ""},
		{"/%2egit/config", 404, "", ""},
		{"/sub/../index.html", 404, "", ""},
		{"/..", 404, "", ""},
		{"/%2e%2e/x", 404, "", ""},
		{"/..%2fx", 404, "", ""},
		{"/sub%2findex.txt", 404, "", ""},
		{"/sub%2Findex.txt", 404, "", ""},
		{"/a.css%00.html", 404, "", ""},
		{"/a.css%", 404, "", ""},
		{"/a.css%4", 404, "", ""},
		{"/%gg", 404, "", ""},
		{"//a.css", 404, "", ""},
		{"*", 404, "", ""},
		{"", 404, "", ""},
		{"/.well-known/acme", 200, "ok", "application/octet-stream"},
		{"/sub/.well-known/x", 404, "", ""},
		{"/a%20b%20%C3%A9.txt", 200, "odd", "text/plain; charset=utf-8"},
		{"/noext", 200, "x", "application/octet-stream"},
		{"/A.JPG", 200, "jpg", "image/jpeg"},
		{"/100%25.txt", 200, "percent", "text/plain; charset=utf-8"},
		{"/back%5Cslash", 200, "b", "application/octet-stream"},
		{"/" + strings.Repeat("n", 300), 404, "", ""},
		{"/" + strings.Repeat("n/", 3000), 404, "", ""},
		{"/" + strings.Repeat("n/", 1500), 404, "", ""},
	} {
		a, got := open(t, r, get("GET", c.path))
		if a.Status != c.status || got != c.body || a.Type != c.typ || a.Err != nil {
			t.Errorf("%s: %d %.20q %q %v", c.path, a.Status, got, a.Type, a.Err)
		}
		if c.status == 200 && (a.ETag == "" || a.LastModified != changedText || a.CacheControl != "max-age=60" || !a.AcceptRanges) {
			t.Errorf("%s: fields %+v", c.path, a)
		}
		h, none := open(t, r, get("HEAD", c.path))
		if h.Status != a.Status || none != "" || h.Length != a.Length || h.ETag != a.ETag || h.Type != a.Type {
			t.Errorf("HEAD %s: %+v", c.path, h)
		}
	}
}

func TestOtherMethods(t *testing.T) {
	r := root(t, tree(t, "a=x"))
	for _, m := range []string{"POST", "OPTIONS", "PROPFIND"} {
		if a, _ := open(t, r, get(m, "/a")); a.Status != 405 || a.Allow != "GET, HEAD" {
			t.Errorf("%s: %+v", m, a)
		}
	}
}

func TestDirectoryWithoutSlash(t *testing.T) {
	r := root(t, tree(t, "css/index.html=x"))
	for _, c := range []struct{ asked, path, want string }{
		{"/static/css?v=1", "/css", "/static/css/?v=1"},
		{"/css", "/css", "/css/"},
		{"/caf%C3%A9", "/css", "/caf%C3%A9/"},
		{"/a\r\nb?c\r\nd", "/css", "/a%0D%0Ab/?c%0D%0Ad"},
		{`/\evil`, "/css", "/%5Cevil/"},
		{"//evil", "/css", "/%2Fevil/"},
	} {
		a := r.Open([]byte(c.path), get("GET", c.asked))
		if a.Status != 301 || a.Location != c.want {
			t.Errorf("%q: %d %q, want %q", c.asked, a.Status, a.Location, c.want)
		}
	}
	// The rewrite took the slash away: sending the client to what it asked for would never end.
	a := r.Open([]byte("/css"), get("GET", "/page/"))
	if a.Status != 200 || body(t, &a) != "x" {
		t.Errorf("%+v", a)
	}
}

func TestNoWayOut(t *testing.T) {
	outside := tree(t, "secret=secret", "dir/secret=secret")
	dir := tree(t, "in/real=inside", "ok -> in/real", "dir -> in", "up/ok -> ../in/real", "chain -> ok",
		"out -> "+outside+"/secret", "outdir -> "+outside+"/dir", "rel -> ../"+filepath.Base(outside)+"/secret",
		"chainout -> chain2", "chain2 -> out", "in/upup -> ../../../../../../../../etc/passwd", "loop -> loop", "loop1 -> loop2", "loop2 -> loop1", "dangling -> nothing",
		"self -> .", "back -> in/../out")
	r := root(t, dir)
	for path, want := range map[string]int{"/ok": 200, "/dir/real": 200, "/up/ok": 200, "/chain": 200, "/self/in/real": 200, "/self/self/ok": 200,
		"/out": 404, "/outdir/secret": 404, "/rel": 404, "/chainout": 404, "/in/upup": 404, "/loop": 404, "/loop1": 404, "/dangling": 404, "/back": 404, "/self/out": 404} {
		a, got := open(t, r, get("GET", path))
		if a.Status != want || want == 200 && got != "inside" {
			t.Errorf("%s: %d %q %v, want %d", path, a.Status, got, a.Err, want)
		}
	}
}

// A link that changes between inside and outside while it is followed must never show what is outside.
func TestNoWayOutByARace(t *testing.T) {
	outside := tree(t, "d/f=secret")
	dir := tree(t, "in/f=inside")
	r := root(t, dir)
	link := filepath.Join(dir, "d")
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			target := []string{"in", outside + "/d", "../" + filepath.Base(outside) + "/d"}[i%3]
			if err := os.Symlink(target, link+".new"); err != nil {
				t.Error(err)
				return
			}
			if err := os.Rename(link+".new", link); err != nil {
				t.Error(err)
				return
			}
		}
	})
	seen := map[int]int{}
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
		a, got := open(t, r, get("GET", "/d/f"))
		if seen[a.Status]++; a.Status == 200 && got != "inside" || a.Status != 200 && a.Status != 404 {
			t.Errorf("%d %q %v", a.Status, got, a.Err)
		}
	}
	close(done)
	wg.Wait()
	t.Log(seen)
}

func TestNotRegular(t *testing.T) {
	dir := tree(t, "a=x", "index/index.html/", "index/index.txt=second")
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo.html"), 0o644))
	must(t, syscall.Mkfifo(filepath.Join(dir, "a.gz"), 0o644))
	r := root(t, dir)
	if a, _ := open(t, r, get("GET", "/fifo.html")); a.Status != 404 {
		t.Errorf("a FIFO: %d %v", a.Status, a.Err)
	}
	if a, got := open(t, r, get("GET", "/a", "Accept-Encoding: gzip")); a.Status != 200 || got != "x" || a.ContentEncoding != "" {
		t.Errorf("a FIFO as neighbour: %+v", a)
	}
	if a, got := open(t, r, get("GET", "/index/")); a.Status != 200 || got != "second" {
		t.Errorf("a directory as index: %+v", a)
	}
	if _, err := New(&config.Files{Root: filepath.Join(dir, "fifo.html")}); err == nil {
		t.Error("a FIFO is taken for a root")
	}
	if _, err := New(&config.Files{Root: filepath.Join(dir, "a")}); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("a file is taken for a root: %v", err)
	}
	if _, err := New(&config.Files{Root: filepath.Join(dir, "b")}); err == nil || !strings.Contains(err.Error(), "does not exist: create") {
		t.Error(err)
	}
}

func TestUnreadable(t *testing.T) {
	for err, want := range map[error]int{
		&os.PathError{Err: syscall.EACCES}: 403, &os.PathError{Err: syscall.EPERM}: 403, &os.PathError{Err: syscall.ENOENT}: 404, &os.PathError{Err: syscall.ELOOP}: 404,
		&os.PathError{Err: syscall.EMFILE}: 503, &os.PathError{Err: syscall.EIO}: 500, os.ErrClosed: 500,
	} {
		if got := failed(err); got.Status != want || (got.Err != nil) != (want >= 500) {
			t.Errorf("%v: %+v", err, got)
		}
	}
	dir := tree(t, "a.txt=x", "d/index.html=x")
	must(t, os.Chmod(filepath.Join(dir, "a.txt"), 0))
	must(t, os.Chmod(filepath.Join(dir, "d"), 0))
	t.Cleanup(func() { must(t, os.Chmod(filepath.Join(dir, "d"), 0o755)) })
	want := 403
	if os.Geteuid() == 0 {
		want = 200 // permissions do not bind root
	}
	r := root(t, dir)
	for _, p := range []string{"/a.txt", "/d/"} {
		if a, _ := open(t, r, get("GET", p)); a.Status != want {
			t.Errorf("%s: %d, want %d", p, a.Status, want)
		}
	}
}

func TestPrecompressed(t *testing.T) {
	dir := tree(t, "a.js=plain", "a.js.gz=gzip!", "a.js.br=brotli", "b.js=plain", "b.js.gz=old", "c.js=plain", "c.js.gz=gzip", "i.png=png", "i.png.gz=gz", "d.js=plain", "d.js.zst=zstd", "d.js.gz=gzip")
	must(t, os.Chtimes(filepath.Join(dir, "b.js.gz"), changed.Add(-time.Second), changed.Add(-time.Second)))
	r := root(t, dir)
	for _, c := range []struct {
		path, accept, coding, body string
		vary                       bool
	}{
		{"/a.js", "", "", "plain", true},
		{"/a.js", "gzip", "gzip", "gzip!", true},
		{"/a.js", "x-gzip", "gzip", "gzip!", true},
		{"/a.js", "GZIP", "gzip", "gzip!", true},
		{"/a.js", "gzip, deflate, br, zstd", "br", "brotli", true},
		{"/a.js", "gzip;q=1, br;q=0.9", "gzip", "gzip!", true},
		{"/a.js", "*", "br", "brotli", true},
		{"/a.js", "*;q=0.5, br;q=0", "gzip", "gzip!", true},
		{"/a.js", "gzip;q=0.5, identity", "", "plain", true},
		{"/a.js", "gzip;q=0", "", "plain", true},
		{"/a.js", "deflate", "", "plain", true},
		{"/a.js", "gzip;q=1.5", "", "plain", true},
		{"/a.js", "gzip;level=9", "", "plain", true},
		{"/a.js", "identity;q=0, gzip;q=0.001", "gzip", "gzip!", true},
		{"/b.js", "gzip", "", "plain", false}, // the neighbour is older than the file
		{"/c.js", "br, zstd", "", "plain", true},
		{"/d.js", "gzip, zstd", "zstd", "zstd", true},
		{"/i.png", "gzip", "", "png", false}, // packed already
	} {
		fields := []string{"Accept-Encoding: " + c.accept}
		if c.accept == "" {
			fields = nil
		}
		a, got := open(t, r, get("GET", c.path, fields...))
		if a.Status != 200 || a.ContentEncoding != c.coding || got != c.body || a.Vary != c.vary {
			t.Errorf("%s for %q: %d %q %q vary %v", c.path, c.accept, a.Status, a.ContentEncoding, got, a.Vary)
		}
		if want := typeOf(c.path); a.Type != want {
			t.Errorf("%s: type %q, want %q", c.path, a.Type, want)
		}
	}
	for _, refused := range []string{"identity;q=0", "*;q=0", "br;q=1, *;q=0"} {
		if a, _ := open(t, r, get("GET", "/c.js", "Accept-Encoding: "+refused)); a.Status != 406 || !a.Vary {
			t.Errorf("%q: %+v", refused, a)
		}
		if a, _ := open(t, r, get("GET", "/b.js", "Accept-Encoding: "+refused)); a.Status != 200 {
			t.Errorf("%q where there is no choice: %+v", refused, a)
		}
	}
	// Two lines are one list; each encoding has a tag of its own; a range is of the chosen encoding.
	a, _ := open(t, r, get("GET", "/a.js", "Accept-Encoding: br;q=0.5", "Accept-Encoding: gzip"))
	b, _ := open(t, r, get("GET", "/a.js"))
	if a.ContentEncoding != "gzip" || a.ETag == b.ETag {
		t.Errorf("%+v and %+v", a, b)
	}
	if a, got := open(t, r, get("GET", "/a.js", "Accept-Encoding: br", "Range: bytes=-3")); a.Status != 206 || got != "tli" || a.ContentRange != "bytes 3-5/6" || a.ContentEncoding != "br" {
		t.Errorf("%+v %q", a, got)
	}
	if a, _ := open(t, r, get("GET", "/a.js", "Accept-Encoding: br", "If-None-Match: "+b.ETag)); a.Status != 200 {
		t.Errorf("the plain file's tag says 'not modified' of brotli: %+v", a)
	}
}

func TestConditions(t *testing.T) {
	r := root(t, tree(t, "a.html=0123456789", "a.html.gz=x"))
	first, _ := open(t, r, get("GET", "/a.html"))
	tag := first.ETag
	const before, after = "Fri, 01 Mar 2024 11:59:59 GMT", "Fri, 01 Mar 2024 12:00:01 GMT"
	for _, c := range []struct {
		section, fields string
		want            int
	}{
		{"13.1.1", "If-Match: " + tag, 200}, {"13.1.1", `If-Match: "x"`, 412}, {"13.1.1", "If-Match: *", 200}, {"13.1.1", `If-Match: "x" , ` + tag, 200},
		{"13.1.1", "If-Match: W/" + tag, 412}, {"13.1.1", `If-Match: "x"|If-Match: ` + tag, 200}, {"13.1.1", "If-Match: garbage", 412},
		{"13.1.2", "If-None-Match: " + tag, 304}, {"13.1.2", "If-None-Match: W/" + tag, 304}, {"13.1.2", "If-None-Match: *", 304}, {"13.1.2", `If-None-Match: "x"`, 200},
		{"13.1.2", `If-None-Match: "x", "y",` + tag, 304}, {"13.1.2", `If-None-Match: "x"|If-None-Match: ` + tag, 304}, {"13.1.2", "If-None-Match: " + tag[:len(tag)-1], 200},
		{"13.1.3", "If-Modified-Since: " + changedText, 304}, {"13.1.3", "If-Modified-Since: " + after, 304}, {"13.1.3", "If-Modified-Since: " + before, 200},
		{"13.1.3", "If-Modified-Since: nonsense", 200}, {"13.1.3", "If-Modified-Since: " + changedText + "|If-Modified-Since: " + changedText, 200},
		{"13.1.3", "If-Modified-Since: Friday, 01-Mar-24 12:00:00 GMT", 304}, {"13.1.3", "If-Modified-Since: Fri Mar  1 12:00:00 2024", 304},
		{"13.1.4", "If-Unmodified-Since: " + changedText, 200}, {"13.1.4", "If-Unmodified-Since: " + before, 412}, {"13.1.4", "If-Unmodified-Since: nonsense", 200},
		{"13.2.2 step 1 before 2", "If-Match: " + tag + "|If-Unmodified-Since: " + before, 200},
		{"13.2.2 step 1 before 3", `If-Match: "x"|If-None-Match: ` + tag, 412},
		{"13.2.2 step 2 before 3", "If-Unmodified-Since: " + before + "|If-None-Match: " + tag, 412},
		{"13.2.2 step 3 before 4", `If-None-Match: "x"|If-Modified-Since: ` + after, 200},
		{"13.2.2 step 3 before 4", "If-None-Match: " + tag + "|If-Modified-Since: " + before, 304},
		{"13.2.2 step 5", "Range: bytes=0-1", 206}, {"13.2.2 step 3 before 5", "Range: bytes=0-1|If-None-Match: " + tag, 304},
		{"13.2.2 step 1 before 5", `Range: bytes=0-1|If-Match: "x"`, 412},
		{"13.1.5", "Range: bytes=0-1|If-Range: " + tag, 206}, {"13.1.5", "Range: bytes=0-1|If-Range: W/" + tag, 200}, {"13.1.5", `Range: bytes=0-1|If-Range: "x"`, 200},
		{"13.1.5", "Range: bytes=0-1|If-Range: " + changedText, 206}, {"13.1.5", "Range: bytes=0-1|If-Range: " + after, 200}, {"13.1.5", "Range: bytes=0-1|If-Range: " + before, 200},
		{"13.1.5", "Range: bytes=99-|If-Range: \"x\"", 200}, {"13.1.5", "If-Range: \"x\"", 200}, {"13.1.5", "Range: bytes=0-1|If-Range: " + tag + ", " + tag, 200},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			want := c.want
			if method == "HEAD" && want == 206 {
				want = 200 // section 14.2: ranges are for GET
			}
			a, _ := open(t, r, get(method, "/a.html", strings.Split(c.fields, "|")...))
			if a.Status != want {
				t.Errorf("section %s, %s %s: %d, want %d", c.section, method, c.fields, a.Status, want)
			}
			if a.Status == 304 && (a.ETag != tag || a.CacheControl == "" || !a.Vary || a.Type != "") {
				t.Errorf("section 15.4.5: %+v", a)
			}
		}
	}
}

// Section 8.8.2.1: a file from the future was changed now; and a date within a second of now is a weak validator.
func TestModifiedInTheFuture(t *testing.T) {
	dir := tree(t, "a=0123456789")
	must(t, os.Chtimes(filepath.Join(dir, "a"), now.Add(time.Hour), now.Add(time.Hour)))
	r := root(t, dir)
	a, _ := open(t, r, get("GET", "/a"))
	if want := now.Format(http.TimeFormat); a.LastModified != want {
		t.Errorf("%q, want %q", a.LastModified, want)
	}
	if a, _ := open(t, r, get("GET", "/a", "Range: bytes=0-1", "If-Range: "+a.LastModified)); a.Status != 200 {
		t.Errorf("a weak date let a range pass: %d", a.Status)
	}
}

func TestRanges(t *testing.T) {
	const digits = "0123456789"
	r := root(t, tree(t, "a.bin="+digits, "empty.bin="))
	for _, c := range []struct {
		spec         string
		status       int
		body, ranged string
	}{
		{"bytes=0-3", 206, "0123", "bytes 0-3/10"}, {"bytes=4-", 206, "456789", "bytes 4-9/10"}, {"bytes=-2", 206, "89", "bytes 8-9/10"},
		{"bytes=0-", 206, digits, "bytes 0-9/10"}, {"bytes=-99", 206, digits, "bytes 0-9/10"}, {"bytes=8-99", 206, "89", "bytes 8-9/10"}, {"bytes=9-9", 206, "9", "bytes 9-9/10"},
		{"BYTES=1-1", 206, "1", "bytes 1-1/10"}, {"bytes= 1-2 ,", 206, "12", "bytes 1-2/10"}, {"bytes=1-99999999999999999999999", 206, digits[1:], "bytes 1-9/10"},
		{"bytes=0-1,2-3", 206, "0123", "bytes 0-3/10"}, {"bytes=0-4,3-5", 206, "012345", "bytes 0-5/10"}, {"bytes=20-,3-5", 206, "345", "bytes 3-5/10"},
		{"bytes=10-", 416, "", "bytes */10"}, {"bytes=-0", 416, "", "bytes */10"}, {"bytes=99999999999999999999999-", 416, "", "bytes */10"}, {"bytes=10-,11-12", 416, "", "bytes */10"},
		{"bytes=3-1", 200, digits, ""}, {"bytes=", 200, digits, ""}, {"bytes=,", 200, digits, ""}, {"bytes=-", 200, digits, ""}, {"bytes=a-b", 200, digits, ""}, {"bytes=1", 200, digits, ""},
		{"bytes=1-2-3", 200, digits, ""}, {"bytes=+1-2", 200, digits, ""}, {"bytes=1 - 2", 200, digits, ""}, {"lines=1-2", 200, digits, ""}, {"bytes", 200, digits, ""}, {"bytes=0-1,x", 200, digits, ""},
		{"bytes=--1", 200, digits, ""}, {"bytes=0-,0-,0-,0-", 200, digits, ""}, {"bytes=" + strings.Repeat("1-1,", 17), 200, digits, ""}, {"bytes=0-5,7-9", 206, "", ""}, {"bytes=0-0,2-9,1-1", 206, digits, "bytes 0-9/10"},
	} {
		a, got := open(t, r, get("GET", "/a.bin", "Range: "+c.spec))
		if a.Status != c.status || a.ContentRange != c.ranged || c.ranged+c.body != "" && got != c.body {
			t.Errorf("%q: %d %q %q", c.spec, a.Status, got, a.ContentRange)
		}
		if a.Status == 416 && (a.ETag != "" || a.Length != 0) {
			t.Errorf("%q: %+v", c.spec, a)
		}
	}
	for spec, want := range map[string]int{"bytes=0-": 416, "bytes=-5": 200, "bytes=-0": 416, "bytes=0-,-1": 200} {
		if a, _ := open(t, r, get("GET", "/empty.bin", "Range: "+spec)); a.Status != want {
			t.Errorf("%q of nothing: %d", spec, a.Status)
		}
	}
	if a, _ := open(t, r, get("GET", "/a.bin", "Range: bytes=0-1", "Range: bytes=2-3")); a.Status != 200 {
		t.Errorf("two Range fields: %d", a.Status)
	}
}

func TestSeveralRanges(t *testing.T) {
	big := strings.Repeat("0123456789", 10_000)
	r := root(t, tree(t, "a.txt=0123456789", "big.txt="+big))
	for path, content := range map[string]string{"/a.txt": "0123456789", "/big.txt": big} {
		n := len(content)
		spec := fmt.Sprintf("bytes=-2, 0-%d , %d-%d", n/3, n/2, n/2+1)
		a, got := open(t, r, get("GET", path, "Range: "+spec))
		if a.Status != 206 || a.ContentRange != "" || a.Type != "multipart/byteranges; boundary=BOUNDARY" {
			t.Fatalf("%+v", a)
		}
		m := multipart.NewReader(strings.NewReader(got), "BOUNDARY")
		for _, want := range [][2]int{{n - 2, n - 1}, {0, n / 3}, {n / 2, n/2 + 1}} {
			p, err := m.NextPart()
			must(t, err)
			b, err := io.ReadAll(p)
			must(t, err)
			if string(b) != content[want[0]:want[1]+1] || p.Header.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", want[0], want[1], n) || p.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("%s: %v %.20q", path, p.Header, b)
			}
		}
		if _, err := m.NextPart(); err != io.EOF {
			t.Error(err)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	r := root(t, tree(t, "a=aaaa", "b="+strings.Repeat("b", Small), "c="+strings.Repeat("c", Small+1)))
	var wg sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "a", "b", "c"} {
		wg.Go(func() {
			for range 200 {
				a := r.Open([]byte("/"+name), get("GET", "/"+name))
				if (a.File != nil) != (name == "c") {
					t.Errorf("%s: file %v", name, a.File)
				}
				if got := body(t, &a); strings.Trim(got, name) != "" || len(got) < 4 {
					t.Errorf("%s: %.20q", name, got)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkOpenSmall(b *testing.B) {
	r := root(b, tree(b, "css/a.css="+strings.Repeat("x", 1000)))
	x := get("GET", "/css/a.css", "Accept-Encoding: gzip, br, zstd")
	b.ReportAllocs()
	for b.Loop() {
		a := r.Open(x.Req.Path, x)
		if err := a.Close(); err != nil || a.Status != 200 {
			b.Fatal(a, err)
		}
	}
}
