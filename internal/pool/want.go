package pool

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool/link"
)

// want is one server as it should be.
type want struct {
	name, address string
	to            loop.Addr
	weight        int
	worker, host  string
	zone          string
	backup        bool
	leaving       bool
	spec          link.Spec
	tls           *config.ServerTLS // what spec is made of
}

// target is an address as configured: an address to dial, or a host name to resolve and a port.
type target struct {
	to   loop.Addr
	host string
	port uint16
}

// parseAddress reads host:port or "unix:" and a path.
func parseAddress(a string) (target, error) {
	if path, ok := strings.CutPrefix(a, "unix:"); ok {
		if path == "" {
			return target{}, fmt.Errorf("server %q has no path; write unix:/run/app.sock", a)
		}
		return target{to: loop.Addr{Unix: path}}, nil
	}
	host, port, err := net.SplitHostPort(a)
	if err != nil || host == "" {
		return target{}, fmt.Errorf("server %q is no address; write host:port or unix:/path", a)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return target{}, fmt.Errorf("server %q: the port must be a number from 1 to 65535", a)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return target{to: loop.Addr{IP: netip.AddrPortFrom(ip.Unmap(), uint16(n))}}, nil
	}
	return target{host: host, port: uint16(n)}, nil
}

// hostname is what a certificate at the target is for; empty for a Unix socket.
func (t *target) hostname() string {
	switch {
	case t.host != "":
		return t.host
	case t.to.Unix != "":
		return ""
	}
	return t.to.IP.Addr().String()
}

// maxAddresses bounds how many servers one name can become.
const maxAddresses = 64

// wantFixed lists the servers of a pool that names them. A host name is as many servers as it has addresses, each
// with the weight: every address has its own count of requests, max_conn, kept connections and rests, so that one dead machine
// behind a name costs nothing but its share. missing lists the servers whose name has no address now.
func wantFixed(cfg *config.Pool, names map[string][]netip.Addr) (ws []want, missing []string, err error) {
	add := func(w want) {
		if i := slices.IndexFunc(ws, func(o want) bool { return o.name == w.name }); i >= 0 {
			ws[i].weight += w.weight
			return
		}
		ws = append(ws, w)
	}
	for _, s := range cfg.Servers {
		t, err := parseAddress(s.Address)
		if err != nil {
			return nil, nil, fmt.Errorf("pool %q: %w", cfg.Name, err)
		}
		spec := link.SpecOf(cfg, s.TLS, t.hostname())
		if t.host == "" {
			add(want{name: s.Address, address: s.Address, to: t.to, weight: s.Weight, zone: s.Zone, backup: s.Backup, spec: spec, tls: s.TLS})
			continue
		}
		ips := names[t.host]
		if len(ips) == 0 {
			missing = append(missing, s.Address)
		}
		for _, ip := range ips {
			to := netip.AddrPortFrom(ip, t.port)
			add(want{name: s.Address + "/" + ip.String(), address: to.String(), to: loop.Addr{IP: to}, weight: s.Weight,
				zone: s.Zone, backup: s.Backup, host: t.host, spec: spec, tls: s.TLS})
		}
	}
	return ws, missing, nil
}

// wantWorkers lists the servers of an app's pool. Workers whose address makes no sense are left out and told of.
func wantWorkers(cfg *config.Pool, workers []api.Worker) (ws []want, err error) {
	for _, w := range workers {
		if w.App != cfg.App {
			continue
		}
		t, bad := parseAddress(w.Address)
		if bad == nil && t.host != "" {
			bad = fmt.Errorf("server %q: a worker's address is an IP address and a port, or a socket", w.Address)
		}
		if bad != nil {
			err = fmt.Errorf("worker %q: %w", w.Name, bad)
			continue
		}
		ws = append(ws, want{name: w.Name, address: w.Address, to: t.to, weight: 1, worker: w.Name, spec: link.SpecOf(cfg, nil, ""), leaving: w.State != "ready"})
	}
	return ws, err
}

// normalise makes two answers comparable: sorted, without doubles, IPv4 as IPv4, bounded.
func normalise(ips []netip.Addr) []netip.Addr {
	out := make([]netip.Addr, 0, len(ips))
	for _, ip := range ips {
		if ip.IsValid() {
			out = append(out, ip.Unmap())
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	out = slices.Compact(out)
	return out[:min(len(out), maxAddresses)]
}
