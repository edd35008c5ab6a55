package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scalar makes a kind of a function from text. The function says what is wrong, and what to write, in words.
func scalar[V any](words string, s *shape, parse func(string) (V, *complaint)) kind[V] {
	return kind[V]{words: words, shape: s, read: func(d *decoder, v value) (V, bool) {
		var none V
		text, ok := d.text(v, words)
		if !ok {
			return none, false
		}
		got, c := parse(text)
		if c != nil {
			if c.hint == "" {
				c.hint = "write " + words
			}
			d.fail(v, v.name()+" is "+d.quoted(v, text)+c.why, c.hint)
			return none, false
		}
		return got, true
	}}
}

// complaint is why a text is refused: the why continues the sentence `key is "text"`, and may be empty.
type complaint struct{ why, hint string }

func textKind(words string) kind[string] {
	return scalar(words, textShape(), func(s string) (string, *complaint) {
		if strings.IndexByte(s, 0) >= 0 {
			return "", &complaint{", which has a NUL byte in it", ""}
		}
		return s, nil
	})
}

func boolKind() kind[bool] {
	return scalar("true or false", boolShape(), func(s string) (bool, *complaint) {
		switch s {
		case "true", "True", "TRUE":
			return true, nil
		case "false", "False", "FALSE":
			return false, nil
		}
		switch strings.ToLower(s) {
		case "yes", "on", "y", "1":
			return false, &complaint{"", "write true"}
		case "no", "off", "n", "0":
			return false, &complaint{"", "write false"}
		}
		return false, &complaint{}
	})
}

// intKind is a whole number of low to high, both included.
func intKind(low, high int) kind[int] {
	words := fmt.Sprintf("a whole number from %d to %d", low, high)
	if high == math.MaxInt32 {
		words = fmt.Sprintf("a whole number of at least %d", low)
	}
	return numberKind(words, low, high)
}

func numberKind(words string, low, high int) kind[int] {
	return scalar(words, intShape(low, high), func(s string) (int, *complaint) {
		n, err := strconv.Atoi(s)
		if err != nil || n < low || n > high || len(s) > 1 && s[0] == '0' {
			return 0, &complaint{}
		}
		return n, nil
	})
}

func enumKind(values ...string) kind[string] {
	return enumWithLater(nil, values...)
}

// enumWithLater is one of the values; those in later are not in this version.
func enumWithLater(later []string, values ...string) kind[string] {
	words := oneOf(values)
	return scalar(words, enumShape(values), func(s string) (string, *complaint) {
		if slices.Contains(values, s) {
			return s, nil
		}
		if slices.Contains(later, s) {
			return "", &complaint{", which is not in this version of weir yet", "write " + words}
		}
		if n := Nearest(s, values); n != "" {
			return "", &complaint{"", fmt.Sprintf("did you mean %q?", n)}
		}
		return "", &complaint{}
	})
}

// maxDuration is a year: more is a mistake.
const maxDuration = 366 * 24 * time.Hour

// durationKind is a time of at least low. A number without a unit is an error: half the world means seconds by it,
// the other milliseconds.
func durationKind(low time.Duration) kind[time.Duration] {
	const words = "a time such as 500ms, 30s, 5m or 1d"
	return scalar(words, patternShape(`^([0-9]+(\.[0-9]+)?(d|h|m|s|ms))+$|^0$`), func(s string) (time.Duration, *complaint) {
		if _, err := strconv.ParseFloat(s, 64); err == nil && s != "0" {
			return 0, &complaint{", which has no unit", "write " + s + "s for seconds, or " + s + "ms for milliseconds"}
		}
		d, ok := ParseDuration(s)
		switch {
		case !ok:
			return 0, &complaint{}
		case d > maxDuration:
			return 0, &complaint{", which is over a year", ""}
		case d < low:
			return 0, &complaint{", which is too short", "write at least " + showDuration(low)}
		}
		return d, nil
	})
}

