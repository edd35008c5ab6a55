package config

import (
	"net"
	"net/netip"
	"strings"
	"time"
)

func metricsObject(t *table) *object[Metrics] {
	o := newObject[Metrics](t, "metrics", "metrics", "Numbers beside those at /metrics of the status page: apps' own, and weir's for others.")
	o.such = `{statsd: "10.0.0.3:8125"}`
	add(o, "listen", list(socketKind(), "an address, or a list of them", true, true), func(m *Metrics) *[]Socket { return &m.Listen }, "[]",
		"Where apps' own numbers are taken, as statsd lines, with DogStatsD's tags: they are shown beside weir's, as app_….")
	add(o, "statsd", peerKind("statsd", ":8125"), func(m *Metrics) *string { return &m.Statsd }, "", "A statsd that weir's numbers are sent to, by UDP.")
	add(o, "graphite", peerKind("Graphite", ":2003"), func(m *Metrics) *string { return &m.Graphite }, "", "A Graphite that weir's numbers are sent to, by TCP in its plain text protocol.")
	add(o, "every", durationKind(time.Second), func(m *Metrics) *time.Duration { return &m.Every }, "10s", "How often they are sent.")
	prefix := scalar("a prefix such as weir.web-1", stringShape(), func(s string) (string, *complaint) {
		if len(s) > 200 || !numbersPrefixForm().MatchString(s) {
			return "", &complaint{"", "write letters, digits, _ and -, with dots between parts"}
		}
		return s, nil
	})
	add(o, "prefix", prefix, func(m *Metrics) *string { return &m.Prefix }, "(weir. and the host name)", "What the names of the numbers that are sent begin with.")
	o.done = func(d *decoder, at value, given map[string]value, m *Metrics) {
		m.Place = d.placeOf(at)
		for _, s := range m.Listen {
			if s.Network == "udp" && m.Statsd != "" && meets(s.Address, m.Statsd) {
				d.failKey(given["statsd"], "statsd is the address at which weir itself listens: its numbers would come back to it as an app's", "write another statsd, or take statsd: out")
			}
		}
	}
	return o
}

var numbersPrefixForm = lazily(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// socketKind is an address to take datagrams at.
func socketKind() kind[Socket] {
	const words = `an address such as "127.0.0.1:8125" or "unix:/run/weir-numbers.sock"`
	one := localListenKind(":8125")
	return kind[Socket]{words: words, shape: one.shape, read: func(d *decoder, v value) (Socket, bool) {
		l, ok := one.read(d, v)
		s := Socket{Network: "udp", Address: l.Address}
		if l.Network == "unix" {
			s.Network = "unixgram"
		}
		return s, ok
	}}
}

// peerKind is an address to send to.
func peerKind(what, port string) kind[string] {
	return scalar(`an address of a `+what+` such as "10.0.0.3`+port+`"`, stringShape(), func(s string) (string, *complaint) {
		if _, rest, ok := strings.Cut(s, "://"); ok {
			return "", &complaint{"", `write "` + strings.TrimRight(rest, "/") + `"`}
		}
		host, number, err := net.SplitHostPort(s)
		if err != nil {
			return "", &complaint{"", portHint(s, port)}
		}
		if host == "" || strings.ContainsAny(host, " /?#@") {
			return "", &complaint{"", "write a name or an address before the port"}
		}
		return s, checkPort(number)
	})
}

// meets reports whether what is sent to an address comes to a socket.
func meets(socket, address string) bool {
	here, port, err := net.SplitHostPort(socket)
	there, number, other := net.SplitHostPort(address)
	if err != nil || other != nil || port != number {
		return false
	}
	local := func(host string) bool {
		ip, err := netip.ParseAddr(host)
		return host == "localhost" || err == nil && ip.IsLoopback()
	}
	switch here {
	case "", "0.0.0.0", "::":
		return local(there)
	}
	return here == there || local(here) && local(there)
}

// checkMetrics warns of numbers that nobody gets to see but this machine's users.
func (d *decoder) checkMetrics(given map[string]value, r *raw) {
	_, page := given["admin"]
	if v, ok := given["metrics"]; ok && r.Metrics != nil && !page && r.Metrics.Statsd == "" && r.Metrics.Graphite == "" {
		d.warn(v, "metrics without admin: only `weir top` shows these numbers, and nobody answers Prometheus", "write admin: {}, and scrape http://127.0.0.1:9190/metrics")
	}
}
