package edge

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/journal/filter"
)

// accessLog is an open access log.
type accessLog struct {
	config config.AccessLog
	log    *journal.Log
}

// openLogs opens the access logs that a configuration names; those that are in use already stay as they are. With e.mu.
func (e *Edge) openLogs(want []config.AccessLog) (logs []*accessLog, err error) {
	for i := range want {
		c := want[i]
		if slices.ContainsFunc(logs, func(o *accessLog) bool { return o.config == c }) {
			continue // the same twice
		}
		if k := slices.IndexFunc(e.logs, func(o *accessLog) bool { return o.config == c }); k >= 0 {
			logs = append(logs, e.logs[k])
			continue
		}
		l, err := openLog(&c, len(e.locals))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("log.access.to: %w", err), e.closeLogs(logs, e.logs))
		}
		logs = append(logs, &accessLog{c, l})
	}
	return logs, nil
}

func openLog(c *config.AccessLog, loops int) (*journal.Log, error) {
	o := journal.Options{To: c.To, Format: c.Format, Loops: loops, Rotate: c.Rotate, Facility: c.Facility, Sample: c.Sample}
	f, err := filter.Parse(c.Filter)
	if err != nil {
		return nil, err
	}
	if f != nil {
		o.Filter = f.Match
	}
	o.Problem = func(err error) {
		if err != nil {
			slog.Error("the access log cannot be written: lines are held, and dropped when they are too many", "to", c.To, "error", err)
			return
		}
		slog.Info("the access log is written again", "to", c.To)
	}
	o.OldFiles = func(err error) { slog.Error("old access logs are not seen to", "of", c.To, "error", err) }
	return journal.Open(o)
}

// closeLogs closes those of some logs that are not among others, all at once: one may take seconds to learn that nobody reads it. With e.mu.
func (e *Edge) closeLogs(logs, but []*accessLog) error {
	errs := make([]error, len(logs))
	var closing sync.WaitGroup
	for i, l := range logs {
		if !slices.Contains(but, l) {
			closing.Go(func() { errs[i] = l.log.Close() })
		}
	}
	closing.Wait()
	for _, l := range logs {
		if !slices.Contains(but, l) {
			e.lost += l.log.Dropped()
		}
	}
	return errors.Join(errs...)
}

// useLogs hands the logs' writers to the loops and closes the former logs. With e.mu.
func (e *Edge) useLogs(next []*accessLog, c *config.Log) {
	former := e.logs
	open := make([]*journal.Log, len(next))
	for i, l := range next {
		open[i] = l.log
	}
	e.told.SlowAfter(c.Slow)
	e.told.UseLogs(open, &c.Redact)
	e.logs = next
	if err := e.closeLogs(former, next); err != nil {
		slog.Error("closing a former access log", "error", err)
	}
}

// Reopen opens the access logs' files anew, which have been renamed. Where one cannot be opened, the old one stays.
func (e *Edge) Reopen() (err error) {
	e.mu.Lock() // a reload may be about to replace the logs
	defer e.mu.Unlock()
	for _, l := range e.logs { // none: the first state opens them
		err = errors.Join(err, l.log.Reopen())
	}
	return err
}

// logStatus tells how many lines were dropped, and of what is wrong. With e.mu.
func (e *Edge) logStatus() (dropped uint64, wrong []api.LogStatus) {
	dropped = e.lost
	for _, l := range e.logs {
		s := api.LogStatus{To: l.config.To, Dropped: l.log.Dropped(), Problem: l.log.Problem()}
		dropped += s.Dropped
		if s.Dropped > 0 || s.Problem != "" {
			wrong = append(wrong, s)
		}
	}
	return dropped, wrong
}
