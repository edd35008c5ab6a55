package cli

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/weirhq/weir/internal/api"
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
		e.line("now", "the request passes by the cache (%s)", l.Passes)
		return b.String()
	}
	switch l.Found {
	case "response", "part":
		what := fmt.Sprintf("a response of status %d", l.Status)
		if l.Found == "part" {
			what = "a part of a response"
		}
		e.line("now", "kept: %s, %s, %s old; it was looked up %d times", what, bytesOf(l.Size), seconds(l.Age), l.Hits)
		if l.Disk {
			e.line("", "it is on disk, and comes into memory when it is asked for")
		}
		e.state(l)
	case "hole":
		e.line("now", "not kept: for %s more it is known that it cannot be (hit_for_miss)", seconds(l.TTL))
	default:
		e.line("now", "nothing is kept for it")
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
	case l.Soft:
		e.line("", "it was purged softly: it is served once more while a new one is fetched")
	case l.TTL > 0:
		e.line("", "fresh for %s more, then in its grace for %s", seconds(l.TTL), seconds(l.Grace))
	case -l.TTL < l.Grace:
		e.line("", "stale since %s, in its grace for %s more", seconds(-l.TTL), seconds(l.Grace+l.TTL))
	default:
		e.line("", "over since %s: the app is asked whether it still holds", seconds(-l.TTL))
	}
}

func listOf(names string) string {
	return strings.ReplaceAll(printable(strings.Trim(names, ",")), ",", ", ")
}
