package proxyproto

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"strings"
	"testing"
)

// binaryHeader is a version 2 header with these bytes behind its fixed part.
func binaryHeader(command, family byte, rest string) string {
	return signature + string([]byte{0x20 | command, family, byte(len(rest) >> 8), byte(len(rest))}) + rest
}

func tlv(kind byte, value string) string {
	return string([]byte{kind, byte(len(value) >> 8), byte(len(value))}) + value
}

// summed fills in the checksum, whose TLV is a header's last seven bytes.
func summed(header string) string {
	b := []byte(header)
	copy(b[len(b)-4:], "\x00\x00\x00\x00")
	binary.BigEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return string(b)
}

const (
	four = "\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb" // 192.0.2.1:56324 to 198.51.100.2:443
	six  = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\xdc\x04\x01\xbb"
	mapped = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc6\x33\x64\x02\xdc\x04\x01\xbb"
)

var (
	client4, server4 = netip.MustParseAddrPort("192.0.2.1:56324"), netip.MustParseAddrPort("198.51.100.2:443")
	client6, server6 = netip.MustParseAddrPort("[2001:db8::1]:56324"), netip.MustParseAddrPort("[2001:db8::2]:443")
)

func tcp(version uint8, source, destination netip.AddrPort) Header {
	return Header{Kind: TCP, Version: version, Source: source, Destination: destination}
}

func TestParse(t *testing.T) {
	path := strings.Repeat("p", 2*108)
	secure := tcp(2, client4, server4)
	secure.TLS = true
	for _, row := range []struct {
		name, in string
		want     Header
	}{
		{"v1, IPv4", "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", tcp(1, client4, server4)},
		{"v1, IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n", tcp(1, client6, server6)},
		{"v1, IPv6 in capitals and at full length", "PROXY TCP6 2001:0DB8:0000:0000:0000:0000:0000:0001 2001:db8:0:0::2 56324 443\r\n", tcp(1, client6, server6)},
		{"v1, IPv4 among IPv6", "PROXY TCP6 ::ffff:c000:201 ::ffff:198.51.100.2 56324 443\r\n", tcp(1, client4, server4)},
		{"v1, the widest", "PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n", tcp(1, netip.MustParseAddrPort("255.255.255.255:65535"), netip.MustParseAddrPort("0.0.0.0:0"))},
		{"v1, unspecified addresses", "PROXY TCP6 :: :: 0 0\r\n", tcp(1, netip.MustParseAddrPort("[::]:0"), netip.MustParseAddrPort("[::]:0"))},
		{"v1, unknown", "PROXY UNKNOWN\r\n", Header{Kind: Unknown, Version: 1}},
		{"v1, unknown with what is ignored", "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", Header{Kind: Unknown, Version: 1}},
		{"v1, unknown with nonsense", "PROXY UNKNOWN \x00 \xff\r\n", Header{Kind: Unknown, Version: 1}},
		{"v2, IPv4", binaryHeader(proxy, 0x11, four), tcp(2, client4, server4)},
		{"v2, IPv6", binaryHeader(proxy, 0x21, six), tcp(2, client6, server6)},
		{"v2, IPv4 as IPv6", binaryHeader(proxy, 0x21, mapped), tcp(2, client4, server4)},
		{"v2, Unix", binaryHeader(proxy, 0x31, path), Header{Kind: Unix, Version: 2}},
		{"v2, unspecified", binaryHeader(proxy, 0x00, ""), Header{Kind: Unknown, Version: 2}},
		{"v2, unspecified, with bytes", binaryHeader(proxy, 0x00, "anything"), Header{Kind: Unknown, Version: 2}},
		{"v2, a family without a protocol", binaryHeader(proxy, 0x10, ""), Header{Kind: Unknown, Version: 2}},
		{"v2, datagrams", binaryHeader(proxy, 0x12, four), Header{Kind: Unknown, Version: 2}},
		{"v2, local", binaryHeader(local, 0x00, ""), Header{Kind: Local, Version: 2}},
		{"v2, local with addresses", binaryHeader(local, 0x11, four), Header{Kind: Local, Version: 2}},
		{"v2, local of a family that there is not", binaryHeader(local, 0xff, "xyz"), Header{Kind: Local, Version: 2}},
		{"v2, TLVs", binaryHeader(proxy, 0x11, four+tlv(4, "")+tlv(1, "h2")+tlv(0xee, strings.Repeat("v", 300))), tcp(2, client4, server4)},
		{"v2, a client by TLS", binaryHeader(proxy, 0x11, four+tlv(typeSSL, "\x01\x00\x00\x00\x00"+tlv(0x21, "TLSv1.3"))), secure},
		{"v2, a client without TLS", binaryHeader(proxy, 0x11, four+tlv(typeSSL, "\x02\x00\x00\x00\x00")), tcp(2, client4, server4)},
		{"v2, a checksum", summed(binaryHeader(proxy, 0x11, four+tlv(2, "host.example")+tlv(typeCRC32C, "0000"))), tcp(2, client4, server4)},
		{"v2, a checksum behind a path", summed(binaryHeader(proxy, 0x31, path+tlv(typeCRC32C, "0000"))), Header{Kind: Unix, Version: 2}},
		{"v2, as large as may be", binaryHeader(proxy, 0x11, four+tlv(4, strings.Repeat("n", MaxSize-fixed-len(four)-3))), tcp(2, client4, server4)},
	} {
		t.Run(row.name, func(t *testing.T) {
			if len(row.in) > MaxSize {
				t.Fatalf("%d bytes", len(row.in))
			}
			for i := range len(row.in) {
				if h, n, err := Parse([]byte(row.in[:i])); n != 0 || err != nil || h != (Header{}) {
					t.Fatalf("cut at %d: %+v, %d, %v", i, h, n, err)
				}
			}
			for _, behind := range []string{"", "G", "\r", "\n\r", "GET / HTTP/1.1\r\n\r\n", row.in} {
				if h, n, err := Parse([]byte(row.in + behind)); h != row.want || n != len(row.in) || err != nil {
					t.Errorf("%+v, %d of %d, %v before %q, want %+v", h, n, len(row.in), err, behind, row.want)
				}
			}
		})
	}
}

