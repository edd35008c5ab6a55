package export

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/picture"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// sample has a server in each state, a TCP pool, an app, and words that want to be formulas.
func sample() *picture.Picture {
	p := &picture.Picture{At: now, Node: "web1", Edge: picture.Edge{Up: true, Connections: 40, Room: 60, Accepted: 900}}
	p.Sites = []picture.Site{{Name: "www.example.com", Flow: picture.Flow{Requests: 1000, Status: [6]uint64{1, 0, 900, 50, 40, 9}, Rate: 12.2, RateMax: 30, HitRatio: .5,
		Cache: [7]uint64{0, 10, 300, 400, 5, 6, 7}, Causes: map[string]uint64{"refused": 4, "bad_request": 2, "client_gone": 3}}}}
	p.Routes = []picture.Route{{Site: "www.example.com", Name: "www.example.com#1", Pool: "app", Flow: p.Sites[0].Flow}}
	p.Total = p.Sites[0].Flow
	app := picture.Pool{Name: "app", App: "app", State: "degraded", Open: 1, Queued: 3, QueueMax: 9, QueueSize: 100, Active: 5, Requests: 1000, Rate: 3.5, Retries: 7, Redispatch: 6, P50: 12.4}
	for _, state := range []string{"ready", "starting", "draining", "maint", "down", "leaving"} {
		app.Servers = append(app.Servers, picture.Server{Name: "app/" + state, Address: "unix:/run/app.sock", State: state, Since: now.Add(-90 * time.Second), Weight: 10, Share: 500, Limit: 4, Active: 1,
			ActiveMax: 4, Requests: 100, Status: [6]uint64{0, 0, 90, 0, 0, 10}, Failures: map[string]uint64{"connect_error": 2, "timeout": 1}, Check: `=cmd|' /C calc'!A0, "x"`, Checks: 50, CheckFail: 3, Downs: 2, DownFor: 61.5, CheckTime: 1.5})
	}
	p.Apps = []picture.App{{Name: "app", Workers: []picture.Worker{{WorkerStatus: api.WorkerStatus{Name: "app/ready", PID: 77, State: "live", Memory: 1 << 20}, CPU: .25}}}}
	tcp := picture.Pool{Name: "db", TCP: true, State: "up", Open: 1, Servers: []picture.Server{{Name: "-db\n1", State: "ready", Weight: 1, Share: 1000, Backup: true}}}
	p.Pools = []picture.Pool{app, tcp}
	return p
}

// parse reads the format as programs do that were written for HAProxy: names behind "# ", then lines, all with a comma at the end.
func parse(t *testing.T, text []byte) (names []string, lines []map[string]string) {
	t.Helper()
	rest, ok := bytes.CutPrefix(text, []byte("# "))
	if !ok {
		t.Fatalf("it does not begin with `# `: %.20q", text)
	}
	r := csv.NewReader(bytes.NewReader(rest))
	names, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	for {
		cells, err := r.Read() // which fails on another number of cells
		if err == io.EOF {
			return names, lines
		}
		if err != nil {
			t.Fatal(err)
		}
		line := map[string]string{}
		for i, c := range cells {
			line[names[i]] = c
		}
		lines = append(lines, line)
	}
}

// The words of state that checks know. Those that Prometheus' exporter takes for 1, and for 0.
var statuses = map[string]bool{"UP": true, "OPEN": true, "DRAIN": true, "DOWN": false, "MAINT": false, "NOLB": false, "STOP": false}

// numbers are the columns that checks and exporters read as whole numbers.
var numbers = strings.Fields("qcur qmax scur smax slim stot bin bout dreq dresp ereq econ eresp wretr wredis weight act bck chkfail chkdown lastchg downtime qlimit pid iid sid throttle lbtot type rate rate_lim rate_max check_duration hrsp_1xx hrsp_2xx hrsp_3xx hrsp_4xx hrsp_5xx hrsp_other req_rate req_rate_max req_tot cli_abrt srv_abrt qtime ctime rtime ttime")

