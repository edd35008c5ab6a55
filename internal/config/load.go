package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// readFile reads at most a byte more than a configuration may have. It may be a pipe.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if closed := f.Close(); err == nil {
		err = closed
	}
	return text, err
}

func newDecoder(path string, text []byte, env func(string) (string, bool), host machine) *decoder {
	return &decoder{
		src: newSource(path, text), env: env, host: host,
		said: map[said]bool{}, used: map[string]string{}, places: map[string]Place{}, bound: map[string]bound{}, hostAt: map[string]hostAt{}, pages: map[string]page{}, hosts: map[string]Place{}, routeNames: map[string]Place{},
		visits: len(text) + 100_000, // without aliases a value takes two bytes at least
	}
}

// allErrors is what is wrong, in the order of the file. There are no warnings beside errors: they would be of what the
// errors made of the file.
func (d *decoder) allErrors() Errors {
	if d.visits <= 0 {
		return d.errs[d.exhausted : d.exhausted+1] // the rest was not read
	}
	d.errs.sort()
	if d.left > 0 {
		d.errs = append(d.errs, d.src.errorAt(0, 0, 1, fmt.Sprintf("%d more errors are not shown", d.left), ""))
	}
	return d.errs
}

// WithRunDir is the configuration with its sockets elsewhere, as the flag --run-dir says.
func (c *Config) WithRunDir(dir string) (*Config, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("finding the run directory %s: %w", dir, err)
	}
	if len(absolute) > c.maxRunDir() {
		return nil, fmt.Errorf("the path of the run directory %s has %d bytes, which is too long for sockets in it: use at most %d", absolute, len(absolute), c.maxRunDir())
	}
	changed := *c
	changed.RunDir = absolute
	return &changed, nil
}

// ErrorAt makes an error about a place of the configuration, for what is found only when it is in use: a port that is
// taken, a worker that never gets ready. key is a key of Place ("apps.web.command", "listen.http[0]"); when it is not
// in the file, what it is part of stands for it.
func (c *Config) ErrorAt(key, message, hint string) *Error {
	for {
		if p, ok := c.Place[key]; ok {
			return c.ErrorAtPlace(p, message, hint)
		}
		i := max(strings.LastIndexByte(key, '.'), strings.LastIndexByte(key, '['))
		if i < 0 {
			return c.ErrorAtPlace(Place{File: c.File}, message, hint)
		}
		key = key[:i]
	}
}

// ErrorAtPlace is ErrorAt with the place of an app, a pool, a site, a route or an address.
func (c *Config) ErrorAtPlace(p Place, message, hint string) *Error {
	return newSource(p.File, []byte(c.textOf(p.File))).errorAt(p.Line, p.Column, 1, message, hint)
}
