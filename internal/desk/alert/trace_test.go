package alert

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/picture"
)

var update = flag.Bool("update", false, "write the golden traces anew")

// TestTraces plays scripts: what becomes of the world, and what is told of it. A script begins with the alerts: of a configuration up
// to a line of three dashes; then each line is a command. What comes out stands behind the command, after "-> ".
func TestTraces(t *testing.T) {
	files, err := filepath.Glob("testdata/*.trace")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".trace"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(text), got); diff != "" {
				t.Errorf("(-wanted +got) go test -update writes it:\n%s", diff)
			}
		})
	}
}

// world is what pictures are made of.
type world struct {
	t       *testing.T
	start   time.Time
	now     time.Time
	p       picture.Picture
	extra   Extra
	traffic map[string][3]float64 // of a site: requests a second, share of errors, share of hits
	sums    map[string]*[3]float64
	board   *Board
	last    map[string]Message // by target
	out     strings.Builder
}

func configured(t *testing.T, text string) *config.Alerts {
	t.Helper()
	cfg, _, err := config.Parse("w.yaml", []byte("apps: {web: {command: sh $PORT}}\nalerts:\n"+text), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Alerts
}

func play(t *testing.T, text string) string {
	head, script, ok := strings.Cut(text, "---\n")
	if !ok {
		t.Fatal("a script without ---")
	}
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	w := &world{t: t, start: start, now: start, board: New(Saved{}), last: map[string]Message{}, traffic: map[string][3]float64{}, sums: map[string]*[3]float64{}}
	w.p = picture.Picture{Node: "n1", KeeperPID: 1, Edge: picture.Edge{Up: true}, Facts: &picture.Facts{MemTotal: 100, MemFree: 50, CPUs: []float64{0, 0}}}
	w.board.Use(configured(t, head))
	w.out.WriteString(head + "---\n")
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "-> ") {
			continue
		}
		w.out.WriteString(line)
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			w.do(line)
		}
	}
	return w.out.String()
}

func (w *world) say(format string, args ...any) {
	fmt.Fprintf(&w.out, "-> "+format+"\n", args...)
}

func (w *world) number(s string) float64 {
	n, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil {
		w.t.Fatal(err)
	}
	if strings.HasSuffix(s, "%") {
		n /= 100
	}
	return n
}

func (w *world) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *world) pool(name string) *picture.Pool {
	for i := range w.p.Pools {
		if w.p.Pools[i].Name == name {
			return &w.p.Pools[i]
		}
	}
	w.p.Pools = append(w.p.Pools, picture.Pool{Name: name, QueueSize: 100})
	return &w.p.Pools[len(w.p.Pools)-1]
}

