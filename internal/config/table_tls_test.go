package config

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

func load(t *testing.T, dir, text string) (*Config, []Warning, error) {
	t.Helper()
	path := filepath.Join(dir, "weir.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path, Options{Env: func(string) (string, bool) { return "", false }})
}

func TestServerTLS(t *testing.T) {
	a := testkit.NewAuthority(t)
	a.Issue("good", "weir.test", nil)
	a.Issue("other", "weir.test", nil)
	a.Issue("old", "weir.test", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	a.Issue("early", "weir.test", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })
	a.Issue("soon", "weir.test", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Hour) })
	for name, text := range map[string]string{"empty.pem": "", "text.pem": "hello", "broken.pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"locked.key": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"} {
		if err := os.WriteFile(filepath.Join(a.Dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := func(s string) string { return "pools: {p: {servers: ['10.0.0.1:443'], " + s + "}}\n" }
	for _, row := range []struct{ text, want string }{
		{pool("tls: {ca: none.pem}"), "cannot be read: no such file or directory"},
		{pool("tls: {ca: empty.pem}"), "there is no certificate in"},
		{pool("tls: {ca: text.pem}"), "there is no certificate in"},
		{pool("tls: {ca: good.key}"), "there is no certificate in"},
		{pool("tls: {ca: broken.pem}"), "has a certificate that cannot be read"},
		{pool("tls: {ca: old.pem}"), "have expired, the last on"},
		{pool("tls: {ca: .}"), "no regular file"},
		{pool("tls: {cert: none.pem}"), "cannot be read: no such file"},
		{pool("tls: {cert: good.pem}"), "there is no private key in"},
		{pool("tls: {cert: good.pem, key: none.key}"), "key: "},
		{pool("tls: {cert: good.pem, key: text.pem}"), "there is no private key in"},
		{pool("tls: {cert: good.pem, key: other.key}"), "does not belong to the certificate"},
		{pool("tls: {cert: good.pem, key: locked.key}"), "is encrypted"},
		{pool("tls: {cert: good.key, key: good.key}"), "there is no certificate in"},
		{pool("tls: {cert: old.pem, key: old.key}"), "has expired on"},
		{pool("tls: {cert: early.pem, key: early.key}"), "is not in force before"},
		{pool("tls: {key: good.key}"), "key without cert"},
		{pool("tls: {verify: off, ca: ca.pem}"), "ca beside verify: off"},
		{pool("tls: {verify: none}"), "verify is \"none\""},
		{pool("tls: {min: 1.1}"), "min is \"1.1\""},
		{pool("tls: {server_name: 'a b'}"), "server_name"},
		{pool("tls: {alpn: ['']}"), "alpn"},
		{pool("send_proxy: v3"), "send_proxy is \"v3\""},
		{"pools: {p: {servers: ['unix:/run/x.sock'], tls: true}}\n", "without a name"},
		{"pools: {p: {servers: [{address: 'https://10.0.0.1:443', tls: false}]}}\n", "https:// and tls: false"},
		{"pools: {p: {servers: ['https://10.0.0.1:443', '10.0.0.1:443']}}\n", "is in the pool twice"},
		{"apps: {web: {command: /bin/sh $PORT}}\npools: {web: {app: web, tls: true}}\n", "tls in the pool of an app"},
		{"apps: {web: {command: /bin/sh $PORT}}\npools: {web: {app: web, send_proxy: v1}}\n", "send_proxy in the pool of an app"},
		{"listen: {proxy_protocol: {}}\n" + pool("keep: 1"), "without from"},
		{"listen: {proxy_protocol: true}\n" + pool("keep: 1"), "write {from:"},
		{"listen: {proxy_protocol: {from: []}}\n" + pool("keep: 1"), "from is empty"},
		{"listen: {proxy_protocol: {from: [10.0.0.1/8]}}\n" + pool("keep: 1"), "bits beyond its mask"},
		{"listen: {proxy_protocol: {from: [everybody]}}\n" + pool("keep: 1"), "everybody"},
		{"listen: {proxy_protocol: {from: [unix], within: 0s}}\n" + pool("keep: 1"), "too short"},
	} {
		_, _, err := load(t, a.Dir, row.text)
		if err == nil || !strings.Contains(err.Error(), row.want) || strings.Count(err.Error(), "weir.yaml:") != 1 {
			t.Errorf("%s%v, want %q, once", row.text, err, row.want)
		}
	}
	c, warnings, err := load(t, a.Dir, pool("tls: {cert: soon.pem, key: soon.key, ca: ca.pem, min: 1.3, alpn: [h2, http/1.1], server_name: Web.Example}"))
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0].Message, "expires on") {
		t.Fatal(err, warnings)
	}
	s := c.Pools[0].Servers[0].TLS
	if s == nil || s != c.Pools[0].TLS || !s.Verify || s.CA == nil || s.Certificate == nil || s.MinVersion != tls.VersionTLS13 || len(s.ALPN) != 2 || s.ServerName != "web.example" || s.Unusable != "" {
		t.Errorf("%+v", s)
	}

	c, _, err = load(t, a.Dir, "listen: {http: [':80'], proxy_protocol: {from: [10.0.0.0/8, unix], within: 3s}}\n"+
		"pools: {p: {servers: ['https://a.test:443/', 'b.test:80', {address: 'c.test:443', tls: {ca: ca.pem}}], send_proxy: v2}}\n")
	if err != nil {
		t.Fatal(err)
	}
	p := c.Pools[0]
	if p.SendProxy != 2 || p.TLS != nil || p.Servers[0].Address != "a.test:443" || p.Servers[0].TLS == nil || p.Servers[0].TLS.CA != nil || p.Servers[1].TLS != nil || p.Servers[2].TLS.CA == nil {
		t.Errorf("%+v", p)
	}
	if pp := c.ProxyProtocol; pp == nil || len(pp.From) != 1 || !pp.Unix || pp.Within != 3*time.Second || len(c.Listen) != 1 || c.Listen[0].Address != ":80" {
		t.Errorf("%+v %+v", pp, c.Listen)
	}
	if c, _, err = load(t, a.Dir, "listen: {proxy_protocol: {from: [10.0.0.7]}}\n"+pool("keep: 1")); err != nil || len(c.Listen) != 1 || c.Listen[0].Address != ":8080" || c.ProxyProtocol.Within != 5*time.Second {
		t.Errorf("%v %+v", err, c)
	}
}

// The same file with other bytes in it is another TLS; an edge that finds it gone sends nothing.
func TestServerTLSSum(t *testing.T) {
	a := testkit.NewAuthority(t)
	cert, key := a.Issue("c", "weir.test", nil)
	text := "pools: {p: {servers: ['10.0.0.1:443'], tls: {cert: c.pem, key: c.key}}}\n"
	sum := func() *ServerTLS {
		c, _, err := Parse(filepath.Join(a.Dir, "weir.yaml"), []byte(text), func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		return c.Pools[0].Servers[0].TLS
	}
	one, again := sum(), sum()
	if one.Sum != again.Sum || one.Sum == usualTLS().Sum {
		t.Error("the same is another")
	}
	a.Issue("c", "weir.test", nil)
	if sum().Sum == one.Sum {
		t.Error("another certificate is the same")
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if s := sum(); s.Unusable == "" || s.Certificate != nil || s.Sum == one.Sum {
		t.Errorf("without %s, and its key: %+v", cert, s)
	}
}
