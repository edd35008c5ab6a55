package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// load is what wrk measured.
type load struct {
	requests int64
	rate     float64 // requests a second
	p50, p99 time.Duration
}

// wrk loads a host, port and path over kept connections.
func wrk(ctx context.Context, target string, connections, seconds int) (load, error) {
	program, err := lookPath("wrk")
	if err != nil {
		return load{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds+20)*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "-t", strconv.Itoa(min(threads, connections)), "-c", strconv.Itoa(connections),
		"-d", strconv.Itoa(seconds)+"s", "--latency", "http://"+target).CombinedOutput()
	if err != nil {
		return load{}, fmt.Errorf("running wrk: %w: %s", err, out)
	}
	return parseWrk(string(out))
}

var (
	wrkRequests = regexp.MustCompile(`(?m)^\s*(\d+) requests in `)
	wrkRate     = regexp.MustCompile(`(?m)^Requests/sec:\s*([\d.]+)`)
	wrkErrors   = regexp.MustCompile(`(?m)^\s*(Socket errors: .*|Non-2xx or 3xx responses: .*)$`)
	wrkP50      = regexp.MustCompile(`(?m)^\s*50%\s+([\d.]+\w+)`)
	wrkP99      = regexp.MustCompile(`(?m)^\s*99%\s+([\d.]+\w+)`)
)

// parseWrk reads wrk's report; a run with any error is no measurement.
func parseWrk(text string) (load, error) {
	if bad := wrkErrors.FindString(text); bad != "" {
		return load{}, fmt.Errorf("wrk met errors: %s", bad)
	}
	var fields [4]string
	for i, pattern := range []*regexp.Regexp{wrkRequests, wrkRate, wrkP50, wrkP99} {
		found := pattern.FindStringSubmatch(text)
		if found == nil {
			return load{}, fmt.Errorf("no %s in wrk's report: %s", pattern, text)
		}
		fields[i] = found[1]
	}
	var l load
	var err error
	if l.requests, err = strconv.ParseInt(fields[0], 10, 64); err != nil {
		return l, err
	}
	if l.rate, err = strconv.ParseFloat(fields[1], 64); err != nil {
		return l, err
	}
	if l.p50, err = time.ParseDuration(fields[2]); err != nil {
		return l, err
	}
	if l.p99, err = time.ParseDuration(fields[3]); err != nil {
		return l, err
	}
	if l.requests == 0 {
		return l, fmt.Errorf("no request was answered")
	}
	return l, nil
}
