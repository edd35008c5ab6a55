package representation

import (
	"math"

	"github.com/weirhq/weir/internal/message"
)

// NoTime stands for a time that is not known.
const NoTime int64 = math.MinInt64

const (
	dayNames   = "SunMonTueWedThuFriSat"
	monthNames = "JanFebMarAprMayJunJulAugSepOctNovDec"
)

var longDays = [...]string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}

// ParseDate reads an HTTP-date in any of its three forms (RFC 9110, section 5.6.7) as Unix seconds, letters in any case
// (RFC 9111, section 4.2). A year of two digits is the one less than 50 years after now, which is in Unix seconds too. It
// does not allocate.
func ParseDate(b []byte, now int64) (sec int64, ok bool) {
	switch {
	case len(b) == 29 && b[3] == ',': // Sun, 06 Nov 1994 08:49:37 GMT
		if !match(b, "...,_.._..._...._..:..:.._GMT") || index(dayNames, b[:3]) < 0 {
			return 0, false
		}
		return civil(digits(b[12:16]), index(monthNames, b[8:11]), digits(b[5:7]), b[17:25])
	case len(b) == 24: // Sun Nov  6 08:49:37 1994
		if !match(b, "..._..._.._..:..:.._....") || index(dayNames, b[:3]) < 0 {
			return 0, false
		}
		day := b[8:10]
		if day[0] == ' ' {
			day = day[1:]
		}
		return civil(digits(b[20:]), index(monthNames, b[4:7]), digits(day), b[11:19])
	case len(b) >= 30 && len(b) <= 33: // Sunday, 06-Nov-94 08:49:37 GMT
		return longDate(b, now)
	}
	return 0, false
}

func longDate(b []byte, now int64) (sec int64, ok bool) {
	n := len(b) - 24
	known := false
	for _, d := range longDays {
		known = known || message.EqualFold(b[:n], d)
	}
	if b = b[n:]; !known || !match(b, ",_..-...-.._..:..:.._GMT") {
		return 0, false
	}
	year, month, day := digits(b[9:11]), index(monthNames, b[5:8]), digits(b[2:4])
	if year < 0 {
		return 0, false
	}
	// RFC 9110, section 5.6.7: what looks more than 50 years ahead is the past century's.
	latest := yearOf(now) + 50
	year += latest - latest%100
	if year > latest {
		year -= 100
	}
	if sec, ok = civil(year, month, day, b[12:20]); ok && year == latest && sec-now > int64(50*365.2425*86400) {
		sec, ok = civil(year-100, month, day, b[12:20])
	}
	return sec, ok
}

// match compares b with a form in which "." is any byte, "_" a space and a letter itself in any case.
func match(b []byte, form string) bool {
	if len(b) != len(form) {
		return false
	}
	for i := range b {
		switch c := form[i]; {
		case c == '.':
		case c == '_':
			if b[i] != ' ' {
				return false
			}
		case message.Lower(c) != message.Lower(b[i]):
			return false
		}
	}
	return true
}

// index returns which of the names of three letters b is, -1 when it is none.
func index(names string, b []byte) int {
	for i := 0; i < len(names); i += 3 {
		if message.EqualFold(b, names[i:i+3]) {
			return i / 3
		}
	}
	return -1
}

// digits reads a number, -1 when b holds anything else.
func digits(b []byte) (n int) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// civil makes Unix seconds of a date, month from 0, and a time of the form hh:mm:ss.
func civil(year, month, day int, clock []byte) (sec int64, ok bool) {
	h, m, s := digits(clock[:2]), digits(clock[3:5]), digits(clock[6:])
	if year < 0 || month < 0 || day < 1 || h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 60 || day > daysIn(year, month) {
		return 0, false
	}
	return days(year, month, day)*86400 + int64(h*3600+m*60+s), true // a leap second is the next one's name
}

func daysIn(year, month int) int {
	switch month {
	case 1:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 3, 5, 8, 10:
		return 30
	}
	return 31
}

// days counts from the epoch, by years that begin in March, so that the leap day is their last.
func days(year, month, day int) int64 {
	month = (month + 10) % 12
	y := int64(year - month/10)
	return 365*y + floor(y, 4) - floor(y, 100) + floor(y, 400) + int64(month*306+5)/10 + int64(day) - 1 - 719468
}

func floor(a, b int64) int64 {
	if a < 0 {
		return (a - b + 1) / b
	}
	return a / b
}

// yearOf returns the year of Unix seconds.
func yearOf(sec int64) int {
	n := floor(sec, 86400)
	year := 1970 + int(floor(n*400, 146097))
	for days(year, 0, 1) > n {
		year--
	}
	for days(year+1, 0, 1) <= n {
		year++
	}
	return year
}

// AppendDate appends Unix seconds as an HTTP-date in the form that is sent (RFC 9110, section 5.6.7), for years 0 to
// 9999.
func AppendDate(dst []byte, sec int64) []byte {
	n := floor(sec, 86400)
	clock := int(sec - n*86400)
	year, month := yearOf(sec), 0
	for month < 11 && days(year, month+1, 1) <= n {
		month++
	}
	week := int(((n+4)%7 + 7) % 7)
	dst = append(dst, dayNames[3*week:3*week+3]...)
	dst = appendTwo(append(dst, ", "...), int(n-days(year, month, 1))+1)
	dst = append(append(append(dst, ' '), monthNames[3*month:3*month+3]...), ' ')
	dst = appendTwo(appendTwo(dst, year/100%100), year%100)
	dst = appendTwo(append(dst, ' '), clock/3600)
	dst = appendTwo(append(dst, ':'), clock/60%60)
	return append(appendTwo(append(dst, ':'), clock%60), " GMT"...)
}

func appendTwo(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }
