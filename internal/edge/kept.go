package edge

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/cache/ban"
	"github.com/weirhq/weir/internal/cache/segment"
	"github.com/weirhq/weir/internal/cache/store"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/message"
)

// keeping is what one request has to do with the cache.
type keeping struct {
	keyed   cache.KeyedRequest
	want    cache.RequestDirectives
	primary store.Key     // of host, path, query and what else the policy names
	key     store.Key     // the variant's; primary when there are none
	absent  store.Key     // what was looked for last and was not there
	born    uint64        // the last purge that is known to what is fetched from here on
	ref     store.Ref     // what was found
	large   *segment.Body // its body, when that is on disk
	lost    lost          // whether that turned out to be damaged
	has     bool
	soft    bool // it was purged softly: it is stale, whatever its life
	view    cache.View
	life    cache.Life
	age     int64 // of what is served, in seconds

	sent     time.Time // when the server was asked
	fwd      forwarded // why, for Cache-Status
	why      cache.Reason
	note     string    // a token for Cache-Status; see cachestatus.go
	gone     bool      // what was kept was purged
	hole     bool      // it is known that it could not be kept a moment ago
	unread   loop.Time // since when nobody has read what is fetched; 0: somebody does
	stored   bool      // the response was kept
	asks     bool      // what goes to the server is the cache's question, not the client's own
	ask      []byte    // field lines of that question
	plain    int       // how much of ask is no condition
	own      []byte    // field lines of the response that are for this request's client alone
	query    []byte    // and its query
	hasQuery bool
	led      *fetch // the fetch that this request leads
	noted    *fetch // the one that it makes for itself; see askNoted
	me       follower
	reader   reader // sends to this handler's client what its own task fetches

	part parting

	url  []byte
	tags []uint64
}

// reset makes it ready for another request.
func (k *keeping) reset() {
	k.has, k.soft, k.stored, k.asks, k.led, k.fwd, k.why, k.note, k.gone, k.hole = false, false, false, false, nil, notForwarded, cache.Kept, "", false, false
	k.ask, k.own, k.unread = k.ask[:0], k.own[:0], 0
	k.part.wanted, k.noted = false, nil
}

// release lets go of what was found.
func (k *keeping) release() {
	if k.large != nil {
		k.large.Release()
		k.large = nil
	}
	if k.has {
		k.ref.Release()
		k.has = false
	}
}

// fromCache answers from the cache, by way of a server if need be. False: the request is none of the cache's, or no longer,
// and nothing has been answered.
func (h *handler) fromCache() bool {
	k, rc := &h.kept, h.route.cache
	rc.keyer.Key(&h.x, &k.keyed)
	if k.keyed.Pass != cache.NoPass {
		if k.keyed.Pass == cache.PassMethod {
			return h.pass(forMethod, "")
		}
		return h.pass(forBypass, "")
	}
	if rc.passes(&h.x) {
		return h.pass(forBypass, noteConfigured)
	}
	if h.l.edge.successor.Load() != nil { // who is told of purges is another edge
		return h.pass(forBypass, noteHandedOver)
	}
	k.want = cache.ParseRequest(&h.x.Req.Fields)
	if k.want.NoStore {
		return h.pass(forRequest, noteNoStore)
	}
	k.primary = store.Key(k.keyed.Key)
	for range maxRounds {
		found := h.lookUp()
		switch found {
		case foundFresh:
			h.x.Journal.Cache = journal.Hit
			if h.deliverSound() {
				return true
			}
			continue
		case foundOld:
			h.x.Journal.Cache = journal.Stale
			if k.age < k.life.TTL {
				h.x.Journal.Cache = journal.Hit // fetched anew before it is over
			}
			h.refreshOnce()
			if h.deliverSound() {
				return true
			}
			continue
		}
		if k.want.OnlyIfCached { // RFC 9111, section 5.2.1.7
			k.release()
			k.fwd, k.note = notForwarded, noteOnlyIfCached
			h.fail(504, journal.NoCause, "it is not in the cache (only-if-cached)")
			return true
		}
		if found == foundHole {
			return h.fetchAlone()
		}
		switch {
		case h.x.Req.Method == message.HEAD && k.has:
			h.x.Journal.Cache = journal.Pass
			h.asksFor(false)
			h.askNoted()
			return true
		case h.x.Req.Method != message.GET:
			return h.pass(k.fwd, noteHead)
		case !k.has && h.wantsPart():
			if h.servePart() {
				return true
			}
			k.part.wanted = true
			h.narrow()
			h.pass(k.fwd, noteRange)
			h.askNoted()
			return true
		}
		if done, answered := h.fetchOrFollow(); done {
			return answered
		}
	}
	return h.pass(k.fwd, noteContended)
}

