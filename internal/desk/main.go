package desk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/notice"
)

// Main is the desk's process: it takes what the keeper hands down, and serves until the keeper lets it go or is gone. It returns nil
// when it stopped in order.
func Main(ctx context.Context, version string) error {
	conn, err := api.KeeperConn()
	if err != nil {
		return err
	}
	defer conn.Close()
	d := newDesk(version, notice.Process("desk"))
	told, end, ended := make(chan error, 1), make(chan struct{}), make(chan struct{})
	go func() { told <- d.obey(conn) }()
	go func() { defer close(ended); d.pulse.beat(conn, end) }()
	select {
	case err = <-told:
	case <-ctx.Done():
		conn.Close() //nolint:errcheck // it ends obey
		<-told
	}
	close(end)
	conn.Close() //nolint:errcheck // it ends a beat that waits for the keeper
	<-ended
	return errors.Join(err, d.stop())
}

// obey does what the keeper says until it says no more.
func (d *desk) obey(conn *net.UnixConn) error {
	for {
		m, files, err := api.ReceiveHandover(conn)
		if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		switch m.Kind {
		case "listener":
			d.offer(m.Network, m.Address, files)
		case "state":
			s, err := api.ReadState(files[0])
			if err == nil {
				err = d.apply(s)
			}
			if err != nil { // what was in force stays: the keeper and the edge have taken the configuration already
				slog.Error("the status page goes on with the configuration as it was", "error", err)
			}
		default:
			for _, f := range files {
				f.Close() //nolint:errcheck // a message of another weir
			}
		}
	}
}

// offer keeps a listening socket that was handed down.
func (d *desk) offer(network, address string, files []*os.File) {
	key := network + " " + address
	if old := d.offered[key]; old != nil {
		old.Close() //nolint:errcheck // another socket of the same address
	}
	for i, f := range files {
		if i > 0 {
			f.Close() //nolint:errcheck // one is enough
			continue
		}
		d.offered[key] = f
	}
}

// stopTime is how long answers under way may take when the desk stops.
const stopTime = 500 * time.Millisecond

// stop ends everything, in reverse.
func (d *desk) stop() error {
	d.door.shut()
	if d.traces != nil {
		d.traces.Stop()
	}
	err := d.hub.stop()
	for key, f := range d.offered {
		if cerr := f.Close(); cerr != nil {
			err = errors.Join(err, fmt.Errorf("closing %s: %w", key, cerr))
		}
	}
	return err
}
