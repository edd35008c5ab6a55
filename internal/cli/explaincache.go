package cli

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/compress"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/edge"
	"github.com/weirhq/weir/internal/exchange"
	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/representation"
	"github.com/weirhq/weir/internal/route"
)

// answer is the response that weir explain is asked about.
type answer struct {
	status  int      // 0: none
	headers []string // "Name: value"
}

// given reports whether there is a response to explain.
func (a *answer) given() bool { return a.status != 0 || len(a.headers) > 0 }

// response is that response as a server would have sent it.
func (a *answer) response() (*message.Response, error) {
	status := a.status
	if status == 0 {
		status = 200
	}
	if status < 100 || status > 599 {
		return nil, fmt.Errorf("status %d is none: write one from 100 to 599", status)
	}
	var fields bytes.Buffer
	for _, h := range a.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok || strings.ContainsAny(h, "\r\n") {
			return nil, fmt.Errorf("response header %q: write it as 'Name: value'", h)
		}
		fmt.Fprintf(&fields, "%s: %s\r\n", name, strings.TrimSpace(value))
	}
	head := fmt.Appendf(nil, "HTTP/1.1 %03d \r\n%s\r\n", status, fields.Bytes())
	var resp message.Response
	n, wrong := http1.ParseResponse(head, message.GET, &resp, &http1.Limits{Line: 8 << 10, Fields: 200, Head: 64 << 10})
	if wrong != nil {
		return nil, fmt.Errorf("the response would be refused: %s", wrong.Reason)
	}
	if n != len(head) {
		return nil, fmt.Errorf("the response header lines hold more than a head: a line may not be empty")
	}
	return &resp, nil
}

// cache says what the cache would do with the request, and with the response if there is one.
func (e *explanation) cache(r *route.Route) error {
	if r.Config.Pool == "" {
		return nil
	}
	if r.Config.Cache == nil {
		why := "there is no cache: in the file"
		if e.cfg.Cache != nil {
			why = "cache: off for this route"
		}
		e.line("cache", "no: %s", why)
		return nil
	}
	policy, keys := edge.CachePolicies(r.Config)
	keyer, err := keys.Compile(cache.Seed{})
	if err != nil {
		return fmt.Errorf("route %s: cache: %w", r.Name, err)
	}
	var k cache.KeyedRequest
	keyer.Key(e.x, &k)
	looked, err := e.lookUp(r, &policy, &k)
	if err != nil {
		return err
	}
	if looked {
		e.key(keyer, &k, &keys)
		e.life(r.Config.Cache)
	}
	e.compression(r.Config.Compress)
	if e.resp != nil {
		e.judge(&policy, r.Config, &k, looked)
	}
	return nil
}

// lookUp says whether the request is looked up.
func (e *explanation) lookUp(r *route.Route, policy *cache.Policy, k *cache.KeyedRequest) (bool, error) {
	if k.Pass != cache.NoPass {
		e.line("cache", "passes (%s): %s", k.Pass, k.Pass.Because())
		e.line("change", "%s", k.Pass.Change())
		return false, nil
	}
	if b := r.Config.Cache.Bypass; b != nil {
		m, err := route.NewMatcher(b)
		if err != nil {
			return false, fmt.Errorf("route %s: cache: bypass: %w", r.Name, err)
		}
		if m.Holds(e.x) {
			e.line("cache", "passes (configured): the route's bypass holds")
			e.line("change", "bypass in the route's cache:")
			return false, nil
		}
	}
	want := cache.ParseRequest(&e.x.Req.Fields)
	if want.NoStore {
		e.line("cache", "passes (request-no-store): %s", cache.RequestNoStore.Because())
		e.line("change", "%s", cache.RequestNoStore.Change())
		return false, nil
	}
	e.line("cache", "looked up")
	fresh := want.NoCache || want.MaxAge >= 0 || want.MinFresh >= 0 || want.MaxStale >= 0
	switch {
	case fresh && policy.Reload:
		e.line("", "what it says of freshness is heeded (RFC 9111, section 5.2.1; reload: ignore would not)")
	case fresh:
		e.line("", "what it says of freshness is ignored (reload: ignore)")
	}
	if want.OnlyIfCached {
		e.line("", "what is not there is answered with 504: only-if-cached (RFC 9111, section 5.2.1.7)")
	}
	if e.x.Req.Method == message.HEAD {
		e.line("", "what is not there is not brought in by a HEAD (head)")
	}
	if e.x.Req.Fields.Has(message.Authorization) {
		e.line("", "with Authorization only what says public, s-maxage or must-revalidate is kept (RFC 9111, section 3.5)")
	}
	switch {
	case wantsPart(e.x):
		e.line("", "the range comes out of the whole, or of a part that is there; if neither is, that part is fetched and kept (RFC 9111, section 3.3)")
	case e.x.Req.Fields.Has(message.Range):
		e.line("", "the range begins with the first byte: if the whole is not there, it is fetched")
	}
	return true, nil
}

