package http2

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestResponses cuts each of them at every byte.
func TestResponses(t *testing.T) {
	padded := frames(func(f *http2.Framer) { f.WriteDataPadded(1, false, []byte("abc"), make([]byte, 7)) })
	pieces := frames(func(f *http2.Framer) {
		b := block(":status", "200", "a", "b", "c", strings.Repeat("d", 40))
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: b[:5], PadLength: 3, Priority: http2.PriorityParam{StreamDep: 0, Weight: 1}})
		f.WriteContinuation(1, false, b[5:10])
		f.WriteContinuation(1, true, b[10:])
	})
	control := frames(func(f *http2.Framer) {
		f.WritePing(false, [8]byte{1, 2, 3, 4, 5, 6, 7, 8})
		f.WritePing(true, [8]byte{})
		f.WriteSettingsAck()
		f.WriteSettings(http2.Setting{ID: 4, Val: 100}, http2.Setting{ID: 0x0a0a, Val: 7})
		f.WriteWindowUpdate(0, 5)
		f.WriteWindowUpdate(1, 5)
		f.WriteRawFrame(0x42, 0xff, 7, []byte("grease"))
		f.WriteRawFrame(framePriority, 0, 3, []byte("12345"))
	})
	for _, c := range []struct {
		name string
		o    Options
		in   []byte
		want string
	}{
		{"plain", Options{}, join(ok200("content-type", "text/plain"), data(false, "abc"), data(true, "def")),
			"[head]HTTP/1.1 200 |content-type: text/plain||[body]abcdef[ended]"},
		{"with its length", Options{}, join(ok200("content-length", "3"), data(true, "abc")), "[head]HTTP/1.1 200 |content-length: 3||[body]abc[ended]"},
		{"its end apart", Options{}, join(ok200("content-length", "3"), data(false, "abc"), data(true, "")), "[head]HTTP/1.1 200 |content-length: 3||[body]abc[ended]"},
		{"no content", Options{}, headers(true, ":status", "204", "x", ""), "[head]HTTP/1.1 204 |x: ||[ended]"},
		{"304 with a length", Options{}, headers(true, ":status", "304", "content-length", "70"), "[head]HTTP/1.1 304 |content-length: 70||[ended]"},
		{"HEAD", Options{Bodiless: true}, join(ok200("content-length", "70"), data(true, "")), "[head]HTTP/1.1 200 |content-length: 70||[ended]"},
		{"informational", Options{}, join(headers(false, ":status", "100"), headers(false, ":status", "103", "link", "</a>"), headers(true, ":status", "200")),
			"[head]HTTP/1.1 100 ||[head]HTTP/1.1 103 |link: </a>||[head]HTTP/1.1 200 ||[ended]"},
		{"trailers", Options{}, join(ok200(), data(false, "abc"), headers(true, "grpc-status", "0", "grpc-message", "")),
			"[head]HTTP/1.1 200 ||[body]abc[trailers]grpc-status: 0|grpc-message: ||[ended]"},
		{"padding", Options{}, join(ok200("content-length", "6"), padded, data(true, "def")), "[head]HTTP/1.1 200 |content-length: 6||[body]abcdef[ended]"},
		{"in pieces", Options{}, join(pieces, data(true, "")), "[head]HTTP/1.1 200 |a: b|c: " + strings.Repeat("d", 40) + "||[ended]"},
		{"between others", Options{}, join(control, ok200(), control, data(false, "abc"), frames(func(f *http2.Framer) {
			f.WritePing(false, [8]byte{9})
		}), data(true, "")), "[head]HTTP/1.1 200 ||[body]abc[ended]"},
		{"not whole", Options{}, join(ok200(), data(false, "abc")), "[head]HTTP/1.1 200 ||[body]abc[answering]"},
		{"refused", Options{}, frames(func(f *http2.Framer) { f.WriteRSTStream(1, http2.ErrCodeRefusedStream) }), "[refused]"},
		{"gone away before", Options{}, frames(func(f *http2.Framer) { f.WriteGoAway(0, http2.ErrCodeNo, []byte("bye")) }), "[refused]"},
		{"gone away behind", Options{}, join(frames(func(f *http2.Framer) { f.WriteGoAway(1, http2.ErrCodeNo, nil) }), headers(true, ":status", "200")), "[head]HTTP/1.1 200 ||[ended]"},
		{"reset", Options{}, join(ok200(), frames(func(f *http2.Framer) { f.WriteRSTStream(1, http2.ErrCodeInternal) })), "[head]HTTP/1.1 200 ||[broken]"},
		{"reset behind the end", Options{}, join(ok200(), data(true, "a"), frames(func(f *http2.Framer) { f.WriteRSTStream(1, http2.ErrCodeNo) })), "[head]HTTP/1.1 200 ||[body]a[ended]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := join(settings, c.in)
			if strings.HasPrefix(c.name, "between") {
				in = join(settings, bytes.Replace(c.in, raw(frameSettings, flagAck, 0, ""), nil, 1)) // there is but one to acknowledge
			}
			for piece := 1; piece <= len(in); piece++ {
				s, _ := opened(t, c.o)
				got, err := said(s, in, piece)
				if err != nil || got != c.want {
					t.Fatalf("in pieces of %d: got %s (%v), want %s", piece, got, err, c.want)
				}
			}
		})
	}
}

