package config

import (
	"strings"
	"testing"
)

// TestMeantOtherwise: what reads as one thing and would be taken for another is refused, with what to write instead.
func TestMeantOtherwise(t *testing.T) {
	const pools = "pools: {p: {servers: ['10.0.0.1:80']}}\n"
	hash := func(cost string) string {
		return "$2a$" + cost + "$7EqJtq98hPqEX7fNZaFWoOa1dWTXyZkKd1v6pW7bJQ3c1Fq8o3K3e"
	}
	for _, c := range []struct{ text, want string }{
		{"alerts: {targets: {ops: {email: ops@example.com}}, rules: {errors: {over: 1}}}", `over is "1"`}, // of a hundred, or all?
		{"alerts: {targets: {ops: {email: ops@example.com}}, rules: {errors: {over: 1%}}}", ""},
		{"alerts: {targets: {ops: {email: ops@example.com}}, rules: {errors: {over: 100%}}}", ""},
		{"alerts: {targets: {ops: {email: ops@example.com}}, smtp: {server: 'mail.example.com:587:'}}", "such as mail.example.com:587"},
		{"alerts: {targets: {ops: {email: ops@example.com}}, smtp: {server: '::1'}}", ""},
		{"alerts: {targets: {ops: {email: ops@example.com}}, smtp: {server: '[::1]:587'}}", ""},
		{"admin: {users: {ann: {password: " + hash("10") + "}}}", ""},
		{"admin: {users: {ann: {password: " + hash("31") + "}}}", "whose cost of 31 is not from 04 to 15"},
		{"admin: {users: {ann: {password: " + hash("03") + "}}}", "write what it prints"},
	} {
		_, _, err := load(t, t.TempDir(), c.text+"\n"+pools)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.text, err, c.want)
		}
	}
}
