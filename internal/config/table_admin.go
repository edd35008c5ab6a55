package config

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// adminDraft is admin: before its addresses are among those that weir listens on.
type adminDraft struct {
	Admin
	listen []Listen
	token  string
	look   string
}

func adminObject(t *table) *object[adminDraft] {
	o := newObject[adminDraft](t, "admin", "admin", "The status page, its API and metrics. A process of its own has them, which also does what alerts, availability, metrics and traces say: if it dies, traffic does not notice.")
	o.such = `{listen: "127.0.0.1:9190"}`
	add(o, "listen", list(localListenKind(":9190"), "an address, or a list of them", true, true), func(a *adminDraft) *[]Listen { return &a.listen }, `"127.0.0.1:9190"`,
		"Where it answers. Anywhere but at this machine's own addresses it needs tls: and a token or users. [] is nowhere: the command line reaches it in any case.")
	add(o, "look", enumKind(LookFree, LookSigned), func(a *adminDraft) *string { return &a.look }, "(free where only this machine can connect, else signed)",
		"Whether whoever can connect may look, or only who signs in or has a token. To act takes one of these in any case.")
	add(o, "token", secretKind(), func(a *adminDraft) *string { return &a.token }, "",
		"A word by which programs, and people, may act: `Authorization: Bearer …`. Take it from the environment: ${WEIR_TOKEN}.")
	token := newObject[Token](t, "token", "a token", "A word by which a program may look or act.")
	token.such = `{token: "${WEIR_READER}", role: view}`
	add(token, "token", secretKind(), func(k *Token) *string { return &k.Text }, "", "The word, of at least 16 characters.")
	token.must()
	add(token, "role", roleKind(), func(k *Token) *Role { return &k.Role }, "view", "view: look. operate: act as well.")
	add(o, "tokens", convert(named(token, "a token", func(k *Token, name string, _ Place) { k.Name = name }), values[Token]), func(a *adminDraft) *[]Token { return &a.Tokens }, "",
		"More tokens, by a name that is told where somebody acts by one.")
	user := newObject[User](t, "user", "a user", "Somebody who signs in at the page.")
	user.such = "{password: \"$2b$…\", role: operate}, with what `weir password` prints"
	add(user, "password", scalar("a password as `weir password` prints it, which begins with $2", textShape(), parsePassword), func(u *User) *string { return &u.Password }, "",
		"The password, hashed: `weir password` asks for one and prints it so.")
	user.must()
	add(user, "role", roleKind(), func(u *User) *Role { return &u.Role }, "view", "view: look. operate: act as well.")
	add(o, "users", convert(named(user, "a user", func(u *User, name string, _ Place) { u.Name = name }), values[User]), func(a *adminDraft) *[]User { return &a.Users }, "",
		"People who sign in, by name.")
	certs := newObject[AdminTLS](t, "admin_tls", "tls of admin", "The certificate of the status page.")
	certs.such = `{cert: page.pem, key: page.key}`
	add(certs, "cert", pathKind("the path of a file with a certificate in PEM form"), func(c *AdminTLS) *string { return &c.Cert }, "", "The certificate, with those between it and the authority behind it. It is read anew with each reload.")
	certs.must()
	add(certs, "key", pathKind("the path of a file with a private key in PEM form"), func(c *AdminTLS) *string { return &c.Key }, "(the file in cert)", "The private key.")
	add(o, "tls", pointer(mapped(certs.kind(), "write {cert: page.pem, key: page.key}")), func(a *adminDraft) **AdminTLS { return &a.TLS }, "", "HTTPS, for addresses that others can reach.")
	add(o, "idle", durationKind(time.Minute), func(a *adminDraft) *time.Duration { return &a.Idle }, "12h", "Who has not used the page for so long signs in again.")
	add(o, "keep", folderKind("the path of a directory, such as /var/lib/weir"), func(a *adminDraft) *string { return &a.Keep }, "(what StateDirectory= of a systemd unit says, else run_dir)",
		"A folder for what is to outlive a restart of the machine: totals, graphs, events, downtime by month, alerts, silences, known errors. It is made if it is not there.")
	o.done = (*decoder).finishAdmin
	return o
}

// folderKind is a directory that is made if it is not there.
func folderKind(words string) kind[string] {
	k := pathKind(words)
	read := k.read
	k.read = func(d *decoder, v value) (string, bool) {
		path, ok := read(d, v)
		if !ok {
			return "", false
		}
		info, err := d.host.stat(path)
		switch {
		case err != nil || !d.strict: // it may be made
		case !info.IsDir():
			d.lacking(v, path+" is no directory", "write "+words)
		default:
			if err := d.host.writable(path); err != nil {
				d.warn(v, "the directory "+path+" cannot be written to: "+reason(err), "let weir's user write there, or write another: what is in memory alone ends with the process")
			}
		}
		return path, true
	}
	return k
}

