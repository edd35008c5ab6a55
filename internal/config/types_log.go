package config

import (
	"time"

	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/journal/sink"
)

// Log says what is written where.
type Log struct {
	Access []AccessLog // none of them goes nowhere
	Level  string      // debug, info, warn, error
	Slow   time.Duration
	Redact journal.Redaction
}

// AccessLog is a line a request, or for some of them. Two of them are equal when they are the same log.
type AccessLog struct {
	To       string // as journal.ParseTarget has it; a path is absolute
	Format   string // as journal.ParseFormat has it
	Filter   string // as filter.Parse has it; empty: all
	Rotate   sink.Rotation
	Sample   [6]float64 // as in journal.Options
	Facility string
}
