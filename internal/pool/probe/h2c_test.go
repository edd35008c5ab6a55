package probe

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/loop"
)

// h2c is a server of Go's library that speaks nothing but HTTP/2 with prior knowledge.
func h2c(t *testing.T, h http.HandlerFunc) Target {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	s.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	t.Cleanup(func() { s.Close(); <-done })
	return Target{Pool: "web", Server: "s", To: loop.Addr{IP: netip.MustParseAddrPort(ln.Addr().String())}, H2C: true}
}

func TestH2C(t *testing.T) {
	to := h2c(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/hang":
			<-r.Context().Done()
			return
		case r.URL.Path == "/early":
			w.WriteHeader(103)
		case r.URL.Path != "/alive":
			w.WriteHeader(500)
		}
		w.Header().Set("X-Weir-Weight", "50%")
		io.WriteString(w, r.Proto+" "+r.Host+" "+strings.Repeat("x", 100<<10))
	})
	for _, c := range []struct {
		name   string
		change func(*config.Health)
		ok     bool
		want   string
	}{
		{"well", func(h *config.Health) { h.Body = "HTTP/2.0 localhost" }, true, "200 OK"},
		{"HEAD", func(h *config.Health) { h.Method = "HEAD" }, true, "200 OK"},
		{"informational first", func(h *config.Health) { h.Path = "/early" }, true, "200 OK"},
		{"other status", func(h *config.Health) { h.Path = "/" }, false, "it answered 500"},
		{"other body", func(h *config.Health) { h.Body = "ready" }, false, "not the one expected"},
		{"hangs", func(h *config.Health) { h.Path = "/hang"; quick(h) }, false, "no answer within 100ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, wish := Check(context.Background(), to, http1(c.change), "X-Weir-Weight")
			if r.OK != c.ok || !strings.Contains(r.Message, c.want) || c.ok && wish != "50%" {
				t.Errorf("got %v %q, wish %q, want %v %q", r.OK, r.Message, wish, c.ok, c.want)
			}
		})
	}
	t.Run("HTTP/1 only", func(t *testing.T) {
		to := origin(t, says("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))
		to.H2C = true
		if r, _ := Check(context.Background(), to, http1(nil), ""); r.OK {
			t.Errorf("it passed: %s", r.Message)
		}
	})
}

func TestGRPC(t *testing.T) {
	answer := func(status, state string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Trailer", "Grpc-Status")
			if state != "" {
				io.WriteString(w, state)
			}
			if status != "" {
				w.Header().Set("Grpc-Status", status)
			}
		}
	}
	message := func(b string) string { return string(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b)))) + b }
	for _, c := range []struct {
		name, status, message string
		ok                    bool
		want                  string
	}{
		{"serving", "0", message("\x08\x01"), true, "SERVING"},
		{"serving, with fields of later", "0", message("\x12\x01x\x08\x01\x1d1234\x21abcdefgh\x28\x05"), true, "SERVING"},
		{"not serving", "0", message("\x08\x02"), false, "it says NOT_SERVING"},
		{"unknown", "0", message(""), false, "it says UNKNOWN"},
		{"no status", "0", message("\x08\x20"), false, "a status that is none"},
		{"no such service", "5", "", false, `does not know the service "shop.Orders"`},
		{"no health service", "12", "", false, "no health service"},
		{"failed", "13", "", false, "status 13"},
		{"no gRPC", "", "hello", false, "not of gRPC"},
		{"cut", "0", message("\x08\x01")[:6], false, "no response of the health service"},
		{"compressed", "0", "\x01" + message("\x08\x01")[1:], false, "no response of the health service"},
		{"a group", "0", message("\x0b"), false, "no response of the health service"},
		{"longer than it is", "0", message("\x12\x09x"), false, "no response of the health service"},
		{"endless", "0", message(strings.Repeat("\x08\x01", 64<<10)), false, "not of gRPC"},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := h2c(t, func(w http.ResponseWriter, r *http.Request) {
				b, err := io.ReadAll(r.Body)
				if err != nil || r.Method != "POST" || r.URL.Path != healthMethod || r.Header.Get("Te") != "trailers" ||
					r.Header.Get("Content-Type") != "application/grpc" || string(b) != message("\x0a\x0bshop.Orders") {
					t.Errorf("asked %s %s with %q %v (%v)", r.Method, r.URL.Path, b, r.Header, err)
				}
				answer(c.status, c.message)(w, r)
			})
			h := &config.Health{Type: "grpc", Service: "shop.Orders", Timeout: 5 * time.Second}
			if r, _ := Check(context.Background(), to, h, ""); r.OK != c.ok || !strings.Contains(r.Message, c.want) {
				t.Errorf("got %v %q, want %v %q", r.OK, r.Message, c.ok, c.want)
			}
		})
	}
}

func FuzzHealthState(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x02\x08\x01"))
	f.Add([]byte("\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, ok := healthState(b); ok && len(b) < 5 {
			t.Error("a message without a head")
		}
	})
}
