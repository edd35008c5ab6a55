package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/weirhq/weir/internal/config"
)

// wrongFlag says what to write in place of a flag that is not there, or of a value that is none.
func wrongFlag(c *cobra.Command, err error) error {
	var none *pflag.NotExistError
	var value *pflag.InvalidValueError
	switch {
	case errors.As(err, &value):
		if hint := valueHints[value.GetFlag().Value.Type()]; hint != "" {
			return fmt.Errorf("--%s %s: write %s", value.GetFlag().Name, value.GetValue(), hint)
		}
	case errors.As(err, &none):
		var names []string
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		if near := config.Nearest(none.GetSpecifiedName(), names); none.GetSpecifiedShortnames() == "" && near != "" {
			return fmt.Errorf("%w: did you mean --%s? (`%s --help` shows the flags)", err, near, c.CommandPath())
		}
	}
	return fmt.Errorf("%w (`%s --help` shows the flags)", err, c.CommandPath())
}

// valueHints are what to write for a flag of a type.
var valueHints = map[string]string{"duration": "a time such as 30s, 2h or 1d", "int": "a whole number"}

// duration is the value of a flag: a time as the configuration has it, with d for days.
type duration time.Duration

// Set reads it.
func (d *duration) Set(text string) error {
	v, ok := config.ParseDuration(text)
	if !ok {
		return errors.New("no time")
	}
	*d = duration(v)
	return nil
}

func (d *duration) String() string {
	if *d == 0 {
		return "0" // by which help knows that there is no default
	}
	return time.Duration(*d).String()
}

// Type is what help calls it.
func (d *duration) Type() string { return "duration" }

// durationFlag adds a flag that is a time.
func durationFlag(c *cobra.Command, name string, otherwise time.Duration, usage string) *time.Duration {
	v := otherwise
	c.Flags().Var((*duration)(&v), name, usage)
	return &v
}