// wantsPart reports whether the request is for less than all from the first byte on: what is not here is then not fetched
// whole for it, since the whole of a film may be more than the cache takes.
func (h *handler) wantsPart() bool {
	v := h.x.Req.Fields.Get(message.Range)
	return v != nil && !message.EqualFold(v, "bytes=0-")
}

// maxRounds is how often a request looks anew after it has waited for another's. It then goes its own way.
const maxRounds = 4

// pass leaves the request to the server alone.
func (h *handler) pass(why forwarded, note string) bool {
	h.kept.release()
	h.kept.fwd, h.kept.note = why, note
	h.x.Journal.Cache = journal.Pass
	return false
}

type found uint8

const (
	foundNone  found = iota // a server must be asked; what is there, if anything, can be validated
	foundFresh              // serve it
	foundOld                // serve it and fetch it anew
	foundHole               // it cannot be kept, as far as is known
)

// lookUp finds what is kept for the request and what may be done with it.
func (h *handler) lookUp() found {
	k, c := &h.kept, h.l.edge.caching
	k.release()
	k.key, k.fwd, k.soft, k.absent = k.primary, forURIMiss, false, store.Key{}
	k.born = c.LastPurge()
	if !h.find(k.primary) && !h.findAlike() {
		return foundNone
	}
	now := h.l.loop.Wall()
	if k.view.Kind() == cache.Hole {
		if k.life = k.view.Life(); k.life.Now(now) < k.life.TTL {
			return foundHole
		}
		k.release()
		return foundNone
	}
	return h.mayUse(now)
}

// mayUse says what may be done with what was found.
func (h *handler) mayUse(now time.Time) found {
	k, rc, c := &h.kept, h.route.cache, h.l.edge.caching
	k.life = k.view.Life()
	var verdict ban.Verdict
	var checked uint64
	since := max(k.ref.Checked(), k.view.Born())
	verdict, checked, k.tags = c.Purged(&k.primary, k.view, since, k.tags)
	switch verdict {
	case ban.Hard:
		c.Drop(k.ref, &k.key)
		k.release()
		k.gone = true
		return foundNone
	case ban.Soft:
		k.soft = true
	case ban.None:
		if checked != since {
			k.ref.SetChecked(checked)
		}
	}
	v, age := rc.policy.Use(&k.life, &k.want, k.soft, now, rand.Uint32())
	k.age = age
	switch v {
	case cache.Fresh:
		return foundFresh
	case cache.Lottery, cache.Stale:
		return foundOld
	}
	k.fwd = forStale
	if age < k.life.TTL && !k.soft {
		k.fwd = forRequest
	}
	return foundNone
}

// find looks a key up, and then those of the variants that the request may select.
func (h *handler) find(primary store.Key) bool {
	k := &h.kept
	k.key = primary
	if k.ref, k.has = h.get(primary); !k.has {
		return false
	}
	k.view = cache.NewView(k.ref.Head())
	if k.view.Kind() != cache.Variants {
		return k.view.Kind() != 0 && (!k.isLarge() || h.openLarge())
	}
	lists := k.ref
	k.has = false
	defer lists.Release()
	k.fwd = forVaryMiss
	first := true
	view := k.view
	for list := range view.Lists {
		var key cache.Key
		key, h.scratch = h.route.cache.keyer.Variant(cache.Key(primary), view.Epoch(), list, &h.x.Req.Fields, h.scratch)
		if first {
			k.key, first = store.Key(key), false
		}
		if k.ref, k.has = h.get(store.Key(key)); k.has {
			k.key, k.view = store.Key(key), cache.NewView(k.ref.Head())
			return !k.isLarge() || h.openLarge()
		}
	}
	if !first {
		k.absent = k.key // the first one, whichever was looked for last
	}
	return false
}

