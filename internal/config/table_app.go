package config

import (
	"slices"
	"strings"
	"time"
)

func appObject(t *table) *object[App] {
	o := newObject[App](t, "app", "an app", "A command that weir runs as several workers. Each worker is told where to listen "+
		"by $PORT or $SOCKET in the command and in its environment; $WORKER is its name.")
	add(o, "command", commandKind(), func(a *App) *string { return &a.Command }, "",
		"What to run: a program and its arguments, divided as a shell divides them. No shell is started. "+
			"$PORT, $SOCKET and $WORKER stand for the worker's own; ${NAME} for a variable of weir's environment.")
	o.must()
	add(o, "directory", directoryKind(), func(a *App) *string { return &a.Directory }, "(the file's folder)",
		"Where the command is run.")
	add(o, "user", textKind("the name of a user"), func(a *App) *string { return &a.User }, "(weir's own user)",
		"The user the workers run as. Only root can give another.")
	add(o, "env", envKind(), func(a *App) *map[string]string { return &a.Env }, "{}",
		"Variables of the workers' environment, beside PATH, HOME, LANG and TZ.")
	addTo(o, "workers", workersKind(t), func(a *App, s span) { a.Workers, a.MaxWorkers = s.least, s.most }, "auto",
		"How many processes; auto is one for each CPU.")
	add(o, "socket", boolKind(), func(a *App) *bool { return &a.Socket }, "(true if the command has $SOCKET in it)",
		"The workers listen on the Unix socket $SOCKET; else on 127.0.0.1:$PORT.")
	add(o, "ready", readyKind(t), func(a *App) *Ready { return &a.Ready }, "",
		"When a new worker gets its first request.")
	add(o, "stop", stopObject(t).kind(), func(a *App) *Stop { return &a.Stop }, "", "How a worker is ended.")
	add(o, "nofile", convert(intKind(0, 1<<30), func(n int) uint64 { return uint64(n) }),
		func(a *App) *uint64 { return &a.Nofile }, "0",
		"Limit on a worker's open files. 0: weir's own.")
	add(o, "backoff", backoffObject(t).kind(), func(a *App) *Backoff { return &a.Backoff }, "",
		"The wait before a worker that died is started again.")
	add(o, "alive", aliveKind(t), func(a *App) *Alive { return &a.Alive }, "",
		"How a worker in service is checked, and replaced when it does not answer.")
	add(o, "recycle", recycleObject(t).kind(), func(a *App) *Recycle { return &a.Recycle }, "",
		"When a worker that is well is replaced.")
	add(o, "request_timeout", durationKind(0), func(a *App) *time.Duration { return &a.RequestTimeout }, "0s",
		"How long one request may keep a worker. Then the client gets 504, and that worker alone is replaced; other requests at it "+
			"have half of this time, and at most stop.within, to end. Event streams and upgraded connections are not limited. 0s: no limit.")
	add(o, "reload", convert(reloadObject(t).kind(), func(r reloadDraft) Reload { return r.Reload }), func(a *App) *Reload { return &a.Reload }, "",
		"How workers are replaced: how many at a time, and by which file.")
	add(o, "warm_up", list(requestPathKind(), "a path, or a list of them", true, false), func(a *App) *[]string { return &a.WarmUp }, "",
		"Paths that a new worker is asked for, one after the other, when its ready check has been answered and before it gets its first "+
			"request. An answer of 500 or above, or none, means that it is not ready.")
	add(o, "hooks", hooksObject(t).kind(), func(a *App) *Hooks { return &a.Hooks }, "", "Commands before a worker's start and after its end.")
	add(o, "output", outputObject(t).kind(), func(a *App) *Output { return &a.Output }, "", "How much of what a worker prints weir passes on.")
	add(o, "listen", convert(enumKind("own", "handed"), func(s string) bool { return s == "handed" }), func(a *App) *bool { return &a.Handed }, "own",
		"Who makes the socket that a worker listens on. own: the worker. handed: weir, and gives it to the worker as descriptor 3 "+
			"(LISTEN_FDS, as systemd does); it stays open while a worker that died is started again, so that no connection is refused.")
	add(o, "protocol", protocolKind(protocolNames[:RawTCP]...), func(a *App) *Protocol { return &a.Protocol }, "http1",
		"What the workers speak: HTTP/1.1, FastCGI (as PHP-FPM does), uwsgi, SCGI, or HTTP/2 without TLS (h2c).")
	add(o, "fastcgi", pointer(scriptObject(t).kind()), func(a *App) **Script { return &a.Script }, "",
		"Which program FastCGI workers run for a path.")
	o.done = (*decoder).finishApp
	return o
}

