package config

import (
	"cmp"
	"math"
	"net"
	"net/mail"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/condition"
)

func severityKind() kind[Severity] {
	return convert(enumKind(string(Info), string(Warn), string(Critical)), func(s string) Severity { return Severity(s) })
}

// maxTargets and maxRules bound what each picture is held against.
const (
	maxTargets = 50
	maxRules   = 200
)

func alertsObject(t *table) *object[Alerts] {
	o := newObject[Alerts](t, "alerts", "alerts", "Of what somebody is told, and how. Once there is a target, the built-in rules are on.")
	o.such = `{targets: {ops: {email: ops@example.com}}}`
	target := targetObject(t)
	target.short = shortTarget
	targets := convert(named(target, "a target", func(g *AlertTarget, name string, at Place) { g.Name, g.Place = name, at }), values[AlertTarget])
	add(o, "targets", targets, func(a *Alerts) *[]AlertTarget { return &a.Targets }, "", "Who is told, by name. `weir alert test NAME` sends a test.")
	add(o, "rules", rulesKind(t), func(a *Alerts) *[]AlertRule { return &a.Rules }, "(the built-in ones)",
		"Changes to built-in rules, or off for one that is not wanted; and rules of your own, by name, each with when:.")
	add(o, "smtp", mapped(smtpObject(t).kind(), `write {server: "mail.example.com:587"}`), func(a *Alerts) *SMTP { return &a.SMTP }, "", "How e-mail is sent.")
	add(o, "group_wait", noLonger(durationKind(0), time.Hour), func(a *Alerts) *time.Duration { return &a.GroupWait }, "10s",
		"How long a message waits for what belongs to it. What is over by then is not told.")
	add(o, "repeat", durationKind(0), func(a *Alerts) *time.Duration { return &a.Repeat }, "4h",
		"Of what lasts, and nobody has acknowledged, is told again. 0: it is not.")
	add(o, "count_errors", durationKind(0), func(a *Alerts) *time.Duration { return &a.Count }, "1d",
		"How often it is told how many application errors of each known shape there were. 0: never.")
	o.done = func(d *decoder, at value, given map[string]value, a *Alerts) {
		a.Place = d.placeOf(at)
		d.finishAlerts(given, a)
	}
	return o
}

func targetObject(t *table) *object[AlertTarget] {
	o := newObject[AlertTarget](t, "target", "a target", "One way to tell somebody: email:, webhook:, slack: or command:.")
	o.such = `{email: ops@example.com}`
	add(o, "email", list(mailKind(), "an address such as ops@example.com, or a list of them", true, false), func(g *AlertTarget) *[]string { return &g.Email }, "", "Addresses that get an e-mail, by smtp:.")
	hook := newObject[Webhook](t, "webhook", "webhook", "An address that each message is sent to as JSON, by POST. Redirects are not followed.")
	add(hook, "url", hookURLKind(), func(w *Webhook) *string { return &w.URL }, "", "The address. It is not shown in logs.")
	hook.must()
	add(hook, "secret", secretKind(), func(w *Webhook) *string { return &w.Secret }, "",
		"A word that both sides know. The field X-Weir-Signature then has t=TIME,v1=HEX: an HMAC-SHA-256 with it of the time, a dot and the body.")
	add(hook, "headers", secretFieldsKind(), func(w *Webhook) *[]NameValue { return &w.Fields }, "", "Fields to send along, such as Authorization.")
	brief := short(hook.kind(), hookURLKind(), false, func(_ *decoder, _ value, u string) Webhook { return Webhook{URL: u} })
	add(o, "webhook", pointer(brief), func(g *AlertTarget) **Webhook { return &g.Webhook }, "", "An address that gets JSON.")
	add(o, "slack", hookURLKind(), func(g *AlertTarget) *string { return &g.Slack }, "",
		"The address of an incoming webhook of Slack, Mattermost, Rocket.Chat, or what else takes {\"text\": …}. It is a secret: take it from the environment.")
	add(o, "command", targetCommandKind(), func(g *AlertTarget) *[]string { return &g.Command }, "",
		"A program and its arguments, as a text or as a list. No shell is started. It gets the message as JSON on its standard input.")
	add(o, "severity", severityKind(), func(g *AlertTarget) *Severity { return &g.Severity }, "info", "It is told of this and of what is graver.")
	add(o, "resolved", boolKind(), func(g *AlertTarget) *bool { return &g.Resolved }, "true", "Whether it is told when something is over.")
	add(o, "limit", intKind(1, 10000), func(g *AlertTarget) *int { return &g.Limit }, "20", "Messages an hour. What is more waits, and is told in one.")
	add(o, "timeout", noLonger(durationKind(100*time.Millisecond), 10*time.Minute), func(g *AlertTarget) *time.Duration { return &g.Timeout }, "15s", "For one try. A command is killed then, with all that it started.")
	o.done = func(d *decoder, at value, given map[string]value, _ *AlertTarget) {
		ways := []string{"email", "webhook", "slack", "command"}
		var found []value
		for _, w := range ways {
			if v, ok := given[w]; ok {
				found = append(found, v)
			}
		}
		switch {
		case len(found) == 0:
			d.failKey(at, "a target that tells nobody", "write one of "+oneOf(ways))
		case len(found) > 1:
			d.failKey(found[1], "a target with two ways, "+found[0].name()+" and "+found[1].name(), "make two targets")
		}
	}
	return o
}

