package hostile

import (
	"fmt"
	"strings"
)

// A row is what a client sends and what is to become of it.
type row struct {
	name string
	send string
	// What the client gets when the request is refused, or answered by weir: one of these. nil: a server answers.
	status []int
	// answered: weir answers it in peace, and the connection lives on.
	answered bool
	// What servers get, in order: "GET /x", or "POST /x | body".
	want []string
	// Names that must not be among the fields that the server gets, and lines that must.
	without, with string
	// The last bytes of send belong to a body that weir may refuse without waiting for it.
	last bool
}

const (
	host = "Host: a.test\r\n"
	evil = "GET /evil HTTP/1.1\r\nHost: a.test\r\n\r\n"
)

// refuse is a row that no server may hear of. It is 400 unless other statuses are named.
func refuse(name, send string, status ...int) row {
	if status == nil {
		status = []int{400}
	}
	return row{name: name, send: send, status: status}
}

func pass(name, send string, want ...string) row { return row{name: name, send: send, want: want} }

func answer(name, send string, status int) row {
	return row{name: name, send: send, status: []int{status}, answered: true}
}

// get is a GET of a target.
func get(target string) string { return "GET " + target + " HTTP/1.1\r\n" + host + "\r\n" }

// fields is a GET with further field lines.
func fields(lines string) string { return "GET /p HTTP/1.1\r\n" + host + lines + "\r\n" }

// post is a POST with further field lines and a body.
func post(lines, body string) string { return "POST /p HTTP/1.1\r\n" + host + lines + "\r\n" + body }

// chunked is a POST with a body in chunks.
func chunked(body string) string { return post("Transfer-Encoding: chunked\r\n", body) }

// corpus is all rows. Names are unique.
func corpus() []row {
	all := [][]row{framingRows(), codingRows(), lengthRows(), chunkRows(), lineRows(), nameRows(), valueRows(),
		hostRows(), versionRows(), methodRows(), formRows(), pathRows(), connectionRows(), sequenceRows(), limitRows(), validRows(), clientRows()}
	var rows []row
	seen := map[string]bool{}
	for _, part := range all {
		for _, r := range part {
			if seen[r.name] {
				panic("two rows are called " + r.name)
			}
			seen[r.name] = true
			rows = append(rows, r)
		}
	}
	return rows
}

