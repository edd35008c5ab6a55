package files

import (
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/message"
)

func FuzzRange(f *testing.F) {
	f.Add("bytes=0-1,4-5,-2", int64(10))
	f.Add("bytes=0-9,2-3,1-8", int64(5))
	f.Add("bytes=-", int64(0))
	f.Add("bytes=9223372036854775807-9223372036854775807", int64(1)<<62)
	f.Fuzz(func(t *testing.T, spec string, size int64) {
		if size < 0 {
			return
		}
		ranges, verdict := parseRanges([]byte(spec), size)
		if (verdict == some) != (len(ranges) > 0) || len(ranges) > maxRanges {
			t.Fatalf("verdict %d with %v", verdict, ranges)
		}
		for i, r := range ranges {
			if r.n <= 0 || r.off < 0 || r.off > size-r.n {
				t.Fatalf("%v of %d", r, size)
			}
			for _, o := range ranges[:i] {
				if r.off < o.off+o.n && o.off < r.off+r.n {
					t.Fatalf("%v and %v overlap", o, r)
				}
			}
		}
		if len(ranges) > 1 && total(ranges) >= size {
			t.Fatalf("%v is all of %d", ranges, size)
		}
	})
}

func FuzzAcceptEncoding(f *testing.F) {
	f.Add("gzip, br;q=0.5, *;q=0")
	f.Add("identity;q=0.000,;,zstd ; Q=1.000")
	f.Fuzz(func(t *testing.T, value string) {
		var fields message.Fields
		fields.Add(message.AcceptEncoding, []byte("Accept-Encoding"), []byte(value))
		a := parseAccepted(&fields)
		for _, q := range append(a.q[:], a.identity) {
			if q < 0 || q > 1000 {
				t.Fatalf("weight %d", q)
			}
		}
		if a.refusesIdentity && a.identity > 0 {
			t.Fatal("refused and wanted")
		}
		if !strings.ContainsAny(value, "*") && !strings.Contains(strings.ToLower(value), "gzip") && a.q[2] != 0 {
			t.Fatal("gzip was not named")
		}
	})
}

func FuzzFileName(f *testing.F) {
	f.Add("/a/%2e%2e/b")
	f.Add("/.well-known/x")
	f.Add("/a%2fb%00")
	f.Fuzz(func(t *testing.T, path string) {
		name, ok := fileName([]byte(path))
		if !ok || name == "." {
			return
		}
		if strings.ContainsRune(name, 0) || strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") || strings.Contains(name, "//") {
			t.Fatalf("%q", name)
		}
		for i, seg := range strings.Split(name, "/") {
			if strings.HasPrefix(seg, ".") && !(i == 0 && seg == ".well-known") {
				t.Fatalf("%q", name)
			}
		}
	})
}

func FuzzConditions(f *testing.F) {
	f.Add(`"a", W/"b"`, "Fri, 01 Mar 2024 12:00:00 GMT")
	f.Fuzz(func(t *testing.T, tags, when string) {
		v := validators{etag: `"tag"`, modified: changed, now: now}
		var q message.Request
		q.Method = message.GET
		for _, id := range []message.ID{message.IfMatch, message.IfNoneMatch, message.IfRange, message.IfModifiedSince, message.IfUnmodifiedSince} {
			q.Fields.Add(id, []byte(id.String()), []byte(tags))
			q.Fields.Add(id, []byte(id.String()), []byte(when))
		}
		if got := v.evaluate(&q); got != 412 && !strings.Contains(tags+when, `"tag"`) && tags != "*" && when != "*" {
			t.Fatalf("%d", got)
		}
		v.rangesOf(&q)
	})
}
