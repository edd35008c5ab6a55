package keeper

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/app"
	"github.com/weirhq/weir/internal/notice"
)

// weir upgrade: the program on the disk takes this one's place, within this process, and then starts a new edge.
//
//	look at it, have it look at what it is to take over → wait for a moment in which nothing is being started or collected
//	→ leave everything in a file without a name, exec → it reads that and goes on, or execs this program again
//	→ it replaces the edge → it answers who asked
//
// docs/adr/0019 says why in this order.

const (
	trialTime = 20 * time.Second // for the new program to say that it can take over
	stillTime = 10 * time.Second // until there is a moment in which nothing is being started or collected
	callsTime = 2 * time.Second  // for calls under way
	saidTime  = time.Second      // for what has been said to be written
	wordsSize = 8 << 10          // of what a program says on trial
)

// succeeds says whether another program can take over at all.
func (o *Options) succeeds() bool { return o.Thread != nil && o.Parse != nil }

// serveUpgrade answers when all is done, which may be another program's turn: the connection goes with the rest.
func (k *keeper) serveUpgrade(w http.ResponseWriter, _ *http.Request) {
	k.callers.Add(1)
	answered := func() { k.callers.Add(-1) }
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		answered()
		api.AnswerError(w, http.StatusInternalServerError, err)
		return
	}
	caller, ok := conn.(interface {
		syscall.Conn
		io.WriteCloser
	})
	if !ok {
		answered()
		conn.Close() //nolint:errcheck // a Unix socket is one
		return
	}
	k.goes(func() { // to its end, as a reload
		defer answered()
		was := k.opts.Version
		err := k.upgrade(caller)
		answerCaller(caller, api.Upgraded{Version: k.opts.Version, Was: was}, err)
	})
}

// answerCaller answers who asked for an upgrade or a stop, and hangs up.
func answerCaller(c io.WriteCloser, v any, err error) {
	status := http.StatusOK
	switch {
	case errors.Is(err, errBusy):
		status, v = http.StatusConflict, api.Error{Error: err.Error()}
	case err != nil:
		status, v = http.StatusUnprocessableEntity, api.Error{Error: err.Error()}
	}
	body, err := json.Marshal(v)
	if err == nil {
		fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, http.StatusText(status), len(body), body) //nolint:errcheck // it may have hung up
	}
	c.Close() //nolint:errcheck // as above
}

// upgrade does what weir upgrade asks for. If all goes well it does not return: another program answers the caller.
func (k *keeper) upgrade(caller syscall.Conn) error {
	if err := k.take(); err != nil {
		return err
	}
	k.upgrading.Store(true)
	defer func() {
		k.upgrading.Store(false)
		<-k.op
	}()
	k.notify("RELOADING=1")
	err := k.upgradeNow(caller)
	if called := k.call(k.notifyAgain); called != nil {
		return errors.Join(err, called)
	}
	return err
}

// upgradeNow is upgrade for who has the token.
func (k *keeper) upgradeNow(caller syscall.Conn) error {
	p, err := nextProgram()
	if err != nil {
		return err
	}
	defer p.close()
	if !k.opts.succeeds() {
		return k.renewEdge(nextProgram)
	}
	for end := time.Now().Add(startTime); ; {
		if err = k.try(p); err == nil {
			err = k.giveWay(p, caller)
		}
		if !errors.Is(err, errBetweenEdges) || time.Now().After(end) {
			break
		}
	}
	if err != nil {
		err = fmt.Errorf("upgrading to the program %s: %w; the old one goes on", where(), err)
		k.log.Error(err.Error())
	}
	return err
}

// renewEdge has an edge of the program that open returns take the place of the one that serves. One that dies just then, which is not the
// new one's fault, is back in a moment, and that is waited for.
func (k *keeper) renewEdge(open func() (*program, error)) error {
	began := time.Now()
	for end := began.Add(startTime); ; {
		p, err := open()
		if err == nil {
			err = k.replaceEdge(p)
		}
		if err == nil {
			break
		}
		if errors.Is(err, errBetweenEdges) && time.Now().Before(end) {
			if err = k.awaitEdge(); err == nil {
				continue
			}
		}
		k.log.Error("the edge was not replaced", "error", err)
		return err
	}
	k.log.Info("a new edge serves; the old one finishes what it has", "after", time.Since(began).Round(time.Millisecond))
	return nil
}

// complete is the second half of an upgrade, in the program that has taken over; or its end, in the one that has come back.
func (k *keeper) complete(e *estate) error {
	defer k.call(k.notifyAgain) //nolint:errcheck // it has ended
	if e.Back != "" {
		err := fmt.Errorf("upgrading to the program %s: it could not take over: %s; the old one goes on", where(), e.Back)
		k.log.Error(err.Error())
		return err
	}
	if err := k.awaitEdge(); err != nil {
		return err
	}
	if err := k.renewEdge(func() (*program, error) { return thisProgram(), nil }); err != nil {
		return fmt.Errorf("weir %s has taken over, but the process that serves is as it was: %w", k.opts.Version, err)
	}
	return nil
}

