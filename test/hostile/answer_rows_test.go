package hostile

import (
	"strconv"
	"strings"
)

const (
	okHead  = "HTTP/1.1 200 OK\r\n"
	okFive  = okHead + "Content-Length: 5\r\n\r\nhello"
	poison  = okHead + "Content-Length: 6\r\nX-Evil: 1\r\n\r\npoison"
	chunks  = okHead + "Transfer-Encoding: chunked\r\n\r\n"
	upgrade = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
)

// answerRows are all answers.
func answerRows() (rows []answerRow) {
	for name, send := range badHeads() {
		rows = append(rows, answerRow{name: "head: " + name, send: send, is: bad})
	}
	for name, body := range badChunks() {
		rows = append(rows, answerRow{name: "chunks: " + name, send: chunks + body, is: broken},
			answerRow{name: "chunks behind a large one: " + name, send: chunks + "60000\r\n" + strings.Repeat("x", 0x60000) + "\r\n" + body, is: broken})
	}
	return slicesConcat(rows, endingRows(), extraRows(), soundRows())
}

func slicesConcat(lists ...[]answerRow) (all []answerRow) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// badHeads are no heads of responses.
func badHeads() map[string]string {
	body := "Content-Length: 5\r\n\r\nhello"
	field := func(line string) string { return okHead + line + body }
	all := map[string]string{
		"garbage": "garbage\r\n\r\n", "an empty line": "\r\n" + okFive, "HTTP/0.9": "<html>hello</html><close>", "a request": get("/"), "NUL": "\x00\x00\x00\x00\r\n\r\n", "TLS": "\x15\x03\x01\x00\x02\x02\x46<close>",
		"HTTP/2.0": "HTTP/2.0 200 OK\r\n" + body, "HTTP/0.9 named": "HTTP/0.9 200 OK\r\n" + body, "lower case": "http/1.1 200 OK\r\n" + body, "HTTP/1": "HTTP/1 200 OK\r\n" + body, "HTTP/1.10": "HTTP/1.10 200 OK\r\n" + body,
		"ICY": "ICY 200 OK\r\n" + body, "a space before": " HTTP/1.1 200 OK\r\n" + body, "two spaces": "HTTP/1.1  200 OK\r\n" + body, "a tab": "HTTP/1.1\t200 OK\r\n" + body,
		"status 99": "HTTP/1.1 99 No\r\n" + body, "status 099": "HTTP/1.1 099 No\r\n" + body, "status 000": "HTTP/1.1 000 No\r\n" + body, "status 600": "HTTP/1.1 600 No\r\n" + body, "status 999": "HTTP/1.1 999 No\r\n" + body,
		"status 2000": "HTTP/1.1 2000 No\r\n" + body, "status -200": "HTTP/1.1 -200 No\r\n" + body, "status +200": "HTTP/1.1 +20 No\r\n" + body, "status 20x": "HTTP/1.1 20x No\r\n" + body, "no status": "HTTP/1.1 OK\r\n" + body,
		"status 0x1": "HTTP/1.1 0xC8 OK\r\n" + body, "status 20": "HTTP/1.1 20 OK\r\n" + body, "NUL in the reason": "HTTP/1.1 200 O\x00K\r\n" + body, "escape in the reason": "HTTP/1.1 200 \x1b[2J\r\n" + body,
		"CR in the reason": "HTTP/1.1 200 O\rK\r\n" + body, "LF behind the status line": "HTTP/1.1 200 OK\n" + body, "LF only": "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "LF behind a field": field("X-Evil: y\n"),
		"LF at the end": okHead + "Content-Length: 5\r\n\nhello", "CR in a value": field("X-Evil: a\rb\r\n"), "NUL in a value": field("X-Evil: a\x00b\r\n"), "escape in a value": field("X-Evil: \x1b]0;x\x07\r\n"), "DEL in a value": field("X-Evil: \x7f\r\n"),
		"a folded field": field("X-Evil: a\r\n b\r\n"), "a folded first field": okHead + " X: y\r\n" + body, "space before the colon": field("X-Evil : a\r\n"), "no colon": field("X-Evil\r\n"), "no name": field(": x\r\n"), "NUL in a name": field("X\x00: a\r\n"),
		"a name of Latin-1": field("X\xe9: a\r\n"), "a name in brackets": field("[X]: a\r\n"), "two lengths": field("Content-Length: 6\r\n"), "equal lengths": field("Content-Length: 5\r\n"), "a list of lengths": okHead + "Content-Length: 5, 5\r\n\r\nhello",
		"length +5": okHead + "Content-Length: +5\r\n\r\nhello", "length -5": okHead + "Content-Length: -5\r\n\r\nhello", "length 0x5": okHead + "Content-Length: 0x5\r\n\r\nhello", "no length": okHead + "Content-Length:\r\n\r\nhello",
		"length 05": okHead + "Content-Length: 05\r\n\r\nhello", "length 5 5": okHead + "Content-Length: 5 5\r\n\r\nhello", "a huge length": okHead + "Content-Length: 99999999999999999999\r\n\r\nhello", "length 2^64+5": okHead + "Content-Length: 18446744073709551621\r\n\r\nhello",
		"both framings": field("Transfer-Encoding: chunked\r\n"), "both, coding last": okHead + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "unknown coding": okHead + "Transfer-Encoding: gzip\r\n\r\nhello<close>",
		"gzip, chunked": okHead + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "chunked twice": okHead + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "chunked, chunked": okHead + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
		"identity": okHead + "Transfer-Encoding: identity\r\n\r\nhello<close>", "an empty coding": okHead + "Transfer-Encoding:\r\n\r\nhello<close>", "chunked with a tab of its own": okHead + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", "xchunked": okHead + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"chunked in HTTP/1.0": "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Connection that is none": field("Connection: a b\r\n"),
		"101 that nobody asked for": upgrade, "101 without a word": "HTTP/1.1 101 Switching Protocols\r\n\r\n", "h2c": "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n\x00\x00\x00\x04\x00",
		"forty hints": strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 40) + okFive, "a bad hint": "HTTP/1.1 103 Early Hints\r\nX-Evil : 1\r\n\r\n" + okFive, "a hint of HTTP/2": "HTTP/2 103 Early Hints\r\n\r\n" + okFive,
		"a large head": okHead + "X-Evil: " + strings.Repeat("x", 70<<10) + "\r\n" + body, "many fields": okHead + strings.Repeat("X-Evil: y\r\n", 500) + body, "a long reason": "HTTP/1.1 200 " + strings.Repeat("x", 70<<10) + "\r\n" + body,
		"nothing, then the end": "<close>", "nothing, then a reset": "<reset>", "half a status line": "HTTP/1.1 2<close>", "half a head": okHead + "Content-Len<close>", "a head without its empty line": okHead + "Content-Length: 5\r\n<close>", "half a head, then a reset": okHead + "<reset>",
		"a hint, then the end": "HTTP/1.1 103 Early Hints\r\n\r\n<close>", "100, then the end": "HTTP/1.1 100 Continue\r\n\r\n<close>", "a split status line": "HTTP/1.1 200 OK\r\r\n" + body, "splitting by LF CR": "HTTP/1.1 200 OK\n\r" + body,
		"Unicode digits": "HTTP/1.1 ２００ OK\r\n" + body, "a no-break space": "HTTP/1.1\xa0200 OK\r\n" + body, "a colon behind the status": "HTTP/1.1 200: OK\r\n" + body,
	}
	return all
}

