package api

// Spans is one line of what an edge tells of traces (GET /v1/spans?for=400ms, up to so long): spans of some requests, or that some are
// missing. An edge that has handed over tells nothing: its successor has all.
type Spans struct {
	Spans   int    `json:"spans,omitempty"`   // how many there are in Data
	Data    []byte `json:"data,omitempty"`    // the field "spans" of OTLP's ScopeSpans, so often, in protobuf; at most some 100 KiB
	Dropped uint64 `json:"dropped,omitempty"` // spans
}
