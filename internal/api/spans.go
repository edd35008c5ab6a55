package api

// Spans is one line of what an edge tells of traces (GET /v1/spans?for=400ms, up to so long): one request, or that something is missing. An
// edge that has handed over tells nothing: its successor has all.
type Spans struct {
	Spans   []Span `json:"spans,omitempty"` // the request's own first
	Dropped uint64 `json:"dropped,omitempty"`
}

// Span is a part of a request's time.
type Span struct {
	Trace   string            `json:"trace"` // hexadecimal, as in traceparent
	Span    string            `json:"span"`
	Parent  string            `json:"parent,omitempty"`
	State   string            `json:"state,omitempty"` // tracestate
	Kind    string            `json:"kind,omitempty"`  // "server": it was asked of weir, "client": weir asked it; empty: within weir
	Name    string            `json:"name"`
	Start   int64             `json:"start"` // Unix nanoseconds
	End     int64             `json:"end"`
	Error   string            `json:"error,omitempty"` // why it failed
	Words   map[string]string `json:"words,omitempty"` // what is known of it
	Numbers map[string]int64  `json:"numbers,omitempty"`
}
