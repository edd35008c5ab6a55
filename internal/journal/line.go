package journal

import (
	"net/netip"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// Line is everything that the access log says of one request. Slices are only read while a line is appended; they
// may be views into a connection's buffer. What is empty or zero is left out of a JSON line, but for the fields that
// every request has.
type Line struct {
	Time      time.Time  // wall clock of the request's first byte
	Client    netip.Addr // the zero value for a Unix socket
	Scheme    string     // "http" or "https"
	Method    []byte     // as received; empty when the request line could not be read
	Target    []byte     // normalised, as routes and servers see it; as received when it was refused
	Minor     uint8      // of HTTP/1.x; NoVersion when it was not read
	Status    int        // 0 when nothing was sent
	Out, In   int64      // body bytes to and from the client
	Host      []byte
	Referer   []byte
	UserAgent []byte
	ID        []byte   // the request's id
	Trace     [16]byte // that the request is part of; zero: none
	Listen    string   // of a session of TCP: the address that it came to; such a line has nothing of a request. Empty: it is a request's
	Name      string   // likewise: the name that its hello asked for

	Site, Route, Pool, Server string
	Cause                     Cause
	Detail                    string
	Cache                     Cache
	Session                   Session
	Retries                   int
	Hedge                     Hedge
	Includes, Failed          int    // fragments of a page
	Why                       string // the cache did what it did, as in Cache-Status; only stories tell it
	Slow, Failure             bool   // it took longer than log.slow; it came to nothing by weir's or a server's doing. Likewise
	Parts                     []Part // the first fragments of a page, MaxParts at the most. Likewise

	Sample string // the share of such lines that this log has, as a number; "": this log has all lines

	Total     time.Duration // first byte of the head to the last byte of the response
	Queue     time.Duration // waiting for a place at a server
	Connect   time.Duration // until the connection to the server was there
	FirstByte time.Duration // from the request's last byte sent to the response's head
}

// Part is a fragment of a page, as its place was filled. The target may be a view, as those of lines are.
type Part struct {
	Target []byte
	Status int // 0: no response came
	Cache  Cache
	Took   time.Duration // from when it was asked for to its end, or to when nobody waited for it any more
}

// MaxParts is how many fragments of a page are told of one by one, and PartText how many bytes of their targets.
const (
	MaxParts = 16
	PartText = 256
)

// NoVersion stands for the minor version of a request whose line was refused before its version was reached.
const NoVersion = 255

// Take fills in what the request's journal says; now is the time of its end, as in Journal.At.
func (l *Line) Take(j *Journal, now int64) {
	l.Time = j.Start
	l.Status, l.Out, l.In = j.Status, j.Out, j.In
	l.Site, l.Route, l.Pool, l.Server = j.Site, j.Route, j.Pool, j.Server
	l.Cause, l.Detail, l.Cache, l.Retries = j.Cause, j.Detail, j.Cache, j.Retries
	l.Session, l.Trace = j.Session, j.Trace
	l.Hedge, l.Includes, l.Failed = j.Hedge, j.Includes, j.Failed
	l.Total = 0
	if j.At[Begun] != 0 && now > j.At[Begun] {
		l.Total = time.Duration(now - j.At[Begun])
	}
	l.Queue = j.Between(Queued, Picked)
	l.Connect = j.Between(Picked, Connected)
	l.FirstByte = j.Between(Sent, FirstByte)
}

// AppendJSON appends l to dst as one JSON object and a line feed. It is always valid JSON on one line, whatever
// bytes a client sent: see appendQuoted.
func AppendJSON(dst []byte, l *Line) []byte {
	if l.Listen != "" {
		return appendSession(dst, l)
	}
	dst = append(dst, `{"time":"`...)
	dst = appendRFC3339(dst, l.Time)
	dst = append(dst, `","client":"`...)
	dst = appendClient(dst, l.Client, "unix")
	dst = append(dst, `","method":`...)
	dst = appendQuoted(dst, l.Method)
	dst = append(dst, `,"host":`...)
	dst = appendQuoted(dst, l.Host)
	dst = append(dst, `,"target":`...)
	dst = appendQuoted(dst, l.Target)
	dst = append(dst, `,"protocol":"`...)
	if l.Minor != NoVersion {
		dst = append(dst, "HTTP/1."...)
		dst = append(dst, '0'+l.Minor%10)
	}
	dst = append(dst, '"')
	dst = appendText(dst, `,"scheme":`, l.Scheme)
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(l.Status), 10)
	dst = append(dst, `,"out":`...)
	dst = strconv.AppendInt(dst, l.Out, 10)
	dst = append(dst, `,"in":`...)
	dst = strconv.AppendInt(dst, l.In, 10)
	dst = append(dst, `,"id":`...)
	dst = appendQuoted(dst, l.ID)
	dst = appendTrace(dst, &l.Trace)
	if len(l.Referer) > 0 {
		dst = append(dst, `,"referer":`...)
		dst = appendQuoted(dst, l.Referer)
	}
	if len(l.UserAgent) > 0 {
		dst = append(dst, `,"user_agent":`...)
		dst = appendQuoted(dst, l.UserAgent)
	}
	dst = appendText(dst, `,"site":`, l.Site)
	dst = appendText(dst, `,"route":`, l.Route)
	dst = appendText(dst, `,"pool":`, l.Pool)
	dst = appendText(dst, `,"server":`, l.Server)
	dst = appendText(dst, `,"cache":`, l.Cache.String())
	dst = appendText(dst, `,"session":`, l.Session.String())
	dst = appendText(dst, `,"cause":`, l.Cause.String())
	dst = appendText(dst, `,"detail":`, l.Detail)
	if l.Retries > 0 {
		dst = append(dst, `,"retries":`...)
		dst = strconv.AppendInt(dst, int64(l.Retries), 10)
	}
	dst = appendText(dst, `,"hedge":`, l.Hedge.String())
	if l.Includes > 0 {
		dst = append(dst, `,"includes":`...)
		dst = strconv.AppendInt(dst, int64(l.Includes), 10)
	}
	if l.Failed > 0 {
		dst = append(dst, `,"includes_failed":`...)
		dst = strconv.AppendInt(dst, int64(l.Failed), 10)
	}
	dst = append(dst, `,"total_ms":`...)
	dst = appendMillis(dst, l.Total)
	dst = appendPhase(dst, `,"queue_ms":`, l.Queue)
	dst = appendPhase(dst, `,"connect_ms":`, l.Connect)
	dst = appendPhase(dst, `,"first_byte_ms":`, l.FirstByte)
	return append(appendSampled(dst, `,"sample":`, l), "}\n"...)
}