func TestRefused(t *testing.T) {
	good := summed(binaryHeader(proxy, 0x11, four+tlv(typeCRC32C, "0000")))
	for _, row := range []struct {
		name, in string
		want     *Error
		at       int // how many bytes are enough to see it; 0: all
	}{
		{"HTTP", "GET / HTTP/1.1\r\n", errNone, 1},
		{"another method", "PUT / HTTP/1.1\r\n", errNone, 2},
		{"a method that almost is it", "PROXYING / HTTP/1.1\r\n", errNone, 6},
		{"TLS", "\x16\x03\x01", errNone, 1},
		{"an empty line", "\r\nGET", errNone, 3},
		{"in small letters", "proxy TCP4", errNone, 1},
		{"a CR alone", "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\rX", errEnd, 0},
		{"a LF alone", "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n", errEnd, 0},
		{"a LF before the CR", "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n\r", errEnd, 38},
		{"two CRs", "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\r\n", errEnd, 39},
		{"no end", "PROXY UNKNOWN " + strings.Repeat("x", 200), errLine, 107},
		{"one byte too long", "PROXY UNKNOWN " + strings.Repeat("x", 107-14-1) + "\r\n", errLine, 107},
		{"no protocol", "PROXY \r\n", errFamily, 0},
		{"another protocol", "PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n", errFamily, 0},
		{"almost unknown", "PROXY UNKNOWN4\r\n", errFamily, 0},
		{"two spaces", "PROXY  TCP4 192.0.2.1 198.51.100.2 1 2\r\n", errFamily, 0},
		{"a tab", "PROXY TCP4\t192.0.2.1 198.51.100.2 1 2\r\n", errFamily, 0},
		{"no addresses", "PROXY TCP4\r\n", errParts, 0},
		{"one port", "PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n", errParts, 0},
		{"three ports", "PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n", errParts, 0},
		{"a space at the end", "PROXY TCP4 192.0.2.1 198.51.100.2 1 2 \r\n", errParts, 0},
		{"a space between", "PROXY TCP4 192.0.2.1  198.51.100.2 1 2\r\n", errParts, 0},
		{"IPv6 as IPv4", "PROXY TCP4 ::1 ::1 1 2\r\n", errAddress, 0},
		{"IPv4 as IPv6", "PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n", errAddress, 0},
		{"a heading zero", "PROXY TCP4 192.0.02.1 198.51.100.2 1 2\r\n", errAddress, 0},
		{"256", "PROXY TCP4 192.0.2.256 198.51.100.2 1 2\r\n", errAddress, 0},
		{"three parts", "PROXY TCP4 192.0.2 198.51.100.2 1 2\r\n", errAddress, 0},
		{"five parts", "PROXY TCP4 192.0.2.1.1 198.51.100.2 1 2\r\n", errAddress, 0},
		{"a zone", "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", errAddress, 0},
		{"a name", "PROXY TCP4 client.example 198.51.100.2 1 2\r\n", errAddress, 0},
		{"a port with a heading zero", "PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n", errPort, 0},
		{"a port too large", "PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n", errPort, 0},
		{"a port below zero", "PROXY TCP4 192.0.2.1 198.51.100.2 -1 2\r\n", errPort, 0},
		{"an empty port", "PROXY TCP4 192.0.2.1 198.51.100.2 1 \r\n", errPort, 0},
		{"an endless port", "PROXY TCP4 192.0.2.1 198.51.100.2 1 18446744073709551617\r\n", errPort, 0},

		{"a broken signature", signature[:11] + "\r!", errNone, 12},
		{"version 1 in binary", signature + "\x11\x11\x00\x00", errVersion, 13},
		{"version 3", signature + "\x31", errVersion, 13},
		{"another command", signature + "\x22\x11\x00\x0c", errCommand, 16},
		{"another family", signature + "\x21\x41\x00\x0c", errProtocol, 16},
		{"another protocol", signature + "\x21\x13\x00\x0c", errProtocol, 16},
		{"too large", signature + "\x21\x11\x0f\xf1", errLarge, 16},
		{"far too large", signature + "\x20\x00\xff\xff", errLarge, 16},
		{"too short for IPv4", binaryHeader(proxy, 0x11, four[:11]), errShort, 0},
		{"too short for IPv6", binaryHeader(proxy, 0x21, six[:35]), errShort, 0},
		{"too short for Unix", binaryHeader(proxy, 0x31, strings.Repeat("p", 215)), errShort, 0},
		{"too short for datagrams", binaryHeader(proxy, 0x22, four), errShort, 0},
		{"half a TLV", binaryHeader(proxy, 0x11, four+"\x04\x00"), errTLV, 0},
		{"a TLV beyond the end", binaryHeader(proxy, 0x11, four+"\x04\x00\x01"), errTLV, 0},
		{"a TLV far beyond the end", binaryHeader(proxy, 0x11, four+"\x04\xff\xffx"), errTLV, 0},
		{"a wrong checksum", good[:len(good)-1] + string([]byte{good[len(good)-1] + 1}), errChecksum, 0},
		{"a checksum of another address", strings.Replace(good, "\xc0\x00\x02\x01", "\xc0\x00\x02\x02", 1), errChecksum, 0},
		{"a short checksum", binaryHeader(proxy, 0x11, four+tlv(typeCRC32C, "123")), errChecksumTLV, 0},
		{"two checksums", binaryHeader(proxy, 0x11, four+tlv(typeCRC32C, "1234")+tlv(typeCRC32C, "1234")), errChecksumTLV, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			at := row.at
			if at == 0 {
				at = len(row.in)
			}
			for i := range len(row.in) + 1 {
				h, n, err := Parse([]byte(row.in[:i]))
				switch {
				case n != 0 || h != (Header{}):
					t.Fatalf("%d bytes: %+v, %d, %v", i, h, n, err)
				case i < at && err != nil:
					t.Fatalf("%d bytes: %v, before it could be known", i, err)
				case i >= at && err != row.want:
					t.Fatalf("%d bytes: %v, want %v", i, err, row.want)
				}
			}
		})
	}
}

