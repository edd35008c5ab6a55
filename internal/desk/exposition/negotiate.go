package exposition

import (
	"strconv"
	"strings"
)

// format is one of the formats.
type format uint8

const (
	plain format = iota
	openMetrics
	protobuf
	numFormats
)

// contentTypes are what the formats are called.
var contentTypes = [numFormats]string{
	"text/plain; version=0.0.4; charset=utf-8",
	"application/openmetrics-text; version=1.0.0; charset=utf-8",
	"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
}

// maxAccept bounds what of a field is looked at.
const maxAccept = 2000

// choose returns the format that a client likes best (RFC 9110, section 12.5.1). Who says nothing that is known gets text.
func choose(accept string) format {
	best, quality := plain, 0.0
	for part := range strings.SplitSeq(cutTo(accept, maxAccept), ",") {
		media, rest, _ := strings.Cut(part, ";")
		q, params := 1.0, map[string]string{}
		for rest != "" {
			var p string
			p, rest, _ = strings.Cut(rest, ";")
			name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
			params[strings.ToLower(name)] = strings.Trim(value, `"`)
		}
		if v, ok := params["q"]; ok {
			n, err := strconv.ParseFloat(v, 64)
			if err != nil || !(n >= 0 && n <= 1) {
				continue
			}
			q = n
		}
		if f, ok := formatOf(strings.ToLower(strings.TrimSpace(media)), params); ok && q > quality {
			best, quality = f, q
		}
	}
	return best
}

func formatOf(media string, params map[string]string) (format, bool) {
	version, versioned := params["version"]
	switch media {
	case "application/vnd.google.protobuf":
		return protobuf, params["proto"] == "io.prometheus.client.MetricFamily" && params["encoding"] == "delimited"
	case "application/openmetrics-text":
		return openMetrics, !versioned || version == "1.0.0" || version == "0.0.1"
	case "text/plain":
		return plain, !versioned || version == "0.0.4"
	case "*/*", "text/*":
		return plain, true
	}
	return plain, false
}

func cutTo(s string, n int) string { return s[:min(len(s), n)] }