// framingRows say in two ways where the body ends.
func framingRows() (rows []row) {
	// The body holds another request for those who read it by the other field.
	for i, lines := range []string{
		"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
		"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
		"Content-Length: 6\r\nTransfer-Encoding: identity\r\n",
		"Content-Length: 6\r\nTransfer-Encoding: chunked, identity\r\n",
		"Content-Length: 6\r\nTransfer-Encoding: gzip\r\n",
		"Content-Length: 6\r\nTransfer-Encoding:\r\n",
		"Content-Length: 6\r\ntransfer-encoding: CHUNKED\r\n",
		"Content-Length: 6\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n",
		"Content-Length: 6\r\nX: y\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n",
		"CONTENT-LENGTH: 6\r\nTRANSFER-ENCODING: chunked\r\n",
		"Content-Length: nothing\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 99999999999999999999\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length:\r\n",
		"Transfer-Encoding: nothing\r\nContent-Length: 6\r\n",
	} {
		rows = append(rows, refuse(fmt.Sprintf("length and coding %d", i), post(lines, "0\r\n\r\n"+evil)))
	}
	for i, lines := range []string{
		"Content-Length: 6\r\nContent-Length: 5\r\n",
		"Content-Length: 5\r\nContent-Length: 5\r\n",
		"Content-Length: 0\r\nContent-Length: 44\r\n",
		"Content-Length: 44\r\nContent-Length: 0\r\n",
		"Content-Length: 0\r\ncontent-length: 0\r\n",
		"Content-Length: 5\r\nX: y\r\nCoNtEnT-lEnGtH: 6\r\n",
		"Content-Length: 5\r\nContent-Length:\r\n",
		"Content-Length: 5\r\nContent-Length: x\r\n",
		"Content-Length: 5, 6\r\n",
		"Content-Length: 5,5\r\n",
		"Content-Length: 5, 5\r\n",
		"Content-Length: ,5\r\n",
		"Content-Length: 5,\r\n",
	} {
		rows = append(rows, refuse(fmt.Sprintf("two lengths %d", i), post(lines, "0\r\n\r\n"+evil)))
	}
	return append(rows,
		refuse("coding in HTTP/1.0", "POST /p HTTP/1.0\r\n"+host+"Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n"+evil),
		refuse("coding and length in HTTP/1.0", "POST /p HTTP/1.0\r\n"+host+"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+evil),
		refuse("GET with both", fields("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")+"0\r\n\r\n"+evil),
		refuse("HEAD with both", "HEAD /p HTTP/1.1\r\n"+host+"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+evil),
		refuse("TRACE with a length", "TRACE / HTTP/1.1\r\n"+host+"Content-Length: 3\r\n\r\nabc"+evil),
		refuse("TRACE with chunks", "TRACE / HTTP/1.1\r\n"+host+"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+evil),
		refuse("OPTIONS * with both", "OPTIONS * HTTP/1.1\r\n"+host+"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+evil),
	)
}

// codingRows name "chunked" in ways that some see and others do not.
func codingRows() (rows []row) {
	body := "2c\r\n" + evil + "xxxxx\r\n0\r\n\r\n"
	for _, c := range []struct {
		line   string
		status int
	}{
		{"Transfer-Encoding: xchunked", 501}, {"Transfer-Encoding: chunkedx", 501}, {"Transfer-Encoding: chunk", 501},
		{"Transfer-Encoding : chunked", 400}, {"Transfer-Encoding\t: chunked", 400}, {" Transfer-Encoding: chunked", 400},
		{"\tTransfer-Encoding: chunked", 400}, {"Transfer-Encoding:\x0bchunked", 400}, {"Transfer-Encoding: \x0cchunked", 400},
		{"Transfer-Encoding: chunked\x0b", 400}, {"Transfer-Encoding: chunked\x00", 400}, {"Transfer-Encoding: \x00chunked", 400},
		{"Transfer-Encoding: chu\x00nked", 400}, {"Transfer-Encoding: chunked\x7f", 400}, {"Transfer-Encoding:\x85chunked", 400},
		{"Transfer-Encoding:\xa0chunked", 400}, {"Transfer-Encoding: chunked\xa0", 400}, {"Transfer-Encoding: chunked\x85", 400},
		{"Transfer-Encoding: \"chunked\"", 400}, {"Transfer-Encoding: 'chunked'", 501}, {"Transfer-Encoding: [chunked]", 400},
		{"Transfer-Encoding: (chunked)", 400}, {"Transfer-Encoding: {chunked}", 400}, {"Transfer-Encoding: chunked;", 400},
		{"Transfer-Encoding: chunked;q=1", 400}, {"Transfer-Encoding: chunked; a=\"b\"", 400}, {"Transfer-Encoding: ;chunked", 400},
		{"Transfer-Encoding: chunked,", 400}, {"Transfer-Encoding: ,chunked", 400}, {"Transfer-Encoding: , chunked ,", 400},
		{"Transfer-Encoding: chunked, chunked", 400}, {"Transfer-Encoding: chunked chunked", 400},
		{"Transfer-Encoding: chunked, identity", 400}, {"Transfer-Encoding: identity, chunked", 400}, {"Transfer-Encoding: identity", 400},
		{"Transfer-Encoding: IDENTITY", 400}, {"Transfer-Encoding: gzip, chunked", 501}, {"Transfer-Encoding: gzip", 501},
		{"Transfer-Encoding: deflate", 501}, {"Transfer-Encoding: compress, chunked", 501}, {"Transfer-Encoding: br", 501},
		{"Transfer-Encoding: chunked, gzip", 400}, {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400},
		{"Transfer-Encoding: chunked\r\nTransfer-Encoding: x", 400}, {"Transfer-Encoding: x\r\nTransfer-Encoding: chunked", 400},
		{"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", 400}, {"Transfer-Encoding:\r\nTransfer-Encoding: chunked", 400},
		{"Transfer-Encoding:", 400}, {"Transfer-Encoding: ,", 400}, {"Transfer-Encoding: chunked\r\n x", 400},
		{"Transfer-Encoding:\r\n chunked", 400}, {"Transfer-Encoding:\r\n\tchunked", 400}, {"Transfer-Encoding: chunked\r\n\t", 400},
		{"X: y\r\n Transfer-Encoding: chunked", 400}, {"Transfer-Encoding:\nchunked", 400}, {"Transfer-Encoding: chunked\nX: y", 400},
		{"X: y\nTransfer-Encoding: chunked", 400}, {"X: y\rTransfer-Encoding: chunked", 400}, {"X: y\x00\r\nTransfer-Encoding: chunked", 400},
		{"Transfer_Encoding: chunked", 400}, {"Transfer.Encoding: chunked", 400}, {"Transfer~Encoding: chunked", 400},
		{"Transfer--Encoding: chunked", 400}, {"Transfer-_Encoding: chunked", 400}, {"TRANSFER_ENCODING: chunked", 400},
		{"Transfer Encoding: chunked", 400}, {"Transfer\\Encoding: chunked", 400}, {"Transfer-Encoding\x00: chunked", 400},
		{"\x00Transfer-Encoding: chunked", 400}, {"Transfer-Encoding\xa0: chunked", 400}, {"\xefTransfer-Encoding: chunked", 400},
		{"Transfer-Encoding; chunked", 400}, {"Transfer-Encoding chunked", 400}, {"Transfer-Encoding= chunked", 400},
		{"Transfer-Encoding:: chunked", 400}, {":Transfer-Encoding: chunked", 400}, {"\"Transfer-Encoding\": chunked", 400},
		{"Transfer-\r\nEncoding: chunked", 400}, {"Transfer-Encoding\r\n: chunked", 400}, {"Transfer-Encoding: cow", 501},
		{"Transfer-Encoding: c\xc4\xa7unked", 400}, {"Transfer-Encoding: chun\xe2\x84\xaaed", 400}, {"Tran\xc5\xbffer-Encoding: chunked", 400},
	} {
		rows = append(rows, refuse(fmt.Sprintf("coding %q", c.line), post(c.line+"\r\n", body), c.status))
	}
	return rows
}

// lengthRows are lengths that are read in several ways.
func lengthRows() (rows []row) {
	for _, v := range []string{
		"", " ", "+5", "-5", "-0", "+0", "0x5", "0X5", "5h", "0b101", "0o5", "05", "005", "00", "000000000000000000005", "5 0", "5\t0", "5.0",
		"5e0", "1e1", "5_0", "1_0", "5;", "5;a=b", "\"5\"", "'5'", "5,", ",5", "5, 5", "NaN", "inf", "five", "５", "\xd9\xa5", "²",
		"5\x00", "\x005", "5\x0b", "\x0c5", "5\x7f", "5\xa0", "\xa05", "5\r\n 0", "5\r\n\t", "\r\n 5",
		"9223372036854775808", "18446744073709551615", "18446744073709551616", "18446744073709551621", "4294967301x", strings.Repeat("9", 40),
		"-18446744073709551611", "5%20", "%35", "(5)", "5/1", "5:5", "5 HTTP/1.1", "$5", "5\\", "0,0", "5\n",
	} {
		rows = append(rows, refuse(fmt.Sprintf("length %q", v), post("Content-Length:"+v+"\r\n", "hello"+evil)))
	}
	for _, name := range []string{
		"Content_Length", "Content.Length", "Content--Length", "Content-_Length", "CONTENT_LENGTH", "Content~Length", "Content Length",
		"Content-Length ", "Content-Length\t", " Content-Length", "\tContent-Length", "Content-Length\x00", "\x00Content-Length",
		"Content-Length\x0b", "Content-Length\xa0", "\xa0Content-Length", "Content\\Length", "Content-Length:", "(Content-Length)",
		"Content-Length\r\n", "Content-\r\nLength", "[Content-Length]", "Content-Length;", "Content-Length=",
	} {
		rows = append(rows, refuse(fmt.Sprintf("name of the length %q", name), post(name+": 42\r\n", evil)))
	}
	return rows
}

// chunkRows are bodies in which two programs find other chunks.
func chunkRows() (rows []row) {
	for _, b := range []string{
		// Sizes.
		"+5\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "0X5\r\nhello\r\n0\r\n\r\n", "5h\r\nhello\r\n0\r\n\r\n",
		"5_0\r\nhello\r\n0\r\n\r\n", "5_\r\nhello\r\n0\r\n\r\n", " 5\r\nhello\r\n0\r\n\r\n", "\t5\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n",
		"5\t\r\nhello\r\n0\r\n\r\n", "5 0\r\nhello\r\n0\r\n\r\n", "\r\n5\r\nhello\r\n0\r\n\r\n", "\r\n0\r\n\r\n", ";a=b\r\nhello\r\n0\r\n\r\n",
		"g\r\nhello\r\n0\r\n\r\n", "5.0\r\nhello\r\n0\r\n\r\n", "5,5\r\nhello\r\n0\r\n\r\n", "\"5\"\r\nhello\r\n0\r\n\r\n", "\xef\xbc\x95\r\nhello\r\n0\r\n\r\n",
		"5\x00\r\nhello\r\n0\r\n\r\n", "\x005\r\nhello\r\n0\r\n\r\n", "5\x0b\r\nhello\r\n0\r\n\r\n", "\xa05\r\nhello\r\n0\r\n\r\n", "-0\r\n\r\n", "+0\r\n\r\n", "0x0\r\n\r\n",
		"10000000000000005\r\nhello\r\n0\r\n\r\n", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n", "8000000000000000\r\nhello\r\n0\r\n\r\n",
		"FFFFFFFFFFFFFFF00\r\nhello\r\n0\r\n\r\n", "100000005x\r\nhello\r\n0\r\n\r\n", strings.Repeat("0", 20) + "5\r\nhello\r\n0\r\n\r\n",
		strings.Repeat("0", 64) + "\r\n\r\n", strings.Repeat("f", 300) + "\r\nhello\r\n0\r\n\r\n",
		// Ends of lines.
		"5\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhello\r\n0\n\r\n", "5\r\nhello\r\n0\r\n\n", "5\rhello\r\n0\r\n\r\n", "5\r\nhello\r0\r\n\r\n",
		"5\r\nhello\r\n0\r\r\n", "5\r\r\nhello\r\n0\r\n\r\n", "5\n\rhello\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "5\r\nhello!\r\n0\r\n\r\n", "5\r\nhell\r\n0\r\n\r\n",
		"5\r\nhello\r\n\r\n0\r\n\r\n", "5\r\nhelloXX0\r\n\r\n", "5\r\nhello\n\r0\r\n\r\n", "0\n\n", "0\r\n\rX\r\n\r\n", "0\r\nX\r\n\r\n", "5\r\nhello \r\n0\r\n\r\n",
		// Extensions.
		"5;\r\nhello\r\n0\r\n\r\n", "5;a=\r\nhello\r\n0\r\n\r\n", "5;=b\r\nhello\r\n0\r\n\r\n", "5;a=b;\r\nhello\r\n0\r\n\r\n", "5;;a\r\nhello\r\n0\r\n\r\n",
		"5;a=\"b\r\nhello\r\n0\r\n\r\n", "5;a=\"b\nhello\r\n0\r\n\r\n", "5;a=\"\r\nhello\r\n0\r\n\r\n\"\r\n", "5;a\nhello\r\n0\r\n\r\n", "5;a\rhello\r\n0\r\n\r\n",
		"5;a\x00\r\nhello\r\n0\r\n\r\n", "5;a=b\x00\r\nhello\r\n0\r\n\r\n", "5;a=\"\x00\"\r\nhello\r\n0\r\n\r\n", "5;a b\r\nhello\r\n0\r\n\r\n", "5;a=b c\r\nhello\r\n0\r\n\r\n",
		"5 a\r\nhello\r\n0\r\n\r\n", "5;a=\"b\"c\r\nhello\r\n0\r\n\r\n", "5;a=b \r\nhello\r\n0\r\n\r\n", "5;\x7f\r\nhello\r\n0\r\n\r\n", "0;\n\r\n\r\n",
		"5;\xff\r\nhello\r\n0\r\n\r\n", "5;a=(\r\nhello\r\n0\r\n\r\n", "5;a\n\nGET /evil HTTP/1.1\r\nHost: a.test\r\n\r\n0\r\n\r\n",
		"5;" + strings.Repeat("a", 5000) + "\r\nhello\r\n0\r\n\r\n",
		strings.Repeat("1;"+strings.Repeat("a", 4000)+"\r\nx\r\n", 8) + "0\r\n\r\n",
		// Trailers.
		"0\r\nX : y\r\n\r\n", "0\r\n X: y\r\n\r\n", "0\r\nX: y\r\n z\r\n\r\n", "0\r\n: y\r\n\r\n", "0\r\nX: y\n\r\n", "0\r\nX: y\r\n\n",
		"0\r\nX: a\x00b\r\n\r\n", "0\r\nX: a\rb\r\n\r\n", "0\r\nX\x00: b\r\n\r\n", "0\r\nGET /evil HTTP/1.1\r\nHost: a.test\r\n\r\n", "0\r\nX(: y\r\n\r\n",
		"5\r\nhello\r\n0\r\n\tX: y\r\n\r\n", "0\r\nX: \x1b[2J\r\n\r\n",
	} {
		rows = append(rows, refuse(fmt.Sprintf("chunks %.40q", b), chunked(b+evil)))
		if len(b) < 40 {
			rows = append(rows, refuse(fmt.Sprintf("chunks behind a good one %q", b), chunked("3\r\nabc\r\n"+b+evil)))
		}
	}
	return append(rows,
		refuse("too many trailers", chunked("0\r\n"+strings.Repeat("X: y\r\n", 300)+"\r\n"+evil), 400, 431),
		refuse("trailers too large", chunked("0\r\nX: "+strings.Repeat("y", 70000)+"\r\n\r\n"+evil), 400, 431),
	)
}
