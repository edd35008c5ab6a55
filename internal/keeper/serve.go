package keeper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/api"
)

// statusTime is how long the edge may take to tell of itself before the status goes without it.
const statusTime = 2 * time.Second

func (k *keeper) routes(ends <-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", k.serveStatus)
	mux.HandleFunc("POST /v1/reload", k.serveReload)
	mux.HandleFunc("POST /v1/reopen", k.serveReopen)
	mux.HandleFunc("POST /v1/stop", k.serveStop)
	mux.HandleFunc("POST /v1/intervention", serveWish(k.intervene))
	mux.HandleFunc("GET /v1/interventions", k.serveInterventions)
	mux.HandleFunc("POST /v1/upgrade", k.serveUpgrade)
	mux.HandleFunc("POST /v1/chaos", serveWish(k.disturb))
	mux.HandleFunc("POST /v1/chaos/stop", k.serveCalm)
	mux.HandleFunc("GET /v1/chaos", k.serveFaults)
	mux.HandleFunc("POST /v1/purge", k.servePurge)
	mux.HandleFunc("GET /v1/cache", k.serveCache)
	mux.HandleFunc("POST /v1/cache/look", k.serveLook)
	mux.HandleFunc("GET /v1/output", k.serveOutput(ends))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		api.AnswerError(w, http.StatusNotFound, fmt.Errorf("there is no %s %s here: GET /v1/status, GET /v1/cache, POST /v1/cache/look, POST /v1/reload, POST /v1/reopen, POST /v1/purge, POST /v1/intervention, GET /v1/interventions, POST /v1/stop, POST /v1/upgrade, POST /v1/chaos, POST /v1/chaos/stop, GET /v1/chaos, GET /v1/output", r.Method, r.URL.Path))
	})
	return mux
}

// serveAPI makes a server of the control socket.
func (k *keeper) serveAPI() error {
	ln, err := net.FileListener(k.apiFile) // a duplicate, so that the socket listens on when the server does not
	if err != nil {
		return err
	}
	open := &atomic.Int32{}
	k.streams = make(chan struct{})
	k.server = &http.Server{Handler: k.routes(k.streams), ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return k.ctx },
		ConnState: func(_ net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed, http.StateHijacked:
				open.Add(-1)
			}
		}}
	k.calling = open
	k.socket = ln
	return nil
}

// takeCalls begins to answer calls.
func (k *keeper) takeCalls() {
	server, socket, served := k.server, k.socket, make(chan struct{})
	k.served = served
	k.goes(func() {
		defer close(served)
		if err := server.Serve(socket); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			k.log.Error("the control socket failed: weir status, reload and stop do not work until it is restarted", "error", err)
		}
	})
}

// endCalls takes no more calls, which wait from now on, and finishes those that are under way, if that can be soon.
func (k *keeper) endCalls() {
	ctx, cancel := context.WithTimeout(context.Background(), callsTime)
	defer cancel()
	// The server's own shutdown would hang up on calls that it has taken and not read yet: so it is to have none first.
	k.socket.Close() //nolint:errcheck // a duplicate
	close(k.streams) // which would go on for ever
	<-k.served
	k.server.SetKeepAlivesEnabled(false)
	// Those who asked for an upgrade are not the server's any more. The one whose turn it is waits for the next program, the others
	// have just been refused, or are about to be.
	for (k.calling.Load() > 0 || k.callers.Load() > 1) && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	k.server.Shutdown(ctx) //nolint:errcheck // who has called and goes on after that time has to call again
}

// resumeCalls takes calls again. As an event.
func (k *keeper) resumeCalls() {
	k.calls = k.server
	if err := k.serveAPI(); err != nil {
		k.log.Error("the control socket failed: weir status, reload and stop do not work until it is restarted", "error", err)
		return
	}
	k.takeCalls()
}

