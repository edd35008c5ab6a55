package relay

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// TestIntroduced: a balancer says whose connection it is, and servers are told.
func TestIntroduced(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		flight := string(testkit.FirstFlight(t, &tls.Config{ServerName: "a.example"}))
		v1 := "PROXY TCP4 192.0.2.9 198.51.100.1 5000 443\r\n"
		for _, row := range []struct{ name, entry, send, sent, want string }{
			{"in alone", "pool: p, proxy_protocol: {from: 127.0.0.1}", "", v1 + "x", "x"},
			{"in, and a name", "sni: [{names: a.example, pool: p}], proxy_protocol: {from: 127.0.0.1}", "", v1 + flight, flight},
			{"in and out", "pool: p, proxy_protocol: {from: 127.0.0.1}", "v1", v1 + "x", v1 + "x"},
			{"in and out in binary", "pool: p, proxy_protocol: {from: 127.0.0.1}", "v2", v1 + "x",
				"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x09\xc6\x33\x64\x01\x13\x88\x01\xbbx"},
			{"out alone", "pool: p", "v1", "x", "PROXY TCP4 127.0.0.1 127.0.0.1 CLIENT HERE\r\nx"},
			{"from somebody else", "pool: p, proxy_protocol: {from: 10.0.0.1}", "", v1 + "x", v1 + "x"},
			{"no header", "pool: p, proxy_protocol: {from: 127.0.0.1}", "", "hello", ""},
			{"a client who is not let in", "pool: p, from: 127.0.0.1, proxy_protocol: {from: 127.0.0.1}", "", v1 + "x", ""},
			{"a client who is", "pool: p, from: 192.0.2.0/24, proxy_protocol: {from: 127.0.0.1}", "", v1 + "x", "x"},
		} {
			t.Run(row.name, func(t *testing.T) {
				got := make(chan string, 1)
				o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) { got <- c.Rest() })
				log, file := logged(t)
				pool := ""
				if row.send != "" {
					pool = "send_proxy: " + row.send
				}
				r := serve(t, body, row.entry, log+testkit.TCPPool(pool, o.Address))
				nc, err := net.Dial("tcp", r.addr)
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				for _, b := range []byte(row.sent[:min(len(row.sent), 60)]) { // in as many pieces as may be
					if _, err := nc.Write([]byte{b}); err != nil {
						break
					}
				}
				nc.Write([]byte(row.sent[min(len(row.sent), 60):])) //nolint:errcheck // it may be closed
				nc.(*net.TCPConn).CloseWrite()                      //nolint:errcheck // likewise
				nc.SetDeadline(time.Now().Add(testkit.Patience))
				io.Copy(io.Discard, nc) //nolint:errcheck // until it ends, in whatever way
				_, port, _ := net.SplitHostPort(nc.LocalAddr().String())
				_, here, _ := net.SplitHostPort(r.addr)
				want := strings.NewReplacer("CLIENT", port, "HERE", here).Replace(row.want)
				text := testkit.Lines(t, file, 1)
				if row.want == "" {
					if !strings.Contains(text, `"cause":"bad_hello"`) && !strings.Contains(text, `"cause":"refused"`) {
						t.Error(text)
					}
					return
				}
				if text := <-got; text != want {
					t.Errorf("the server got %q, want %q", text, want)
				}
				if is := strings.Contains(text, `"client":"192.0.2.9"`); is != (strings.HasPrefix(row.sent, v1) && row.name != "from somebody else") {
					t.Error(text)
				}
			})
		}
	})
}

// inRecords divides a hello of one record into several.
func inRecords(flight []byte, size int) (out []byte) {
	for rest := flight[5:]; len(rest) > 0; {
		n := min(size, len(rest))
		out = append(append(out, flight[0], flight[1], flight[2], byte(n>>8), byte(n)), rest[:n]...)
		rest = rest[n:]
	}
	return out
}

// TestByName: sessions of TLS go by their names, and what was read to know it is passed on as it came.
func TestByName(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		rules := "sni: [{names: [a.example, '*.b.example'], pool: one}, {names: '*.deep.b.example', pool: two}, {names: x.b.example, alpn: h2, pool: two}]"
		for _, row := range []struct {
			name, other string
			in          []byte
			want        string // which pool has it; empty: none
		}{
			{"exact", "", testkit.FirstFlight(t, &tls.Config{ServerName: "a.example"}), "one"},
			{"in capitals", "", testkit.FirstFlight(t, &tls.Config{ServerName: "A.Example"}), "one"},
			{"in records of 20 bytes", "", inRecords(testkit.FirstFlight(t, &tls.Config{ServerName: "a.example"}), 40), "one"},
			{"below", "", testkit.FirstFlight(t, &tls.Config{ServerName: "y.z.b.example"}), "one"},
			{"the wildcard's own name", "", testkit.FirstFlight(t, &tls.Config{ServerName: "b.example"}), ""},
			{"further below", "", testkit.FirstFlight(t, &tls.Config{ServerName: "y.deep.b.example"}), "two"},
			{"with a protocol", "", testkit.FirstFlight(t, &tls.Config{ServerName: "x.b.example", NextProtos: []string{"h2"}}), "two"},
			{"without it", "", testkit.FirstFlight(t, &tls.Config{ServerName: "x.b.example", NextProtos: []string{"http/1.1"}}), "one"},
			{"another name", "", testkit.FirstFlight(t, &tls.Config{ServerName: "c.example"}), ""},
			{"another name, and else", "two", testkit.FirstFlight(t, &tls.Config{ServerName: "c.example"}), "two"},
			{"no name", "", testkit.FirstFlight(t, &tls.Config{InsecureSkipVerify: true}), ""},
			{"no name, and else", "one", testkit.FirstFlight(t, &tls.Config{InsecureSkipVerify: true}), "one"},
			{"no TLS, and else", "one", []byte("SSH-2.0-x\r\n"), ""},
			{"SSL 2, and else", "one", []byte{0x80, 0x2e, 1, 3, 1, 0, 21, 0, 0, 0, 16}, ""},
		} {
			t.Run(row.name, func(t *testing.T) {
				for _, piece := range []int{len(row.in), 7} {
					got := make(chan string, 2)
					server := func(name string) *testkit.Origin {
						return testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) { got <- name + c.Rest() })
					}
					one, two := server("one"), server("two")
					entry := rules
					if row.other != "" {
						entry += ", else: " + row.other
					}
					r := serve(t, body, entry, "pools: {one: {protocol: tcp, servers: ['"+one.Address+"']}, two: {protocol: tcp, servers: ['"+two.Address+"']}}\n")
					c := testkit.Dial(t, r.addr)
					for rest := row.in; len(rest) > 0; {
						n := min(piece, len(rest))
						if c.TrySend(string(rest[:n])) != nil {
							break
						}
						rest = rest[n:]
						runtime.Gosched()
					}
					if row.want == "" {
						answer, _ := io.ReadAll(c.Raw())
						if tls := row.in[0] == 22; tls != bytes.Equal(answer, unrecognized) {
							t.Errorf("told % x", answer)
						}
					} else {
						c.CloseWrite()
						if text := <-got; text != row.want+string(row.in) {
							t.Errorf("got %.20q of %d bytes, want %s and the %d bytes as they were", text, len(text), row.want, len(row.in))
						}
					}
					c.Close()
					r.stop(5 * time.Second)
					one.Close()
					two.Close()
					select {
					case who := <-got:
						t.Errorf("%.10q had something of it", who)
					default:
					}
				}
			})
		}
	})
}
