package config

import "time"

// Metrics is what of numbers goes in and out beside /metrics: apps' numbers, and weir's own for others. The desk does it.
type Metrics struct {
	Place    Place
	Statsd   string // host:port that weir's numbers are sent to; empty: none
	Graphite string // likewise
	Every    time.Duration
	Prefix   string   // of the names that are sent; empty: weir. and the host name
	Listen   []Socket // where apps' numbers are taken, as statsd lines
}

// Socket is where datagrams are taken.
type Socket struct {
	Network string // "udp" or "unixgram"
	Address string
}