// TestAddresses holds what is written as an IPv6 address against what netip takes for one.
func TestAddresses(t *testing.T) {
	for _, s := range []string{"::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::8", "1:2::7:8", "::1.2.3.4", "64:ff9b::1.2.3.4",
		"1:2:3:4:5:6:1.2.3.4", "ABCD:ef01::", "0:0:0:0:0:0:0:0",
		"", ":", ":::", "1", "1:", ":1", "1:2", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:", ":1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "1::2::3", "1:::2", "12345::", "g::", "::g", "1:2:3:4:5:6:7:1.2.3.4",
		"1.2.3.4", "::1.2.3", "::1.2.3.4:5", "::1.2.3.4.5", "::01.2.3.4", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1:2:3:4::5:6:7:8", "::1%eth0", "::00001", " ::1", "::1 ", "::-1"} {
		want, err := netip.ParseAddr(s)
		valid := err == nil && want.Is6() && want.Zone() == ""
		if got, ok := address6([]byte(s)); ok != valid || ok && got != want.As16() {
			t.Errorf("%q: %v %v, want %v %v", s, netip.AddrFrom16(got), ok, want, valid)
		}
	}
}

func TestAppend(t *testing.T) {
	inSix := netip.MustParseAddrPort("[::ffff:192.0.2.1]:56324")
	zoned := netip.MustParseAddrPort("[fe80::1%eth0]:1")
	unzoned := netip.MustParseAddrPort("[fe80::1]:1")
	for _, row := range []struct {
		name          string
		from, to      netip.AddrPort
		line, binary  string
		source, other netip.AddrPort
	}{
		{"IPv4", client4, server4, "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", binaryHeader(proxy, 0x11, four), client4, server4},
		{"IPv6", client6, server6, "PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n", binaryHeader(proxy, 0x21, six), client6, server6},
		{"IPv4 that a socket took for IPv6", inSix, server4, "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", binaryHeader(proxy, 0x11, four), client4, server4},
		{"one of each", inSix, server6, "PROXY TCP6 ::ffff:c000:201 2001:db8::2 56324 443\r\n", binaryHeader(proxy, 0x21, mapped[:16]+six[16:]), client4, server6},
		{"a zone", zoned, server6, "PROXY TCP6 fe80::1 2001:db8::2 1 443\r\n", binaryHeader(proxy, 0x21, "\xfe\x80"+strings.Repeat("\x00", 13)+"\x01"+six[16:32]+"\x00\x01\x01\xbb"), unzoned, server6},
		{"nothing known", netip.AddrPort{}, server4, "PROXY UNKNOWN\r\n", binaryHeader(proxy, 0, ""), netip.AddrPort{}, netip.AddrPort{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			for version, b := range map[uint8][]byte{1: AppendV1(nil, row.from, row.to), 2: AppendV2(nil, row.from, row.to)} {
				want := row.line
				if version == 2 {
					want = row.binary
				}
				if string(b) != want {
					t.Errorf("version %d: %q, want %q", version, b, want)
				}
				h, n, err := Parse(b)
				if err != nil || n != len(b) || n > MaxWritten || h.Version != version || h.Source != row.source || h.Destination != row.other {
					t.Errorf("version %d is read as %+v, %d, %v", version, h, n, err)
				}
			}
		})
	}
	if h, n, err := Parse(AppendLocal(nil)); h != (Header{Kind: Local, Version: 2}) || n != fixed || err != nil {
		t.Errorf("a check's is read as %+v, %d, %v", h, n, err)
	}
}

