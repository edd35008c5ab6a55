package filter

import (
	"bytes"
	"errors"
	"net/netip"
	"regexp/syntax"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/journal"
)

func line() *journal.Line {
	return &journal.Line{
		Client: netip.MustParseAddr("::ffff:10.1.2.3"), Scheme: "https", Method: []byte("GET"), Target: []byte("/a/b%20c/d.css?q=1&r=x"),
		Host: []byte("www.example.com"), UserAgent: []byte("Mozilla/5.0 (compatible; SomeBot/2.1)"), ID: []byte("abc"), Status: 502, Out: 12_345, In: 7,
		Site: "example.com", Route: "static", Pool: "web", Server: "web/1.2", Cause: journal.EmptyResponse, Cache: journal.Miss, Retries: 2,
		Total: 1500 * time.Millisecond, Queue: 20 * time.Millisecond, Connect: time.Millisecond, FirstByte: time.Second,
	}
}

func TestMatch(t *testing.T) {
	for text, want := range map[string]bool{
		"":                                     true,
		"  ":                                   true,
		"status=502":                           true,
		"status==502":                          true,
		"status != 502":                        false,
		"status>=500":                          true,
		"status>502":                           false,
		"status<=502":                          true,
		"status<502":                           false,
		"status=5xx":                           true,
		"status=4XX":                           false,
		"status!=4xx":                          true,
		"time>1s":                              true,
		"time>1.5s":                            false,
		"time>=1.5s":                           true,
		"queue<1ms":                            false,
		"connect=1ms":                          true,
		"first_byte>=1000ms":                   true,
		"out>12KiB":                            true,
		"out>12.1KiB or in=7":                  false, // an error, see below
		"out>13kb":                             false,
		"in=7B":                                true,
		"retries>1":                            true,
		"method=GET":                           true,
		"METHOD=get":                           false,
		"host=*.example.com":                   true,
		"host=www.*":                           true,
		"host=*":                               true,
		"host=*.example.com*x":                 false,
		"host=www.example.com*www.example.com": false,
		"path=/a/b%20c/d.css":                  true,
		"path=/a/*.css":                        true,
		"path=/a/*q*":                          false,
		"target=/a/*?q=*":                      true,
		"target=*/b*c*d*":                      true,
		"target=*/d*c*":                        true,
		"target=*/d*b*":                        false,
		`user_agent="*(compatible; *Bot/*"`:    true,
		"user_agent~(?i)somebot":               true,
		"user_agent!~SomeBot":                  false,
		"target~^/a/":                          true,
		"referer=''":                           true,
		"id=abc and scheme=https":              true,
		"site=example.com route=static":        false, // an error
		"pool=web && server=web/*":             true,
		"server=web/2 || server=web/1.2":       true,
		"client=10.0.0.0/8":                    true,
		"client!=10.0.0.0/8":                   false,
		"client=10.1.2.3":                      true,
		"client=::ffff:10.1.0.0/112":           true,
		"client=2001:db8::/32":                 false,
		"cache=miss":                           true,
		"cache=hit or cache=shared":            false,
		"cause=empty_response":                 true,
		"cause!=''":                            true,
		"cause=*timeout":                       false,
		"session=''":                           true,
		"hedge=won":                            false,
		"not status=502":                       false,
		"!status=404":                          true,
		"!(status=404 or status=502)":          false,
		"not not status=502":                   true,
		"status=404 or status=502 and method=PUT":   false,
		"status=502 or status=404 and method=PUT":   true,
		"(status=502 or status=404) and method=PUT": false,
		"((((status=502))))":                        true,
		"status = 502 AND Method = GET":             true,
		"path='/a/b%20c/d.css'":                     true,
		"target=/a/b%20c/d.css?q=1&r=x":             true, // signs in a value are its own
	} {
		f, err := Parse(text)
		if err != nil {
			if want {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if got := f.Match(line()); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"status":              `column 7: the end where = != < <= > >= ~ or !~ should be`,
		"status>=":            `column 9: the end where a value should be: write a status such as 404 or a class such as 5xx`,
		"status>=abc":         `column 9: "abc" is no status: write one such as 404, or a class such as 5xx`,
		"status>5xx":          `column 7: cannot be compared so: a class of statuses is equal or not, write = or !=`,
		"status~5":            `column 7: cannot be compared so: it is a number, write = != < <= > or >=`,
		"host>a":              `column 5: cannot be compared so: it is a text, write = != ~ or !~`,
		"client<10.0.0.1":     `column 7: cannot be compared so: it is an address, write = or !=`,
		"client=example.com":  `column 8: "example.com" is no address: write one, or a network such as 10.0.0.0/8`,
		"time>1":              `column 6: "1" is no time: write a time such as 250ms or 2s`,
		"time>-1s":            `column 6: "-1s" is no time: write a time such as 250ms or 2s`,
		"out>12.1KiB":         `column 5: "12.1KiB" is no size: write a number, or a size such as 10KiB`,
		"cache=hits":          `column 7: no such word "hits": write one of pass, miss, hit, stale, shared, revalidated`,
		"user_agent~(":        `column 12: "(" is no regular expression: missing closing ): ` + "`(`",
		"ip=1":                `column 1: no field "ip": there is cache, cause, client,`,
		"status=502 time>1s":  `column 12: "time" where the filter should end: join comparisons with and, or`,
		"status=502 and":      `column 15: the end where a comparison should be: write one such as status>=500`,
		"(status=502":         `column 12: the end where a ")" should be`,
		"status=502)":         `column 11: ")" where the filter should end`,
		"host='www":           `column 6: the ' has no counterpart: close the quotes`,
		"über=1":              `column 1: no field "über"`,
		"host=ü and status=x": `column 19: "x" is no status`,
		"or":                  `column 1: no field "or"`,
		"=5":                  `column 1: "=" where a comparison should be`,
		strings.Repeat("(", 60) + "status=1" + strings.Repeat(")", 60): `column 52: parentheses too deep`,
		strings.Repeat("not ", 60) + "status=1":                        `column 205: parentheses too deep`,
		"target~" + strings.Repeat(".{0,900}", 240) + "b":              `column 8: ".{0,900}.{0,900}.{0,900}.{0,900}.{0,900}" has too many places: 200 are allowed`,
		"target~(a{20}){20}":                                           `column 8: "(a{20}){20}" has too many places`,
		"host~a{90} or path~a{90}":                                     `column 20: "a{90}" has too many places`,
		"target~" + strings.Repeat("x", 300):                           `has too many places`,
		strings.Repeat("x", MaxLength+1):                               `longer than 2000 bytes`,
	} {
		_, err := Parse(text)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: got %v\nwant %s", text, err, want)
		}
	}
}

// TestExpressionsAreBounded: whoever may look must not be able to stop the loops by what he looks for.
func TestExpressionsAreBounded(t *testing.T) {
	f, err := Parse(`target~^/a(b|c)+$ and user_agent!~"(?i)bot|crawler|spider|curl/[0-9.]+"`)
	if err != nil {
		t.Fatal(err)
	}
	if n := f.Steps(); n < 20 || n > 60 {
		t.Errorf("%d steps", n)
	}
	var none *Filter
	if none.Steps() != 0 {
		t.Error("no filter has steps")
	}
	if f, err = Parse("target~z"); err != nil {
		t.Fatal(err)
	}
	l := line()
	for n, want := range map[int]bool{maxText - 1: true, maxText: false} {
		l.Target = append(bytes.Repeat([]byte("a"), n), 'z')
		if f.Match(l) != want {
			t.Errorf("a z behind %d bytes: %v", n, !want)
		}
	}
}

// What is counted is not less than what the program has.
func FuzzSteps(f *testing.F) {
	for _, s := range []string{"a", "a{3,7}", "(a|b)*c?", "(?i)k{2,}", "[a-z]+x", "((a{0,9})?){9}", "^$", `\bx\b`, "(?:ab|ac|ad)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n := stepsOf(s)
		re, err := syntax.Parse(s, syntax.Perl)
		if err != nil || n > MaxSteps {
			return
		}
		prog, err := syntax.Compile(re.Simplify())
		if err != nil {
			t.Fatal(err)
		}
		if len(prog.Inst) > 4*n+4 {
			t.Fatalf("%q: %d places, %d instructions", s, n, len(prog.Inst))
		}
	})
}

