package desk

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/picture"
)

// pulse tells the keeper that pictures are made: a desk that hangs would tell nobody that anything is down.
type pulse struct{ made atomic.Uint64 }

// Look counts a picture. It is the last to see it.
func (p *pulse) Look(*picture.Picture) { p.made.Add(1) }

// beat says each second whether there was a picture, until the connection to the keeper ends. A keeper that does not listen holds up
// nothing but this.
func (p *pulse) beat(conn *net.UnixConn, end <-chan struct{}) {
	t := time.NewTicker(every)
	defer t.Stop()
	told := uint64(0)
	for {
		select {
		case <-t.C:
		case <-end:
			return
		}
		if n := p.made.Load(); n != told {
			told = n
			if _, err := conn.Write([]byte{1}); err != nil {
				return
			}
		}
	}
}