// TestHAProxyColumns holds the columns against what HAProxy itself wrote.
func TestHAProxyColumns(t *testing.T) {
	text, err := os.ReadFile("testdata/haproxy-2.6.csv")
	if err != nil {
		t.Fatal(err)
	}
	theirs, lines := parse(t, text)
	ours, mine := parse(t, HAProxy(sample()))
	theirs = theirs[:slices.Index(theirs, "-")+1]
	if got := ours[:len(ours)-1]; !slices.Equal(got, theirs) {
		t.Errorf("columns\n%q\nwant\n%q", got, theirs)
	}
	if len(lines) != 5 {
		t.Fatalf("HAProxy's own sample has %d lines", len(lines))
	}
	for _, l := range append(lines, mine...) {
		for _, n := range numbers {
			if l[n] == "" {
				continue
			}
			if _, err := strconv.ParseInt(l[n], 10, 64); err != nil {
				t.Errorf("%s/%s: %s is %q", l["pxname"], l["svname"], n, l[n])
			}
		}
		if _, ok := statuses[l["status"]]; !ok {
			t.Errorf("%s/%s: status %q", l["pxname"], l["svname"], l["status"])
		}
	}
}

func TestHAProxyRows(t *testing.T) {
	_, lines := parse(t, HAProxy(sample()))
	var got []string
	for _, l := range lines {
		got = append(got, l["pxname"]+" "+l["svname"]+" "+l["status"]+" "+l["type"])
	}
	want := []string{"weir FRONTEND OPEN 0", "www.example.com FRONTEND OPEN 0", "app app/ready UP 2", "app app/starting DOWN 2", "app app/draining DRAIN 2", "app app/maint MAINT 2", "app app/down DOWN 2",
		"app app/leaving NOLB 2", "app BACKEND UP 1", "db '-db 1 UP 2", "db BACKEND UP 1"}
	if !slices.Equal(got, want) {
		t.Errorf("lines\n%q\nwant\n%q", got, want)
	}
	for _, c := range []struct{ line, name, want string }{
		{"FRONTEND", "slim", "100"}, {"app/down", "downtime", "61"}, {"app/down", "chkdown", "2"}, {"app/down", "lastchg", "90"}, {"app/ready", "weight", "5"}, {"app/ready", "throttle", "50"},
		{"app/ready", "hrsp_5xx", "10"}, {"app/ready", "econ", "2"}, {"app/ready", "eresp", "1"}, {"app/ready", "slim", "4"}, {"app/ready", "last_chk", `'=cmd|' /C calc'!A0, "x"`},
	} {
		for _, l := range lines {
			if l["svname"] == c.line {
				if l[c.name] != c.want {
					t.Errorf("%s: %s is %q, want %q", c.line, c.name, l[c.name], c.want)
				}
				break
			}
		}
	}
	for _, c := range []struct{ name, want string }{{"qcur", "3"}, {"qmax", "9"}, {"qlimit", "100"}, {"scur", "5"}, {"act", "1"}, {"wretr", "7"}, {"wredis", "6"}, {"econ", "12"}, {"slim", "24"}, {"rate", "4"}} {
		if l := lines[8]; l[c.name] != c.want {
			t.Errorf("BACKEND: %s is %q, want %q", c.name, l[c.name], c.want)
		}
	}
}

// TestEdgeDown: when nothing serves, nothing is said to be up.
func TestEdgeDown(t *testing.T) {
	p := sample()
	p.Edge.Up = false
	_, lines := parse(t, HAProxy(p))
	for _, l := range lines {
		if statuses[l["status"]] {
			t.Errorf("%s/%s is %s", l["pxname"], l["svname"], l["status"])
		}
	}
}

