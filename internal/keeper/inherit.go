package keeper

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"

	"github.com/weirhq/weir/internal/config"
)

// inherited is a listening socket that whoever started weir has opened (systemd.socket(5)): it is there before weir is and after
// it, so that connections wait even while weir is being restarted.
type inherited struct {
	file *os.File
	addr net.Addr
}

// inherit takes sockets that were handed down. The files are its own from then on.
func inherit(files []*os.File) ([]inherited, error) {
	var all []inherited
	for _, f := range files {
		l, err := net.FileListener(f) // of a duplicate
		if err != nil {
			return nil, errors.New("the socket handed down as " + f.Name() + " is not one that listens for a stream: use ListenStream= in the socket unit")
		}
		all = append(all, inherited{f, l.Addr()})
		if u, ok := l.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		if err := l.Close(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// is reports whether it is the socket of an address in the configuration.
func (i *inherited) is(spec config.Listen) bool {
	switch at := i.addr.(type) {
	case *net.UnixAddr:
		return spec.Network == "unix" && at.Name == spec.Address
	case *net.TCPAddr:
		if spec.Network == "unix" {
			return false
		}
		host, port, err := net.SplitHostPort(spec.Address)
		if err != nil || port != strconv.Itoa(at.Port) {
			return false
		}
		is := at.AddrPort().Addr().Unmap()
		if host == "" {
			return is.IsUnspecified()
		}
		want, err := netip.ParseAddr(host)
		return err == nil && want.Unmap() == is
	}
	return false
}

// claim makes a listener of a socket that was handed down for the address; nil if there is none. All loops share it.
func (k *keeper) claim(spec config.Listen) (*listener, error) {
	for n := range k.inherited {
		i := &k.inherited[n]
		if !i.is(spec) {
			continue
		}
		l := &listener{spec: spec, addr: i.addr.String(), lent: true}
		for range k.opts.Loops {
			ln, err := net.FileListener(i.file)
			if err != nil {
				l.close()
				return nil, err
			}
			f, err := ln.(interface{ File() (*os.File, error) }).File()
			if u, ok := ln.(*net.UnixListener); ok {
				u.SetUnlinkOnClose(false)
			}
			if err = errors.Join(err, ln.Close()); err != nil {
				l.close()
				return nil, err
			}
			l.files = append(l.files, f)
		}
		return l, nil
	}
	return nil, nil
}

// listen claims or opens the sockets of an address.
func (k *keeper) listen(spec config.Listen) (*listener, error) {
	if l, err := k.claim(spec); l != nil || err != nil {
		return l, err
	}
	if spec.Desk {
		return openListener(spec, 1)
	}
	return openListener(spec, k.opts.Loops)
}

// unclaimed warns of sockets that were handed down for nothing.
func (k *keeper) unclaimed() {
	for n := range k.inherited {
		i, used := &k.inherited[n], false
		for _, l := range k.cfg.Listen {
			used = used || i.is(l)
		}
		if !used {
			k.log.Warn("a socket was handed down that the configuration does not listen on: add it to listen:, or take it out of the socket unit", "address", i.addr.String())
		}
	}
}
