// Package desk is the process of everything that people and other machines look at: the status page, its API, metrics, alerts. The keeper
// starts it, hands it its listening sockets and the configuration, and lets it go. It asks keeper and edge once a second how they are; they
// never ask it. If it dies, traffic does not notice, and the next one goes on counting where it stopped (docs/adr/0024).
package desk