// fetchOrFollow leads a fetch, or waits for the one that is under way. answered is false when the request is to go to the
// server by itself; done is false when it should look again.
func (h *handler) fetchOrFollow() (done, answered bool) {
	k := &h.kept
	f, leads := h.l.edge.caching.fetches.join(k.key, k.primary, h.place(), k.born)
	if leads && h.cameMeanwhile() {
		f.move(kept)
		h.l.edge.caching.fetches.land(f)
		return false, false
	}
	if leads {
		h.x.Journal.Cache = journal.Miss
		h.leads(f)
		defer h.ledOff() // deferred: the followers must be told even if we panic
		h.forward(h.route.pool)
		return true, true
	}
	switch h.await(f) {
	case coming:
		return h.follow(f)
	case unshared:
		return true, h.pass(forMiss, noteNotShared)
	case failed:
		if !h.rescued(f.status) {
			h.fail(f.status, f.cause, f.detail)
		}
		return true, true
	case asked: // the client left, or weir stops
		return true, true
	}
	return false, false // it is kept now, or it broke: look again
}

// cameMeanwhile reports whether another request's fetch, or its reading from the disk, has ended since this one looked: what the
// server would be asked for, or something newer, is there by now.
func (h *handler) cameMeanwhile() bool {
	k := &h.kept
	now, ok := h.l.edge.caching.Memory.Peek(k.key)
	if !ok {
		return false
	}
	defer now.Release()
	if k.has {
		return now != k.ref
	}
	return k.absent == k.key
}

// fetchAlone asks the server for what could not be kept a moment ago. Nobody waits for what comes, but if it may be kept now it
// is: what could not be may have been one client's doing. A client that has conditions of its own wants their answer.
func (h *handler) fetchAlone() (answered bool) {
	k := &h.kept
	tooLarge := k.view.Why() == cache.TooLarge // it would be taken in to no end
	h.pass(forMiss, noteHitForMiss)
	if tooLarge || h.x.Req.Method != message.GET || hasConditions(&h.x.Req.Fields) {
		return false
	}
	k.hole = true
	h.leads(h.l.edge.caching.fetches.begin(k.key, k.primary, h.place(), k.born))
	defer h.ledOff()
	h.forward(h.route.pool)
	return true
}

// askNoted asks the server for what may come to be kept, or to freshen what is: nobody joins, but whoever takes that out must find it.
func (h *handler) askNoted() {
	k := &h.kept
	f := h.l.edge.caching.fetches.begin(k.key, k.primary, h.place(), k.born)
	k.noted = f
	defer func() { // deferred: it must not stay if we panic
		if k.led == f { // it became the whole
			h.ledOff()
			return
		}
		h.l.edge.caching.fetches.land(f)
	}()
	h.forward(h.route.pool)
}

// place is that of the request, as purges name it.
func (h *handler) place() uint64 {
	k := &h.kept
	k.url = k.keyed.AppendTarget(k.url[:0], &h.x)
	return placeOf(h.x.Req.Host, k.url)
}

// await waits until a fetch of another request has something to say. asked: it was given up, which has been noted.
func (h *handler) await(f *fetch) fetchState {
	k := &h.kept
	f.follow(&k.me, h.t)
	defer k.me.unfollow()
	var err error
	if !h.isPart {
		if err = h.conn.Watch(h.t, true); err == nil {
			defer h.conn.Watch(nil, false)
		}
	}
	for err == nil {
		if s := f.now(); s != asked {
			return s
		}
		err = h.t.Park(0)
	}
	if errors.Is(err, loop.ErrHangup) {
		h.x.Journal.Cause = journal.ClientGone
		h.keep = false
	} else {
		h.fail(503, journal.Stopping, "weir is stopping")
	}
	return asked
}

