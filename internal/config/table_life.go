package config

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// percentKind is a share from low to high per cent, in so many parts of one: 1 takes whole ones, 10 makes thousandths of
// the whole.
func percentKind(low, high, parts int) kind[int] {
	form, digits := `^[0-9]+%$`, "0123456789"
	if parts > 1 {
		form, digits = `^[0-9]+(\.[0-9]+)?%$`, digits+"."
	}
	words := "a share from " + strconv.Itoa(low) + "% to " + strconv.Itoa(high) + "%"
	return scalar(words, &shape{AnyOf: []*shape{{Type: "string", Pattern: form}, variableShape()}}, func(s string) (int, *complaint) {
		number, ok := strings.CutSuffix(s, "%")
		n, err := strconv.ParseFloat(number, 64)
		switch {
		case err != nil || strings.Trim(number, digits) != "" || len(number) > 1 && number[0] == '0' && number[1] != '.':
			return 0, &complaint{}
		case !ok && n > 0 && n < 1: // a part of one, most likely
			return 0, &complaint{", which has no %", "write " + strconv.FormatFloat(n*100, 'f', -1, 32) + "%"}
		case !ok:
			return 0, &complaint{", which has no %", "write " + s + "%"}
		case n > 0 && math.Round(n*float64(parts)) == 0:
			return 0, &complaint{", which is too little to be told from none", "write at least " + strconv.FormatFloat(1/float64(parts), 'f', -1, 64) + "%"}
		case n < float64(low) || n > float64(high):
			return 0, &complaint{}
		}
		return int(math.Round(n * float64(parts))), nil
	})
}

// span is how many workers there are, at least and at most; 0 is one for each CPU.
type span struct{ least, most int }

