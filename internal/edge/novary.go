package edge

import (
	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/cache/store"
	"github.com/weirhq/weir/internal/message"
)

// What responses say with No-Vary-Search is found under keys of its own: see cache.NoVary.

// findAlike looks for what is kept for requests that differ from this one only in what its path's responses said does not
// matter. When there is nothing, requests that are alike wait for one fetch.
func (h *handler) findAlike() bool {
	k, c, keyer := &h.kept, h.l.edge.caching, h.route.cache.keyer
	if !c.Alike.Load() {
		return false // no response has ever said so
	}
	ref, ok := c.Memory.Get(store.Key(keyer.NoVaryMarkerKey(&k.keyed)))
	if !ok {
		return false
	}
	defer ref.Release()
	marker, ok := cache.ReadNoVaryMarker(ref.Head())
	if !ok {
		return false
	}
	first := k.key
	for spec := marker.Next(); spec != nil; spec = marker.Next() {
		key, ok := keyer.NoVaryKey(&k.keyed, spec, marker.Epoch)
		if !ok {
			continue
		}
		if h.find(store.Key(key)) {
			return true
		}
		if first == k.primary {
			first = k.key
		}
	}
	k.key = first
	return false
}

// family is the key that a response is kept under before its Vary counts: the request's, or that of all requests that are
// alike by what it says.
func (h *handler) family(resp *message.Response) store.Key {
	k, c, keyer := &h.kept, h.l.edge.caching, h.route.cache.keyer
	spec, ok := cache.ParseNoVary(&resp.Fields)
	if !ok {
		return k.primary
	}
	at := store.Key(keyer.NoVaryMarkerKey(&k.keyed))
	var old cache.NoVaryMarker
	if was, ok := c.Memory.Peek(at); ok {
		defer was.Release()
		old, _ = cache.ReadNoVaryMarker(was.Head())
	}
	marker, changed := cache.AppendNoVaryMarker(nil, old, newEpoch(), spec)
	if changed && !c.Put(at, marker, h.revoked()) {
		return k.primary
	}
	now, _ := cache.ReadNoVaryMarker(marker)
	key, ok := keyer.NoVaryKey(&k.keyed, spec, now.Epoch)
	if !ok {
		return k.primary
	}
	c.Alike.Store(true)
	return store.Key(key)
}

// hasAlike reports whether something of a request's path is kept for several queries.
func (c *caching) hasAlike(keyer *cache.Keyer, keyed *cache.KeyedRequest) bool {
	if !c.Alike.Load() {
		return false
	}
	ref, ok := c.Memory.Peek(store.Key(keyer.NoVaryMarkerKey(keyed)))
	if ok {
		ref.Release()
	}
	return ok
}
