// Package hostile holds the tests that mean harm: malformed, ambiguous and smuggled requests, servers that answer with
// anything but HTTP, clients that want to use weir up, and text that wants to be taken for something else in logs and
// pages. They run against the real binary. What they judge by is a reading of RFC 9112 of their own, not weir's. It has no
// code that is shipped.
package hostile