func values[T any](list []*T) (all []T) {
	for _, v := range list {
		all = append(all, *v)
	}
	return all
}

func roleKind() kind[Role] {
	return convert(enumKind(string(View), string(Operate)), func(s string) Role { return Role(s) })
}

// secretKind is a word that must not be guessed. It is not quoted in messages.
func secretKind() kind[string] {
	const words = "a word of at least 16 characters, such as `openssl rand -hex 16` prints"
	return kind[string]{words: words, shape: textShape(), read: func(d *decoder, v value) (string, bool) {
		text, ok := d.text(v, words)
		if !ok {
			return "", false
		}
		if len(text) < 16 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			d.fail(v, v.name()+" can be guessed, or is no word", "write "+words)
			return "", false
		}
		return text, true
	}}
}

var bcryptForm = lazily(`^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$`)

func parsePassword(s string) (string, *complaint) {
	if !bcryptForm().MatchString(s) {
		return "", &complaint{", which is no hash", "run `weir password` and write what it prints"}
	}
	// Below 4 it is not bcrypt's; above 15 a check takes seconds of a processor, and whoever reaches the page can have many made.
	if cost := s[4:6]; cost < "04" || cost > "15" {
		return "", &complaint{", whose cost of " + cost + " is not from 04 to 15", "run `weir password` and write what it prints"}
	}
	return s, nil
}

// finishAdmin sees to it that nobody acts, or looks, who must not.
func (d *decoder) finishAdmin(at value, given map[string]value, a *adminDraft) {
	a.Place = d.placeOf(at)
	if a.token != "" {
		a.Tokens = append([]Token{{Name: "token", Text: a.token, Role: Operate}}, a.Tokens...)
	}
	if tls, ok := given["tls"]; ok && a.TLS != nil {
		if a.TLS.Cert != "" {
			d.readCertificate(inner(tls, "cert"), inner(tls, "key"), &tlsDraft{cert: a.TLS.Cert, key: a.TLS.Key})
		}
		if a.TLS.Key == "" {
			a.TLS.Key = a.TLS.Cert
		}
	}
	for i, k := range a.Tokens {
		if j := slices.IndexFunc(a.Tokens[:i], func(o Token) bool { return o.Text == k.Text }); j >= 0 && k.Text != "" {
			d.failKey(given["tokens"], "the tokens "+a.Tokens[j].Name+" and "+k.Name+" are the same word: nobody could tell which of the two acts", "make one of them anew: `openssl rand -hex 16`")
		}
	}
	listen, where := given["listen"]
	if !where {
		listen = at
	}
	open := false
	for i := range a.listen {
		l := &a.listen[i]
		l.Desk = true
		if !where {
			l.Place = a.Place
		}
		if local(l) {
			continue
		}
		open = true
		switch {
		case a.TLS == nil:
			d.fail(listen, "admin at "+l.Address+" can be reached by others, without tls", "write tls: {cert: …, key: …}, or listen on 127.0.0.1:9190 and come by a tunnel: ssh -L 9190:127.0.0.1:9190")
		case len(a.Tokens)+len(a.Users) == 0:
			d.fail(listen, "admin at "+l.Address+" can be reached by others, and nobody is asked who he is", "write token: or users:")
		}
	}
	switch a.Look = a.look; {
	case a.Look == "" && open:
		a.Look = LookSigned
	case a.Look == "":
		a.Look = LookFree
	case a.Look == LookSigned && len(a.Tokens)+len(a.Users) == 0:
		d.failKey(given["look"], "look: signed, and there is nothing to sign in by", "write token: or users:")
	}
}

// local reports whether only this machine can connect to an address.
func local(l *Listen) bool {
	if l.Network == "unix" {
		return true
	}
	host, _, err := net.SplitHostPort(l.Address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || host == "localhost"
}

// gatherAdmin puts the desk's addresses among those that weir listens on. What else needs a desk has one without admin too, which only
// this machine's users reach, by its Unix socket.
func (d *decoder) gatherAdmin(r *raw) {
	if r.admin != nil {
		r.Admin = &r.admin.Admin
		r.Listen = append(r.Listen, r.admin.listen...)
		return
	}
	var needs []Place
	if r.Alerts != nil {
		needs = append(needs, r.Alerts.Place)
	}
	if r.Availability != nil {
		needs = append(needs, r.Availability.Place)
	}
	if r.Metrics != nil {
		needs = append(needs, r.Metrics.Place)
	}
	if r.Traces != nil {
		needs = append(needs, r.Traces.Place)
	}
	if len(needs) > 0 {
		r.Admin = &Admin{Place: needs[0], Look: LookFree, Idle: 12 * time.Hour}
	}
}
