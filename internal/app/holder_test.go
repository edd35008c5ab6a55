package app

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestReadinessIsThatOfTheWorkerItself(t *testing.T) {
	// other starts a process that serves on the worker's port.
	other := func(t *testing.T, p *Process, env ...string) *exec.Cmd {
		cmd := exec.Command(os.Args[0], "worker", "serve")
		cmd.Env = append(env, fmt.Sprintf("PORT=%d", p.port))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		return cmd
	}
	t.Run("an older process has the port", func(t *testing.T) {
		a := helper("sleep")
		a.Ready.Within = 500 * time.Millisecond
		p := open(t, false).launch(t, a)
		ln, err := net.Listen("tcp", p.Address)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		want := fmt.Sprintf("did not accept connections within 500ms (app.test (process %d) has its port %d, which was free before)", os.Getpid(), p.port)
		if err := p.AwaitReady(t.Context()); err == nil || err.Error() != want {
			t.Error(err)
		}
	})
	t.Run("another worker has the port", func(t *testing.T) {
		p := open(t, false).launch(t, helper("sleep"))
		cmd := other(t, p, workerVariable+"=web/1.1", runDirVariable+"=/another")
		until(t, "it listens", func() bool { return len(listening(p.port)) > 0 })
		if err := p.answers(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("(process %d) has its port", cmd.Process.Pid)) {
			t.Error(err)
		}
	})
	t.Run("a younger process has it, as a container's proxy would", func(t *testing.T) {
		p := open(t, false).launch(t, helper("sleep"))
		other(t, p)
		if err := p.AwaitReady(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("a child in a session of its own", func(t *testing.T) {
		p := open(t, true).launch(t, helper("delegate"))
		if err := p.AwaitReady(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("it has answered and ended", func(t *testing.T) {
		cmd := exec.Command("true")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		p := &Process{cmd: cmd, ended: make(chan struct{})}
		until(t, "it is a zombie, which accepts signals", func() bool { return errors.Is(p.answers(), errEnded) })
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		close(p.ended)
		if err := p.answers(); !errors.Is(err, errEnded) {
			t.Error(err)
		}
	})
}

func TestListener(t *testing.T) {
	const head = "   1: 0100007F:EE48 00000000:0000 "
	for line, want := range map[string]string{
		head + "0A 00000000:00000000 00:00000000 00000000     0        0 424242 1 x": "424242",
		head + "01 00000000:00000000 00:00000000 00000000     0        0 424242 1 x": "",
		"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when":         "",
		strings.Replace(head, "EE48", "EE", 1) + "0A 0 0 0 0 0 1":                    "",
		head + "0A 00000000:00000000 00:00000000 00000000     0        0 x 1":        "",
		"": "",
	} {
		if got, ok := listener(line, 61000); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q", line, got)
		}
	}
}

func TestParseStat(t *testing.T) {
	s, err := parseStat([]byte("12 (a) Z (b) S 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 2222 23\n"))
	if want := (stat{state: 'S', parent: 3, session: 5, start: 2222}); err != nil || s != want {
		t.Error(s, err)
	}
	for _, bad := range []string{"", "12 (a", "12 (a) S 3 4", "12 (a) S x 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 2222"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Error(bad)
		}
	}
}

func TestPortsOfWorkersAreAboveTheSystems(t *testing.T) {
	for text, want := range map[string]int{"32768\t60999\n": 61000, "1024 65535": 65536, "": 65536, "a b": 65536, "9 8": 65536} {
		if got := portsAbove(text); got != want {
			t.Errorf("%q: %d", text, got)
		}
	}
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		t.Fatal(err)
	}
	above, seen := portsAbove(string(text)), map[int]bool{}
	for range 50 {
		port, err := takePort()
		if err != nil {
			t.Fatal(err)
		}
		defer givePort(port)
		if seen[port] || lastPort+1-above >= enoughRoom && port < above {
			t.Error(port)
		}
		seen[port] = true
	}
}
