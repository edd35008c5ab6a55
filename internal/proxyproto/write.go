package proxyproto

import (
	"net/netip"
	"strconv"
)

// AppendV1 appends a header of version 1 for a client's connection. When one of the addresses is not valid (a client by a Unix socket)
// it says that the client is not known. If one is IPv6 both are written so.
func AppendV1(dst []byte, source, destination netip.AddrPort) []byte {
	dst = append(dst, beginning...)
	if !source.IsValid() || !destination.IsValid() {
		return append(dst, "UNKNOWN\r\n"...)
	}
	six := isSix(source) || isSix(destination)
	if six {
		dst = append(dst, "TCP6 "...)
	} else {
		dst = append(dst, "TCP4 "...)
	}
	dst = append(appendAddress(dst, source, six), ' ')
	dst = append(appendAddress(dst, destination, six), ' ')
	dst = append(strconv.AppendUint(dst, uint64(source.Port()), 10), ' ')
	dst = strconv.AppendUint(dst, uint64(destination.Port()), 10)
	return append(dst, '\r', '\n')
}

// AppendV2 is AppendV1 for version 2.
func AppendV2(dst []byte, source, destination netip.AddrPort) []byte {
	dst = append(dst, signature...)
	switch {
	case !source.IsValid() || !destination.IsValid():
		return append(dst, 2<<4|proxy, unspecified<<4, 0, 0)
	case isSix(source) || isSix(destination):
		dst = append(dst, 2<<4|proxy, inet6<<4|stream, 0, 36)
		from, to := source.Addr().As16(), destination.Addr().As16()
		dst = append(append(dst, from[:]...), to[:]...)
	default:
		dst = append(dst, 2<<4|proxy, inet<<4|stream, 0, 12)
		from, to := source.Addr().Unmap().As4(), destination.Addr().Unmap().As4()
		dst = append(append(dst, from[:]...), to[:]...)
	}
	return append(dst, byte(source.Port()>>8), byte(source.Port()), byte(destination.Port()>>8), byte(destination.Port()))
}

// AppendLocal appends a header of version 2 for a connection of the sender's own, a check. Version 1 has none: a check says there that
// it is a connection of the checker (section 2.1).
func AppendLocal(dst []byte) []byte {
	return append(append(dst, signature...), 2<<4|local, unspecified<<4, 0, 0)
}

func isSix(a netip.AddrPort) bool { return a.Addr().Is6() && !a.Addr().Is4In6() }

// appendAddress appends an address without its zone, which says nothing to another machine. An IPv4 address among IPv6 ones is written
// with hexadecimal digits alone, as the specification has it.
func appendAddress(dst []byte, a netip.AddrPort, six bool) []byte {
	ip := a.Addr().Unmap().WithZone("")
	if !six || ip.Is6() {
		return ip.AppendTo(dst)
	}
	four := ip.As4()
	dst = append(dst, "::ffff:"...)
	dst = append(strconv.AppendUint(dst, uint64(port(four[:])), 16), ':')
	return strconv.AppendUint(dst, uint64(port(four[2:])), 16)
}