// key says what the request is known by, and what of it does not get to the app.
func (e *explanation) key(keyer *cache.Keyer, k *cache.KeyedRequest, p *cache.KeyPolicy) {
	e.line("key", "%s", keyer.AppendKeyText(nil, k))
	q := &e.x.Req
	if query, _ := k.Query(); q.HasQuery && !bytes.Equal(query, q.Query) {
		e.line("", "query %q counts as %q, and that is what the app gets", q.Query, query)
	}
	if k.Hides {
		if left := keyer.AppendCookies(nil, &q.Fields); !q.Fields.Has(message.Cookie) {
			e.line("", "the app does not get what an untrusted peer says of the way to it")
		} else if len(left) == 0 {
			e.line("", "the app gets no Cookie field: all of them are ignored")
		} else {
			e.line("", "the app gets fewer cookies: %s", names(left))
		}
	}
	if k.Private {
		e.line("", "the key holds a cookie of private: what is kept is this visitor's own")
	}
	vary := "as Vary of the responses says"
	if len(p.HeaderParts)+len(p.CookieParts)+len(p.Devices) > 0 {
		vary = "by the parts of the key, and as Vary of the responses says"
	}
	e.line("vary", "variants are kept apart %s (RFC 9111, section 4.1)", vary)
	if k.Cookies {
		e.line("", "the app gets cookies that are no part of the key: what it answers is kept only if it says for how long itself")
	}
}

// names lists the names of cookies: their values may be secrets.
func names(cookies []byte) string {
	var out []string
	for pair := range strings.SplitSeq(string(cookies), ";") {
		name, _, _ := strings.Cut(strings.TrimSpace(pair), "=")
		out = append(out, name)
	}
	return strings.Join(out, ", ")
}

// life says for how long responses are kept.
func (e *explanation) life(p *config.CachePolicy) {
	e.line("life", "what the app says: s-maxage, max-age, Expires (RFC 9111, section 4.2.1)")
	for i, t := range p.TTL {
		e.line("", "rule %d: %s %s", i+1, ruleText(t), t.TTL)
	}
	switch {
	case p.DefaultTTL > 0:
		e.line("", "if it says nothing, %s (default_ttl)", p.DefaultTTL)
	case p.Heuristic:
		e.line("", "if it says nothing, a tenth of the time since Last-Modified (heuristic)")
	default:
		e.line("", "if it says nothing, it is not kept")
	}
	if p.Grace > 0 {
		e.line("grace", "%s beyond its life: served while a new one is fetched, and while the pool is down", p.Grace)
	} else {
		e.line("grace", "none but what the app allows (stale-while-revalidate, stale-if-error: RFC 5861)")
	}
	if p.IfError > p.Grace {
		e.line("", "%s while the pool is down or answers with errors (grace_on_error)", p.IfError)
	}
	if p.HitForMiss > 0 {
		e.line("", "what cannot be kept is known for %s, and nobody waits for it (hit_for_miss)", p.HitForMiss)
	}
}

func ruleText(t config.TTLRule) string {
	var out []string
	for _, s := range t.Status {
		if s.From == s.To {
			out = append(out, fmt.Sprint(s.From))
		} else {
			out = append(out, fmt.Sprintf("%d to %d", s.From, s.To))
		}
	}
	what := strings.Join(out, ", ")
	if what == "" {
		what = "what may be kept by default"
	}
	if len(t.Types) > 0 {
		what += " of " + strings.Join(t.Types, ", ")
	}
	if t.Force {
		return what + ", whatever the app says:"
	}
	return what + ", when the app says nothing:"
}

// compression says in which coding responses go out.
func (e *explanation) compression(c *config.Compress) {
	p, err := edge.Compression(c)
	if err != nil || p == nil || len(p.Order()) == 0 {
		return
	}
	var order []string
	for _, coding := range p.Order() {
		order = append(order, coding.String())
	}
	e.line("compress", "%s, from %s on; this client gets %s", strings.Join(order, ", "), size(p.Minimum()), choice(e.x, p))
}

// choice is the coding that the client likes best.
func choice(x *exchange.Exchange, p *compress.Policy) string {
	coding, _ := representation.Accepted(&x.Req.Fields).Choose(p.Order())
	if coding == representation.Identity {
		return "responses plain, by its Accept-Encoding"
	}
	return coding.String()
}