// shortTarget is what to write instead of a target that is an address or a program alone.
func shortTarget(text string) string {
	switch {
	case strings.Contains(text, "://"):
		return "{webhook: …} or {slack: …} with the address"
	case strings.Contains(text, "@"):
		if _, c := parseMail(text); c == nil {
			return "{email: " + text + "}"
		}
	case strings.HasPrefix(text, "/"):
		return "{command: " + text + "}"
	}
	return "{email: ops@example.com}, or one of webhook, slack and command"
}

func smtpObject(t *table) *object[SMTP] {
	o := newObject[SMTP](t, "smtp", "smtp", "How e-mail is sent: by a mail server, most often the machine's own.")
	o.such = `{server: "mail.example.com:587"}`
	add(o, "server", scalar("a host and a port, such as mail.example.com:587", textShape(), func(s string) (string, *complaint) {
		host, port, err := net.SplitHostPort(s)
		if err != nil {
			host, port = s, "25"
		}
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || host == "" || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '/' || r == '@' }) ||
			strings.Contains(host, ":") && net.ParseIP(strings.Trim(host, "[]")) == nil {
			return "", &complaint{}
		}
		return net.JoinHostPort(strings.Trim(host, "[]"), port), nil
	}), func(s *SMTP) *string { return &s.Server }, "localhost:25", "The mail server.")
	add(o, "tls", enumKind(SMTPStart, SMTPTLS, SMTPPlain), func(s *SMTP) *string { return &s.TLS }, "(tls at port 465, off at this machine, else starttls)",
		"starttls: nothing is sent to a server that does not offer it. tls: from the first byte. off: unencrypted.")
	add(o, "user", textKind("a name"), func(s *SMTP) *string { return &s.User }, "", "Who signs in.")
	add(o, "password", textKind("a password, from the environment: ${SMTP_PASSWORD}"), func(s *SMTP) *string { return &s.Password }, "", "By which word.")
	add(o, "from", mailKind(), func(s *SMTP) *string { return &s.From }, "(weir@ and the machine's name)", "The sender's address.")
	o.done = func(d *decoder, at value, given map[string]value, s *SMTP) {
		host, port, _ := net.SplitHostPort(s.Server)
		ip := net.ParseIP(host)
		here := host == "localhost" || ip != nil && ip.IsLoopback()
		if s.TLS == "" {
			s.TLS = SMTPStart
			if port == "465" {
				s.TLS = SMTPTLS
			} else if here {
				s.TLS = SMTPPlain
			}
		}
		if (s.User == "") != (s.Password == "") {
			d.failKey(at, "smtp with only one of user and password", "write both, such as user: weir, password: ${SMTP_PASSWORD}")
		}
		if v, ok := given["tls"]; ok && s.TLS == SMTPPlain && s.User != "" && !here {
			d.fail(v, "the password would go over the network unencrypted", "write tls: starttls")
		}
	}
	return o
}

