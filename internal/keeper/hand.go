package keeper

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/notice"
)

const (
	keptDone  = 500  // interventions that are remembered
	mostHands = 1000 // servers that people decided something of at a time
	longBy    = 100  // bytes
	longWhy   = 500
)

// people is what they decided of servers and did to them. The keeper has it, since it lives longer than edges and
// configurations do. Owned by the goroutine that handles events.
type people struct {
	hands   []api.Hand
	done    []api.Intervention
	waiting []waiting
}

// waiting is who waits until a state of at least that version is in force at an edge.
type waiting struct {
	version int64
	told    chan struct{}
}

// decide adds what an intervention decides to what was decided before. A server of which nothing is left to say is left out.
func decide(hands []api.Hand, in api.Intervention) []api.Hand {
	out := slices.Clone(hands)
	i := slices.IndexFunc(out, func(h api.Hand) bool { return h.Pool == in.Pool && h.Server == in.Server })
	if i < 0 {
		i = len(out)
		out = append(out, api.Hand{Pool: in.Pool, Server: in.Server})
	}
	h := &out[i]
	h.By, h.Reason, h.Since = in.By, in.Reason, in.At
	switch in.Do {
	case "drain", "maint":
		h.State = in.Do
	case "ready":
		h.State = ""
	case "weight":
		h.Weight = in.Weight
	case "add":
		if h.Listed == "removed" {
			h.Listed = ""
		} else {
			h.Listed = "added"
		}
		if in.Weight != nil {
			h.Weight = in.Weight
		}
	case "remove":
		if h.Listed == "added" {
			return slices.Delete(out, i, i+1)
		}
		*h = api.Hand{Pool: h.Pool, Server: h.Server, Listed: "removed", By: h.By, Reason: h.Reason, Since: h.Since}
	}
	if h.State == "" && h.Weight == nil && h.Listed == "" {
		return slices.Delete(out, i, i+1)
	}
	return out
}

// standing are the hands that can still mean something: a worker that is gone never comes back under its name.
func standing(hands []api.Hand, cfg *config.Config, workers []api.Worker) []api.Hand {
	return slices.DeleteFunc(slices.Clone(hands), func(h api.Hand) bool {
		ofApp := slices.ContainsFunc(cfg.Pools, func(p *config.Pool) bool { return p.Name == h.Pool && p.App != "" })
		return ofApp && !slices.ContainsFunc(workers, func(w api.Worker) bool { return w.Name == h.Server })
	})
}

// stranded says of which servers something was decided that holds no more, since the next configuration has no pool of that name. An app's
// workers end with their pool.
func stranded(hands []api.Hand, now, next *config.Config) (all []string) {
	for _, h := range hands {
		named := func(p *config.Pool) bool { return p.Name == h.Pool }
		was := slices.IndexFunc(now.Pools, named)
		if was < 0 || now.Pools[was].App != "" || slices.ContainsFunc(next.Pools, named) {
			continue
		}
		what := h.State
		if what == "" && h.Weight != nil {
			what = fmt.Sprintf("weight %d", *h.Weight)
		}
		if what == "" {
			what = h.Listed
		}
		all = append(all, fmt.Sprintf("there is no pool %s any more: %s of %s/%s, decided by %s, holds again when it is back", h.Pool, what, h.Pool, h.Server, h.By))
	}
	return all
}

// checkIntervention looks at one before anybody is asked what it means.
func checkIntervention(in *api.Intervention) error {
	switch {
	case !slices.Contains([]string{"drain", "maint", "ready", "weight", "add", "remove"}, in.Do):
		return fmt.Errorf("%q is nothing that can be done to a server", in.Do)
	case in.Pool == "" || in.Server == "":
		return errors.New("an intervention without a pool and a server")
	case in.Weight != nil && (*in.Weight < 0 || *in.Weight > 1000):
		return fmt.Errorf("the weight %d is not from 0 to 1000", *in.Weight)
	case len(in.Pool)+len(in.Server) > longWhy:
		return errTooLong
	case in.What != "":
		return errors.New("what is for reloads and purges")
	}
	return checkWho(&in.By, &in.Reason)
}

var errTooLong = fmt.Errorf("too long: a name has at most %d bytes, a reason %d", longBy, longWhy)

