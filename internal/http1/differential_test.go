package http1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/message"
)

// These tests hold this parser against net/http's. Each kind of difference has its explanation here; one that has none
// fails the test, and so does an explanation that nothing needs.

// laxerRequests says why net/http takes a request that is refused here.
var laxerRequests = map[fault]string{
	bareLF:           "takes a lone LF for a line's end (a MAY of RFC 9112, section 2.2)",
	methodCase:       "leaves case to the handler",
	connect:          "CONNECT is served by handlers that want it",
	lineTooLong:      "has one limit for the whole head",
	badTargetByte:    "url.Parse takes bytes over 0x7f and fragments",
	badTarget:        "takes CONNECT with a path (its RPC), and the authority form without a port",
	badScheme:        "takes any scheme",
	badPathByte:      "url.Parse takes what RFC 3986 does not",
	aboveRoot:        "leaves paths to ServeMux",
	asteriskMethod:   "takes * for any method",
	otherVersion:     "knows other major versions",
	headTooLarge:     "has the limit in Server",
	tooManyFields:    "has no limit on the number of lines",
	disguisedName:    "leaves names to the handler",
	noHost:           "ReadRequest leaves Host to Server",
	badHost:          "ReadRequest leaves Host to Server, and that knows only a set of bytes",
	hostDiffers:      "the target wins without a word",
	lengthAndCoding:  "Content-Length is dropped (a MAY of RFC 9112, section 6.3)",
	manyLengths:      "equal ones are merged (a MAY of RFC 9110, section 8.6)",
	paddedLength:     "the grammar allows leading zeros",
	codingInOld:      "HTTP/1.0 is read by its Content-Length (RFC 9112, section 6.1 calls it faulty)",
	traceBody:        "reads it",
	badExpect:        "Server answers 417",
	manyTypes:        "the first one counts",
	badConnection:    "members that are no tokens are skipped",
	connectionNames:  "no proxy: nothing is removed",
	spaceBeforeColon: "textproto keeps such names as they are, for Server and Transport to judge",
	obsFold:          "unfolds (RFC 9112, section 5.2 lets it)",
}

// stricterRequests says why net/http refuses what is taken here, by its words.
var stricterRequests = map[string]string{
	"malformed HTTP request": "leading empty lines are no request to it",
}

func TestRequestsDifferFromNetHTTP(t *testing.T) {
	used := map[fault]bool{}
	usedStricter := map[string]bool{}
	told := map[string]bool{}
	try := func(in []byte) {
		if why := requestDifference(in, used, usedStricter); why != "" && !told[why] {
			told[why] = true
			t.Errorf("%.300q: %s", in, why)
		}
	}
	for _, r := range requestRows {
		try([]byte(r.in))
	}
	for _, base := range []string{
		"GET /a/b%41c?d=e HTTP/1.1\r\nHost: a.example:80\r\nX-A: b\r\n\r\n",
		"POST http://a.example/a HTTP/1.1\r\nHost: a.example\r\nContent-Length: 12\r\nConnection: close\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
		"OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\nA: b\r\n\r\n",
	} {
		mutate(base, try)
	}
	for f := range laxerRequests {
		if !used[f] {
			t.Errorf("nothing needs the explanation for %q", faults[f].Reason)
		}
	}
	for text := range stricterRequests {
		if !usedStricter[text] {
			t.Errorf("nothing needs the explanation for %q", text)
		}
	}
}

// mutate calls f with text changed at every byte: another there, one more, one less, two swapped.
func mutate(text string, f func([]byte)) {
	const bytesThatMatter = "\x00\t\n\r \"#%,-./:;=?@A\\_a0 9+\x7f\x80"
	for i := range len(text) {
		for k := range len(bytesThatMatter) {
			f([]byte(text[:i] + bytesThatMatter[k:k+1] + text[i+1:]))
			f([]byte(text[:i] + bytesThatMatter[k:k+1] + text[i:]))
		}
		f([]byte(text[:i] + text[i+1:]))
		if i > 0 {
			f([]byte(text[:i-1] + text[i:i+1] + text[i-1:i] + text[i+1:]))
		}
		f([]byte(text[:i] + "\r\n" + text[i:]))
	}
}

func requestDifference(in []byte, used map[fault]bool, usedStricter map[string]bool) string {
	var ours message.Request
	n, err := ParseRequest(bytes.Clone(in), &ours, testLimits)
	theirs, theirErr := http.ReadRequest(bufio.NewReader(bytes.NewReader(in)))
	switch {
	case n == 0 && theirErr != nil:
		return ""
	case err != nil:
		f := faultOf(err)
		used[f] = true
		if laxerRequests[f] == "" {
			return fmt.Sprintf("refused (%s), net/http takes it", err.Reason)
		}
		return ""
	case n == 0:
		return "incomplete, net/http takes it"
	case theirErr != nil:
		for text := range stricterRequests {
			if strings.Contains(theirErr.Error(), text) {
				usedStricter[text] = true
				return ""
			}
		}
		return fmt.Sprintf("taken as %s, net/http: %v", describe(&ours), theirErr)
	}
	return sameRequest(&ours, theirs)
}