func mailKind() kind[string] {
	return scalar("an address such as ops@example.com", textShape(), parseMail)
}

func parseMail(s string) (string, *complaint) {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) || len(s) > 254 {
		return "", &complaint{}
	}
	return s, nil
}

// hookURLKind is an address that is not quoted in messages: it may be a secret.
func hookURLKind() kind[string] {
	const words = "an address such as https://example.com/alerts"
	return kind[string]{words: words, shape: textShape(), read: func(d *decoder, v value) (string, bool) {
		text, ok := d.text(v, words)
		if !ok {
			return "", false
		}
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			d.fail(v, v.name()+" is no address", "write "+words)
			return "", false
		}
		return text, true
	}}
}

// secretFieldsKind is fields to send along. Their values may be secrets.
func secretFieldsKind() kind[[]NameValue] {
	const words = `a mapping from names of fields to their values, such as {Authorization: "Bearer ${TOKEN}"}`
	s := &shape{Type: "object", Additional: textShape(), PropertyNames: &shape{Pattern: tokenForm().String()}}
	return kind[[]NameValue]{words: words, shape: s, read: func(d *decoder, v value) (all []NameValue, ok bool) {
		entries, ok := d.entries(v, words)
		for _, e := range entries {
			text, good := d.text(e, "the field's value")
			switch {
			case !good:
			case complains(e.key.Value):
				_, c := checkFieldName(e.key.Value)
				d.failKey(e, "the field "+strconv.Quote(e.key.Value)+c.why, c.hint)
			case slices.Contains([]string{"host", "content-length", "content-type", "transfer-encoding", "connection"}, strings.ToLower(e.key.Value)):
				d.failKey(e, e.key.Value+" is weir's own", "take it out")
			case checkFieldValue(text) != nil:
				d.failKey(e, "the value of "+e.key.Value+checkFieldValue(text).why, "a field's value is one line of text")
			default:
				all = append(all, NameValue{Name: e.key.Value, Value: text})
			}
		}
		return all, ok
	}}
}

func complains(name string) bool {
	_, c := checkFieldName(name)
	return c != nil
}

func targetCommandKind() kind[[]string] {
	const words = "a program and its arguments, such as /usr/local/bin/page --now"
	word := textKind("a word")
	s := &shape{AnyOf: []*shape{textShape(), {Type: "array", Items: word.shape, MinItems: 1}}}
	return kind[[]string]{words: words, shape: s, read: func(d *decoder, v value) ([]string, bool) {
		var argv []string
		if ok := v.isList(); ok {
			if argv, ok = list(word, words, false, false).read(d, v); !ok || len(argv) == 0 {
				return nil, false
			}
		} else if !v.isScalar() {
			d.wrong(v, words)
			return nil, false
		} else if argv = d.argv(v, v.node.Value); len(argv) == 0 {
			return nil, false
		}
		d.checkCommand(v, &App{Argv: argv, Directory: d.base})
		if strings.Contains(argv[0], "/") && !filepath.IsAbs(argv[0]) {
			argv[0] = filepath.Join(d.base, argv[0])
		}
		return argv, true
	}}
}

// ruleDraft is a rule as it stands in the file: what it does not say is the built-in rule's.
type ruleDraft struct {
	AlertRule
	over, under, clear string
	given              map[string]value
}