func TestNoAllocation(t *testing.T) {
	line, sum := AppendV1(nil, client6, server6), []byte(summed(binaryHeader(proxy, 0x11, four+tlv(typeCRC32C, "0000"))))
	buf := make([]byte, 0, MaxWritten)
	if n := testing.AllocsPerRun(100, func() {
		Parse(line)
		Parse(sum)
		AppendV1(buf, client6, server6)
		AppendV2(buf, client4, server4)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 56324 443\r\nGET"))
	f.Add([]byte("PROXY UNKNOWN x\r\n"))
	f.Add([]byte(binaryHeader(proxy, 0x21, six+tlv(typeSSL, "\x01\x00\x00\x00\x00"))))
	f.Add([]byte(summed(binaryHeader(proxy, 0x11, four+tlv(typeCRC32C, "0000")))))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := Parse(b)
		switch {
		case n < 0 || n > len(b) || n > MaxSize:
			t.Fatalf("%d of %d bytes", n, len(b))
		case err != nil && (n != 0 || h != (Header{})):
			t.Fatalf("%+v, %d and %v", h, n, err)
		case err == nil && n == 0 && len(b) >= MaxSize:
			t.Fatalf("wants more than %d bytes", len(b))
		case n == 0:
			return
		}
		if (h.Kind == TCP) != h.Source.IsValid() || h.Source.IsValid() != h.Destination.IsValid() {
			t.Fatalf("%+v", h)
		}
		if again, m, err := Parse(b[:n]); again != h || m != n || err != nil {
			t.Fatalf("without what follows: %+v, %d, %v, not %+v", again, m, err, h)
		}
		for _, cut := range []int{0, 1, n / 2, n - 1} {
			if _, m, err := Parse(b[:cut]); m != 0 || err != nil {
				t.Fatalf("cut at %d of %d: %d, %v", cut, n, m, err)
			}
		}
		if h.Kind != TCP {
			return
		}
		want := tcp(1, h.Source, h.Destination)
		if got, m, err := Parse(AppendV1(nil, h.Source, h.Destination)); got != want || m > MaxWritten || err != nil {
			t.Fatalf("written as version 1 it is %+v, %v, not %+v", got, err, want)
		}
		want.Version = 2
		if got, _, err := Parse(AppendV2(nil, h.Source, h.Destination)); got != want || err != nil {
			t.Fatalf("written as version 2 it is %+v, %v, not %+v", got, err, want)
		}
	})
}

// FuzzAddress holds the reader of IPv6 addresses against netip's.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"2001:db8::1", "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8", "::", "1::2::3", "fe80::1%eth0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := netip.ParseAddr(s)
		valid := err == nil && want.Is6() && want.Zone() == ""
		if got, ok := address6([]byte(s)); ok != valid && !strings.Contains(s, "%") || ok && got != want.As16() {
			t.Fatalf("%q: %v %v, want %v %v", s, netip.AddrFrom16(got), ok, want, valid)
		}
		want, err = netip.ParseAddr(s)
		if got, ok := address4([]byte(s)); ok != (err == nil && want.Is4()) || ok && got != want.As4() {
			t.Fatalf("%q: %v %v, want %v", s, netip.AddrFrom4(got), ok, want)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for name, header := range map[string][]byte{"v1": AppendV1(nil, client6, server6), "v2": AppendV2(nil, client4, server4)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if _, n, err := Parse(header); n == 0 || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}
