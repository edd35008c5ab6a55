// What weir's words mean, for someone who sees them for the first time.
// Nothing is inherited: what comes from elsewhere may be called like anything.
export const causes = {
  __proto__: null,
  bad_request: "the request breaks a rule of HTTP", bad_response: "the server's response makes no sense", no_site: "no site has that host", no_route: "no route matches",
  no_server: "no server takes requests", queue_full: "no room in the queue", queue_timeout: "waited too long in the queue", connect_error: "no connection to a server",
  connect_timeout: "connecting took too long", empty_response: "the server hung up without a response", server_reset: "the server broke off its response",
  first_byte_timeout: "the server did not begin to answer in time", between_bytes_timeout: "the server stopped in its response", request_timeout: "over the app's request_timeout",
  head_timeout: "the client was too slow with its head", body_timeout: "the client stopped in its body", send_timeout: "the client stopped reading", client_gone: "the client left",
  body_too_large: "the body is over its limit", response_too_large: "the response is over its limit", refused: "not allowed in", panic: "a mistake in weir", stopping: "weir stops",
  internal: "a mistake in weir", no_script: "no program for the path", overloaded: "the server had no room", breaker_open: "the breaker is open", idle_timeout: "silent for too long",
  server_down: "its server may have no sessions", bad_hello: "what came first is no TLS",
};
export const whys = {
  __proto__: null,
  "uri-miss": "not there yet", "vary-miss": "no variant for such a request", stale: "too old", request: "the client wanted something newer", miss: "could not be kept a moment ago",
  bypass: "passed by", method: "neither GET nor HEAD", configured: "bypass of the route holds", cookie: "a cookie of pass_if_cookie", header: "a field that the policy passes",
  "request-no-store": "the client says no-store", target: "the target is no path", upgrade: "another protocol", "body-in-get": "a body in a GET", "method-override": "a field changes the method",
  "url-override": "a field changes the address", "host-override": "a field changes the host", "disguised-field": "a field's name in disguise", "hit-for-miss": "could not be kept a moment ago",
  "not-shared": "waited, for a response that was for one alone", head: "HEAD brings nothing in", range: "a part, which is not kept", contended: "purged again and again",
  "no-freshness": "nothing says for how long", "unkeyed-cookie": "cookies that are no part of the key", "event-stream": "a stream of events", "no-store": "the app says no-store", private: "the app says private",
  "set-cookie": "sets a cookie", authorization: "for one who is signed in", "vary-star": "varies by everything", "must-understand": "for caches that know its status", expired: "over when it comes",
  status: "no response of its own", partial: "a part", "too-large": "larger than max_object", "no-room": "no room in memory", purged: "purged while it was fetched", "other-vary": "varies by other things than before",
  "other-etag": "another response was confirmed", "only-if-cached": "wanted from the cache only", "stale-if-error": "instead of an error", "handed-over": "this edge has been replaced",
};

// spent says what a request's time went into after each stage.
export const spent = {
  __proto__: null,
  begun: "reading its head", head_read: "finding its route", routed: "looking into the cache", body_read: "going to the queue", queued: "in the queue", picked: "connecting", connected: "sending it",
  sent: "waiting for the server", first_byte: "receiving the response", received: "delivering", delivered: "at the end",
};

// fullName is what people call a server: pool/server, and a worker by its own name, which begins with its app's.
export function fullName(pool, server) { return server.startsWith(pool + "/") ? server : pool + "/" + server; }