// AppendCombined appends l to dst in the combined format of Apache and nginx, with two fields more, the request's id
// in quotes and the seconds it took, and a line feed. Bytes that are not visible ASCII, quotes and backslashes are
// written as \xHH, so that a client can neither end the line nor leave its field.
func AppendCombined(dst []byte, l *Line) []byte {
	dst = appendClient(dst, l.Client, "unix:")
	dst = append(dst, " - - ["...)
	dst = appendCommonTime(dst, l.Time)
	dst = append(dst, `] "`...)
	if l.Listen != "" {
		dst = appendAddressed(dst, l)
	} else if len(l.Method) > 0 {
		dst = appendEscaped(dst, l.Method)
		dst = append(dst, ' ')
		dst = appendEscaped(dst, l.Target)
		if l.Minor != NoVersion {
			dst = append(dst, " HTTP/1."...)
			dst = append(dst, '0'+l.Minor%10)
		}
	} else {
		dst = append(dst, '-')
	}
	dst = append(dst, `" `...)
	dst = appendPadded(dst, min(max(l.Status, 0), 999), 3)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, l.Out, 10)
	dst = append(dst, ` "`...)
	dst = appendOrDash(dst, l.Referer)
	dst = append(dst, `" "`...)
	dst = appendOrDash(dst, l.UserAgent)
	dst = append(dst, `" "`...)
	dst = appendOrDash(dst, l.ID)
	dst = append(dst, `" `...)
	dst = appendSeconds(dst, l.Total)
	return append(appendSampled(dst, " ", l), '\n')
}

// appendSampled appends which share of such lines is written, in a log that has not all of them.
func appendSampled(dst []byte, before string, l *Line) []byte {
	if l.Sample == "" {
		return dst
	}
	return append(append(dst, before...), l.Sample...)
}

func appendClient(dst []byte, a netip.Addr, none string) []byte {
	if !a.IsValid() {
		return append(dst, none...)
	}
	// A zone is text from this machine's interfaces; it says nothing about the client, and is not ours to escape.
	if a.Zone() != "" {
		a = a.WithZone("")
	}
	return a.Unmap().AppendTo(dst)
}

func appendText(dst []byte, key, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(dst, key...)
	return appendQuoted(dst, value)
}

func appendPhase(dst []byte, key string, d time.Duration) []byte {
	if d <= 0 {
		return dst
	}
	dst = append(dst, key...)
	return appendMillis(dst, d)
}

// appendMillis appends milliseconds to the microsecond: 12.345.
func appendMillis(dst []byte, d time.Duration) []byte {
	us := uint64(max(d, 0) / time.Microsecond)
	dst = strconv.AppendUint(dst, us/1000, 10)
	us %= 1000
	return append(dst, '.', byte('0'+us/100), byte('0'+us/10%10), byte('0'+us%10))
}

