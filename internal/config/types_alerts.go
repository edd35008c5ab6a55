package config

import "time"

// Alerts says of what somebody is told, and how.
type Alerts struct {
	Place     Place
	Rules     []AlertRule   // those that are on: built-in ones in the order of BuiltInRules, then the file's own
	Targets   []AlertTarget // in the order of the file; none: alerts are shown, and nobody is told
	SMTP      SMTP
	GroupWait time.Duration // what comes within it is one message
	Repeat    time.Duration // who has not acknowledged is told again; 0: never
	Count     time.Duration // application errors that are known are counted, and told after each such period; 0: never
}

// AlertRule is one rule. The subjects that it looks at are its kind's: each pool, each site.
type AlertRule struct {
	Name     string
	Of       string        // a pattern with *: of the subjects, those alone; empty: all
	Over     float64       // the limit of a built-in rule: a share, a number or seconds
	Clear    float64       // at which it is over again
	When     string        // the condition of the file's own rule; see package condition
	Until    string        // and the one by which it is over again; empty: when When is not met
	For      time.Duration // it has to hold as long
	ClearFor time.Duration // and to be over as long
	Severity Severity
	To       []string // names of targets; none: all
	Text     string   // for people, in its messages; may be empty
	Slow     bool     `json:",omitempty"` // it lasts for days by its nature: it is told again once a day, if at all
}

// Severity says how bad it is.
type Severity string

// The severities, the least first.
const (
	Info     Severity = "info"
	Warn     Severity = "warning"
	Critical Severity = "critical"
)

// Rank is 0 for the least of them.
func (s Severity) Rank() int {
	switch s {
	case Warn:
		return 1
	case Critical:
		return 2
	}
	return 0
}

// AlertTarget is one way to tell somebody: exactly one of Email, Webhook, Slack and Command is given.
type AlertTarget struct {
	Name     string
	Place    Place
	Email    []string // addresses
	Webhook  *Webhook `json:",omitempty"`
	Slack    string   // an address (URL) that takes what Slack's do; it is a secret
	Command  []string // words; no shell
	Severity Severity // it is told of this and graver
	Limit    int      // messages an hour; more are put together
	Resolved bool     // it is told when an alert is over, too
	Timeout  time.Duration
}

// Webhook is an address that JSON is sent to.
type Webhook struct {
	URL    string // it may have a secret in it
	Secret string // that the signature is made with; empty: there is none
	Fields []NameValue
}

// SMTP is how e-mail is sent.
type SMTP struct {
	Server   string // host:port
	TLS      string // SMTPStart, SMTPTLS or SMTPPlain
	User     string // empty: nobody signs in
	Password string
	From     string // empty: weir@ and the machine's name
}

// How a mail server is spoken to.
const (
	SMTPStart = "starttls" // encrypted before anything is said that matters; else nothing is sent
	SMTPTLS   = "tls"      // from the first byte
	SMTPPlain = "off"      // not encrypted
)

// Availability is what is promised of sites.
type Availability struct {
	Place  Place
	Budget map[string]time.Duration // by host: how long the site may be down in a month
	Errors float64                  // share of errors in a minute at which a site counts as down
}

// Output bounds what a worker's output may take in weir's own. Rate 0 is no bound.
type Output struct {
	Rate  int64 // bytes a second
	Burst int64 // bytes at once
}

// BuiltInRule is one that is on unless the file turns it off.
type BuiltInRule struct {
	AlertRule
	Unit string // of Over: "share", "number", "time"; empty: the rule has no limit
	Less bool   // it is about what falls under Over (which the file calls under:)
	Doc  string
}

// BuiltInRules returns them, each with its defaults. The caller owns the list.
func BuiltInRules() []BuiltInRule {
	const s, m = time.Second, time.Minute
	rule := func(name string, severity Severity, over, back float64, unit string, hold, backFor time.Duration, doc string) BuiltInRule {
		return BuiltInRule{AlertRule: AlertRule{Name: name, Severity: severity, Over: over, Clear: back, For: hold, ClearFor: backFor}, Unit: unit, Doc: doc}
	}
	all := []BuiltInRule{
		rule("edge_down", Critical, 0, 0, "", 5*s, 30*s, "the process that serves does not answer"),
		rule("edge_loop", Critical, 3, 1, "number", 0, 5*m, "the process that serves died so often within five minutes"),
		rule("network_down", Critical, 3, 0, "number", 15*s, m, "so many machines at once (addresses with servers) fall silent within seconds of each other: what they share is broken, such as a switch"),
		rule("node_down", Critical, 0, 0, "", 30*s, m, "no server at an address takes requests, and there are two or more at it"),
		rule("pool_down", Critical, 0, 0, "", 15*s, 30*s, "no server of a pool takes requests"),
		rule("server_down", Warn, 0, 0, "", m, m, "a server is down"),
		rule("worker_loop", Critical, 0, 0, "", 0, m, "workers of an app die as soon as they are started"),
		rule("errors", Critical, 0.05, 0.02, "share", m, 2*m, "errors of a site, as a share of the requests of a minute, from 20 requests on"),
		rule("queue", Warn, 0.5, 0.2, "share", m, m, "requests that wait for a pool, as a share of what its queue holds"),
		rule("disk", Warn, 0.9, 0.88, "share", m, m, "use of a file system, in bytes or in files"),
		rule("memory", Warn, 0.95, 0.9, "share", 2*m, 2*m, "use of the machine's memory"),
		rule("hit_ratio", Warn, 0.3, 0.15, "share", 10*m, 10*m, "how far the cache's hit ratio fell below that of the last hours"),
		rule("no_traffic", Warn, 20, 0, "number", 5*m, m, "a site gets no request, in a time in which as many were to be expected"),
		rule("log_dropped", Warn, 0, 0, "", 0, 5*m, "lines of the access log are dropped"),
		rule("reload_refused", Warn, 0, 0, "", 5*s, 0, "what is in the file is not in force"),
		rule("budget", Warn, 0.8, 0.8, "share", 0, 0, "downtime of a site in this month, as a share of its budget in `availability:`; from 100% on it is critical"),
		rule("certificate", Warn, 14*86400, 15*86400, "time", 0, 0, "a certificate ends so soon; under three days it is critical"),
		rule("new_error", Warn, 0, 0, "", 0, 0, "an application's error that was not seen before"),
	}
	for i := range all {
		all[i].Less = all[i].Name == "certificate"
		all[i].Slow = all[i].Name == "certificate" || all[i].Name == "budget"
	}
	return all
}