// badChunks are bodies that do not end as they must.
func badChunks() map[string]string {
	return map[string]string{
		"no size": "\r\nhello\r\n0\r\n\r\n", "no number": "xyz\r\nhello\r\n0\r\n\r\n", "a sign": "+5\r\nhello\r\n0\r\n\r\n", "minus": "-5\r\nhello\r\n0\r\n\r\n", "0x": "0x5\r\nhello\r\n0\r\n\r\n", "a space before": " 5\r\nhello\r\n0\r\n\r\n",
		"spaces behind": "5  \r\nhello\r\n0\r\n\r\n", "LF": "5\nhello\n0\n\n", "LF behind the data": "5\r\nhello\n0\r\n\r\n", "CR only": "5\rhello\r\n0\r\n\r\n", "too large": "ffffffffffffffff\r\nhello\r\n0\r\n\r\n", "larger than 64 bits": "10000000000000005\r\nhello\r\n0\r\n\r\n",
		"longer than said": "3\r\nhello\r\n0\r\n\r\n", "shorter than said": "6\r\nhello\r\n0\r\n\r\n<close>", "an end within the data": "a\r\nhello<close>", "a reset within the data": "a\r\nhello<reset>", "an end within the size": "5\r\nhello\r\n3<close>", "an end behind a chunk": "5\r\nhello\r\n<close>",
		"an end before the last line": "5\r\nhello\r\n0\r\n<close>", "a bad trailer": "5\r\nhello\r\n0\r\nX-Evil : 1\r\n\r\n", "a folded trailer": "5\r\nhello\r\n0\r\nX-Evil: 1\r\n 2\r\n\r\n", "a response for a trailer": "5\r\nhello\r\n0\r\n" + okFive, "an extension that is none": "5;\x00\r\nhello\r\n0\r\n\r\n",
		"a long extension": "5;" + strings.Repeat("x", 10000) + "\r\nhello\r\n0\r\n\r\n", "silence within the data": "a\r\nhello<stay>", "silence within a size": "5\r\nhello\r\n5<stay>", "silence before the end": "5\r\nhello\r\n<stay>", "silence before the last line": "5\r\nhello\r\n0\r\n<stay>",
		"large trailers": "0\r\nX-Evil: " + strings.Repeat("x", 70<<10) + "\r\n\r\n", "NUL for a size": "\x00\r\n\r\n",
	}
}

