// Package telling is how the edge tells of requests and sessions that have ended: to access logs, to those who listen (weir log), and to
// a memory of what was slow or failed, which is there after the fact. Each loop decides for itself, by the listeners' filters, so that
// what nobody asked for costs a comparison:
//
//	request ends ──► Wants? ──► Tell ──► access log: filter, sample ─► its buffer ──► its goroutine ──► file, syslog, …
//	                                ├──► listener: filter ──► its buffer ──► its goroutine ──► weir log
//	                                └──► memory: the last slow, failed and refused ones of the loop
//
// It knows nothing of how a request is served.
package telling
