package config

import (
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// maxSocketPath is the longest path of a Unix socket that every system takes (sun_path without its NUL).
const maxSocketPath = 103

func prefixKind() kind[netip.Prefix] {
	const words = "an address such as 192.0.2.1, or a network such as 10.0.0.0/8 or 2001:db8::/32"
	return scalar(words, stringShape(), parsePrefix)
}

func parsePrefix(s string) (netip.Prefix, *complaint) {
	if a, err := netip.ParseAddr(s); err == nil {
		if a.Zone() != "" {
			return netip.Prefix{}, &complaint{", which has a zone", ""}
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, &complaint{}
	}
	if m := p.Masked(); m != p {
		return netip.Prefix{}, &complaint{", which has bits beyond its mask", "write " + m.String() + ", or " + p.Addr().String() + " for the one address"}
	}
	return p, nil
}

// listenKind is an address to accept connections on.
func listenKind() kind[Listen] {
	const words = `an address such as ":80", "127.0.0.1:8080" or "unix:/run/site.sock"`
	parse := scalar(words, stringShape(), parseListen)
	return kind[Listen]{words: words, shape: parse.shape, read: func(d *decoder, v value) (Listen, bool) {
		l, ok := parse.read(d, v)
		l.Place = d.place(v.node)
		if !ok || l.Network != "unix" {
			return l, ok
		}
		l.Address = d.absolute(l.Address)
		if len(l.Address) > maxSocketPath {
			d.fail(v, "the path of a socket with "+itoa(len(l.Address))+" bytes", "use at most "+itoa(maxSocketPath))
			return l, false
		}
		return l, true
	}}
}

// localListenKind is an address for this machine's own business. What lacks a part is to be completed so that nobody else can reach it.
func localListenKind(port string) kind[Listen] {
	k := listenKind()
	k.words = `an address such as "127.0.0.1` + port + `", "[::1]` + port + `" or "unix:/run/site.sock"`
	read := k.read
	k.read = func(d *decoder, v value) (Listen, bool) {
		if text := v.node.Value; v.isScalar() && checkPort(text) == nil {
			d.fail(v, v.name()+" is "+strconv.Quote(text)+", a number", `write "127.0.0.1:`+text+`"`)
			return Listen{}, false
		} else if _, err := netip.ParseAddr(text); v.isScalar() && err == nil {
			d.fail(v, v.name()+" is "+strconv.Quote(text), portHint(text, port))
			return Listen{}, false
		}
		return read(d, v)
	}
	return k
}

func parseListen(s string) (Listen, *complaint) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if path == "" || strings.HasSuffix(path, "/") {
			return Listen{}, &complaint{}
		}
		return Listen{Network: "unix", Address: path}, nil
	}
	if strings.HasPrefix(s, "/") {
		return Listen{}, &complaint{"", `write "unix:` + s + `"`}
	}
	if _, err := strconv.ParseUint(s, 10, 16); err == nil {
		return Listen{}, &complaint{", a number", `write ":` + s + `"`}
	}
	if scheme, rest, ok := strings.Cut(s, "://"); ok && scheme != "" {
		return Listen{}, &complaint{"", `write "` + strings.TrimRight(rest, "/") + `"`}
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return Listen{}, &complaint{"", portHint(s, ":80")}
	}
	if c := checkPort(port); c != nil {
		return Listen{}, c
	}
	if host == "*" {
		return Listen{}, &complaint{"", `write ":` + port + `" for every address`}
	}
	if a, err := netip.ParseAddr(host); host != "" && host != "localhost" && (err != nil || a.Zone() != "") {
		return Listen{}, &complaint{"", "write an IP address of this machine, or nothing before the colon for all of them"}
	}
	return Listen{Network: "tcp", Address: net.JoinHostPort(host, port)}, nil
}

// portHint is for an address without a port.
func portHint(s, port string) string {
	if i := strings.LastIndexByte(s, ':'); i > 0 && !strings.HasPrefix(s, "[") { // the last part may be a port: both are said
		if a, err := netip.ParseAddr(s[:i]); err == nil && a.Is6() && checkPort(s[i+1:]) == nil {
			return `put [ ] around the address, as in "[` + s[:i] + `]` + s[i:] + `"`
		}
	}
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil && a.Is6() {
		return `write "[` + strings.Trim(s, "[]") + `]` + port + `"`
	}
	if s != "" && !strings.ContainsAny(s, ":/ ") {
		return `a port is missing, as in "` + s + port + `"`
	}
	return ""
}

