package config

import (
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// healthDraft is what a pool says of its servers' health before it is known what else there is.
type healthDraft struct {
	Health
	command string
	match   string  // expect.body as it was written
	track   string  // as it was written
	trackAt value   // and where
	trackOf []value // for messages: what else was given
	role    string  // as it was written
}

// addHealth gives a pool its keys about the health of servers.
func addHealth(t *table, o *object[poolDraft]) {
	add(o, "health", pointer(healthKind(t)), func(p *poolDraft) **healthDraft { return &p.health }, "",
		"Checks that weir makes of each server. One that fails gets no requests until it is well again.")
	add(o, "eject", pointer(ejectObject(t).kind()), func(p *poolDraft) **Eject { return &p.Eject }, "",
		"Leave a server alone for a while when its answers to requests are bad or slow.")
	add(o, "slow_start", durationKind(0), func(p *poolDraft) *time.Duration { return &p.SlowStart }, "0s",
		"A server that comes, or comes back, gets a tenth of its share at first and all of it after this time.")
	add(o, "agent", pointer(agentKind(t)), func(p *poolDraft) **Agent { return &p.Agent }, "",
		"Where the app asks for less traffic by itself.")
}

var checkTypes = []string{"http", "grpc", "tcp", "tls", "command", "postgres", "redis"}

func healthKind(t *table) kind[healthDraft] {
	expect := newObject[healthDraft](t, "health_expect", "health.expect", "What a server that is well answers.")
	add(expect, "status", list(statusRangeKind(), "a status, a class such as 2xx or a range such as 200-299, or a list of them", true, false),
		func(h *healthDraft) *[]StatusRange { return &h.Status }, "200-399", "Its status.")
	add(expect, "body", textKind("a text, or a pattern between slashes"), func(h *healthDraft) *string { return &h.match }, "",
		"What the first 64 KiB of its body contain: a text, or between slashes a pattern (RE2).")
	expect.done = func(d *decoder, _ value, given map[string]value, h *healthDraft) { d.finishExpect(given, h) }

	o := newObject[healthDraft](t, "health", "health", "Checks of a pool's servers. A text alone is a path, or tcp, tls, grpc or redis.")
	add(o, "type", enumKind(checkTypes...), func(h *healthDraft) *string { return &h.Type }, "(command with a command, else http)",
		"http: what it answers. grpc: what its health service (grpc.health.v1.Health) says. tcp: it takes a connection. tls: it takes one and "+
			"shakes hands. command: a program says so, by its exit status. postgres, redis: a database that answers, and has the role.")
	add(o, "path", healthPathKind(), func(h *healthDraft) *string { return &h.Path }, "/", "What an http check asks for.")
	add(o, "method", scalar("a method such as GET, HEAD or OPTIONS", stringShape(), func(s string) (string, *complaint) {
		if !tokenForm().MatchString(s) || s == "CONNECT" || s != strings.ToUpper(s) {
			return "", &complaint{}
		}
		return s, nil
	}), func(h *healthDraft) *string { return &h.Method }, "GET", "Its method.")
	add(o, "host", fieldValueKind("the name of a host"), func(h *healthDraft) *string { return &h.Host }, "(localhost)",
		"Its Host field. Of a tls check in a pool without tls: the name that the certificate must be for; without it, any certificate will do.")
	add(o, "headers", fieldsKind(), func(h *healthDraft) *[]NameValue { return &h.Headers }, "{}", "Further fields.")
	addTo(o, "expect", expect.kind(), func(h *healthDraft, got healthDraft) {
		h.Status, h.match, h.Body, h.Pattern = got.Status, got.match, got.Body, got.Pattern
	}, "", "What a server that is well answers.")
	add(o, "every", durationKind(100*time.Millisecond), func(h *healthDraft) *time.Duration { return &h.Every }, "2s",
		"The time between two checks, a tenth more or less.")
	add(o, "fast", durationKind(50*time.Millisecond), func(h *healthDraft) *time.Duration { return &h.Fast }, "500ms",
		"The same while a change is in the air: at first, and after a result that differs.")
	add(o, "timeout", durationKind(10*time.Millisecond), func(h *healthDraft) *time.Duration { return &h.Timeout }, "1s",
		"How long a check may take. One that takes longer has failed.")
	add(o, "rise", intKind(1, 100), func(h *healthDraft) *int { return &h.Rise }, "2", "Good checks in a row after which a closed server is open again.")
	add(o, "fall", intKind(1, 100), func(h *healthDraft) *int { return &h.Fall }, "3", "Failed checks in a row after which an open server is closed.")
	add(o, "port", intKind(1, 65535), func(h *healthDraft) *int { return &h.Port }, "(the server's own)", "Where checks connect. There HTTP/1.1 is spoken, also to servers that speak h2c.")
	add(o, "command", commandKind(), func(h *healthDraft) *string { return &h.command }, "",
		"A program and its arguments, divided as a shell divides them; no shell is started. $WEIR_POOL, $WEIR_SERVER, $WEIR_HOST and "+
			"$WEIR_PORT in its environment say whom to check. Exit status 0 is well; its first line of output is shown.")
	add(o, "service", fieldValueKind("the name of a service such as shop.Orders"), func(h *healthDraft) *string { return &h.Service }, "",
		"Whose health a grpc check asks for. Without it, that of the server as a whole.")
	add(o, "track", textKind("POOL or POOL/SERVER"), func(h *healthDraft) *string { return &h.track }, "",
		"Make no checks, and do as those of another pool say: each server as the one there at the same address or host, or all as the one that is named.")
	addDatabaseKeys(o)
	o.done = (*decoder).finishHealth
	brief := scalar("a path such as /alive, tcp, tls, grpc or redis", stringShape(), func(s string) (string, *complaint) {
		if s == "tcp" || s == "tls" || s == "grpc" || s == "redis" {
			return s, nil
		}
		return s, checkHealthPath(s)
	})
	return short(o.kind(), brief, false, func(_ *decoder, _ value, got string) healthDraft {
		h := o.zero
		if h.Type = "http"; got[0] != '/' {
			h.Type = got
		} else {
			h.Path = got
		}
		if h.Database = ""; h.Type == "redis" {
			h.Role = Primary
		}
		return h.usual()
	})
}

func checkHealthPath(s string) *complaint {
	if s == "" || s[0] != '/' {
		return &complaint{"", "write a path such as /alive: it begins with /"}
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '#' {
			return &complaint{", which has a character in it that a request's target cannot have", "write %20 for a blank, and so on"}
		}
	}
	return nil
}

func healthPathKind() kind[string] {
	return scalar("a path such as /alive", stringShape(), func(s string) (string, *complaint) { return s, checkHealthPath(s) })
}

func (h healthDraft) usual() healthDraft {
	if h.Host == "" && h.Type == "http" {
		h.Host = "localhost"
	}
	return h
}

// maxBodyPattern bounds a pattern, whose program has to be held.
const maxBodyPattern = 1000

func (d *decoder) finishExpect(given map[string]value, h *healthDraft) {
	v, ok := given["body"]
	text := h.match
	switch {
	case !ok:
	case text == "":
		d.fail(v, "body is empty", "write what a good answer contains, or take it out")
	case len(text) > maxBodyPattern:
		d.fail(v, "body has more than "+itoa(maxBodyPattern)+" bytes", "write less of what a good answer contains")
	case len(text) > 2 && text[0] == '/' && text[len(text)-1] == '/':
		re, err := regexp.Compile(text[1 : len(text)-1])
		if err != nil {
			d.fail(v, "body is no pattern: "+strings.TrimPrefix(err.Error(), "error parsing regexp: "), "write it as RE2 has it")
			return
		}
		h.Pattern = re
	default:
		h.Body = text
	}
}

// keysOf are the keys that only checks of one type have.
var keysOf = map[string][]string{"http": {"path", "method", "headers", "expect"}, "command": {"command"}, "grpc": {"service"},
	"postgres": {"role", "user", "password", "database"}, "redis": {"role", "user", "password"}}

func (d *decoder) finishHealth(_ value, given map[string]value, h *healthDraft) {
	if v, ok := given["track"]; ok {
		h.trackAt = v
		for name, o := range given {
			if name != "track" {
				h.trackOf = append(h.trackOf, o)
			}
		}
		slices.SortFunc(h.trackOf, func(a, b value) int { return strings.Compare(a.path, b.path) })
		for _, o := range h.trackOf {
			d.failKey(o, o.name()+" beside track", "who follows another's checks makes none: take one of them out")
		}
		h.Type, h.Database = "", ""
		return
	}
	if h.Type == "" {
		h.Type = "http"
		if _, ok := given["command"]; ok {
			h.Type = "command"
		}
	}
	said := map[string]bool{}
	for _, kind := range checkTypes {
		for _, name := range keysOf[kind] {
			if v, ok := given[name]; ok && !said[name] && !slices.Contains(keysOf[h.Type], name) {
				said[name] = true
				d.failKey(v, name+" in a check of type "+h.Type, "take it out, or write type: "+kind)
			}
		}
	}
	if v, ok := given["host"]; ok && h.Type != "http" && h.Type != "tls" {
		d.failKey(v, "host in a check of type "+h.Type, "take it out, or write type: http")
	}
	if v, ok := given["fast"]; ok && h.Fast > h.Every {
		d.fail(v, "fast ("+showDuration(h.Fast)+") is slower than every ("+showDuration(h.Every)+")", "make it shorter")
	}
	if v, ok := given["command"]; ok && !v.void && h.command != "" {
		d.healthCommand(v, h)
	} else if h.Type == "command" && !ok {
		d.failKey(given["type"], "a check by a command, without the command", "write command: with a program and its arguments")
	}
	d.finishDatabase(given, h)
	*h = h.usual()
}

func (d *decoder) healthCommand(v value, h *healthDraft) {
	if h.Argv = d.argv(v, h.command); len(h.Argv) == 0 {
		return
	}
	if strings.Contains(h.Argv[0], "/") {
		h.Argv[0] = d.absolute(h.Argv[0])
	}
	d.checkCommand(v, &App{Argv: h.Argv, Directory: filepath.Dir(d.absolute("x"))})
}

func ejectObject(t *table) *object[Eject] {
	o := newObject[Eject](t, "eject", "eject", "When a server that fails requests is left alone. Failures are: no connection, no "+
		"response or none that is HTTP, a time limit, and a status of 500 and above but 501 and 505.")
	add(o, "after", afterKind(), func(e *Eject) *int { return &e.After }, "5", "Errors in a row: `5 consecutive errors`, or the number. 0: however many.")
	rate := scalar("a share of a number of requests, such as 50% of 20", patternShape(`^[0-9]+(\.[0-9])?% of [0-9]+$`), parseRate)
	addTo(o, "rate", rate, func(e *Eject, r [2]int) { e.Rate, e.Of = r[0], r[1] }, "",
		"Such a share of errors among at least so many requests of the last ten seconds.")
	add(o, "slow", scalar("a number of times such as 3x", patternShape(`^[0-9]+(\.[0-9]+)?x$`), func(s string) (int, *complaint) {
		number, ok := strings.CutSuffix(s, "x")
		f, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil || !(f >= 1.1 && f <= 1000) {
			return 0, &complaint{}
		}
		return int(math.Round(f * 1000)), nil
	}), func(e *Eject) *int { return &e.Slow }, "", "It usually takes so many times what servers of the pool take, "+
		"the median of them, to the first byte of a response (and at least 5 ms more; of 20 requests and more within ten seconds).")
	add(o, "for", durationKind(100*time.Millisecond), func(e *Eject) *time.Duration { return &e.For }, "30s",
		"How long it is left alone the first time; then one request tries it. Each time that follows soon is twice as long, up to 5m.")
	add(o, "at_most", ejectShareKind(), func(e *Eject) *int { return &e.AtMost }, "50%",
		"The share of the pool's servers that may be closed, for whatever reason; with more, none is ejected.")
	o.done = func(d *decoder, at value, _ map[string]value, e *Eject) {
		if e.After == 0 && e.Rate == 0 && e.Slow == 0 {
			d.failKey(at, "eject that never ejects", "write after:, rate: or slow:, or take it out")
		}
	}
	return o
}

func afterKind() kind[int] {
	s := &shape{AnyOf: []*shape{intShape(0, 1000), patternShape(`^[0-9]+ consecutive errors$`)}}
	return scalar("a number such as 5 consecutive errors", s, func(s string) (int, *complaint) {
		number := strings.TrimSuffix(s, " consecutive errors")
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n > 1000 {
			return 0, &complaint{}
		}
		return n, nil
	})
}

func parseRate(s string) ([2]int, *complaint) {
	share, of, ok := strings.Cut(s, " of ")
	t, good := parseThousandths(share)
	n, err := strconv.Atoi(of)
	if !ok || !good || t == 0 || err != nil || n < 1 || n > 1e6 {
		return [2]int{}, &complaint{}
	}
	return [2]int{t, n}, nil
}

// parseThousandths reads "50%" or "12.5%".
func parseThousandths(s string) (int, bool) {
	number, ok := strings.CutSuffix(s, "%")
	f, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(f >= 0 && f <= 100) {
		return 0, false
	}
	return int(math.Round(f * 10)), true
}

func ejectShareKind() kind[int] {
	return scalar("a share such as 50%", patternShape(`^[0-9]+(\.[0-9])?%$`), func(s string) (int, *complaint) {
		t, ok := parseThousandths(s)
		if !ok {
			return 0, &complaint{}
		}
		return t, nil
	})
}

func agentKind(t *table) kind[Agent] {
	o := newObject[Agent](t, "agent", "agent", "How an app asks for less traffic: a share such as 50%, and from an endpoint also "+
		"up, drain, maint and down. A text alone is the header.")
	header := scalar("the name of a field", stringShape(), checkFieldName)
	add(o, "header", header, func(a *Agent) *string { return &a.Header }, "",
		"A field of its responses (of checks too) with a share from 1% to 100%; it counts for ten seconds, and clients do not get it.")
	add(o, "path", healthPathKind(), func(a *Agent) *string { return &a.Path }, "", "A path that answers with such a word.")
	add(o, "port", intKind(1, 65535), func(a *Agent) *int { return &a.Port }, "(the server's own)",
		"Where that is. Without a path: whoever connects there is sent such a line, as HAProxy's agents do it.")
	add(o, "every", durationKind(100*time.Millisecond), func(a *Agent) *time.Duration { return &a.Every }, "2s", "How often an endpoint is asked.")
	add(o, "timeout", durationKind(10*time.Millisecond), func(a *Agent) *time.Duration { return &a.Timeout }, "1s",
		"How long it may take. What an endpoint said last counts until it says something else.")
	o.done = func(d *decoder, at value, given map[string]value, a *Agent) {
		if len(given) > 0 && a.Header == "" && a.Path == "" && a.Port == 0 || len(given) == 0 {
			d.failKey(at, "an agent without header, path and port", "write header: X-Weir-Weight, or where an endpoint is")
		}
	}
	return short(o.kind(), header, false, func(_ *decoder, _ value, name string) Agent {
		a := o.zero
		a.Header = name
		return a
	})
}

// finishTracks follows the names of pools and servers whose checks count for others.
func (d *decoder) finishTracks(r *raw) {
	names, drafts := make([]string, 0, len(r.pools)), make(map[string]*poolDraft, len(r.pools))
	for _, p := range r.pools {
		names = append(names, p.Name)
		drafts[p.Name] = p
	}
	if d.outer != nil {
		for _, p := range d.outer.whole.pools {
			if drafts[p.Name] == nil {
				names, drafts[p.Name] = append(names, p.Name), p
			}
		}
	}
	for _, p := range r.pools {
		if p.health == nil {
			continue
		}
		p.Health = &p.health.Health
		if p.health.trackAt.node == nil || p.health.track == "" {
			continue
		}
		at, pool, server := p.health.trackAt, p.health.track, ""
		if i := strings.IndexByte(pool, '/'); i >= 0 {
			pool, server = pool[:i], pool[i+1:]
		}
		other := drafts[pool]
		switch {
		case other == nil:
			d.undefined(at, "there is no pool "+pool, pool, names, "pool")
		case other == p:
			d.fail(at, "a pool cannot follow its own checks", "write another pool's name")
		case other.health == nil:
			d.fail(at, "the pool "+pool+" has no health checks", "write health: there, or here instead of track:")
		case other.health.trackAt.node != nil:
			d.fail(at, "the pool "+pool+" follows another's checks itself", "follow that one directly")
		case server != "" && other.App == "" && !slices.ContainsFunc(other.Servers, func(s Server) bool { return strings.EqualFold(s.Address, server) }):
			d.undefined(at, "the pool "+pool+" has no server "+server, server, addressesOf(other.Servers), "server")
		}
		p.Health.Track = Tracked{Pool: pool, Server: server}
	}
}

func addressesOf(servers []Server) []string {
	out := make([]string, len(servers))
	for i, s := range servers {
		out[i] = s.Address
	}
	return out
}
