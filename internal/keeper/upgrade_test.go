package keeper

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/app"
	"github.com/weirhq/weir/internal/config"
)

func (s *site) upgrade() (api.Upgraded, error) {
	var done api.Upgraded
	return done, s.client.Post(s.t.Context(), "/v1/upgrade", struct{}{}, &done)
}

// numbers are the processes of the edge and the workers.
func (s *site) numbers() string {
	st := s.status()
	out := ""
	if st.Edge != nil {
		out = fmt.Sprint(st.Edge.PID)
	}
	for _, a := range st.Apps {
		for _, w := range a.Workers {
			out += fmt.Sprint(" ", w.PID)
		}
	}
	return out
}

// TestUpgradeThatIsNotToBe: a signal that comes at the very last moment, each time: the program that is there goes on as if nothing had been.
func TestUpgradeThatIsNotToBe(t *testing.T) {
	s := newSite(t, newApp("web", "serve", 2))
	site := filepath.Join(s.dir, "site.json")
	s.cfg.File = site
	text, err := json.Marshal(s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(site, text, 0o644); err != nil {
		t.Fatal(err)
	}
	o := s.options()
	o.Thread, o.Parse = app.NewThread(), parseAgain
	ran := make(chan struct{})
	go func() { defer close(ran); o.Thread.Run() }()
	o.Unhandle = func() func() {
		s.signals <- syscall.SIGCHLD
		return func() {}
	}
	ready := make(chan struct{})
	o.Ready = func() { close(ready) }
	go func() {
		s.err = Run(t.Context(), o)
		close(s.done)
	}()
	<-ready
	t.Cleanup(func() { s.insist(); s.client.Close(); o.Thread.End(); <-ran })
	until(t, "both are live", func() bool { return s.workers() == "web/1.1=live web/2.1=live" })
	before := s.numbers()
	for range 3 {
		if _, err := s.upgrade(); err == nil || !strings.Contains(err.Error(), "a signal has come; the old one goes on") {
			t.Fatal(err)
		}
	}
	if now := s.numbers(); now != before {
		t.Errorf("processes %s, were %s", now, before)
	}
	if err := s.reload("web"); err != nil {
		t.Error(err)
	}
	if got := s.workers(); got != "web/1.2=live web/2.2=live" {
		t.Error(got)
	}
}

// TestOldProgramComesBack: a program that says on trial that it can take over, and cannot, or breaks: the one before goes on.
func TestOldProgramComesBack(t *testing.T) {
	s := newSite(t, newApp("web", "family", 2))
	s.cfg.Apps[0].Handed = false
	first := s.keep("log")
	until(t, "it is ready", func() bool { return s.up("web/1.1=live web/2.1=live") })
	s.touch("no trial")
	if _, err := s.upgrade(); err == nil || !strings.Contains(err.Error(), "it cannot take over: the configuration; is not for it; the old one goes on") {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(s.dir, "no trial")); err != nil {
		t.Fatal(err)
	}
	for how, want := range map[string]string{"": "the new program does not like it", "panic": "panic: the new program is broken"} {
		before := s.numbers()
		if err := os.WriteFile(filepath.Join(s.dir, "no heir"), []byte(how), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := s.upgrade(); err == nil || !strings.Contains(err.Error(), "it could not take over: "+want+"; the old one goes on") {
			t.Fatal(err)
		}
		if now := s.numbers(); now != before {
			t.Errorf("processes %s, were %s", now, before)
		}
	}
	before := s.numbers()
	done, err := s.upgrade()
	if err != nil || done.Version != "test" || done.Was != "test" {
		t.Fatal(done, err)
	}
	_, workers, _ := strings.Cut(before, " ")
	if edge, now, _ := strings.Cut(s.numbers(), " "); now != workers || strings.HasPrefix(before, edge+" ") {
		t.Errorf("processes %s %s, were %s", edge, now, before)
	}
	if st := s.status(); st.PID != first.Process.Pid {
		t.Error(st.PID)
	}
	// What a worker had started before goes with it.
	syscall.Kill(s.status().Apps[0].Workers[0].PID, syscall.SIGKILL)
	until(t, "it is replaced", func() bool { return s.workers() == "web/1.2=live web/2.1=live" })
	if err := first.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(s.read("log")) {
		if _, pid, ok := strings.Cut(line, ": family "); ok {
			n := 0
			if _, err := fmt.Sscan(pid, &n); err != nil || alive(n) {
				t.Errorf("what a worker had started lives: %s %v", strings.TrimSpace(pid), err)
			}
		}
	}
	s.client.Close()
}

// TestEstates: what is none, or one of another time, is refused.
func TestEstates(t *testing.T) {
	parse := func(api.Source) (*config.Main, *config.Config, error) { return nil, &config.Config{}, nil }
	for text, want := range map[string]string{
		"":                         "reading what the old program left",
		"{}":                       "has format 0, and this one knows format 1 only",
		`{"format": 2, "apps": 7}`: "has format 2, and this one knows format 1 only: stop weir and start it again",
		`{"format": 1, "apps": 7}`: "reading what the old program left",
		`{"format": 1, "apps": [{"life": {"app": 3}}]}`:                                                             "it is of app 3 of 0",
		`{"format": 1, "configs": [{}]}`:                                                                            "an app without a configuration",
		`{"format": 1, "configs": [{"app": {}}], "apps": [{"life": {"places": [{"number": 0}]}}]}`:                  "a place 0",
		`{"format": 1, "configs": [{"app": {}}], "apps": [{"life": {"places": [{"number": 1, "cur": {}}]}}]}`:       `the worker ""`,
		`{"format": 1, "configs": [{"app": {}}], "apps": [{"processes": [{"worker": "web/1.1", "app": -1}]}]}`:      "the process of web/1.1 is of app -1 of 1",
		`{"format": 1, "run_dir": "/` + strings.Repeat("x", 300) + `"}`:                                             "which is too long",
		`{"format": 1, "run_dir": "/tmp/x", "configs": [{"app": {"Name": "web"}}], "apps": [{"life": {"app": 0}}]}`: "",
	} {
		err := Trial(strings.NewReader(text), parse)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// TestClockThatIsSet: an estate from the future, or from long ago, is one of now, or of a minute ago.
func TestClockThatIsSet(t *testing.T) {
	now := time.Unix(1e9, 0)
	for at, want := range map[time.Duration]time.Duration{time.Hour: 0, 0: 0, -time.Second: time.Second, -time.Hour: time.Minute} {
		e := estate{At: now.Add(at).UnixNano()}
		if got := now.Sub(e.savedAt(now)); got != want {
			t.Errorf("%v: %v ago, want %v", at, got, want)
		}
	}
}

// FuzzEstate: whatever it is, it is refused or makes sense.
func FuzzEstate(f *testing.F) {
	f.Add([]byte(`{"format": 1, "configs": [{"app": {"Name": "web"}}], "apps": [{"life": {"app": 0, "places": [{"number": 1, "cur": {"name": "web/1.1", "gen": 1, "state": 2, "pid": 7}}]}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		Trial(strings.NewReader(string(text)), func(api.Source) (*config.Main, *config.Config, error) { return nil, &config.Config{}, nil })
	})
}

// TestAppsPassThroughEstates: every field of an app, and of what it is made of, is the same on the other side.
func TestAppsPassThroughEstates(t *testing.T) {
	var a, b config.App
	fill(t, reflect.ValueOf(&a).Elem())
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("an app changes when another program takes over: %s", diff)
	}
}

// fill gives everything a value that is not zero.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				t.Errorf("%v.%s is not exported: it would not be passed on", v.Type(), v.Type().Field(i).Name)
				continue
			}
			fill(t, v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0))
		fill(t, v.Index(1))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, key)
		fill(t, value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("a “text”\n")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(101)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(102)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(0.5)
	default:
		t.Errorf("a field of kind %v: say here how it passes", v.Kind())
	}
}
