package edge

import (
	"net/netip"
	"testing"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/message"
)

func TestBelieve(t *testing.T) {
	trust := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, row := range []struct {
		name  string
		lines []string // of X-Forwarded-For
		want  string
	}{
		{"no word", nil, "10.0.0.1"},
		{"one client", []string{"9.9.9.9"}, "9.9.9.9"},
		{"what the client claimed is before what the proxy saw", []string{"1.1.1.1, 9.9.9.9"}, "9.9.9.9"},
		{"proxies in a row", []string{"1.1.1.1, 9.9.9.9, 10.2.2.2, 10.3.3.3"}, "9.9.9.9"},
		{"over two lines", []string{"1.1.1.1, 9.9.9.9", "10.2.2.2"}, "9.9.9.9"},
		{"all of them trusted", []string{"10.2.2.2", "10.3.3.3"}, "10.2.2.2"},
		{"with a port", []string{"9.9.9.9:1234, [fd00::1]:80"}, "9.9.9.9"},
		{"IPv6", []string{"2001:db8::1, fd00::2"}, "2001:db8::1"},
		{"IPv4 in IPv6", []string{"::ffff:9.9.9.9"}, "9.9.9.9"},
		{"garbage ends the chain", []string{"1.1.1.1, unknown, 10.2.2.2"}, "10.2.2.2"},
		{"garbage last", []string{"1.1.1.1, ;"}, "10.0.0.1"},
		{"garbage in the last line hides the earlier ones", []string{"1.1.1.1", "x"}, "10.0.0.1"},
		{"empty", []string{""}, "10.0.0.1"},
	} {
		h := &handler{tree: &tree{cfg: &config.Config{TrustedProxies: trust}}}
		h.x.Client = netip.MustParseAddr("10.0.0.1")
		for _, l := range row.lines {
			h.x.Req.Fields.Add(message.XForwardedFor, []byte("X-Forwarded-For"), []byte(l))
		}
		h.believe()
		if got := h.x.Client.String(); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
}