func checkPort(port string) *complaint {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '0' || port[0] == '+' {
		return &complaint{"", "a port is a number from 1 to 65535"}
	}
	return nil
}

// socket is what an address is known by when two are compared: every way to write "all addresses" is one.
func (l Listen) socket() string {
	if l.Network == "unix" {
		return "unix:" + l.Address
	}
	host, port, err := net.SplitHostPort(l.Address)
	if err != nil {
		return l.Address
	}
	switch host {
	case "", "0.0.0.0", "::":
		host = "*"
	case "localhost":
		host = "127.0.0.1"
	}
	if a, err := netip.ParseAddr(host); err == nil {
		host = a.Unmap().String()
	}
	return host + " " + port
}

// serverAddressKind is where a server of a pool is.
func serverAddressKind() kind[string] {
	const words = `an address such as 10.0.0.5:8080, app.internal:8080 or "unix:/run/app.sock"`
	parse := scalar(words, stringShape(), parseServerAddress)
	return kind[string]{words: words, shape: parse.shape, read: func(d *decoder, v value) (string, bool) {
		s, ok := parse.read(d, v)
		path, unix := strings.CutPrefix(s, "unix:")
		if !ok || !unix {
			return s, ok
		}
		if path = d.absolute(path); len(path) > maxSocketPath {
			d.fail(v, "the path of a socket with "+itoa(len(path))+" bytes", "use at most "+itoa(maxSocketPath))
			return "", false
		}
		return "unix:" + path, true
	}}
}

func parseServerAddress(s string) (string, *complaint) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if path == "" {
			return "", &complaint{}
		}
		return s, nil
	}
	if strings.HasPrefix(s, "/") {
		return "", &complaint{"", `write "unix:` + s + `"`}
	}
	if rest, ok := strings.CutPrefix(s, "https://"); ok {
		address, c := parseServerAddress(strings.TrimRight(rest, "/"))
		if c != nil && c.hint == portHint(rest, ":8080") && c.hint != "" {
			c.hint = portHint(rest, ":443")
		}
		return "https://" + address, c
	}
	if rest, ok := strings.CutPrefix(s, "http://"); ok {
		return "", &complaint{"", "write " + strings.TrimRight(rest, "/") + ", without http://"}
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", &complaint{"", portHint(s, ":8080")}
	}
	if c := checkPort(port); c != nil {
		return "", c
	}
	if host == "" {
		return "", &complaint{"", "write the host too, as in 127.0.0.1:" + port}
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return net.JoinHostPort(a.String(), port), nil
	}
	if !isHostName(host) {
		return "", &complaint{", and " + strconv.Quote(host) + " is no host", ""}
	}
	return net.JoinHostPort(host, port), nil
}

// isHostName accepts names of RFC 1123, and _ in them, which private names have.
func isHostName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if c|0x20 < 'a' || c|0x20 > 'z' {
				if (c < '0' || c > '9') && c != '-' && c != '_' {
					return false
				}
			}
		}
	}
	return true
}

// hostKind is a host of a site: a name, *.name or *.
func hostKind() kind[string] {
	const words = `a host such as example.com, "*.example.com" or "*"`
	return scalar(words, stringShape(), parseHost)
}

func parseHost(s string) (string, *complaint) {
	if s == "*" {
		return s, nil
	}
	name := strings.ToLower(strings.TrimSuffix(s, "."))
	if scheme, rest, ok := strings.Cut(s, "://"); ok && scheme != "" {
		return "", &complaint{"", "write " + strings.Trim(rest, "/")}
	}
	if a, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil && a.Zone() == "" {
		if a.Is6() {
			return "[" + a.String() + "]", nil
		}
		return a.String(), nil
	}
	if host, port, err := net.SplitHostPort(s); err == nil && checkPort(port) == nil {
		return "", &complaint{"", "write " + host + ": a site answers on every port that weir listens on"}
	}
	if strings.Contains(s, "/") {
		return "", &complaint{"", "a host has no path; paths belong into match: {path: …} of a route"}
	}
	bare := strings.TrimPrefix(name, "*.")
	for _, r := range bare {
		if r >= 0x80 {
			return "", &complaint{"", "write its ASCII form, which begins with xn--"}
		}
	}
	if strings.Contains(bare, "*") {
		return "", &complaint{"", `a * stands for whole names at the beginning, as in "*.example.com"`}
	}
	if !isHostName(bare) {
		return "", &complaint{}
	}
	return name, nil
}

// absolute makes a path of the file absolute; it begins at the file's folder.
func (d *decoder) absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(d.base, path)
}