func (k *keeper) serveStatus(w http.ResponseWriter, _ *http.Request) {
	var s api.Status
	var edge *edge
	if err := k.call(func() {
		if s = k.status(); k.edge != nil && k.edge.ready {
			edge = k.edge
		}
	}); err != nil {
		api.AnswerError(w, http.StatusServiceUnavailable, err)
		return
	}
	if edge != nil {
		var e api.EdgeStatus
		if err := k.ask(edge, statusTime, "/v1/status", nil, &e); err == nil {
			s.Edge = &e
			countFaults(s.Faults, e.Faults)
		} else if s.Problem == "" && !edge.dead() {
			s.Problem = "the edge does not tell its status: " + err.Error()
		}
	}
	api.Answer(w, http.StatusOK, s)
}

// status is what the keeper knows itself. As an event.
func (k *keeper) status() api.Status {
	s := api.Status{
		Version: k.opts.Version, PID: os.Getpid(), File: k.cfg.File, Since: k.since.UTC().Format(time.RFC3339),
		EdgeRestarts: k.restarts, Apps: []api.AppStatus{}, Listen: []string{}, Problem: k.problem,
		Faults: slices.Clone(k.chaos.faults),
	}
	for _, r := range k.apps {
		a := r.life.Status()
		a.Overrun, a.Lost = r.overrun, r.lost
		s.Apps = append(s.Apps, a)
	}
	if k.included != nil {
		s.Included, s.Unseen = k.included.status()
	}
	s.Admin = k.deskURLs()
	for _, l := range k.cfg.Traffic() {
		if o := k.listeners[key(l)]; o != nil {
			s.Listen = append(s.Listen, o.addr)
		}
	}
	if k.deaths >= edgeDeaths && s.Problem == "" {
		s.Problem = fmt.Sprintf("the edge is in a crash loop: it died %d times in a row", k.deaths)
	}
	return s
}

func (k *keeper) serveReload(w http.ResponseWriter, r *http.Request) {
	var in api.Reload
	if err := api.ReadRequest(w, r, &in); err != nil {
		api.AnswerError(w, http.StatusBadRequest, err)
		return
	}
	if err := checkWho(&in.By, &in.Reason); err != nil {
		api.AnswerError(w, http.StatusUnprocessableEntity, err)
		return
	}
	// It is done to its end also when the caller does not wait for it.
	answer := make(chan error, 1)
	k.goes(func() { answer <- k.reload(in) })
	switch err := <-answer; {
	case err == nil:
		api.Answer(w, http.StatusOK, struct{}{})
	case errors.Is(err, errBusy):
		api.AnswerError(w, http.StatusConflict, err)
	default:
		api.AnswerError(w, http.StatusUnprocessableEntity, err)
	}
}

func (k *keeper) serveReopen(w http.ResponseWriter, _ *http.Request) {
	if err := k.reopen(); err != nil {
		api.AnswerError(w, http.StatusUnprocessableEntity, err)
		return
	}
	api.Answer(w, http.StatusOK, struct{}{})
}

// reopen has the edges open their access log anew. An edge that is started later, or instead, opens it anyway.
func (k *keeper) reopen() error {
	var edges []*edge
	if err := k.call(func() {
		if edges = k.edges(); k.coming != nil { // it may have the file open already
			edges = append(edges, k.coming)
		}
	}); err != nil {
		return err
	}
	var problem error
	for _, e := range edges {
		if err := k.ask(e, callTime, "/v1/reopen", struct{}{}, nil); err != nil && !e.dead() {
			k.log.Error("the access log cannot be opened anew: the old file is written on", "error", err)
			problem = errors.Join(problem, err)
		}
	}
	if problem != nil {
		return problem
	}
	k.log.Info("opened the access log anew")
	return nil
}