func faultOf(e *Error) fault {
	for f := range faults {
		if e == &faults[f] || e == &responseFaults[f] {
			return fault(f)
		}
	}
	return none
}

// sameRequest compares what both took.
func sameRequest(a *message.Request, b *http.Request) string {
	hostPort := string(a.Host)
	if len(a.Port) > 0 {
		hostPort += ":" + string(a.Port)
	}
	// They keep case, a trailing dot and an empty port.
	theirs := strings.ToLower(b.Host)
	theirs = strings.TrimSuffix(theirs, ":")
	theirs = regexp.MustCompile(`\.(:\d+)?$`).ReplaceAllString(theirs, "$1")
	length := int64(0)
	switch a.Body {
	case message.ByLength:
		length = a.Length
	case message.Chunked:
		length = -1
	}
	fields := 0
	for _, values := range b.Header {
		fields += len(values)
	}
	own := 0
	for _, l := range a.Fields.List {
		switch l.ID {
		case message.Host, message.TransferEncoding:
		default:
			own++
		}
	}
	if path := referencePath(b.RequestURI, a.Form); path != string(a.Path) {
		return fmt.Sprintf("path %q, by reference %q", a.Path, path)
	}
	switch {
	case string(a.MethodText) != b.Method:
		return fmt.Sprintf("method %q, theirs %q", a.MethodText, b.Method)
	case hostPort != theirs:
		return fmt.Sprintf("host %q, theirs %q", hostPort, theirs)
	case length != b.ContentLength:
		return fmt.Sprintf("length %d, theirs %d", length, b.ContentLength)
	case a.KeepAlive == b.Close && a.Minor == 1:
		return fmt.Sprintf("kept %v, theirs closed %v", a.KeepAlive, b.Close)
	case own != fields:
		return fmt.Sprintf("%d fields, theirs %d: %v", own, fields, b.Header)
	case string(a.Query) != b.URL.RawQuery:
		return fmt.Sprintf("query %q, theirs %q", a.Query, b.URL.RawQuery)
	}
	return ""
}

var encoded = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// referencePath normalises the path of a target in another way than the parser: by strings, on a stack.
func referencePath(target string, form message.Form) string {
	if form == message.AsteriskForm {
		return "*"
	}
	if form == message.AbsoluteForm {
		_, rest, _ := strings.Cut(target, "://")
		i := strings.IndexAny(rest, "/?")
		if i < 0 {
			return "/"
		}
		target = rest[i:]
	}
	path, _, _ := strings.Cut(target, "?")
	path = encoded.ReplaceAllStringFunc(path, func(e string) string {
		v, _ := strconv.ParseUint(e[1:], 16, 8)
		if c := byte(v); c == '-' || c == '.' || c == '_' || c == '~' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' && c < 0x80 {
			return string(rune(c))
		}
		return strings.ToUpper(e)
	})
	var stack []string
	segments := strings.Split(path, "/")
	for _, s := range segments {
		switch s {
		case "", ".":
		case "..":
			stack = stack[:len(stack)-1]
		default:
			stack = append(stack, s)
		}
	}
	out := "/" + strings.Join(stack, "/")
	switch last := segments[len(segments)-1]; {
	case out != "/" && (last == "" || last == "." || last == ".."):
		out += "/"
	}
	return out
}

// laxerResponses says why net/http takes a response that is refused here.
var laxerResponses = map[fault]string{
	bareLF:           "takes a lone LF for a line's end",
	bareCR:           "a CR without LF is taken into a value that is then trimmed",
	badStatusLine:    "white space around the status is trimmed",
	badStatus:        "any three digits",
	badReason:        "the reason is not looked at",
	otherVersion:     "knows other major versions",
	tooManyFields:    "has no limit on the number of lines",
	obsFold:          "unfolds (RFC 9112, section 5.2 lets it)",
	spaceBeforeColon: "textproto keeps such names as they are, for Server and Transport to judge",
	lengthAndCoding:  "Content-Length is dropped (RFC 9112, section 6.3)",
	manyLengths:      "equal ones are merged",
	paddedLength:     "the grammar allows leading zeros",
	codingInOld:      "the field is ignored in HTTP/1.0",
	badConnection:    "members that are no tokens are skipped",
}

func TestResponsesDifferFromNetHTTP(t *testing.T) {
	used := map[fault]bool{}
	told := map[string]bool{}
	try := func(in []byte, to message.Method) {
		if why := responseDifference(in, to, used); why != "" && !told[why] {
			told[why] = true
			t.Errorf("%.300q: %s", in, why)
		}
	}
	for _, r := range responseRows {
		try([]byte(r.in), r.to)
	}
	for _, base := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX-A: b\r\n\r\n",
		"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
		"HTTP/1.0 204\r\nConnection: keep-alive\r\n\r\n",
	} {
		mutate(base, func(in []byte) { try(in, message.GET) })
	}
	for f := range laxerResponses {
		if !used[f] {
			t.Errorf("nothing needs the explanation for %q", faults[f].Reason)
		}
	}
}

