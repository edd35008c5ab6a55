package keeper

import (
	"strings"
	"time"
)

// What systemd, or whoever else started weir, wants to know: sd_notify(3).

func (k *keeper) notify(lines ...string) {
	if k.opts.Notify != nil {
		k.opts.Notify(strings.Join(lines, "\n"))
	}
}

// notifyReady says that the site is up. As an event.
func (k *keeper) notifyReady() {
	status := "STATUS=serving on " + strings.Join(k.addresses(), ", ")
	if k.problem != "" {
		problem, _, _ := strings.Cut(k.problem, "\n")
		status += "; problem: " + problem
	}
	k.notify("READY=1", status)
}

// notifyAgain says so after a reload, if it was said before. As an event.
func (k *keeper) notifyAgain() {
	if k.told && !k.stopping {
		k.notifyReady()
	}
}

func (k *keeper) addresses() (all []string) {
	for _, l := range k.cfg.Traffic() {
		if o := k.listeners[key(l)]; o != nil {
			all = append(all, o.addr)
		}
	}
	return all
}

// feed tells the watchdog again and again that events are handled: a keeper that hangs is not fed, and restarted by whoever
// watches it. That the edge does not hang is the keeper's own business.
func (k *keeper) feed(every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-k.ended:
			return
		}
		if k.call(func() {}) != nil {
			return
		}
		k.notify("WATCHDOG=1")
	}
}

// childEnv is what edge and guard get of the environment: what is meant for this process alone is taken out.
func childEnv(env []string) []string {
	own := []string{"NOTIFY_SOCKET=", "WATCHDOG_PID=", "WATCHDOG_USEC=", "LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES=", estateVariable + "="}
	var all []string
next:
	for _, e := range env {
		for _, name := range own {
			if strings.HasPrefix(e, name) {
				continue next
			}
		}
		all = append(all, e)
	}
	return all
}

// sayError logs an error that may have several lines, which the log would make one.
func (k *keeper) sayError(err error) {
	first, rest, more := strings.Cut(err.Error(), "\n")
	k.log.Error(first)
	if more {
		k.sayLines(rest)
	}
}

// sayLines writes lines below one of the log, as they stand.
func (k *keeper) sayLines(text string) {
	for line := range strings.Lines(text + "\n") {
		k.sink.Write([]byte(strings.ReplaceAll(line, "\t", "    "))) //nolint:errcheck // never fails
	}
}