// appendPadded appends a number of at most width digits, which are four at most, with leading zeros.
func appendPadded(dst []byte, n, width int) []byte {
	var b [4]byte
	for i := width - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return append(dst, b[:width]...)
}

// appendRFC3339 appends a time in UTC to the millisecond. time.AppendFormat does the same in five times the time.
func appendRFC3339(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	if year < 0 || year > 9999 {
		year = 0
	}
	ms := t.Nanosecond() / 1e6
	return append(dst,
		byte('0'+year/1000), byte('0'+year/100%10), byte('0'+year/10%10), byte('0'+year%10), '-',
		byte('0'+month/10), byte('0'+month%10), '-', byte('0'+day/10), byte('0'+day%10), 'T',
		byte('0'+hour/10), byte('0'+hour%10), ':', byte('0'+minute/10), byte('0'+minute%10), ':',
		byte('0'+second/10), byte('0'+second%10), '.',
		byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// appendCommonTime appends a time as the common log format has it: 21/Nov/2026:03:57:29 +0000.
func appendCommonTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = append(dst, byte('0'+day/10), byte('0'+day%10), '/')
	dst = append(dst, months[3*(month-1):3*month]...)
	dst = append(dst, '/')
	dst = appendPadded(dst, min(max(year, 0), 9999), 4)
	dst = append(dst, ':', byte('0'+hour/10), byte('0'+hour%10), ':', byte('0'+minute/10), byte('0'+minute%10), ':',
		byte('0'+second/10), byte('0'+second%10))
	return append(dst, " +0000"...)
}

// plain marks the bytes that stand in either format as they are: visible ASCII and the space, without the quote and
// the backslash.
var plain = func() (t [256]bool) {
	for c := ' '; c <= '~'; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

const hex = "0123456789abcdef"

// appendQuoted appends s as a JSON string. Controls, those of Latin-1 (U+0080 to U+009F), the line separators U+2028 and
// U+2029 and what turns the direction of writing are escaped too: terminals and line splitters obey them. A byte that is no part of valid UTF-8
// is taken for Latin-1, as fields were meant once (RFC 9110, section 5.5), and written as \u00HH.
func appendQuoted[T []byte | string](dst []byte, s T) []byte {
	dst = append(dst, '"')
	from := 0
	for i := plainTo(s, 0); i < len(s); i = plainTo(s, i) {
		r, size := rune(s[i]), 1
		if s[i] >= utf8.RuneSelf {
			if d, n := decode(s[i:]); n > 1 && visible(d) {
				i += n
				continue
			} else if n > 1 {
				r, size = d, n
			}
		}
		dst = append(dst, s[from:i]...)
		switch r {
		case '"', '\\':
			dst = append(dst, '\\', byte(r))
		default:
			dst = append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		}
		i += size
		from = i
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}

// plainTo returns where the first byte from an offset on is that is not plain.
func plainTo[T []byte | string](s T, i int) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for i < len(s) && len(s) >= 8 {
		from := min(i, len(s)-8) // the last eight overlap with some that have been looked at
		b := s[from : from+8]
		w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		quote, back, del := w^'"'*ones, w^'\\'*ones, w^0x7f*ones
		// The top bit of a byte is set where the byte is below a space, one of these three, or no ASCII; of bytes behind such a one it may be
		// set too, which does no harm.
		if (w|(w-' '*ones)|(quote-ones)|(back-ones)|(del-ones))&tops != 0 {
			break
		}
		i = from + 8
	}
	for i < len(s) && plain[s[i]] {
		i++
	}
	return i
}

// visible reports whether a character beyond ASCII only stands where it is.
func visible(r rune) bool {
	return r >= 0xa0 && r != 0x2028 && r != 0x2029 && !unicode.Is(unicode.Bidi_Control, r)
}

func decode[T []byte | string](s T) (rune, int) {
	// A rune has at most four bytes; the array keeps the conversion off the heap.
	var b [utf8.UTFMax]byte
	return utf8.DecodeRune(b[:copy(b[:], s)])
}

// appendEscaped appends s with everything that is not plain as \xHH.
func appendEscaped(dst, s []byte) []byte {
	from := 0
	for i, c := range s {
		if plain[c] {
			continue
		}
		dst = append(dst, s[from:i]...)
		dst = append(dst, '\\', 'x', hex[c>>4], hex[c&15])
		from = i + 1
	}
	return append(dst, s[from:]...)
}

func appendOrDash(dst, s []byte) []byte {
	if len(s) == 0 {
		return append(dst, '-')
	}
	return appendEscaped(dst, s)
}
