package config

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// fromUnix is what stands for connections by a Unix socket in a list of addresses.
const fromUnix = "unix"

func proxyProtocolObject(t *table) *object[ProxyProtocol] {
	o := newObject[ProxyProtocol](t, "proxy_protocol", "proxy_protocol", "Balancers that pass connections on begin each with a header that says whose it is: "+
		"the PROXY protocol, version 1 or 2. What it says counts as the client's address everywhere.")
	type source struct {
		prefix netip.Prefix
		unix   bool
	}
	const words = `an address such as 10.0.0.7, a network such as 10.0.0.0/8, or unix`
	from := scalar(words, stringShape(), func(s string) (source, *complaint) {
		if s == fromUnix {
			return source{unix: true}, nil
		}
		p, c := parsePrefix(s)
		return source{prefix: p}, c
	})
	addTo(o, "from", list(from, "a list of addresses and networks", true, false), func(p *ProxyProtocol, list []source) {
		p.From, p.Unix = nil, false
		for _, s := range list {
			if s.unix {
				p.Unix = true
			} else {
				p.From = append(p.From, s.prefix)
			}
		}
	}, "", "Whose connections begin with such a header, all of them: one without is closed. From anybody else it is an error. unix: those that come by a Unix socket.")
	o.must()
	add(o, "within", durationKind(time.Millisecond), func(p *ProxyProtocol) *time.Duration { return &p.Within }, "5s",
		"The time for the header, from its first byte on.")
	return o
}

func sendProxyKind() kind[int] {
	return convert(enumKind("v1", "v2"), func(s string) int { return slices.Index([]string{"", "v1", "v2"}, s) })
}

// tlsDraft is a ServerTLS before its files are read.
type tlsDraft struct {
	ServerTLS
	verify, min   string
	ca, cert, key string
}

func (t *table) serverTLS() kind[ServerTLS] {
	if t.tls != nil {
		return *t.tls
	}
	o := newObject[tlsDraft](t, "server_tls", "tls", "TLS to servers.")
	add(o, "verify", enumKind("system", "off"), func(t *tlsDraft) *string { return &t.verify }, "system",
		"Whether a server has to show a good certificate. system: one that an authority vouches for which this machine trusts, or one in ca. "+
			"off: anybody may be the server, and read and change what is sent.")
	add(o, "ca", pathKind("the path of a file with certificates in PEM form"), func(t *tlsDraft) *string { return &t.ca }, "",
		"The authorities that may vouch for servers, instead of the system's. A server's own certificate will do.")
	add(o, "server_name", scalar("a host name or an address", stringShape(), parseServerName), func(t *tlsDraft) *string { return &t.ServerName }, "(the host in the server's address)",
		"The name that the certificate must be for, and that the server is asked for (SNI). Never the client's word.")
	add(o, "cert", pathKind("the path of a file with a certificate in PEM form"), func(t *tlsDraft) *string { return &t.cert }, "",
		"weir's own certificate, for servers that ask for one, with those between it and the authority behind it.")
	add(o, "key", pathKind("the path of a file with a private key in PEM form"), func(t *tlsDraft) *string { return &t.key }, "(the file in cert)",
		"The private key of cert.")
	add(o, "min", enumKind("1.2", "1.3"), func(t *tlsDraft) *string { return &t.min }, "1.2", "The oldest version of TLS that is spoken.")
	add(o, "alpn", list(scalar("the name of a protocol such as http/1.1", stringShape(), parseALPN), "a list of protocols such as [http/1.1]", true, false),
		func(t *tlsDraft) *[]string { return &t.ALPN }, "(http/1.1 where HTTP/1 is spoken, else none)", "The protocols that the server may choose from.")
	o.done = (*decoder).finishTLS
	full := convert(o.kind(), func(t tlsDraft) ServerTLS { return t.ServerTLS })
	usual := usualTLS()
	full.zero = usual
	k := short(full, boolKind(), false, func(_ *decoder, _ value, on bool) ServerTLS {
		if !on {
			return ServerTLS{Off: true}
		}
		return usual
	})
	t.tls = &k
	return k
}

// usualTLS is TLS that nothing more is said of.
func usualTLS() ServerTLS {
	t := tlsDraft{ServerTLS: ServerTLS{Verify: true, MinVersion: tls.VersionTLS12}}
	t.sum(nil)
	return t.ServerTLS
}

func parseServerName(s string) (string, *complaint) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return a.String(), nil
	}
	if !isHostName(s) {
		return "", &complaint{}
	}
	return strings.ToLower(strings.TrimSuffix(s, ".")), nil
}

func parseALPN(s string) (string, *complaint) {
	if s == "" || len(s) > 255 || strings.ContainsAny(s, "\x00\r\n") {
		return "", &complaint{}
	}
	return s, nil
}

const (
	maxPEM = 1 << 20
	// expiresSoon is how long before its end a certificate is warned of.
	expiresSoon = 14 * 24 * time.Hour
)

// sum makes Sum of what was said, and of the files that were read.
func (t *tlsDraft) sum(files [][]byte) {
	h := sha256.New()
	fmt.Fprintf(h, "%v %d %q %q", t.Verify, t.MinVersion, t.ServerName, t.ALPN) //nolint:errcheck // a hash takes everything
	for _, f := range files {
		fmt.Fprintf(h, " %d:%s", len(f), f) //nolint:errcheck // likewise
	}
	h.Sum(t.Sum[:0])
}

// finishTLS reads the files.
func (d *decoder) finishTLS(_ value, given map[string]value, t *tlsDraft) {
	t.Verify = t.verify != "off"
	t.MinVersion = tls.VersionTLS12
	if t.min == "1.3" {
		t.MinVersion = tls.VersionTLS13
	}
	ca, hasCA := given["ca"]
	if hasCA && !t.Verify {
		d.failKey(ca, "ca beside verify: off", "nothing is held against it then: take one of them out")
	}
	cert, hasCert := given["cert"]
	key, hasKey := given["key"]
	if hasKey && !hasCert {
		d.failKey(key, "key without cert", "write cert: with the file of the certificate that it belongs to")
	}
	var files [][]byte
	if hasCA && t.ca != "" {
		files = append(files, d.readCA(ca, t))
	}
	if hasCert && t.cert != "" {
		files = append(files, d.readCertificate(cert, key, t)...)
	}
	t.sum(files)
}

// unusable reports what is wrong with a file, and keeps it for a configuration that is in force all the same.
func (d *decoder) unusable(t *tlsDraft, at value, message, hint string) {
	d.lacking(at, message, hint)
	if t.Unusable == "" {
		t.Unusable = message
	}
}

func (d *decoder) readPEM(at value, path string, t *tlsDraft) []byte {
	data, err := d.host.read(path, maxPEM)
	if err != nil {
		if wrapped := new(fs.PathError); errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		d.unusable(t, at, at.name()+": "+path+" cannot be read: "+err.Error(), "write the path of a file that weir may read")
		return nil
	}
	return data
}

func (d *decoder) readCA(at value, t *tlsDraft) []byte {
	data := d.readPEM(at, t.ca, t)
	if data == nil {
		return nil
	}
	t.CA = x509.NewCertPool()
	good, ended := 0, time.Time{}
	for rest := data; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			d.unusable(t, at, "ca: "+t.ca+" has a certificate that cannot be read: "+plainX509(err), "make it anew")
			return data
		}
		if d.host.now().After(c.NotAfter) {
			ended = c.NotAfter
			continue
		}
		t.CA.AddCert(c)
		good++
	}
	switch {
	case good == 0 && !ended.IsZero():
		d.unusable(t, at, "ca: all certificates in "+t.ca+" have expired, the last on "+day(ended), "write the file of one that is in force")
	case good == 0:
		d.unusable(t, at, "ca: there is no certificate in "+t.ca, `write the path of a file with certificates in PEM form ("-----BEGIN CERTIFICATE-----")`)
	}
	return data
}