func ruleObject(t *table) *object[ruleDraft] {
	o := newObject[ruleDraft](t, "rule", "a rule", "A change to a built-in rule, or with when: a rule of your own.")
	o.such = `{for: 5m, severity: warning}`
	add(o, "when", textKind("a condition such as site.p95 > 2s and site.rate > 1"), func(r *ruleDraft) *string { return &r.When }, "",
		"The condition of a rule of your own: numbers of total, site, route, pool or server, compared and joined by and, or and not. It is asked of each of them.")
	add(o, "of", textKind("a name, or a pattern such as *.example.com"), func(r *ruleDraft) *string { return &r.Of }, "(all)",
		"Of which sites, pools, servers, disks and so on, by name; * stands for anything.")
	add(o, "over", textKind("a limit such as 5%"), func(r *ruleDraft) *string { return &r.over }, "", "The limit of a built-in rule.")
	add(o, "under", textKind("a limit such as 14d"), func(r *ruleDraft) *string { return &r.under }, "", "The limit of a built-in rule about what falls.")
	add(o, "clear", textKind("a limit such as 2%, or a condition"), func(r *ruleDraft) *string { return &r.clear }, "",
		"Where it is over again: a limit of a built-in rule, or a condition of your own. Between the two nothing changes.")
	add(o, "for", durationKind(0), func(r *ruleDraft) *time.Duration { return &r.For }, "1m", "As long it has to hold before anybody is told.")
	add(o, "clear_for", durationKind(0), func(r *ruleDraft) *time.Duration { return &r.ClearFor }, "1m", "And as long to be over. What comes and goes again and again has to be over for longer.")
	add(o, "severity", severityKind(), func(r *ruleDraft) *Severity { return &r.Severity }, "warning", "How bad it is.")
	add(o, "to", list(textKind("the name of a target"), "the name of a target, or a list of them", true, false), func(r *ruleDraft) *[]string { return &r.To }, "(all targets)", "Who is told.")
	add(o, "text", textKind("a sentence"), func(r *ruleDraft) *string { return &r.Text }, "", "What its messages say besides, such as where to look.")
	o.done = func(_ *decoder, _ value, given map[string]value, r *ruleDraft) { r.given = given }
	return o
}

// rulesKind reads changes to the built-in rules and rules of the file's own, and gives back all that are on.
func rulesKind(t *table) kind[[]AlertRule] {
	o := ruleObject(t)
	const words = "a mapping from names of rules to what they say, or off, such as {queue: {for: 5m}, disk: off}"
	s := &shape{Type: "object", Additional: &shape{AnyOf: []*shape{enumShape([]string{"on", "off"}), o.kind().shape}}, PropertyNames: &shape{Pattern: nameForm().String()}}
	builtIn := func() (all []AlertRule) {
		for _, b := range BuiltInRules() {
			all = append(all, b.AlertRule)
		}
		return all
	}
	return kind[[]AlertRule]{words: words, zero: builtIn(), shape: s, read: func(d *decoder, v value) ([]AlertRule, bool) {
		entries, ok := d.entries(v, words)
		all := builtIn()
		for _, e := range entries {
			d.ruleInto(o, e, &all)
		}
		if len(all) > maxRules {
			d.failKey(v, "over "+itoa(maxRules)+" rules", "take some out")
		}
		return all, ok
	}}
}

// ruleInto reads one entry of rules.
func (d *decoder) ruleInto(o *object[ruleDraft], e value, all *[]AlertRule) {
	name := e.key.Value
	known := BuiltInRules()
	i := slices.IndexFunc(known, func(b BuiltInRule) bool { return b.Name == name })
	if c := checkName(name); c != nil {
		d.failKey(e, "a rule cannot be called "+name, c.hint)
		return
	}
	if i < 0 {
		d.ownRule(o, e, all)
		return
	}
	if e.isScalar() {
		switch e.node.Value {
		case "off", "false":
			*all = slices.DeleteFunc(*all, func(r AlertRule) bool { return r.Name == name })
		case "on", "true":
		default:
			d.wrong(e, "off, or a mapping such as {for: 5m}")
		}
		return
	}
	r, ok := o.read(d, e)
	if !ok {
		return
	}
	b := known[i]
	if v, is := r.given["when"]; is {
		d.failKey(v, name+" is a built-in rule, which has its condition", "choose another name for a rule of your own")
		return
	}
	d.limits(&b, &r)
	for key, take := range map[string]func(){
		"of": func() { b.Of = r.Of }, "for": func() { b.For = r.For }, "clear_for": func() { b.ClearFor = r.ClearFor }, "severity": func() { b.Severity = r.Severity },
		"to": func() { b.To = r.To }, "text": func() { b.Text = r.Text },
	} {
		if _, is := r.given[key]; is {
			take()
		}
	}
	(*all)[slices.IndexFunc(*all, func(x AlertRule) bool { return x.Name == name })] = b.AlertRule
}

