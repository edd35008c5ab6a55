package edge

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/cache/ban"
	"github.com/weirhq/weir/internal/cache/store"
	"github.com/weirhq/weir/internal/exchange"
	"github.com/weirhq/weir/internal/http1"
)

// Look tells what the cache has for a request that nobody sends. It changes and counts nothing. It is for people: what it
// finds may have gone when they read it.
func (e *Edge) Look(in api.Look) (api.Looked, error) {
	c, t := e.cache(), e.tree.Load()
	if c == nil || t == nil {
		return api.Looked{}, errors.New("there is no cache: write cache: in the configuration")
	}
	var x exchange.Exchange
	head := []byte(in.Head)
	if n, wrong := http1.ParseRequest(head, &x.Req, &t.limits); wrong != nil {
		return api.Looked{}, fmt.Errorf("the request would be refused: %s", wrong.Reason)
	} else if n != len(head) {
		return api.Looked{}, errors.New("the head does not end where it should")
	}
	client, err := netip.ParseAddr(in.Client)
	if err != nil {
		return api.Looked{}, fmt.Errorf("client: %w", err)
	}
	x.Client, x.Scheme, x.Trusted = client, in.Scheme, t.trusts(client)
	_, r := t.find(&x)
	switch {
	case r == nil:
		return api.Looked{}, errors.New("no route of the configuration in force takes it")
	case r.cache == nil:
		return api.Looked{}, fmt.Errorf("route %s has no cache", r.name)
	}
	return c.look(r.cache, &x), nil
}

// look finds what is kept for a request of a route.
func (c *caching) look(rc *routeCache, x *exchange.Exchange) (out api.Looked) {
	var k cache.KeyedRequest
	rc.keyer.Key(x, &k)
	switch {
	case k.Pass != cache.NoPass:
		out.Passes = k.Pass.String()
		return out
	case rc.passes(x):
		out.Passes = noteConfigured
		return out
	case cache.ParseRequest(&x.Req.Fields).NoStore:
		out.Passes = noteNoStore
		return out
	}
	out.Key = string(rc.keyer.AppendKeyText(nil, &k))
	primary := store.Key(k.Key)
	ref, ok := c.store.Peek(primary)
	if !ok {
		return out
	}
	if v := cache.NewView(ref.Head()); v.Kind() == cache.Variants {
		lists := ref
		defer lists.Release()
		ok = false
		var scratch []byte
		for list := range v.Lists {
			out.Variants = append(out.Variants, string(list))
			var key cache.Key
			if key, scratch = rc.keyer.Variant(k.Key, v.Epoch(), list, &x.Req.Fields, scratch); !ok {
				if ref, ok = c.store.Peek(store.Key(key)); ok {
					out.Vary = string(list)
				}
			}
		}
		if !ok {
			return out
		}
	}
	defer ref.Release()
	c.describe(&primary, ref, &out)
	return out
}

// describe tells of an object that was found for requests with a key.
func (c *caching) describe(primary *store.Key, ref store.Ref, out *api.Looked) {
	v := cache.NewView(ref.Head())
	verdict, _, _ := c.purged(primary, v, max(ref.Checked(), v.Born()), nil)
	if verdict == ban.Hard {
		return
	}
	life, now := v.Life(), time.Now()
	switch v.Kind() {
	case cache.Response:
		out.Found = "response"
	case cache.Hole:
		if out.TTL = life.TTL - life.Now(now); out.TTL > 0 {
			out.Found = "hole"
		}
		return
	default:
		return
	}
	out.Status, out.Size, out.Hits, out.Soft = v.Status(), ref.Size(), ref.Hits(), verdict == ban.Soft
	out.Age = life.Now(now)
	out.TTL = life.TTL - out.Age
	out.Grace = max(life.WhileRevalidate, life.IfError)
}
