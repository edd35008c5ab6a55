package edge

import (
	"bytes"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/pool"
)

// Whatever a client sends as cookies, those of others reach the app as they were, in their order, and weir's own never does.
func FuzzTicket(f *testing.F) {
	cfg := &config.Pool{Name: "p", Servers: []config.Server{{Address: "10.0.0.1:80", Weight: 1}, {Address: "10.0.0.2:80", Weight: 1}},
		Sticky: &config.Sticky{Cookie: "SRV", Secret: "0123456789abcdef"}}
	set, err := pool.Build(&config.Config{Pools: []*config.Pool{cfg}}, pool.Env{}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(set.Close)
	p := set.Pool("p")
	const genuine = "TICKET" // stands for one
	ticket := []byte("tK1SuK3cdCvcFH22Kvo-QOb1wmj26g0x")
	if _, known := p.At(ticket); !known {
		f.Fatal("the cookies of an earlier version are not known any more")
	}
	for _, line := range []string{"", "a=b", "SRV=TICKET", "a=b; SRV=TICKET; c=d", "SRV=TICKET;SRV=TICKET", ";;SRV=TICKET;;a", " SRV = TICKET ;=;x", "SRV=x; SRV=TICKETx", "a=b;c=d\nSRV=TICKET"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h := &handler{}
		for i, line := range strings.Split(strings.ReplaceAll(text, genuine, string(ticket)), "\n") {
			h.x.Req.Fields.Add(message.Cookie, []byte("Cookie"), []byte(strings.Trim(line, " \t")))
			if i == 20 {
				break
			}
		}
		var want []string
		lead := false
		for _, l := range h.x.Req.Fields.List {
			for _, pair := range strings.Split(string(l.Value), ";") {
				n, v, _ := strings.Cut(pair, "=")
				n, v = strings.Trim(n, " \t"), strings.Trim(v, " \t")
				if n == "SRV" && pool.IsTicket([]byte(v)) {
					lead = lead || v == string(ticket)
				} else if pair = strings.Trim(pair, " \t"); pair != "" {
					want = append(want, pair)
				}
			}
		}
		h.takeTicket(p)
		var got []string
		for _, l := range h.x.Req.Fields.List {
			if len(l.Value) == 0 && len(want) == 0 {
				continue
			}
			for _, pair := range bytes.Split(l.Value, []byte(";")) {
				if pair = bytes.Trim(pair, " \t"); len(pair) > 0 {
					got = append(got, string(pair))
				}
			}
		}
		if strings.Join(got, "\x00") != strings.Join(want, "\x00") {
			t.Errorf("of %q the app gets %q, want %q", text, got, want)
		}
		if h.session.has != lead || lead && string(h.session.ticket[:]) != string(ticket) {
			t.Errorf("of %q the session is %s, %v, want %v", text, h.session.ticket, h.session.has, lead)
		}
	})
}