// checkWho looks at who does something, and why.
func checkWho(by, reason *string) error {
	if len(*by) > longBy || len(*reason) > longWhy {
		return errTooLong
	}
	if *by = notice.OneLine(*by); *by == "" {
		*by = "somebody"
	}
	*reason = notice.OneLine(*reason)
	return nil
}

// purgesNoted is how many purges within a minute are noted: a program that says who it is must not drive out what people did.
const purgesNoted = 10

// note adds to what people did. As an event.
func (p *people) note(in api.Intervention) {
	if in.Do == "purge" {
		n, since := 0, time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
		for _, d := range p.done {
			if d.Do == "purge" && d.At > since {
				n++
			}
		}
		if n >= purgesNoted {
			return
		}
	}
	if p.done = append(p.done, in); len(p.done) > keptDone {
		p.done = slices.Delete(p.done, 0, len(p.done)-keptDone)
	}
}

// purged says in words what a purge is of.
func purged(p *api.Purge) string {
	var all []string
	if p.All {
		all = append(all, "everything")
	}
	for _, kind := range []struct {
		name string
		what []string
	}{{"", p.URLs}, {"tag ", p.Tags}, {"prefix ", p.Prefixes}, {"pattern ", p.Patterns}} {
		for _, w := range kind.what {
			all = append(all, kind.name+w)
		}
	}
	if more := len(all) - 3; more > 0 {
		all = append(all[:3], fmt.Sprintf("%d more", more))
	}
	text := notice.OneLine(strings.Join(all, ", "))
	if len(text) > longWhy {
		text = strings.ToValidUTF8(text[:longWhy], "") + "…"
	}
	if p.Soft {
		text += ", made stale"
	}
	return text
}

// serveWish has do fulfil what is asked for, and answers with what do has made of it.
func serveWish[T any](do func(*T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var wish T
		if err := api.ReadRequest(w, r, &wish); err != nil {
			api.AnswerError(w, http.StatusBadRequest, err)
			return
		}
		if err := do(&wish); err != nil {
			api.AnswerError(w, http.StatusUnprocessableEntity, err)
			return
		}
		api.Answer(w, http.StatusOK, wish)
	}
}

// intervene does to a server what somebody wants, and waits until it is in force.
func (k *keeper) intervene(in *api.Intervention) error {
	if err := checkIntervention(in); err != nil {
		return err
	}
	var found api.Intervention
	if err := k.askServing("/v1/intervention", *in, &found); err != nil {
		return err
	}
	in.Server = found.Server
	in.At = time.Now().UTC().Format(time.RFC3339)
	var full error
	told := make(chan struct{})
	if err := k.call(func() {
		hands := decide(k.people.hands, *in)
		if len(hands) > mostHands {
			full = fmt.Errorf("people decided something of %d servers already: take some back with weir ready", mostHands)
			return
		}
		k.people.hands = hands
		k.people.note(*in)
		k.people.waiting = append(k.people.waiting, waiting{k.version + 1, told})
		k.dirty = true
		attrs := append([]any{"pool", in.Pool, "server", in.Server}, who(in.By, in.Reason)...)
		if in.Weight != nil {
			attrs = append(attrs, "weight", *in.Weight)
		}
		k.log.Info("by hand: "+in.Do, attrs...)
	}); err != nil || full != nil {
		return errors.Join(err, full)
	}
	late := time.NewTimer(callTime)
	defer late.Stop()
	select {
	case <-told:
		return nil
	case <-k.ended:
		return errStopping
	case <-late.C:
		return errors.New("it is noted, but the edge does not take it over; it is told again")
	}
}

// told lets those go on who waited for a state of this version.
func (p *people) told(version int64) {
	p.waiting = slices.DeleteFunc(p.waiting, func(w waiting) bool {
		if w.version > version {
			return false
		}
		close(w.told)
		return true
	})
}

func (k *keeper) serveInterventions(w http.ResponseWriter, _ *http.Request) {
	out := api.Interventions{Done: []api.Intervention{}, Hands: []api.Hand{}}
	if err := k.call(func() {
		out.Done = append(out.Done, k.people.done...)
		out.Hands = append(out.Hands, k.people.hands...)
	}); err != nil {
		api.AnswerError(w, http.StatusServiceUnavailable, err)
		return
	}
	api.Answer(w, http.StatusOK, out)
}