func (w *world) do(line string) {
	words := strings.Fields(line)
	arg := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	rest := func(i int) string { return strings.Join(words[min(i, len(words)):], " ") }
	switch words[0] {
	case "server": // POOL NAME ADDRESS STATE WHY…
		p := w.pool(arg(1))
		s := picture.Server{Name: arg(2), Address: arg(3), State: arg(4), Why: rest(5)}
		found := false
		for i := range p.Servers {
			if p.Servers[i].Name == s.Name {
				p.Servers[i], found = s, true
			}
		}
		if !found {
			p.Servers = append(p.Servers, s)
		}
	case "drop": // POOL
		for i := range w.p.Pools {
			if w.p.Pools[i].Name == arg(1) {
				w.p.Pools = append(w.p.Pools[:i:i], w.p.Pools[i+1:]...)
				break
			}
		}
	case "of": // POOL APP
		w.pool(arg(1)).App = arg(2)
	case "site": // NAME POOL
		w.p.Sites = append(w.p.Sites, picture.Site{Name: arg(1)})
		w.p.Routes = append(w.p.Routes, picture.Route{Site: arg(1), Name: arg(1) + "#1", Pool: arg(2)})
		w.sums[arg(1)] = &[3]float64{}
	case "traffic": // SITE RATE ERRORS HITS
		t := [3]float64{w.number(arg(2))}
		if arg(3) != "" {
			t[1] = w.number(arg(3))
		}
		if arg(4) != "" {
			t[2] = w.number(arg(4))
		}
		w.traffic[arg(1)] = t
	case "latency": // SITE P95
		for i := range w.p.Sites {
			if w.p.Sites[i].Name == arg(1) {
				w.p.Sites[i].P95 = w.duration(arg(2)).Seconds() * 1000
			}
		}
	case "edge":
		w.p.Edge.Up = arg(1) == "up"
	case "restarts":
		w.p.Edge.Restarts = int(w.number(arg(1)))
	case "app": // NAME LOOPING ALL LAST…
		a := picture.App{Name: arg(1)}
		for i := range int(w.number(arg(3))) {
			a.Workers = append(a.Workers, picture.Worker{WorkerStatus: api.WorkerStatus{Name: fmt.Sprintf("%s/%d", arg(1), i+1), Looping: float64(i) < w.number(arg(2)), Last: rest(4)}})
		}
		w.p.Apps = []picture.App{a}
	case "starts": // NAME ALL: the app's first workers are being started
		a := picture.App{Name: arg(1)}
		for i := range int(w.number(arg(2))) {
			a.Workers = append(a.Workers, picture.Worker{WorkerStatus: api.WorkerStatus{Name: fmt.Sprintf("%s/%d", arg(1), i+1), State: "starting"}})
		}
		w.p.Apps = []picture.App{a}
	case "queue":
		w.pool(arg(1)).Queued = int64(w.number(arg(2)))
	case "disk":
		w.p.Facts.Disks = []picture.Disk{{Path: arg(1), Size: 1000, Free: int64(1000 - 1000*w.number(arg(2))), Inodes: 10, InodeFree: 10}}
	case "memory":
		w.p.Facts.MemFree = int64(100 - 100*w.number(arg(1)))
	case "problem":
		w.p.Problem = rest(1)
	case "dropped":
		w.p.Edge.LogDropped += uint64(w.number(arg(1)))
	case "cert":
		w.extra.Certificates = []Certificate{{Name: arg(1), End: w.now.Add(w.duration(arg(2)))}}
	case "budget": // SITE DOWN OF
		w.extra.Budgets = []Budget{{Site: arg(1), Down: w.duration(arg(2)), Most: w.duration(arg(3))}}
	case "news":
		w.extra.News = append(w.extra.News, News{Rule: "new_error", Subject: arg(1), Text: rest(2)})
	case "silence": // RULE SUBJECT FOR
		s, err := w.board.Silence(Silence{Rule: arg(1), Subject: arg(2), Until: w.now.Add(w.duration(arg(3))), By: "ann"}, w.now)
		w.say("%s %v", s.ID, err)
	case "unsilence":
		w.say("%v", w.board.Unsilence(arg(1), w.now))
	case "ack":
		done, err := w.board.Acknowledge(rest(1), Ack{At: w.now, By: "ann"})
		w.say("%v %v", done, err)
	case "config": // the rest of the line is a mapping
		w.board.Use(configured(w.t, "  {"+rest(1)+"}"))
	case "refuse": // TARGET: nobody took the last message to it
		w.board.Refused(w.last[arg(1)], w.now)
	case "save":
		w.save()
	case "back": // another board goes on, with a clock that is behind
		w.save()
		w.now = w.now.Add(-w.duration(arg(1)))
	case "list":
		for _, a := range w.board.List() {
			w.say("%s %s %s%s", a.State, a.ID(), a.Text, map[bool]string{true: " (by " + a.By + ")"}[a.By != ""])
		}
	case "run":
		w.run(w.duration(arg(1)))
	default:
		w.t.Fatalf("what is %q?", line)
	}
}

// save has another board go on, as another process would.
func (w *world) save() {
	text, err := json.Marshal(w.board.Save())
	if err != nil {
		w.t.Fatal(err)
	}
	var s Saved
	if err := json.Unmarshal(text, &s); err != nil {
		w.t.Fatal(err)
	}
	cfg := w.board.cfg
	w.board = New(s)
	w.board.Use(&cfg)
}

func (w *world) run(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(time.Second)
		p := w.p
		p.At = w.now
		p.Sites = append([]picture.Site{}, p.Sites...)
		for i := range p.Sites {
			w.flow(&p.Sites[i].Flow, p.Sites[i].Name)
		}
		p.Pools = append([]picture.Pool{}, p.Pools...)
		for i := range p.Pools {
			state(&p.Pools[i])
		}
		messages, changes := w.board.Step(&p, w.extra)
		w.extra.News = nil
		at := w.now.Sub(w.start)
		for _, c := range changes {
			w.say("%v: %s", at, c.Text)
		}
		for _, m := range messages {
			w.last[m.Target] = m
			w.say("%v: to %s: %s", at, m.Target, m.Title())
			for line := range strings.Lines(m.Text()) {
				w.say("    %s", strings.TrimRight(line, "\n"))
			}
		}
	}
}

func (w *world) flow(f *picture.Flow, site string) {
	t, sum := w.traffic[site], w.sums[site]
	if w.p.Edge.Up {
		sum[0] += t[0]
		sum[1] += t[0] * t[1]
		sum[2] += t[0] * t[2]
	}
	f.Requests, f.Status[5], f.Rate = uint64(sum[0]), uint64(sum[1]), t[0]
	f.Status[2] = f.Requests - f.Status[5]
	f.Cache[journal.Hit], f.Cache[journal.Miss] = uint64(sum[2]), f.Requests-uint64(sum[2])
}

// state is what the maker of pictures says of a pool.
func state(p *picture.Pool) {
	p.Open = 0
	for _, s := range p.Servers {
		if s.State == "ready" {
			p.Open++
		}
	}
	p.State = "up"
	if p.Open == 0 {
		p.State = "down"
	} else if p.Open < len(p.Servers) {
		p.State = "degraded"
	}
}
