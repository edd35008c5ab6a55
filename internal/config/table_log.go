package config

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/journal/filter"
	"github.com/weirhq/weir/internal/journal/sink"
)

func logObject(t *table) *object[Log] {
	access := accessObject(t)
	o := newObject[Log](t, "log", "log", "What is written where.")
	o.such = `{access: {to: /var/log/weir/access.log}}`
	one := short(access.kind(), logTargetKind(), false, func(_ *decoder, _ value, to string) AccessLog {
		a := access.zero
		a.To = to
		return a
	})
	one.words = access.kind().words
	all := list(one, "a mapping (to or format …), or a list of them", true, true)
	read := all.read
	all.read = func(d *decoder, v value) ([]AccessLog, bool) {
		if v.isNull() { // the key alone
			return []AccessLog{access.zero}, true
		}
		return read(d, v)
	}
	addTo(o, "access", all, func(l *Log, all []AccessLog) {
		l.Access = slices.DeleteFunc(all, func(a AccessLog) bool { return a.To == "none" })
	}, `{to: stdout}`, "One line for each request, in one place or in several. [] and none are nowhere.")
	add(o, "level", enumKind("debug", "info", "warn", "error"), func(l *Log) *string { return &l.Level }, "info",
		"What weir says of itself, on its standard error: this and what is graver.")
	add(o, "slow", durationKind(time.Millisecond), func(l *Log) *time.Duration { return &l.Slow }, "1s",
		"From when on a request is slow: the last slow, failed and refused ones are kept for `weir log --recent`, and `sample` leaves none of them out.")
	add(o, "redact", redactObject(t).kind(), func(l *Log) *journal.Redaction { return &l.Redact }, "",
		"What of requests is told nowhere: in no access log and not by `weir log`. Cookies, and fields other than Referer and User-Agent, never are.")
	o.done = func(d *decoder, _ value, given map[string]value, l *Log) {
		for i, a := range l.Access {
			to, err := journal.ParseTarget(a.To)
			if err == nil && to.Kind == journal.ToFile && slices.ContainsFunc(l.Access[:i], func(o AccessLog) bool { return o.To == a.To }) {
				d.failKey(given["access"], "two access logs write to "+a.To+": each would rotate it from under the other", "write another file for one of them")
			}
		}
	}
	return o
}

func accessObject(t *table) *object[AccessLog] {
	o := newObject[AccessLog](t, "access_log", "log.access", "One line for each request.")
	add(o, "to", logTargetKind(), func(a *AccessLog) *string { return &a.To }, "stdout",
		"Where the lines go: stdout, stderr, a file (opened for appending), journald, syslog (/dev/log), syslog://HOST:PORT (UDP), syslog+tcp://HOST:PORT, syslog+unix:///PATH.")
	add(o, "format", formatKind(), func(a *AccessLog) *string { return &a.Format }, "json",
		"json; combined, which is that of Apache and nginx with the request's id at the end; a list of fields, which makes JSON of just these; or text with fields in it, such as "+
			"`'{time} {client} {status} \"{method} {target}\"'`.")
	add(o, "filter", filterKind(), func(a *AccessLog) *string { return &a.Filter }, "",
		"Only requests that this says are written, as with `weir log`.")
	rotate := newObject[sink.Rotation](t, "log_rotate", "rotate of log.access", "When a file is renamed and a new one begun, and what becomes of old ones.")
	rotate.such = `{every: 1d, keep: 14}`
	add(rotate, "size", sizeKind[int64](1<<20, 1<<50), func(r *sink.Rotation) *int64 { return &r.Size }, "", "When it has this size.")
	add(rotate, "every", durationKind(time.Minute), func(r *sink.Rotation) *time.Duration { return &r.Every }, "",
		"When it is this old. 1d is midnight, local time; 1h the full hour.")
	add(rotate, "keep", intKind(0, 10000), func(r *sink.Rotation) *int { return &r.Keep }, "14", "How many old files are kept. 0: all.")
	add(rotate, "compress", boolKind(), func(r *sink.Rotation) *bool { return &r.Compress }, "true", "Whether old files are compressed (gzip), aside from traffic.")
	rotate.done = func(d *decoder, at value, given map[string]value, _ *sink.Rotation) {
		_, size := given["size"]
		if _, every := given["every"]; !size && !every {
			d.failKey(at, "rotate without size and every", "write when: {size: 100MiB}, {every: 1d}, or both")
		}
	}
	add(o, "rotate", mapped(rotate.kind(), "write {every: 1d, keep: 14}, or {size: 100MiB}"), func(a *AccessLog) *sink.Rotation { return &a.Rotate }, "",
		"Rotation of a file by weir itself. Without it, rename the file and say `weir reopen`.")
	o.zero.Rotate = sink.Rotation{}
	add(o, "sample", sampleObject(t).kind(), func(a *AccessLog) *[6]float64 { return &a.Sample }, "",
		"Which share of lines is written, by class of status. Each line says its share in `sample`. Slow requests and failures are always written.")
	add(o, "facility", enumKind(sink.Facilities...), func(a *AccessLog) *string { return &a.Facility }, "daemon", "Of syslog.")
	o.done = finishAccess
	return o
}

