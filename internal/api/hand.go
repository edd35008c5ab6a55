package api

// Hand is what people decided of one server. The keeper has one for each server that they decided something of, tells every edge of
// all of them (EdgeState), and keeps them over reloads.
type Hand struct {
	Pool   string `json:"pool"`
	Server string `json:"server"`           // its name, or a host name as configured for all of its addresses
	State  string `json:"state,omitempty"`  // "drain": who has a session stays; "maint": nobody; "": neither
	Weight *int   `json:"weight,omitempty"` // in place of the configured one
	Listed string `json:"listed,omitempty"` // "added" to those of the configuration, or "removed" from them
	By     string `json:"by"`               // who decided it last
	Reason string `json:"reason,omitempty"` // and why
	Since  string `json:"since"`            // RFC 3339
}

// Intervention is one thing that a person does to a server (POST /v1/intervention to the keeper, which asks its edge what is meant).
// Among those that were done are reloads and purges too, which are asked for in other ways.
type Intervention struct {
	Do     string `json:"do"` // "drain", "maint", "ready", "weight", "add" or "remove"; of what was done also "reload" and "purge"
	Pool   string `json:"pool"`
	Server string `json:"server"`
	What   string `json:"what,omitempty"`   // was reloaded or purged; Pool and Server are empty then
	Weight *int   `json:"weight,omitempty"` // for "weight" (nil: the configured one again) and "add"
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
	At     string `json:"at,omitempty"` // RFC 3339; the keeper's answer has it
}

// Interventions is what people did lately, the oldest first, and what of it holds (GET /v1/interventions).
type Interventions struct {
	Done  []Intervention `json:"done"`
	Hands []Hand         `json:"hands"`
}