func (d *decoder) readCertificate(at, keyAt value, t *tlsDraft) [][]byte {
	cert := d.readPEM(at, t.cert, t)
	key := cert
	keyFile := t.cert
	if t.key != "" {
		key, keyFile = d.readPEM(keyAt, t.key, t), t.key
	} else {
		keyAt = at
	}
	if cert == nil || key == nil {
		return [][]byte{cert, key}
	}
	pair, err := tls.X509KeyPair(cert, key)
	switch {
	case err == nil:
		d.checkDates(at, t, pair.Leaf)
		t.Certificate = &pair
	case !hasPEM(cert, "CERTIFICATE"):
		d.unusable(t, at, "cert: there is no certificate in "+t.cert, `write the path of a file with certificates in PEM form ("-----BEGIN CERTIFICATE-----")`)
	case hasPEM(key, "ENCRYPTED PRIVATE KEY") || strings.Contains(string(key), "Proc-Type: 4,ENCRYPTED"):
		d.unusable(t, keyAt, "the private key in "+keyFile+" is encrypted", "write it without a passphrase into a file that weir alone may read: openssl pkey -in FILE -out KEY")
	case !hasPEM(key, "PRIVATE KEY"):
		d.unusable(t, keyAt, "there is no private key in "+keyFile, "write key: with the file of the certificate's private key in PEM form")
	case strings.Contains(err.Error(), "does not match"):
		d.unusable(t, keyAt, "the private key in "+keyFile+" does not belong to the certificate in "+t.cert, "the first certificate in the file must be weir's own")
	default:
		d.unusable(t, at, "cert: "+plainX509(err), "make certificate and key anew")
	}
	return [][]byte{cert, key}
}

func (d *decoder) checkDates(at value, t *tlsDraft, leaf *x509.Certificate) {
	now := d.host.now()
	switch {
	case now.After(leaf.NotAfter):
		d.unusable(t, at, "cert: the certificate in "+t.cert+" has expired on "+day(leaf.NotAfter), "write the file of one that is in force")
	case now.Before(leaf.NotBefore):
		d.unusable(t, at, "cert: the certificate in "+t.cert+" is not in force before "+day(leaf.NotBefore), "look at this machine's clock")
	case now.Add(expiresSoon).After(leaf.NotAfter):
		d.warn(at, "cert: the certificate in "+t.cert+" expires on "+day(leaf.NotAfter), "renew it, and weir reload")
	}
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// hasPEM reports whether there is a block of a type that ends so.
func hasPEM(data []byte, kind string) bool {
	for {
		b, rest := pem.Decode(data)
		if b == nil {
			return false
		}
		if strings.HasSuffix(b.Type, kind) {
			return true
		}
		data = rest
	}
}

func plainX509(err error) string {
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "tls: "), "x509: ")
}

// followTLS settles for each server whether and how TLS is spoken to it.
func (d *decoder) followTLS(servers value, given map[string]value, p *Pool) {
	for _, name := range []string{"tls", "send_proxy"} {
		if v, ok := given[name]; ok && p.App != "" {
			d.failKey(v, name+" in the pool of an app", "an app's workers are on this machine, and are asked directly: take it out")
			p.TLS, p.SendProxy = nil, 0
		}
	}
	if p.TLS != nil && p.TLS.Off {
		p.TLS = nil
	}
	for i := range p.Servers {
		s := &p.Servers[i]
		address, https := strings.CutPrefix(s.Address, "https://")
		s.Address = address
		switch {
		case s.TLS == nil && p.TLS != nil:
			s.TLS = p.TLS
		case s.TLS == nil && https:
			usual := usualTLS()
			s.TLS = &usual
		case s.TLS != nil && s.TLS.Off:
			if https {
				d.failKey(servers, "the server "+address+" has https:// and tls: false", "take one of them out")
			}
			s.TLS = nil
		}
		if s.TLS != nil && s.TLS.Verify && s.TLS.ServerName == "" && strings.HasPrefix(s.Address, "unix:") {
			d.failKey(servers, "TLS to the server "+s.Address+" without a name", "write tls: {server_name: NAME} with the name that its certificate is for")
		}
	}
}
