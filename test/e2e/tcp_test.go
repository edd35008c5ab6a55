package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// repeats sends back what it gets, behind a first word.
func repeats(t *testing.T, word string) *testkit.Origin {
	return testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
		c.Send(word)
		for c.More() {
			c.Send(c.Read(1))
		}
	})
}

// TestTCPOverUpgrade: sessions live on at the process that they began at, up to timeouts.hard_stop, while new ones go to
// the next; a reload that leads elsewhere ends none.
func TestTCPOverUpgrade(t *testing.T) {
	one, two := repeats(t, "one "), repeats(t, "two ")
	address := testkit.FreeAddress(t)
	config := func(server string) string {
		return tcpSite + fmt.Sprintf("timeouts: {hard_stop: 4s}\ntcp: [{listen: '%s', pool: p}]\npools: {p: {protocol: tcp, servers: ['%s']}}\n", address, server)
	}
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: config(one.Address)})
	before := testkit.Dial(t, address)
	before.Expect("one ")
	edge := w.Edge().PID
	w.Do("upgrade")
	upgraded := time.Now()
	if w.Edge().PID == edge {
		t.Fatal("the same process serves")
	}
	before.Send("still here")
	before.Expect("still here")
	between := testkit.Dial(t, address)
	between.Expect("one ")
	w.Write("weir.yaml", config(two.Address))
	w.Do("reload")
	after := testkit.Dial(t, address)
	after.Expect("two ")
	between.Send("here too")
	between.Expect("here too")
	before.Within(10 * time.Second).Closed() // when its time is over
	if took := time.Since(upgraded); took < 3*time.Second {
		t.Errorf("a session was ended after %v", took)
	}
	after.Close()
	between.Close()
	testkit.Eventually(t, testkit.Patience, "all sessions are counted", func() bool {
		s := w.Status().Edge
		return s.Sessions == 3 && s.SessionsNow == 0
	})
	if out := w.Do("status"); !strings.Contains(out, "tcp       3 sessions, 0 now") || !strings.Contains(out, " B in, ") {
		t.Error(out)
	}
	for _, want := range []string{`"cause":"stopping"`, `"protocol":"TCP"`, `"detail":"the client closed first"`} {
		testkit.Eventually(t, testkit.Patience, want+" is logged", func() bool { return strings.Contains(w.Output(), want) })
	}
}

// TestTCPMaint: a person takes a server out, and its sessions with it.
func TestTCPMaint(t *testing.T) {
	one := repeats(t, "one ")
	address := testkit.FreeAddress(t)
	w := testkit.Run(t, testkit.Setup{Config: tcpSite + fmt.Sprintf("tcp: [{listen: '%s', pool: p}]\npools: {p: {protocol: tcp, servers: ['%s']}}\n", address, one.Address)})
	c := testkit.Dial(t, address)
	c.Expect("one ")
	w.Do("drain", "p/"+one.Address)
	c.Send("x")
	c.Expect("x")
	w.Do("maint", "p/"+one.Address)
	c.Closed()
	w.Do("ready", "p/"+one.Address)
	c = testkit.Dial(t, address)
	c.Expect("one ")
	w.Do("upgrade") // it stays at the process that is replaced, which is told all the same
	w.Do("maint", "p/"+one.Address)
	c.Closed()
}

// TestTLSByName: browsers reach servers that have the certificates, by way of a weir that has none.
func TestTLSByName(t *testing.T) {
	servers := map[string]*httptest.Server{}
	for _, name := range []string{"a.test", "b.test"} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s by %s for %s", name, r.Proto, r.TLS.ServerName)
		}))
		s.EnableHTTP2 = true
		s.StartTLS()
		t.Cleanup(s.Close)
		servers[name] = s
	}
	address := testkit.FreeAddress(t)
	testkit.Run(t, testkit.Setup{Config: tcpSite + fmt.Sprintf(`
tcp: [{listen: "%s", sni: [{names: a.test, pool: a}, {names: "*.b.test", pool: b}]}]
pools:
  a: {protocol: tcp, servers: ["%s"], health: tls}
  b: {protocol: tcp, servers: ["%s"]}
`, address, servers["a.test"].Listener.Addr(), servers["b.test"].Listener.Addr())})
	for host, want := range map[string]string{"a.test": "a.test by HTTP/2.0 for a.test", "www.b.test": "b.test by HTTP/2.0 for www.b.test"} {
		tr := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{ServerName: host, InsecureSkipVerify: true}}
		resp, err := (&http.Client{Transport: tr, Timeout: testkit.Patience}).Get("https://" + address)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		tr.CloseIdleConnections()
		if string(body) != want || err != nil {
			t.Errorf("got %q, %v, want %q", body, err, want)
		}
	}
	_, err := tls.Dial("tcp", address, &tls.Config{ServerName: "c.test", InsecureSkipVerify: true})
	if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("got %v, want the alert", err)
	}
}
