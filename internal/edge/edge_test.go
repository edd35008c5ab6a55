package edge

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
)

// serveEdge runs an edge in this process on a free port and returns its address.
func serveEdge(t testing.TB, text string) string {
	t.Helper()
	e, err := New(2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	e.Offer("tcp", addr, []*os.File{f})
	text = "listen: \"" + addr + "\"\nlog: {access: {to: none}}\n" + text
	if err := e.Apply(api.EdgeState{Version: 1, Source: api.Source{Path: t.TempDir() + "/weir.yaml", Text: text}}); err != nil {
		t.Fatal(err)
	}
	return addr
}

func TestProxies(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", r.Header.Get("X-Forwarded-For")+" "+r.Host)
		_, _ = io.WriteString(w, r.Method+" "+r.URL.String()+" "+string(b))
	}))
	defer origin.Close()
	addr := serveEdge(t, "pools: {p: {servers: ["+strings.TrimPrefix(origin.URL, "http://")+"]}}\nsites: [{hosts: ['*'], routes: [{pool: p}]}]\n")
	for range 3 {
		resp, err := http.Post("http://"+addr+"/a/../b?x=1", "text/plain", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil || string(b) != "POST /b?x=1 hello" {
			t.Fatalf("%v %q %v", resp, b, err)
		}
		if got := resp.Header.Get("X-Seen"); got != "127.0.0.1 "+addr {
			t.Fatalf("server saw %q", got)
		}
		resp.Body.Close()
	}
}