func responseDifference(in []byte, to message.Method, used map[fault]bool) string {
	var ours message.Response
	n, err := ParseResponse(bytes.Clone(in), to, &ours, testLimits)
	req := &http.Request{Method: "GET", URL: &url.URL{}}
	if to == message.HEAD {
		req.Method = "HEAD"
	}
	theirs, theirErr := http.ReadResponse(bufio.NewReader(bytes.NewReader(in)), req)
	switch {
	case n == 0 && theirErr != nil:
		return ""
	case err != nil:
		f := faultOf(err)
		used[f] = true
		if laxerResponses[f] == "" {
			return fmt.Sprintf("refused (%s), net/http takes it", err.Reason)
		}
		return ""
	case n == 0:
		return "incomplete, net/http takes it"
	case theirErr != nil:
		return fmt.Sprintf("taken as %s, net/http: %v", describeResponse(&ours), theirErr)
	}
	if ours.Status != theirs.StatusCode {
		return fmt.Sprintf("status %d, theirs %d", ours.Status, theirs.StatusCode)
	}
	bodiless := to == message.HEAD || ours.Status < 200 || ours.Status == 204 || ours.Status == 304
	length := ours.Length
	switch ours.Body {
	case message.Chunked, message.UntilClose:
		length = -1
	}
	if !bodiless && length != theirs.ContentLength {
		return fmt.Sprintf("length %d, theirs %d", length, theirs.ContentLength)
	}
	// They keep HTTP/1.0 never, and 204 and 1xx with framing fields always.
	if ours.KeepAlive && theirs.Close && ours.Minor == 1 {
		return "kept, theirs is closed"
	}
	return ""
}

// laxerChunks says why net/http takes a chunked body that is refused here.
var laxerChunks = map[fault]string{
	bareLF:           "takes a lone LF for a line's end",
	badChunkExt:      "extensions are cut off at the first semicolon and not looked at",
	obsFold:          "unfolds in trailers",
	trailerTooLarge:  "has other limits on trailers",
	spaceBeforeColon: "textproto keeps such names as they are, for Server and Transport to judge",
}

func TestChunksDifferFromNetHTTP(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	used := map[fault]bool{}
	usedStricter := map[string]bool{}
	told := map[string]bool{}
	try := func(in []byte) {
		if why := chunksDifference(t, head, in, used, usedStricter); why != "" && !told[why] {
			told[why] = true
			t.Errorf("%.300q: %s", in, why)
		}
	}
	for _, r := range chunkRows {
		try([]byte(r.in))
	}
	for _, base := range []string{
		"5\r\nhello\r\na;b=c\r\n0123456789\r\n0\r\n\r\n",
		"1;a=\"b\"\r\nx\r\n0\r\nX-Sum: 12\r\nA: b\r\n\r\n",
	} {
		mutate(base, try)
	}
	for f := range laxerChunks {
		if !used[f] {
			t.Errorf("nothing needs the explanation for %q", faults[f].Reason)
		}
	}
	for text := range stricterChunks {
		if !usedStricter[text] {
			t.Errorf("nothing needs the explanation for %q", text)
		}
	}
}

// stricterChunks says why net/http refuses a chunked body that is taken here.
var stricterChunks = map[string]string{
	"invalid byte in chunk length": "white space before the semicolon, which RFC 9112, section 7.1.1 tells recipients to take",
}

func chunksDifference(t *testing.T, head string, in []byte, used map[fault]bool, usedStricter map[string]bool) string {
	var d Decoder
	d.Reset(message.Chunked, 0, testLimits)
	_, ours := decodeBody(t, &d, in)
	req, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(head), bytes.NewReader(in))))
	if err != nil {
		return err.Error()
	}
	theirs, theirErr := io.ReadAll(req.Body)
	reason, refused := strings.CutPrefix(ours, "! ")
	switch {
	case (refused || ours == "more") && theirErr != nil:
		return ""
	case refused:
		for f := range faults {
			if faults[f].Reason == reason {
				used[fault(f)] = true
				if laxerChunks[fault(f)] != "" {
					return ""
				}
			}
		}
		return fmt.Sprintf("refused (%s), net/http takes it", reason)
	case ours == "more":
		return "incomplete, net/http takes it"
	case theirErr != nil:
		for text := range stricterChunks {
			if strings.Contains(theirErr.Error(), text) {
				usedStricter[text] = true
				return ""
			}
		}
		return fmt.Sprintf("taken, net/http: %v", theirErr)
	}
	if data, _, _ := strings.Cut(ours, "|"); data != string(theirs) {
		return fmt.Sprintf("data %q, theirs %q", data, theirs)
	}
	return ""
}
