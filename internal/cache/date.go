package cache

import (
	"net/http"
	"time"
)

// parseDate reads a date in any of HTTP's three forms (RFC 9110, section 5.6.7).
func parseDate(b []byte, now time.Time) (time.Time, bool) {
	if len(b) < 24 || len(b) > 40 {
		return time.Time{}, false
	}
	text := string(b)
	if text[len(text)-3:] != "GMT" && text[len(text)-4] != ' ' {
		return time.Time{}, false
	}
	t, err := http.ParseTime(text)
	if err != nil {
		return time.Time{}, false
	}
	if t.Location() != time.UTC {
		t = t.UTC()
	}
	// RFC 850's two digits: a year that seems more than 50 years in the future is the past one with the same digits.
	if dayEnd := indexComma(text); dayEnd > 3 {
		for t.Year()-now.Year() > 50 {
			t = t.AddDate(-100, 0, 0)
		}
		for now.Year()-t.Year() >= 50 {
			t = t.AddDate(100, 0, 0)
		}
	}
	return t, true
}

// indexComma is where the day's name ends; RFC 850 spells it out.
func indexComma(s string) int {
	for i := range s {
		if s[i] == ',' {
			return i
		}
	}
	return -1
}
