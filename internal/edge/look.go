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
	"github.com/weirhq/weir/internal/edge/stock"
	"github.com/weirhq/weir/internal/exchange"
	"github.com/weirhq/weir/internal/http1"
)

// Look tells what the cache has for a request that nobody sends. It changes and counts nothing. It is for people: what it
// finds may have gone when they read it.
func (e *Edge) Look(in api.Look) (api.Looked, error) {
	c, t := e.cache(), e.tree.Load()
	if c == nil || t == nil {
		return api.Looked{}, errNoCache
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
	o, ok := c.seekVariant(rc.keyer, k.Key, x, &out)
	if !ok {
		o, ok = c.seekAlike(rc.keyer, &k, x, &out)
	}
	if !ok {
		part, _ := rc.keyer.Part(k.Key, nil)
		o, ok = c.Look(store.Key(part))
	}
	if ok {
		c.describe((*store.Key)(&k.Key), &o, &out)
	}
	return out
}

// seekVariant looks for what is under a key, or for the variant that the request selects.
func (c *caching) seekVariant(keyer *cache.Keyer, under cache.Key, x *exchange.Exchange, out *api.Looked) (o stock.Sight, ok bool) {
	if o, ok = c.Look(store.Key(under)); !ok {
		return o, false
	}
	v := cache.NewView(o.Head)
	if v.Kind() != cache.Variants {
		return o, true
	}
	ok = false
	var scratch []byte
	for list := range v.Lists {
		out.Variants = append(out.Variants, string(list))
		var key cache.Key
		if key, scratch = keyer.Variant(under, v.Epoch(), list, &x.Req.Fields, scratch); !ok {
			if o, ok = c.Look(store.Key(key)); ok {
				out.Vary = string(list)
			}
		}
	}
	return o, ok
}

// seekAlike looks for what is kept for requests that No-Vary-Search makes one with this.
func (c *caching) seekAlike(keyer *cache.Keyer, k *cache.KeyedRequest, x *exchange.Exchange, out *api.Looked) (o stock.Sight, ok bool) {
	m, ok := c.Look(store.Key(keyer.NoVaryMarkerKey(k)))
	if !ok {
		return o, false
	}
	marker, ok := cache.ReadNoVaryMarker(m.Head)
	if !ok {
		return o, false
	}
	for spec := marker.Next(); spec != nil; spec = marker.Next() {
		if key, fits := keyer.NoVaryKey(k, spec, marker.Epoch); fits {
			if o, ok := c.seekVariant(keyer, key, x, out); ok {
				return o, true
			}
		}
	}
	return o, false
}

// describe tells of an object that was found for requests with a key.
func (c *caching) describe(primary *store.Key, o *stock.Sight, out *api.Looked) {
	v := cache.NewView(o.Head)
	verdict, _, _ := c.Purged(primary, v, max(o.Checked, v.Born()), nil)
	if verdict == ban.Hard {
		out.Found = "purged"
		return
	}
	life, now := v.Life(), time.Now()
	switch v.Kind() {
	case cache.Response:
		out.Found = "response"
	case cache.Part:
		out.Found = "part"
	case cache.Hole:
		if out.TTL = life.TTL - life.Now(now); out.TTL > 0 {
			out.Found, out.Why = "hole", v.Why().String()
		}
		return
	default:
		return
	}
	out.Status, out.Size, out.Hits, out.Soft, out.Disk = v.Status(), o.Size, o.Hits, verdict == ban.Soft, o.Disk
	out.Age = life.Now(now)
	out.TTL = life.TTL - out.Age
	out.Grace = max(life.WhileRevalidate, life.IfError)
}