// awaitEdge waits until an edge serves and none is being made ready or let go: one may have died just now.
func (k *keeper) awaitEdge() error {
	for end := time.Now().Add(startTime); ; {
		ready := false
		if err := k.call(func() {
			ready = k.edge != nil && k.edge.ready && !k.edge.dead() && k.coming == nil && k.former == nil
		}); err != nil {
			return err
		}
		switch {
		case ready:
			return nil
		case time.Now().After(end):
			return errBetweenEdges
		}
		select {
		case <-k.ended:
			return errStopping
		case <-time.After(edgePoll / 4):
		}
	}
}

// try has another program look at what it is to take over. Its refusal is one line.
func (k *keeper) try(p *program) error {
	if err := app.CanBecome(p.file); err != nil {
		return err
	}
	if err := k.awaitEdge(); err != nil {
		return err
	}
	var text []byte
	var err error
	if called := k.call(func() {
		var e *estate
		if e, err = k.leaves(true); err == nil {
			text, err = json.Marshal(e)
		}
	}); called != nil || err != nil {
		return errors.Join(called, err)
	}
	var out, words limited
	cmd := &exec.Cmd{Path: p.path(), Args: append([]string{"weir", "takeover", "--"}, os.Args[1:]...), Env: childEnv(os.Environ()), Stdin: bytes.NewReader(text), Stdout: &out, Stderr: &words,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}, WaitDelay: time.Second}
	if err := k.starter.Start(cmd); err != nil {
		return fmt.Errorf("it cannot be run: %w", bare(err))
	}
	late := make(chan struct{})
	limit := time.AfterFunc(trialTime, func() {
		close(late)
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // it has just ended
	})
	err = k.starter.Wait(cmd)
	if !limit.Stop() {
		<-late
		return fmt.Errorf("it did not say within %v whether it can take over", trialTime)
	}
	var can api.Takeover
	switch {
	case err != nil && words.text() != "":
		return fmt.Errorf("it cannot take over: %s", words.text())
	case err != nil:
		return fmt.Errorf("it cannot take over: %w", err)
	case json.Unmarshal([]byte(out.b), &can) != nil || can.Format != EstateFormat:
		return fmt.Errorf("it cannot take over: it is no weir, or not one that knows format %d", EstateFormat)
	}
	k.log.Info(fmt.Sprintf("weir %s is to take over from %s", can.Version, k.opts.Version))
	return nil
}

// limited keeps the beginning of what is written to it.
type limited struct{ b []byte }

func (l *limited) Write(p []byte) (int, error) {
	l.b = append(l.b, p[:min(len(p), wordsSize-len(l.b))]...)
	return len(p), nil
}

// text is what was written, in one line.
func (l *limited) text() string {
	return notice.OneLine(strings.ReplaceAll(strings.TrimPrefix(strings.TrimSpace(string(l.b)), "weir: "), "\n", "; "))
}

// giveWay has another program take this one's place. It returns only if that cannot be, with everything going on as it was.
func (k *keeper) giveWay(p *program, caller syscall.Conn) error {
	if !k.starter.Still(stillTime) {
		return fmt.Errorf("processes, or hooks of them, have been starting and ending for %v without a pause: try again", stillTime)
	}
	defer k.starter.Go()
	k.endCalls()
	var err error
	if called := k.call(func() {
		err = k.bequeath(p, caller)
		k.resumeCalls()
	}); called != nil {
		return called
	}
	return err
}

// errSignalled is that a signal came just before it would have been lost.
var errSignalled = errors.New("a signal has come")

// unhandle gives up the handlers of signals, when none waits. From then on, and until the next program has its own, HUP and USR1 are lost; TERM and
// INT end the process, and the guard stops everything in order. They cannot be held: the Go runtime lets them in before it has a
// handler.
func (o *Options) unhandle() (again func(), err error) {
	if o.Unhandle == nil {
		return func() {}, nil
	}
	again = o.Unhandle()
	if len(o.Signals) > 0 {
		again()
		return nil, errSignalled
	}
	return again, nil
}

// bequeath leaves everything to another program. As an event.
func (k *keeper) bequeath(p *program, caller syscall.Conn) (err error) {
	reopen := false
	for range cap(k.opts.Signals) + 1 {
		for len(k.opts.Signals) > 0 {
			if s := <-k.opts.Signals; s == syscall.SIGUSR1 {
				reopen = true
			} else {
				k.signal(s)
			}
		}
		if err = k.bequeathNow(p, caller, reopen); !errors.Is(err, errSignalled) {
			break
		}
	}
	if reopen {
		k.signal(syscall.SIGUSR1) // it was not to be
	}
	return err
}

func (k *keeper) bequeathNow(p *program, caller syscall.Conn, reopen bool) error {
	e, err := k.leaves(false)
	if err != nil {
		return err
	}
	if e.Caller, err = descriptor(caller); err != nil {
		return err
	}
	e.Files = append(e.Files, e.Caller)
	e.Reopen = reopen
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	f, err := app.MemoryFile("estate", text)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it is for the other program
	k.sink.Flush(saidTime)
	if k.opts.Flush != nil {
		k.opts.Flush(saidTime)
	}
	return become(k.starter, k.opts.unhandle, p, f, e.Files)
}
