// Package export writes a picture as tables for other programs: with the columns of HAProxy's statistics, so that checks written for
// those go on, and with weir's own as CSV and JSON. It only reads pictures and writes text; it measures nothing and asks nobody.
package export

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/desk/packed"
	"github.com/weirhq/weir/internal/picture"
)

// row is one line of a table: what stands in the columns of these names. A column that is not there is empty.
type row map[string]any

// cell writes a value as a table has it: a whole number, a fraction with three digits, a text. Texts come from the
// configuration, from servers' answers and from what people wrote as reasons.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return plain(v)
	case bool:
		if v {
			return "1"
		}
		return "0"
	case int:
		return strconv.Itoa(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case uint64:
		return strconv.FormatUint(v, 10)
	case float64:
		return trim(v)
	case time.Time:
		if v.IsZero() {
			return ""
		}
		return v.UTC().Format(time.RFC3339)
	}
	return ""
}

func trim(v float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(v, 'f', 3, 64), "0"), ".")
}

// plain makes a text that is one line, and that no spreadsheet takes for a formula.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
	// Blanks in front do not keep a spreadsheet from it, nor do the wide forms of these signs.
	if t := strings.TrimLeft(s, " \u00a0"); t != "" && strings.ContainsAny(t[:1], "=+-@|%") || strings.HasPrefix(t, "＝") || strings.HasPrefix(t, "＋") ||
		strings.HasPrefix(t, "－") || strings.HasPrefix(t, "＠") {
		s = "'" + s
	}
	return s
}

// appendCell appends a cell of CSV (RFC 4180).
func appendCell(b []byte, s string) []byte {
	if !strings.ContainsAny(s, "\",;\t") && strings.TrimSpace(s) == s {
		return append(b, s...)
	}
	b = append(b, '"')
	b = append(b, strings.ReplaceAll(s, `"`, `""`)...)
	return append(b, '"')
}

// appendTable appends the lines of a table.
func appendTable(b []byte, columns []string, rows []row, end string) []byte {
	for _, r := range rows {
		for i, c := range columns {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendCell(b, cell(r[c]))
		}
		b = append(b, end...)
	}
	return b
}

// CSV returns weir's own table: a line for each site, route, pool and server, numbers in the units of the picture.
func CSV(p *picture.Picture) []byte {
	b := append([]byte(strings.Join(columns, ",")), "\r\n"...)
	return appendTable(b, columns, rowsOf(p), "\r\n")
}

// JSON returns the same table as {"at", "node", "columns", "rows": [{column: value, …}, …]}; what a line has nothing of is left out.
func JSON(p *picture.Picture) ([]byte, error) {
	return json.Marshal(struct {
		At      time.Time `json:"at"`
		Node    string    `json:"node"`
		Columns []string  `json:"columns"`
		Rows    []row     `json:"rows"`
	}{p.At, p.Node, columns, rowsOf(p)})
}

// Handler answers GET /stats.csv, /stats.json, and by the addresses that HAProxy's users have written into their checks: /haproxy;csv,
// /stats;csv, /;csv, and the same with ?stats;csv. now returns the latest picture, nil before there is one.
func Handler(now func() *picture.Picture) http.Handler {
	var kept packed.Answers
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := now()
		if p == nil {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "weir is being asked: try again in a second", http.StatusServiceUnavailable)
			return
		}
		var table *packed.Answer
		var err error
		kind := "text/csv; charset=utf-8"
		switch {
		case r.URL.Path == "/stats.json":
			kind = "application/json"
			table, err = kept.Get(p, "json", func() ([]byte, error) { return JSON(p) })
		case r.URL.Path == "/stats.csv":
			table, err = kept.Get(p, "csv", func() ([]byte, error) { return CSV(p), nil })
		case strings.HasSuffix(r.URL.Path, ";csv"), strings.Contains(";"+r.URL.RawQuery+";", ";csv;"):
			kind = "text/plain; charset=utf-8" // as HAProxy says
			table, err = kept.Get(p, "haproxy", func() ([]byte, error) { return HAProxy(p), nil })
		default:
			http.NotFound(w, r)
			return
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		table.Serve(w, r, kind)
	})
}

// Patterns are the addresses of Handler.
var Patterns = []string{"GET /stats.csv", "GET /stats.json", "GET /haproxy;csv", "GET /stats;csv", "GET /;csv", "GET /haproxy"}
