package config

import (
	"net/url"
	"strings"
)

// maxTraceRules bounds what each request may be held against.
const maxTraceRules = 100

func tracesObject(t *table) *object[Traces] {
	o := newObject[Traces](t, "traces", "traces", "Requests as traces (W3C Trace Context): servers are told which trace a request is part of, and for some of them "+
		"a collector is told where their time went. Without it a client's traceparent goes on as it is.")
	o.such = `{to: "http://127.0.0.1:4318"}`
	add(o, "to", scalar("the address of a collector of OTLP over HTTP, such as http://127.0.0.1:4318", textShape(), parseCollector), func(r *Traces) *string { return &r.To }, "",
		"Who takes traces: OpenTelemetry's collector, Jaeger, Tempo and others, by OTLP over HTTP. An address without a path has /v1/traces behind it.")
	o.must()
	add(o, "headers", secretFieldsKind(), func(r *Traces) *[]NameValue { return &r.Fields }, "", "Fields to send along, such as Authorization.")
	add(o, "service", textKind("a name such as weir-eu"), func(r *Traces) *string { return &r.Service }, "weir", "weir's name in traces (service.name).")
	add(o, "sample", percentKind(0, 100, 10), func(r *Traces) *int { return &r.Sample }, "1%",
		"How many of the requests that no rule is about. A request that a trusted proxy says is sampled always is; one of which it says that it is not is only by a rule.")
	rule := newObject[TraceRule](t, "trace_rule", "a rule of traces", "How many of some requests are told of.")
	rule.such = `{match: {path: "/checkout/*"}, sample: 100%}`
	add(rule, "match", pointer(matchObject(t).kind()), func(r *TraceRule) **Match { return &r.Match }, "(every request)", "Which requests.")
	add(rule, "sample", percentKind(0, 100, 10), func(r *TraceRule) *int { return &r.Sample }, "", "How many of them.")
	rule.must()
	rules := list(rule.kind(), `a list of rules, each with match: and sample:, such as [{match: {path: "/checkout/*"}, sample: 100%}]`, false, true)
	add(o, "rules", rules, func(r *Traces) *[]TraceRule { return &r.Rules }, "", "Other shares for some requests. The first rule that matches counts.")
	o.done = func(d *decoder, at value, given map[string]value, r *Traces) {
		r.Place = d.placeOf(at)
		if len(r.Rules) > maxTraceRules {
			d.failKey(given["rules"], "more than "+itoa(maxTraceRules)+" rules", "join some by any:")
		}
	}
	return o
}

func parseCollector(s string) (string, *complaint) {
	u, err := url.Parse(s)
	switch {
	case err != nil || strings.ContainsAny(s, " \t\r\n"):
		return "", &complaint{}
	case u.Scheme != "http" && u.Scheme != "https" && !strings.Contains(s, "://"):
		return "", &complaint{", which has no http:// or https://", "write http://" + s}
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Fragment != "":
		return "", &complaint{}
	case u.User != nil:
		return "", &complaint{", which has a name and a password in it", "write them as headers: {Authorization: …}"}
	case u.Port() == "4317":
		return "", &complaint{", and at port 4317 collectors take gRPC", "write port 4318, where they take HTTP"}
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	return u.String(), nil
}
