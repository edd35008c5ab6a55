package http1

import (
	"bytes"
	"testing"

	"github.com/weirhq/weir/internal/message"
)

func FuzzRequest(f *testing.F) {
	for _, r := range requestRows {
		if len(r.in) < 2000 {
			f.Add([]byte(r.in))
		}
	}
	f.Add([]byte(browserRequest))
	lim := &Limits{Line: 200, Fields: 8, Head: 400}
	f.Fuzz(func(t *testing.T, in []byte) {
		whole := bytes.Clone(in)
		var req message.Request
		n, err := ParseRequest(whole, &req, lim)
		checkCuts(t, in, n, err, func(b []byte) (int, *Error) {
			var req message.Request
			return ParseRequest(b, &req, lim)
		})
		if err != nil || n == 0 {
			return
		}
		if !bytes.Equal(whole[n:], in[n:]) {
			t.Fatalf("bytes behind the head of %q were rewritten", in)
		}
		checkSafe(t, &req)
		// What is sent on is understood as what was received, and normal form is normal.
		again := bytes.Clone(rebuild(&req))
		var second message.Request
		n, err = ParseRequest(again, &second, &Limits{Line: 400, Fields: 9, Head: 800})
		if err != nil || n != len(again) {
			t.Fatalf("%q was understood, %q is not: %v", in, again, err)
		}
		second.Form = req.Form // the authority has become Host
		// What was ambiguous may have gone with the dot segments, as in "/\/..": it is told all the same, never the other way round.
		if second.Ambiguous&^req.Ambiguous != 0 {
			t.Fatalf("%q is %q, sent on it is ambiguous", in, describe(&req))
		}
		second.Ambiguous = req.Ambiguous
		if a, b := describe(&req), describe(&second); a != b {
			t.Fatalf("%q is %q, sent on %q", in, a, b)
		}
		if !bytes.Equal(again, rebuild(&second)) {
			t.Fatalf("%q is not stable: %q", again, rebuild(&second))
		}
	})
}

// rebuild writes a request as a proxy sends it on.
func rebuild(r *message.Request) []byte {
	target := bytes.Clone(r.Path)
	if r.HasQuery {
		target = append(append(target, '?'), r.Query...)
	}
	b := AppendRequestLine(nil, r.MethodText, target)
	if r.Minor == 0 {
		b = append(b[:len(b)-3], "0\r\n"...)
	}
	if len(r.Host) > 0 {
		value := r.Host
		if len(r.Port) > 0 {
			value = append(append(bytes.Clone(r.Host), ':'), r.Port...)
		}
		b = AppendField(b, "Host", value)
	}
	for _, l := range r.Fields.List {
		if l.ID != message.Host {
			b = AppendField(b, l.Name, l.Value)
		}
	}
	return append(b, '\r', '\n')
}

// checkCuts holds that a shorter input either gives the same outcome or asks for more.
func checkCuts(t *testing.T, in []byte, n int, err *Error, parse func([]byte) (int, *Error)) {
	if n < 0 || n > len(in) || n > 0 && err != nil {
		t.Fatalf("%q: n = %d, %v", in, n, err)
	}
	decided := false
	for i := range in {
		b := bytes.Clone(in[:i])
		cn, cerr := parse(b)
		switch {
		case cn == 0 && cerr == nil:
			if decided {
				t.Fatalf("%q cut at %d is open again", in, i)
			}
			if !bytes.Equal(b, in[:i]) {
				t.Fatalf("%q cut at %d was rewritten", in, i)
			}
		case cn != n || cerr != err:
			t.Fatalf("%q cut at %d: %d %v, whole: %d %v", in, i, cn, cerr, n, err)
		default:
			decided = true
		}
	}
}

// checkSafe holds the little that nobody can read in two ways, checked by other means than the parser's.
func checkSafe(t *testing.T, r *message.Request) {
	for _, part := range [][]byte{r.MethodText, r.Target, r.Host, r.Port, r.Path, r.Query} {
		for _, c := range part {
			if c <= ' ' || c >= 0x7f || c == '#' && !bytes.Equal(part, r.MethodText) {
				t.Fatalf("byte %#x in %q", c, part)
			}
		}
	}
	for _, c := range r.Host {
		if 'A' <= c && c <= 'Z' || bytes.IndexByte([]byte("/\\@?,*%\"<>"), c) >= 0 {
			t.Fatalf("host %q", r.Host)
		}
	}
	if r.Form != message.AsteriskForm {
		if len(r.Path) == 0 || r.Path[0] != '/' || bytes.Contains(r.Path, []byte("//")) ||
			bytes.Contains(append(bytes.Clone(r.Path), '/'), []byte("/../")) ||
			bytes.Contains(append(bytes.Clone(r.Path), '/'), []byte("/./")) {
			t.Fatalf("path %q", r.Path)
		}
		lower := bytes.ToLower(r.Path)
		for _, a := range []struct {
			text string
			flag message.Ambiguity
		}{{"%2f", message.EncodedSlash}, {"%00", message.EncodedNUL}, {"\\", message.Backslash}, {"%5c", message.Backslash},
			{"%0d", message.EncodedControl}, {"%0a", message.EncodedControl}, {"/..;", message.DotsWithParams}} {
			if bytes.Contains(lower, []byte(a.text)) && r.Ambiguous&a.flag == 0 {
				t.Fatalf("path %q is not told to be ambiguous", r.Path)
			}
		}
	}
	var hosts, lengths, codings int
	for _, l := range r.Fields.List {
		if !isToken(l.Name) || bytes.ContainsAny(l.Value, "\r\n\x00") || !bytes.Equal(l.Value, bytes.Trim(l.Value, " \t")) {
			t.Fatalf("field %q: %q", l.Name, l.Value)
		}
		switch string(bytes.ReplaceAll(bytes.ToLower(l.Name), []byte("_"), []byte("-"))) {
		case "host":
			hosts++
		case "content-length":
			lengths++
		case "transfer-encoding":
			codings++
		}
	}
	if hosts > 1 || lengths+codings > 1 || r.Minor == 1 && hosts == 0 {
		t.Fatalf("%d hosts, %d lengths, %d codings", hosts, lengths, codings)
	}
	if (r.Body == message.Chunked) != (codings == 1) || r.Body == message.ByLength && lengths == 0 || r.Body == message.UntilClose {
		t.Fatalf("framing %d with %d lengths, %d codings", r.Body, lengths, codings)
	}
}