// commandKind is a command as it is written; finishApp divides it.
func commandKind() kind[string] {
	const words = "a command such as gunicorn site.wsgi --bind unix:$SOCKET"
	return kind[string]{words: words, shape: stringShape(), read: func(d *decoder, v value) (string, bool) {
		if !v.isScalar() {
			d.wrong(v, words+"; it is one text, not a list")
			return "", false
		}
		return v.node.Value, true
	}}
}

// envKind is a mapping of variables. weir itself gives workers PORT, SOCKET and WORKER.
func envKind() kind[map[string]string] {
	text := textKind("text or a number")
	const words = "a mapping from names of variables to their values"
	s := &shape{Type: "object", Additional: text.shape, PropertyNames: &shape{Pattern: "^[A-Za-z_][A-Za-z0-9_]*$"}}
	return kind[map[string]string]{words: words, shape: s, read: func(d *decoder, v value) (map[string]string, bool) {
		entries, ok := d.entries(v, words)
		out := make(map[string]string, len(entries))
		for _, e := range entries {
			name := e.key.Value
			if !isVariableName(name) {
				d.failKey(e, name+" is no name of a variable", "write letters, digits and _")
				continue
			}
			if name == "PORT" || name == "SOCKET" || name == "WORKER" {
				d.failKey(e, "weir itself gives workers "+name, "take it out, and use $"+name+" in the command")
				continue
			}
			if text, good := text.read(d, e); good {
				out[name] = text
			}
		}
		return out, ok
	}}
}

func readyKind(t *table) kind[Ready] {
	o := newObject[Ready](t, "ready", "ready", "When a new worker gets its first request: when a GET of the path is "+
		"answered with 2xx, or, without a path, when it accepts connections.")
	add(o, "path", requestPathKind(), func(r *Ready) *string { return &r.Path }, "", "The path that is asked for.")
	add(o, "host", fieldValueKind("a host"), func(r *Ready) *string { return &r.Host }, "localhost",
		"The Host field of the check.")
	add(o, "within", durationKind(time.Millisecond), func(r *Ready) *time.Duration { return &r.Within }, "30s",
		"A worker that is not ready by then is replaced.")
	add(o, "every", durationKind(time.Millisecond), func(r *Ready) *time.Duration { return &r.Every }, "200ms",
		"The time between two checks.")
	return short(o.kind(), requestPathKind(), false, func(_ *decoder, _ value, path string) Ready {
		r := o.zero
		r.Path = path
		return r
	})
}

// requestPathKind is a path as it stands in a request.
func requestPathKind() kind[string] {
	return scalar("a path such as /healthz", stringShape(), func(s string) (string, *complaint) {
		if !strings.HasPrefix(s, "/") {
			return "", &complaint{}
		}
		for _, c := range []byte(s) {
			if c <= ' ' || c >= 0x7f || c == '#' {
				return "", &complaint{", which has a character in it that a request cannot have", "write it as %XX"}
			}
		}
		return s, nil
	})
}

