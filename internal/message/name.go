package message

// ID names a field that weir treats by itself. A parser looks it up once, so that every later question
// ("is there a Host?", "is this field hop-by-hop?") is a comparison of small numbers.
type ID uint8

// The fields that weir knows. Other is every other field.
const (
	Other ID = iota
	Accept
	AcceptEncoding
	AcceptRanges
	Age
	Allow
	Authorization
	CacheControl
	CacheGroupInvalidation
	CacheGroups
	CacheStatus
	CacheTag
	CDNCacheControl
	Connection
	ContentEncoding
	ContentLength
	ContentLocation
	ContentRange
	ContentType
	Cookie
	Date
	ETag
	Expect
	Expires
	Forwarded
	Host
	IfMatch
	IfModifiedSince
	IfNoneMatch
	IfRange
	IfUnmodifiedSince
	KeepAlive
	LastModified
	Location
	MaxForwards
	NoVarySearch
	Origin
	Pragma
	ProxyAuthenticate
	ProxyAuthorization
	ProxyConnection
	Range
	Referer
	RetryAfter
	Server
	SetCookie
	SurrogateControl
	SurrogateKey
	TE
	Trailer
	TransferEncoding
	Upgrade
	UserAgent
	Vary
	Via
	WeirCacheControl
	XAccelBuffering
	XForwardedFor
	XForwardedHost
	XForwardedProto
	XKey
	XRequestID
	numIDs
)

var names = [numIDs]string{
	Accept: "Accept", AcceptEncoding: "Accept-Encoding", AcceptRanges: "Accept-Ranges", Age: "Age", Allow: "Allow",
	Authorization: "Authorization", CacheControl: "Cache-Control", CacheGroupInvalidation: "Cache-Group-Invalidation",
	CacheGroups: "Cache-Groups", CacheStatus: "Cache-Status", CacheTag: "Cache-Tag", CDNCacheControl: "CDN-Cache-Control",
	Connection: "Connection", NoVarySearch: "No-Vary-Search", SurrogateControl: "Surrogate-Control", SurrogateKey: "Surrogate-Key",
	WeirCacheControl: "Weir-Cache-Control", XKey: "xkey",
	ContentEncoding: "Content-Encoding", ContentLength: "Content-Length", ContentLocation: "Content-Location",
	ContentRange: "Content-Range", ContentType: "Content-Type", Cookie: "Cookie", Date: "Date", ETag: "ETag",
	Expect: "Expect", Expires: "Expires", Forwarded: "Forwarded", Host: "Host", IfMatch: "If-Match",
	IfModifiedSince: "If-Modified-Since", IfNoneMatch: "If-None-Match", IfRange: "If-Range",
	IfUnmodifiedSince: "If-Unmodified-Since", KeepAlive: "Keep-Alive", LastModified: "Last-Modified",
	Location: "Location", MaxForwards: "Max-Forwards", Origin: "Origin", Pragma: "Pragma",
	ProxyAuthenticate: "Proxy-Authenticate", ProxyAuthorization: "Proxy-Authorization",
	ProxyConnection: "Proxy-Connection", Range: "Range", Referer: "Referer", RetryAfter: "Retry-After",
	Server: "Server", SetCookie: "Set-Cookie", TE: "TE", Trailer: "Trailer", TransferEncoding: "Transfer-Encoding",
	Upgrade: "Upgrade", UserAgent: "User-Agent", Vary: "Vary", Via: "Via", XAccelBuffering: "X-Accel-Buffering",
	XForwardedFor: "X-Forwarded-For", XForwardedHost: "X-Forwarded-Host", XForwardedProto: "X-Forwarded-Proto",
	XRequestID: "X-Request-ID",
}

// String returns the field's name as its specification spells it, "" for Other.
func (id ID) String() string {
	if id >= numIDs {
		return ""
	}
	return names[id]
}

// The table is keyed by length, first and last letter: no two known names share all three more than twice.
var table = func() (t [256][]ID) {
	for id := Other + 1; id < numIDs; id++ {
		h := hash(names[id])
		t[h] = append(t[h], id)
	}
	return t
}()

func hash[T []byte | string](s T) uint8 {
	if len(s) == 0 {
		return 0
	}
	mid := s[len(s)/2] | 0x20
	return uint8(len(s))*7 ^ (s[0]|0x20)*31 ^ (s[len(s)-1]|0x20)*13 ^ mid*5
}

// Lookup returns the ID of a field name in any case, Other when weir does not know it. It does not allocate.
func Lookup[T []byte | string](name T) ID {
	for _, id := range table[hash(name)] {
		if EqualFold(name, names[id]) {
			return id
		}
	}
	return Other
}

// EqualFold reports whether a and b are equal but for the case of ASCII letters.
func EqualFold[A, B []byte | string](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if a[i] != b[i] && Lower(a[i]) != Lower(b[i]) {
			return false
		}
	}
	return true
}

// Lower returns an ASCII upper-case letter in lower case and every other byte as it is.
func Lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
