// Package edge is the data plane: the process that accepts clients' connections and answers their requests from
// pools, files, redirects and fixed responses. It holds no state that cannot be rebuilt; what it serves is an
// immutable tree that a reload swaps whole. It starts no worker, reads no configuration file and knows no page that
// people look at: the keeper hands it sockets, the checked configuration and the list of workers.
//
// What can be told apart from the handling of a request stands in rooms of its own below: stock (what the cache keeps), relay (sessions of
// TCP), tally (what is counted), telling (what is told of requests).
//
// Where to begin reading: handler.serve in serve.go is a request's way from top to bottom.
package edge