func TestOwnTable(t *testing.T) {
	p := sample()
	r := csv.NewReader(bytes.NewReader(CSV(p)))
	all, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(all[0], columns) {
		t.Errorf("columns %q", all[0])
	}
	at := func(name string) int { return slices.Index(columns, name) }
	if w := all[4]; w[at("kind")] != "worker" || w[at("name")] != "app/ready" || w[at("pid")] != "77" || w[at("cpu")] != "0.25" || w[at("timeout")] != "1" || w[at("since")] != "2026-11-21T11:58:30Z" {
		t.Errorf("worker: %q", w)
	}
	for _, line := range all[1:] {
		for i, c := range line {
			if strings.ContainsAny(c, "\n\r") || c != "" && strings.ContainsAny(c[:1], "=+-@") {
				t.Errorf("%s is %q", columns[i], c)
			}
		}
	}
	text, err := JSON(p)
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Columns []string         `json:"columns"`
		Rows    []map[string]any `json:"rows"`
	}
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	if len(table.Rows) != len(all)-1 {
		t.Errorf("%d rows in JSON, %d in CSV", len(table.Rows), len(all)-1)
	}
	for _, row := range table.Rows {
		for name := range row {
			if at(name) < 0 {
				t.Errorf("JSON has %q, which is no column", name)
			}
		}
	}
}

// TestRowsNameColumns: a name that is misspelt would be an empty column.
func TestRowsNameColumns(t *testing.T) {
	p := sample()
	rows := []row{listener(p), frontend(p, &p.Sites[0], 2), server(p, &p.Pools[0], &p.Pools[0].Servers[0], 3, 1), backend(p, &p.Pools[0], 3)}
	for _, r := range rows {
		for name := range r {
			if !slices.Contains(haproxyColumns, name) {
				t.Errorf("%s/%s has %q, which is no column of HAProxy's", r["pxname"], r["svname"], name)
			}
		}
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{"10.0.0.1:80": "10.0.0.1:80", "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@x": "'@x", " =1": "' =1", "\t=1": "' =1", "a\r\nb": "a  b", "": "", "ü=1": "ü=1", "＝1": "'＝1",
		"%0a": "'%0a", "a\u2028b": "a b"} {
		if got := plain(in); got != want {
			t.Errorf("plain(%q) is %q, want %q", in, got, want)
		}
	}
}

func FuzzPlain(f *testing.F) {
	for _, s := range []string{"=1", " =1", "\x00=1", "a,b;\"c\"", "\n+1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		line := append(appendCell(nil, plain(s)), ",x\n"...)
		cells, err := csv.NewReader(bytes.NewReader(line)).ReadAll()
		if err != nil || len(cells) != 1 || len(cells[0]) != 2 {
			t.Fatalf("%q became %q: %q, %v", s, line, cells, err)
		}
		if c := strings.TrimLeft(cells[0][0], " \u00a0"); c != "" && strings.ContainsAny(c[:1], "=+-@") {
			t.Fatalf("%q became %q, which is a formula", s, cells[0][0])
		}
	})
}

func TestHandler(t *testing.T) {
	var p *picture.Picture
	h := Handler(func() *picture.Picture { return p })
	mux := http.NewServeMux()
	for _, pattern := range Patterns {
		mux.Handle(pattern, h)
	}
	ask := func(target string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
		return w
	}
	if w := ask("/stats.csv"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("before there is a picture: %d", w.Code)
	}
	p = sample()
	for target, begin := range map[string]string{"/stats.csv": "kind,", "/stats.json": "{", "/haproxy;csv": "# pxname,", "/stats;csv": "# pxname,", "/;csv": "# pxname,", "/haproxy?stats;csv": "# pxname,", "/haproxy?stats;csv;norefresh": "# pxname,"} {
		if w := ask(target); w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), begin) {
			t.Errorf("%s: %d %.30q", target, w.Code, w.Body)
		}
	}
	first := ask("/stats.csv").Body.String()
	other := sample()
	other.Pools[0].Servers[0].Requests = 4711
	p = other
	if w := ask("/stats.csv"); w.Body.String() == first || !strings.Contains(w.Body.String(), ",4711,") {
		t.Error("another picture has the same table")
	}
	if w := ask("/haproxy"); w.Code != http.StatusNotFound {
		t.Errorf("/haproxy: %d", w.Code)
	}
}

func BenchmarkHAProxy(b *testing.B) {
	p := sample()
	for len(p.Pools) < 100 {
		p.Pools = append(p.Pools, p.Pools[0])
	}
	b.ReportAllocs()
	for b.Loop() {
		HAProxy(p)
	}
}
