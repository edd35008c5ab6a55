package representation

import (
	"testing"
	"time"
)

var now2026 = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC).Unix()

func TestParseDate(t *testing.T) {
	const when = 784111777 // Sun, 06 Nov 1994 08:49:37 GMT
	for _, c := range []struct {
		text string
		want int64
	}{
		// RFC 9110, section 5.6.7: the three forms.
		{"Sun, 06 Nov 1994 08:49:37 GMT", when}, {"Sunday, 06-Nov-94 08:49:37 GMT", when}, {"Sun Nov  6 08:49:37 1994", when},
		{"Wednesday, 09-Nov-94 08:49:37 GMT", when + 3*86400}, {"Mon Nov 16 08:49:37 1994", when + 10*86400}, {"Sun Nov 06 08:49:37 1994", when},
		// RFC 9111, section 4.2: in any case.
		{"sun, 06 nov 1994 08:49:37 gmt", when}, {"SUNDAY, 06-NOV-94 08:49:37 GMT", when}, {"sun nov  6 08:49:37 1994", when},
		// The day of the week is not reckoned with.
		{"Mon, 06 Nov 1994 08:49:37 GMT", when},
		// A leap second; leap days; the ends of the calendar.
		{"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800}, {"Thu, 29 Feb 2024 00:00:00 GMT", 1709164800}, {"Thu, 01 Jan 1970 00:00:00 GMT", 0}, {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
		{"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799}, {"Tue, 29 Feb 2000 00:00:00 GMT", 951782400},
		// Two digits: what would be more than 50 years ahead is past.
		{"Sunday, 20-Nov-76 12:00:00 GMT", time.Date(2076, 11, 20, 12, 0, 0, 0, time.UTC).Unix()}, {"Sunday, 31-Dec-76 12:00:00 GMT", time.Date(1976, 12, 31, 12, 0, 0, 0, time.UTC).Unix()},
		{"Sunday, 20-Nov-77 12:00:00 GMT", time.Date(1977, 11, 20, 12, 0, 0, 0, time.UTC).Unix()}, {"Sunday, 20-Nov-00 12:00:00 GMT", time.Date(2000, 11, 20, 12, 0, 0, 0, time.UTC).Unix()},
	} {
		if got, ok := ParseDate([]byte(c.text), now2026); !ok || got != c.want {
			t.Errorf("%q: %d %v, want %d", c.text, got, ok, c.want)
		}
	}
	for _, s := range []string{
		"", "0", "-1", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 +00", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 8:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT",
		"Sun 06 Nov 1994 08:49:37 GMT", "Sun,  06 Nov 1994 08:49:37 GMT", "Sun, 06-Nov-1994 08:49:37 GMT", "Sun, 06 Nov 1994 08.49.37 GMT", "Xyz, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Xyz 1994 08:49:37 GMT",
		"Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 31 Nov 1994 08:49:37 GMT", "Wed, 29 Feb 2023 00:00:00 GMT", "Sun, 29 Feb 1900 00:00:00 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT",
		"Sun, 06 Nov 1994 08:49:37 GMT ", " Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 199x 08:49:37 GMT", "Sun, +6 Nov 1994 08:49:37 GMT", "Sun, -6 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-1994 08:49:37 GMT", "Sun, 06-Nov-94 08:49:37 GMT", "Someday, 06-Nov-94 08:49:37 GMT", "Sunday, 06 Nov 94 08:49:37 GMT", "Sunday, 06-Nov-x4 08:49:37 GMT", "Sun Nov 6 08:49:37 1994", "Sun Nov  6 08:49:37 94  ", "Sun Nov   08:49:37 1994 ",
		"1994-11-06T08:49:37Z",
	} {
		if got, ok := ParseDate([]byte(s), now2026); ok {
			t.Errorf("%q: %d", s, got)
		}
	}
}

func TestAppendDate(t *testing.T) {
	for _, sec := range []int64{0, -1, 784111777, 951782400, 951868799, 951868800, 1709164800, 1709251200, 253402300799, 4102444800, -62135596800, now2026} {
		want := time.Unix(sec, 0).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
		if got := string(AppendDate(nil, sec)); got != want {
			t.Errorf("%d: %q, want %q", sec, got, want)
		}
	}
}

// Every day of 500 years, there and back.
func TestDatesRoundTrip(t *testing.T) {
	var b []byte
	for sec := int64(-5e9); sec < 11e9; sec += 86400 + 3607 {
		b = AppendDate(b[:0], sec)
		if got, ok := ParseDate(b, now2026); !ok || got != sec {
			t.Fatalf("%d: %s: %d", sec, b, got)
		}
	}
}

func FuzzDate(f *testing.F) {
	f.Add("Sun, 06 Nov 1994 08:49:37 GMT", int64(0))
	f.Add("Sunday, 06-Nov-94 08:49:37 GMT", now2026)
	f.Add("Sun Nov  6 08:49:37 1994", int64(-1))
	f.Fuzz(func(t *testing.T, text string, now int64) {
		if now < -6e10 || now > 2.5e11 {
			return
		}
		sec, ok := ParseDate([]byte(text), now)
		if !ok {
			return
		}
		if again, ok := ParseDate(AppendDate(nil, sec), now); !ok || again != sec {
			t.Fatalf("%q: %d, %d", text, sec, again)
		}
		// Whatever is accepted, the standard library reads alike, but for leap seconds and the century.
		for _, form := range []string{"Mon, 02 Jan 2006 15:04:05 GMT", time.ANSIC} {
			if want, err := time.Parse(form, text); err == nil && want.Unix() != sec {
				t.Fatalf("%q: %d, want %d", text, sec, want.Unix())
			}
		}
	})
}
