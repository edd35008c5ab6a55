package health

import (
	"errors"
	"strconv"
	"strings"
)

// Wish is what an app asks for by itself.
type Wish struct {
	Share int    // of its weight, in thousandths, up to 1000; -1: nothing was said of it
	State string // "up", "drain", "maint" or "down"; "": nothing was said of it
}

// ErrWish says what a wish may be.
var ErrWish = errors.New("not a share such as 50%, nor up, ready, drain, maint or down")

// maxWish bounds what is read of a wish.
const maxWish = 128

// ParseWish reads what an app answers or puts into its field: words between blanks or commas, as HAProxy's agents send
// them: "75%", "drain", "up 50%". A number without % is one too. What comes after # is for people.
func ParseWish(text []byte) (Wish, error) {
	w := Wish{Share: -1}
	if len(text) > maxWish {
		return w, ErrWish
	}
	line, _, _ := strings.Cut(string(text), "\n")
	line, _, _ = strings.Cut(line, "#")
	words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' || r == '\r' })
	if len(words) == 0 {
		return w, ErrWish
	}
	for _, word := range words {
		switch s := strings.ToLower(word); s {
		case "up", "ready":
			w.State = "up"
		case "drain", "maint", "down":
			w.State = s
		case "stopped", "fail", "failed":
			w.State = "down"
		default:
			n, err := strconv.ParseUint(strings.TrimSuffix(s, "%"), 10, 16)
			if err != nil || s[0] == '+' {
				return Wish{Share: -1}, ErrWish
			}
			w.Share = int(min(n, 100)) * 10
		}
	}
	return w, nil
}
