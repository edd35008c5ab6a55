package keeper

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// deskMissed is after how many times of Pulse a desk hangs that has made no picture. It is asked nothing: it says of itself that it has made
// one, each second, which it does late where the machine is busy or the disk slow.
const deskMissed = 12

// hearDesk listens for a desk's signs of life until it is gone. One that makes no pictures any more tells nobody that anything is down,
// and looks from outside as if all were well: it is killed, and its death is handled as any other.
func (k *keeper) hearDesk(d *desk) {
	beat := make([]byte, 16)
	silent := deskMissed * k.opts.Pulse
	wait := silent
	for {
		err := d.conn.SetReadDeadline(time.Now().Add(wait))
		if err == nil {
			_, err = d.conn.Read(beat)
		}
		switch {
		case err == nil:
			wait = silent
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return // it is gone, or let go
		case wait == silent:
			wait = k.opts.Pulse // it may be this process that was stopped: what was said meanwhile is there
		default:
			k.log.Error("the status page's process hangs: it is killed and started again", "silent_for", silent)
			d.signal(syscall.SIGKILL)
			return
		}
	}
}
