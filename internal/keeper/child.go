package keeper

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/api"
)

// child is a process of weir's that is told by messages what it is to do: an edge or the desk.
type child struct {
	cmd     *exec.Cmd
	conn    *net.UnixConn
	started time.Time
	exited  chan struct{} // closed when it has
	how     string        // once exited
	heard   chan struct{} // closed when all that it said has been taken; nil: it says nothing of which its end is to wait
}

// launch starts one. What it prints goes to stdout, and its errors to weir's.
func (k *keeper) launch(argv []string, stdout io.Writer) (child, error) {
	conn, theirs, err := api.Pair()
	if err != nil {
		return child{}, err
	}
	defer theirs.Close() //nolint:errcheck // the child has its own
	c := child{conn: conn, started: time.Now(), exited: make(chan struct{})}
	// A session of its own: a terminal's ^C is for the keeper, which stops everything in order. No parent-death
	// signal: when the keeper dies, the pair closes, and the child finishes what it can.
	c.cmd = &exec.Cmd{Path: argv[0], Args: append([]string{"weir"}, argv[1:]...), Env: childEnv(os.Environ()), Stdout: stdout, Stderr: k.opts.Stderr, ExtraFiles: []*os.File{theirs}, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	if err := k.starter.Start(c.cmd); err != nil {
		return child{}, errors.Join(err, conn.Close())
	}
	return c, nil
}

// reap waits for its end, in a goroutine of its own, and then has told called as an event.
func (k *keeper) reap(c *child, told func()) {
	k.goes(func() {
		k.starter.Await(c.cmd)
		defer k.starter.Leave()
		err := k.starter.Wait(c.cmd)
		c.how = "exit status 0"
		if err != nil {
			c.how = err.Error()
		}
		c.hearOut()
		close(c.exited)
		k.post(told)
	})
}

// lastWords is how long what a process has said before its end may take to be taken: all of it is there, and then the end of the
// pair, unless somebody else has that end too.
const lastWords = time.Second

// hearOut waits until what the process said last has been taken: why it died is in it.
func (c *child) hearOut() {
	if c.heard == nil {
		return
	}
	t := time.NewTimer(lastWords)
	defer t.Stop()
	select {
	case <-c.heard:
	case <-t.C:
	}
}

func (c *child) signal(s syscall.Signal) {
	// It may have exited meanwhile, which is what a signal is for.
	c.cmd.Process.Signal(s) //nolint:errcheck // see above
}

func (c *child) dead() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}
