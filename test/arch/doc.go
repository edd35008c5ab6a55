// Package arch holds the rules of the house as tests: who may import whom, how large a file or a function may get,
// what every package must say of itself, that links in the documents lead somewhere. Each failure names the
// offender, the rule and its reason. It has no code of its own.
package arch
