package desk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/desk/alert"
	"github.com/weirhq/weir/internal/desk/events"
	"github.com/weirhq/weir/internal/desk/grouping"
	"github.com/weirhq/weir/internal/desk/notify"
	"github.com/weirhq/weir/internal/notice"
)

// Alerts is the answer of GET /api/v1/alerts.
type Alerts struct {
	Alerts   []alert.Alert   `json:"alerts"` // the worst first, with those that were over lately
	Silences []alert.Silence `json:"silences"`
	Targets  []notify.Status `json:"targets"`
}

// Problems is the answer of GET /api/v1/problems.
type Problems struct {
	Problems []grouping.Problem `json:"problems"` // what was seen last first
	Missed   uint64             `json:"missed"`   // lines of workers that nobody has looked at
}

// Silencing is the body of POST /api/v1/alerts/silence: what is silenced, or with End the silence that ends.
type Silencing struct {
	Rule    string `json:"rule,omitempty"`
	Subject string `json:"subject,omitempty"`
	Until   string `json:"until,omitempty"` // RFC 3339
	For     string `json:"for,omitempty"`   // or as long: "2h"
	Why     string `json:"why,omitempty"`
	End     string `json:"end,omitempty"`
}

// Acknowledgement is the body of POST /api/v1/alerts/acknowledge.
type Acknowledgement struct {
	Alert string `json:"alert"` // its ID, or a rule for all of its alerts
	Why   string `json:"why,omitempty"`
}

// Testing is the body of POST /api/v1/alerts/test.
type Testing struct {
	Target string `json:"target"`
}

// maxWhy bounds what people write, in bytes.
const maxWhy = 500

func (o *rooms) alerts(w http.ResponseWriter, _ *http.Request) {
	a := o.hub.alarm
	a.mu.Lock()
	all := Alerts{Alerts: a.board.List(), Silences: a.board.Silences()}
	a.mu.Unlock()
	all.Targets = a.sender.Status()
	api.Answer(w, http.StatusOK, all)
}

func (o *rooms) problems(w http.ResponseWriter, _ *http.Request) {
	a := o.hub.alarm
	a.mu.Lock()
	s := a.errors.Save()
	a.mu.Unlock()
	api.Answer(w, http.StatusOK, Problems{s.Problems, s.Missed})
}

func (o *rooms) downtime(w http.ResponseWriter, r *http.Request) {
	month := r.URL.Query().Get("month")
	if _, err := time.Parse("2006-01", month); month != "" && err != nil {
		api.AnswerError(w, http.StatusUnprocessableEntity, errors.New("month is not such as 2026-11"))
		return
	}
	a := o.hub.alarm
	a.mu.Lock()
	defer a.mu.Unlock()
	api.Answer(w, http.StatusOK, a.book.Report(month, a.budgets()))
}

// budgets are those of the configuration, by the first host of each site. It is called with the lock.
func (a *alarm) budgets() map[string]time.Duration {
	all := map[string]time.Duration{}
	if a.cfg.Availability == nil {
		return all
	}
	for _, s := range a.cfg.Sites {
		for _, h := range s.Hosts {
			if d, is := a.cfg.Availability.Budget[h]; is {
				all[s.Hosts[0]] = d
			}
		}
	}
	return all
}

func (o *rooms) silence(w http.ResponseWriter, r *http.Request) {
	var in Silencing
	if !readBody(w, r, &in) {
		return
	}
	a, now, by := o.hub.alarm, time.Now(), who(r).Name
	if len(in.Why) > maxWhy || len(in.Rule) > maxWhy || len(in.Subject) > maxWhy {
		api.AnswerError(w, http.StatusUnprocessableEntity, errors.New("that is too long: write at most 500 characters"))
		return
	}
	in.Rule, in.Subject, in.Why = notice.OneLine(in.Rule), notice.OneLine(in.Subject), notice.OneLine(in.Why)
	if in.End != "" {
		a.mu.Lock()
		err := a.board.Unsilence(in.End, now)
		a.dirty = true
		a.mu.Unlock()
		if err != nil {
			api.AnswerError(w, http.StatusUnprocessableEntity, err)
			return
		}
		a.intervened(now, by, "ended the silence "+in.End)
		api.Answer(w, http.StatusOK, struct{}{})
		return
	}
	until, err := untilOf(in, now)
	if err != nil {
		api.AnswerError(w, http.StatusUnprocessableEntity, err)
		return
	}
	a.mu.Lock()
	s, err := a.board.Silence(alert.Silence{Rule: in.Rule, Subject: in.Subject, Until: until, By: by, Why: in.Why}, now)
	a.dirty = true
	a.mu.Unlock()
	if err != nil {
		api.AnswerError(w, http.StatusUnprocessableEntity, err)
		return
	}
	a.intervened(now, by, "silenced "+strings.TrimSpace(s.Rule+" "+s.Subject)+" until "+s.Until.Format(time.RFC3339)+reason(in.Why))
	api.Answer(w, http.StatusOK, s)
}

func reason(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

// untilOf is when a silence is to end.
func untilOf(in Silencing, now time.Time) (time.Time, error) {
	if in.For != "" {
		d, ok := config.ParseDuration(in.For)
		if !ok || d <= 0 {
			return time.Time{}, fmt.Errorf("for is %.40q, which is not a time such as 30m, 2h or 1d", in.For)
		}
		return now.Add(d), nil
	}
	t, err := time.Parse(time.RFC3339, in.Until)
	if err != nil {
		return t, errors.New("until when? Write until, such as 2026-11-21T20:00:00Z, or for, such as 2h")
	}
	return t, nil
}

func (o *rooms) acknowledge(w http.ResponseWriter, r *http.Request) {
	var in Acknowledgement
	if !readBody(w, r, &in) {
		return
	}
	if len(in.Why) > maxWhy {
		api.AnswerError(w, http.StatusUnprocessableEntity, errors.New("that is too long: write at most 500 characters"))
		return
	}
	in.Why = notice.OneLine(in.Why)
	a, now, by := o.hub.alarm, time.Now(), who(r).Name
	a.mu.Lock()
	done, err := a.board.Acknowledge(in.Alert, alert.Ack{At: now, By: by, Why: in.Why})
	a.dirty = true
	a.mu.Unlock()
	if err != nil {
		api.AnswerError(w, http.StatusUnprocessableEntity, err)
		return
	}
	a.intervened(now, by, "acknowledged "+in.Alert+reason(in.Why))
	api.Answer(w, http.StatusOK, map[string][]string{"acknowledged": done})
}

// intervened has what somebody did among the events.
func (a *alarm) intervened(at time.Time, by, text string) {
	a.hub.publish(nil, a.hub.events.Add(events.Event{At: at, Kind: "intervention", Text: text, By: by}))
}

func (o *rooms) testAlert(w http.ResponseWriter, r *http.Request) {
	var in Testing
	if !readBody(w, r, &in) {
		return
	}
	a := o.hub.alarm
	a.mu.Lock()
	m, err := a.board.Test(in.Target, who(r).Name, time.Now())
	a.mu.Unlock()
	if err != nil {
		api.AnswerError(w, http.StatusUnprocessableEntity, err)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(o.ends, cancel)()
	if err := a.sender.Try(ctx, m); err != nil {
		api.AnswerError(w, http.StatusBadGateway, err)
		return
	}
	api.Answer(w, http.StatusOK, struct{}{})
}