// follow delivers the response to another request's fetch as it comes, if it is one for this request too.
func (h *handler) follow(f *fetch) (done, answered bool) {
	k := &h.kept
	var coming store.Ref
	if !f.open(&coming) {
		return false, false
	}
	defer f.letGo(h.t)
	k.release() // what was found before
	k.ref, k.has, k.view = coming, true, cache.NewView(coming.Head())
	if k.key != f.kept {
		// It turned out to be one variant of several, or for others too: look whether it is what this request selects.
		k.release()
		if h.lookUp() != foundNone || k.key != f.kept || k.has || !f.open(&k.ref) {
			return false, false
		}
		k.has, k.view = true, cache.NewView(k.ref.Head())
	}
	k.life = k.view.Life()
	k.age = k.life.Now(h.l.loop.Wall())
	h.x.Journal.Cache = journal.Shared
	if h.hasIt() {
		h.notModified()
		return true, true
	}
	h.sharedHead(f)
	h.stream(h.t, f, &k.ref, &k.me)
	return true, true
}

// leads makes the request the one that asks the server for all. What goes there is for the whole of what is to be kept, on the
// condition that it is not what is kept already, or for what is not kept of it yet.
func (h *handler) leads(f *fetch) {
	k := &h.kept
	k.led = f
	h.asksFor(true)
}

// asksFor makes the request that goes to the server the cache's own. validates says that it is to be answered with 304 when
// what is kept still holds.
func (h *handler) asksFor(validates bool) {
	k := &h.kept
	k.asks = true
	h.narrow()
	if !k.has && validates {
		h.findBeginning()
	}
	if k.has && validates {
		k.ask = k.view.AppendConditions(k.ask)
	}
}

// narrow sees to it that the server gets nothing of the request that the key ignores, since others will get what it answers.
func (h *handler) narrow() {
	k := &h.kept
	k.sent = h.l.loop.Wall()
	if !h.alone {
		k.query, k.hasQuery = k.keyed.Query()
	}
	k.ask = k.ask[:0]
	if k.keyed.Hides {
		k.ask = append(k.ask, "Cookie: "...)
		from := len(k.ask)
		if k.ask = h.route.cache.keyer.AppendCookies(k.ask, &h.x.Req.Fields); len(k.ask) == from {
			k.ask = k.ask[:from-len("Cookie: ")]
		} else {
			k.ask = append(k.ask, "\r\n"...)
		}
	}
	k.plain = len(k.ask)
}

// keeps reports whether others may get what the server answers.
func (k *keeping) keeps() bool { return k.asks || k.part.wanted }

// ledOff ends what the request led, whatever became of it.
func (h *handler) ledOff() {
	k := &h.kept
	f := k.led
	switch {
	case f.now().over():
	case h.x.Journal.Cause == journal.ClientGone:
		f.move(cutShort) // that is no reason for the others to get nothing: one of them asks
	default:
		f.fails(max(h.x.Journal.Status, 502), h.x.Journal.Cause, h.x.Journal.Detail)
	}
	h.l.edge.caching.fetches.land(f)
}

// refreshOnce has what is kept fetched anew unless that is under way, or failed a moment ago.
func (h *handler) refreshOnce() {
	k := &h.kept
	if h.l.edge.caching.fetches.failed(k.key, h.l.loop.Now()) {
		return
	}
	if f, leads := h.l.edge.caching.fetches.join(k.key, k.primary, h.place(), h.l.edge.caching.LastPurge()); leads {
		if h.cameMeanwhile() {
			f.move(kept)
			h.l.edge.caching.fetches.land(f)
			return
		}
		h.refresh(f)
	}
}

// mayRescue reports whether what is kept may stand in for an error.
func (h *handler) mayRescue() bool {
	k := &h.kept
	return k.has && k.view.Kind() == cache.Response && k.life.OnError(&k.want, h.l.loop.Wall())
}

// rescued answers with what is kept when there is nothing better to be had.
func (h *handler) rescued(status int) bool {
	k := &h.kept
	if h.route == nil || h.route.cache == nil || h.answered || !h.mayRescue() {
		return false
	}
	if k.led != nil {
		k.led.fails(status, h.x.Journal.Cause, h.x.Journal.Detail)
	}
	h.deadline = 0
	k.age = k.life.Now(h.l.loop.Wall())
	k.fwd, k.note = forStale, noteIfError
	h.x.Journal.Cache = journal.Stale
	h.deliverKept()
	return true
}
