package top

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/testkit"
	"go.uber.org/goleak"
)

// TestMain is also the program that runs on the pseudo-terminal.
func TestMain(m *testing.M) {
	if socket := os.Getenv("WEIR_TEST_TOP"); socket != "" {
		os.Exit(child(socket))
	}
	time.Local = time.UTC
	goleak.VerifyTestMain(m)
}

func child(socket string) int {
	desk := api.NewClient(socket)
	ink := OnDark
	if os.Getenv("NO_COLOR") != "" {
		ink = Mono
	}
	err := Run(context.Background(), Options{Desk: desk, Ink: ink, In: os.Stdin, Out: os.Stdout, Env: os.Environ()})
	desk.Close()
	if err == nil {
		err = goleak.Find(goleak.IgnoreTopFunction("os/signal.loop"), goleak.IgnoreTopFunction("os/signal.signal_recv"))
	}
	if err != nil {
		fmt.Println("ended with", err)
		return 1
	}
	return 0
}

// open runs the view of a desk on a terminal.
func open(t testing.TB, d *fakeDesk, w, h int, env ...string) *testkit.Terminal {
	t.Helper()
	return openOn(t, d, testkit.Dark, w, h, env...)
}

// openOn is open on a background.
func openOn(t testing.TB, d *fakeDesk, back string, w, h int, env ...string) *testkit.Terminal {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(environment(d), env...)
	s := testkit.Open(t, cmd, w, h, back)
	s.See("web1")
	return s
}

// environment is that of the program that runs on the pseudo-terminal.
func environment(d *fakeDesk) []string {
	return append(os.Environ(), "WEIR_TEST_TOP="+d.socket, "TERM=xterm-256color", "TZ=UTC", "GOMAXPROCS=1")
}

// leave ends the view by a key and looks at what it leaves behind.
func leave(t testing.TB, s *testkit.Terminal, keys string) {
	t.Helper()
	s.Type(keys)
	if err := s.Wait(20 * time.Second); err != nil {
		t.Errorf("it ended with %v:\n%s", err, s.Text())
	}
	for _, mode := range []string{"1049", "1002", "1006", "2004"} {
		if s.Mode(mode) {
			t.Errorf("it left the terminal in mode %s", mode)
		}
	}
}

func TestLookAround(t *testing.T) {
	d := newFakeDesk(t)
	s := open(t, d, 100, 30)
	s.See("requests")
	s.See("10.0.0.6:8080 is down")
	for keys, want := range map[string]string{"2": "POOL/SERVER", "3": "APP/WORKER", "4": "SITE/ROUTE", "5": "WHY NOT FROM THE CACHE", "7": "SUBJECT", "6": "ADDRESS", "?": "Acting"} {
		s.Type(keys)
		s.See(want)
		if keys == "?" {
			s.Type("\x1b")
			s.SeeNo("Acting")
		}
	}
	s.Type("2")
	s.See("10.0.0.8:8080")
	s.Type("\x1b[B\x1b[B\r") // down, down, Enter
	s.See("connect_error 800")
	s.Type("\x1b")
	s.See("POOL/SERVER")
	s.Resize(60, 20)
	s.See("[2 pools] 3 work")
	s.Resize(200, 50)
	s.See("RETR")
	s.Type(" ")
	s.See("PAUSED")
	leave(t, s, "q")
}

func TestSortAndFilter(t *testing.T) {
	s := open(t, newFakeDesk(t), 120, 30)
	s.Type("2")
	s.See("POOL/SERVER")
	s.Type("/down")
	s.See("2 of 8 with down")
	s.SeeNo("photos/1")
	s.Type("\r")
	s.Type("\x1b[C")
	s.See("POOL/SERVER▲")
	s.Type("r")
	s.See("POOL/SERVER▼")
	s.Type("\x1b")
	s.See("photos/1")
	// A click on a column's head, and one on a view's name.
	for y, l := range strings.Split(s.Text(), "\n") {
		if before, _, ok := strings.Cut(l, "RATE"); ok {
			x := len([]rune(before))
			s.Type(fmt.Sprintf("\x1b[<0;%d;%dM\x1b[<0;%d;%dm", x+2, y+1, x+2, y+1))
			break
		}
	}
	s.See("RATE▼")
	s.Type("\x1b[<0;30;2M")
	s.See("APP/WORKER")
	leave(t, s, "\x03")
}

