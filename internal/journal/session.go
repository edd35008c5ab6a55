package journal

import "strconv"

// appendSession appends the line of a session of TCP as one JSON object, likewise always valid and on one line.
func appendSession(dst []byte, l *Line) []byte {
	dst = append(dst, `{"time":"`...)
	dst = appendRFC3339(dst, l.Time)
	dst = append(dst, `","client":"`...)
	dst = appendClient(dst, l.Client, "unix")
	dst = append(dst, `","protocol":"TCP","listen":`...)
	dst = appendQuoted(dst, l.Listen)
	dst = appendText(dst, `,"name":`, l.Name)
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(l.Status), 10)
	dst = append(dst, `,"out":`...)
	dst = strconv.AppendInt(dst, l.Out, 10)
	dst = append(dst, `,"in":`...)
	dst = strconv.AppendInt(dst, l.In, 10)
	dst = append(dst, `,"id":`...)
	dst = appendQuoted(dst, l.ID)
	dst = appendText(dst, `,"pool":`, l.Pool)
	dst = appendText(dst, `,"server":`, l.Server)
	dst = appendText(dst, `,"cause":`, l.Cause.String())
	dst = appendText(dst, `,"detail":`, l.Detail)
	if l.Retries > 0 {
		dst = append(dst, `,"retries":`...)
		dst = strconv.AppendInt(dst, int64(l.Retries), 10)
	}
	dst = append(dst, `,"total_ms":`...)
	dst = appendMillis(dst, l.Total)
	dst = appendPhase(dst, `,"queue_ms":`, l.Queue)
	dst = appendPhase(dst, `,"connect_ms":`, l.Connect)
	return append(appendSampled(dst, `,"sample":`, l), "}\n"...)
}

// appendAddressed appends what stands in the place of the request line: where the session came to, and whom it asked for.
func appendAddressed(dst []byte, l *Line) []byte {
	dst = append(dst, "TCP "...)
	dst = appendEscaped(dst, []byte(l.Listen))
	if l.Name != "" {
		dst = append(dst, ' ')
		dst = appendEscaped(dst, []byte(l.Name))
	}
	return dst
}