func FuzzResponse(f *testing.F) {
	for _, r := range responseRows {
		if len(r.in) < 2000 {
			f.Add([]byte(r.in), uint8(r.to))
		}
	}
	f.Add([]byte(serverResponse), uint8(message.GET))
	lim := &Limits{Line: 200, Fields: 8, Head: 400}
	f.Fuzz(func(t *testing.T, in []byte, to uint8) {
		parse := func(b []byte) (int, *Error) {
			var resp message.Response
			return ParseResponse(b, message.Method(to), &resp, lim)
		}
		var resp message.Response
		n, err := ParseResponse(bytes.Clone(in), message.Method(to), &resp, lim)
		checkCuts(t, in, n, err, parse)
		if err != nil || n == 0 {
			return
		}
		if resp.Status < 100 || resp.Status > 599 || bytes.ContainsAny(resp.Reason, "\r\n\x00") {
			t.Fatalf("%q: %d %q", in, resp.Status, resp.Reason)
		}
		if resp.Body == message.UntilClose && resp.KeepAlive {
			t.Fatalf("%q is kept without an end", in)
		}
		if resp.Body == message.Chunked && (resp.Fields.Has(message.ContentLength) || resp.Minor == 0) {
			t.Fatalf("%q is chunked", in)
		}
		again := AppendStatusLine(nil, resp.Status)
		if resp.Minor == 0 {
			again[7] = '0'
		}
		for _, l := range resp.Fields.List {
			again = AppendField(again, l.Name, l.Value)
		}
		again = append(again, '\r', '\n')
		var second message.Response
		m, err := ParseResponse(again, message.Method(to), &second, &Limits{Line: 400, Fields: 8, Head: 800})
		if err != nil || m != len(again) {
			t.Fatalf("%q was understood, %q is not: %v", in, again, err)
		}
		// 204 and 1xx lose their framing fields, and with them the distrust.
		if second.KeepAlive != resp.KeepAlive && resp.Status >= 200 && resp.Status != 204 || second.Body != resp.Body ||
			second.Length != resp.Length || second.Status != resp.Status || len(second.Fields.List) != len(resp.Fields.List) {
			t.Fatalf("%q is %q, sent on %q", in, describeResponse(&resp), describeResponse(&second))
		}
	})
}

func FuzzChunked(f *testing.F) {
	for _, r := range chunkRows {
		if len(r.in) < 2000 {
			f.Add([]byte(r.in), uint8(3))
		}
	}
	lim := &Limits{Line: 200, Fields: 8, Head: 400}
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		var whole, pieces Decoder
		whole.Reset(message.Chunked, 0, lim)
		used, got := decodeBody(t, &whole, in)

		var cut [][]byte
		for p := in; len(p) > 0; {
			n := min(int(step)%16+1, len(p))
			cut = append(cut, bytes.Clone(p[:n]))
			p = p[n:]
		}
		pieces.Reset(message.Chunked, 0, lim)
		used2, got2 := decodeBody(t, &pieces, cut...)
		if got != got2 || used != used2 {
			t.Fatalf("%q: %q (%d), in steps of %d: %q (%d)", in, got, used, step%16+1, got2, used2)
		}
		if !whole.Done() {
			return
		}
		if used < 5 || string(in[used-2:used]) != "\r\n" {
			t.Fatalf("%q ends at %d", in, used)
		}
		for _, l := range whole.Trailers().List {
			if l.ID != message.Other && l.ID != message.ETag || !isToken(l.Name) || bytes.ContainsAny(l.Value, "\r\n\x00") {
				t.Fatalf("trailer %q: %q", l.Name, l.Value)
			}
		}
		// No line of the framing may end in anything but CRLF: a decoder that takes LF for an end agrees with us.
		if lax, ok := laxDecode(in[:used]); !ok || !bytes.HasPrefix([]byte(got), lax) {
			t.Fatalf("%q: %q, by another decoder %q", in, got, lax)
		}
	})
}

// laxDecode is how a careless neighbour decodes: up to the next LF, size up to the first byte that is no digit.
func laxDecode(in []byte) (data []byte, ok bool) {
	for {
		line, rest, found := bytes.Cut(in, []byte("\n"))
		if !found {
			return nil, false
		}
		size := 0
		for _, c := range line {
			if class[c]&hexDigit == 0 {
				break
			}
			size = size<<4 | int(hexValue[c])
		}
		if size == 0 {
			return data, true
		}
		if size < 0 || len(rest) < size+2 {
			return nil, false
		}
		data = append(data, rest[:size]...)
		in = rest[size+2:]
	}
}
