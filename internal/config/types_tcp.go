package config

import "net/netip"

// TCP says what becomes of the connections to an address at which weir passes bytes on without reading them.
type TCP struct {
	Place Place
	From  []netip.Prefix // who is let in; empty: everybody
	Pool  string         // where all sessions go; empty: what their hello says (SNI)
	SNI   []NameRule
	Else  string // the pool of those that no rule takes; empty: they are closed
}

// NameRule leads sessions of TLS to a pool by what their hello says. An exact name comes before the longest wildcard, and
// that before "*"; of rules with the same name, the first.
type NameRule struct {
	Names []string // "a.example.com", "*.example.com", "*"; lower case
	ALPN  []string // the client offers one of them; empty: whatever it offers
	Pool  string
}

// Roles of a database server, as checks ask for them.
const (
	AnyRole = "any"
	Primary = "primary"
	Replica = "replica"
)