// TestRules has what breaks a rule, each in pieces of all sizes.
func TestRules(t *testing.T) {
	w := func(write func(f *http2.Framer)) []byte { return frames(write) }
	setting := func(id http2.SettingID, v uint32) []byte {
		return w(func(f *http2.Framer) { f.WriteSettings(http2.Setting{ID: id, Val: v}) })
	}
	many := func(n int, b []byte) []byte { return bytes.Repeat(b, n) }
	var huge []string
	for range 30 {
		huge = append(huge, "a", "b")
	}
	head := func(b string) []byte { return raw(frameHeaders, flagEndHeaders, 1, b) }
	for _, c := range []struct {
		name string
		in   []byte
		want *Error
	}{
		{"HTTP/1", []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), errNotHTTP2},
		{"no greeting", raw(framePing, 0, 0, "12345678"), errGreeting},
		{"an acknowledgement as greeting", raw(frameSettings, flagAck, 0, ""), errGreeting},
		{"a head as greeting", ok200(), errGreeting},
		{"too large a frame", join(settings, []byte("\x01\x00\x01\x00\x00\x00\x00\x00\x01")), errTooLarge},
		{"the largest", join(settings, []byte("\xff\xff\xff\x00\x00\x00\x00\x00\x01")), errTooLarge},

		{"SETTINGS on a stream", join(settings, raw(frameSettings, 0, 1, "")), errStreamID},
		{"SETTINGS of a broken size", join(settings, raw(frameSettings, 0, 0, "12345")), errFrameSize},
		{"an acknowledgement with content", join(settings, raw(frameSettings, flagAck, 0, "123456")), errFrameSize},
		{"a second acknowledgement", join(settings, many(2, raw(frameSettings, flagAck, 0, ""))), errAck},
		{"push turned on", join(settings, setting(http2.SettingEnablePush, 1)), errSetting},
		{"push that is 2", setting(http2.SettingEnablePush, 2), errSetting},
		{"too wide a window", setting(http2.SettingInitialWindowSize, 1<<31), errWindow},
		{"a window that overflows by SETTINGS", join(settings, w(func(f *http2.Framer) { f.WriteWindowUpdate(1, 1<<31-1-65535) }), setting(4, 1<<31-1)), errWindow},
		{"too small frames", setting(http2.SettingMaxFrameSize, 1<<14-1), errSetting},
		{"too large frames", setting(http2.SettingMaxFrameSize, 1<<24), errSetting},
		{"a flood of SETTINGS", many(2000, settings), errFlood},
		{"one large flood of settings", many(2, raw(frameSettings, 0, 0, strings.Repeat("\x0a\x0a\x00\x00\x00\x00", 10000))), errFlood},

		{"PING on a stream", join(settings, raw(framePing, 0, 1, "12345678")), errStreamID},
		{"a short PING", join(settings, raw(framePing, 0, 0, "1234567")), errFrameSize},
		{"a long PING", join(settings, raw(framePing, 0, 0, "123456789")), errFrameSize},
		{"a flood of PING", join(settings, many(2000, raw(framePing, 0, 0, "12345678"))), errFlood},
		{"a flood of answers to PING", join(settings, many(2000, raw(framePing, flagAck, 0, "12345678"))), errFlood},

		{"GOAWAY on a stream", join(settings, raw(frameGoAway, 0, 1, "12345678")), errStreamID},
		{"a short GOAWAY", join(settings, raw(frameGoAway, 0, 0, "1234567")), errFrameSize},
		{"a flood of GOAWAY", join(settings, many(2000, raw(frameGoAway, 0, 0, "\x00\x00\x00\x0145678"))), errFlood},

		{"a short WINDOW_UPDATE", join(settings, raw(frameWindow, 0, 0, "123")), errFrameSize},
		{"WINDOW_UPDATE of nothing", join(settings, raw(frameWindow, 0, 0, "\x00\x00\x00\x00")), errNoIncrement},
		{"WINDOW_UPDATE of nothing on the stream", join(settings, raw(frameWindow, 0, 1, "\x80\x00\x00\x00")), errNoIncrement},
		{"WINDOW_UPDATE that overflows", join(settings, raw(frameWindow, 0, 0, "\x7f\xff\xff\xff")), errWindow},
		{"WINDOW_UPDATE that overflows on the stream", join(settings, raw(frameWindow, 0, 1, "\x7f\xff\xff\xff")), errWindow},
		{"WINDOW_UPDATE of an idle stream", join(settings, raw(frameWindow, 0, 3, "\x00\x00\x00\x01")), errIdleStream},
		{"WINDOW_UPDATE of a stream of theirs", join(settings, raw(frameWindow, 0, 2, "\x00\x00\x00\x01")), errIdleStream},
		{"a flood of WINDOW_UPDATE", join(settings, many(200_000, raw(frameWindow, 0, 0, "\x00\x00\x00\x01"))), errFlood},

		{"RST_STREAM of none", join(settings, raw(frameReset, 0, 0, "1234")), errStreamID},
		{"RST_STREAM of an idle stream", join(settings, raw(frameReset, 0, 3, "1234")), errIdleStream},
		{"a long RST_STREAM", join(settings, raw(frameReset, 0, 1, "12345")), errFrameSize},
		{"a flood of RST_STREAM", join(settings, many(2000, raw(frameReset, 0, 1, "1234"))), errFlood},
		{"PRIORITY of none", join(settings, raw(framePriority, 0, 0, "12345")), errStreamID},
		{"a short PRIORITY", join(settings, raw(framePriority, 0, 1, "1234")), errFrameSize},
		{"a flood of PRIORITY", join(settings, many(2000, raw(framePriority, 0, 1, "12345"))), errFlood},
		{"a flood of what nobody knows", join(settings, many(2000, raw(0x99, 0, 1, ""))), errFlood},
		{"PUSH_PROMISE", join(settings, raw(framePush, flagEndHeaders, 1, "\x00\x00\x00\x02\x88")), errPush},

		{"data before a head", join(settings, data(false, "a")), errNoHead},
		{"data on none", join(settings, ok200(), raw(frameData, 0, 0, "a")), errStreamID},
		{"data on an idle stream", join(settings, ok200(), raw(frameData, 0, 3, "a")), errIdleStream},
		{"data on a stream of theirs", join(settings, ok200(), raw(frameData, 0, 2, "a")), errIdleStream},
		{"data behind the end", join(settings, ok200(), data(true, "a"), data(false, "b")), errClosed},
		{"an end behind the end", join(settings, ok200(), data(true, "a"), data(true, "")), errClosed},
		{"a head behind the end", join(settings, ok200(), data(true, "a"), ok200()), errClosed},
		{"data behind a reset", join(settings, ok200(), raw(frameReset, 0, 1, "1234"), data(false, "b")), errClosed},
		{"padding longer than its frame", join(settings, ok200(), raw(frameData, flagPadded, 1, "\x05abcd")), errPadding},
		{"padding of a frame without it", join(settings, ok200(), raw(frameData, flagPadded, 1, "")), errPadding},
		{"padding of a head", join(settings, raw(frameHeaders, flagPadded|flagEndHeaders, 1, "\x02\x88")), errPadding},
		{"padding and a priority", join(settings, raw(frameHeaders, flagPadded|flagPriority|flagEndHeaders, 1, "\x0112345")), errPadding},
		{"a flood of empty data", join(settings, ok200(), many(2000, data(false, ""))), errFlood},
		{"a flood of padding", join(settings, ok200(), many(2000, raw(frameData, flagPadded, 1, "\x04abcd"))), errFlood},
		{"more than its length", join(settings, ok200("content-length", "2"), data(false, "abc")), errMore},
		{"less than its length", join(settings, ok200("content-length", "4"), data(true, "abc")), errLess},
		{"nothing of its length", join(settings, headers(true, ":status", "200", "content-length", "4")), errLess},
		{"less before trailers", join(settings, ok200("content-length", "4"), data(false, "abc"), headers(true, "a", "b")), errLess},
		{"content of 204", join(settings, headers(false, ":status", "204"), data(false, "a")), errMore},
		{"content of 304", join(settings, headers(false, ":status", "304", "content-length", "1"), data(false, "a")), errMore},

		{"CONTINUATION of nothing", join(settings, raw(frameContinuation, flagEndHeaders, 1, "\x88")), errContinuation},
		{"a block that is interrupted", join(settings, raw(frameHeaders, 0, 1, "\x88"), raw(framePing, 0, 0, "12345678")), errContinuation},
		{"a block that is interrupted by what nobody knows", join(settings, raw(frameHeaders, 0, 1, "\x88"), raw(0x99, 0, 1, "")), errContinuation},
		{"a block that goes on elsewhere", join(settings, raw(frameHeaders, 0, 1, "\x88"), raw(frameContinuation, flagEndHeaders, 3, "")), errIdleStream},
		{"a flood of empty CONTINUATION", join(settings, raw(frameHeaders, 0, 1, "\x88"), many(20, raw(frameContinuation, 0, 1, ""))), errFlood},
		{"a flood of small CONTINUATION", join(settings, raw(frameHeaders, 0, 1, "\x88"), many(20, raw(frameContinuation, 0, 1, "\x00\x01a\x01b"))), errFlood},
		{"a block without end", join(settings, raw(frameHeaders, 0, 1, "\x88"), many(100, raw(frameContinuation, 0, 1, strings.Repeat("\x00\x01a\x01b", 20)))), errHeadSize},

		{"an unknown representation", join(settings, head("\x88\x80")), errCompression},
		{"a dynamic entry", join(settings, head("\x88\xbe")), errTable},
		{"a dynamic name", join(settings, head("\x88\x7f\x00\x01a")), errTable},
		{"a dynamic table", join(settings, head("\x3f\xe1\x1f\x88")), errTable},
		{"a size between fields", join(settings, head("\x88\x20\x00\x01a\x01b")), errCompression},
		{"a cut integer", join(settings, head("\x88\xff")), errCompression},
		{"an integer that overflows", join(settings, head("\x88\xff\xff\xff\xff\xff\xff\xff\x0f")), errCompression},
		{"a padded integer", join(settings, head("\x88\x00\x7f\x80\x80\x80\x80\x80\x00")), errCompression},
		{"a cut string", join(settings, head("\x88\x00\x05abc")), errCompression},
		{"a cut field", join(settings, head("\x88\x00\x01a")), errCompression},
		{"a Huffman code with EOS", join(settings, head("\x88\x00\x01a\x84\xff\xff\xff\xff")), errCompression},
		{"Huffman padding of a byte", join(settings, head("\x88\x00\x01a\x82\x1f\xff")), errCompression},
		{"Huffman padding with zeros", join(settings, head("\x88\x00\x01a\x81\x18")), errCompression},
		{"a bomb", join(settings, head("\x88"+strings.Repeat("\x90", 3000))), errFields},

		{"no status", join(settings, headers(false, "a", "b")), errStatus},
		{"nothing at all", join(settings, head("")), errStatus},
		{"a status of two digits", join(settings, headers(false, ":status", "20")), errStatus},
		{"a status that is none", join(settings, headers(false, ":status", "2x0")), errStatus},
		{"a status out of range", join(settings, headers(false, ":status", "600")), errStatus},
		{"a status below all", join(settings, headers(false, ":status", "099")), errStatus},
		{"101", join(settings, headers(false, ":status", "101")), errSwitch},
		{"two statuses", join(settings, headers(false, ":status", "200", ":status", "200")), errPseudo},
		{"a status behind a field", join(settings, headers(false, "a", "b", ":status", "200")), errStatus},
		{"a request", join(settings, headers(false, ":method", "GET", ":path", "/")), errPseudo},
		{"a pseudo-field that nobody knows", join(settings, headers(false, ":status", "200", ":x", "y")), errPseudo},
		{"a status in trailers", join(settings, ok200(), headers(true, ":status", "200")), errPseudo},
		{"an informational end", join(settings, headers(true, ":status", "103")), errInterimEnd},
		{"a second final head", join(settings, ok200(), ok200()), errTrailers},
		{"an informational head behind the final one", join(settings, ok200(), headers(false, ":status", "103")), errTrailers},
		{"a flood of informational heads", join(settings, many(2000, headers(false, ":status", "103"))), errFlood},
		{"a name in upper case", join(settings, ok200("A", "b")), errName},
		{"an empty name", join(settings, ok200("", "b")), errName},
		{"a name with a colon", join(settings, ok200("a:b", "c")), errName},
		{"a name with a blank", join(settings, ok200("a b", "c")), errName},
		{"a name with a line's end", join(settings, ok200("a\r\nb", "c")), errName},
		{"a value with a line's end", join(settings, ok200("a", "b\r\nc: d")), errValue},
		{"a value with LF", join(settings, ok200("a", "b\nc")), errValue},
		{"a value with NUL", join(settings, ok200("a", "b\x00c")), errValue},
		{"a value in trailers", join(settings, ok200(), headers(true, "a", "b\r\nc: d")), errValue},
		{"connection", join(settings, ok200("connection", "close")), errConnField},
		{"transfer-encoding", join(settings, ok200("transfer-encoding", "chunked")), errConnField},
		{"keep-alive", join(settings, ok200("keep-alive", "timeout=5")), errConnField},
		{"upgrade", join(settings, ok200("upgrade", "h2c")), errConnField},
		{"proxy-connection", join(settings, ok200("proxy-connection", "close")), errConnField},
		{"connection in trailers", join(settings, ok200(), headers(true, "connection", "close")), errConnField},
		{"two lengths", join(settings, ok200("content-length", "1", "content-length", "2")), errLength},
		{"a length that is none", join(settings, ok200("content-length", "+1")), errLength},
		{"a list of lengths", join(settings, ok200("content-length", "1, 1")), errLength},
		{"a length without end", join(settings, ok200("content-length", "9999999999999999999")), errLength},
		{"an empty length", join(settings, ok200("content-length", "")), errLength},
		{"too many fields", join(settings, ok200(huge...)), errFields},
		{"too large a value", join(settings, ok200("a", strings.Repeat("b", 5000))), errHeadSize},
		{"too large all in all", join(settings, ok200("a", strings.Repeat("b", 2500), "c", strings.Repeat("d", 2500))), errHeadSize},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, piece := range []int{1, 2, 3, 5, 7, 9, 10, 13, 64, len(c.in)} {
				if piece < 64 && len(c.in) > 100_000 {
					continue
				}
				s, _ := opened(t, Options{})
				got, err := said(s, c.in, piece)
				if err != c.want {
					t.Fatalf("in pieces of %d: got %v behind %s, want %v", piece, err, got, c.want)
				}
				if _, _, _, again := s.Next([]byte("x")); again == nil {
					t.Fatal("it goes on behind an error")
				}
			}
		})
	}
}