// judge says what would become of the response.
func (e *explanation) judge(policy *cache.Policy, c *config.Route, k *cache.KeyedRequest, looked bool) {
	f := &e.x.Req.Fields
	e.line("response", "%d", e.resp.Status)
	if !looked {
		e.line("stored", "no: the request passes")
		return
	}
	now := time.Now()
	asked := cache.Asked{Method: message.GET, NoStore: cache.ParseRequest(f).NoStore, Authorized: f.Has(message.Authorization), Private: k.Private, Cookies: k.Cookies}
	if e.resp.Status == 206 && wantsPart(e.x) && isPart(e.resp, now) {
		e.line("", "a part: it is kept by the rules of the whole, and joined with what it touches (RFC 9111, section 3.4)")
		e.resp.Status = 200
		e.resp.Fields.Del(message.ContentRange)
	}
	life, why := policy.Judge(asked, e.resp, now, now)
	if why == cache.Kept && e.tooLarge() {
		why = cache.TooLarge
	}
	if why != cache.Kept {
		e.notStored(policy, why)
		return
	}
	if e.x.Req.Method == message.HEAD {
		e.line("", "(as the answer to a GET: those to HEAD are not stored)")
	}
	source := policy.Source(asked, e.resp, now)
	text := source.Text
	if source.Rule >= 0 {
		text = fmt.Sprintf("rule %d: %s", source.Rule+1, text)
	}
	e.line("stored", "yes, for %s: %s", seconds(life.TTL), text)
	e.afterwards(life)
	if names := cache.VaryNames(&e.resp.Fields); names != nil {
		e.line("", "a variant by %s", listOf(string(names)))
		e.manyVariants(names)
	}
	if p, err := edge.Compression(c.Compress); err == nil && p != nil {
		verdict, coding := p.Decide(e.resp.Status, &e.resp.Fields, -1, representation.Accepted(f))
		switch {
		case coding != representation.Identity:
			e.line("", "sent as %s, which is kept beside the plain one", coding)
		case !verdict.Varies():
			e.line("", "sent as it came (compression: %s)", verdict)
		}
	}
}

// tooLarge reports whether the response says that it has more than the cache takes.
func (e *explanation) tooLarge() bool {
	c := e.cfg.Cache
	return c != nil && e.resp.Body == message.ByLength && e.resp.Length > c.MaxObject
}

// notStored says why a response would not be kept, and what to change.
func (e *explanation) notStored(policy *cache.Policy, why cache.Reason) {
	e.line("stored", "no (%s): %s", why, why.Because())
	if hint := policy.Hint(e.resp); hint != "" && why == cache.NoLife {
		e.line("", "%s", hint)
	}
	if why == cache.TooLarge && e.tooLarge() {
		e.line("", "it has %s, and max_object is %s", bytesOf(e.resp.Length), bytesOf(e.cfg.Cache.MaxObject))
	}
	e.line("change", "%s", why.Change())
}

// manyVariants warns of fields that differ from visitor to visitor.
func (e *explanation) manyVariants(vary []byte) {
	for name := range strings.SplitSeq(strings.Trim(string(vary), ","), ",") {
		switch strings.ToLower(name) {
		case "cookie":
			e.line("", "each set of cookies that reaches the app has its own: ignore_cookies takes away what changes nothing")
		case "accept-encoding":
			e.line("", "each value of Accept-Encoding has its own: let the app send it plain and weir compress it (compress:), and there is one")
		case "user-agent":
			e.line("", "each browser's version has its own: key: {device: […]} makes a few classes, if the app goes by X-Device instead")
		}
	}
}

// wantsPart reports whether a request is for less than all from the first byte on.
func wantsPart(x *exchange.Exchange) bool {
	v := x.Req.Fields.Get(message.Range)
	return v != nil && !message.EqualFold(v, "bytes=0-")
}

// isPart reports whether a 206 may be kept as a part: one range of a known whole, with a strong validator.
func isPart(resp *message.Response, now time.Time) bool {
	f := &resp.Fields
	v := representation.Validators{ETag: f.Get(message.ETag), Modified: representation.NoTime, Date: now.Unix()}
	if t, ok := representation.ParseDate(f.Get(message.LastModified), now.Unix()); ok {
		v.Modified = t
	}
	_, size, ok := representation.ParseContentRange(f.Get(message.ContentRange))
	return ok && size >= 0 && representation.SameStrong(&v, &v)
}

// afterwards says how old a response is when it comes, and what becomes of it when it is over.
func (e *explanation) afterwards(l cache.Life) {
	if l.Age > 0 {
		e.line("", "it is %s old when it comes (Age, Date: RFC 9111, section 4.2.3), so %s are left", seconds(l.Age), seconds(max(l.TTL-l.Age, 0)))
	}
	switch {
	case l.Flags&cache.MustValidate != 0:
		e.line("", "the app is asked before each use: no-cache (RFC 9111, section 5.2.2.4)")
	case l.Flags&cache.NoStale != 0:
		e.line("", "never served stale: must-revalidate or proxy-revalidate (RFC 9111, section 5.2.2.2)")
	default:
		if l.Flags&cache.NoMaxStale != 0 {
			e.line("", "a request's max-stale does not count: s-maxage (RFC 9111, section 5.2.2.10)")
		}
		if l.WhileRevalidate > 0 {
			e.line("", "then for %s served while a new one is fetched", seconds(l.WhileRevalidate))
		}
		if l.IfError > 0 {
			e.line("", "then for %s served when the app fails (RFC 5861, section 4)", seconds(l.IfError))
		}
	}
	if l.Flags&cache.Immutable != 0 {
		e.line("", "a reload does not ask the app: immutable (RFC 8246)")
	}
}

func seconds(n int64) string { return (time.Duration(n) * time.Second).String() }