var signals = []string{"TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "KILL", "WINCH"}

func stopObject(t *table) *object[Stop] {
	o := newObject[Stop](t, "stop", "stop", "How a worker is ended: a signal to its process group, then KILL.")
	signal := scalar(oneOf(signals), enumShape(signals), func(s string) (string, *complaint) {
		if slices.Contains(signals, s) {
			return s, nil
		}
		if bare := strings.TrimPrefix(strings.ToUpper(s), "SIG"); slices.Contains(signals, bare) {
			return "", &complaint{"", "write " + bare}
		}
		return "", &complaint{}
	})
	add(o, "signal", signal, func(s *Stop) *string { return &s.Signal }, "TERM", "The signal.")
	add(o, "within", durationKind(0), func(s *Stop) *time.Duration { return &s.Within }, "30s",
		"The time until KILL.")
	return o
}

func backoffObject(t *table) *object[Backoff] {
	o := newObject[Backoff](t, "backoff", "backoff", "The wait before a worker that died is started again. It doubles "+
		"with each death.")
	low := durationKind(time.Millisecond)
	add(o, "min", low, func(b *Backoff) *time.Duration { return &b.Min }, "100ms", "The first wait.")
	add(o, "max", low, func(b *Backoff) *time.Duration { return &b.Max }, "30s", "The longest wait.")
	add(o, "reset", low, func(b *Backoff) *time.Duration { return &b.Reset }, "10s",
		"A worker that lived longer than this begins again with the first wait.")
	o.done = func(d *decoder, at value, given map[string]value, b *Backoff) {
		v, ok := given["min"]
		if !ok {
			v, ok = given["max"]
		}
		if ok && b.Min > b.Max {
			d.fail(v, "min ("+showDuration(b.Min)+") is longer than max ("+showDuration(b.Max)+")", "make max longer")
		}
	}
	return o
}

// finishApp fills in what depends on other keys, divides the command and looks whether the machine can run it.
func (d *decoder) finishApp(at value, given map[string]value, a *App) {
	if a.Directory == "" {
		a.Directory = d.base
	}
	if a.Workers == 0 {
		a.Workers = d.host.cpus()
	}
	a.MaxWorkers = max(a.MaxWorkers, a.Workers)
	defer d.finishLife(given, a)
	if v, ok := given["user"]; ok && a.User != "" {
		d.checkUser(v, a.User)
	}
	d.checkProtocol(given, a.Protocol)
	v, ok := given["command"]
	if !ok || v.void || a.Command == "" && !v.isScalar() {
		return
	}
	if a.Argv = d.argv(v, a.Command); len(a.Argv) == 0 {
		return
	}
	port, socket := mentions(a.Command, "PORT"), mentions(a.Command, "SOCKET")
	if _, said := given["socket"]; !said {
		a.Socket = socket
		if port && socket {
			d.fail(v, "the command has both $PORT and $SOCKET", "a worker listens on one: write socket: true or socket: false beside it")
		}
	}
	d.checkCommand(v, a)
	d.checkBound(v, at.name(), a, port || socket)
}

// operators are what only a shell understands.
var operators = []string{"|", "||", "&", "&&", ";", ">", ">>", "<", "2>&1", "2>", "&>"}

// argv divides a command into words and puts variables in. A variable's value is never divided; a word that is one
// variable without quotes, and empty, goes, as in a shell.
func (d *decoder) argv(v value, command string) []string {
	split, wrong := words(command)
	if wrong != "" {
		d.fail(v, "the command cannot be divided into words: "+wrong, "put quotes around it as in a shell")
		return nil
	}
	if len(split) == 0 {
		d.fail(v, "the command is empty", "write a program and its arguments")
		return nil
	}
	var out []string
	good := true
	for _, w := range split {
		if !w.quoted && slices.Contains(operators, w.text) {
			d.fail(v, w.text+" in a command, which only a shell understands", "weir starts no shell: write sh -c '…'")
			return nil
		}
		for _, own := range []string{"PORT", "SOCKET", "WORKER"} {
			if i := strings.Index(w.text, "${"+own+"}"); i >= 0 && (i == 0 || w.text[i-1] != '$') {
				d.fail(v, "${"+own+"} in a command", "write $"+own+" for the worker's own: ${…} is weir's environment")
				return nil
			}
		}
		text, ok := d.expand(v, w.text)
		good = good && ok
		if text == "" && w.text != "" && !w.quoted {
			continue
		}
		out = append(out, text)
	}
	if !good {
		return nil
	}
	if len(out) == 0 || out[0] == "" {
		d.fail(v, "the command is empty", "write a program and its arguments")
		return nil
	}
	if name, val, ok := strings.Cut(out[0], "="); ok && isVariableName(name) {
		d.fail(v, "the command begins with a variable", "write env: {"+name+": "+val+"} beside it")
		return nil
	}
	return out
}

// mentions says that a command has $NAME in it.
func mentions(command, name string) bool {
	for rest := command; ; {
		i := strings.Index(rest, "$"+name)
		if i < 0 {
			return false
		}
		rest = rest[i+1+len(name):]
		if rest == "" || !isVariableName("_"+rest[:1]) {
			return true
		}
	}
}

func (d *decoder) checkUser(v value, name string) {
	if d.host.uid() != 0 {
		if own := d.host.userName(); own != "" && own != name {
			d.lacking(v, "weir does not run as root, so it cannot run a command as "+name, "start weir as root, or take user out to run it as "+own)
		}
		return
	}
	if err := d.host.hasUser(name); err != nil {
		d.lacking(v, "there is no user "+name+" on this machine", "make it with adduser --system "+name+", or write another")
	}
}

// bound is an address that a command names outright.
type bound struct {
	app string
	at  value
}

// bindFlags are the flags by which common servers are told where to listen.
var bindFlags = []string{"bind", "b", "listen", "http", "http-socket", "socket", "addr", "address", "unix", "uds", "port"}

// checkBound finds two apps on one address, and several workers on one.
func (d *decoder) checkBound(v value, app string, a *App, own bool) {
	previous := ""
	for _, w := range a.Argv[1:] {
		flag, text, ok := strings.Cut(w, "=")
		if !ok || !strings.HasPrefix(flag, "-") {
			flag, text = previous, w
		}
		previous = w
		if !strings.HasPrefix(flag, "-") || !slices.Contains(bindFlags, strings.TrimLeft(flag, "-")) {
			continue
		}
		l, c := parseListen(text)
		if c != nil && strings.HasPrefix(text, "/") {
			l, c = Listen{Network: "unix", Address: text}, nil
		}
		if c != nil && checkPort(text) == nil {
			l, c = Listen{Network: "tcp", Address: ":" + text}, nil
		}
		if c != nil || strings.Contains(text, "$") {
			continue
		}
		if b, taken := d.bound[l.socket()]; taken && b.app != app {
			d.fail(v, "the apps "+b.app+" and "+app+" are told to listen on the same address, "+text,
				"write $PORT or $SOCKET instead: each worker has its own")
		}
		d.bound[l.socket()] = bound{app, v}
		if !own {
			d.warn(v, "every worker of "+app+" is told to listen on "+text, "write $PORT or $SOCKET instead: each worker has its own")
		}
	}
}

func outputObject(t *table) *object[Output] {
	o := newObject[Output](t, "output", "output", "How much of what a worker prints weir passes on to its own output, so that one that prints without end "+
		"does not fill the disk. What is left out is counted, and said in one line.")
	add(o, "rate", sizeKind[int64](0, 1<<40), func(o *Output) *int64 { return &o.Rate }, "256KiB", "Bytes a second that each worker may print in the long run. 0: as many as it likes.")
	add(o, "burst", sizeKind[int64](16<<10, 1<<40), func(o *Output) *int64 { return &o.Burst }, "8MiB", "Bytes that it may print at once beyond that.")
	return o
}
