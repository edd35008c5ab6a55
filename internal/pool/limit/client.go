package limit

import (
	"encoding/binary"
	"net/netip"
)

// ClientKey is one number for one client: its IPv4 address, or the /64 that its IPv6 address is in, of which anybody has
// as many addresses as he likes. Clients on a Unix socket are one.
func ClientKey(a netip.Addr) uint64 {
	if a.Is4() {
		b := a.As4()
		return uint64(binary.BigEndian.Uint32(b[:]))
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8])
}