// ParseDuration is time.ParseDuration without signs and with d for 24 hours, which must come first.
func ParseDuration(s string) (time.Duration, bool) {
	if s == "" || s[0] == '-' || s[0] == '+' || len(s) > 40 {
		return 0, false
	}
	var days time.Duration
	if before, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseFloat(before, 64)
		if err != nil || !(n >= 0 && n <= 1000) {
			return 0, false
		}
		days = time.Duration(n * float64(24*time.Hour))
		if s = after; s == "" {
			return days, true
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > 2*maxDuration {
		return 0, false
	}
	return days + d, true
}

// showDuration leaves out what is zero: "1m" for a minute.
func showDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

var sizeUnits = []struct {
	name string
	size float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
}

// sizeKind is a number of bytes from low to high.
func sizeKind[N int | int64](low, high int64) kind[N] {
	const words = "a size such as 64KiB, 10MiB or 2GB, or a number of bytes"
	return scalar(words, sizeShape(), func(s string) (N, *complaint) {
		n, ok := parseSize(s)
		switch {
		case !ok:
			return 0, &complaint{"", sizeHint(s)}
		case n < low:
			return 0, &complaint{", which is too small", "write at least " + showSize(low)}
		case n > high:
			return 0, &complaint{", which is too large", "write at most " + showSize(high)}
		}
		return N(n), nil
	})
}

func parseSize(s string) (int64, bool) {
	for _, u := range sizeUnits {
		number, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		number = strings.TrimRight(number, " ")
		if number == "" || strings.Trim(number, "0123456789.") != "" {
			return 0, false
		}
		if n, err := strconv.ParseInt(number, 10, 64); err == nil && u.size == 1 {
			return n, true
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || n*u.size > 1<<60 || u.size == 1 {
			return 0, false
		}
		return int64(n * u.size), true
	}
	return 0, false
}

// sizeHint knows what other programs call their units.
func sizeHint(s string) string {
	number := strings.TrimRight(s, "kKmMgGtTiIbB")
	unit := strings.ToUpper(s[len(number):])
	if number == "" || unit == "" || strings.Trim(number, "0123456789.") != "" {
		return ""
	}
	switch strings.Trim(unit, "IB") {
	case "K", "M", "G", "T":
		prefix := unit[:1]
		return "write " + number + prefix + "iB (1024), or " + number + prefix + "B (1000)"
	}
	return ""
}

func showSize(n int64) string {
	for i := 3; i >= 0; i-- {
		if u := int64(sizeUnits[i].size); n >= u && n%u == 0 {
			return strconv.FormatInt(n/u, 10) + sizeUnits[i].name
		}
	}
	return strconv.FormatInt(n, 10)
}

// maxName is the length of an app's or a pool's name: it is part of the path of a socket, which has 107 bytes.
const maxName = 40

var nameForm = lazily(`^[a-z0-9_-]{1,40}$`)

// checkName complains of names that could not be part of a file's name, a log line and a URL alike.
func checkName(s string) *complaint {
	if nameForm().MatchString(s) && s[0] != '-' {
		return nil
	}
	return &complaint{"", fmt.Sprintf("a name is at most %d of a-z, 0-9, _ and -, and does not begin with -", maxName)}
}

// A token as in RFC 9110, section 5.6.2.
var tokenForm = lazily("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// checkFieldValue complains of what cannot be a field's value (RFC 9110, section 5.5).
func checkFieldValue(s string) *complaint {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return &complaint{", which has a control character in it", "a field's value is one line of text"}
		}
	}
	if s != strings.TrimSpace(s) {
		return &complaint{", which begins or ends with a blank", "take the blank out"}
	}
	return nil
}

func fieldValueKind(words string) kind[string] {
	return scalar(words, textShape(), func(s string) (string, *complaint) { return s, checkFieldValue(s) })
}

// statusKind is an HTTP status of low to high.
func statusKind(low, high int) kind[int] {
	return numberKind(fmt.Sprintf("a status from %d to %d", low, high), low, high)
}

// parseStatuses reads "404", "5xx" or "500-503" of errors.
func parseStatuses(s string) (from, to int, ok bool) {
	from, to, ok = statusRange(s)
	return from, to, ok && from >= 400
}

// statusRange reads "404", "2xx" or "200-299".
func statusRange(s string) (from, to int, ok bool) {
	if len(s) == 3 && (s[1:] == "xx" || s[1:] == "XX") {
		from = int(s[0]-'0') * 100
		return from, from + 99, s[0] >= '1' && s[0] <= '5'
	}
	low, high, ranged := strings.Cut(s, "-")
	from, err := strconv.Atoi(low)
	if err != nil || len(low) != 3 {
		return 0, 0, false
	}
	if to = from; ranged {
		if to, err = strconv.Atoi(high); err != nil || len(high) != 3 {
			return 0, 0, false
		}
	}
	return from, to, from >= 100 && to <= 599 && from <= to
}