// endingRows end too early, too late or not at all.
func endingRows() []answerRow {
	large := strings.Repeat("x", 400<<10)
	return []answerRow{
		{name: "silence", send: "<stay>", is: late},
		{name: "silence within the status line", send: "HTTP/1.1 2<stay>", is: late},
		{name: "silence within a head", send: okHead + "X-Evil: 1\r\n<stay>", is: late},
		{name: "silence behind a hint", send: "HTTP/1.1 103 Early Hints\r\n\r\n<stay>", is: late},
		{name: "silence within a body", send: okHead + "Content-Length: 10\r\n\r\nhello<stay>", is: broken},
		{name: "silence within a large body", send: okHead + "Content-Length: 500000\r\n\r\n" + large + "<stay>", is: broken},
		{name: "silence instead of a body", send: okHead + "Content-Length: 10\r\n\r\n<stay>", is: broken},
		{name: "silence that a close would end", send: okHead + "\r\nhello<stay>", is: broken},
		{name: "a body that is too short", send: okHead + "Content-Length: 10\r\n\r\nhello<close>", is: broken},
		{name: "a large body that is too short", send: okHead + "Content-Length: 500000\r\n\r\n" + large + "<close>", is: broken},
		{name: "a body that is reset", send: okHead + "Content-Length: 10\r\n\r\nhello<reset>", is: broken},
		{name: "a body of nothing that is reset", send: okHead + "Content-Length: 10\r\n\r\n<reset>", is: broken},
		{name: "a close that is a reset", send: okHead + "\r\n" + large + "<reset>", is: broken},
		{name: "an event stream that is reset", send: okHead + "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n<reset>", is: broken},
		{name: "a length of petabytes", send: okHead + "Content-Length: 9223372036854775807\r\n\r\nhello<close>", is: broken},
		{name: "hints without an end", again: "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", is: bad},
		{name: "100 without an end", again: "HTTP/1.1 100 Continue\r\n\r\n", is: bad},
		{name: "a head without an end", send: okHead, again: strings.Repeat("X-Evil: 1\r\n", 50), is: bad},
		{name: "a line without an end", send: okHead, again: strings.Repeat("X", 500), is: bad},
		{name: "a reason without an end", send: "HTTP/1.1 200 ", again: strings.Repeat("X", 500), is: bad},
		{name: "empty lines without an end", again: strings.Repeat("\r\n", 100), is: bad},
		{name: "NULs without an end", again: strings.Repeat("\x00", 100), is: bad},
		{name: "trailers without an end", send: chunks + "5\r\nhello\r\n0\r\n", again: strings.Repeat("X-Evil: 1\r\n", 50), is: broken},
		{name: "an extension without an end", send: chunks + "5;", again: strings.Repeat("x", 500), is: broken},
		{name: "zeros without an end", send: chunks, again: strings.Repeat("0", 100), is: broken},
		{name: "chunk extensions again and again", send: chunks, again: "1;" + strings.Repeat("x", 3000) + "\r\nx\r\n", is: broken},
	}
}