// TestConversation has several requests on one connection.
func TestConversation(t *testing.T) {
	s, scratch := new(Session), new(Scratch)
	s.Open(limits)
	var sent bytes.Buffer
	read := http2.NewFramer(io.Discard, &sent)
	read.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	begin := func(end bool) {
		t.Helper()
		b, ok := s.Begin(nil, []byte(steadyHead), Options{End: end, Trailers: true}, scratch)
		if !ok {
			t.Fatal("refused")
		}
		sent.Write(b)
	}
	want := func(texts ...string) {
		t.Helper()
		for _, text := range texts {
			f, err := read.ReadFrame()
			if err != nil {
				t.Fatalf("instead of %s: %v", text, err)
			}
			if got := f.Header().String(); !strings.Contains(got, text) {
				t.Fatalf("got %s, want %s", got, text)
			}
		}
	}
	hear := func(in []byte) {
		t.Helper()
		if _, err := said(s, in, len(in)); err != nil {
			t.Fatal(err)
		}
	}
	on := func(stream uint32, write func(f *http2.Framer, stream uint32)) []byte {
		return frames(func(f *http2.Framer) { write(f, stream) })
	}
	answer := func(end bool) func(*http2.Framer, uint32) {
		return func(f *http2.Framer, stream uint32) {
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block(":status", "200", "content-length", "1"), EndHeaders: true})
			f.WriteData(stream, end, []byte("a"))
		}
	}

	begin(true)
	if got := string(sent.Next(len(greeting))); got != greeting {
		t.Fatalf("it begins with %q", got)
	}
	want("SETTINGS len=30", "WINDOW_UPDATE len=4", "HEADERS flags=END_STREAM|END_HEADERS stream=1")
	hear(join(settings, on(1, answer(true))))
	if !s.Finish() {
		t.Fatal("the connection is given up")
	}
	begin(false)
	want("SETTINGS flags=ACK", "HEADERS flags=END_HEADERS stream=3")
	sent.Write(s.AppendData(nil, 0, true))
	want("DATA flags=END_STREAM stream=3")
	hear(on(3, answer(false))) // only its end is missing
	if !s.Finish() {
		t.Fatal("a response that is whole but for its end costs the connection")
	}
	begin(true)
	want("RST_STREAM stream=3", "HEADERS flags=END_STREAM|END_HEADERS stream=5")
	hear(join(on(3, func(f *http2.Framer, stream uint32) { f.WriteData(stream, true, nil) }), on(5, answer(true))))
	if !s.Finish() {
		t.Fatal("the late end costs the connection")
	}
	begin(true)
	want("HEADERS flags=END_STREAM|END_HEADERS stream=7")
	if _, err := said(s, on(5, answer(true)), 1000); err != errClosed {
		t.Fatalf("a second response on an old stream: %v", err)
	}
}

