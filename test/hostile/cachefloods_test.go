package hostile

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// excess is an app of which every answer is too much of something.
func excess(t testing.TB) (address string, favourite *atomic.Int64) {
	t.Helper()
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 64 {
		z.Write(bytes.Repeat([]byte(`<esi:include src="/x"/>0000`), 1<<20/27)) //nolint:errcheck // memory takes it
	}
	z.Close()
	doc := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	var n atomic.Int64
	favourite = new(atomic.Int64)
	handle := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("ETag", `"1"`)
		text := "hello"
		switch {
		case strings.HasPrefix(r.URL.Path, "/favourite"):
			favourite.Add(1)
			text = strings.Repeat("f", 2000)
		case strings.HasPrefix(r.URL.Path, "/bomb"):
			w.Header().Set("Content-Encoding", "gzip")
			text = bomb.String()
		case strings.HasPrefix(r.URL.Path, "/another"):
			text = strings.Repeat(fmt.Sprintf(`<esi:include src="/another?%d"/>`, n.Add(1)), 4)
		case strings.HasPrefix(r.URL.Path, "/itself"):
			text = strings.Repeat(`<esi:include src="/itself"/>`, 10)
		case strings.HasPrefix(r.URL.Path, "/many"):
			text = strings.Repeat(`<esi:include src="/x"/>`, 5000)
		case strings.HasPrefix(r.URL.Path, "/deep"):
			text = strings.Repeat(`<esi:try><esi:attempt>`, 20_000)
		case strings.HasPrefix(r.URL.Path, "/open"):
			text = `<esi:include src="` + strings.Repeat("a", 3<<20)
		case strings.HasPrefix(r.URL.Path, "/doc"):
			w.Header().Set("Content-Type", "text/plain")
			text = string(doc)
		case strings.HasPrefix(r.URL.Path, "/varies"):
			w.Header().Set("Vary", "X-Variant, Accept-Language")
		case strings.HasPrefix(r.URL.Path, "/lists"):
			w.Header().Set("Vary", fmt.Sprint("X-", n.Add(1)))
		case strings.HasPrefix(r.URL.Path, "/alike"):
			w.Header().Set("No-Vary-Search", fmt.Sprintf("params=(\"x%d\")", n.Add(1)))
		case strings.HasPrefix(r.URL.Path, "/tags"):
			for range 20 {
				w.Header().Add("Surrogate-Key", strings.Repeat(fmt.Sprintf("t%d ", n.Add(1)), 40))
			}
		case strings.HasPrefix(r.URL.Path, "/mine"):
			w.Header().Set("Cache-Control", "private")
		case strings.HasPrefix(r.URL.Path, "/names"):
			w.Header().Set("Location", fmt.Sprintf("/names/%d", n.Add(1)))
			w.Header().Set("Cache-Group-Invalidation", fmt.Sprintf("\"g%d\"", n.Add(1)))
		}
		io.WriteString(w, text) //nolint:errcheck // who has left, has left
	}
	return testkit.ServeHTTP(t, http.HandlerFunc(handle)), favourite
}

func excessSite(t testing.TB, address string) *testkit.Weir {
	t.Helper()
	return testkit.Run(t, testkit.Setup{Plain: true, Config: fmt.Sprintf(`
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
pools: {app: {servers: ["%s"]}}
sites:
  - hosts: ["esi.test"]
    esi: on
    routes: [{pool: app, cache: {private: [sessionid]}}]
  - hosts: ["*"]
    routes: [{pool: app, cache: {private: [sessionid], key: {header: [X-Key]}}}]
cache: {memory: 16MiB}
`, address)})
}