// extraRows send more than there is to say. The client gets the answer, and nobody gets the rest.
func extraRows() []answerRow {
	// A body where none may be.
	noBody := func(name, method, head, body string) answerRow {
		return answerRow{name: name, method: method, send: head + body, is: whole}
	}
	return []answerRow{
		{name: "two answers", send: okFive + poison, body: "hello"},
		{name: "two answers, chunked", send: chunks + "5\r\nhello\r\n0\r\n\r\n" + poison, body: "hello"},
		{name: "bytes behind a body", send: okFive + "X", body: "hello"},
		{name: "an empty line behind a body", send: okFive + "\r\n", body: "hello"},
		{name: "bytes behind an empty body", send: okHead + "Content-Length: 0\r\n\r\n" + poison},
		{name: "a hundred answers", send: okFive + strings.Repeat(poison, 100), body: "hello"},
		{name: "an answer, then an end", send: okFive + "<close>", body: "hello"},
		{name: "an answer, then a timeout's", send: okFive + "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n<close>", body: "hello"},
		{name: "large, then another", send: okHead + "Content-Length: 200000\r\n\r\n" + strings.Repeat("x", 200000) + poison, body: strings.Repeat("x", 200000)},
		{name: "trailers that are fields for others", send: chunks + "5\r\nhello\r\n0\r\nContent-Length: 6\r\nSet-Cookie: x-evil=1\r\n\r\n", body: "hello", keeps: true},
		noBody("HEAD with a body", "HEAD", okHead+"Content-Length: 6\r\n\r\n", "poison"),
		noBody("HEAD with chunks", "HEAD", chunks, "6\r\npoison\r\n0\r\n\r\n"),
		noBody("HEAD with an answer behind", "HEAD", okHead+"Content-Length: 6\r\n\r\n", poison),
		noBody("204 with a body", "", "HTTP/1.1 204 No Content\r\n\r\n", "poison"),
		noBody("204 with a length", "", "HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\n", "poison"),
		noBody("204 with chunks", "", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", "6\r\npoison\r\n0\r\n\r\n"),
		noBody("204 with an answer behind", "", "HTTP/1.1 204 No Content\r\n\r\n", poison),
		noBody("304 with a body", "", "HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n", "poison"),
		noBody("304 with chunks", "", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "6\r\npoison\r\n0\r\n\r\n"),
		noBody("205 with bytes behind", "", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", "poison"),
		// A length whose body has not come yet says that it will.
		noBody("204 with the length of a body", "", "HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\n", ""),
	}
}

// soundRows are odd and legal.
func soundRows() []answerRow {
	sound := func(name, send, body string) answerRow {
		_, closes := strings.CutSuffix(send, "<close>")
		return answerRow{name: "sound: " + name, send: send, body: body, keeps: !closes}
	}
	return []answerRow{
		sound("plain", okFive, "hello"),
		sound("no reason", "HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello", "hello"),
		sound("no space before no reason", "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", "hello"),
		sound("a reason of its own", "HTTP/1.1 200 Tr\xe8s bien: ok\r\nContent-Length: 5\r\n\r\nhello", "hello"),
		sound("an unknown status", "HTTP/1.1 299 Strange\r\nContent-Length: 5\r\n\r\nhello", "hello"),
		sound("chunks", chunks+"5\r\nhello\r\n0\r\n\r\n", "hello"),
		sound("many chunks", chunks+strings.Repeat("1\r\nx\r\n", 2000)+"0\r\n\r\n", strings.Repeat("x", 2000)),
		sound("extensions", chunks+"5;a=\"b;c\"\r\nhello\r\n0;d\r\n\r\n", "hello"),
		sound("trailers", chunks+"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", "hello"),
		sound("until the end", okHead+"\r\nhello<close>", "hello"),
		sound("HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nhello<close>", "hello"),
		sound("nothing until the end", okHead+"\r\n<close>", ""),
		sound("a hint before", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+okFive, "hello"),
		sound("100 before", "HTTP/1.1 100 Continue\r\n\r\n"+okFive, "hello"),
		sound("hop-by-hop fields", okHead+"Connection: X-Evil, keep-alive\r\nX-Evil: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\nContent-Length: 5\r\n\r\nhello", "hello"),
		sound("X-Accel-Buffering", okHead+"X-Accel-Buffering: no\r\nContent-Length: 5\r\n\r\nhello", "hello"),
		sound("many cookies", okHead+strings.Repeat("Set-Cookie: a=b\r\n", 100)+"Content-Length: 5\r\n\r\nhello", "hello"),
		sound("large, by length", okHead+"Content-Length: 400000\r\n\r\n"+strings.Repeat("x", 400000), strings.Repeat("x", 400000)),
		sound("large, chunked", chunks+strings.Repeat(strconv.FormatInt(40000, 16)+"\r\n"+strings.Repeat("x", 40000)+"\r\n", 10)+"0\r\n\r\n", strings.Repeat("x", 400000)),
	}
}
