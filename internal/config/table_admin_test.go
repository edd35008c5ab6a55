package config

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// TestAdminTLS: what others can reach needs a certificate that can be shown, and one that soon cannot is warned of.
func TestAdminTLS(t *testing.T) {
	a := testkit.NewAuthority(t)
	a.Issue("good", "weir.test", nil)
	a.Issue("old", "weir.test", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	a.Issue("soon", "weir.test", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Hour) })
	text := func(tls string) string {
		return "admin: {listen: '10.0.0.1:9443', token: 0123456789abcdef, tls: " + tls + "}\npools: {p: {servers: ['10.0.0.1:80']}}\n"
	}
	for tls, want := range map[string]string{
		"{cert: none.pem}":                "cannot be read: no such file or directory",
		"{cert: good.pem}":                "there is no private key in",
		"{cert: old.pem, key: old.key}":   "has expired on",
		"{cert: good.pem, key: none.key}": "key: ",
		"true":                            "write {cert:",
	} {
		if _, _, err := load(t, a.Dir, text(tls)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", tls, err, want)
		}
	}
	c, warnings, err := load(t, a.Dir, text("{cert: soon.pem, key: soon.key}"))
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0].Message, "expires on") {
		t.Fatal(err, warnings)
	}
	if c.Admin.Look != LookSigned || len(c.Listen) != 2 || len(c.Traffic()) != 1 || !c.Listen[1].Desk || c.Admin.TLS.Cert != a.Dir+"/soon.pem" {
		t.Errorf("%+v, %+v", c.Admin, c.Listen)
	}
}
