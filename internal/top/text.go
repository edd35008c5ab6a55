package top

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
	"github.com/weirhq/weir/internal/notice"
)

// clean is text as it may be shown: names, paths and what workers wrote last come from outside, and none of it may move the cursor, change
// the terminal's state or take another width than is reckoned with.
func clean(s string, ascii bool) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= 0x20 && s[i] < 0x7f
	}
	if plain {
		return s
	}
	s = string(notice.AppendPrintable(nil, []byte(s)))
	marks := 0 // on the sign before: more than a language has would be drawn over the lines around
	return strings.Map(func(r rune) rune {
		if marks++; !unicode.Is(unicode.M, r) {
			marks = 0
		}
		switch {
		case marks > maxMarks:
			return -1
		case r == '\t':
			return ' '
		case r < 0x7f:
			return r
		case r >= 0xfe00 && r <= 0xfe0f: // terminals do not agree on whether these make a sign wide
			return -1
		case ascii && r == 'µ':
			return 'u'
		case ascii, unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r):
			return '?'
		}
		return r
	}, s)
}

const maxMarks = 3

// widthOf is how many columns clean text takes.
func widthOf(s string) int {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return ansi.StringWidth(s)
		}
	}
	return len(s)
}

// cut shortens clean text to w columns, the last of which says that there is more.
func cut(s string, w int, more string) string {
	if w <= 0 {
		return ""
	}
	if len(s) <= w || widthOf(s) <= w {
		return s
	}
	return ansi.Truncate(s, w, more)
}

// wrap breaks clean text into lines of at most w columns.
func wrap(s string, w int) []string {
	if w < 1 {
		return nil
	}
	return strings.Split(ansi.Wrap(s, w, ""), "\n")
}

// number is one in five columns at the most.
func number(v float64) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "-"
	case v == 0:
		return "0"
	case v < 0.05:
		return "<0.1"
	case v < 9.95:
		return fmt.Sprintf("%.1f", v)
	case v < 99999.5:
		return fmt.Sprintf("%.0f", v)
	}
	return scaled(v, 1000, "kMGTPE")
}

// count is a whole number in five columns at the most.
func count(n uint64) string {
	if n < 100000 {
		return fmt.Sprint(n)
	}
	return number(float64(n))
}

// size is bytes, in powers of 1024, in five columns at the most.
func size(n float64) string {
	if n < 999.5 {
		return fmt.Sprintf("%.0f", max(n, 0))
	}
	return scaled(n, 1024, "KMGTPE")
}

// bytesOf is size where no column's name says that it is bytes.
func bytesOf(n float64) string {
	if n < 999.5 {
		return size(n) + "B"
	}
	return size(n)
}

func scaled(v, base float64, units string) string {
	i := -1
	for v >= 999.5 && i < len(units)-1 || i < 0 {
		v /= base
		i++
	}
	if v < 9.95 {
		return fmt.Sprintf("%.1f%c", v, units[i])
	}
	return fmt.Sprintf("%.0f%c", v, units[i])
}

// millis is a time in milliseconds, "" for none.
func millis(ms float64) string {
	switch {
	case ms <= 0 || math.IsNaN(ms):
		return ""
	case ms < 0.0995:
		return fmt.Sprintf("%.0fµs", max(ms*1000, 1))
	case ms < 9.95:
		return fmt.Sprintf("%.1fms", ms)
	case ms < 999.5:
		return fmt.Sprintf("%.0fms", ms)
	case ms < 9950:
		return fmt.Sprintf("%.1fs", ms/1000)
	}
	return span(time.Duration(ms * float64(time.Millisecond)))
}

// span is a time in its two largest units.
func span(d time.Duration) string {
	s := int64(d / time.Second)
	switch {
	case s < 0:
		return "0s"
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 600:
		return fmt.Sprintf("%dm%02d", s/60, s%60)
	case s < 3600:
		return fmt.Sprintf("%dm", s/60)
	case s < 86400:
		return fmt.Sprintf("%dh%02d", s/3600, s/60%60)
	case s < 100*86400:
		return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
	}
	return fmt.Sprintf("%dd", s/86400)
}

// since is the time from then until now, "" if then is not known.
func since(then, now time.Time) string {
	if then.IsZero() {
		return ""
	}
	return span(now.Sub(then))
}

// percent is a share from 0 to 1, "" for one that is not known.
func percent(v float64) string {
	switch {
	case v < 0 || math.IsNaN(v):
		return ""
	case v == 0 || v == 1:
		return fmt.Sprintf("%.0f%%", v*100)
	case v < 0.001:
		return "<0.1%"
	case v < 0.0995:
		return fmt.Sprintf("%.1f%%", v*100)
	case v >= 0.995 && v < 1:
		return ">99%"
	}
	return fmt.Sprintf("%.0f%%", v*100)
}

// ratio is a of b, -1 if there is no b.
func ratio(a, b float64) float64 {
	if b <= 0 {
		return -1
	}
	return a / b
}

// plural is a number of things.
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
