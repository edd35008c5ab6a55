package cache

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/exchange"
	"github.com/weirhq/weir/internal/message"
)

var keySeed = Seed{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// keyed makes a request of a URL and field lines. "trusted" as a line makes the peer a trusted proxy, a method as the
// first word of the URL another method.
func keyed(url string, lines ...string) *exchange.Exchange {
	x := &exchange.Exchange{Scheme: "http"}
	q := &x.Req
	q.Method, q.MethodText = message.GET, []byte("GET")
	if m, rest, ok := strings.Cut(url, " "); ok && !strings.Contains(m, "://") {
		q.Method, q.MethodText, url = message.MethodOther, []byte(m), rest
		switch m {
		case "HEAD":
			q.Method = message.HEAD
		case "POST":
			q.Method = message.POST
		}
	}
	rest, secure := strings.CutPrefix(url, "https://")
	if secure {
		x.Scheme = "https"
	}
	rest = strings.TrimPrefix(rest, "http://")
	i := strings.IndexByte(rest, '/')
	host, port, _ := strings.Cut(rest[:i], ":")
	path, query, has := strings.Cut(rest[i:], "?")
	q.Host, q.Port, q.Path, q.Query, q.HasQuery = []byte(host), []byte(port), []byte(path), []byte(query), has
	for _, l := range lines {
		if l == "trusted" {
			x.Trusted = true
			continue
		}
		name, value, _ := strings.Cut(l, ": ")
		q.Fields.Add(message.Lookup(name), []byte(name), []byte(value))
	}
	return x
}

func compile(t testing.TB, p KeyPolicy) *Keyer {
	t.Helper()
	k, err := p.Compile(keySeed)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func keyOf(t testing.TB, k *Keyer, x *exchange.Exchange) KeyedRequest {
	t.Helper()
	var r KeyedRequest
	k.Key(x, &r)
	return r
}

// The vectors are OpenSSL's ("openssl mac -macopt size:16 SIPHASH") and, for the 15 bytes, also those of the paper's code.
func TestHashVectors(t *testing.T) {
	for in, want := range map[string]string{
		"":                               "a3817f04ba25a8e66df67214c7550293",
		"00":                             "da87c1d86b99af44347659119b22fc45",
		"0001":                           "8177228da4a45dc7fca38bdef60affe4",
		"00010203040506":                 "a1f1ebbed8dbc153c0b84aa61ff08239",
		"0001020304050607":               "3b62a9ba6258f5610f83e264f31497b4",
		"000102030405060708090a0b0c0d0e": "5493e99933b0a8117e08ec0f97cfc3d9",
	} {
		b, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := keySeed.hash(b).String(); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
	if other := (&Seed{1}).hash(nil); other == keySeed.hash(nil) {
		t.Error("the seed does not matter")
	}
}

// Requests of one group are one to the cache; those of different groups are not.
func TestKeyGroups(t *testing.T) {
	type groups [][]*exchange.Exchange
	one := func(x ...*exchange.Exchange) []*exchange.Exchange { return x }
	for name, c := range map[string]struct {
		policy KeyPolicy
		groups groups
	}{
		"the URL as it is": {KeyPolicy{}, groups{
			one(keyed("http://a/"), keyed("HEAD http://a/"), keyed("http://a:80/"), keyed("http://a/", "User-Agent: x", "Accept: y", "Cookie: z=1")),
			one(keyed("https://a/"), keyed("https://a:443/")),
			one(keyed("http://a:443/")), one(keyed("https://a:80/")), one(keyed("http://a:8080/")), one(keyed("http://b/")),
			one(keyed("http://a/?")), one(keyed("http://a/?x")), one(keyed("http://a/?x=")), one(keyed("http://a/?x=1&y=2")), one(keyed("http://a/?y=2&x=1")),
			one(keyed("http://a/x")), one(keyed("http://a/X")), one(keyed("http://a/x/")), one(keyed("http://ax/")), one(keyed("http://a/-")), one(keyed("http://a/%3F")),
		}},
		"any scheme": {KeyPolicy{AnyScheme: true}, groups{one(keyed("http://a/"), keyed("https://a/"), keyed("https://a:443/")), one(keyed("https://a:80/"))}},
		"ignored": {KeyPolicy{IgnoreQuery: []string{"utm_*", "gclid"}}, groups{
			one(keyed("http://a/?x=1"), keyed("http://a/?x=1&utm_source=a"), keyed("http://a/?utm_=&x=1&&gclid"), keyed("http://a/?&x=1&"), keyed("http://a/?%75tm_x=2&x=1"), keyed("http://a/?x=1&utm%5fsource")),
			one(keyed("http://a/"), keyed("http://a/?"), keyed("http://a/?&&"), keyed("http://a/?gclid=1"), keyed("http://a/?utm_a;x=1")),
			one(keyed("http://a/?x=2")), one(keyed("http://a/?gclid2=1")), one(keyed("http://a/?GCLID=1")), one(keyed("http://a/?x=1&y")), one(keyed("http://a/?=1")),
		}},
		"kept": {KeyPolicy{KeepQuery: []string{"page", "q*"}, IgnoreQuery: []string{"q_no"}}, groups{
			one(keyed("http://a/"), keyed("http://a/?x=1"), keyed("http://a/?q_no=1")), one(keyed("http://a/?page=2"), keyed("http://a/?x=1&page=2&z")),
			one(keyed("http://a/?page=2&q=a"), keyed("http://a/?page=2&y&q=a")), one(keyed("http://a/?q=a&page=2")),
		}},
		"sorted": {KeyPolicy{SortQuery: true}, groups{
			one(keyed("http://a/?a=1&b=2&c=3"), keyed("http://a/?c=3&b=2&a=1"), keyed("http://a/?b=2&&a=1&c=3&")),
			one(keyed("http://a/?a=1&a=2&b"), keyed("http://a/?b&a=1&a=2"), keyed("http://a/?a=1&b&a=2")), one(keyed("http://a/?a=2&a=1&b")),
			one(keyed("http://a/?%61=1&a=2")), one(keyed("http://a/?a=2&%61=1")), one(keyed("http://a/?ab&a"), keyed("http://a/?a&ab")),
		}},
		"headers": {KeyPolicy{HeaderParts: []string{"Accept-Language", "X-Country", "Origin"}}, groups{
			one(keyed("http://a/", "Accept-Language: de"), keyed("http://a/", "accept-language: de", "X-Other: 1")), one(keyed("http://a/", "Accept-Language: en")),
			one(keyed("http://a/")), one(keyed("http://a/", "Accept-Language: ")), one(keyed("http://a/", "X-Country: de")), one(keyed("http://a/", "Origin: de")),
			one(keyed("http://a/", "X-Country: d", "X-Country: e")), one(keyed("http://a/", "X-Country: e", "X-Country: d")),
			one(keyed("http://a/", "X-Country: d", "Origin: e"), keyed("http://a/", "Origin: e", "x-country: d")),
		}},
		"cookies": {KeyPolicy{CookieParts: []string{"lang", "theme"}, PrivateBy: []string{"sid"}}, groups{
			one(keyed("http://a/"), keyed("http://a/", "Cookie: x=1"), keyed("http://a/", "Cookie: xlang=1; Lang=2")),
			one(keyed("http://a/", "Cookie: lang=de"), keyed("http://a/", "Cookie: x=1; lang=de"), keyed("http://a/", "Cookie: x=1", "Cookie: \tlang=de;")),
			one(keyed("http://a/", "Cookie: lang=en")), one(keyed("http://a/", "Cookie: lang")), one(keyed("http://a/", "Cookie: lang=")),
			one(keyed("http://a/", "Cookie: lang=de; theme=x"), keyed("http://a/", "Cookie: theme=x; lang=de")), one(keyed("http://a/", "Cookie: theme=de; lang=x")),
			one(keyed("http://a/", "Cookie: lang=de; lang=en")), one(keyed("http://a/", "Cookie: lang=en; lang=de")),
			one(keyed("http://a/", "Cookie: sid=1")), one(keyed("http://a/", "Cookie: sid=2")), one(keyed("http://a/", "Cookie: sid=1; lang=de")), one(keyed("http://a/", `Cookie: sid="1"`)),
		}},
		"devices": {KeyPolicy{Devices: []Device{{"tablet", []string{"iPad", "tablet"}}, {"phone", []string{"Mobile"}}}}, groups{
			one(keyed("http://a/"), keyed("http://a/", "User-Agent: Mozilla"), keyed("http://a/", "User-Agent: Mobil")),
			one(keyed("http://a/", "User-Agent: x mobile y"), keyed("http://a/", "User-Agent: MOBILE")),
			one(keyed("http://a/", "User-Agent: x mobile ipad"), keyed("http://a/", "User-Agent: TABLET")),
		}},
		"a trusted proxy's words": {KeyPolicy{}, groups{
			one(keyed("http://a/", "trusted"), keyed("http://a/", "X-Forwarded-Host: evil"), keyed("http://a/", "Forwarded: host=evil"), keyed("http://a/", "trusted", "Forwarded: for=1.2.3.4;by=x"), keyed("http://a/", "trusted", "X-Forwarded-For: 1.2.3.4")),
			one(keyed("http://a/", "trusted", "X-Forwarded-Host: b")), one(keyed("http://a/", "trusted", "X-Forwarded-Host: c")), one(keyed("http://a/", "trusted", "X-Forwarded-Port: b")), one(keyed("http://a/", "trusted", "X-Forwarded-Prefix: b")),
			one(keyed("http://a/", "trusted", "Forwarded: for=1.2.3.4;host=b"), keyed("http://a/", "trusted", `Forwarded: for="[1;host=c]:1" ; host=b`)),
			one(keyed("http://a/", "trusted", "Forwarded: host=b, host=c")), one(keyed("http://a/", "trusted", "Forwarded: proto=b")),
		}},
	} {
		k := compile(t, c.policy)
		seen := map[Key]string{}
		for g, group := range c.groups {
			var first KeyedRequest
			for i, x := range group {
				r := keyOf(t, k, x)
				if r.Pass != NoPass {
					t.Fatalf("%s: group %d, request %d passes: %v", name, g, i, r.Pass)
				}
				text := string(k.AppendKeyText(nil, &r))
				if i == 0 {
					first = r
					if before, dup := seen[r.Key]; dup {
						t.Errorf("%s: %s has the key of %s", name, text, before)
					}
					seen[r.Key] = text
				}
				if r.Key != first.Key {
					t.Errorf("%s: group %d, request %d: %s has another key than %s", name, g, i, text, k.AppendKeyText(nil, &first))
				}
			}
		}
	}
	a, b := compile(t, KeyPolicy{Scope: "beta"}), compile(t, KeyPolicy{})
	if keyOf(t, a, keyed("http://a/")).Key == keyOf(t, b, keyed("http://a/")).Key {
		t.Error("routes that answer differently share objects")
	}
}

// What the app gets when the cache fetches is what the key was made of.
func TestWhatTheAppGets(t *testing.T) {
	k := compile(t, KeyPolicy{IgnoreQuery: []string{"utm_*"}, SortQuery: true, IgnoreCookies: []string{"_ga*", "s*"}, CookieParts: []string{"sort"}, PrivateBy: []string{"sid"}})
	for _, c := range []struct{ url, cookie, query, cookies string }{
		{"http://a/", "", "-", ""},
		{"http://a/?", "", "-", ""},
		{"http://a/?utm_a=1", "_ga=1", "-", ""},
		{"http://a/?b&a&utm_b=2", "_ga=1; x=2; _gat=3", "?a&b", "x=2"},
		{"http://a/?a=1;utm_x=2&utm_content=1;callback=evil", "sort=up; some=1; sid=2;;=; q", "?a=1;utm_x=2", "sort=up; sid=2; =; q"},
		{"http://a/?" + strings.Repeat("b&", 70) + "a", "", "?" + strings.Repeat("b&", 70) + "a", ""},
	} {
		x := keyed(c.url)
		if c.cookie != "" {
			x = keyed(c.url, "Cookie: "+c.cookie)
		}
		r := keyOf(t, k, x)
		query, has := r.Query()
		got := "-"
		if has {
			got = "?" + string(query)
		}
		if target := string(r.AppendTarget(nil, x)); target != "/"+strings.TrimPrefix(got, "-") {
			t.Errorf("%s: the target is %q", c.url, target)
		}
		if got != c.query || !has && len(query) > 0 {
			t.Errorf("%s: the app gets %q", c.url, got)
		}
		if got := string(k.AppendCookies(nil, &x.Req.Fields)); got != c.cookies || r.Hides != (got != c.cookie && !strings.Contains(c.cookie, ";;") || strings.Contains(c.cookie, "some")) {
			t.Errorf("%q: the app gets %q, hides %v", c.cookie, got, r.Hides)
		}
	}
}

func TestCookieVerdicts(t *testing.T) {
	k := compile(t, KeyPolicy{PassIfCookie: []string{"sessionid", "wp_*"}, IgnoreCookies: []string{"*"}, PrivateBy: []string{"mine"}})
	open := compile(t, KeyPolicy{IgnoreCookies: []string{"_ga"}})
	for _, c := range []struct {
		k                       *Keyer
		cookie                  string
		pass                    Pass
		private, cookies, hides bool
	}{
		{k, "a=1", NoPass, false, false, true}, {k, "mine=1", NoPass, true, false, false}, {k, "a=1; mine=", NoPass, false, false, true}, {k, `mine=""`, NoPass, false, false, false}, {k, "mine", NoPass, false, false, false}, {k, "mine=; mine=1", NoPass, true, false, false},
		{k, "sessionid=1", PassCookie, false, false, false}, {k, "a=1;sessionid=1", PassCookie, false, false, true}, {k, "sessionid", PassCookie, false, false, false}, {k, " sessionid =1", PassCookie, false, false, false},
		{k, "wp_x=1", PassCookie, false, false, false}, {k, "sessionid2=1", NoPass, false, false, true}, {k, `a="x; sessionid=1"`, PassCookie, false, false, true},
		{open, "_ga=1", NoPass, false, false, true}, {open, "_gb=1", NoPass, false, true, false}, {open, "", NoPass, false, false, false}, {compile(t, KeyPolicy{}), "a=1", NoPass, false, true, false}, {open, "_ga=1; b", NoPass, false, true, true},
	} {
		r := keyOf(t, c.k, keyed("http://a/", "Cookie: "+c.cookie))
		if r.Pass != c.pass || r.Private != c.private || r.Cookies != c.cookies || r.Hides != c.hides {
			t.Errorf("%q: %v private %v cookies %v hides %v", c.cookie, r.Pass, r.Private, r.Cookies, r.Hides)
		}
	}
	if r := keyOf(t, k, keyed("http://a/", "Cookie: a=1", "Cookie: sessionid=2")); r.Pass != PassCookie {
		t.Error("the second Cookie line is not read")
	}
}

func TestRenews(t *testing.T) {
	k := compile(t, KeyPolicy{PrivateBy: []string{"sid"}})
	for _, c := range []struct {
		cookie, set string
		want        bool
	}{
		{"sid=1", "", false}, {"sid=1", "sid=1; Path=/", false}, {"sid=1", `sid="1"; Path=/`, false}, {"sid=1", "sid=2", true}, {"sid=1", " sid = 2;x", true},
		{"sid=1", "sid=; Max-Age=0", true}, {"sid=1", "other=2; sid=3", false}, {"sid=1; sid=2", "sid=2", false}, {"", "sid=2", true}, {"sid=1", "SID=2", false},
	} {
		x := keyed("http://a/", "Cookie: "+c.cookie)
		if got := k.Renews(&x.Req.Fields, &respond(200, "Set-Cookie: "+c.set).Fields); got != c.want {
			t.Errorf("%q, then %q: %v", c.cookie, c.set, got)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	for want, p := range map[string]KeyPolicy{
		"empty name":            {IgnoreQuery: []string{"a", ""}},
		"stands twice":          {PrivateBy: []string{"a", "a"}},
		"choose one":            {PrivateBy: []string{"sid"}, PassIfCookie: []string{"s*"}},
		"named twice":           {PrivateBy: []string{"sid"}, CookieParts: []string{"sid"}},
		"name single cookies":   {HeaderParts: []string{"cookie"}},
		"cannot be a part":      {HeaderParts: []string{"Range"}},
		"at most 16":            {HeaderParts: strings.Split(strings.Repeat("x,", 17), ",")},
		"at most 64":            {KeepQuery: make([]string, 65)},
		"needs a name and 1":    {Devices: []Device{{"phone", nil}}},
		"device classes: at mo": {Devices: make([]Device, 17)},
	} {
		if _, err := p.Compile(keySeed); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

func TestKeyText(t *testing.T) {
	k := compile(t, KeyPolicy{Scope: "beta", HeaderParts: []string{"Accept-Language"}, CookieParts: []string{"lang"}, PrivateBy: []string{"sid"},
		IgnoreQuery: []string{"utm"}, Devices: []Device{{"phone", []string{"mobile"}}}, PassIfHeader: []string{"X-No-Cache"}})
	for _, c := range []struct {
		x    *exchange.Exchange
		want string
	}{
		{keyed("https://a:8443/x?utm=1&b=2", "Accept-Language: de", "Cookie: lang=\"d\"; sid=secret", "User-Agent: Mobile"),
			`https://a:8443/x?b=2 scope "beta" header accept-language="de" device phone private sid=#`},
		{keyed("http://a/x?utm=1", "trusted", "X-Forwarded-Host: b", "X-Forwarded-Prefix: /c", "Forwarded: proto=https"), `http://a/x scope "beta" forwarded "b" forwarded x-forwarded-prefix="/c" forwarded "proto=https" device other`},
		{keyed("http://a/", "X-No-Cache: 1"), "passes: header"},
	} {
		r := keyOf(t, k, c.x)
		if got := string(k.AppendKeyText(nil, &r)); !strings.HasPrefix(got, c.want) || strings.Contains(got, "secret") {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	any := compile(t, KeyPolicy{AnyScheme: true})
	r := keyOf(t, any, keyed("https://a/x?"))
	if got := string(any.AppendKeyText(nil, &r)); got != "//a/x?" {
		t.Error(got)
	}
}

// busy is a policy with some of everything, and busyRequest what a browser sends.
func busy(t testing.TB) *Keyer {
	return compile(t, KeyPolicy{IgnoreQuery: []string{"utm_*", "gclid", "fbclid"}, SortQuery: true, PassIfCookie: []string{"sessionid"},
		IgnoreCookies: []string{"_ga*", "utm_*"}, CookieParts: []string{"lang"}, HeaderParts: []string{"Accept-Language"}, Devices: []Device{{"phone", []string{"iphone", "android"}}}})
}

func busyRequest() *exchange.Exchange {
	return keyed("https://www.example.com/photos/2024/album-17/page.html?page=3&utm_source=news&order=up",
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
		"Accept-Language: de,en-US;q=0.7,en;q=0.3", "Accept-Encoding: gzip, deflate, br, zstd", "Referer: https://www.example.com/", "Connection: keep-alive",
		"Cookie: _ga=GA1.2.123456; lang=de; _gat=1", "Upgrade-Insecure-Requests: 1", "Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: same-origin", "Priority: u=0, i")
}

func TestKeyDoesNotAllocate(t *testing.T) {
	k, x := busy(t), busyRequest()
	var r KeyedRequest
	spec := NoVary{0}
	out := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() {
		k.Key(x, &r)
		k.NoVaryMarkerKey(&r)
		k.NoVaryKey(&r, spec, 1)
		out = k.AppendCookies(out[:0], &x.Req.Fields)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzKey(f *testing.F) {
	f.Add("a=1&utm_b=2;c", "_ga=1; lang=x", "x-forwarded-host", "b")
	f.Add("&&%61&a+b=", "sessionid", "Forwarded", `for=";host=x`)
	f.Add("b&a&b", ";;=;", "Connection", "x, Cookie")
	k := busy(f)
	f.Fuzz(func(t *testing.T, query, cookie, name, value string) {
		x := keyed("http://a/", "Cookie: "+cookie, "trusted")
		x.Req.Query, x.Req.HasQuery = []byte(query), true
		x.Req.Fields.Add(message.Lookup(name), []byte(name), []byte(value))
		r := keyOf(t, k, x)
		k.AppendKeyText(nil, &r)
		if r.Pass != NoPass {
			return
		}
		// What the app gets has the same key: nothing that it sees is outside of it.
		canon, has := r.Query()
		y := keyed("http://a/", "trusted")
		y.Req.Query, y.Req.HasQuery = slices.Clone(canon), has
		y.Req.Fields.Add(message.Cookie, []byte("Cookie"), k.AppendCookies(nil, &x.Req.Fields))
		y.Req.Fields.Add(message.Lookup(name), []byte(name), []byte(value))
		if message.Lookup(name) == message.Cookie {
			y.Req.Fields.List = y.Req.Fields.List[:1]
		}
		again := keyOf(t, k, y)
		if again.Pass != NoPass || again.Key != r.Key {
			t.Fatalf("%s\n%s", k.AppendKeyText(nil, &r), k.AppendKeyText(nil, &again))
		}
		if again.Hides {
			t.Fatalf("an ignored cookie got through: %q", k.AppendCookies(nil, &x.Req.Fields))
		}
	})
}

func BenchmarkHash(b *testing.B) {
	for _, n := range []int{16, 60, 100, 200} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			text := make([]byte, n)
			b.ReportAllocs()
			for b.Loop() {
				keySeed.hash(text)
			}
		})
	}
}

func BenchmarkKey(b *testing.B) {
	for name, c := range map[string]struct {
		k *Keyer
		x *exchange.Exchange
	}{
		"60-byte-url": {compile(b, KeyPolicy{}), keyed("http://www.example.com/photos/2024/album-17/page.html?page=3&o=up", "User-Agent: wrk", "Accept: */*")},
		"browser":     {compile(b, KeyPolicy{}), busyRequest()},
		"busy":        {busy(b), busyRequest()},
	} {
		b.Run(name, func(b *testing.B) {
			var r KeyedRequest
			b.ReportAllocs()
			for b.Loop() {
				c.k.Key(c.x, &r)
			}
		})
	}
}
