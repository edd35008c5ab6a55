package compress

import (
	"bytes"

	"github.com/weirhq/weir/internal/representation"
)

var etagSuffixes = [representation.NumCodings]string{representation.Gzip: "-gz", representation.Brotli: "-br", representation.Zstd: "-zst"}

// EncodedETag appends the entity tag of a representation in a coding, given the tag of the plain one. A strong tag
// stands for one sequence of bytes, so each coding has its own (RFC 9110, section 8.8.3.3): "abc" becomes "abc-gz". A weak
// one stands for what the bytes mean, and stays. What is no entity tag is appended as it is.
//
// A 304 that answers a client which holds the encoded representation has the encoded tag too, and Vary, though no
// Content-Encoding (section 15.4.5).
func EncodedETag(dst, etag []byte, c representation.Coding) []byte {
	if c >= representation.NumCodings || etagSuffixes[c] == "" || !strong(etag) {
		return append(dst, etag...)
	}
	dst = append(dst, etag[:len(etag)-1]...)
	dst = append(dst, etagSuffixes[c]...)
	return append(dst, '"')
}

// PlainETag appends the tag of the plain representation, given one that EncodedETag may have made, and says which
// coding it was made for; Identity when it was not, and the tag is appended as it is.
//
// It is for tags that go to a server in If-None-Match and If-Match, which never saw ours: without it a client that got
// a compressed page could neither revalidate nor edit it. It is not for If-Range: bytes of the plain representation must never
// be joined to those of an encoded one. Where weir holds the plain representation itself, SameETag is exact.
func PlainETag(dst, etag []byte) ([]byte, representation.Coding) {
	if strong(etag) {
		inner := etag[:len(etag)-1]
		for c := representation.Gzip; c < representation.NumCodings; c++ {
			if s := etagSuffixes[c]; len(inner) > 1+len(s) && string(inner[len(inner)-len(s):]) == s {
				return append(append(dst, inner[:len(inner)-len(s)]...), '"'), c
			}
		}
	}
	return append(dst, etag...), representation.Identity
}

// SameETag reports whether a client's tag is the one of a representation in a coding, given the tag of the plain one.
// It compares strongly (RFC 9110, section 8.8.3.2).
func SameETag(client, plain []byte, c representation.Coding) bool {
	if !strong(client) || !strong(plain) || c >= representation.NumCodings {
		return false
	}
	s := etagSuffixes[c]
	n := len(plain) - 1
	return len(client) == len(plain)+len(s) && bytes.Equal(client[:n], plain[:n]) && string(client[n:len(client)-1]) == s
}

// PlainETags appends a list of entity tags (the value of If-None-Match or If-Match) with PlainETag applied to each. What
// it cannot read it leaves as it is.
func PlainETags(dst, list []byte) []byte {
	for len(list) > 0 {
		i := bytes.IndexByte(list, '"')
		if i < 0 {
			break
		}
		n := bytes.IndexByte(list[i+1:], '"')
		if n < 0 {
			break
		}
		end := i + 1 + n + 1
		if i >= 2 && list[i-1] == '/' && list[i-2] == 'W' {
			dst = append(dst, list[:end]...)
		} else {
			dst = append(dst, list[:i]...)
			dst, _ = PlainETag(dst, list[i:end])
		}
		list = list[end:]
	}
	return append(dst, list...)
}

// strong reports whether b is a strong entity tag.
func strong(b []byte) bool {
	return len(b) >= 2 && b[0] == '"' && b[len(b)-1] == '"'
}
