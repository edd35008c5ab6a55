package cli

import (
	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/journal"
)

// stageText is what a request did until it reached a stage.
var stageText = [journal.NumStages]string{
	journal.Begun: "begun", journal.HeadRead: "client sends its head", journal.Routed: "route found", journal.BodyRead: "client sends its body",
	journal.Queued: "on its way to the pool", journal.Picked: "waits for a place", journal.Connected: "connects to the server", journal.Sent: "sent to the server",
	journal.FirstByte: "the server works", journal.Received: "the server sends", journal.Delivered: "the client takes it",
}

var sessionWords = map[journal.Session]string{
	journal.SessionNew: "it begins at this server", journal.SessionKept: "it is at this server", journal.SessionMoved: "its server is gone, and it is at this one from now on",
	journal.SessionAway: "its server had no room, and this request alone went elsewhere",
}

// causeWords say what a cause means, and where to look next.
var causeWords = map[journal.Cause]struct{ because, look string }{
	journal.BadRequest:          {"the request breaks a rule of HTTP", "at the client, or what stands between it and weir"},
	journal.BadResponse:         {"the server's answer breaks a rule of HTTP", "at what the app sends: curl -v to the server's own address shows it"},
	journal.NoSite:              {"no site has that host", "hosts: of the sites; weir explain shows how they were tried"},
	journal.NoRoute:             {"no route of the site matches", "weir explain shows how they were tried"},
	journal.NoServer:            {"no server of the pool is ready", "weir status says of each why not and since when"},
	journal.QueueFull:           {"too many waited for a place already", "at what the servers do: they are too slow or too few. queue.size is how many may wait"},
	journal.QueueTimeout:        {"it waited for a place too long", "at what the servers do: they are too slow or too few. queue.timeout is how long one may wait"},
	journal.ConnectError:        {"there is no connection to the server", "whether it runs and listens; weir status"},
	journal.ConnectTimeout:      {"the server did not accept in time", "at a full backlog of the server, or a firewall that drops"},
	journal.EmptyResponse:       {"the server closed the connection before it answered", "at the worker's last words in weir's output: most often it died"},
	journal.ServerReset:         {"the server closed the connection within its answer", "at the worker's last words in weir's output: most often it died"},
	journal.FirstByteTimeout:    {"the server did not begin to answer in time", "at what the app waits for: a slow query, another service"},
	journal.BetweenBytesTimeout: {"the server stopped within its answer", "at what the app waits for: a slow query, another service"},
	journal.RequestTimeout:      {"the worker had the time that request_timeout allows, and is replaced", "at what the app waits for: a slow query, another service"},
	journal.HeadTimeout:         {"the client was too slow with the head", ""},
	journal.BodyTimeout:         {"the client stopped within its body", ""},
	journal.SendTimeout:         {"the client took nothing more", ""},
	journal.ClientGone:          {"the client left", "whether it was tired of waiting: the times below"},
	journal.BodyTooLarge:        {"the request's body is over the limit", "limits.body, or body of the route"},
	journal.ResponseTooLarge:    {"the head of the server's answer is over the limit", "at the cookies and fields that the app sets"},
	journal.Refused:             {"allow did not let the client in", "allow: of the route"},
	journal.Panicked:            {"a mistake in weir itself", "weir's output has the stack: please report it"},
	journal.Stopping:            {"weir was about to stop", ""},
	journal.Internal:            {"a mistake in weir itself, or a lack of memory or descriptors", "at weir's output"},
	journal.NoScript:            {"no program is there for the path", "script: of the pool"},
	journal.Overloaded:          {"the FastCGI server had no room, nor had another", "at how many children it has"},
	journal.BreakerOpen:         {"most requests to the pool failed of late, and its breaker lets nobody through for a while", "at the failures before: weir log --failed --past"},
	journal.IdleTimeout:         {"nothing moved in either direction", "timeouts.idle of the pool"},
	journal.ServerDown:          {"its server was taken out, or is the primary no more", ""},
	journal.BadHello:            {"what came first is no hello of TLS, or no PROXY header", ""},
}

// missWords are the tokens that are neither a reason of the response nor a pass of the request.
var missWords = map[string][2]string{
	"uri-miss":       {"nothing was kept for this address: it is the first request, or what was kept is over, was purged, or made room", "nothing: what is kept now answers the next one. If it happens again and again, see weir cache, and Vary and the key with weir explain"},
	"vary-miss":      {"the address is kept, but not in the variant that this client's fields ask for", "the app's Vary: fewer fields, or fewer values of them"},
	"miss":           {"a moment ago the response could not be kept, so nobody waited for it; now it could", "nothing"},
	"stale":          {"what was kept is past its life", "a longer life; or grace, so that it is served while it is fetched anew"},
	"request":        {"the client wants something newer than what is kept (Cache-Control of the request)", "reload: of the cache says whether a client's reload counts"},
	"bypass":         {"the request passes by the cache", ""},
	"method":         {"only GET and HEAD are answered from the cache", ""},
	"configured":     {"bypass of the route holds for it", "bypass in the route's cache:"},
	"handed-over":    {"this edge had been replaced, and answered once more on a connection that it had", "nothing: the next edge has the cache"},
	"only-if-cached": {"the client wants nothing else, and it is not there", "nothing"},
	"hit-for-miss":   {"a moment ago the response could not be kept (hit_for_miss)", "what made it so: the miss before says why"},
	"not-shared":     {"it waited for another request's response, and that was for the other one alone", "what made it so: that one's line says why"},
	"head":           {"HEAD does not bring in what is not there", "nothing: a GET does"},
	"range":          {"it is for a part that is not kept: longer than 4 MiB, or of unknown place", "nothing; a request for the whole brings it in"},
	"contended":      {"what it waited for was purged or broke off again and again", "fewer purges"},
	"stale-if-error": {"what is kept stands in for an error", "the error"},
	"other-etag":     {"the app confirmed another response than the one that was kept", "the app is to send one ETag for one content"},
}

// whyMissed says in words why the cache did not answer, and what to change.
func whyMissed(token string) (because, change string) {
	if r := cache.ParseReason(token); r != cache.Kept && token != "method" {
		return r.Because(), r.Change()
	}
	if w, ok := missWords[token]; ok {
		return w[0], w[1]
	}
	for p := cache.NoPass + 1; p.String() != ""; p++ {
		if p.String() == token {
			return p.Because(), p.Change()
		}
	}
	for i, word := range journal.Causes() {
		if word == token {
			return "it came to nothing: " + causeWords[journal.Cause(i+1)].because, ""
		}
	}
	return "", ""
}
