package config

// Traces says which requests are told of as traces, and to whom. Nil: none, and nothing of it costs anything.
type Traces struct {
	Place   Place
	To      string      // where OTLP is taken: the URL of a collector, its path included
	Fields  []NameValue // sent along. They may be secret
	Service string      // weir's name in traces
	Sample  int         // thousandths of the requests that no rule is about
	Rules   []TraceRule // the first that matches counts
}

// TraceRule says how many of some requests are told of.
type TraceRule struct {
	Match  *Match `json:",omitempty"` // nil: every request
	Sample int    // thousandths
}
