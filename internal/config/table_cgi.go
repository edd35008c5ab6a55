package config

import (
	"strconv"
	"strings"
	"time"
)

// CGI is programs that are started for each request.
type CGI struct {
	Root      string   // the directory that paths begin at; empty: every request is for Argv
	Command   string   // as written
	Argv      []string // divided into words
	Directory string
	User      string            // empty: weir's own
	Env       map[string]string // beside PATH, HOME, LANG and TZ
	AtOnce    int               // programs at a time
	Timeout   time.Duration     // for one program
}

func cgiKind(t *table) kind[CGI] {
	o := newObject[CGI](t, "cgi", "cgi", "Programs that answer, one process for each request (RFC 3875). They are run by a worker of weir's own, "+
		"which the status shows as an app.")
	add(o, "root", directoryKind(), func(c *CGI) *string { return &c.Root }, "",
		"The directory that paths begin at. The first part of a path that is an executable file there is the program; what follows is PATH_INFO.")
	add(o, "command", commandKind(), func(c *CGI) *string { return &c.Command }, "",
		"Instead of root: the one program that answers every request, and its arguments.")
	add(o, "directory", directoryKind(), func(c *CGI) *string { return &c.Directory }, "(the file's folder)",
		"Where the command is run. Programs below root are run in their own folders.")
	add(o, "user", textKind("the name of a user"), func(c *CGI) *string { return &c.User }, "(weir's own user)",
		"The user the programs run as. Only root can give another.")
	add(o, "env", envKind(), func(c *CGI) *map[string]string { return &c.Env }, "{}",
		"Variables of the programs' environment, beside PATH, HOME, LANG, TZ and those of CGI.")
	add(o, "at_once", intKind(1, 1000), func(c *CGI) *int { return &c.AtOnce }, "8", "Programs at a time; more requests wait in the queue.")
	add(o, "timeout", durationKind(time.Millisecond), func(c *CGI) *time.Duration { return &c.Timeout }, "30s",
		"How long a program may take; then it is killed with all that it has started, and the client gets 504.")
	o.done = (*decoder).finishCGI
	return short(o.kind(), directoryKind(), false, func(d *decoder, _ value, root string) CGI {
		c := o.zero
		c.Root, c.Directory = root, d.base
		return c
	})
}

func (d *decoder) finishCGI(at value, given map[string]value, c *CGI) {
	root, hasRoot := given["root"]
	command, hasCommand := given["command"]
	switch {
	case hasRoot && hasCommand:
		d.failKey(root, "cgi with root and command", "one of them says which programs answer: take the other out")
	case !hasRoot && !hasCommand:
		d.failKey(at, "cgi without a program", "write root: with the directory of the programs, or command: with the one program there is")
	case hasCommand && c.Command != "":
		c.Argv = d.argv(command, c.Command)
	}
	if c.Directory == "" {
		c.Directory = d.base
	}
	if len(c.Argv) > 0 {
		d.checkCommand(command, &App{Argv: c.Argv, Directory: c.Directory, Env: c.Env})
	}
	if v, ok := given["user"]; ok && c.User != "" {
		d.checkUser(v, c.User)
	}
}

// afterTimeout is how much longer the worker waits for a program than the edge, whose word it is that the client gets.
const afterTimeout = 5 * time.Second

// cgiRoute is a route whose programs need a worker.
type cgiRoute struct {
	pool  string
	place Place
	cgi   *CGI
}

// takeCGI gives a route with cgi: the name of its worker's pool. Nobody else can have it: names have no dots.
func (d *decoder) takeCGI(r *Route) {
	r.Pool = "cgi." + d.stem + strconv.Itoa(len(d.cgis)+1)
	d.cgis = append(d.cgis, cgiRoute{r.Pool, r.Place, r.CGI})
}

// gatherCGI makes the workers of routes with cgi:, and their pools.
func (d *decoder) gatherCGI(r *raw, own poolDraft, usual App) {
	for _, c := range d.cgis {
		a := usual
		a.Name, a.Place = c.pool, c.place
		a.Argv = []string{d.host.self(), "cgi", "--at-once", strconv.Itoa(c.cgi.AtOnce), "--within", (c.cgi.Timeout + afterTimeout).String()}
		if c.cgi.Root != "" {
			a.Argv = append(a.Argv, "--root", c.cgi.Root)
		} else {
			a.Argv = append(append(a.Argv, "--"), c.cgi.Argv...)
		}
		a.Command = "weir cgi"
		a.Directory, a.User, a.Env = c.cgi.Directory, c.cgi.User, c.cgi.Env
		a.Workers, a.Socket, a.Protocol = 1, true, SCGI
		r.Apps = append(r.Apps, &a)
		p := own.Pool
		p.Name, p.App, p.Own, p.Place = a.Name, a.Name, true, a.Place
		p.Protocol, p.Keep, p.MaxConn = SCGI, 0, c.cgi.AtOnce
		p.Timeouts.Request = c.cgi.Timeout
		p.Retry.EmptyResponse = false // a program that fails without a word would only fail again
		p.Buffer = own.buffer.Buffer
		p.Buffer.Requests, p.Buffer.Responses, p.Buffer.Dir = true, true, d.host.temp()
		r.Pools = append(r.Pools, &p)
	}
}

// IsCGI reports whether the app is weir's own for a route with cgi:.
func (a *App) IsCGI() bool { return strings.HasPrefix(a.Name, "cgi.") }

// ErrorAtApp is ErrorAt for a key of an app. What the file says of a route's programs, it says in the route.
func (c *Config) ErrorAtApp(name, key, message string) *Error {
	for _, a := range c.Apps {
		if a.Name == name && a.IsCGI() {
			return c.ErrorAtPlace(a.Place, message, "")
		}
	}
	return c.ErrorAt("apps."+name+"."+key, message, "")
}
