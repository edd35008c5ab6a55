// Package representation answers what a client asks about a representation that is at hand, a file or a stored
// response: whether the client has it already (conditional requests, RFC 9110, section 13), which bytes of it are wanted
// (ranges, section 14), in which coding (section 12.5.3), and how parts of one representation fit together (sections 14.4 and 15.3.7, RFC 9111, section
// 3.4). It is pure: validators, a length and the request's fields in, values out. It sends nothing, stores nothing, and
// does not know whether a response may be stored or served.
package representation