func TestLateData(t *testing.T) {
	s, scratch := opened(t, Options{End: true})
	if _, err := said(s, join(settings, ok200("content-length", "1"), data(false, "a")), 1000); err != nil || !s.Finish() {
		t.Fatal(err)
	}
	if _, ok := s.Begin(nil, []byte(steadyHead), Options{End: true}, scratch); !ok {
		t.Fatal("refused")
	}
	if _, err := said(s, data(false, "b"), 1000); err != errMore {
		t.Errorf("data behind a whole response: %v", err)
	}
}

func TestFinish(t *testing.T) {
	whole := join(settings, ok200(), data(true, "a"))
	for name, c := range map[string]struct {
		in   []byte
		end  bool
		want bool
	}{
		"whole":                {whole, true, true},
		"not sent":             {whole, false, false},
		"not received":         {join(settings, ok200(), data(false, "a")), true, false},
		"gone away":            {join(settings, raw(frameGoAway, 0, 0, "\x00\x00\x00\x01\x00\x00\x00\x00"), ok200(), data(true, "a")), true, false},
		"no further streams":   {join(frames(func(f *http2.Framer) { f.WriteSettings(http2.Setting{ID: 3, Val: 0}) }), ok200(), data(true, "a")), true, false},
		"refused":              {join(settings, raw(frameReset, 0, 1, "\x00\x00\x00\x07")), true, false},
		"its length, its end":  {join(settings, ok200("content-length", "1"), data(true, "a")), true, true},
		"its length, no end":   {join(settings, ok200("content-length", "1"), data(false, "a")), true, true},
		"within a late header": {join(settings, ok200("content-length", "1"), data(false, "a"), raw(frameHeaders, 0, 1, "")), true, false},
	} {
		s, _ := opened(t, Options{End: c.end})
		if _, err := said(s, c.in, 1000); err != nil {
			t.Fatal(name, err)
		}
		if got := s.Finish(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestWindows: what is sent keeps within the windows of the server, and what is received widens ours.
func TestWindows(t *testing.T) {
	s, _ := opened(t, Options{})
	if got := s.Room(); got != 16384 {
		t.Errorf("room for %d bytes at first", got)
	}
	total := 0
	for s.Room() > 0 {
		n := s.Room()
		s.AppendData(nil, n, false)
		total += n
	}
	if total != 65535 {
		t.Errorf("%d bytes were sent without leave", total)
	}
	set := func(id http2.SettingID, v uint32) []byte {
		return frames(func(f *http2.Framer) { f.WriteSettings(http2.Setting{ID: id, Val: v}) })
	}
	wider := func(stream, n uint32) []byte { return frames(func(f *http2.Framer) { f.WriteWindowUpdate(stream, n) }) }
	for _, c := range []struct {
		in   []byte
		room int
	}{
		{set(4, 1<<20), 0}, {wider(0, 100), 100}, {set(4, 10), 0}, {wider(1, 65625), 100}, {set(5, 1<<20), 100},
		{join(wider(0, 1<<20), wider(1, 1<<20)), 1 << 20}, {set(4, 0), 1<<20 + 90}, {raw(frameReset, 0, 1, "\x00\x00\x00\x08"), 1<<20 + 90},
	} {
		if _, err := said(s, c.in, 100); err != nil {
			t.Fatal(err)
		}
		if got := s.Room(); got != min(c.room, 1<<20) {
			t.Errorf("room for %d bytes, want %d", got, c.room)
		}
	}

	s, _ = opened(t, Options{End: true})
	if _, err := said(s, join(settings, ok200()), 100); err != nil {
		t.Fatal(err)
	}
	s.TakeOut(nil)
	piece := raw(frameData, 0, 1, strings.Repeat("x", frameLimit))
	updates := 0
	for range 3 << 30 / frameLimit {
		for p := piece; len(p) > 0; {
			_, _, n, err := s.Next(p)
			if err != nil {
				t.Fatal(err)
			}
			p = p[n:]
		}
		if out := s.TakeOut(nil); len(out) > 0 {
			updates += len(out) / 13
		}
	}
	if updates != 10 {
		t.Errorf("%d updates of windows for 3 GiB, want 10", updates)
	}
}

func TestFlowControlOfTheServer(t *testing.T) {
	s := &Session{taken: window - 10}
	if s.took(11, false) != errOverrun {
		t.Error("a server may send more than the window")
	}
}