// limits reads over, under and clear of a built-in rule.
func (d *decoder) limits(b *BuiltInRule, r *ruleDraft) {
	mine, other := "over", "under"
	text := r.over
	if b.Less {
		mine, other, text = other, mine, r.under
	}
	if v, is := r.given[other]; is {
		d.failKey(v, b.Name+" has no "+other, cmp.Or(map[bool]string{true: "write " + mine}[b.Unit != ""], "take it out"))
		return
	}
	at, is := r.given[mine]
	back, cleared := r.given["clear"]
	if b.Unit == "" {
		if is || cleared {
			if !is {
				at = back
			}
			d.failKey(at, b.Name+" has no limit", "take it out")
		}
		return
	}
	if is {
		was := b.Over
		over, ok := d.limit(at, b.Unit, text, b.Over)
		if !ok {
			return
		}
		b.Over = over
		if was != 0 {
			b.Clear *= over / was // as far from it as it was
		}
	}
	if !cleared {
		return
	}
	clear, ok := d.limit(back, b.Unit, r.clear, b.Clear)
	if !ok {
		return
	}
	if b.Clear = clear; !b.Less && clear > b.Over || b.Less && clear < b.Over {
		d.fail(back, b.Name+" would be over where it begins", "write clear: on the other side of "+mine)
	}
}

// limit reads a limit in a unit. such is one as it is usual.
func (d *decoder) limit(v value, unit, text string, such float64) (float64, bool) {
	switch unit {
	case "time":
		if t, ok := ParseDuration(text); ok && t <= maxDuration {
			return t.Seconds(), true
		}
		d.fail(v, v.name()+" is "+strconv.Quote(text), "write a time such as 14d")
	case "share":
		n, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
		if strings.HasSuffix(text, "%") {
			n /= 100
		}
		if err == nil && n > 0 && n <= 1 && text != "1" { // 1 is what somebody writes who means 1%
			return n, true
		}
		d.fail(v, v.name()+" is "+strconv.Quote(text), "write a share up to 100%, such as "+strconv.FormatFloat(such*100, 'f', -1, 32)+"%")
	default:
		if n, err := strconv.ParseFloat(text, 64); err == nil && n >= 0 && !math.IsInf(n, 0) {
			return n, true
		}
		d.fail(v, v.name()+" is "+strconv.Quote(text), "write a number such as 3")
	}
	return 0, false
}

// ownRule reads a rule of the file's own.
func (d *decoder) ownRule(o *object[ruleDraft], e value, all *[]AlertRule) {
	name := e.key.Value
	var names []string
	for _, b := range BuiltInRules() {
		names = append(names, b.Name)
	}
	if e.isScalar() {
		hint := "the built-in rules are " + oneOf(names)
		if n := Nearest(name, names); n != "" {
			hint = "did you mean " + strconv.Quote(n) + "?"
		} else if _, err := condition.Parse(e.node.Value); err == nil {
			hint = "write {when: " + e.node.Value + "}"
		}
		d.failKey(e, "there is no built-in rule "+name, hint)
		return
	}
	r, ok := o.read(d, e)
	if !ok {
		return
	}
	for _, key := range []string{"over", "under"} {
		if v, is := r.given[key]; is {
			if _, own := r.given["when"]; own {
				d.failKey(v, key+" is for built-in rules: what limits "+name+" stands in its condition", "take it out")
				return
			}
			hint := "write when: with a condition; the built-in rules are " + oneOf(names)
			if n := Nearest(name, names); n != "" {
				hint = "did you mean " + strconv.Quote(n) + "?"
			}
			d.failKey(v, "there is no built-in rule "+name, hint)
			return
		}
	}
	when, is := r.given["when"]
	if !is {
		d.failKey(e, "a rule without when", "write when: site.p95 > 2s, or the name of a built-in rule: "+oneOf(names))
		return
	}
	first := d.condition(when, r.When)
	r.Until = r.clear
	if v, is := r.given["clear"]; is {
		if second := d.condition(v, r.clear); first != nil && second != nil && first.Of() != second.Of() {
			d.fail(v, "clear is about "+second.Of()+", and when about "+first.Of(), "compare numbers of "+first.Of())
		}
	}
	r.Name = name
	*all = append(*all, r.AlertRule)
}

