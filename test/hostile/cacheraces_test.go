package hostile

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// versions is an app whose documents have versions: a document is its version, again and again. POST makes the next one.
type versions struct {
	now [12]atomic.Int64
}

const unit = 8 // bytes that tell a version

func (v *versions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(strings.TrimLeft(r.URL.Path, "/d"))
	if err != nil || n >= len(v.now) {
		http.Error(w, "none", http.StatusNotFound)
		return
	}
	if r.Method == "POST" {
		fmt.Fprint(w, v.now[n].Add(1))
		return
	}
	now := v.now[n].Load()
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Cache-Control", []string{"max-age=60", "max-age=1, stale-while-revalidate=60", "max-age=0, stale-if-error=60", "max-age=60"}[n%4])
	w.Header().Set("Surrogate-Key", fmt.Sprint("d", n))
	if n%3 != 0 {
		w.Header().Set("ETag", fmt.Sprintf(`"%d"`, now))
	}
	if n%5 == 1 {
		w.Header().Set("Vary", "X-Variant")
	}
	text := strings.Repeat(fmt.Sprintf("%0*d", unit, now), []int{3, 40, 2000, 20000}[n*7%4])
	if n%4 == 3 {
		io.WriteString(w, text[:len(text)/2]) //nolint:errcheck // who has left, has left
		w.(http.Flusher).Flush()
		time.Sleep(time.Millisecond)
		io.WriteString(w, text[len(text)/2:]) //nolint:errcheck // likewise
		return
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
}

// seen looks at what a client got: one version, from a unit's beginning on.
func (v *versions) seen(resp *http.Response, floor int64) error {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("the body broke off: %w", err)
	}
	if resp.Header.Get("Content-Encoding") == "gzip" && len(body) > 0 {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return err
		}
		if body, err = io.ReadAll(z); err != nil {
			return err
		}
	}
	got := int64(-1)
	for ; len(body) >= unit; body = body[unit:] {
		n, err := strconv.ParseInt(string(body[:unit]), 10, 64)
		if err != nil || got >= 0 && n != got {
			return fmt.Errorf("version %d and then %q", got, body[:unit])
		}
		got = n
	}
	if resp.StatusCode == 200 && len(body) > 0 {
		return fmt.Errorf("%d bytes at the end", len(body))
	}
	if got >= 0 && got < floor {
		return fmt.Errorf("version %d after %d was purged", got, floor-1)
	}
	if tag := strings.Trim(strings.TrimPrefix(resp.Header.Get("ETag"), "W/"), `"`); tag != "" {
		tag, _, _ = strings.Cut(tag, "-")
		if n, err := strconv.ParseInt(tag, 10, 64); err != nil || n < floor || got >= 0 && n != got {
			return fmt.Errorf("the tag of version %s with version %d, after %d was purged", tag, got, floor-1)
		}
	}
	return nil
}

const versionsSite = `
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
pools: {app: {servers: ["%s"]}}
sites:
  - hosts: ["*"]
    compress: {min_size: 64B, codings: [gzip]}
    routes: [{pool: app, cache: {grace: 60s}}]
cache:
  memory: 8MiB
  %s
`

// TestVersions: whatever clients, purges and changes do at once, a client that asks after a purge was answered gets nothing from
// before it, and never two versions in one.
func TestVersions(t *testing.T) {
	for name, more := range map[string]string{"memory": "", "disk": fmt.Sprintf("disk: {path: %q, size: 64MiB}", t.TempDir())} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testVersions(t, more)
		})
	}
}

func testVersions(t *testing.T, more string) {
	v := &versions{}
	w := testkit.Run(t, testkit.Setup{Config: fmt.Sprintf(versionsSite, testkit.ServeHTTP(t, v), more)})
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
	defer cancel()
	var floors [len(v.now)]atomic.Int64
	var asked, purges atomic.Int64
	client := func() *http.Client {
		tr := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1}
		t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: tr, Timeout: patience}
	}
	ask := func(c *http.Client, method string, n int, fields ...string) error {
		r, err := http.NewRequest(method, fmt.Sprintf("http://%s/d%d", w.Address, n), nil)
		if err != nil {
			return err
		}
		for i := 0; i < len(fields); i += 2 {
			r.Header.Set(fields[i], fields[i+1])
		}
		floor := floors[n].Load()
		resp, err := c.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode >= 400 && resp.StatusCode != 416 {
			return fmt.Errorf("%s", resp.Status)
		}
		if method != "GET" && method != "HEAD" {
			_, err = io.Copy(io.Discard, resp.Body)
			return err
		}
		asked.Add(1)
		if resp.StatusCode == 416 || resp.StatusCode == 206 && resp.Header.Get("Content-Range") == "" { // several parts
			_, err = io.Copy(io.Discard, resp.Body)
			return err
		}
		if err := v.seen(resp, floor); err != nil {
			return fmt.Errorf("%w (%s, %v, asked with %q)", err, resp.Status, resp.Header, fields)
		}
		return nil
	}
	var playing sync.WaitGroup
	play := func(what string, step func(c *http.Client, r *rand.Rand) error) {
		seed := rand.Uint64()
		playing.Go(func() {
			r, c := rand.New(rand.NewPCG(seed, 0)), client()
			for ctx.Err() == nil {
				if err := step(c, r); err != nil {
					t.Errorf("%s: %v", what, err)
					cancel()
				}
			}
		})
	}
	for range 8 {
		play("reading", func(c *http.Client, r *rand.Rand) error {
			fields := []string{"X-Variant", strconv.Itoa(r.IntN(2))}
			from := r.IntN(60) * unit
			switch r.IntN(8) {
			case 0, 1:
				fields = append(fields, "Accept-Encoding", "gzip")
			case 2:
				fields = append(fields, "Range", fmt.Sprintf("bytes=%d-%d", from, from+r.IntN(100)*unit+unit-1))
			case 3:
				fields = append(fields, "Range", []string{fmt.Sprintf("bytes=-%d", unit*(1+r.IntN(9))), fmt.Sprintf("bytes=%d-", from), "bytes=0-7,16-23"}[r.IntN(3)])
			}
			if r.IntN(10) == 0 {
				fields = append(fields, "Cache-Control", []string{"no-cache", "max-age=0", "max-stale", "only-if-cached, max-stale=9"}[r.IntN(3)])
			}
			return ask(c, []string{"GET", "GET", "GET", "HEAD"}[r.IntN(4)], r.IntN(len(v.now)), fields...)
		})
	}
	for range 2 {
		play("purging", func(c *http.Client, r *rand.Rand) error {
			n := r.IntN(len(v.now))
			// By the request itself, which makes the next version, or behind it.
			if r.IntN(2) == 0 {
				at := v.now[n].Load() + 1
				if err := ask(c, "POST", n); err != nil {
					return err
				}
				raise(&floors[n], at)
			} else {
				at := v.now[n].Add(1)
				if err := ask(c, "PURGE", n); err != nil {
					return err
				}
				raise(&floors[n], at)
			}
			purges.Add(1)
			time.Sleep(time.Duration(r.IntN(8)) * time.Millisecond) // so that something is kept now and then
			return nil
		})
	}
	playing.Wait()
	t.Logf("%d answers, %d purges", asked.Load(), purges.Load())
	if asked.Load() < 500 || purges.Load() < 50 {
		t.Error("too little happened")
	}
}

// raise makes a floor at least n.
func raise(floor *atomic.Int64, n int64) {
	for was := floor.Load(); was < n && !floor.CompareAndSwap(was, n); was = floor.Load() {
	}
}
