package config

import (
	"slices"
	"time"
)

// Admin is what people look at and act by: the desk. Its addresses are among Config.Listen, with Desk.
type Admin struct {
	Place  Place
	Look   string        // LookFree or LookSigned
	Tokens []Token       // for programs
	Users  []User        // for people, in the order of the file
	TLS    *AdminTLS     `json:",omitempty"` // nil: plain HTTP
	Keep   string        // folder of what is to outlive the machine's restart; empty: where systemd or the run directory says
	Idle   time.Duration // a session of the page ends after so long without a request
}

// Traffic returns the addresses at which the edge accepts connections. The others are the desk's.
func (c *Config) Traffic() []Listen {
	if c.Admin == nil {
		return c.Listen
	}
	return slices.DeleteFunc(slices.Clone(c.Listen), func(l Listen) bool { return l.Desk })
}

// Who may look.
const (
	LookFree   = "free"   // whoever can connect
	LookSigned = "signed" // who has a token or has signed in
)

// Role says what somebody may do.
type Role string

// The roles.
const (
	View    Role = "view"    // look
	Operate Role = "operate" // look and act
)

// Token is a word that programs show.
type Token struct {
	Name string
	Text string // secret
	Role Role
}

// User is a person.
type User struct {
	Name     string
	Password string // as bcrypt wrote it: "$2a$…"
	Role     Role
}

// AdminTLS is a certificate and its key, as files in PEM form.
type AdminTLS struct{ Cert, Key string }