// finishAccess refuses what the target has not.
func finishAccess(d *decoder, _ value, given map[string]value, a *AccessLog) {
	to, err := journal.ParseTarget(a.To)
	if err != nil {
		return // it was reported
	}
	if r, ok := given["rotate"]; ok && to.Kind != journal.ToFile {
		d.failKey(r, "rotate for "+a.To+", which is no file", "take it out: whoever reads it rotates")
	}
	if f, ok := given["facility"]; ok && to.Kind != journal.ToSyslog {
		d.failKey(f, "facility for "+a.To, "take it out: only syslog has facilities")
	}
}

// sampleObject has a key for each class of status.
func sampleObject(t *table) *object[[6]float64] {
	o := newObject[[6]float64](t, "log_sample", "sample of log.access", "Which share of lines is written, by class of status. What is not named is written whole.")
	o.such = `{2xx: 1%}`
	for class := 1; class <= 5; class++ {
		name := strconv.Itoa(class) + "xx"
		addTo(o, name, percentKind(0, 100, 100), func(s *[6]float64, hundredths int) {
			if s[class] = float64(hundredths) / 10000; hundredths == 0 {
				s[class] = -1
			}
		}, "", "Of responses with "+name+".")
	}
	o.zero = [6]float64{}
	return o
}

func redactObject(t *table) *object[journal.Redaction] {
	o := newObject[journal.Redaction](t, "log_redact", "redact of log", "What of requests is told nowhere.")
	o.such = `{client: truncate, query: [token]}`
	rules := []string{"keep", "truncate", "hide"}
	client := convert(enumKind(rules...), func(s string) journal.ClientRule { return journal.ClientRule(max(slices.Index(rules, s), 0)) })
	add(o, "client", client, func(r *journal.Redaction) *journal.ClientRule { return &r.Client }, "keep",
		"The client's address. truncate keeps the first 24 bits of it, 48 of IPv6; hide writes 0.0.0.0.")
	addTo(o, "fields", list(enumKind("host", "query", "referer", "user_agent"), "a list of host, query, referer, user_agent", true, true),
		func(r *journal.Redaction, names []string) {
			r.Host, r.Query = slices.Contains(names, "host"), slices.Contains(names, "query")
			r.Referer, r.UserAgent = slices.Contains(names, "referer"), slices.Contains(names, "user_agent")
		}, "", "What is left out whole. query is all behind the ?, of the Referer too.")
	add(o, "query", list(patternKind(`a name such as token or "*secret*"`), "a list of names of parameters", true, true), func(r *journal.Redaction) *[]string { return &r.Parameters }, "",
		"Parameters of queries whose values are left out, of the Referer too. * is anything; upper and lower case are the same.")
	path := patternKind("a path such as /reset/*")
	read := path.read
	path.read = func(d *decoder, v value) (string, bool) {
		s, ok := read(d, v)
		if ok && (!strings.HasPrefix(s, "/") || !strings.Contains(s, "*")) {
			d.fail(v, v.name()+" is "+strconv.Quote(s)+", which has no / before it or no * in it", "write a path such as /reset/*: what stands for * is left out")
			return "", false
		}
		return s, ok
	}
	add(o, "path", list(path, "a list of paths such as /reset/*", true, true), func(r *journal.Redaction) *[]string { return &r.Paths }, "",
		"Paths in which what stands for * is left out, for secrets in links.")
	return o
}

