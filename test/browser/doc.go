// Package browser tests the status page in a real browser: what it shows, how it changes, what people can do by it, and that nothing that
// strangers write runs in it. Each test leaves a picture in bin/browser. The desk behind it is played by package stage; the real one is
// in one test, with the real binary.
package browser