func TestMatchAllocatesNothing(t *testing.T) {
	f, err := Parse(`status>=600 or time>10s or host=*.org or target~^/z or client=192.0.2.0/24 or cache=hit or path=/x/*y*z`)
	if err != nil {
		t.Fatal(err)
	}
	l := line()
	if n := testing.AllocsPerRun(100, func() {
		if f.Match(l) {
			t.Fatal("it matches")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A filter that is accepted decides without a panic, and the same with a pair of parentheses around it.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"status>=500 or time>1s and not path=/static/*", "!(client=10.0.0.0/8)&&host~^a", `user_agent="a b"`, "((", "out<1KiB", "cache=''"} {
		f.Add(s)
	}
	l := line()
	f.Fuzz(func(t *testing.T, text string) {
		a, err := Parse(text)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Column < 1 || e.Column > len(text)+1 {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		got := a.Match(l)
		if a == nil || len(text)+2 > MaxLength {
			return
		}
		b, err := Parse("(" + text + ")")
		if err != nil {
			if strings.Contains(err.Error(), "too deep") {
				return
			}
			t.Fatalf("%q: %v", text, err)
		}
		if b.Match(l) != got {
			t.Fatalf("%q: another answer within parentheses", text)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	f, err := Parse("status>=600 or time>10s")
	if err != nil {
		b.Fatal(err)
	}
	l := line()
	b.ReportAllocs()
	for b.Loop() {
		f.Match(l)
	}
}