// servePurge passes a purge on to the edge, which has the cache. Of a person's it is noted who wanted it.
func (k *keeper) servePurge(w http.ResponseWriter, r *http.Request) {
	var in api.Purge
	if err := api.ReadRequest(w, r, &in); err != nil {
		api.AnswerError(w, http.StatusBadRequest, err)
		return
	}
	by, reason := in.By, in.Reason
	if err := checkWho(&by, &reason); err != nil {
		api.AnswerError(w, http.StatusUnprocessableEntity, err)
		return
	}
	named := in.By != ""
	in.By, in.Reason = "", ""
	var out api.Purged
	if err := k.askServing("/v1/purge", in, &out); err != nil {
		api.AnswerError(w, http.StatusUnprocessableEntity, err)
		return
	}
	if named {
		done := api.Intervention{Do: "purge", What: purged(&in), By: by, Reason: reason, At: time.Now().UTC().Format(time.RFC3339)}
		if err := k.call(func() {
			k.people.note(done)
			k.log.Info("purged "+done.What, who(by, reason)...)
		}); err != nil {
			api.AnswerError(w, http.StatusServiceUnavailable, err)
			return
		}
	}
	api.Answer(w, http.StatusOK, out)
}

// who are fields of a line of the log.
func who(by, reason string) []any {
	if reason == "" {
		return []any{"by", by}
	}
	return []any{"by", by, "reason", reason}
}

func (k *keeper) serveCache(w http.ResponseWriter, _ *http.Request) {
	var out api.CacheStatus
	k.relay(w, "/v1/cache", nil, &out)
}

// serveLook passes on the question what the cache has for a request.
func (k *keeper) serveLook(w http.ResponseWriter, r *http.Request) {
	var in api.Look
	if err := api.ReadRequest(w, r, &in); err != nil {
		api.AnswerError(w, http.StatusBadRequest, err)
		return
	}
	var out api.Looked
	k.relay(w, "/v1/cache/look", in, &out)
}

// relay asks the edge and answers with what it says.
func (k *keeper) relay(w http.ResponseWriter, path string, in, out any) {
	if err := k.askServing(path, in, out); err != nil {
		api.AnswerError(w, http.StatusUnprocessableEntity, err)
		return
	}
	api.Answer(w, http.StatusOK, out)
}

// askServing asks the edge that serves, and waits for it: one that has died is replaced in a moment, and a purge that comes
// in that moment must not be lost. The one that died may have done what was asked, so it is for what may be done twice.
func (k *keeper) askServing(path string, in, out any) error {
	end := time.Now().Add(callTime)
	for {
		var e *edge
		if err := k.call(func() {
			if k.edge != nil && k.edge.ready {
				e = k.edge
			}
		}); err != nil {
			return err
		}
		if e != nil {
			err := k.ask(e, time.Until(end), path, in, out)
			var gone *api.Unreachable
			if !errors.As(err, &gone) || time.Now().After(end) {
				return err
			}
		} else if time.Now().After(end) {
			return errBetweenEdges
		}
		select {
		case <-k.ended:
			return errStopping
		case <-time.After(edgePoll):
		}
	}
}

// edgePoll is how often it is looked whether there is an edge again.
const edgePoll = 20 * time.Millisecond

// serveStop answers when the run directory is free: another weir may be started with it at once.
func (k *keeper) serveStop(w http.ResponseWriter, r *http.Request) {
	in := api.Stop{Within: -1}
	if err := api.ReadRequest(w, r, &in); err != nil {
		api.AnswerError(w, http.StatusBadRequest, err)
		return
	}
	err := k.call(func() {
		k.stops.Add(1)
		drain := k.cfg.Timeouts.Drain
		if in.Within >= 0 {
			drain = time.Duration(in.Within) * time.Millisecond
		}
		k.log.Info("stopping", "asked_by", "weir stop")
		k.stop(drain)
	})
	if err != nil { // it is ending
		api.Answer(w, http.StatusOK, struct{}{})
		return
	}
	defer k.stops.Done()
	conn, _, err := http.NewResponseController(w).Hijack() // the server ends before that which is waited for
	if err != nil {
		api.AnswerError(w, http.StatusInternalServerError, err)
		return
	}
	<-k.released
	answerCaller(conn, struct{}{}, nil)
}