// condition checks a condition; what is wrong is underlined.
func (d *decoder) condition(v value, text string) *condition.Condition {
	c, err := condition.Parse(text)
	if err == nil {
		return c
	}
	bad := err.(*condition.Error) // it is always one
	d.failWithin(v, text, bad.Column, bad.Width, bad.Message, bad.Hint)
	return nil
}

// finishAlerts looks whether the targets that rules name are there.
func (d *decoder) finishAlerts(given map[string]value, a *Alerts) {
	names := make([]string, len(a.Targets))
	for i, g := range a.Targets {
		names[i] = g.Name
	}
	if len(names) > maxTargets {
		d.failKey(given["targets"], "over "+itoa(maxTargets)+" targets", "take some out")
	}
	for _, r := range a.Rules {
		for _, to := range r.To {
			if !slices.Contains(names, to) {
				hint := "name it in targets:"
				if n := Nearest(to, names); n != "" {
					hint = "did you mean " + strconv.Quote(n) + "?"
				}
				at := d.places["alerts.rules."+r.Name+".to"]
				d.failAt(at, 2, "there is no target "+strconv.Quote(to), hint)
			}
		}
	}
	if v, ok := given["smtp"]; ok && !slices.ContainsFunc(a.Targets, func(g AlertTarget) bool { return len(g.Email) > 0 }) {
		d.warn(v, "no target is told by e-mail", "write such as ops: {email: ops@example.com}")
	}
}

// checkSubjects warns of rules about one subject that there is none of: they would say nothing, ever.
func (d *decoder) checkSubjects(r *raw) {
	if r.Alerts == nil || r.Include != nil {
		return
	}
	var sites, pools, apps []string
	for _, s := range r.Sites {
		if len(s.Hosts) > 0 {
			sites = append(sites, s.Hosts[0])
		}
	}
	for _, p := range r.Pools {
		pools = append(pools, p.Name)
	}
	for _, a := range r.Apps {
		apps = append(apps, a.Name)
	}
	about := map[string][]string{"errors": sites, "hit_ratio": sites, "no_traffic": sites, "budget": sites, "pool_down": pools, "queue": pools, "worker_loop": apps}
	for _, rule := range r.Alerts.Rules {
		names, known := about[rule.Name]
		if c, err := condition.Parse(rule.When); err == nil {
			names, known = map[string][]string{"site": sites, "pool": pools}[c.Of()], c.Of() == "site" || c.Of() == "pool"
		}
		if !known || rule.Of == "" || strings.Contains(rule.Of, "*") || slices.Contains(names, rule.Of) {
			continue
		}
		hint := "there is nothing that it could be about"
		if len(names) > 0 {
			hint = "write " + oneOf(names[:min(len(names), 10)])
		}
		if i := slices.IndexFunc(r.Sites, func(s *Site) bool { return slices.Contains(s.Hosts, rule.Of) }); i >= 0 {
			hint = "a site is called by its first host: write " + r.Sites[i].Hosts[0]
		} else if n := Nearest(rule.Of, names); n != "" {
			hint = "did you mean " + strconv.Quote(n) + "?"
		}
		d.warnAt(d.places["alerts.rules."+rule.Name+".of"], 2, "the rule "+rule.Name+" is of "+rule.Of+", and nothing is called so", hint)
	}
}
