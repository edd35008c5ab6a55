// Package statsd takes the numbers of apps, as statsd lines, and pushes weir's own numbers to a statsd or to Graphite. What is taken is bounded in every
// direction, because whoever can reach the socket may send; what is pushed never waits for whom it is pushed to. It is no statsd server
// for others: what apps send stays here.
package statsd