func TestActing(t *testing.T) {
	d := newFakeDesk(t)
	s := open(t, d, 80, 24)
	s.Type("2")
	s.See("POOL/SERVER")
	s.Type("\x1b[B")
	s.See("d drain")
	s.Type("d")
	s.See("Drain web/10.0.0.5:8080?")
	s.Type("new disk\x7fc\x1b[200~ at\nnoon\x1b[201~\r")
	s.See("web/10.0.0.5:8080 is drained")
	s.Type("m\x1b")
	s.See("nothing was done")
	s.Type("w")
	s.See("Weight of")
	s.Type("\x7f100000\r")
	s.See("write a whole number from 0 to 1000")
	s.Type("\x1507\r")
	s.See("has the weight 7")
	d.mu.Lock()
	d.refuse = "there is no server that is called so"
	d.mu.Unlock()
	s.Type("e\r")
	s.See("there is no server that is called so")
	s.Type("3R")
	s.See("Reload the app photos?")
	s.Type("\r")
	s.See("the app photos is reloaded")
	leave(t, s, "q")
	hands, apps, _ := d.told()
	if len(hands) != 2 || hands[0].Do != "drain" || hands[0].Server != "10.0.0.5:8080" || hands[0].Pool != "web" || hands[0].Reason != "new disc at noon" ||
		hands[1].Do != "weight" || hands[1].Weight == nil || *hands[1].Weight != 7 {
		t.Errorf("%+v", hands)
	}
	if len(apps) != 1 || apps[0] != "photos" {
		t.Error(apps)
	}
}

func TestWhoMayOnlyLook(t *testing.T) {
	d := newFakeDesk(t, func(d *fakeDesk) { d.role = "view" })
	s := open(t, d, 80, 24)
	s.Type("2\x1b[Bd")
	s.See("you may look, not act")
	leave(t, s, "q")
}

func TestLogOnTheTerminal(t *testing.T) {
	d := newFakeDesk(t)
	s := open(t, d, 110, 24)
	s.Type("6")
	s.See("/live/20")
	s.Type("/status>\r")
	s.See("column 8: a number is missing after >")
	s.Type("/\x15status>=500\r")
	s.See("/live/")
	if _, _, filter := d.told(); filter != "status>=500" {
		t.Errorf("the filter is %q", filter)
	}
	s.Type("l")
	s.See("the last slow, failed and refused ones")
	s.SeeNo("/live/")
	s.See(`/写真/\x1b[31mred`)
	s.Type("G\x1b[A\r")
	s.See("first_byte_timeout")
	s.Type("G")
	s.See("retries")
	leave(t, s, "q")
}

// TestDeskThatComesAndGoes: the view says so, keeps what it knows, and goes on.
func TestDeskThatComesAndGoes(t *testing.T) {
	d := newFakeDesk(t)
	s := open(t, d, 80, 24)
	d.stop()
	s.See("NO DESK since")
	s.See("requests")
	d.start()
	s.SeeNo("NO DESK since")
	leave(t, s, "q")
}

// TestNothingNewIsNotDrawn: while nothing changes, nothing is sent to the terminal.
func TestNothingNewIsNotDrawn(t *testing.T) {
	d := newFakeDesk(t, func(d *fakeDesk) { d.still = true })
	s := open(t, d, 80, 24)
	s.See("10.0.0.6:8080 is down")
	settled, n := 0, 0
	for range testkit.Until(20 * time.Second) {
		d.mu.Lock()
		at := d.n
		d.mu.Unlock()
		if drawn := s.Drawn(); drawn != settled {
			settled, n = drawn, at
		} else if at > n+40 {
			leave(t, s, "q")
			return
		}
	}
	t.Error("the same picture is drawn again and again")
}

func TestWithoutColour(t *testing.T) {
	s := open(t, newFakeDesk(t), 80, 24, "NO_COLOR=1")
	s.Type("2")
	s.See("POOL/SERVER")
	leave(t, s, "q")
	if c := s.Colours(); len(c) > 0 {
		t.Errorf("colours %q", c)
	}
}

