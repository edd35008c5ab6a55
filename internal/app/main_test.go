package app

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
	"go.uber.org/goleak"
)

// The test binary is its own worker: `app.test worker MODE [ARG]`.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "worker" {
		work(os.Args[2], os.Args[3:])
		return
	}
	testkit.Divide()
	goleak.VerifyTestMain(m)
}

func work(mode string, args []string) {
	switch mode {
	case "serve":
		serveWorker()
	case "say":
		fmt.Println(strings.Join(args, " "))
		os.Exit(3)
	case "raw":
		os.Stdout.Write([]byte("a\x00b\x1b[31m\xff ü\r\n\n" + strings.Repeat("x", 3*lineSize) + "end"))
		os.Exit(0)
	case "flood":
		for range 1000 {
			os.Stdout.Write([]byte(strings.Repeat(strings.Repeat("y", 99)+"\n", 100)))
		}
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("stubborn is up")
		time.Sleep(time.Hour)
	case "family": // a child in the group, and one that has left it
		child := exec.Command(os.Args[0], "worker", "sleep")
		escaped := exec.Command(os.Args[0], "worker", "sleep")
		escaped.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		child.Stdout, escaped.Stdout = os.Stdout, os.Stdout // they hold the pipe open
		if child.Start() != nil || escaped.Start() != nil {
			os.Exit(9)
		}
		fmt.Println("family", child.Process.Pid, escaped.Process.Pid)
		time.Sleep(time.Hour)
	case "delegate": // a child serves, in a session of its own
		child := exec.Command(os.Args[0], "worker", "serve")
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := child.Run(); err != nil {
			os.Exit(9)
		}
	case "grow": // so many MiB, half of them in a child
		n, _ := strconv.Atoi(args[0])
		if len(args) == 1 {
			child := exec.Command(os.Args[0], "worker", "grow", args[0], "child")
			child.Stdout = os.Stdout
			if child.Start() != nil {
				os.Exit(9)
			}
		}
		held := make([]byte, n/2<<20)
		for i := 0; i < len(held); i += 4096 {
			held[i] = 1
		}
		fmt.Println("grown")
		time.Sleep(time.Hour)
		runtime.KeepAlive(held)
	case "sleep":
		signal.Ignore(syscall.SIGTERM)
		time.Sleep(time.Hour)
	case "limits":
		out, err := exec.Command("/bin/sh", "-c", "ulimit -n; ulimit -Hn; id -un; id -Gn; pwd; env | sort").CombinedOutput()
		fmt.Printf("%s%v\n", out, err)
		os.Exit(0)
	}
}

func serveWorker() {
	network, address := "tcp", "127.0.0.1:"+os.Getenv("PORT")
	if s := os.Getenv("SOCKET"); s != "" {
		network, address = "unix", s
	}
	var ln net.Listener
	var err error
	if os.Getenv("LISTEN_PID") == fmt.Sprint(os.Getpid()) && os.Getenv("LISTEN_FDS") == "1" && os.Getenv("LISTEN_FDNAMES") == "weir" {
		ln, err = net.FileListener(os.NewFile(3, "handed"))
	} else {
		ln, err = net.Listen(network, address)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	calls := 0
	http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		switch {
		case r.URL.Path == "/never":
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/third" && (calls < 3 || r.Host != "site.example"):
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/die":
			os.Exit(4)
		case r.URL.Path == "/late":
			time.Sleep(300 * time.Millisecond)
		case r.URL.Path == "/calls":
			fmt.Fprint(w, calls)
		case r.URL.Path == "/moved":
			http.Redirect(w, r, "/third", http.StatusFound)
		}
	}))
}