// TestAmplification: a small request gets no answer out of proportion, and none that costs memory.
func TestAmplification(t *testing.T) {
	app, _ := excess(t)
	w := excessSite(t, app)
	ranges := func(n int, format string) string {
		var all []string
		for i := range n {
			all = append(all, strings.ReplaceAll(format, "N", fmt.Sprint(2*i)))
		}
		return "Range: bytes=" + strings.Join(all, ",") + "\r\n"
	}
	exchange(w.Address, "GET", "GET /doc HTTP/1.1\r\nHost: doc.test\r\n\r\n") //nolint:errcheck // the rows are looked at
	before := w.Edge().Now().RSS
	const doc = 1 << 20
	for _, c := range []struct {
		name, path, host, lines string
		most                    int
	}{
		{"a page that is packed", "/bomb", "esi.test", "", 1 << 20},
		{"a page that asks for others without end", "/another", "esi.test", "", 1 << 10},
		{"a page that asks for itself", "/itself", "esi.test", "", 1 << 10},
		{"a page of many boxes", "/many", "esi.test", "", 10 << 10},
		{"a page that is nested", "/deep", "esi.test", "", 1 << 20},
		{"a tag that never ends", "/open", "esi.test", "", 4 << 20},
		{"ranges that overlap", "/doc", "doc.test", ranges(2000, "0-1048575"), doc},
		{"ranges of one byte", "/doc", "doc.test", ranges(3000, "N-N"), doc},
		{"ranges that reach to the end", "/doc", "doc.test", ranges(3000, "N-"), doc},
		{"the last bytes, again and again", "/doc", "doc.test", ranges(3000, "-1N"), doc},
		{"ranges of what is not there", "/doc?1", "doc.test", ranges(3000, "N-"), doc},
		{"many tags", "/doc", "doc.test", "If-None-Match: " + strings.Repeat(`"x", `, 5000) + "\"y\"\r\n", doc},
		{"many languages", "/varies", "doc.test", "Accept-Language: " + strings.Repeat("x;q=0.1,", 3000) + "de\r\n", 1 << 10},
	} {
		began := time.Now()
		_, body, _, err := exchange(w.Address, "GET", "GET "+c.path+" HTTP/1.1\r\nHost: "+c.host+"\r\n"+c.lines+"\r\n")
		if len(body) > c.most {
			t.Errorf("%s: %d bytes, %v", c.name, len(body), err)
		}
		t.Logf("%s: %d bytes in %v", c.name, len(body), time.Since(began))
	}
	if after := w.Edge().Now().RSS; after > before+40*mebi {
		t.Errorf("%d MiB more", (after-before)/mebi)
	}
}

// TestFloods: requests that no two are alike take no more memory than the cache has, and leave the page that all want in it.
func TestFloods(t *testing.T) {
	app, favourite := excess(t)
	w := excessSite(t, app)
	tr := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(tr.CloseIdleConnections)
	client := &http.Client{Transport: tr, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ask := func(method, path string, fields ...string) error {
		r, err := http.NewRequest(method, "http://"+w.Address+path, nil)
		if err != nil {
			return err
		}
		for i := 0; i < len(fields); i += 2 {
			r.Header.Set(fields[i], fields[i+1])
		}
		resp, err := client.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	word := func() string { return fmt.Sprintf("%x", rand.Uint64()) }
	before := w.Edge().Now().RSS
	for _, c := range []struct {
		name string
		one  func() error
	}{
		{"addresses", func() error { return ask("GET", "/x?"+word()) }},
		{"variants", func() error { return ask("GET", "/varies", "X-Variant", word()) }},
		{"languages", func() error { return ask("GET", "/varies", "Accept-Language", word()) }},
		{"lists of fields", func() error { return ask("GET", "/lists", "Cache-Control", "no-cache") }},
		{"what does not matter", func() error { return ask("GET", "/alike?"+word()) }},
		{"keys", func() error { return ask("GET", "/x", "X-Key", word()) }},
		{"sessions", func() error { return ask("GET", "/x", "Cookie", "sessionid="+word()) }},
		{"tags", func() error { return ask("GET", "/tags?"+word()) }},
		{"marks", func() error { return ask("GET", "/mine?"+word()) }},
		{"parts", func() error { return ask("GET", "/doc?"+word(), "Range", "bytes=0-99") }},
		{"changes", func() error { return ask("POST", "/names?"+word()) }},
		{"purges", func() error { return ask("PURGE", "/x?"+word()) }},
	} {
		asked := favourite.Load()
		var playing sync.WaitGroup
		var wanted, sent atomic.Int64
		end := time.Now().Add(600 * time.Millisecond)
		for range 6 {
			playing.Go(func() {
				for n := 0; time.Now().Before(end); n++ {
					err := c.one()
					if sent.Add(1); n%4 == 0 && err == nil {
						wanted.Add(1)
						err = ask("GET", "/favourite")
					}
					if err != nil {
						t.Errorf("%s: %v", c.name, err)
						return
					}
				}
			})
		}
		playing.Wait()
		again := favourite.Load() - asked
		t.Logf("%s: %d requests, the app was asked for the favourite %d of %d times", c.name, sent.Load(), again, wanted.Load())
		if again > 2+wanted.Load()/10 {
			t.Errorf("%s: the app was asked for the favourite %d of %d times", c.name, again, wanted.Load())
		}
	}
	if after := w.Edge().Now().RSS; after > before+(16+24)*mebi {
		t.Errorf("%d MiB more", (after-before)/mebi)
	} else {
		t.Logf("%d MiB more", (after-before)/mebi)
	}
}