// workersKind is a number, or the bounds of one.
func workersKind(t *table) kind[span] {
	number := intKind(1, 1000)
	o := newObject[span](t, "workers", "workers", "As many workers as are needed at the moment, within these bounds: more "+
		"when requests wait or nearly all workers are busy, fewer again after some idle minutes.")
	add(o, "min", number, func(s *span) *int { return &s.least }, "1", "The fewest workers.")
	add(o, "max", number, func(s *span) *int { return &s.most }, "(one for each CPU, but not fewer than min)", "The most workers.")
	o.done = func(d *decoder, at value, given map[string]value, s *span) {
		if v, ok := given["max"]; ok && !v.void && s.most > 0 && s.most < s.least {
			d.fail(v, "max ("+strconv.Itoa(s.most)+") is less than min ("+strconv.Itoa(s.least)+")", "make it larger")
		}
		s.most = max(s.most, s.least, d.host.cpus()*b2i(s.most == 0))
	}
	const words = "auto, or a whole number from 1 to 1000"
	brief := kind[int]{words: words, shape: &shape{AnyOf: []*shape{enumShape([]string{"auto"}), number.shape}},
		read: func(d *decoder, v value) (int, bool) {
			if v.node.Value == "auto" {
				return 0, true
			}
			return number.read(d, v)
		}}
	return short(o.kind(), brief, false, func(_ *decoder, _ value, n int) span { return span{n, n} })
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func aliveKind(t *table) kind[Alive] {
	o := newObject[Alive](t, "alive", "alive", "How a worker in service is checked. One that does not answer a GET of the path "+
		"with 2xx several times in a row is replaced, but never the last one that serves before its successor is ready. A "+
		"worker that is busy with one request at a time cannot answer: let timeout be longer than any of them.")
	add(o, "path", requestPathKind(), func(a *Alive) *string { return &a.Path }, "(ready.path)", "The path that is asked for.")
	add(o, "host", fieldValueKind("a host"), func(a *Alive) *string { return &a.Host }, "localhost", "The Host field of the check.")
	add(o, "every", durationKind(50*time.Millisecond), func(a *Alive) *time.Duration { return &a.Every }, "5s", "The time between two checks.")
	add(o, "timeout", durationKind(time.Millisecond), func(a *Alive) *time.Duration { return &a.Timeout }, "5s",
		"A check that is not answered by then has failed. So much time have requests under way at a worker that is replaced for it.")
	add(o, "fall", intKind(1, 100), func(a *Alive) *int { return &a.Fall }, "3", "So many failed checks in a row are too many.")
	return short(o.kind(), requestPathKind(), false, func(_ *decoder, _ value, path string) Alive {
		a := o.zero
		a.Path = path
		return a
	})
}

// leastMemory is what a limit on a worker's memory has to be at least, in bytes: whoever writes less has forgotten the unit.
const leastMemory = 1 << 20

func recycleObject(t *table) *object[Recycle] {
	o := newObject[Recycle](t, "recycle", "recycle", "When a worker is replaced although it is well. Its successor is started "+
		"and ready first, so nothing is taken away. 0: never.")
	add(o, "after_requests", convert(intKind(0, math.MaxInt32), func(n int) int64 { return int64(n) }),
		func(r *Recycle) *int64 { return &r.AfterRequests }, "0", "After so many requests.")
	add(o, "memory", sizeKind[int64](0, 1<<50), func(r *Recycle) *int64 { return &r.Memory }, "0",
		"When it and all processes that it has started take so much memory: their own and their share of what they have in "+
			"common (PSS), or where weir may not see that, what each has resident (RSS).")
	add(o, "age", durationKind(0), func(r *Recycle) *time.Duration { return &r.Age }, "0s", "When it has served for so long.")
	add(o, "jitter", percentKind(0, 90, 1), func(r *Recycle) *int { return &r.Jitter }, "10%",
		"So much of each limit is taken off, more or less of it for each worker, so that they do not go together.")
	o.done = func(d *decoder, _ value, given map[string]value, r *Recycle) {
		if r.Memory > 0 && r.Memory < leastMemory {
			d.fail(given["memory"], "memory is less than any process takes", "write a size with its unit, such as 300MiB")
		}
	}
	return o
}

// reloadDraft is a Reload before it is known whether the file is to be watched.
type reloadDraft struct {
	Reload
	on []string
}

func reloadObject(t *table) *object[reloadDraft] {
	o := newObject[reloadDraft](t, "reload", "reload", "How workers are replaced.")
	number, percent := intKind(1, 1000), percentKind(1, 100, 1)
	add(o, "at_once", kind[Reload]{words: number.words + ", or a share such as 25%", shape: &shape{AnyOf: []*shape{number.shape, percent.shape}},
		read: func(d *decoder, v value) (Reload, bool) {
			if v.isScalar() && strings.HasSuffix(v.node.Value, "%") {
				n, ok := percent.read(d, v)
				return Reload{Share: n}, ok
			}
			n, ok := number.read(d, v)
			return Reload{AtOnce: n}, ok
		}}, func(r *reloadDraft) *Reload { return &r.Reload }, "25%",
		"How many workers may be away or being replaced at a time, whatever the reasons: a reload, a recycling, a failed "+
			"alive check, a request that took too long, a death. A share is rounded up.")
	add(o, "on", list(enumKind("touch"), "a list of touch", true, false), func(r *reloadDraft) *[]string { return &r.on }, "(touch if there is a file)",
		"What else than weir reload leads to it. touch: the file's time has changed, or it is there for the first time.")
	add(o, "file", pathKind("the path of a file"), func(r *reloadDraft) *string { return &r.File }, "", "The file that is touched. It need not be there yet.")
	o.done = func(d *decoder, at value, given map[string]value, r *reloadDraft) {
		if v, ok := given["on"]; ok && len(r.on) > 0 && r.File == "" {
			if _, tried := given["file"]; !tried {
				d.failKey(v, "on: touch without a file", "write file: with the path of the file that is touched")
			}
		}
	}
	return o
}

func hooksObject(t *table) *object[Hooks] {
	o := newObject[Hooks](t, "hooks", "hooks", "Commands that are run beside a worker's own, with its user, directory, environment "+
		"and $WORKER, $PORT or $SOCKET. What they print is shown with what the worker prints.")
	hook := hookKind(t)
	add(o, "before_start", hook, func(h *Hooks) *Hook { return &h.BeforeStart }, "",
		"Before each start of a worker. If it fails or takes too long, the worker is not started; that counts as a start that failed.")
	add(o, "after_stop", hook, func(h *Hooks) *Hook { return &h.AfterStop }, "",
		"When a worker and all that it had started has ended, however it did. Its place is not filled again before this is over.")
	return o
}

func hookKind(t *table) kind[Hook] {
	o := newObject[Hook](t, "hook", "a hook", "A command and the time it may take.")
	add(o, "command", commandKind(), func(h *Hook) *string { return &h.Command }, "", "A program and its arguments, as command: of the app.")
	o.must()
	add(o, "within", durationKind(time.Millisecond), func(h *Hook) *time.Duration { return &h.Within }, "30s",
		"Then it and all that it has started is killed.")
	o.done = func(d *decoder, at value, given map[string]value, h *Hook) {
		if v, ok := given["command"]; ok && !v.void && (h.Command != "" || v.isScalar()) {
			h.Argv = d.argv(v, h.Command)
		}
	}
	return short(o.kind(), commandKind(), false, func(d *decoder, at value, command string) Hook {
		h := o.zero
		h.Command, h.Argv = command, d.argv(at, command)
		return h
	})
}

// finishLife fills in and checks what belongs to the lives of an app's workers.
func (d *decoder) finishLife(given map[string]value, a *App) {
	if v, ok := given["alive"]; ok && !v.void && a.Alive.Path == "" {
		if a.Alive.Path = a.Ready.Path; a.Alive.Path == "" {
			d.failKey(v, "alive without a path", "write the path of a page that a worker answers when it is well")
		}
	}
	if _, ok := given["alive"]; !ok {
		a.Alive = Alive{}
	}
	if v, ok := given["hooks"]; ok && v.isMap() {
		for name, h := range map[string]*Hook{"before_start": &a.Hooks.BeforeStart, "after_stop": &a.Hooks.AfterStop} {
			if len(h.Argv) == 0 {
				*h = Hook{}
				continue
			}
			at := child(v, name)
			if at.isMap() {
				at = child(at, "command")
			}
			d.checkCommand(at, &App{Argv: h.Argv, Directory: a.Directory, Env: a.Env})
		}
	} else {
		a.Hooks = Hooks{}
	}
	if !a.Handed {
		return
	}
	at := given["listen"]
	if v, ok := given["socket"]; ok && !a.Socket {
		d.fail(v, "socket: false beside listen: handed", "take one out: what is handed to a worker is a Unix socket")
	}
	if mentions(a.Command, "PORT") {
		d.fail(given["command"], "the command has $PORT, and listen: handed beside it", "let the command take the socket that it is given: descriptor 3, as in LISTEN_FDS")
	}
	if a.Ready.Path == "" {
		d.fail(at, "listen: handed without ready", "write ready: with a path: connections are taken before the worker is there, and say nothing")
	}
	a.Socket = true
}

// child is the value of a key in a mapping, the mapping itself when it has none of that name.
func child(v value, name string) value {
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		if v.node.Content[i].Value == name {
			return value{node: v.node.Content[i+1], key: v.node.Content[i], path: v.path + "." + name}
		}
	}
	return v
}
