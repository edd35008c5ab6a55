package limit

import (
	"net/netip"
	"testing"
)

// Who can have many addresses is one client all the same.
func TestClientKey(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::ffff:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"192.0.2.1", "2001:db8::1", false},
	} {
		a, b := ClientKey(netip.MustParseAddr(tt.a)), ClientKey(netip.MustParseAddr(tt.b))
		if (a == b) != tt.same {
			t.Errorf("%s and %s are the same: %v, want %v", tt.a, tt.b, a == b, tt.same)
		}
	}
	if ClientKey(netip.Addr{}) != 0 {
		t.Error("a client without an address has one")
	}
}
