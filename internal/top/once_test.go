package top

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/picture"
)

func TestOnce(t *testing.T) {
	d := newFakeDesk(t)
	for _, c := range []struct {
		o    Options
		want []string
		not  []string
	}{
		{Options{}, []string{"weir v1.4.0 · web1", "ALERT no server of the pool db takes requests · 3m0", "ALERT /var is 92 % full · seen by ann", "NEWEST EVENTS", "another configuration is in force", "█"}, []string{"\x1b", "quit", " \n", "silenced", "explained", "pending"}},
		{Options{ASCII: true}, []string{"weir v1.4.0 - web1", "#"}, []string{"·", "█", "▁", "…"}},
		{Options{View: "pools", Sort: "rate"}, []string{"RATE▼", "10.0.9.1:5432"}, nil},
		{Options{View: "pools", Sort: "-RATE", Filter: "10.0.0."}, []string{"RATE▲", "4 of 8 with 10.0.0."}, []string{"10.0.9.1"}},
		{Options{View: "log", Filter: "status>=500"}, []string{"the last slow, failed and refused ones, those with status>=500", "first_byte_timeout"}, []string{"\x9b"}},
		{Options{View: "cache"}, []string{"WHY NOT FROM THE CACHE", "search?q=new+year"}, nil},
	} {
		var out bytes.Buffer
		c.o.Desk, c.o.Width, c.o.Out = api.NewClient(d.socket), 100, &out
		if err := Once(t.Context(), c.o); err != nil {
			t.Error(err)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%+v: no %q in\n%s", c.o, want, out.String())
			}
		}
		for _, not := range c.not {
			if strings.Contains(out.String(), not) {
				t.Errorf("%+v: %q in\n%s", c.o, not, out.String())
			}
		}
	}
}

func TestOnceOfMany(t *testing.T) {
	d := newFakeDesk(t, func(d *fakeDesk) { d.more = 1000 })
	var out bytes.Buffer
	if err := Once(t.Context(), Options{Desk: api.NewClient(d.socket), View: "pools", Width: 100, Out: &out}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "10.1."); n != 1000 {
		t.Errorf("%d of 1000 servers", n)
	}
}

func TestWrongOptions(t *testing.T) {
	d := newFakeDesk(t)
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{View: "pool"}, `there is no view "pool": write one of overview, pools,`},
		{Options{View: "pools", Sort: "speed"}, `the view pools has no column "speed": write one of POOL/SERVER,`},
		{Options{Filter: "x"}, "the view overview has no table to filter or sort"},
		{Options{View: "log", Filter: "status>"}, "column 8: a number is missing after >"},
	} {
		c.o.Desk, c.o.Width, c.o.Out = api.NewClient(d.socket), 80, &bytes.Buffer{}
		if err := Once(t.Context(), c.o); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
}

// TestPictureIsPassedOn: what -o json prints is the picture as the desk tells it.
func TestPictureIsPassedOn(t *testing.T) {
	d := newFakeDesk(t)
	desk := api.NewClient(d.socket)
	raw, err := Picture(t.Context(), desk)
	if err != nil {
		t.Fatal(err)
	}
	var p picture.Picture
	if err := json.Unmarshal(raw, &p); err != nil || p.Node != "web1" || len(p.Pools) != 3 {
		t.Error(p, err)
	}
	d.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := Picture(ctx, desk); err == nil {
		t.Error("nobody answered, and there is a picture")
	}
}