// TestTerminals: not all are xterm.
func TestTerminals(t *testing.T) {
	for _, term := range []string{"linux", "screen-256color", "vt100", "unheard-of"} {
		t.Run(term, func(t *testing.T) {
			s := open(t, newFakeDesk(t), 80, 24, "TERM="+term)
			for range 3 {
				for _, keys := range []string{"2", "4", "1", "7"} {
					s.Type(keys)
					s.See("[" + keys)
				}
			}
			s.Type("2/down\r")
			s.See("2 of 8 with down")
			s.SeeNo("photos/1")
			if n := strings.Count(s.Text(), "POOL/SERVER"); n != 1 {
				t.Errorf("%d times the columns' names:\n%s", n, s.Text())
			}
			leave(t, s, "q")
		})
	}
}

// TestLightBackground: it is asked for, and colours follow.
func TestLightBackground(t *testing.T) {
	for back, want := range map[string]string{"rgb:ffff/ffff/ffff": "38;5;130", testkit.Dark: "33"} {
		d := newFakeDesk(t)
		s := openOn(t, d, back, 80, 24)
		s.Type("2")
		s.See("POOL/SERVER")
		testkit.Eventually(t, testkit.Patience, "colours for "+back, func() bool { return slices.Contains(s.Colours(), want) })
		leave(t, s, "q")
	}
}

// TestSleep: it leaves the terminal to the shell, and comes back.
func TestSleep(t *testing.T) {
	d := newFakeDesk(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `set -m; "$0"; echo it is $?; read x; fg; echo it was $?`, self)
	cmd.Env = environment(d)
	s := testkit.Open(t, cmd, 80, 24, testkit.Dark)
	s.See("web1")
	s.Type("\x1a")
	s.See("it is 1")
	if s.Mode("1049") || s.Mode("1002") {
		t.Error("it sleeps on its own screen")
	}
	s.Type("\r")
	testkit.Eventually(t, testkit.Patience, "it is there again", func() bool { return s.Mode("1049") })
	s.Type("2")
	s.See("POOL/SERVER")
	s.Type("q")
	s.See("it was 0")
}

// TestEnds: told to end, it leaves the terminal as it was; when the terminal is gone, it goes too, also where nobody says so.
func TestEnds(t *testing.T) {
	d := newFakeDesk(t)
	s := open(t, d, 80, 24)
	s.Process().Kill(t, syscall.SIGTERM)
	s.Wait(testkit.Patience) //nolint:errcheck // how it says that it was told so is its own affair
	if s.Mode("1049") || s.Mode("1002") {
		t.Error("it left its screen behind")
	}
	s = open(t, d, 80, 24)
	p := s.Process()
	s.Hangup()
	testkit.Eventually(t, testkit.Patience, "it is gone", func() bool { return !p.Alive() })

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `trap '' HUP; exec "$0"`, self)
	cmd.Env = environment(d)
	s = testkit.Open(t, cmd, 80, 24, testkit.Dark)
	s.See("web1")
	p = s.Process()
	s.Hangup()
	testkit.Eventually(t, testkit.Patience, "it is gone without being told", func() bool { return !p.Alive() })
}

// BenchmarkWatching is what the whole program uses of a processor while it looks at 100 servers, of which all figures change each second.
func BenchmarkWatching(b *testing.B) {
	for _, name := range []string{"", "2", "6"} {
		b.Run(map[string]string{"": "overview", "2": "pools", "6": "log"}[name], func(b *testing.B) {
			d := newFakeDesk(b, func(d *fakeDesk) { d.more, d.every = 100, time.Second })
			for b.Loop() {
				s := open(b, d, 160, 50)
				s.Type(name)
				const long = 20 * time.Second
				begun := time.Now()
				time.Sleep(long)
				drawn := s.Drawn()
				leave(b, s, "q")
				b.ReportMetric(100*s.Used().Seconds()/time.Since(begun).Seconds(), "%core")
				b.ReportMetric(float64(drawn)/long.Seconds(), "bytes/s")
			}
		})
	}
}