// patternKind is text that is not empty.
func patternKind(words string) kind[string] {
	k := textKind(words)
	read := k.read
	k.read = func(d *decoder, v value) (string, bool) {
		s, ok := read(d, v)
		if ok && s == "" {
			d.fail(v, v.name()+" is empty", "write "+words)
			return "", false
		}
		return s, ok
	}
	return k
}

func filterKind() kind[string] {
	const words = "a filter such as status>=400 or time>1s"
	return kind[string]{words: words, shape: textShape(), read: func(d *decoder, v value) (string, bool) {
		text, ok := d.text(v, words)
		if !ok {
			return "", false
		}
		_, err := filter.Parse(text)
		if bad := (*filter.Error)(nil); errors.As(err, &bad) {
			message, hint := unknownField(bad.Text, filter.Fields())
			d.failWithin(v, text, bad.Column-1, 1, message, cmp.Or(hint, "write "+words))
			return "", false
		}
		return text, true
	}}
}

// unknownField divides what a language says into what is wrong and what to write. Of many fields, the one that was meant is named.
func unknownField(text string, fields []string) (message, hint string) {
	message, hint, _ = strings.Cut(text, ": ")
	if name, is := strings.CutPrefix(message, "no field "); is {
		if n := Nearest(strings.Trim(name, `"`), fields); n != "" {
			hint = "did you mean " + strconv.Quote(n) + "?"
		}
	}
	return message, hint
}

// formatKind is a format's name, a list of fields, or text with fields in it.
func formatKind() kind[string] {
	const words = "json, combined, a list of fields, or text such as '{client} {status}'"
	names := enumKind("json", "combined")
	return kind[string]{words: words, zero: "json", shape: &shape{AnyOf: []*shape{stringShape(), {Type: "array", Items: enumShape(journal.FormatFields())}}}, read: func(d *decoder, v value) (string, bool) {
		text := ""
		if v.isList() {
			fields, ok := list(enumKind(journal.FormatFields()...), "a list of fields", false, false).read(d, v)
			if !ok || len(fields) < len(v.node.Content) {
				return "", false
			}
			text = "json:" + strings.Join(fields, ",")
		} else {
			got, ok := d.text(v, words)
			if !ok {
				return "", false
			}
			if !strings.Contains(got, "{") {
				return names.read(d, v)
			}
			text = got
		}
		if _, err := journal.ParseFormat(text); err != nil {
			message, hint := unknownField(err.Error(), journal.FormatFields())
			d.fail(v, "format: "+message, cmp.Or(hint, "write "+words))
			return "", false
		}
		return text, true
	}}
}

func logTargetKind() kind[string] {
	k := pathKind("stdout, stderr, none, journald, syslog, or the path of a file")
	path := k.read
	k.read = func(d *decoder, v value) (string, bool) {
		if v.isScalar() {
			switch to := v.node.Value; to {
			case "stdout", "stderr", "none", "journald", "syslog":
				return to, true
			case "off", "no", "false":
				d.wrong(v, "none")
				return "", false
			case "on", "yes", "true":
				d.wrong(v, k.words)
				return "", false
			default:
				if where, is := strings.CutPrefix(to, "syslog:"); is && !strings.HasPrefix(where, "//") {
					d.wrong(v, "syslog://HOST:PORT, or syslog for /dev/log") // no file is called so
					return "", false
				}
			}
			if text, ok := d.text(v, k.words); ok && strings.Contains(text, "://") {
				if _, err := journal.ParseTarget(text); err != nil {
					what, write, _ := strings.Cut(err.Error(), ": ")
					d.fail(v, v.name()+": "+what, write)
					return "", false
				}
				return text, true
			}
		}
		file, ok := path(d, v)
		if ok {
			d.checkFolderOf(v, file)
		}
		return file, ok
	}
	return k
}
