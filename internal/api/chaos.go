package api

// Fault is a fault that weir makes on purpose, for a time (POST /v1/chaos to the keeper, which answers with it as it is in force). The
// keeper makes those that kill; it tells edges of the others (EdgeState). Times are in milliseconds.
type Fault struct {
	ID     int    `json:"id"`
	Do     string `json:"do"`               // "kill-worker", "kill-edge", "latency" or "errors"
	App    string `json:"app,omitempty"`    // whose workers are killed; empty: any app's
	Route  string `json:"route,omitempty"`  // HOST/PATH of requests, with * for any text
	Pool   string `json:"pool,omitempty"`   // of the server, where Route is empty
	Server string `json:"server,omitempty"` // its name, or * for all of the pool
	Add    int64  `json:"add_ms,omitempty"` // latency
	Jitter int64  `json:"jitter_ms,omitempty"`
	Status int    `json:"status,omitempty"`   // of errors
	Share  int    `json:"share,omitempty"`    // of the requests, in hundredths of a percent
	Every  int64  `json:"every_ms,omitempty"` // between two kills; 0: one, at once
	For    int64  `json:"for_ms,omitempty"`
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
	Since  string `json:"since,omitempty"`   // RFC 3339
	Ends   int64  `json:"ends_ms,omitempty"` // since 1970
	Made   int64  `json:"made"`              // how often: requests since the edge was started, or kills
}

// Faults is what weir does on purpose now (GET /v1/chaos).
type Faults struct {
	Faults []Fault `json:"faults"`
}

// Calm ends a fault, or all (POST /v1/chaos/stop). The answer is what was ended.
type Calm struct {
	ID int    `json:"id,omitempty"` // 0: all
	By string `json:"by"`
}
