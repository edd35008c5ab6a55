package http1

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/message"
)

// A chunkRow is a chunked body and what comes out: its data, then its trailers; or a reason.
type chunkRow struct{ in, want string }

var chunkRows = []chunkRow{
	{"0\r\n\r\n", ""},
	{"5\r\nhello\r\n0\r\n\r\n", "hello"},
	{"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"},
	{"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789"},
	{"0005\r\nhello\r\n000\r\n\r\n", "hello"},
	{"0000000000000005\r\nhello\r\n0\r\n\r\n", "hello"},
	{"2\r\n\r\n\r\n0\r\n\r\n", "\r\n"},
	{"5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"},

	// Extensions.
	{"5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello"},
	{"5;a=b;c=\"d;\\\"\\\\\t e\"\r\nhello\r\n0\r\n\r\n", "hello"},
	{"5 ; a = b ;\tc\r\nhello\r\n0\r\n\r\n", "hello"},
	{"5;a=\"\"\r\nhello\r\n0\r\n\r\n", "hello"},
	{"5;a=\"\x80\"\r\nhello\r\n0\r\n\r\n", "hello"},
	{"5;a=\"b\" ;c\r\nhello\r\n0\r\n\r\n", "hello"},
	{"5;" + strings.Repeat("a", maxChunkLine-4) + "\r\nhello\r\n0\r\n\r\n", "hello"},
	{"5;" + strings.Repeat("a", maxChunkLine), "! chunk extensions too long"},
	{strings.Repeat("1;"+strings.Repeat("a", 1000)+"\r\nx\r\n", 17), "! chunk extensions too long"},
	{"5;\r\nhello\r\n0\r\n\r\n", "! malformed chunk extension"},
	{"5; \r\nhello\r\n0\r\n\r\n", "! malformed chunk extension"},
	{"5;;a\r\nhello\r\n0\r\n\r\n", "! malformed chunk extension"},
	{"5;a;\r\nhello\r\n0\r\n\r\n", "! malformed chunk extension"},
	{"5;=b\r\nhello\r\n0\r\n\r\n", "! malformed chunk extension"},
	{"5;a=\r\nhello\r\n0\r\n\r\n", "! malformed chunk extension"},
	{"5;a=;b\r\nhello\r\n0\r\n\r\n", "! malformed chunk extension"},
	{"5;a b\r\nhello\r\n0\r\n\r\n", "! malformed chunk extension"},
	{"5;a \r\nhello\r\n0\r\n\r\n", "! malformed chunk extension"},
	{"5;a=b \r\nhello\r\n0\r\n\r\n", "! malformed chunk extension"},
	{"5;a=b c\r\nhello\r\n0\r\n\r\n", "! malformed chunk extension"},
	{"5;a=b=c\r\nhello\r\n0\r\n\r\n", "! malformed chunk extension"},
	{"5;a[=b\r\nhello\r\n0\r\n\r\n", "! malformed chunk extension"},
	{"5;a=\"b\r\nhello\r\n0\r\n\r\n", "! malformed chunk extension"},
	{"5;a=\"b\\\r\nhello\r\n0\r\n\r\n", "! malformed chunk extension"},
	{"5;a=\"b\"c\r\nhello\r\n0\r\n\r\n", "! malformed chunk extension"},
	{"5;a=\"\x00\"\r\nhello\r\n0\r\n\r\n", "! malformed chunk extension"},
	{"5;a\x00\r\nhello\r\n0\r\n\r\n", "! malformed chunk extension"},
	{"5;a=\xc3\xa9\r\nhello\r\n0\r\n\r\n", "! malformed chunk extension"},
	{"5;a\nhello\r\n0\r\n\r\n", "! a line ends without CR"},
	{"5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", "! a line ends without CR"},
	{"5;a\rb\r\nhello\r\n0\r\n\r\n", "! a CR without LF"},
	{"2;\n61\r\nxx\r\n0\r\n\r\n", "! a line ends without CR"},

	// Sizes.
	{"\r\nhello\r\n0\r\n\r\n", "! malformed chunk size"},
	{" 5\r\nhello\r\n0\r\n\r\n", "! malformed chunk size"},
	{"\t5\r\nhello\r\n0\r\n\r\n", "! malformed chunk size"},
	{"5 \r\nhello\r\n0\r\n\r\n", "! malformed chunk extension"},
	{"5\t\r\nhello\r\n0\r\n\r\n", "! malformed chunk extension"},
	{"5 5\r\nhello\r\n0\r\n\r\n", "! malformed chunk extension"},
	{"+5\r\nhello\r\n0\r\n\r\n", "! malformed chunk size"},
	{"-5\r\nhello\r\n0\r\n\r\n", "! malformed chunk size"},
	{"0x5\r\nhello\r\n0\r\n\r\n", "! malformed chunk size"},
	{"0X5\r\nhello\r\n0\r\n\r\n", "! malformed chunk size"},
	{"1_0\r\nhello\r\n0\r\n\r\n", "! malformed chunk size"},
	{"5g\r\nhello\r\n0\r\n\r\n", "! malformed chunk size"},
	{"5.\r\nhello\r\n0\r\n\r\n", "! malformed chunk size"},
	{"5h\r\nhello\r\n0\r\n\r\n", "! malformed chunk size"},
	{"\"5\"\r\nhello\r\n0\r\n\r\n", "! malformed chunk size"},
	{"5\x00\r\nhello\r\n0\r\n\r\n", "! malformed chunk size"},
	{"5\x0b\r\nhello\r\n0\r\n\r\n", "! malformed chunk size"},
	{"\xef\xbc\x95\r\nhello\r\n0\r\n\r\n", "! malformed chunk size"},
	{";a\r\nhello\r\n0\r\n\r\n", "! malformed chunk size"},
	{"g\r\n", "! malformed chunk size"},
	{"\n5\r\nhello\r\n0\r\n\r\n", "! malformed chunk size"},
	{"8000000000000000\r\n", "! chunk size too large"},
	{"FFFFFFFFFFFFFFFF\r\n", "! chunk size too large"},
	{"FFFFFFFFFFFFFFFF0\r\nhello\r\n0\r\n\r\n", "! chunk size too large"},
	{"10000000000000005\r\nhello\r\n0\r\n\r\n", "! chunk size too large"},
	{"00000000000000005\r\nhello\r\n0\r\n\r\n", "! chunk size too large"},

	// Line ends.
	{"5\nhello\r\n0\r\n\r\n", "! a line ends without CR"},
	{"5\rhello\r\n0\r\n\r\n", "! a CR without LF"},
	{"5\r\r\nhello\r\n0\r\n\r\n", "! a CR without LF"},
	{"5\r\nhello\n0\r\n\r\n", "! chunk data does not end with CRLF"},
	{"5\r\nhello0\r\n\r\n", "! chunk data does not end with CRLF"},
	{"5\r\nhelloXX\r\n0\r\n\r\n", "! chunk data does not end with CRLF"},
	{"5\r\nhello\rX0\r\n\r\n", "! chunk data does not end with CRLF"},
	{"5\r\nhello\r\r\n0\r\n\r\n", "! chunk data does not end with CRLF"},
	{"5\r\nhel\r\n0\r\n\r\n", "! chunk data does not end with CRLF"},
	{"5\r\nhello\r\n\r\n0\r\n\r\n", "! malformed chunk size"},
	{"0\n\n", "! a line ends without CR"},
	{"0\r\n\n", "! a line ends without CR"},
	{"0\r\n\r\r\n", "! a CR without LF"},
	{"0\r\n\rX", "! a CR without LF"},

	// Trailers.
	{"5\r\nhello\r\n0\r\nX-Sum:  abc \r\nEtag: \"x\"\r\n\r\n", "hello|X-Sum=abc|Etag=\"x\""},
	{"0\r\nEmpty:\r\n\r\n", "|Empty="},
	{"0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: b\r\nX-A: b\r\n\r\n", "|X-A=b"},
	{"0\r\nAuthorization: a\r\nCookie: a\r\nSet-Cookie: a\r\nContent-Type: a/b\r\nTrailer: x\r\n\r\n", ""},
	{"0\r\nX-Forwarded-For: a\r\nX_Forwarded_For: a\r\nX-Real-IP: a\r\nContent_Length: 5\r\nWWW-Authenticate: x\r\n\r\n", ""},
	{"0\r\nConnection: close\r\nUpgrade: x\r\nTE: x\r\nExpect: 100-continue\r\nRange: bytes=0-\r\n\r\n", ""},
	{"0\r\nmy_field: b\r\n\r\n", "|my_field=b"},
	{"0\r\nX-A : b\r\n\r\n", "! white space between a field name and its colon"},
	{"0\r\n X-A: b\r\n\r\n", "! white space before the first field"},
	{"0\r\nX-A: b\r\n c\r\n\r\n", "! folded field line"},
	{"0\r\nX-A\r\n\r\n", "! field line without a colon"},
	{"0\r\n: b\r\n\r\n", "! empty field name"},
	{"0\r\nX-A: b\n\r\n", "! a line ends without CR"},
	{"0\r\nX-A: b\rc\r\n\r\n", "! a CR without LF"},
	{"0\r\nX-A: b\x00\r\n\r\n", "! control character in a field value"},
	{"0\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "! white space between a field name and its colon"},
	{"0\r\n" + strings.Repeat("A: b\r\n", 100) + "\r\n", strings.Repeat("|A=b", 100)},
	{"0\r\n" + strings.Repeat("A: b\r\n", 101) + "\r\n", "! trailer section too large"},
	{"0\r\nA: " + strings.Repeat("b", 16<<10), "! trailer section too large"},
	{"0\r\n" + strings.Repeat("b", 100_000), "! trailer section too large"},
}

// decode feeds the pieces to a decoder and says what came out and how many bytes it took; "more" when the body does not
// end.
func decodeBody(t testing.TB, d *Decoder, pieces ...[]byte) (used int, got string) {
	var data []byte
	for _, p := range pieces {
		for len(p) > 0 && !d.Done() {
			view, n, err := d.Next(p)
			if err != nil {
				if view != nil || n != 0 {
					t.Fatalf("data with an error")
				}
				if _, _, again := d.Next(p); again != err {
					t.Fatalf("error %v became %v", err, again)
				}
				return 0, "! " + err.Reason
			}
			if len(view) > n || n > len(p) {
				t.Fatalf("Next(%d bytes) = %d bytes, n = %d", len(p), len(view), n)
			}
			if len(view) > 0 && &view[len(view)-1] != &p[n-1] && !bytes.Contains(p[:n], view) {
				t.Fatalf("data is no view into the input")
			}
			data = append(data, view...)
			p = p[n:]
			used += n
			if n == 0 {
				t.Fatalf("no progress on %q", p)
			}
		}
	}
	if !d.Done() {
		return used, "more"
	}
	got = string(data)
	for _, f := range d.Trailers().List {
		got += fmt.Sprintf("|%s=%s", f.Name, f.Value)
	}
	return used, got
}

func TestChunked(t *testing.T) {
	var d Decoder
	for _, r := range chunkRows {
		for _, behind := range []string{"", "GET / HTTP/1.1\r\n"} {
			d.Reset(message.Chunked, 0, testLimits)
			used, got := decodeBody(t, &d, []byte(r.in+behind))
			if got != r.want {
				t.Errorf("%.200q: got %.200q, want %.200q", r.in, got, r.want)
			} else if r.want == "" || r.want[0] != '!' {
				if used != len(r.in) {
					t.Errorf("%.200q: used %d of %d bytes", r.in, used, len(r.in))
				}
			}
		}
	}
}

func TestChunkedCutAnywhere(t *testing.T) {
	var d Decoder
	for _, r := range chunkRows {
		d.Reset(message.Chunked, 0, testLimits)
		var single [][]byte
		for i := range len(r.in) {
			single = append(single, []byte{r.in[i]})
		}
		if _, got := decodeBody(t, &d, single...); got != r.want {
			t.Errorf("%.200q byte by byte: got %.200q, want %.200q", r.in, got, r.want)
		}
		if len(r.in) > 2000 {
			continue
		}
		for i := range len(r.in) {
			d.Reset(message.Chunked, 0, testLimits)
			if _, got := decodeBody(t, &d, []byte(r.in[:i]), []byte(r.in[i:])); got != r.want {
				t.Errorf("%.200q cut at %d: got %.200q, want %.200q", r.in, i, got, r.want)
			}
		}
		if r.want != "" && r.want[0] == '!' {
			continue
		}
		for i := range len(r.in) {
			d.Reset(message.Chunked, 0, testLimits)
			if _, got := decodeBody(t, &d, []byte(r.in[:i])); got != "more" {
				t.Errorf("%.200q ends at %d: %q", r.in, i, got)
			}
			if err := d.EOF(); err != &faults[bodyCut] {
				t.Errorf("%.200q closed at %d: %v", r.in, i, err)
			}
		}
	}
}

// Signatures of chunks, as some clients of object stores send them, must pass however long the body is.
func TestSignedChunks(t *testing.T) {
	var in []byte
	for range 300 {
		in = append(in, "2000;chunk-signature="+strings.Repeat("a", 64)+"\r\n"...)
		in = append(in, make([]byte, 0x2000)...)
		in = append(in, '\r', '\n')
	}
	in = AppendLastChunk(in, nil)
	var d Decoder
	d.Reset(message.Chunked, 0, testLimits)
	if used, got := decodeBody(t, &d, in); used != len(in) || len(got) != 300*0x2000 {
		t.Fatalf("used %d of %d: %.40q", used, len(in), got)
	}
}

func TestDecoderFramings(t *testing.T) {
	var d Decoder
	d.Reset(message.NoBody, 0, testLimits)
	if data, n, err := d.Next([]byte("x")); !d.Done() || data != nil || n != 0 || err != nil || d.EOF() != nil {
		t.Error("NoBody")
	}
	d.Reset(message.ByLength, 5, testLimits)
	if n, known := d.Remaining(); n != 5 || !known || d.Done() {
		t.Error("ByLength at its start")
	}
	if err := d.EOF(); err != &faults[bodyCut] {
		t.Error("cut request:", err)
	}
	data, n, err := d.Next([]byte("he"))
	if left, _ := d.Remaining(); string(data) != "he" || n != 2 || err != nil || left != 3 {
		t.Errorf("ByLength: %q %d %v", data, n, err)
	}
	data, n, err = d.Next([]byte("lloGET"))
	if string(data) != "llo" || n != 3 || err != nil || !d.Done() || d.EOF() != nil {
		t.Errorf("ByLength: %q %d %v", data, n, err)
	}
	d.Reset(message.ByLength, 0, testLimits)
	if !d.Done() {
		t.Error("ByLength of none")
	}
	d.ResetResponse(message.ByLength, 5, testLimits)
	if err := d.EOF(); err == nil || err.Status != 502 {
		t.Error("cut response:", err)
	}
	d.ResetResponse(message.UntilClose, 0, testLimits)
	data, n, err = d.Next([]byte("hello"))
	if _, known := d.Remaining(); string(data) != "hello" || n != 5 || err != nil || d.Done() || known {
		t.Errorf("UntilClose: %q %d %v", data, n, err)
	}
	if d.EOF() != nil || !d.Done() {
		t.Error("UntilClose at its end")
	}
	d.ResetResponse(message.Chunked, 0, testLimits)
	if _, _, err := d.Next([]byte("x")); err == nil || err.Status != 502 {
		t.Error("malformed response:", err)
	}
}

func TestChunksRoundTrip(t *testing.T) {
	var trailers message.Fields
	trailers.Add(message.Other, []byte("X-Sum"), []byte("1"))
	var buf []byte
	for _, data := range []string{"a", strings.Repeat("b", 70000), "c"} {
		buf = AppendChunk(buf, len(data))
		buf = append(buf, data+"\r\n"...)
	}
	buf = AppendLastChunk(buf, &trailers)
	var d Decoder
	d.Reset(message.Chunked, 0, testLimits)
	if _, got := decodeBody(t, &d, buf); got != "a"+strings.Repeat("b", 70000)+"c|X-Sum=1" {
		t.Errorf("%.100q", got)
	}
}
