package top

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/api"
)

const fakeNumbers = `{"lines":9,"dropped":0,"numbers":[
{"name":"app_logins_total","kind":"counter","value":1200,"seen":1773489600},
{"name":"app_logins_total","kind":"counter","labels":{"by":"token"},"value":3,"seen":1773489600},
{"name":"app_queue_drift","kind":"gauge","value":-2.5,"seen":1773489540},
{"name":"app_render_seconds","kind":"timer","labels":{"page":"\u001b[2Jx"},"value":96000,"count":300,"p50":210,"p95":420,"p99":1300,"seen":1773489600},
{"name":"app_visitors","kind":"set","value":42,"seen":1773489600}]}`

func readNumbers(t *testing.T, text string) []Number {
	t.Helper()
	var told struct{ Numbers []Number }
	if err := json.Unmarshal([]byte(text), &told); err != nil {
		t.Fatal(err)
	}
	return told.Numbers
}

// TestNumbers: apps' own numbers have a view where there are any, and what only grows is told by the second.
func TestAppsNumbers(t *testing.T) {
	m := played(t, 110, 24, 0, "7")
	text, _, _ := m.frame()
	if strings.Contains(text, "numbers") || m.nextView(1) != overview {
		t.Errorf("there are no numbers, and a view of them:\n%s", text)
	}
	m.take(gotNumbers{readNumbers(t, fakeNumbers)})
	m.take(fakePicture(17, 0)) // 6 seconds after the one before
	m.take(gotNumbers{readNumbers(t, strings.Replace(strings.Replace(fakeNumbers, `"value":1200`, `"value":1260`, 1), `"count":300`, `"count":312`, 1))})
	m.take(pressed("8"))
	text, _, _ = m.frame()
	for _, want := range []string{"[8 numbers]", "app_logins_total by=token counter 3 ", "counter 1260  10", "gauge -2.5", "timer 312 2.0 210ms 420ms 1.3s", "set 42", "1m17"} {
		if !strings.Contains(oneSpace(text), oneSpace(want)) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b[2J") {
		t.Error("what an app calls its numbers commands the terminal")
	}
	for _, k := range []string{"/", "r", "e", "n", "d", "e", "r", "enter", "enter"} {
		m.take(pressed(k))
		text, _, _ = m.frame()
	}
	for _, want := range []string{"app_render_seconds", "312", "210ms 420ms 1.3s"} {
		if !strings.Contains(text, want) {
			t.Errorf("looked into: no %q in\n%s", want, text)
		}
	}
	m.take(pressed("esc"))
	m.take(pressed("tab"))
	if m.view != overview {
		t.Errorf("after the last view comes %d", m.view)
	}
	m.take(pressed("shift+tab"))
	if m.view != numbersView {
		t.Errorf("before the first view comes %d", m.view)
	}
}

func oneSpace(s string) string { return strings.Join(strings.Fields(s), " ") }

func TestNumbersOnce(t *testing.T) {
	for _, c := range []struct{ numbers, want string }{{fakeNumbers, "app_visitors"}, {"", "no app has sent a number"}} {
		d := newFakeDesk(t, func(d *fakeDesk) { d.numbers = c.numbers })
		var out bytes.Buffer
		if err := Once(t.Context(), Options{Desk: api.NewClient(d.socket), View: "numbers", Sort: "value", Width: 100, Out: &out}); err != nil {
			t.Error(err)
		}
		if !strings.Contains(out.String(), c.want) {
			t.Errorf("no %q in\n%s", c.want, out.String())
		}
	}
}
