package cli

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/exchange"
)

// lookLive asks the weir that runs what its cache has for the request.
func lookLive(ctx context.Context, runDir string, q *question) (string, error) {
	var x exchange.Exchange
	head, err := q.head(&x)
	if err != nil {
		return "", err
	}
	client, err := keeperClient(runDir)
	if err != nil {
		return "", err
	}
	defer client.Close()
	var out api.Looked
	if err := client.Post(ctx, "/v1/cache/look", api.Look{Head: string(head), Scheme: x.Scheme, Client: q.client}, &out); err != nil {
		return "", err
	}
	return showLooked(&out), nil
}

// showLooked writes it for people.
func showLooked(l *api.Looked) string {
	var b bytes.Buffer
	e := &explanation{w: &b}
	if l.Passes != "" {
		e.line("now", "the request passes by the cache (%s): without --live it is said why, and what to change", l.Passes)
		return b.String()
	}
	switch l.Found {
	case "response", "part":
		what := fmt.Sprintf("a response of status %d", l.Status)
		if l.Found == "part" {
			what = "a part of a response"
		}
		e.line("now", "kept: %s, %s, %s old; %s", what, bytesOf(l.Size), seconds(l.Age), lookedUp(l.Hits))
		if l.Disk {
			e.line("", "it is on disk, and comes into memory when it is asked for")
		}
		e.state(l)
	case "hole":
		e.line("now", "not kept: a moment ago it could not be, and for %s more nobody waits for another's request (hit_for_miss)", seconds(l.TTL))
		if why := cache.ParseReason(l.Why); why != cache.Kept {
			e.line("", "it could not be (%s): %s", why, why.Because())
			e.line("change", "%s", why.Change())
		}
	case "purged":
		e.line("now", "nothing: what was kept was purged; the next request brings it in again")
	default:
		e.line("now", "nothing is kept for it: nobody has asked, or it was over and went; the next request asks the app")
	}
	e.line("", "key %s", printable(l.Key))
	if l.Vary != "" {
		e.line("", "the variant by %s", listOf(l.Vary))
	}
	for _, v := range l.Variants {
		if v != l.Vary {
			e.line("", "responses under this key vary by %s too", listOf(v))
		}
	}
	return b.String()
}

// state says how a kept response stands in its life.
func (e *explanation) state(l *api.Looked) {
	switch {
	case l.Soft && l.Grace > 0:
		e.line("", "it was purged softly: it is served once more while a new one is fetched")
	case l.Soft:
		e.line("", "it was purged softly, and has no grace: the next request asks the app whether it still holds")
	case l.TTL > 0 && l.Grace > 0:
		e.line("", "fresh for %s more, then in its grace for %s", seconds(l.TTL), seconds(l.Grace))
	case l.TTL > 0:
		e.line("", "fresh for %s more; it has no grace", seconds(l.TTL))
	case -l.TTL < l.Grace:
		e.line("", "stale since %s, in its grace for %s more", seconds(-l.TTL), seconds(l.Grace+l.TTL))
	default:
		e.line("", "over since %s: the app is asked whether it still holds", seconds(-l.TTL))
	}
}

func lookedUp(hits uint32) string {
	switch hits {
	case 0:
		return "nobody has got it from here yet"
	case 1:
		return "it was looked up once"
	}
	return fmt.Sprintf("it was looked up %d times", hits)
}

func listOf(names string) string {
	return strings.ReplaceAll(printable(strings.Trim(names, ",")), ",", ", ")
}
