// Package page holds the status page: its HTML, styles, script and type, and the handler that serves them, compressed once. The page
// knows weir only by the desk's API; nothing here reads a picture, asks who somebody is, or needs a build step.
package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/weirhq/weir/internal/desk/packed"
)

//go:embed assets
var assets embed.FS

// kinds are the types of the files, by the ends of their names. A file of another kind, such as a licence, is not served.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml", ".woff2": "font/woff2",
}

// asset is one file as it is sent.
type asset struct {
	kind  string
	tag   string // strong validator of the plain form; each coding has one of its own
	keep  bool   // its address changes when anything here changes
	plain []byte
	coded map[string][]byte // by coding, where that is smaller
}

// Handler answers GET / with the page, and below /assets/ what it is made of. Addresses there hold a hash of everything, so browsers keep
// what they have until there is something new.
func Handler() http.Handler {
	all, err := once()
	if err != nil { // what is embedded does not change: a test would have found it
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		})
	}
	return all
}

var once = sync.OnceValues(load)

// shelf is the assets by their addresses.
type shelf map[string]*asset

func load() (shelf, error) {
	names, err := fs.Glob(assets, "assets/*")
	if err != nil {
		return nil, fmt.Errorf("listing the page's files: %w", err)
	}
	sum := sha256.New()
	texts := map[string][]byte{}
	for _, name := range names {
		text, err := assets.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading the page's files: %w", err)
		}
		if kinds[path.Ext(name)] == "" {
			continue
		}
		fmt.Fprintf(sum, "%s %d\n", name, len(text)) //nolint:errcheck // a hash takes everything
		sum.Write(text)
		texts[path.Base(name)] = text
	}
	dir := "/assets/" + base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:9]) + "/"
	all := shelf{}
	for name, text := range texts {
		address, keep := dir+name, true
		if name == "index.html" {
			// Scripts and styles name each other by relative addresses: only the page has to know where they are.
			address, keep, text = "/", false, bytes.ReplaceAll(text, []byte(`"assets/`), []byte(`"`+dir))
		}
		if all[address], err = newAsset(kinds[path.Ext(name)], text, keep); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func newAsset(kind string, text []byte, keep bool) (*asset, error) {
	sum := sha256.Sum256(text)
	a := &asset{kind: kind, tag: base64.RawURLEncoding.EncodeToString(sum[:9]), keep: keep, plain: text, coded: map[string][]byte{}}
	if strings.HasPrefix(kind, "font/") {
		return a, nil // it is compressed already
	}
	var br, gz bytes.Buffer
	b := brotli.NewWriterOptions(&br, brotli.WriterOptions{Quality: 9, LGWin: 16}) // the usual window would take 30 MB for each file
	g, err := gzip.NewWriterLevel(&gz, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("compressing the page: %w", err)
	}
	for _, w := range []interface {
		Write([]byte) (int, error)
		Close() error
	}{b, g} {
		if _, err := w.Write(text); err != nil {
			return nil, fmt.Errorf("compressing the page: %w", err)
		}
		if err := w.Close(); err != nil {
			return nil, fmt.Errorf("compressing the page: %w", err)
		}
	}
	for coding, buf := range map[string]*bytes.Buffer{"br": &br, "gzip": &gz} {
		if buf.Len() < len(text) {
			a.coded[coding] = buf.Bytes()
		}
	}
	return a, nil
}

// ServeHTTP sends a file in the best coding that the client takes.
func (s shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := s[r.URL.Path]
	if a == nil {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	body, tag := a.plain, a.tag
	f := w.Header()
	for _, coding := range []string{"br", "gzip"} {
		if c := a.coded[coding]; c != nil && packed.Takes(r, coding) {
			body, tag = c, a.tag+"-"+coding
			f.Set("Content-Encoding", coding)
			break
		}
	}
	f.Set("Content-Type", a.kind)
	f.Set("Vary", "Accept-Encoding")
	f.Set("ETag", `"`+tag+`"`)
	if a.keep {
		f.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		f.Set("Cache-Control", "no-cache")
	}
	if matches(r.Header.Get("If-None-Match"), tag) {
		f.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	f.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		w.Write(body) //nolint:errcheck // the client is gone
	}
}

// matches reports whether If-None-Match names a validator (RFC 9110, section 13.1.2).
func matches(field, tag string) bool {
	for _, member := range strings.Split(field, ",") {
		member = strings.TrimPrefix(strings.TrimSpace(member), "W/")
		if member == "*" || member == `"`+tag+`"` {
			return true
		}
	}
	return false
}
